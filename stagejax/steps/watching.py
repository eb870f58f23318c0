"""Steps that watch a model by its embeddings of tracking texts, and train without the coordinates that move most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.identity import once_a_program
from stagejax.ledger import count_flops
from stagejax.program import build
from stagejax.stage import Batch, Metrics, Part, Stage, gradient_step
from stagejax.state import TrainState, Tree, cast


def without_dropped(model: Any, tokens: jax.Array) -> jax.Array:
    """Embeddings of a `WatchedModel` as it trains: zero at what is dropped."""
    return model.embeddings(tokens, model.without_dropped)


def with_all(model: Any, tokens: jax.Array) -> jax.Array:
    """Embeddings of its decoder alone."""
    return model.embeddings(tokens)


def untouched(params: Tree, kept: jax.Array) -> Tree:
    """The parameters as they are."""
    return params


@dataclass(frozen=True)
class Watching:
    """A gradient step of a `models.taps.Watched`; at the end of an epoch, a checkpoint of its tracked embeddings.

    After every `period`-th epoch the coordinates that the next ones keep are chosen anew, from the remembered
    checkpoints; those dropped before come back. The objective decides what dropping means, such as to train
    `model.masked`. Batches hold the tracking texts as `watched`, the same in each.

    Args:
      epoch: steps of one.
      period: epochs between two choices.
      choose: (embeddings (checkpoints, texts, coordinates), key) -> 1 at coordinates to keep, 0 at others.
      embed: (model, tokens) -> embeddings of the tracking texts.
      drop: (parameters, kept) -> parameters, before each step: to drop by weights rather than by activations. `kept` is
        1 everywhere but at the first step of an epoch.

    Metrics: those of the objective, and `dropped`, how many coordinates the step left out.

    Raises:
      ValueError: an epoch or a period without a step.

    >>> # Stage(model=Watched(net, 3, 32), objective=..., step=Watching(100, 3, MostSensitive(0.2)), ...)
    """

    epoch: int
    period: int
    choose: Callable[[jax.Array, jax.Array], jax.Array]
    embed: Callable[[Any, jax.Array], jax.Array] = without_dropped
    drop: Callable[[Tree, jax.Array], Tree] = untouched

    def __post_init__(self) -> None:
        if self.epoch < 1 or self.period < 1:
            raise ValueError(f"epoch={self.epoch} steps, period={self.period} epochs: at least 1 each")

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        """The state after the step, and after the checkpoint if an epoch ends with it."""
        first = jnp.where(state.step % self.epoch == 0, state.rest["kept"], 1)
        begun = replace(state, params=self.drop(state.params, first))
        new, metrics = gradient_step(part, begun, batch, key)
        choice_key = jax.random.fold_in(jax.random.fold_in(key, new.step), self.epoch)
        new = jax.lax.cond(
            new.step % self.epoch == 0,
            lambda state: self.checkpoint(part, state, batch["watched"], choice_key),
            lambda state: state,
            new,
        )
        return new, metrics | {"dropped": (1 - state.rest["kept"]).sum()}

    def checkpoint(self, part: Part, state: TrainState, tokens: jax.Array, key: jax.Array) -> TrainState:
        """The state at the end of an epoch: embeddings remembered, at the end of a period coordinates chosen."""
        rest = state.rest
        model = nnx.merge(part.graphdef, cast(state.params, part.precision.compute), rest)
        now_JE = self.embed(model, tokens).astype(rest["seen"].dtype)
        seen_CJE = jnp.concatenate([rest["seen"][1:], now_JE[None]])
        chosen_E = self.choose(seen_CJE, key).astype(rest["kept"].dtype)
        kept_E = jnp.where(state.step // self.epoch % self.period == 0, chosen_E, rest["kept"])
        return replace(state, rest=rest | {"seen": seen_CJE, "kept": kept_E})


@dataclass(frozen=True)
class EpochFlops:
    """What each step of a `Watching` stage costs: the last of an epoch also embeds the tracking texts."""

    epoch: int
    plain: float
    checkpoint: float

    def __call__(self, steps: np.ndarray) -> np.ndarray:
        """FLOPs of steps 0, 1, ..."""
        return self.plain + self.checkpoint * ((steps + 1) % self.epoch == 0)


def with_flops(stage: Stage) -> Stage:
    """The same stage, charged for tracking where it tracks, not in each step.

    >>> # run.train(with_flops(Stage(..., step=Watching(...))), start)
    """
    return replace(stage, step_flops=_epoch_flops(stage))


@once_a_program
def _epoch_flops(stage: Stage) -> EpochFlops:
    watching, program = stage.step, build(stage, None)
    assert isinstance(watching, Watching)

    def checkpoint(state: TrainState, tokens: jax.Array, key: jax.Array) -> TrainState:
        return watching.checkpoint(program.parts, state, tokens, key)

    specs = (program.state, program.batch["watched"], program.key)
    own = count_flops(checkpoint, *jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), specs))
    return EpochFlops(watching.epoch, _plain_flops(replace(stage, step=gradient_step)), float(own))


@once_a_program
def _plain_flops(stage: Stage) -> float:
    return float(build(stage, None).step_flops())
