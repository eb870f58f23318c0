"""What it costs to serve several tasks: parameters that must be there, and the time in which one text is answered.

A text is asked for all T tasks at once: a shared encoder reads it once, an encoder with adapters once for each task, in
one batch, and single-task models one after another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from stagejax.apart import take_apart
from stagejax.axes import path_name
from stagejax.inference.frozen import Frozen, compiled
from stagejax.models.text.adapters import Adapted
from stagejax.steps.windows import interleaved


def served_parameters(config: Adapted, language_head: str = "encoder/head") -> int:
    """The numbers that a model needs for its answers; the head of its pre-training is left out.

    >>> from stagejax.models import bert
    >>> one = Adapted(bert(vocab=16, layers=1, embed=8, heads=2, mlp=16), tasks=1, classes=3)
    >>> served_parameters(replace(one, tasks=2)) - served_parameters(one)  # a head on 4 x 8 numbers
    99
    """
    leaves = jax.tree_util.tree_leaves_with_path(take_apart(config)[2])
    return sum(int(np.prod(leaf.shape)) for path, leaf in leaves if not path_name(path).startswith(language_head))


def parameters_of(hard: Adapted, adapted: Adapted, tasks: int) -> dict[str, int]:
    """`served_parameters` of "alone", a model for each of some tasks, and of "shared" and "adapted", one for all.

    >>> from stagejax.models import bert
    >>> one = Adapted(bert(vocab=16, layers=1, embed=8, heads=2, mlp=16), tasks=3, classes=3)
    >>> own = parameters_of(one, replace(one, adapters=3, bottleneck=2), 3)
    >>> own["alone"] - own["shared"] == 2 * (served_parameters(replace(one, tasks=1)) - 99)
    True
    """
    return {
        "alone": tasks * served_parameters(replace(hard, tasks=1)),
        "shared": served_parameters(replace(hard, tasks=tasks)),
        "adapted": served_parameters(replace(adapted, tasks=tasks, adapters=tasks)),
    }


def one_task(model: Any, tokens_BT: jax.Array, task_B: jax.Array) -> jax.Array:
    """(B, C), what the head of each row's task says."""
    return model.answers(tokens_BT, task_B)


def all_tasks(model: Any, tokens_BT: jax.Array, tasks: int) -> jax.Array:
    """(B, T, C), what the first heads say."""
    return model.every_answer(tokens_BT, tasks)


def answering_seconds(data: Any, shared: Any, adapted: Any, *alone: Any, repeats: int = 50) -> dict[str, list[float]]:
    """Median and least seconds in which one text is answered for all tasks: "shared", "adapted" and "alone".

    The ways take turns, so that what disturbs one disturbs all; compiling is not measured. Use it in `run.make`: a time
    is not the same twice.

    Args:
      data: its first sample's `tokens` are the text.
      shared, adapted: one network for all tasks.
      alone: a network for each task; the others answer for the first tasks, as many as these are.

    >>> # run.make("serving", answering_seconds, data, hard, adapters, *singles).value["alone"]
    """
    tokens = data.take(np.arange(1))["tokens"]
    both = {"shared": Frozen.of(shared), "adapted": Frozen.of(adapted)}
    nets = [Frozen.of(result) for result in alone]

    def together(net: Frozen) -> Any:
        return compiled(all_tasks, net.config, len(nets))(net.params, net.rest, tokens)

    def one_by_one() -> Any:
        return [
            compiled(one_task, net.config)(net.params, net.rest, tokens, np.array([task], np.int32))
            for task, net in enumerate(nets)
        ]

    ways: dict[str, Callable[[], Any]] = {name: lambda net=net: together(net) for name, net in both.items()}
    ways["alone"] = one_by_one
    return {name: [float(np.median(own)), min(own)] for name, own in interleaved(ways, repeats).items()}
