"""stagejax: staged training in JAX.

A stage is a durable function from train state to train state, a growth operator is the same kind of thing, and a
pipeline is an ordinary Python function that calls them. The rooms of the house:

    axes        names and sides of every parameter's dimensions     growth      maps, operators, moments, receipts
    stage       what is trained, on what, by which step             models      NNX modules with named axes
    run, plan   durable named stages; the same on abstract values   objectives  (model, batch, key) -> (loss, metrics)
    handover    what passes from stage to stage                     data        sources, tokenizers, batches by position
    ledger      FLOPs, tokens and seconds                           report      claims, curves, pages
    steps       steps with a shape of their own: RL, GAN, clients   search      supernets, their subnets, evolution
    inference   trained networks at work                            decode      samples, beams, votes and verdicts
    transforms  kernels in another form: LoRA, factors
"""

from stagejax.experiment import Experiment
from stagejax.handover import Action, Handover
from stagejax.ledger import Cost
from stagejax.loop import History
from stagejax.plan import Plan
from stagejax.result import Result
from stagejax.run import Fork, Run, running
from stagejax.stage import Evaluation, Precision, Stage
from stagejax.state import TrainState, everything

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Cost",
    "Evaluation",
    "Experiment",
    "Fork",
    "Handover",
    "History",
    "Plan",
    "Precision",
    "Result",
    "Run",
    "Stage",
    "TrainState",
    "everything",
    "running",
]
