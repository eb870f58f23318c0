"""Small classifiers on frozen features: all steps of many of them are one compiled program.

Letters: S classifiers side by side, N items, D features, M hidden units, C classes, T steps, B examples of a step,
P passes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from stagejax.models.block import dropout
from stagejax.objectives.loss import cross_entropy

#: Parameters of S classifiers, each leaf with an axis of these in front.
Heads = dict[str, Array]


@dataclass(frozen=True)
class Probe:
    """`down gelu(up x)`, trained by AdamW at a constant rate on the mean of weight times cross entropy.

    Args:
      dropout: probabilities; of the features and of the hidden units. They are drawn in training, and in `passes`.
    """

    features: int
    mlp: int
    classes: int
    steps: int = 100
    batch: int = 32
    peak: float = 1e-3
    dropout: tuple[float, float] = (0.0, 0.0)

    @property
    def flops(self) -> float:
        """The matmul FLOPs of one item's answer; a training step takes three times as many of each example."""
        return 2.0 * self.mlp * (self.features + self.classes)

    def fresh(self, keys_S: Array) -> Heads:
        """Initial parameters, one set for each key."""
        return _programs(self)[0](keys_S)

    def fit(self, heads: Heads, keys_S: Array, features_ND: Any, examples: dict[str, np.ndarray]) -> Heads:
        """The classifiers after T steps from fresh moments.

        Args:
          keys_S: draw dropout.
          features_ND: of all items, shared.
          examples: "rows", "label" and "weights", each (S, T, B): which items are in each step's batch.
        """
        return _programs(self)[1](heads, keys_S, features_ND, examples)

    def answers(self, heads: Heads, features_ND: Any) -> Float[np.ndarray, "S N C"]:
        """Probabilities, without dropout."""
        return np.asarray(_programs(self)[2](heads, features_ND))

    def passes(self, heads: Heads, keys_S: Array, features_ND: Any, count: int) -> Float[np.ndarray, "S P N C"]:
        """Probabilities in `count` passes with dropout."""
        keys_SP = jax.vmap(lambda key: jax.random.split(key, count))(keys_S)
        return np.asarray(_programs(self)[3](heads, keys_SP, features_ND))


@functools.cache
def _programs(probe: Probe) -> tuple[Any, ...]:
    """Fresh parameters, training, answers, and passes with dropout; one program each for a configuration."""
    c, tx = probe, optax.adamw(probe.peak)

    def fresh(key: Array) -> Heads:
        up, down = jax.random.split(key)
        return {
            "up": jax.random.normal(up, (c.features, c.mlp)) * c.features**-0.5,
            "up_bias": jnp.zeros(c.mlp),
            "down": jax.random.normal(down, (c.mlp, c.classes)) * c.mlp**-0.5,
            "down_bias": jnp.zeros(c.classes),
        }

    def logits(head: Heads, x: Array, key: Array | None) -> Array:
        first, second = (None, None) if key is None else jax.random.split(key)
        hidden = jax.nn.gelu(dropout(x, c.dropout[0], first) @ head["up"] + head["up_bias"])
        return dropout(hidden, c.dropout[1], second) @ head["down"] + head["down_bias"]

    def fit(head: Heads, key: Array, features_ND: Array, examples: dict[str, Array]) -> Heads:
        def step(carry: Any, own: Any) -> tuple[Any, None]:
            head, moments = carry
            number, batch = own
            random = jax.random.fold_in(key, number) if any(c.dropout) else None

            def loss(head: Heads) -> Array:
                losses, _ = cross_entropy(logits(head, features_ND[batch["rows"]], random), batch["label"])
                return (batch["weights"] * losses).mean()

            updates, moments = tx.update(jax.grad(loss)(head), moments, head)
            return (optax.apply_updates(head, updates), moments), None

        return jax.lax.scan(step, (head, tx.init(head)), (jnp.arange(c.steps), examples))[0][0]

    def answers(head: Heads, features_ND: Array, key: Array | None = None) -> Array:
        return jax.nn.softmax(logits(head, features_ND, key))

    passes = jax.vmap(lambda head, keys, x: jax.vmap(lambda key: answers(head, x, key))(keys), in_axes=(0, 0, None))
    return (
        jax.jit(jax.vmap(fresh)),
        jax.jit(jax.vmap(fit, in_axes=(0, 0, None, 0))),
        jax.jit(jax.vmap(answers, in_axes=(0, None))),
        jax.jit(passes),
    )
