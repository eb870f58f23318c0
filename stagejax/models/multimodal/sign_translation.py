"""Sign-language videos and texts: two encoders into one space, a text decoder, and both halves as one translator.

Letters: B videos, N texts, F frames, Y and X rows and columns, P pixel channels, S features of a video, T tokens, E
embed, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.block import Key, dropout
from stagejax.models.build import built
from stagejax.models.conv import BatchNorm
from stagejax.models.convnet import ConvBlock
from stagejax.models.language_model import LanguageModel, block_of
from stagejax.models.linear import Dense, Table
from stagejax.models.multimodal.dual_encoder import MOST_SCALE
from stagejax.models.norm import Norm
from stagejax.models.sequence import along_sequence
from stagejax.models.stack import run_stack, stack
from stagejax.models.text.coupled import CoupledModel, CrossAttention, Reading, qualified
from stagejax.models.transformer import Transformer

#: Mesh axes over which the videos of a batch lie.
BATCH_AXES = ("data", "fsdp")


@dataclass(frozen=True)
class SignEncoder:
    """What an encoder of sign-language videos is: a network of single frames, convolutions along time, a transformer.

    Each convolution along time is unpadded, with batch norm and ReLU, and a pooling of two frames behind it.

    Args:
      frames: config of a network with `features`; its heads are left out.
      width: of its features.
      kernels: sizes of the convolutions along time.
      transformer: whose blocks, positions and norms see the features; its `length` is one more than there are features
        at most, for the summary's place.

    Reference: Zhou et al. 2023 (GFSLT-VLP), https://arxiv.org/abs/2307.14768.
    """

    frames: Any
    width: tuple[str, int]
    kernels: tuple[int, ...]
    transformer: Transformer

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {name: size for name, size in self.frames.sizes().items() if not name.startswith("classes")}
        taps = {"kernel_row" if size == 3 else f"kernel_row.{size}": size for size in self.kernels}
        return own | taps | {"kernel_column.1": 1} | self.widths | sided(self.transformer, "sign")

    @property
    def widths(self) -> dict[str, int]:
        """What each convolution along time writes; the last one writes `embed`."""
        return {f"temporal.{i}": self.transformer.embed for i in range(1, len(self.kernels))}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SignEncoderModel` with its initial parameters, drawn from `rngs.params`."""
        return built(SignEncoderModel, self, rngs.params())


def sided(config: Transformer, side: str) -> dict[str, int]:
    """The axes of one of several transformers of a model, without those of the head's transform."""
    return {qualified(name, side): size for name, size in config.sizes().items()}


class SignEncoderModel(nnx.Module):
    """The module of `SignEncoder`: `features` of videos, and what the transformer makes of them."""

    def __init__(self, config: SignEncoder, rngs: nnx.Rngs) -> None:
        self.config = c = config
        self.frames = c.frames.build(rngs)
        for head in ("head", "heads"):
            if hasattr(self.frames, head):
                setattr(self.frames, head, None)
        widths = [c.width, *c.widths.items(), ("embed", c.transformer.embed)]
        self.temporal = nnx.Dict(
            {
                str(i): ConvBlock(c.frames, *widths[i - 1 : i + 1], rngs, size=(size, 1), pad=False)
                for i, size in enumerate(c.kernels, 1)
            }
        )
        names = {name: qualified(name, "sign") for name in c.transformer.sizes()}
        t = c.transformer
        self.positions = axes.renamed(Table("position", t.length, t.embed, std=t.init_std, rngs=rngs), names)
        self.embed_norm = Norm(t.norm, "embed", t.embed, eps=t.norm_eps)
        self.blocks = axes.renamed(stack(lambda own: block_of(t, own), t.layers, rngs), names)
        self.norm = Norm(t.norm, "embed", t.embed, eps=t.norm_eps)

    def features(self, video_BFYXP: Float[Array, "B F Y X P"], key: Key | None = None) -> Float[Array, "B S E"]:
        """Frames alone, then convolutions along time; with a key, batch norms use the batch's statistics."""
        B, F = video_BFYXP.shape[:2]
        images = along_sequence(video_BFYXP.reshape(B * F, *video_BFYXP.shape[2:]), 0, BATCH_AXES)
        images = images.astype(self.positions.table[...].dtype)
        x_BFC = along_sequence(self.frames.features(images, key).reshape(B, F, -1), 1, whole=True)
        x_BF1C = x_BFC[:, :, None]
        for block in self.temporal.values():
            x_BF1C = jax.nn.relu(block(x_BF1C, key is not None))
            even = x_BF1C.shape[1] // 2 * 2
            x_BF1C = jnp.maximum(x_BF1C[:, 0:even:2], x_BF1C[:, 1:even:2])
        return x_BF1C[:, :, 0]

    def contextual(
        self, x_BSE: Float[Array, "B S E"], mask: Bool[Array, "B S"], key: Key | None = None
    ) -> Float[Array, "B S E"]:
        """The transformer on vectors: positions and their norm, blocks, the final norm."""
        c = self.config.transformer
        keys = (None, None) if key is None else jax.random.split(key)
        x_BSE = dropout(self.embed_norm(x_BSE + self.positions.table[...][: x_BSE.shape[1]]), c.dropout, keys[0])

        def call(block: Any, layer: Any, x_BSE: Any) -> Any:
            return block(x_BSE, None if key is None else jax.random.fold_in(keys[1], layer), mask=mask)

        return self.norm(run_stack(self.blocks, call, x_BSE, start=0, stop=c.layers, scan=c.scan, remat=c.remat))


@dataclass(frozen=True)
class SignText:
    """What a dual encoder of sign-language videos and texts is.

    A video's vector is a linear map (`embed` to `embed_out`) of what the transformer gives at the place of a learned
    summary in front of the features. A text's is what the text encoder gives at the end token.

    Args:
      text: an encoder, which runs without a head.
      temperature: of the softmax at first; it is learned.

    Reference: Zhou et al. 2023 (GFSLT-VLP), https://arxiv.org/abs/2307.14768, section 3.2.
    """

    sign: SignEncoder
    text: Transformer
    temperature: float = 0.07

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.sign.sizes() | sided(self.text, "encoder") | {"embed_out": self.text.embed}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SignTextModel` with its initial parameters, drawn from `rngs.params`."""
        return built(SignTextModel, self, rngs.params())


class SignTextModel(nnx.Module):
    """The module of `SignText`: scaled cosines of every video and every text."""

    def __init__(self, config: SignText, rngs: nnx.Rngs) -> None:
        self.config = config
        E = config.text.embed
        self.sign = SignEncoderModel(config.sign, rngs)
        self.summary = axes.param(jax.random.normal(rngs.params(), (E,)), writes=("embed",))
        self.head = Dense({"embed": E}, {"embed_out": E}, std=E**-0.5, bias=False, rngs=rngs)
        names = {name: qualified(name, "encoder") for name in config.text.sizes()}
        self.text = axes.renamed(LanguageModel(config.text, rngs), names)
        self.text.head = None
        self.log_scale = axes.param(jnp.asarray(-math.log(config.temperature), jnp.float32))

    def __call__(
        self,
        video_BFYXP: Float[Array, "B F Y X P"],
        mask_BS: Bool[Array, "B S"],
        tokens_NT: Int[Array, "N T"],
        text_mask_NT: Bool[Array, "N T"],
        key: Key | None = None,
    ) -> Float[Array, "B N"]:
        """`scale * cos(video, text)` with the learned scale 1 / temperature."""
        keys = (None, None) if key is None else jax.random.split(key)
        videos_BE = self.encode_video(video_BFYXP, mask_BS, keys[0])
        texts_NE = self.encode_text(tokens_NT, text_mask_NT, keys[1])
        scale = jnp.minimum(jnp.exp(self.log_scale[...]), MOST_SCALE).astype(videos_BE.dtype)
        return scale * videos_BE @ texts_NE.T

    def encode_video(
        self, video_BFYXP: Float[Array, "B F Y X P"], mask_BS: Bool[Array, "B S"], key: Key | None = None
    ) -> Float[Array, "B E"]:
        """Unit vectors of videos."""
        keys = (None, None) if key is None else jax.random.split(key)
        x_BSE = self.sign.features(video_BFYXP, keys[0])
        first_B1E = jnp.broadcast_to(self.summary[...].astype(x_BSE.dtype), (len(x_BSE), 1, x_BSE.shape[2]))
        x_BSE = jnp.concatenate([first_B1E, x_BSE], axis=1)
        mask_BS = jnp.pad(mask_BS, ((0, 0), (1, 0)), constant_values=True)
        return _unit(self.head(self.sign.contextual(x_BSE, mask_BS, keys[1])[:, 0]))

    def encode_text(
        self, tokens_NT: Int[Array, "N T"], mask_NT: Bool[Array, "N T"], key: Key | None = None
    ) -> Float[Array, "N E"]:
        """Unit vectors of texts: at the last token of each that counts, which is the end token."""
        ends_N = mask_NT.sum(1) - 1
        return _unit(self.text.hidden(tokens_NT, mask=mask_NT, key=key)[jnp.arange(len(tokens_NT)), ends_N])


def _unit(x: Float[Array, "B E"]) -> Float[Array, "B E"]:
    return x * jax.lax.rsqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-12)


@dataclass(frozen=True)
class TextDecoder:
    """What a text decoder alone is: blocks with attention to vectors that are given to it."""

    decoder: Transformer

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return sided(self.decoder, "decoder")

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TextDecoderModel` with its initial parameters, drawn from `rngs.params`."""
        return built(TextDecoderModel, self, rngs.params())


class TextDecoderModel(CoupledModel):
    """The module of `TextDecoder`: `say` gives logits, as in a `CoupledModel` whose encoder is elsewhere."""

    def __init__(self, config: Any, rngs: nnx.Rngs) -> None:
        self.config = config
        names = {name: qualified(name, "decoder") for name in config.decoder.sizes()}
        self.decoder = axes.renamed(LanguageModel(config.decoder, rngs), names)
        cross = stack(lambda own: CrossAttention(config.decoder, own), config.decoder.layers, rngs)
        self.cross = axes.renamed(cross, names)


@dataclass(frozen=True)
class SignTranslator:
    """What a translator of sign-language videos is: the visual encoder, a sign embedding, and the text decoder.

    Between the convolutions along time and the transformer is the sign embedding: a linear map (`embed` to
    `embed_out`), batch norm and ReLU, read as `embed` again.

    Reference: Zhou et al. 2023 (GFSLT-VLP), https://arxiv.org/abs/2307.14768, section 3.3.
    """

    sign: SignEncoder
    decoder: Transformer

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.sign.sizes() | sided(self.decoder, "decoder") | {"embed_out": self.decoder.embed}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SignTranslatorModel` with its initial parameters, drawn from `rngs.params`."""
        return built(SignTranslatorModel, self, rngs.params())


class SignTranslatorModel(TextDecoderModel):
    """Videos in, and logits of the tokens out that follow those given; `reading` is for decoding."""

    def __init__(self, config: SignTranslator, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs)
        c, E = config.sign.frames, config.decoder.embed
        self.sign = SignEncoderModel(config.sign, rngs)
        self.embedding = Dense({"embed": E}, {"embed_out": E}, std=E**-0.5, bias=True, rngs=rngs)
        self.embedding_norm = BatchNorm("embed_out", E, eps=c.norm_eps, momentum=c.momentum)

    def __call__(
        self,
        inputs_BFYXP: Float[Array, "B F Y X P"],
        tokens_BT: Int[Array, "B T"],
        *,
        mask: Bool[Array, "B S"],
        key: Key | None = None,
    ) -> Float[Array, "B T V"]:
        """Logits of every token behind `tokens_BT`; `mask` is of the features."""
        keys = (None, None) if key is None else jax.random.split(key)
        return self.say(tokens_BT, self.encode(inputs_BFYXP, mask=mask, key=keys[0]), mask=mask, key=keys[1])

    def reading(self, inputs_BFYXP: Float[Array, "B F Y X P"], mask_BS: Bool[Array, "B S"]) -> Reading:
        """This model as a `CausalModel` of what it says of some videos."""
        return Reading(self, inputs_BFYXP, mask_BS)

    def encode(
        self, inputs_BFYXP: Float[Array, "B F Y X P"], *, mask: Bool[Array, "B S"], key: Key | None = None
    ) -> Float[Array, "B S E"]:
        """What the decoder attends to; `mask` is of the features."""
        keys = (None, None) if key is None else jax.random.split(key)
        x_BSE = self.embedding(self.sign.features(inputs_BFYXP, keys[0]))
        x_BSE = jax.nn.relu(self.embedding_norm(x_BSE[:, :, None], train=key is not None)[:, :, 0])
        return self.sign.contextual(x_BSE, mask, keys[1])


__all__ = [
    "SignEncoder",
    "SignEncoderModel",
    "SignText",
    "SignTextModel",
    "SignTranslator",
    "SignTranslatorModel",
    "TextDecoder",
    "TextDecoderModel",
]
