"""Who speaks: time-delay layers, mean and deviation over time, a vector, and a class for each known speaker.

Letters: B batch, T frames, M mel bands, D size of the vector, K speakers.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.norm import Norm
from stagejax.models.speech.time_conv import TimeConv
from stagejax.models.speech.tokenizer_speech import centred


@dataclass(frozen=True)
class SpeakerNet:
    """Dilated convolutions, each with ReLU and a layer norm, statistics of the utterance, a linear vector, a head.

    Args:
      channels, taps, dilations: of the convolutions.
      vector: D.
      speakers: K, that the head tells apart in training.

    Reference: Snyder et al. 2018, X-vectors: Robust DNN embeddings for speaker recognition, section 2.

    >>> SpeakerNet(speakers=4).sizes()["classes"]
    4
    """

    bands: int = 40
    channels: tuple[int, ...] = (48, 48, 64)
    taps: tuple[int, ...] = (5, 3, 3)
    dilations: tuple[int, ...] = (1, 2, 3)
    vector: int = 32
    speakers: int = 6

    def widths(self) -> list[tuple[str, int]]:
        """Name and size of the channels before and behind each convolution."""
        return [("band", self.bands), *((f"channels.{i}", size) for i, size in enumerate(self.channels))]

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {"statistics": 2, "speaker": self.vector, "classes": self.speakers}
        return own | dict(self.widths()) | {f"kernel_frame.{k}": k for k in self.taps}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SpeakerNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(SpeakerNetwork, self, rngs.params())


class SpeakerNetwork(nnx.Module):
    """The module of `SpeakerNet`. It sees frames less the mean of the utterance in each band.

    >>> model = SpeakerNet().build(nnx.Rngs(0))
    >>> frames, real = jnp.ones((2, 9, 40)), jnp.ones((2, 9), bool)
    >>> model(frames, real).shape, model.vectors(frames, real).shape
    ((2, 6), (2, 32))
    """

    def __init__(self, config: SpeakerNet, rngs: nnx.Rngs) -> None:
        self.config = c = config
        widths = c.widths()
        shapes = zip(itertools.pairwise(widths), c.taps, c.dilations, strict=True)
        self.convs = nnx.List([TimeConv(a, b, taps=k, dilation=d, rngs=rngs) for (a, b), k, d in shapes])
        self.norms = nnx.List([Norm("layer", *width, eps=1e-5) for width in widths[1:]])
        pooled = {"statistics": 2} | dict(widths[-1:])
        self.vector = Dense(pooled, {"speaker": c.vector}, std=(2 * c.channels[-1]) ** -0.5, bias=True, rngs=rngs)
        self.head = Dense({"speaker": c.vector}, {"classes": c.speakers}, std=c.vector**-0.5, bias=True, rngs=rngs)

    def __call__(
        self, frames_BTM: Float[Array, "B T M"], real_BT: Bool[Array, "B T"], key: Key | None = None
    ) -> Float[Array, "B K"]:
        """Logits of the known speakers."""
        return self.head(self.vectors(frames_BTM, real_BT))

    def vectors(self, frames_BTM: Float[Array, "B T M"], real_BT: Bool[Array, "B T"]) -> Float[Array, "B D"]:
        """Of the utterances' speakers, with mean square 1: their cosine is the mean of their product."""
        x, weight = centred(frames_BTM, real_BT), real_BT[..., None].astype(frames_BTM.dtype)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(jax.nn.relu(conv(x))) * weight
        count = jnp.maximum(weight.sum(1), 1)
        mean = x.sum(1) / count
        # Beneath the root, so that its gradient is finite where a channel is the same in all frames.
        deviation = jnp.sqrt((jnp.square(x - mean[:, None]) * weight).sum(1) / count + 1e-6)
        v = self.vector(jnp.stack([mean, deviation], 1))
        return v * jax.lax.rsqrt(jnp.square(v).mean(-1, keepdims=True) + 1e-6)
