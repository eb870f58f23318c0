"""Adapters for one task after another: each beside the frozen model, or each on top of what those before have learnt.

A model of its own for each phase costs nothing of what was learnt before; what an arm pays is parameters. `run` is that
of a pipeline, and only its `train` and `transform` are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stagejax.inference.serving.pruning import Renewed
from stagejax.stage import Data, Stage
from stagejax.transforms.lora import LoRA, factors
from stagejax.transforms.reparameterize import Reparameterized


def adapter_each(
    run: Any, phase: Stage, form: LoRA, data: dict[str, Data], start: Any, whole: Sequence[str] = ()
) -> tuple[Any, ...]:
    """An adapter for each task, all put on the same frozen model: `W = W_0 + scale · down_t up_t`. No order matters.

    Args:
      run: of the pipeline.
      phase: the stage that learns a task, of the model without adapters.
      data: of each task by its name.
      start: the trained model.
      whole: attributes of the model of which each task trains its own copy in full, as `"tokens"` where its words are
        new to the model.

    Returns:
      A result for each task, whose models have adapters.

    >>> # nets = adapter_each(run, phase, LoRA(rank=8), {"trec": trec, "sst2": sst2}, trained)
    """
    model = Reparameterized(phase.model, form)
    fresh = run.transform(f"{phase.name}/fresh", model.adapt, start, to=model)
    own = replace(phase, model=model, trainable=factors(*whole))
    return tuple(run.train(replace(own, name=f"{phase.name}/{name}", data=each), fresh) for name, each in data.items())


def adapters_on_top(run: Any, phase: Stage, form: LoRA, data: Sequence[Data], start: Any) -> tuple[Any, ...]:
    """An adapter for each phase on top of those before, which are frozen: `W = W_0 + scale · sum_t down_t up_t`.

    Args:
      run, phase, start: as in `adapter_each`.
      data: of the phases in their order.

    Returns:
      A result for each phase; the last one knows all of them.

    >>> # *_, net = adapters_on_top(run, phase, LoRA(rank=8), episodes, trained)
    """
    model, net, results = Reparameterized(phase.model, form), start, []
    own = replace(phase, model=model, trainable=factors())
    for number, each in enumerate(data):
        put = Renewed(form, number) if number else model.adapt
        net = run.transform(f"{phase.name}/fresh-{number}", put, net, to=model)
        net = run.train(replace(own, name=f"{phase.name}/{number}", data=each), net)
        results.append(net)
    return tuple(results)
