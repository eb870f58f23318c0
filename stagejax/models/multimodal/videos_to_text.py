"""One video or several, each with a text beside it, into one text: an encoder of frames and tokens, and a decoder.

Letters: B batch, N videos, F frames, Y and X rows and columns, P pixel channels, S tokens of the text beside a video, R
places of a row (F + S), T tokens of what is said, E embed, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8

from stagejax import axes
from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense, Table
from stagejax.models.multimodal.sign_translation import BATCH_AXES, TextDecoderModel, sided
from stagejax.models.norm import Norm
from stagejax.models.sequence import along_sequence
from stagejax.models.text.coupled import Reading, qualified
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class VideosToText:
    """What a captioner of videos is: a network of single frames, an encoder of rows, a text decoder.

    A row is one video and the text beside it: first a place for every frame, which holds the `marker`, then tokens. At
    the marker stands a linear map, with a norm, of what the network tells of the frame and its difference from the one
    before; batch norms in the network keep the statistics that they came with. Rows are encoded each by itself; a
    learned vector of the video's number is added to all that comes of it, and the decoder attends to all rows of a
    sample at once.

    Args:
      frames: config of a network with `features` that reads 2 P channels; its heads are left out.
      width: name and size of the axis of its features.
      encoder: of rows; its vocabulary is that of the texts, its `length` at least R.
      decoder: an encoder's declaration, which gets a causal mask here.
      videos: N at most.
      marker: the token of a frame; its own embedding is never read.

    Raises:
      ValueError: two widths, a causal transformer, or no video.
    """

    frames: Any
    width: tuple[str, int]
    encoder: Transformer
    decoder: Transformer
    videos: int = 8
    marker: int = 3

    def __post_init__(self) -> None:
        if self.encoder.embed != self.decoder.embed or self.encoder.causal or self.decoder.causal or self.videos < 1:
            raise ValueError(
                f"embed is {self.encoder.embed} and {self.decoder.embed}, causal {self.encoder.causal} and "
                f"{self.decoder.causal}, videos={self.videos}: give one width, causal=False twice, and 1 video or more"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {name: size for name, size in self.frames.sizes().items() if not name.startswith("classes")}
        return own | sided(self.encoder, "encoder") | sided(self.decoder, "decoder") | {"videos": self.videos}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `VideosToTextModel` with its initial parameters, drawn from `rngs.params`."""
        return built(VideosToTextModel, self, rngs.params())


class VideosToTextModel(TextDecoderModel):
    """Videos and rows in, and logits of the tokens out that follow those given; `reading` is for decoding.

    >>> from stagejax.models.vision.cnn import CNN, ConvLayer
    >>> cnn = CNN((8, 8, 6), (ConvLayer(4, stride=2),), (16,))
    >>> net = Transformer(vocab=9, length=8, causal=False, layers=1)
    >>> model = VideosToText(cnn, ("hidden.1", 16), net, net).build(nnx.Rngs(0))
    >>> videos, rows = jnp.zeros((1, 2, 3, 8, 8, 3), jnp.uint8), jnp.array([[[3, 3, 0, 7], [3, 3, 3, 0]]])
    >>> model(videos, jnp.ones((1, 5), int), rows=rows).shape
    (1, 5, 9)
    """

    def __init__(self, config: VideosToText, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs)
        c, E = config, config.encoder.embed
        self.frames = c.frames.build(rngs)
        for head in ("head", "heads"):
            if hasattr(self.frames, head):
                setattr(self.frames, head, None)
        self.project = Dense(dict([c.width]), {"embed": E}, std=c.width[1] ** -0.5, bias=True, rngs=rngs)
        self.frame_norm = Norm(c.encoder.norm, "embed", E, eps=c.encoder.norm_eps)
        names = {name: qualified(name, "encoder") for name in c.encoder.sizes()}
        self.encoder = axes.renamed(LanguageModel(c.encoder, rngs), names)
        self.encoder.head = None
        self.numbers = Table("videos", c.videos, E, std=c.encoder.init_std, rngs=rngs)

    def __call__(
        self,
        inputs_BNFYXP: UInt8[Array, "B N F Y X P"],
        tokens_BT: Int[Array, "B T"],
        *,
        rows: Int[Array, "B N R"],
        key: Key | None = None,
    ) -> Float[Array, "B T V"]:
        """Logits of every token behind `tokens_BT`.

        Args:
          rows: of each video: the marker where a frame is shown, a token of the text, or 0 where there is nothing.
          key: draws dropout; without one there is none.
        """
        keys = (None, None) if key is None else jax.random.split(key)
        memory_BSE = self.encode(inputs_BNFYXP, rows=rows, key=keys[0])
        return self.say(tokens_BT, memory_BSE, mask=rows.reshape(len(rows), -1) > 0, key=keys[1])

    def reading(self, inputs_BNFYXP: UInt8[Array, "B N F Y X P"], rows_BNR: Int[Array, "B N R"]) -> Reading:
        """This model as a `CausalModel` of what it says of some videos."""
        memory_BSE = self.encode(inputs_BNFYXP, rows=rows_BNR)
        return Reading(self, inputs_BNFYXP, rows_BNR.reshape(len(rows_BNR), -1) > 0, memory_BSE)

    def encode(  # type: ignore[override]
        self, inputs_BNFYXP: UInt8[Array, "B N F Y X P"], *, rows: Int[Array, "B N R"], key: Key | None = None
    ) -> Float[Array, "B S E"]:
        """What the decoder attends to: all places of all rows of a sample."""
        B, N, R = rows.shape
        F = inputs_BNFYXP.shape[2]
        rows_MR, how = rows.reshape(B * N, R), {}
        if F:
            seen_MFE = self.seen(inputs_BNFYXP.reshape(B * N, *inputs_BNFYXP.shape[2:]))
            how = {"vectors": (rows_MR == self.config.marker, jnp.pad(seen_MFE, ((0, 0), (0, R - F), (0, 0))))}
        x_MRE = self.encoder.hidden(rows_MR, mask=rows_MR > 0, key=key, **how)
        x_BNRE = x_MRE.reshape(B, N, R, -1) + self.numbers.table[...][:N, None]
        return x_BNRE.reshape(B, N * R, -1)

    def seen(self, video_MFYXP: UInt8[Array, "M F Y X P"]) -> Float[Array, "M F E"]:
        """A vector of every frame; norms of the network use their running statistics, in training too."""
        M, F = video_MFYXP.shape[:2]
        video = video_MFYXP.astype(self.numbers.table[...].dtype) / 255
        before = jnp.concatenate([video[:, :1], video[:, :-1]], axis=1)
        pairs = jnp.concatenate([video, video - before], axis=-1)
        images = along_sequence(pairs.reshape(M * F, *pairs.shape[2:]), 0, BATCH_AXES)
        x_MFC = along_sequence(self.frames.features(images).reshape(M, F, -1), 1, whole=True)
        return self.frame_norm(self.project(x_MFC))


__all__ = ["VideosToText", "VideosToTextModel"]
