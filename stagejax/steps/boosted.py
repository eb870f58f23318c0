"""Stages that boost: each step appends hidden units to a network of one hidden layer and leaves the others alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stagejax.objectives.boosting import BoostedLoss
from stagejax.stage import Batch, Metrics, Part
from stagejax.state import TrainState

Tree = Any


@dataclass(frozen=True)
class BoostingStep:
    """Step t of a stage fits a block h of `units` units to the pseudo-residuals and appends it: F <- F + rho h.

    The network (`Shallow`, `empty`) has room for all units from the beginning, so one program serves all steps: block t
    is written to units t J to t J + J, with output weights rho v, and all of it is one plain network at any time. What
    earlier steps wrote stays as it is; the first step also sets the output bias to the best constant.

    Metrics `constant/0`, ... are the output bias behind each step: that of the sum of the blocks so far.

    The block is fitted by least squares, with Adam, on a random share of the batch; rho is shrinkage times one Newton
    step of the true loss on the whole batch. Use batches of all training examples.

    Args:
      loss: of the model.
      units: J, appended in each step.
      share: of the batch that a block is fitted on.
      shrinkage: of rho.
      fit_steps, rate: of Adam, the rate falling to 0.
      decay: λ of λ/2n (|w|² + |v|²) in the fit to n examples.

    Reference: Emami and Martinez-Munoz 2019 (GBNN), https://arxiv.org/abs/1909.12098, section 3 and algorithm 1 (which
    fits blocks by L-BFGS).
    """

    loss: BoostedLoss
    units: int
    share: float = 0.5
    shrinkage: float = 1.0
    fit_steps: int = 200
    rate: float = 0.1
    decay: float = 1e-4

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        keys = jax.random.split(jax.random.fold_in(key, state.step))
        params, x, y = state.params, batch["x"], batch["y"]
        outputs = params["down"]["bias"].shape[0]
        constant = self.loss.scale * self.loss.constant(y, outputs)
        bias = jnp.where(state.step == 0, constant, params["down"]["bias"])
        F = (jax.nn.sigmoid(x @ params["up"]["kernel"] + params["up"]["bias"]) @ params["down"]["kernel"] + bias) / (
            self.loss.scale
        )
        r = self.loss.residuals(F, y)
        chosen = jax.random.permutation(keys[0], len(x))[: max(1, round(self.share * len(x)))]
        block = self.fit(keys[1], x[chosen], r[chosen])
        h = block_output(block, x)
        rho = self.shrinkage * self.loss.rho(F, y, h)
        written, at = self.loss.scale * rho, state.step * self.units
        grown = {
            "up": {
                "kernel": jax.lax.dynamic_update_slice(params["up"]["kernel"], block["w"], (0, at)),
                "bias": jax.lax.dynamic_update_slice(params["up"]["bias"], block["b"], (at,)),
            },
            "down": {
                "kernel": jax.lax.dynamic_update_slice(params["down"]["kernel"], written * block["v"], (at, 0)),
                "bias": bias + written * block["c"],
            },
        }
        misfit = jnp.mean((r[chosen] - h[chosen]) ** 2) / jnp.maximum(jnp.mean(r[chosen] ** 2), 1e-12)
        constants = {f"constant/{k}": c for k, c in enumerate(grown["down"]["bias"])}
        metrics = {"loss": jnp.mean(r**2), "rho": rho, "misfit": misfit} | constants  # loss: mean square of residuals
        return TrainState(state.step + 1, grown, state.rest, state.opt_state, state.ema), metrics

    def fit(self, key: jax.Array, x_BD: jax.Array, r_BK: jax.Array) -> Tree:
        """The block of least squares: hidden weights w, b and output weights v, c."""
        (_, features), outputs, keys = x_BD.shape, r_BK.shape[1], jax.random.split(key)
        block = {
            "w": jax.random.normal(keys[0], (features, self.units)) * features**-0.5,
            "b": jnp.zeros(self.units),
            "v": jax.random.normal(keys[1], (self.units, outputs)) * self.units**-0.5,
            "c": r_BK.mean(0),
        }
        tx = optax.adam(optax.cosine_decay_schedule(self.rate, self.fit_steps))

        def error(block: Tree) -> jax.Array:
            penalty = jnp.sum(block["w"] ** 2) + jnp.sum(block["v"] ** 2)
            return (
                jnp.mean(jnp.sum((block_output(block, x_BD) - r_BK) ** 2, -1)) / 2
                + self.decay / 2 / len(x_BD) * penalty
            )

        def one(carry: Any, _: None) -> tuple[Any, None]:
            block, moments = carry
            updates, moments = tx.update(jax.grad(error)(block), moments, block)
            return (optax.apply_updates(block, updates), moments), None

        return jax.lax.scan(one, (block, tx.init(block)), length=self.fit_steps)[0][0]


def block_output(block: Tree, x_BD: jax.Array) -> jax.Array:
    """h(x) = v . logistic(w . x + b) + c."""
    return jax.nn.sigmoid(x_BD @ block["w"] + block["b"]) @ block["v"] + block["c"]
