"""StyleGAN2's generator: latents to styles, by which the convolutions of every level are modulated.

Its discriminator is `stylegan2_discriminator.py`.

Letters: B batch, Z latent, S style, L styled layers, Y and X rows and columns, R read and W written channels, P pixels.

Reference: Karras et al. 2020, https://arxiv.org/abs/1912.04958; Karras et al. 2019, https://arxiv.org/abs/1812.04948.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.generative.equalised import Width, convolved, equalised, leaky, smoothed, unit_kernel
from stagejax.models.generative.gan import ScaledDense

Key = PRNGKeyArray | Array


@dataclass(frozen=True)
class StyleGenerator:
    """Latents to styles, and styles to images: a constant, then levels with twice as many rows and columns at each.

    Level i has `channels.i`; each adds what it sees of the image to the enlarged image of the level before.

    >>> StyleGenerator(channels=(512, 512, 512, 512, 512, 256, 128)).size
    256
    """

    latent: int = 512
    style: int = 512
    mapping: int = 8  # dense layers from latents to styles
    rate: float = 0.01  # their learning rate, over that of the rest
    start: int = 4  # rows and columns of the first level
    channels: tuple[int, ...] = (512, 512, 512, 512)
    pixels: int = 3  # channels of an image
    mixing: float = 0.9  # share of samples with the styles of two latents

    @property
    def size(self) -> int:
        """Rows and columns of an image."""
        return self.start * 2 ** (len(self.channels) - 1)

    @property
    def layers(self) -> int:
        """Styles of an image: two of each level, of which the next one also modulates what is seen of the image."""
        return 2 * len(self.channels)

    def widths(self) -> list[tuple[Width, Width]]:
        """Name and size of the channels between and behind the two convolutions of every level."""
        return [((f"channels.{i}.inner", size), (f"channels.{i}", size)) for i, size in enumerate(self.channels, 1)]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        mapped = {f"style.{i}": self.style for i in range(1, self.mapping)}
        pixels = {"row": self.start, "column": self.start, "kernel_row": 3, "kernel_column": 3, "pixel": self.pixels}
        inner, behind = zip(*self.widths(), strict=True)
        return {"latent": self.latent, **mapped, "style": self.style, **pixels, **dict(inner), **dict(behind)}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `StyleGeneratorNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(StyleGeneratorNetwork, self, rngs.params())


class Modulated(nnx.Module):
    """A 3 x 3 convolution whose kernel each image has for itself: scaled by its style, then to unit norm.

    With s = style . affine + bias (from 1), the image's kernel is w' = s_r w_r / √(Σ over what is read of (s_r w_r)²).
    Scaling the channels before and behind one kernel is the same. Noise, a bias and the activation follow.

    Reference: Karras et al. 2020, section 2.2, equations 1 and 3.
    """

    def __init__(self, style: Width, reads: Width, writes: Width, *, up: bool = False, rngs: nnx.Rngs) -> None:
        self.up = up
        self.affine = ScaledDense(dict([style]), dict([reads]), bias=1.0, rngs=rngs)
        self.kernel = unit_kernel(reads, writes, 3, rngs)
        self.noise = axes.param(jnp.zeros(()))
        self.bias = axes.param(jnp.zeros(writes[1]), writes=(writes[0],))

    def scales(self, style_BS: Float[Array, "B S"]) -> tuple[Float[Array, "B R"], Float[Array, "B W"]]:
        """By what an image's channels are multiplied before and behind the kernel."""
        before_BR = self.affine(style_BS)
        squares_RW = jnp.square(equalised(self.kernel[...])).sum((0, 1))
        return before_BR, jax.lax.rsqrt(jnp.square(before_BR) @ squares_RW + 1e-8)

    def __call__(
        self, x_BYXR: Float[Array, "B Y X R"], style_BS: Float[Array, "B S"], key: Key | None
    ) -> Float[Array, "B y x W"]:
        before_BR, behind_BW = self.scales(style_BS)
        x, kernel = x_BYXR * before_BR[:, None, None], equalised(self.kernel[...])
        if self.up:  # noqa: SIM108
            y = 4 * smoothed(convolved(x, kernel, (2, 2), up=2), (1, 1))  # three of four pixels are holes
        else:
            y = convolved(x, kernel, (1, 1))
        y = y * behind_BW[:, None, None]
        # Without a key all images have the same noise, always.
        images, key = (1, jax.random.key(0)) if key is None else (len(y), key)
        noise = jax.random.normal(key, (images, *y.shape[1:3], 1), y.dtype)
        return leaky(y + self.noise[...] * noise + self.bias[...])


class Seen(nnx.Module):
    """What a level adds to the image: its channels, modulated by a style, summed to pixels; no unit norm."""

    def __init__(self, style: Width, reads: Width, pixels: int, rngs: nnx.Rngs) -> None:
        self.affine = ScaledDense(dict([style]), dict([reads]), bias=1.0, rngs=rngs)
        self.pixels = ScaledDense(dict([reads]), {"pixel": pixels}, rngs=rngs)

    def __call__(self, x_BYXR: Float[Array, "B Y X R"], style_BS: Float[Array, "B S"]) -> Float[Array, "B Y X P"]:
        return self.pixels(x_BYXR * self.affine(style_BS)[:, None, None])


class StyleGeneratorNetwork(nnx.Module):
    """The module of `StyleGenerator`.

    >>> config = StyleGenerator(latent=4, style=6, mapping=2, channels=(8, 4))
    >>> config.build(nnx.Rngs(0))(jnp.zeros((2, 4))).shape
    (2, 8, 8, 3)
    """

    def __init__(self, config: StyleGenerator, rngs: nnx.Rngs) -> None:
        self.config = c = config
        names = [("latent", c.latent), *((f"style.{i}", c.style) for i in range(1, c.mapping)), ("style", c.style)]
        self.mapping = nnx.List(
            [ScaledDense(dict([a]), dict([b]), rate=c.rate, rngs=rngs) for a, b in itertools.pairwise(names)]
        )
        first, style = c.widths()[0][0], ("style", c.style)
        constant = jax.random.normal(rngs.params(), (c.start, c.start, first[1]))
        self.constant = axes.param(constant, writes=("row", "column", first[0]))
        before, levels, seen = first, [], []
        for inner, behind in c.widths():
            pair = {} if before == first else {"first": Modulated(style, before, inner, up=True, rngs=rngs)}
            levels.append(nnx.Dict(pair | {"second": Modulated(style, inner, behind, rngs=rngs)}))
            seen.append(Seen(style, behind, c.pixels, rngs))
            before = behind
        self.levels, self.seen = nnx.List(levels), nnx.List(seen)
        # The running mean of `objectives.pictures.gan.PathLength`.
        self.path_length = axes.variable(nnx.BatchStat, jnp.zeros(()))

    def mapped(self, z_BZ: Float[Array, "B Z"]) -> Float[Array, "B S"]:
        """The style of each latent."""
        x = z_BZ * jax.lax.rsqrt(jnp.square(z_BZ).mean(-1, keepdims=True) + 1e-8)
        for layer in self.mapping:
            x = leaky(layer(x))
        return x

    def styles(self, key: Key, count: int) -> Float[Array, "B L S"]:
        """Styles of `count` images: of normal latents, in a share `mixing` of images of another one from a layer on.

        Reference: Karras et al. 2019, section 3.1.
        """
        c, (one, share, at) = self.config, jax.random.split(key, 3)
        w_2BS = self.mapped(jax.random.normal(one, (2 * count, c.latent))).reshape(2, count, 1, c.style)
        mixes_B = jax.random.uniform(share, (count,)) < c.mixing
        border_B = jnp.where(mixes_B, jax.random.randint(at, (count,), 1, c.layers), c.layers)
        return jnp.where((jnp.arange(c.layers) < border_B[:, None])[..., None], w_2BS[0], w_2BS[1])

    def synthesised(self, w_BLS: Float[Array, "B L S"], key: Key | None = None) -> Float[Array, "B Y X P"]:
        """Images of styles, with values about 0 to 1; noise from the key, or without one always the same."""
        x = jnp.broadcast_to(self.constant[...], (len(w_BLS), *self.constant[...].shape))
        image, at = None, 0
        for level, seen in zip(self.levels, self.seen, strict=True):
            for name in ("first", "second"):
                if name in level:
                    x = level[name](x, w_BLS[:, at], None if key is None else jax.random.fold_in(key, at))
                    at += 1
            own = seen(x, w_BLS[:, at])
            image = own if image is None else own + smoothed(image, (2, 2), up=2)
        return (image + 1) / 2

    def __call__(self, z_BZ: Float[Array, "B Z"]) -> Float[Array, "B Y X P"]:
        """The image of each latent: one style, and the same noise always."""
        c = self.config
        return self.synthesised(jnp.broadcast_to(self.mapped(z_BZ)[:, None], (len(z_BZ), c.layers, c.style)))

    def sample(self, key: Key, count: int) -> Float[Array, "B Y X P"]:
        """Images of `count` normal latents, mixed, each with noise of its own."""
        styles, noise = jax.random.split(key)
        return self.synthesised(self.styles(styles, count), noise)
