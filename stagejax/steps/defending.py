"""Fine-tuning that keeps what alignment taught: before it (Vaccine, RepNoise), and while it lasts (LDIFS, Lisa).

Models are causal `LanguageModel`s, also with adapters. Letters: L layers, B rows, T tokens, E embed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.data.streams import prefixed
from stagejax.inference.knowledge.residual import logit_lens, residual_stream
from stagejax.objectives import causal_lm
from stagejax.objectives.elastic import parameters
from stagejax.stage import Batch, Metrics, Part, Stage, gradient_step
from stagejax.state import TrainState
from stagejax.steps.referenced import referenced_step


@dataclass(frozen=True)
class Vaccine:
    """The language-model loss under the perturbation of all blocks' outputs that harms it most, to first order.

    add = reach · g / ‖g‖ with g the gradient by what all blocks leave, one norm over all of them.

    Reference: Huang et al. 2024, https://arxiv.org/abs/2402.01109, equation 4.
    """

    reach: float

    def __call__(self, model: Any, batch: Batch, key: Any) -> tuple[Array, Metrics]:
        shape = model.config.layers, *batch["tokens"].shape, model.config.embed

        def loss(add_LBTE: Array) -> tuple[Array, Metrics]:
            def moved(tokens_BT: Array, key: Any) -> Array:
                return logit_lens(model, residual_stream(model, tokens_BT, add_LBTE)[-1])

            return causal_lm(moved, batch, key)

        slope = jax.grad(lambda add: loss(add)[0])(jnp.zeros(shape))
        return loss(jax.lax.stop_gradient(self.reach * slope / (jnp.linalg.norm(slope.ravel()) + 1e-7)))


@dataclass(frozen=True)
class RepNoise:
    """loss(aligned) + noise · mean over layers of MMD(harmful representations, noise) - ascent · log loss(harmful).

    A batch has the aligned rows under their plain names, the harmful ones under names that begin with "harmful_".

    Reference: Rosati et al. 2024, https://arxiv.org/abs/2405.14577, section 3.
    """

    noise: float
    ascent: float

    def __call__(self, model: Any, batch: Batch, key: Any) -> tuple[Array, Metrics]:
        loss, metrics = causal_lm(model, batch, key)
        harmful = beside(batch, "harmful_")
        harm = causal_lm(model, harmful, key)[0]
        left = residual_stream(model, harmful["tokens"])[1:]
        rows = jnp.where(harmful["tokens"][..., None] > 0, left, 0).reshape(*left.shape[:2], -1)
        drawn = jax.random.normal(jax.random.key(0) if key is None else key, left.shape)
        drawn = jnp.where(harmful["tokens"][..., None] > 0, drawn, 0).reshape(rows.shape)
        apart = jax.vmap(mmd)(rows, drawn).mean()
        return loss + self.noise * apart - self.ascent * jnp.log(harm), metrics | {"harmful": harm, "mmd": apart}


def mmd(one: Float[Array, "N F"], other: Float[Array, "N F"]) -> Float[Array, ""]:
    """The squared maximum mean discrepancy of two samples, under the sum of five Gaussian kernels.

    Their widths are 1/4, 1/2, 1, 2 and 4 times the mean squared distance of different points, without a gradient.

    Reference: Gretton et al. 2012, JMLR 13.

    >>> x = jnp.array([[0.0], [1.0]])
    >>> float(mmd(x, x)), bool(mmd(x, x + 5) > 1)
    (0.0, True)
    """
    points = jnp.concatenate([one, other])
    size = (points**2).sum(-1)
    squares = jnp.maximum(size[:, None] + size - 2 * points @ points.T, 0)
    width = jax.lax.stop_gradient(squares.sum() / (len(points) * (len(points) - 1)))
    kernel = sum(jnp.exp(-squares / (width * 2.0**k)) for k in range(-2, 3))
    n = len(one)
    return (kernel[:n, :n] + kernel[n:, n:] - kernel[:n, n:] - kernel[n:, :n]).mean()


@dataclass(frozen=True)
class FeatureDrift:
    """LDIFS: the loss plus strength · the squared distance of what blocks leave from what they left before tuning.

    The distance is summed over features and layers, averaged over the tokens of the batch. For `referenced_step`.

    Reference: Mukhoti et al. 2023, https://arxiv.org/abs/2308.13320, section 4.
    """

    strength: float

    def __call__(self, model: Any, batch: Batch, key: Any, reference: Any) -> tuple[Array, Metrics]:
        loss, metrics = causal_lm(model, batch, key)
        there_BT = batch["tokens"] > 0
        now, then = (residual_stream(net, batch["tokens"])[1:] for net in (model, reference))
        drift = jnp.where(there_BT[..., None], jnp.square(now - then), 0).sum() / there_BT.sum()
        return loss + self.strength * drift, metrics | {"drift": drift}


@dataclass(frozen=True)
class Lisa:
    """Turns of steps on aligned rows and on the user's, each pulled by strength / 2 · ‖θ - anchor‖² to its start.

    The stage's models are "net" and "anchor", which is what "net" was when the turn began. A batch has the user's rows
    under their plain names, the aligned ones under names that begin with "aligned_". A stage's `step`.

    Args:
      turns: steps on aligned rows, and then on the user's.
      strength: of the pull.
      free: the share of the stage before which nothing is pulled.

    Reference: Huang et al. 2024, https://arxiv.org/abs/2405.18641, algorithm 1.
    """

    turns: tuple[int, int]
    strength: float
    free: float = 0.1

    def __call__(
        self, parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
    ) -> tuple[dict[str, TrainState], Metrics]:
        part, net, held = parts["net"], states["net"], states["anchor"]
        at = net.step % sum(self.turns)
        begins = (at == 0) | (at == self.turns[0])
        anchor = jax.tree.map(lambda new, old: jnp.where(begins, new, old), net.params, held.params)
        aligned = beside(batch, "aligned_")
        rows = {name: jnp.where(at < self.turns[0], own, batch[name]) for name, own in aligned.items()}
        pull = jnp.where(part.progress(net.step) > self.free, self.strength / 2, 0.0)

        def objective(model: Any, rows: Batch, key: Any) -> tuple[Array, Metrics]:
            loss, metrics = part.objective(model, rows, key)
            away = jax.tree.map(lambda p, a: jnp.square(p - a).sum(), parameters(model), anchor)
            return loss + pull * sum(jax.tree.leaves(away)), metrics

        net, metrics = gradient_step(replace(part, objective=objective), net, rows, key)
        return {"net": net, "anchor": replace(held, params=anchor, step=net.step)}, metrics


def with_lisa(stage: Stage, aligned: Any, step: Lisa) -> Stage:
    """A user's stage by turns with aligned rows. Start it from {"net": start, "anchor": start}."""
    stage = _beside(replace(stage, step=step), "net", "anchor")
    return replace(stage, data=prefixed(stage.data, "aligned_", aligned))


def with_drift(stage: Stage, strength: float) -> Stage:
    """A user's stage with LDIFS. Start it from {"policy": start, "reference": start}."""
    return _beside(replace(stage, objective=FeatureDrift(strength), step=referenced_step), "policy", "reference")


def _beside(stage: Stage, own: str, frozen: str) -> Stage:
    fields = {name: {own: getattr(stage, name), frozen: None} for name in ("objective", "optimizer")}
    return replace(stage, model={own: stage.model, frozen: stage.model}, **fields)


def beside(batch: Batch, prefix: str) -> Mapping[str, Any]:
    """The fields of a batch whose names begin with a prefix, without it.

    >>> beside({"tokens": 1, "harmful_tokens": 2}, "harmful_")
    {'tokens': 2}
    """
    return {name.removeprefix(prefix): own for name, own in batch.items() if name.startswith(prefix)}
