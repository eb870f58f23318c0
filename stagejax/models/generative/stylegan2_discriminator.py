"""StyleGAN2's discriminator: residual blocks that halve rows and columns, and how much images of a group differ.

Letters: B batch, Y and X rows and columns, R read and W written channels, P pixels.

Reference: Karras et al. 2020, https://arxiv.org/abs/1912.04958, section 4.1 and appendix B.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.generative.equalised import Width, convolved, equalised, leaky, smoothed, unit_kernel
from stagejax.models.generative.gan import ScaledDense


@dataclass(frozen=True)
class StyleDiscriminator:
    """Images to one logit, above 0 for real ones: residual blocks that halve rows and columns, then a hidden layer.

    Before the last convolution there is one more channel: how much images of a group of the batch differ.

    Args:
      channels: behind the pixels and behind each block.
      group: images; the largest number up to it that divides the batch counts.

    Raises:
      ValueError: rows and columns cannot be halved so often.

    >>> StyleDiscriminator(size=16, channels=(8, 16, 16)).last
    4
    """

    size: int = 32  # rows and columns of an image
    channels: tuple[int, ...] = (512, 512, 512, 512)
    pixels: int = 3  # channels of an image
    group: int = 4

    def __post_init__(self) -> None:
        halvings = len(self.channels) - 1
        if self.size % 2**halvings:
            raise ValueError(f"size={self.size} cannot be halved {halvings} times, for channels={self.channels}")

    @property
    def last(self) -> int:
        """Rows and columns behind the blocks."""
        return self.size // 2 ** (len(self.channels) - 1)

    def widths(self) -> list[Width]:
        """Name and size of the channels behind the pixels and behind each block."""
        return [(f"channels.{i}", size) for i, size in enumerate(self.channels, 1)]

    def ends(self) -> tuple[Width, Width, Width]:
        """The same of the channels that the last convolution reads and writes, and of the hidden layer."""
        size = self.channels[-1]
        return ("channels.varied", size + 1), ("channels.last", size), ("hidden", size)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        pixels = {"row": self.last, "column": self.last, "pixel": self.pixels, "score": 1}
        kernels = {"kernel_row": 3, "kernel_column": 3}
        inner = {f"channels.{i}.inner": size for i, size in enumerate(self.channels[:-1], 1)}
        return {**pixels, **kernels, **dict(self.widths()), **inner, **dict(self.ends())}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `StyleDiscriminatorNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(StyleDiscriminatorNetwork, self, rngs.params())


class ScaledKernel(nnx.Module):
    """A k x k convolution with a unit kernel, over k √(read channels) in use; where `down`, to half the pixels."""

    def __init__(
        self, reads: Width, writes: Width, *, size: int, down: bool = False, bias: bool = True, rngs: nnx.Rngs
    ) -> None:
        self.down = down
        self.kernel = unit_kernel(reads, writes, size, rngs)
        self.bias = axes.param(jnp.zeros(writes[1]), writes=(writes[0],)) if bias else None

    def __call__(self, x_BYXR: Float[Array, "B Y X R"]) -> Float[Array, "B y x W"]:
        kernel = equalised(self.kernel[...])
        size = len(kernel)
        if self.down:
            y = convolved(smoothed(x_BYXR, ((size + 2) // 2, (size + 1) // 2)), kernel, (0, 0), down=2)
        else:
            y = convolved(x_BYXR, kernel, (size // 2, size // 2))
        return y if self.bias is None else y + self.bias[...]


class StyleDiscriminatorNetwork(nnx.Module):
    """The module of `StyleDiscriminator`.

    >>> StyleDiscriminator(size=8, channels=(4, 6)).build(nnx.Rngs(0))(jnp.zeros((2, 8, 8, 3))).shape
    (2,)
    """

    def __init__(self, config: StyleDiscriminator, rngs: nnx.Rngs) -> None:
        self.config = c = config
        widths, (varied, last, hidden) = c.widths(), c.ends()
        self.first = ScaledKernel(("pixel", c.pixels), widths[0], size=1, rngs=rngs)
        self.blocks = nnx.List([Residual(a, (f"{a[0]}.inner", a[1]), b, rngs) for a, b in itertools.pairwise(widths)])
        self.last = ScaledKernel(varied, last, size=3, rngs=rngs)
        self.hidden = ScaledDense({"row": c.last, "column": c.last} | dict([last]), dict([hidden]), rngs=rngs)
        self.score = ScaledDense(dict([hidden]), {"score": 1}, rngs=rngs)

    def __call__(self, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, " B"]:
        """Logits."""
        x = leaky(self.first(2 * images_BYXP - 1))
        for block in self.blocks:
            x = block(x)
        x = jnp.concatenate([x, variety(x, self.config.group)], axis=-1)
        return self.score(leaky(self.hidden(leaky(self.last(x)))))[:, 0]


class Residual(nnx.Module):
    """Two convolutions, the second one to half of the rows and columns, and a linear way beside them; over √2."""

    def __init__(self, reads: Width, inner: Width, writes: Width, rngs: nnx.Rngs) -> None:
        self.first = ScaledKernel(reads, inner, size=3, rngs=rngs)
        self.second = ScaledKernel(inner, writes, size=3, down=True, rngs=rngs)
        self.beside = ScaledKernel(reads, writes, size=1, down=True, bias=False, rngs=rngs)

    def __call__(self, x: Float[Array, "B Y X R"]) -> Float[Array, "B y x W"]:
        return (leaky(self.second(leaky(self.first(x)))) + self.beside(x)) / 2**0.5


def variety(x_BYXC: Float[Array, "B Y X C"], group: int) -> Float[Array, "B Y X 1"]:
    """The standard deviation of each feature over a group of images, in the mean over features, at every place.

    A group has as many images as divide the batch, at most `group`; image i belongs to that of i modulo their number.

    Reference: Karras et al. 2018, https://arxiv.org/abs/1710.10196, section 3.

    >>> variety(jnp.array([0.0, 5.0, 2.0, 5.0]).reshape(4, 1, 1, 1), group=2).ravel().round(3).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    B, Y, X, C = x_BYXC.shape
    members = max(n for n in range(1, group + 1) if B % n == 0)
    # Beneath the root, so that its gradient is finite where a feature is the same in all images.
    deviation = jnp.sqrt(x_BYXC.reshape(members, B // members, Y, X, C).var(0) + 1e-8).mean((1, 2, 3))
    return jnp.broadcast_to(jnp.tile(deviation, members)[:, None, None, None], (B, Y, X, 1))
