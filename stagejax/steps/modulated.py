"""Steps in which the encoders of several modalities do not learn at one speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stagejax.stage import Batch, Metrics, Part, average, ratios
from stagejax.state import TrainState, cast, join, split


@dataclass(frozen=True)
class Modulation:
    """On-the-fly gradient modulation: the encoder of a modality that is ahead of the others learns more slowly.

    With s_m the confidence of a modality alone and `r_m = s_m / mean of the others' s`, its scale is
    `1 - tanh(alpha r_m)` where r_m > 1, and 1 elsewhere. The reference has two modalities, of which the others are one.

    Reference: Peng et al. 2022 (OGM-GE), https://arxiv.org/abs/2203.15332, equations 8 to 10, without the noise of GE.

    >>> scales = Modulation(("text", "audio"), alpha=0.5)({"confidence_text": 0.8, "confidence_audio": 0.4}, 0)
    >>> {name: round(float(scale), 3) for name, scale in scales.items()}
    {'text': 0.238, 'audio': 1.0}
    """

    names: tuple[str, ...]
    alpha: float = 0.3

    def __call__(self, metrics: Mapping[str, Any], step: Any) -> dict[str, jax.Array]:
        """The scale of each encoder."""
        own = jnp.stack([jnp.asarray(metrics[f"confidence_{name}"], jnp.float32) for name in self.names])
        ratio = own * (len(own) - 1) / (own.sum() - own)
        scales = jnp.where(ratio > 1, 1 - jnp.tanh(self.alpha * ratio), 1.0)
        return dict(zip(self.names, scales, strict=True))


@dataclass(frozen=True)
class InTurn:
    """One encoder learns at a time, each for `every` steps.

    >>> {name: float(scale) for name, scale in InTurn(("text", "audio"), every=3)({}, 4).items()}
    {'text': 0.0, 'audio': 1.0}
    """

    names: tuple[str, ...]
    every: int

    def __call__(self, metrics: Mapping[str, Any], step: Any) -> dict[str, jax.Array]:
        """The scale of each encoder."""
        turn = jnp.asarray(step) // self.every % len(self.names)
        return {name: (turn == i).astype(jnp.float32) for i, name in enumerate(self.names)}


def modulated_step(
    part: Part,
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    scales: Callable[[Mapping[str, Any], Any], Mapping[str, jax.Array]],
) -> tuple[TrainState, Metrics]:
    """`gradient_step` of a `Fused` model whose encoders' updates are multiplied by `scales(metrics, step)`.

    It is the updates that are scaled: an optimizer that divides by the size of gradients would undo it on these.
    """
    key = jax.random.fold_in(key, state.step)
    trained, frozen = split(state.params, part.selection)
    (metrics, rest), grads = part.gradients(part, trained, frozen, state.rest, batch, key)
    metrics = ratios(metrics) | {"grad_norm": optax.tree.norm(grads)}
    updates, opt_state = part.tx.update(cast(grads, part.precision.gradients), state.opt_state, trained)
    opt_state = jax.tree.map(lambda new, old: new.astype(old.dtype), opt_state, state.opt_state)
    own = scales(metrics, state.step)
    encoders = {
        name: jax.tree.map(lambda u, name=name: u * own[name].astype(u.dtype), tree)
        for name, tree in updates["encoders"].items()
    }
    params = join(optax.apply_updates(trained, {**updates, "encoders": encoders}), frozen, part.selection)
    metrics |= {f"scale_{name}": scale for name, scale in own.items()}
    return TrainState(state.step + 1, params, rest, opt_state, average(state.ema, params, part.ema)), metrics
