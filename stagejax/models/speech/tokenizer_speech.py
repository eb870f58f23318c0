"""Speech as codes: an encoder that learns without labels, and a codec whose first book is distilled from it.

Letters: B batch, T frames, M bands, E embed, F features, Q books.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax.models.block import Block, pre_norm_block
from stagejax.models.build import built
from stagejax.models.generative.quantizer import Quantized, ResidualQuantizer, revive
from stagejax.models.linear import Dense, Table
from stagejax.models.norm import Norm
from stagejax.models.stack import run_stack, stack

Frames = Float[Array, "B T M"]
Real = Bool[Array, "B T"]


@dataclass(frozen=True)
class SpeechEncoder:
    """A bidirectional transformer over frames, to predict those that are hidden from it.

    >>> SpeechEncoder(layers=3).sizes()["layers"]
    3
    """

    bands: int = 32
    frames: int = 16  # of the longest clip
    embed: int = 64
    layers: int = 2
    heads: int = 4
    mlp: int = 128

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        head = self.embed // self.heads
        heads = {"kv_heads": self.heads, "q_per_kv": 1, "head_dim": head, "value_dim": head}
        own = {"band": self.bands, "position": self.frames, "embed": self.embed, "mlp": self.mlp, "layers": self.layers}
        return own | heads

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SpeechFeatures` with its initial parameters, drawn from `rngs.params`."""
        return built(SpeechFeatures, self, rngs.params())


class SpeechFeatures(nnx.Module):
    """The module of `SpeechEncoder`. It sees frames less the clip's mean in each band, so not how loud or dull it is.

    >>> model = SpeechEncoder().build(nnx.Rngs(0))
    >>> model.features(jnp.zeros((2, 16, 32)), jnp.ones((2, 16), bool)).shape
    (2, 16, 64)
    """

    def __init__(self, config: SpeechEncoder, rngs: nnx.Rngs) -> None:
        self.config = c = config
        sizes = c.sizes()
        self.embed = Dense({"band": c.bands}, {"embed": c.embed}, std=c.bands**-0.5, bias=True, rngs=rngs)
        self.positions = Table("position", c.frames, c.embed, std=0.02, rngs=rngs)

        def block(rngs: nnx.Rngs) -> Block:
            sized = (sizes[name] for name in ("embed", "kv_heads", "head_dim", "mlp"))
            return pre_norm_block(*sized, std=0.02, rngs=rngs)

        self.blocks = stack(block, c.layers, rngs)
        self.norm = Norm("layer", "embed", c.embed, eps=1e-5)
        self.head = Dense({"embed": c.embed}, {"band": c.bands}, std=c.embed**-0.5, bias=True, rngs=rngs)

    def __call__(self, frames: Frames, real: Real, hidden: Real) -> tuple[Frames, Frames]:
        """Predictions of all frames without those that are hidden, and what they should be."""
        wanted = centred(frames, real)
        return self.head(self._through(jnp.where(hidden[..., None], 0, wanted), real)), wanted

    def features(self, frames: Frames, real: Real) -> Float[Array, "B T E"]:
        """Of every frame in its context."""
        return self._through(centred(frames, real), real)

    def _through(self, x: Frames, real: Real) -> Float[Array, "B T E"]:
        def call(block: Block, _: Any, x: Any) -> Any:
            return block(x, mask=real)

        x = self.embed(x) + self.positions.table[...][: x.shape[1]]
        return self.norm(run_stack(self.blocks, call, x, start=0, stop=self.config.layers))


def centred(frames: Any, real: Any) -> Any:
    """Frames (B, T, M) less the mean of the clip's real ones (B, T), band by band; zero where there is none.

    Arrays are of NumPy or of JAX.
    """
    weight = real[..., None].astype(frames.dtype)
    mean = (frames * weight).sum(1, keepdims=True) / weight.sum(1, keepdims=True).clip(1)
    return (frames - mean) * weight


@dataclass(frozen=True)
class SpeechTokenizer:
    """A frame becomes one code of each book: the first says what is spoken, the others what is left.

    Reference: Zhang et al. 2023, SpeechTokenizer, https://arxiv.org/abs/2308.16692, section 3.

    >>> SpeechTokenizer(books=4).books
    4
    """

    bands: int = 32
    hidden: int = 64
    embed: int = 32  # size of a code's vector
    books: int = 2
    codes: int = 64  # of each book
    features: int = 64  # of the encoder that the first book is distilled from

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {"kernel_frame": 3, "band": self.bands, "embed": self.embed, "codes": self.codes}
        return own | {f"hidden.{i}": self.hidden for i in range(1, 5)} | {"features": self.features}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SpeechCodec` with its initial parameters, drawn from `rngs.params`."""
        return built(SpeechCodec, self, rngs.params())


class SpeechCodec(nnx.Module):
    """The module of `SpeechTokenizer`.

    >>> model = SpeechTokenizer().build(nnx.Rngs(0))
    >>> codes = model.encode(jnp.zeros((2, 16, 32)), jnp.ones((2, 16), bool))
    >>> codes.shape, model.decode(codes, jnp.ones((2, 16), bool)).shape
    ((2, 16, 2), (2, 16, 32))
    """

    def __init__(self, config: SpeechTokenizer, rngs: nnx.Rngs) -> None:
        self.config = c = config

        def dense(reads: dict[str, int], writes: dict[str, int]) -> Dense:
            fan_in = 3 * sum(reads.values())
            return Dense({"kernel_frame": 3} | reads, writes, std=(2 / fan_in) ** 0.5, bias=True, rngs=rngs)

        hidden = [{f"hidden.{i}": c.hidden} for i in range(1, 5)]
        bands, embed = {"band": c.bands}, {"embed": c.embed}
        self.encoder = nnx.List([dense(bands, hidden[0]), dense(hidden[0], hidden[1]), dense(hidden[1], embed)])
        self.quantizer = ResidualQuantizer(c.books, c.codes, c.embed, rngs=rngs)
        self.decoder = nnx.List([dense(embed, hidden[2]), dense(hidden[2], hidden[3]), dense(hidden[3], bands)])
        self.student = Dense(embed, {"features": c.features}, std=c.embed**-0.5, bias=False, rngs=rngs)

    def __call__(self, frames: Frames, real: Real) -> tuple[Frames, Quantized, Float[Array, "B T F"]]:
        """The reconstruction, what was quantized, and features as the first book alone tells them."""
        latent = self.latent(frames, real)
        found = self.quantizer(latent)
        first = self.quantizer.books[0](latent)
        return self.frames(found.vectors, real), found, self.student(first.vectors)

    def latent(self, frames: Frames, real: Real) -> Float[Array, "B T E"]:
        """The vectors that codes stand for."""
        return _through(self.encoder, frames, real)

    def frames(self, x: Float[Array, "B T E"], real: Real) -> Frames:
        """From vectors back to frames."""
        return _through(self.decoder, x, real)

    def encode(self, frames: Frames, real: Real) -> Int[Array, "B T Q"]:
        """The codes of every frame; those of frames that are not real mean nothing."""
        return self.quantizer(self.latent(frames, real)).codes

    def decode(self, codes: Int[Array, "B T Q"], real: Real) -> Frames:
        """The frames of codes."""
        return self.frames(self.quantizer.vectors(codes), real)

    def revive(self, batch: Mapping[str, Any], key: Array) -> None:
        """Codes that no frame of the batch has are put at what frames leave over for their book."""
        real = batch["real"]
        x = self.latent(batch["frames"], real).reshape(-1, self.config.embed)
        weight = real.reshape(-1) / real.sum()
        for q, book in enumerate(self.quantizer.books):
            codes = book.nearest(x)
            used = jnp.zeros(self.config.codes).at[codes].add(weight)
            rest = x - book.vectors(codes)
            book.table[...] = revive(book.table[...], used, x, jax.random.fold_in(key, q), 1e-9, weight)
            x = rest


def _through(layers: Any, x: Float[Array, "B T C"], real: Real) -> Float[Array, "B T D"]:
    """Convolutions over three frames, zeros beyond the clip, GELU between them."""
    for number, layer in enumerate(layers):
        x = jnp.where(real[..., None], x, 0)
        around = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
        x = layer(jnp.stack([around[:, :-2], x, around[:, 2:]], axis=2))
        x = x if number == len(layers) - 1 else jax.nn.gelu(x)
    return x
