"""Generator against discriminator: the logistic losses, the penalties R1 and of path lengths, and sums of objectives.

The objectives see the other models of their stage as `others`: "generator", with `sample(key, count)`, and
"discriminator", a function from images (B, ...) to logits (B,), above 0 for real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics

Others = Mapping[str, Any]


def logistic(
    model: Any, batch: Mapping[str, Any], key: Array, *, others: Others, image: str = "image"
) -> tuple[Float[Array, ""], Metrics]:
    """The discriminator's loss: mean of softplus(-D(x)) over real images + mean of softplus(D(G(z))) over as many.

    Reference: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, equation 1.

    Returns:
      The loss, and how often each kind is told right: `real`, `fake`.
    """
    real_B, fake_B = model(batch[image]), model(others["generator"].sample(key, len(batch[image])))
    loss = jax.nn.softplus(-real_B).mean() + jax.nn.softplus(fake_B).mean()
    return loss, {"loss": loss, "real": (real_B > 0).mean(), "fake": (fake_B < 0).mean()}


def non_saturating(
    model: Any, batch: Mapping[str, Any], key: Array, *, others: Others, image: str = "image"
) -> tuple[Float[Array, ""], Metrics]:
    """The generator's loss: mean of softplus(-D(G(z))) = -log σ(D(G(z))) over as many images as the batch has.

    Reference: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3.
    """
    loss = jax.nn.softplus(-others["discriminator"](model.sample(key, len(batch[image])))).mean()
    return loss, {"loss": loss}


def ascent(model: Any, batch: Mapping[str, Any], key: Array, *, others: Others) -> tuple[Float[Array, ""], Metrics]:
    """Minus the loss of `non_saturating`: the generator leaves what the discriminator takes for real. Unbounded."""
    loss, _ = non_saturating(model, batch, key, others=others)
    return -loss, {"loss": -loss}


@dataclass(frozen=True)
class R1:
    """The discriminator's gradient at real images: every · weight / 2 · mean of |∇ₓ D(x)|².

    In a move that is made in every n-th round only, `every=n` keeps its share of the whole (lazy regularisation). A
    discriminator that looks at a batch as a whole is differentiated as the sum of its logits.

    Reference: Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, equation 9; Karras et al. 2020 (StyleGAN2),
    https://arxiv.org/abs/1912.04958, section 3.1.

    >>> import jax.numpy as jnp
    >>> direction = jnp.array([3.0, 4.0])
    >>> round(float(R1(10.0)(lambda x: x @ direction, {"image": jnp.zeros((7, 2))}, None, others={})[0]), 2)
    125.0
    """

    weight: float
    every: int = 1
    image: str = "image"

    def __call__(
        self, model: Any, batch: Mapping[str, Any], key: Array | None, *, others: Others
    ) -> tuple[Float[Array, ""], Metrics]:
        """The penalty; the metric `penalty` is the mean of |∇ₓ D(x)|²."""
        slope = jax.grad(lambda images: model(images).sum())(batch[self.image])
        squared = jnp.square(slope).sum(tuple(range(1, slope.ndim))).mean()
        loss = self.every * self.weight / 2 * squared
        return loss, {"loss": loss, "penalty": squared}


@dataclass(frozen=True)
class PathLength:
    """The generator's: every · weight · mean of (|Jᵀy| - a)², J the derivative of an image by its styles, y normal.

    |Jᵀy|² is summed over a style and averaged over the layers' styles, y has variance 1 / pixels, and a is the mean
    length, followed by the model's variable `path_length`: a <- a + decay (mean of |Jᵀy| - a). Over normal y the square
    is least where J is orthogonal up to a factor: then a step in style space has the same length everywhere.

    The model gives `styles(key, count)` (B, layers, style) and `synthesised(styles, key)` (B, rows, columns, channels).

    Reference: Karras et al. 2020 (StyleGAN2), https://arxiv.org/abs/1912.04958, section 3.2 and appendix B.

    Args:
      every: as of `R1`.
      share: of the batch's number of images; half of it saves memory.

    >>> PathLength(every=4).weight
    2.0
    """

    weight: float = 2.0
    every: int = 1
    decay: float = 0.01
    share: float = 0.5
    image: str = "image"

    def __call__(
        self, model: Any, batch: Mapping[str, Any], key: Array, *, others: Others
    ) -> tuple[Float[Array, ""], Metrics]:
        """The penalty; the metric `path_length` is the mean of |Jᵀy|."""
        drawn, noise, normal = jax.random.split(key, 3)
        styles = model.styles(drawn, max(1, int(self.share * len(batch[self.image]))))
        images, back = jax.vjp(lambda styles: model.synthesised(styles, noise), styles)
        pixels = images.shape[1] * images.shape[2]
        (slope,) = back(jax.random.normal(normal, images.shape, images.dtype) / pixels**0.5)
        lengths_B = jnp.sqrt(jnp.square(slope).sum(-1).mean(-1))
        before = model.path_length[...]
        after = before + self.decay * (lengths_B.mean() - before)
        model.path_length[...] = jax.lax.stop_gradient(after)
        loss = self.every * self.weight * jnp.square(lengths_B - after).mean()
        return loss, {"loss": loss, "path_length": lengths_B.mean()}


@dataclass(frozen=True)
class Sum:
    """The sum of objectives of one model, each with a key of its own."""

    terms: tuple[Any, ...]

    def __call__(
        self, model: Any, batch: Mapping[str, Any], key: Array, *, others: Others
    ) -> tuple[Float[Array, ""], Metrics]:
        """The sum, and the metrics of all terms; where two share a name, the first one's."""
        total, metrics = jnp.zeros(()), {}
        for i, term in enumerate(self.terms):
            loss, found = term(model, batch, jax.random.fold_in(key, i), others=others)
            total, metrics = total + loss, found | metrics
        return total, metrics | {"loss": total}


def lazily(rate: float, b1: float, b2: float, every: int) -> dict[str, float]:
    """Adam's learning rate and decays for a model with a second move in every n-th round.

    With c = n / (n + 1): c · rate, b1^c, b2^c, by which n + 1 moves go as far and remember as long as n had.

    Reference: Karras et al. 2020, https://arxiv.org/abs/1912.04958, appendix B.

    >>> lazily(2e-3, 0.0, 0.99, every=1)["peak"]
    0.001
    """
    c = every / (every + 1)
    return {"peak": c * rate, "b1": b1**c, "b2": b2**c}
