"""The public names, each from the module that defines it; `stagejax` itself asks for them here, when they are used."""

# ruff: noqa: F401

from stagejax.experiment import Experiment
from stagejax.handover import Action, Handover
from stagejax.ledger import Cost
from stagejax.loop import History
from stagejax.plan import Plan
from stagejax.result import Result
from stagejax.run import Fork, Run, running
from stagejax.stage import Evaluation, Precision, Stage
from stagejax.state import TrainState, everything
