"""Online merging: every update of an optimizer is merged with what fine-tuning had changed before.

An offline stage of alignment starts from a fine-tuned model theta_r, which itself started from theta_b. Merging the two
after training is one way not to lose what theta_r could do; here it happens at every step, inside the optimizer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stagejax.optimizer import adam
from stagejax.schedule import Schedule
from stagejax.stage import Batch, Metrics, Part, gradient_step
from stagejax.state import TrainState, Tree, split


def online_dare(ratio: float, kept: float) -> optax.GradientTransformationExtraArgs:
    """OnDARE: d <- (1 - a) M_p(d) + a M_p(tau), where M_p keeps each entry with probability p, without rescaling.

    It stands last in a chain: d is the step that the optimizer proposes, learning rate and sign included. Its `update`
    takes two arguments more: `delta`, the tree tau = theta_r - theta_b, and `key`, of the masks, which are drawn anew
    for every leaf of d and of tau. With p = 1 and a = 0 it changes nothing.

    Args:
      ratio: a, how much of tau is added at each step; from 1e-7 to 1e-4 in the paper, over thousands of steps.
      kept: p.

    Raises:
      ValueError: a is not between 0 and 1, or p is not above 0 and at most 1.

    Reference: Lu et al. 2024, https://arxiv.org/abs/2405.17931, equation 3 and section 4.

    >>> tx = optax.chain(optax.sgd(1.0), online_dare(ratio=0.25, kept=1.0))
    >>> state, tau = tx.init(jnp.zeros(2)), jnp.array([4.0, 0.0])
    >>> tx.update(jnp.array([0.0, 2.0]), state, delta=tau, key=jax.random.key(0))[0].tolist()
    [1.0, -1.5]
    """
    if not 0 <= ratio <= 1 or not 0 < kept <= 1:
        raise ValueError(f"ratio={ratio}, kept={kept}: need 0 <= ratio <= 1 and 0 < kept <= 1")

    def masked(tree: Tree, key: jax.Array) -> Tree:
        if kept == 1:
            return tree
        leaves, form = jax.tree.flatten(tree)
        keys = jax.random.split(key, max(len(leaves), 1))
        kept_leaves = [
            jnp.where(jax.random.bernoulli(k, kept, x.shape), x, 0) for k, x in zip(keys, leaves, strict=True)
        ]
        return jax.tree.unflatten(form, kept_leaves)

    def update(updates: Tree, state: Any, params: Tree = None, *, delta: Tree, key: jax.Array) -> tuple[Tree, Any]:
        first, second = jax.random.split(key)
        proposed = masked(updates, first)
        if not ratio:
            return proposed, state
        pulled = masked(delta, second)
        return jax.tree.map(lambda d, t: (1 - ratio) * d + ratio * t.astype(d.dtype), proposed, pulled), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


@dataclass(frozen=True)
class merging_adam(adam):
    """Adam, of which every update is merged by `online_dare`; for stages whose step is `merging_step`.

    >>> merging_adam(1e-4, ratio=1e-3).kept
    0.5
    """

    ratio: float = 1e-4
    kept: float = 0.5

    def chain(self, schedule: Schedule, axes: Tree) -> optax.GradientTransformation:
        """Adam's chain, and the merging behind its learning rate."""
        return optax.chain(super().chain(schedule, axes), online_dare(self.ratio, self.kept))


def merging_step(
    parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
) -> tuple[dict[str, TrainState], Metrics]:
    """`gradient_step` of the model "policy" by `merging_adam`, towards "tuned" less "base", which are frozen.

    >>> # models = {"policy": net, "tuned": net, "base": net}
    >>> # stage = Stage("dpo", models, {"policy": Preference(0.1), "tuned": None, "base": None},
    >>> #               {"policy": merging_adam(1e-4), "tuned": None, "base": None}, pairs, 60, merging_step)
    >>> # run.train(stage, {"policy": sft, "tuned": sft, "base": base})
    """
    own, at = parts["policy"], states["policy"].step
    delta = jax.tree.map(jnp.subtract, states["tuned"].params, states["base"].params)
    extra = {"delta": split(delta, own.selection)[0], "key": jax.random.fold_in(jax.random.fold_in(key, at), 1)}

    def update(updates: Tree, state: Any, params: Tree = None) -> tuple[Tree, Any]:
        return own.tx.update(updates, state, params, **extra)  # type: ignore[call-arg]

    merged = replace(own, tx=optax.GradientTransformation(own.tx.init, update))
    policy, metrics = gradient_step(merged, states["policy"], batch, key)
    frozen = {name: replace(states[name], step=policy.step) for name in states if name != "policy"}
    return {name: policy if name == "policy" else frozen[name] for name in states}, metrics


__all__ = ["merging_adam", "merging_step", "online_dare"]
