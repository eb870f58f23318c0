"""Learning in context: predict each label of a sequence from the examples before it and its own input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, UInt32

from stagejax.objectives.loss import Metrics, cross_entropy

Batch = Mapping[str, Any]


def projected(images_BND: Float[Array, "B N D"], tasks_B2: UInt32[Array, "B 2"]) -> Float[Array, "B N D"]:
    """`A x` for every image of a sequence, with a matrix A of the sequence's task, A_ij ~ N(0, 1 / D).

    A is drawn from the task's key where it is needed, and never stored.

    >>> import jax.numpy as jnp
    >>> twice = projected(jnp.ones((2, 1, 64)), jnp.array([[0, 1], [0, 1]], jnp.uint32))
    >>> bool((twice[0] == twice[1]).all()), bool(abs(twice.var() - 1) < 0.5)
    (True, True)
    """

    def one(words_2: Array, images_ND: Array) -> Array:
        D = images_ND.shape[-1]
        key = jax.random.wrap_key_data(words_2, impl="threefry2x32")
        return images_ND @ (jax.random.normal(key, (D, D), images_ND.dtype) / D**0.5).T

    return jax.vmap(one)(tasks_B2, images_BND)


def positions(
    model: Callable[..., Array], batch: Batch, key: Any = None
) -> tuple[Float[Array, "B N"], Float[Array, "B N"]]:
    """The loss in nats at every position of every sequence, and whether the likeliest label is right (1 or 0).

    Args:
      model: `model(inputs (B, N, D), labels (B, N), key=key)` gives logits (B, N, classes); those at position j may
        depend on inputs up to j and on labels before j.
      batch: `image` (B, N, D), `label` (B, N) and `task` (B, 2), as of
        `data.pictures.random_tasks.RandomTasks`.
    """
    labels_BN: Int[Array, "B N"] = batch["label"]
    logits_BNC = model(projected(batch["image"], batch["task"]), labels_BN, key=key)
    losses_BN, _ = cross_entropy(logits_BNC, labels_BN)
    return losses_BN, (logits_BNC.argmax(-1) == labels_BN).astype(losses_BN.dtype)


def in_context(model: Callable[..., Array], batch: Batch, key: Any) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy over all positions 1..N of `positions`.

    Returns:
      The loss, and pairs (sum, count): `loss` of all positions, `first` and `accuracy` of the first and last one. The
      difference of the latter two is the in-context improvement.

    Reference: Kirsch et al. 2022, https://arxiv.org/abs/2212.04458, equation 2.

    >>> import jax.numpy as jnp
    >>> batch = {"image": jnp.ones((2, 3, 4)), "label": jnp.zeros((2, 3), int), "task": jnp.zeros((2, 2), jnp.uint32)}
    >>> loss, metrics = in_context(lambda x, y, key: jnp.zeros((2, 3, 5)), batch, None)
    >>> bool(abs(loss - jnp.log(5)) < 1e-6), float(metrics["accuracy"][1])
    (True, 2.0)
    """
    losses_BN, right_BN = positions(model, batch, key)
    count = float(len(losses_BN))
    metrics: Metrics = {
        "loss": (losses_BN.sum(), float(losses_BN.size)),
        "first": (right_BN[:, 0].sum(), count),
        "accuracy": (right_BN[:, -1].sum(), count),
    }
    return losses_BN.mean(), metrics


def logits_after_descent(
    model: nnx.Module, batch: Batch, *, support: int, steps: int, rate: float
) -> Float[Array, "B queries classes"]:
    """Logits of the examples behind the first `support` after gradient descent on these, sequence by sequence.

    theta_0 = the model's parameters,  theta_{t + 1} = theta_t - rate · grad (mean cross entropy of the first examples).

    Args:
      model: `model(inputs (n, D))` gives logits (n, classes).
      batch: as of `positions`.
      support: examples that are learned from; the others are queries.
      steps, rate: of the descent.
    """
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def logits_of(params: Any, inputs_nD: Array) -> Array:
        return nnx.merge(graphdef, params, rest)(inputs_nD)

    def loss(params: Any, inputs_nD: Array, labels_n: Array) -> Array:
        return cross_entropy(logits_of(params, inputs_nD), labels_n)[0].mean()

    def one(inputs_ND: Array, labels_N: Array) -> Array:
        def step(params: Any, _: None) -> tuple[Any, None]:
            slope = jax.grad(loss)(params, inputs_ND[:support], labels_N[:support])
            return jax.tree.map(lambda p, g: p - rate * g, params, slope), None

        return logits_of(jax.lax.scan(step, params, None, length=steps)[0], inputs_ND[support:])

    return jax.vmap(one)(projected(batch["image"], batch["task"]), jnp.asarray(batch["label"]))


def after_descent(
    model: nnx.Module, batch: Batch, key: Any, *, support: int, steps: int, rate: float
) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the queries of `logits_after_descent`, to be trained through the descent: MAML.

    Returns:
      The loss, and the pairs `loss` of all queries and `accuracy` of the last one.

    Reference: Finn, Abbeel and Levine 2017, https://arxiv.org/abs/1703.03400.

    >>> from stagejax.models.shallow import Shallow
    >>> batch = {"image": jnp.ones((2, 3, 4)), "label": jnp.zeros((2, 3), int), "task": jnp.zeros((2, 2), jnp.uint32)}
    >>> model = Shallow(features=4, mlp=6, outputs=5).build(nnx.Rngs(0))
    >>> bool(after_descent(model, batch, None, support=2, steps=9, rate=1.0)[0] < jnp.log(5) / 2)
    True
    """
    asked_BQ = jnp.asarray(batch["label"])[:, support:]
    logits_BQC = logits_after_descent(model, batch, support=support, steps=steps, rate=rate)
    losses_BQ, _ = cross_entropy(logits_BQC, asked_BQ)
    right_B = (logits_BQC[:, -1].argmax(-1) == asked_BQ[:, -1]).astype(losses_BQ.dtype)
    metrics: Metrics = {
        "loss": (losses_BQ.sum(), float(losses_BQ.size)),
        "accuracy": (right_B.sum(), float(len(right_B))),
    }
    return losses_BQ.mean(), metrics
