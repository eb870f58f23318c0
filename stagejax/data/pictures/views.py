"""Many random views of one image, each with the place in the image that every patch of it shows.

Coordinates are (row, column) in [0, 1]²: (0, 0) is the upper left corner of the image, (1, 1) the lower right one.

Letters: V views, Y and X rows and columns of pixels, C channels, S side of a view in pixels, T patches of a view.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Views(NamedTuple):
    """Rectangles of an image, in shares of its sides; a mirrored one is read from right to left."""

    top: Float[Array, " V"]
    left: Float[Array, " V"]
    height: Float[Array, " V"]
    width: Float[Array, " V"]
    mirrored: Bool[Array, " V"]


def whole() -> Views:
    """The one view that is the image itself."""
    zero, one = jnp.zeros(1), jnp.ones(1)
    return Views(zero, zero, one, one, jnp.zeros(1, bool))


def random_views(
    key: Array,
    count: int,
    *,
    area: tuple[float, float] = (0.1, 0.5),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    mirror: float = 0.5,
) -> Views:
    """Random resized crops: area uniform, logarithm of width to height uniform, place uniform.

    Args:
      area: share of the image, least and largest; a side that would leave the image is cut to it.
      ratio: width to height, both in shares of the image's sides.
      mirror: probability that a view is mirrored.

    Raises:
      ValueError: bounds that are no shares, or in the wrong order.

    Reference: Szegedy et al. 2015 (the crop); Yang et al. 2024, https://arxiv.org/abs/2401.02957 (its use for views).

    >>> views = random_views(jax.random.key(0), 100)
    >>> bool((views.top + views.height <= 1.0001).all()), bool((views.height * views.width >= 0.0999).all())
    (True, True)
    """
    if not 0 < area[0] <= area[1] <= 1:
        raise ValueError(f"area={area} are no shares of an image: set 0 < least <= largest <= 1")
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"ratio={ratio}: set 0 < least <= largest")
    u = jax.random.uniform(key, (5, count))
    size = area[0] + (area[1] - area[0]) * u[0]
    wide = jnp.exp(jnp.log(ratio[0]) + jnp.log(ratio[1] / ratio[0]) * u[1])
    height, width = (jnp.minimum(jnp.sqrt(x), 1.0) for x in (size / wide, size * wide))
    return Views(u[2] * (1 - height), u[3] * (1 - width), height, width, u[4] < mirror)


def cut(image_YXC: Float[Array, "Y X C"], views: Views, side: int) -> Float[Array, "V S S C"]:
    """What the views show, each resized to `side` x `side` pixels, linearly and smoothed where it shrinks.

    >>> image = jnp.arange(16.0).reshape(4, 4, 1)
    >>> bool((cut(image, whole(), 4)[0] == image).all())
    True
    """
    Y, X, C = image_YXC.shape

    def one(view: Views) -> Array:
        scale = jnp.stack([side / (view.height * Y), side / (view.width * X)])
        shift = -jnp.stack([view.top * Y, view.left * X]) * scale
        seen = jax.image.scale_and_translate(image_YXC, (side, side, C), (0, 1), scale, shift, "linear")
        return jnp.where(view.mirrored, seen[:, ::-1], seen)

    return jax.vmap(one)(views)


def centres(views: Views, grid: int) -> Float[Array, "V T 2"]:
    """Where in the image the middles of the `grid` x `grid` patches of every view lie, row by row.

    >>> centres(whole(), 2)[0].tolist()
    [[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]]
    """
    middle = (jnp.arange(grid) + 0.5) / grid
    down, across = (x.ravel() for x in jnp.meshgrid(middle, middle, indexing="ij"))

    def one(view: Views) -> Array:
        along = jnp.where(view.mirrored, 1 - across, across)
        return jnp.stack([view.top + view.height * down, view.left + view.width * along], -1)

    return jax.vmap(one)(views)
