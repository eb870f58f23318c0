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

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stagejax.public import (
        Action,
        Cost,
        Evaluation,
        Experiment,
        Fork,
        Handover,
        History,
        Plan,
        Precision,
        Result,
        Run,
        Stage,
        TrainState,
        everything,
        running,
    )

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


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for: the command line answers before JAX would be loaded."""
    if name not in __all__:
        raise AttributeError(f"module 'stagejax' has no attribute {name!r}")
    return getattr(importlib.import_module("stagejax.public"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
