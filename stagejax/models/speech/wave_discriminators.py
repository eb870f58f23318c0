"""HiFi-GAN's discriminators of waveforms: of several periods and of several scales.

Letters: B batch, S samples, T time, C channels.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.build import built
from stagejax.models.conv import Convolution
from stagejax.models.speech.time_conv import TimeConv
from stagejax.models.speech.vocoder import leaky

Judged = tuple[list[Float[Array, "..."]], list[list[Float[Array, "..."]]]]  # logits and layers of each discriminator


@dataclass(frozen=True)
class WaveDiscriminators:
    """One discriminator for each period p, which sees every p-th sample as a row, and one for each scale.

    Those of a scale s see the mean of every s samples.

    Args:
      periods: of samples.
      scales: of samples.
      channels: behind the convolutions of a period's, with 5 taps and strides of 3.
      wide: behind the convolutions of a scale's, with 15, then 11 taps, and strides of 2, then 4.

    Reference: Kong et al. 2020 (HiFi-GAN), https://arxiv.org/abs/2010.05646, section 2.3; grouped convolutions and
    weight norms are left out.

    >>> WaveDiscriminators().periods
    (2, 3, 5)
    """

    periods: tuple[int, ...] = (2, 3, 5)
    scales: tuple[int, ...] = (1,)
    channels: tuple[int, ...] = (8, 16, 32)
    wide: tuple[int, ...] = (8, 16, 32)
    convolution: Convolution = "patches"

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {f"channels.period.{i}": size for i, size in enumerate(self.channels)}
        own |= {f"channels.scale.{i}": size for i, size in enumerate(self.wide)}
        return own | {"sample": 1, "score": 1} | {f"kernel_frame.{k}": k for k in (3, 5, 11, 15)}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `WaveDiscriminatorNetworks` with their initial parameters, drawn from `rngs.params`."""
        return built(WaveDiscriminatorNetworks, self, rngs.params())


class Strided(nnx.Module):
    """Convolutions with strides, and one of 3 taps to a logit for every place."""

    def __init__(
        self,
        kind: str,
        channels: tuple[int, ...],
        taps: list[int],
        strides: list[int],
        how: Convolution,
        rngs: nnx.Rngs,
    ) -> None:
        widths = [("sample", 1), *((f"channels.{kind}.{i}", size) for i, size in enumerate(channels))]
        shapes = zip(itertools.pairwise(widths), taps, strides, strict=True)
        self.layers = nnx.List(
            [TimeConv(a, b, taps=k, stride=s, implementation=how, rngs=rngs) for (a, b), k, s in shapes]
        )
        self.score = TimeConv(widths[-1], ("score", 1), taps=3, gain=1.0, implementation=how, rngs=rngs)

    def __call__(self, x: Float[Array, "N T 1"]) -> tuple[Float[Array, "N t"], list[Float[Array, "..."]]]:
        seen = []
        for layer in self.layers:
            x = leaky(layer(x))
            seen.append(x)
        return self.score(x)[..., 0], seen


class WaveDiscriminatorNetworks(nnx.Module):
    """The module of `WaveDiscriminators`.

    >>> small = WaveDiscriminators((2,), channels=(4, 4), wide=(4,))
    >>> logits, layers = small.build(nnx.Rngs(0))(jnp.zeros((2, 60)))
    >>> len(logits), [len(own) for own in layers]
    (2, [2, 1])
    """

    def __init__(self, config: WaveDiscriminators, rngs: nnx.Rngs) -> None:
        self.config = c = config
        shape = [5] * len(c.channels), [3] * len(c.channels)
        self.periods = nnx.List([Strided("period", c.channels, *shape, c.convolution, rngs) for _ in c.periods])
        shape = [15] + [11] * (len(c.wide) - 1), [2] + [4] * (len(c.wide) - 1)
        self.scales = nnx.List([Strided("scale", c.wide, *shape, c.convolution, rngs) for _ in c.scales])

    def __call__(self, signals_BS: Float[Array, "B S"]) -> Judged:
        """Of each discriminator its logits, above 1/2 for real signals, and what its layers give."""
        found = [net(in_rows(signals_BS, p)) for net, p in zip(self.periods, self.config.periods, strict=True)]
        found += [
            net(averaged(signals_BS, s)[..., None]) for net, s in zip(self.scales, self.config.scales, strict=True)
        ]
        return [logits for logits, _ in found], [layers for _, layers in found]


def in_rows(signals_BS: Float[Array, "B S"], period: int) -> Float[Array, "N T 1"]:
    """Every `period`-th sample from each of the first ones on, as signals of their own; zeros behind the last.

    >>> in_rows(jnp.arange(5.0)[None], 2)[..., 0].tolist()
    [[0.0, 2.0, 4.0], [1.0, 3.0, 0.0]]
    """
    B, S = signals_BS.shape
    padded = jnp.pad(signals_BS, ((0, 0), (0, -S % period)))
    return padded.reshape(B, -1, period).swapaxes(1, 2).reshape(B * period, -1, 1)


def averaged(signals_BS: Float[Array, "B S"], scale: int) -> Float[Array, "B T"]:
    """The mean of every `scale` samples, without those left over.

    >>> averaged(jnp.arange(5.0)[None], 2)[0].tolist()
    [0.5, 2.5]
    """
    B, S = signals_BS.shape
    return signals_BS[:, : S // scale * scale].reshape(B, -1, scale).mean(-1)
