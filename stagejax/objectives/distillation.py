"""Objectives of distillation: a student learns from what teachers say of a batch, not from its labels.

The teachers' logits are part of the batch (`data.Joined` puts cached ones there), or come from a model in the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, cross_entropy, weighted


def soft_targets(
    teachers: tuple[Float[Array, "*batch classes"], ...], temperature: float = 1.0
) -> Float[Array, "*batch classes"]:
    """The mean over teachers of softmax(logits / temperature), in float32.

    >>> soft_targets((jnp.array([0.0, 0.0]), jnp.array([jnp.log(3.0), 0.0])))
    Array([0.625, 0.375], dtype=float32)
    """
    return sum(jax.nn.softmax(z.astype(jnp.float32) / temperature) for z in teachers) / len(teachers)


def soft_cross_entropy(
    logits: Float[Array, "*batch classes"], targets: Float[Array, "*batch classes"]
) -> Float[Array, "*batch"]:
    """-Σ p log softmax(logits), in nats; equal to the cross entropy of labels where p is one-hot.

    >>> soft_cross_entropy(jnp.zeros((1, 4)), jnp.array([[0.5, 0.5, 0.0, 0.0]])).round(4)
    Array([1.3863], dtype=float32)
    """
    return -jnp.sum(targets * jax.nn.log_softmax(logits.astype(jnp.float32)), axis=-1)


def kl_divergence(
    logits: Float[Array, "*batch classes"], targets: Float[Array, "*batch classes"]
) -> Float[Array, "*batch"]:
    """KL(p || softmax(logits)) = Σ p (log p - log softmax(logits)), in nats.

    >>> z = jnp.array([[1.0, 2.0]])
    >>> bool(abs(kl_divergence(z, jax.nn.softmax(z))[0]) < 1e-6)
    True
    """
    return soft_cross_entropy(logits, targets) + jnp.sum(jax.scipy.special.xlogy(targets, targets), axis=-1)


def alpha_divergence(
    logits: Float[Array, "*batch classes"],
    targets: Float[Array, "*batch classes"],
    alpha: float,
    clip: float | None = None,
) -> Float[Array, "*batch"]:
    """D_α(p || q) = Σ q ((p/q)^α - 1) / (α (α - 1)) with q = softmax(logits), and its gradient in q.

    α = 1 is KL(p || q), which asks the student to cover what the teacher does; α < 0 asks it to avoid what the teacher
    does not. (p/q)^α is clipped at `clip` in value and gradient (not for α = 1, where it needs none).

    Args:
      logits: of the student; the gradient flows into them alone.
      targets: probabilities of the teacher.
      alpha: any number but 0.
      clip: the largest (p/q)^α; None: no limit.

    Raises:
      ValueError: alpha is 0.

    Reference: Wang et al. 2021 (AlphaNet), https://arxiv.org/abs/2102.07954, equations 4 to 7.
    """
    if alpha == 0:
        raise ValueError("alpha=0 is no member of this family in use: choose alpha=1 (KL), or a negative one")
    targets, log_q = jax.lax.stop_gradient(targets), jax.nn.log_softmax(logits.astype(jnp.float32))
    if alpha == 1:
        return kl_divergence(logits, targets)
    q = jax.lax.stop_gradient(jnp.exp(log_q))
    log_ratio = jnp.log(jnp.maximum(targets, 1e-12)) - jax.lax.stop_gradient(log_q)
    power = jnp.exp(alpha * log_ratio)
    power = power if clip is None else jnp.minimum(power, clip)
    value = jnp.sum(q * (power - 1), axis=-1) / (alpha * (alpha - 1))
    pulled = -jnp.sum(q * power / alpha * log_q, axis=-1)  # its gradient is that of D_α
    return jax.lax.stop_gradient(value - pulled) + pulled


def adaptive_alpha_divergence(
    logits: Float[Array, "*batch classes"],
    targets: Float[Array, "*batch classes"],
    alphas: tuple[float, float] = (-1.0, 1.0),
    clip: float = 5.0,
) -> Float[Array, "*batch"]:
    """For every example the larger of two α-divergences, so that the student neither over- nor underestimates.

    Reference: Wang et al. 2021 (AlphaNet), https://arxiv.org/abs/2102.07954, equation 8.

    >>> same = jax.nn.softmax(jnp.array([[1.0, 2.0]]))
    >>> bool(abs(adaptive_alpha_divergence(jnp.array([[1.0, 2.0]]), same)[0]) < 1e-6)
    True
    """
    low, high = (alpha_divergence(logits, targets, alpha, clip) for alpha in alphas)
    return jnp.where(low > high, low, high)


def distillation(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    alpha: float = 1.0,
    temperature: float = 1.0,
    teachers: tuple[str, ...] = ("logits",),
    inputs: str = "image",
    targets: str = "label",
    **options: Any,
) -> tuple[Float[Array, ""], Metrics]:
    """(1 - α) CE(labels) + α T² KL(p || softmax(z / T)), p the mean over teachers of softmax(z_t / T).

    Args:
      model: `model(inputs, key=key)` gives logits z (B, classes).
      batch: inputs, integer labels (B,) and each teacher's logits (B, classes), by these names. Where a batch holds no
        teacher (a held-out one) the loss is that of the labels.
      key: draws dropout; None in evaluation.
      alpha: weight of the teachers; with 1 the labels are not used.
      temperature: T.
      options: go to the model.

    Returns:
      The loss, and pairs (sum, number of examples): `loss`, `accuracy` and `cross_entropy`, of the labels.

    Reference: Hinton et al. 2015, https://arxiv.org/abs/1503.02531.

    >>> z = jnp.array([[9.0, 0.0], [9.0, 0.0]])
    >>> batch = {"image": jnp.zeros((2, 4)), "label": jnp.array([0, 1]), "logits": z}
    >>> loss, metrics = distillation(lambda image, key: z, batch, None)
    >>> bool(abs(loss) < 1e-6), float(metrics["accuracy"][0])
    (True, 1.0)
    """
    logits_BC = model(batch[inputs], key=key, **options)
    hard_B, _ = cross_entropy(logits_BC, batch[targets])
    loss_B = hard_B
    if all(name in batch for name in teachers):
        soft_BC = soft_targets(tuple(batch[name] for name in teachers), temperature)
        soft_B = temperature**2 * kl_divergence(logits_BC / temperature, soft_BC)
        loss_B = soft_B if alpha == 1 else (1 - alpha) * hard_B + alpha * soft_B
    count = jnp.float32(loss_B.size)
    right = jnp.sum((logits_BC.argmax(-1) == batch[targets]).astype(jnp.float32))
    metrics = {"loss": (loss_B.sum(), count), "accuracy": (right, count), "cross_entropy": (hard_B.sum(), count)}
    return loss_B.mean(), metrics


def distillation_by_heads(
    model: Callable[..., Array],
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    heads: int,
    temperature: float = 1.0,
    inputs: str = "image",
    targets: str = "label",
) -> tuple[Float[Array, ""], Metrics]:
    """Σ_i KL(softmax(z_i / T) || softmax(h_i / T)): a head h_i for each of n teachers, on one student's features.

    To predict what every teacher says, the student must hold all their features.

    Args:
      model: `model(inputs, key=key)` gives the logits of all heads, (B, n classes).
      batch: inputs, integer labels (B,), and "logits" (B, n, classes) of the teachers. Where a batch holds no teacher
        (a held-out one) the loss is that of the labels under the heads' mean logits, as is the accuracy.
      key: draws dropout; None in evaluation.
      heads: n.
      temperature: T.

    Reference: Zhang and Bottou 2022, https://arxiv.org/abs/2212.07346, section 5.

    >>> z = jnp.arange(12.0).reshape(2, 3, 2)
    >>> batch = {"image": jnp.zeros((2, 4)), "label": jnp.array([1, 1]), "logits": z}
    >>> loss, metrics = distillation_by_heads(lambda image, key: z.reshape(2, 6), batch, None, heads=3)
    >>> bool(abs(loss) < 1e-6), float(metrics["accuracy"][0])
    (True, 2.0)
    """
    logits_BNC = model(batch[inputs], key=key)
    logits_BNC = logits_BNC.reshape(len(logits_BNC), heads, -1)
    loss, metrics = weighted(logits_BNC.mean(1), batch[targets])
    if "logits" in batch:
        taught_BNC = soft_targets((batch["logits"],), temperature)
        loss = kl_divergence(logits_BNC / temperature, taught_BNC).sum(-1).mean()
        metrics["loss"] = (loss * len(logits_BNC), jnp.float32(len(logits_BNC)))
    return loss, metrics
