"""Stages that train kernels by few directions at a time: sparse spectral training, ReLoRA, GaLore.

What happens before a step follows from its number alone, so a stage that was interrupted goes on with the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import optax

from stagejax.axes import is_axes
from stagejax.optimizer import Optimizer
from stagejax.stage import Batch, Metrics, Part, gradient_step
from stagejax.state import TrainState, Tree, split
from stagejax.transforms.lora import restart
from stagejax.transforms.reparameterize import linear_maps
from stagejax.transforms.restarts import forget, marked, scale_by_galore, scale_by_restarted_adam
from stagejax.transforms.spectral import Sampler, multinomial, redecompose, resample, retract


@dataclass(frozen=True)
class RestartedAdam(Optimizer):
    """Adam in which factors that begin anew have an age of their own, and a warm-up of `factor_warmup` steps."""

    factor_warmup: int = 0

    def parts(self, axes: Tree, known: Any) -> list[optax.GradientTransformation]:
        """Adam."""
        return [scale_by_restarted_adam(axes, warmup=self.factor_warmup)]


@dataclass(frozen=True)
class GaLoreAdam(Optimizer):
    """Adam on gradients of kernels projected to `rank` directions, which are renewed every `every` steps."""

    rank: int = 1
    every: int = 200

    def parts(self, axes: Tree, known: Any) -> list[optax.GradientTransformation]:
        """Adam in a subspace."""
        return [scale_by_galore(axes, self.rank, self.every)]


def factor_step(part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
    """`gradient_step`, with the gradient norms of all first and of all second factors as metrics."""

    def gradients(*arguments: Any) -> tuple[Any, Tree]:
        (metrics, rest), found = part.gradients(*arguments)
        return (metrics | factor_norms(part.axes, found), rest), found

    return gradient_step(replace(part, gradients=gradients), state, batch, key)


def factor_norms(axes: Tree, gradients: Tree) -> dict[str, jax.Array]:
    """The norm over all factors that write `active` or `rank` (`first_factor`), and over those that read it."""
    found: dict[str, list[jax.Array]] = {"write": [], "read": []}
    leaves = jax.tree.leaves(gradients, is_leaf=lambda leaf: leaf is None)
    for own, leaf in zip(jax.tree.leaves(axes, is_leaf=is_axes), leaves, strict=True):
        for name, side in zip(own.names, own.sides, strict=True):
            if name in ("active", "rank") and leaf is not None:
                found[side].append(leaf)
    return {"first_factor": optax.tree.norm(found["write"]), "second_factor": optax.tree.norm(found["read"])}


@dataclass(frozen=True)
class SpectralStep:
    """One step of sparse spectral training, of a model stored as `Spectral` and trained by `RestartedAdam`.

    At the beginning of an iteration other directions are drawn, with fresh moments; at the beginning of a round the
    kernels are decomposed anew before that. Then a gradient step, after which directions have length one again.

    Args:
      every: steps of an iteration.
      turns: iterations of a round; None: kernels are never decomposed again.
      sample: draws the directions.

    Reference: Zhao et al. 2024, https://arxiv.org/abs/2405.15481, algorithm 1.
    """

    every: int
    turns: int | None
    sample: Sampler = multinomial

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        form, turn = part.config.form, state.step // self.every

        def decompose(params: Tree, rest: Tree) -> tuple[Tree, Tree]:
            return redecompose(form, params, rest)

        def draw(params: Tree, rest: Tree, opt_state: Tree) -> tuple[Tree, Tree, Tree]:
            if self.turns is not None:
                due = (turn > 0) & (turn % self.turns == 0)
                params, rest = jax.lax.cond(due, decompose, _same, params, rest)
            own = jax.random.fold_in(jax.random.fold_in(key, 1), turn)  # 1: apart from the keys of the steps
            params, rest = resample(form, params, rest, own, turn, self.sample)
            return params, rest, forget(opt_state, trained_marks(part))

        due = state.step % self.every == 0
        params, rest, opt_state = jax.lax.cond(due, draw, _same, state.params, state.rest, state.opt_state)
        state = replace(state, params=params, rest=rest, opt_state=opt_state)
        state, metrics = factor_step(part, state, batch, key)
        return replace(state, params=retract(form, state.params)), metrics


@dataclass(frozen=True)
class ReLoRAStep:
    """One step of LoRA; every `every` steps the product is merged into the frozen kernel and a new one begins.

    Reference: Lialin et al. 2023, https://arxiv.org/abs/2307.05695, algorithm 1.
    """

    every: int

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        def anew(params: Tree, opt_state: Tree) -> tuple[Tree, Tree]:
            own = jax.random.fold_in(jax.random.fold_in(key, 1), state.step)
            return restart(part.config.form, params, own), forget(opt_state, trained_marks(part))

        due = (state.step > 0) & (state.step % self.every == 0)
        params, opt_state = jax.lax.cond(due, anew, _same, state.params, state.opt_state)
        return factor_step(part, replace(state, params=params, opt_state=opt_state), batch, key)


def _same(*trees: Tree) -> tuple[Tree, ...]:
    return trees


def trained_marks(part: Part) -> Tree:
    """True at the trained parameters that are factors, which begin anew; False at the others, None where frozen."""
    trained = jax.tree.map(lambda a, chosen: a if chosen else None, part.axes, part.selection, is_leaf=is_axes)
    return marked(trained)


def at_restarts(train: Mapping[str, Any], every: int, before: int = 3) -> float:
    """The gradient norm of the first factors right after a restart over its mean in the steps before it.

    Averaged over all restarts of a stage's history; NaN without any. A zero is a saddle: the other factor is zero.

    >>> at_restarts({"first_factor": [1.0, 1.0, 2.0, 2.0, 1.0, 3.0]}, every=3, before=2)
    1.3333333333333333
    """
    norms = np.asarray(train.get("first_factor", ()))
    starts = range(every, len(norms), every)
    return float(np.mean([norms[k] / norms[k - before : k].mean() for k in starts])) if starts else math.nan


def memory(part: Part) -> Mapping[str, int]:
    """What training a model by this method keeps: numbers `trained`, those of them `in_kernels`, `bytes` of moments.

    Counted from the shapes of the arrays that the optimizer makes; nothing is allocated.
    """
    trained = jax.eval_shape(lambda params: split(params, part.selection)[0], part.params)
    leaves = jax.tree.leaves(trained, is_leaf=lambda leaf: leaf is None)
    sizes = [0 if leaf is None else math.prod(leaf.shape) for leaf in leaves]
    kernels = [linear_maps("", own) or "spectrum" in own.names for own in jax.tree.leaves(part.axes, is_leaf=is_axes)]
    moments = jax.tree.leaves(jax.eval_shape(part.tx.init, trained))
    return {
        "trained": sum(sizes),
        "in_kernels": sum(size for size, kernel in zip(sizes, kernels, strict=True) if kernel),
        "bytes": sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in moments),
    }
