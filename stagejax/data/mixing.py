"""Mixed images: parts of one image pasted onto another, as pure functions of a key and a batch."""

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
