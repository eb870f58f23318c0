"""Adversarial objectives by gradient reversal: features that tell the label, and not the domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.probing import linear_probe, standardised


@jax.custom_vjp
def reverse_gradient(x: Float[Array, "..."], strength: Float[Array, ""] | float) -> Float[Array, "..."]:
    """x, whose gradient is multiplied by -strength on its way back; strength may be traced, and has no gradient.

    Reference: Ganin et al. 2016, https://arxiv.org/abs/1505.07818, equations 16 and 17.

    >>> jax.grad(lambda x: 3 * reverse_gradient(x, 0.5))(jnp.array(1.0))
    Array(-1.5, dtype=float32)
    """
    return x


def _forward(x: Any, strength: Any) -> tuple[Any, Any]:
    return x, strength


def _backward(strength: Any, gradient: Any) -> tuple[Any, Any]:
    return (-strength * gradient).astype(gradient.dtype), jnp.zeros_like(strength)


reverse_gradient.defvjp(_forward, _backward)


def ramp(progress: Float[Array, ""] | float, gamma: float = 10.0) -> Float[Array, ""]:
    """2 / (1 + exp(-gamma p)) - 1: from 0 at first to nearly 1.

    Reference: Ganin et al. 2016, https://arxiv.org/abs/1505.07818, section 5.2.

    >>> float(ramp(0.0)), round(float(ramp(0.1)), 4)
    (0.0, 0.4621)
    """
    return 2 / (1 + jnp.exp(-gamma * jnp.asarray(progress))) - 1


def domain_adversarial(
    model: Any,
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    strength: Float[Array, ""] | float = 1.0,
    inputs: str = "image",
    targets: str = "label",
    others: str = "target_image",
) -> tuple[Float[Array, ""], Metrics]:
    """Cross entropy of the labels of source rows + binary cross entropy of the domain of all rows (source 0, target 1).

    The domain head reads the features through `reverse_gradient`: it minimises its loss with weight 1, while the
    features get -strength times its gradient. With labels (source rows) and domains (n + n' rows) this gives the
    saddle point of L_y - strength L_d by descent.

    Args:
      model: `features(inputs, key)`, and `head(features, name, key)` with the heads "label" and "domain" (one logit).
      batch: source `inputs` (n, ...) and `targets` (n,), and inputs of the target domain `others` (n', ...).
      strength: lambda.

    Reference: Ganin et al. 2016, https://arxiv.org/abs/1505.07818, equation 9.
    """
    source, target = batch[inputs], batch[others]
    features = model.features(jnp.concatenate([source, target]), key)
    loss, metrics = weighted(model.head(features[: len(source)], "label", key), batch[targets])
    logit = model.head(reverse_gradient(features, strength), "domain", key)[:, 0]
    domain = (jnp.arange(len(features)) >= len(source)).astype(logit.dtype)
    losses = jax.nn.softplus(logit) - domain * logit
    # Each domain counts as one, whatever its number of rows.
    domain_loss = losses[: len(source)].mean() + losses[len(source) :].mean()
    right = ((logit > 0) == (domain > 0)).mean()
    own = {"label_loss": loss, "domain_loss": domain_loss, "domain_accuracy": right, "strength": jnp.asarray(strength)}
    total = loss + domain_loss
    return total, {"loss": total, "accuracy": metrics["accuracy"], **own}


def proxy_a_distance(source: Float[np.ndarray, "n d"], target: Float[np.ndarray, "m d"], decay: float = 1e-2) -> float:
    """2 (1 - 2 err) of a linear classifier that tells two domains apart, trained on one half and tested on the other.

    0: the domains look the same; 2: they are told apart without an error.

    Reference: Ben-David et al. 2007; Ganin et al. 2016, https://arxiv.org/abs/1505.07818, section 3.3.

    >>> rng = np.random.default_rng(0)
    >>> here, there = rng.normal(size=(2, 400, 2)).astype(np.float32)
    >>> proxy_a_distance(here, there) < 0.5 < 1.5 < proxy_a_distance(here, there + 5)
    True
    """
    x = [np.concatenate([source[i::2], target[i::2]]) for i in (0, 1)]
    y = [np.repeat([0, 1], [len(source[i::2]), len(target[i::2])]) for i in (0, 1)]
    fit, test = (np.asarray(standardised(part, x[0])) for part in x)
    kernel, bias = linear_probe(fit, y[0], decay, classes=2)
    error = float(((test @ kernel + bias).argmax(-1) != y[1]).mean())
    return 2 * (1 - 2 * error)
