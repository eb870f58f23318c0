"""What frozen features are worth: linear probes, and few-shot classification by cosine."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagejax.objectives.tasks.invariance import risks, vrex


def standardised(
    features: Float[Array, "n d"] | np.ndarray, like: Float[Array, "m d"] | np.ndarray
) -> Float[Array, "n d"]:
    """Every coordinate minus its mean over `like` and divided by its standard deviation there.

    >>> standardised(jnp.array([[3.0]]), jnp.array([[0.0], [2.0]])).round(3)
    Array([[2.]], dtype=float32)
    """
    return (jnp.asarray(features) - jnp.mean(like, 0)) / (jnp.std(like, 0) + 1e-6)


def probe_accuracy(
    parts: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    decays: Sequence[float],
    *,
    classes: int,
    environments: np.ndarray | None = None,
    invariance: float = 0.0,
) -> float:
    """The test accuracy of a softmax classifier on frozen features.

    Features are standardised on the training examples, and the weight decay is the one of `decays` that is best on the
    validation examples.

    Args:
      parts: the features (examples, features) of training, validation and test examples.
      labels: of the three.
      environments, invariance: see `linear_probe`.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(60, 2)).astype(np.float32), np.arange(60) % 2
    >>> told, not_told = (probe_accuracy([z] * 3, [y] * 3, (0.1,), classes=2) for z in (x + 4 * y[:, None], x))
    >>> told > 0.9 > not_told
    True
    """
    fit, validate, test = (np.asarray(standardised(part, parts[0])) for part in parts)
    how = {"classes": classes, "environments_B": environments, "invariance": invariance}
    heads = [linear_probe(fit, labels[0], decay, **how) for decay in decays]
    chosen = max(heads, key=lambda head: _accuracy(head, validate, labels[1]))
    return _accuracy(chosen, test, labels[2])


def linear_probe(
    features_BD: np.ndarray,
    labels_B: np.ndarray,
    decay: float,
    *,
    classes: int,
    environments_B: np.ndarray | None = None,
    invariance: float = 0.0,
    iterations: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (D, classes) and bias of a softmax classifier, by L-BFGS from zero.

    Minimises the mean cross entropy + decay/2 |kernel|²; over several environments, the mean of their risks +
    `invariance` * their variance (vREx) + decay/2 |kernel|².
    """
    from scipy.optimize import minimize

    groups_B = np.zeros(len(labels_B), np.int32) if environments_B is None else environments_B.astype(np.int32)
    width = features_BD.shape[1]
    padded_BD = np.pad(features_BD, ((0, 0), (0, -width % 64)))  # so that few programs are compiled
    x, y, number = jnp.asarray(padded_BD), jnp.asarray(labels_B, jnp.int32), int(groups_B.max()) + 1
    shape = (padded_BD.shape[1] + 1, classes)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        head = jnp.asarray(flat.reshape(shape), jnp.float32)
        value, grad = _probe_loss(head, x, y, groups_B, jnp.float32(decay), jnp.float32(invariance), number)
        return float(value), np.asarray(grad, np.float64).ravel()

    options = {"maxiter": iterations, "ftol": 1e-7}
    found = minimize(objective, np.zeros(np.prod(shape)), jac=True, method="L-BFGS-B", options=options)
    head = found.x.reshape(shape)
    return head[:width], head[-1]


@functools.partial(jax.jit, static_argnums=6)
def _probe_loss(
    head: Array, x: Array, y: Array, groups: Array, decay: Array, invariance: Array, environments: int
) -> tuple[Array, Array]:
    """Loss and gradient; the last row of `head` is the bias."""

    def loss(head: Array) -> Array:
        kernel, logits = head[:-1], x @ head[:-1] + head[-1]
        return vrex(risks(logits, y, groups, environments), invariance) + decay / 2 * jnp.sum(kernel**2)

    return jax.value_and_grad(loss)(head)


def _accuracy(head: tuple[np.ndarray, np.ndarray], features_BD: np.ndarray, labels_B: np.ndarray) -> float:
    return float(((features_BD @ head[0] + head[1]).argmax(-1) == labels_B).mean())


def few_shot_accuracy(
    features_ND: np.ndarray, labels_N: np.ndarray, *, ways: int, shots: int, queries: int, episodes: int, seed: int
) -> float:
    """The mean accuracy over episodes of the cosine classifier whose class weights are the mean support direction.

    An episode draws `ways` classes, and of each `shots` support and `queries` query examples.

    Raises:
      ValueError: a class has fewer examples than an episode draws.

    >>> features = np.repeat(np.eye(3), 4, axis=0)
    >>> few_shot_accuracy(features, np.repeat(np.arange(3), 4), ways=2, shots=1, queries=2, episodes=5, seed=0)
    1.0
    """
    unit = features_ND / np.maximum(np.linalg.norm(features_ND, axis=1, keepdims=True), 1e-9)
    members = [np.flatnonzero(labels_N == label) for label in np.unique(labels_N)]
    if min(map(len, members)) < shots + queries:
        raise ValueError(f"a class has {min(map(len, members))} examples: fewer than shots + queries={shots + queries}")
    rng, right = np.random.default_rng(seed), []
    for _ in range(episodes):
        chosen = rng.choice(len(members), ways, replace=False)
        drawn = np.stack([rng.choice(members[c], shots + queries, replace=False) for c in chosen])
        weights = unit[drawn[:, :shots]].mean(1)
        weights /= np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-9)
        said = (unit[drawn[:, shots:]] @ weights.T).argmax(-1)
        right.append((said == np.arange(ways)[:, None]).mean())
    return float(np.mean(right))
