"""Mixed images: parts of one pasted onto another, or two blended, as pure functions of a key and a batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def class_mask(key: Array, labels_BYX: Int[Array, "B Y X"], classes: int) -> Bool[Array, "B Y X"]:
    """ClassMix: where the pixels of half of each image's classes are, ⌈n / 2⌉ of the n that it shows; never void.

    Reference: Olsson et al. 2021, https://arxiv.org/abs/2007.07936, section 3.2.

    >>> labels = jnp.array([[[0, 1, 2], [0, 3, -1]]])
    >>> int(class_mask(jax.random.key(0), labels, 5).sum()) in (2, 3)
    True
    """
    shown_BC = (labels_BYX[..., None] == jnp.arange(classes)).any((1, 2))
    drawn_BC = jnp.where(shown_BC, jax.random.uniform(key, shown_BC.shape), jnp.inf)
    rank_BC = drawn_BC.argsort(-1).argsort(-1)
    chosen_BC = shown_BC & (rank_BC < (shown_BC.sum(-1, keepdims=True) + 1) // 2)
    flat = labels_BYX.reshape(len(labels_BYX), -1)
    pasted = jnp.take_along_axis(chosen_BC, jnp.clip(flat, 0, classes - 1), axis=1) & (flat >= 0)
    return pasted.reshape(labels_BYX.shape)


def box_mask(key: Array, shape: tuple[int, int, int], share: float = 0.5) -> Bool[Array, "B Y X"]:
    """CutMix: one box an image at a random place; its sides are √share of the image's.

    Reference: Yun et al. 2019, https://arxiv.org/abs/1905.04899; for segmentation French et al. 2020,
    https://arxiv.org/abs/1906.01916, section 3.4.

    >>> int(box_mask(jax.random.key(0), (1, 8, 8), 0.25).sum())
    16
    """
    inside = []
    for axis, (size, own) in enumerate(zip(shape[1:], jax.random.split(key), strict=True)):
        side = round(share**0.5 * size)
        start = jax.random.randint(own, (shape[0], 1), 0, size - side + 1)
        at = jnp.arange(size)
        inside.append(jnp.expand_dims((at >= start) & (at < start + side), 2 - axis))
    return inside[0] & inside[1]


def paste(mask_BYX: Bool[Array, "B Y X"], one: Array | Float[Array, ""], other: Array | Float[Array, ""]) -> Array:
    """`one` where the mask holds, `other` elsewhere; images, labels or weights.

    >>> paste(jnp.array([[[True, False]]]), jnp.array(1), jnp.array(0)).tolist()
    [[[1, 0]]]
    """
    wide = mask_BYX[..., None] if max(jnp.ndim(one), jnp.ndim(other)) == 4 else mask_BYX
    return jnp.where(wide, one, other)


def colour_jitter(key: Array, images_BYXP: Float[Array, "B Y X P"], strength: float) -> Float[Array, "B Y X P"]:
    """Contrast, brightness and the gain of each channel, each times 1 + u, u uniform in ±strength for each image.

    >>> colour_jitter(jax.random.key(0), jnp.full((2, 1, 1, 3), 0.5), 0.0).ravel()
    Array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], dtype=float32)
    """
    B, _, _, P = images_BYXP.shape
    factors = 1 + jax.random.uniform(key, (B, 1, 1, P + 2), minval=-strength, maxval=strength)
    mean = images_BYXP.mean((1, 2, 3), keepdims=True)
    contrasted = mean + (images_BYXP - mean) * factors[..., :1]
    return jnp.clip(contrasted * factors[..., 1:2] * factors[..., 2:], 0, 1)


def mixed(
    key: Array, images_BYXP: Float[Array, "B Y X P"], *, blend: float = 0.8, box: float = 1.0
) -> tuple[Float[Array, "B Y X P"], Float[Array, ""]]:
    """The images mixed with those of the batch in reverse order, and the share λ of each image's own.

    One coin and one λ for the whole batch: either λ x + (1 - λ) x' with λ from Beta(blend, blend) (mixup), or x' in a
    box at a random place, cut off at the borders, with sides √(1 - λ) of the image's and λ from Beta(box, box)
    (CutMix), where λ becomes the share of x that is left.

    References: Zhang et al. 2017, https://arxiv.org/abs/1710.09412; Yun et al. 2019, https://arxiv.org/abs/1905.04899;
    both by turns, Touvron et al. 2020, https://arxiv.org/abs/2012.12877.

    >>> images = jnp.stack([jnp.zeros((4, 4, 1)), jnp.ones((4, 4, 1))])
    >>> made, own = mixed(jax.random.key(0), images)
    >>> bool(jnp.allclose(made.mean((1, 2, 3)), jnp.array([1 - own, own]), atol=1e-5))
    True
    """
    coin, share, place = jax.random.split(key, 3)
    Y, X = images_BYXP.shape[1:3]
    other_BYXP = images_BYXP[::-1]
    share_blend, share_box = (
        jax.random.beta(own, alpha, alpha) for own, alpha in zip(jax.random.split(share), (blend, box), strict=True)
    )
    pasted_YX = _box(place, (Y, X), jnp.sqrt(1 - share_box) * jnp.array([Y, X]))
    boxed = jnp.where(pasted_YX[..., None], other_BYXP, images_BYXP)
    blended = share_blend * images_BYXP + (1 - share_blend) * other_BYXP
    first = jax.random.bernoulli(coin)
    made = jnp.where(first, blended, boxed).astype(images_BYXP.dtype)
    return made, jnp.where(first, share_blend, 1 - pasted_YX.mean())


def erased(key: Array, images_BYXP: Float[Array, "B Y X P"], *, probability: float = 0.25) -> Float[Array, "B Y X P"]:
    """A box of each image is standard normal noise, with a probability; for images that are normalised.

    Its area is uniform from 2 % to a third of the image's, the logarithm of its height to width uniform from 0.3 to
    1 / 0.3, its middle anywhere; what lies beyond the border is cut off.

    Reference: Zhong et al. 2017, https://arxiv.org/abs/1708.04896.

    >>> erased(jax.random.key(0), jnp.zeros((2, 8, 8, 1)), probability=0.0).max()
    Array(0., dtype=float32)
    """
    B, Y, X, _ = images_BYXP.shape
    chosen, size, place, noise = jax.random.split(key, 4)
    area_B, shape_B = jax.random.uniform(size, (2, B))
    area_B, shape_B = (0.02 + (1 / 3 - 0.02) * area_B) * Y * X, jnp.exp((2 * shape_B - 1) * jnp.log(0.3))
    sides_B2 = jnp.stack([jnp.sqrt(area_B * shape_B), jnp.sqrt(area_B / shape_B)], axis=-1)
    inside_BYX = jax.vmap(lambda own, sides: _box(own, (Y, X), sides))(jax.random.split(place, B), sides_B2)
    inside_BYX &= jax.random.bernoulli(chosen, probability, (B, 1, 1))
    return jnp.where(inside_BYX[..., None], jax.random.normal(noise, images_BYXP.shape, images_BYXP.dtype), images_BYXP)


def _box(key: Array, size: tuple[int, int], sides: Float[Array, " sides"]) -> Bool[Array, "Y X"]:
    """Where a box of given sides lies whose middle is drawn from all pixels."""
    inside = []
    for side, all_of, own in zip(sides, size, jax.random.split(key), strict=True):
        low = jax.random.randint(own, (), 0, all_of) - jnp.round(side).astype(int) // 2
        at = jnp.arange(all_of)
        inside.append((at >= low) & (at < low + jnp.round(side).astype(int)))
    return inside[0][:, None] & inside[1]
