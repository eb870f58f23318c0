"""Text to frames of features without recurrence: FastSpeech's blocks, scores to align by, durations.

Letters: B batch, N tokens, T frames, E embed, F features of a frame, D size of the speaker's vector, A size of vectors
that are aligned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax.models.attention import Attention
from stagejax.models.build import built
from stagejax.models.linear import Dense, Table
from stagejax.models.norm import Norm
from stagejax.models.speech.recognizer import sinusoids
from stagejax.models.speech.time_conv import TimeConv
from stagejax.models.stack import run_stack, stack


@dataclass(frozen=True)
class TextToFrames:
    """An encoder of tokens and a decoder of frames, both of feed-forward transformer blocks.

    Args:
      vocab: tokens; 0 is padding.
      features: F.
      speaker: D.
      layers: of the encoder and of the decoder.
      filter, taps: channels and taps of the convolution in a block.
      aligned: A.

    References: Ren et al. 2019 (FastSpeech), https://arxiv.org/abs/1905.09263, section 3; the scores: Badlani et al.
    2021, https://arxiv.org/abs/2108.10447, section 2; together: Siuzdak et al. 2022 (WavThruVec),
    https://arxiv.org/abs/2203.16930.

    >>> TextToFrames().sizes()["layers.encoder"]
    2
    """

    vocab: int = 20
    features: int = 64
    speaker: int = 32
    embed: int = 64
    layers: tuple[int, int] = (2, 2)
    heads: int = 2
    filter: int = 128
    taps: int = 5
    aligned: int = 32
    scan: bool = False

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        head = self.embed // self.heads
        own = {"kv_heads": self.heads, "q_per_kv": 1, "head_dim": head, "value_dim": head, "embed": self.embed}
        own |= {"vocab": self.vocab, "feature": self.features, "speaker": self.speaker, "aligned": self.aligned}
        own |= {"aligned_out": self.aligned, "mlp": self.filter, "embed_out": self.embed, "scalar": 1}
        own |= {"layers.encoder": self.layers[0], "layers.decoder": self.layers[1]}
        return own | {f"kernel_frame.{k}": k for k in (1, 3, self.taps)}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TextToFramesNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(TextToFramesNetwork, self, rngs.params())


class ForwardBlock(nnx.Module):
    """x + attention(norm(x)), then x + convolutions(norm(x)): one of `taps`, ReLU, one of 1."""

    def __init__(self, config: TextToFrames, rngs: nnx.Rngs) -> None:
        c, sizes = config, config.sizes()
        embed = ("embed", c.embed)
        self.attention_norm = Norm("layer", *embed, eps=1e-5)
        self.attention = Attention(
            c.embed, c.heads, 1, sizes["head_dim"], bias=True, std=c.embed**-0.5, std_out=0.5 * c.embed**-0.5, rngs=rngs
        )
        self.conv_norm = Norm("layer", *embed, eps=1e-5)
        self.wide = TimeConv(embed, ("mlp", c.filter), taps=c.taps, rngs=rngs)
        self.narrow = TimeConv(("mlp", c.filter), embed, taps=1, gain=0.5, rngs=rngs)

    def __call__(self, x_BTE: Float[Array, "B T E"], real_BT: Bool[Array, "B T"]) -> Float[Array, "B T E"]:
        x_BTE = x_BTE + self.attention(self.attention_norm(x_BTE), mask=real_BT)
        inner = jax.nn.relu(self.wide(self.conv_norm(x_BTE) * real_BT[..., None]))
        return x_BTE + self.narrow(inner)


class TextToFramesNetwork(nnx.Module):
    """The module of `TextToFrames`.

    >>> model = TextToFrames().build(nnx.Rngs(0))
    >>> tokens, speaker = jnp.array([[3, 4, 0]]), jnp.zeros((1, 32))
    >>> x = model.encoded(tokens, speaker)
    >>> frames = model.frames(x, jnp.array([[0, 0, 1, 1]]), jnp.ones((1, 4), bool))
    >>> x.shape, frames.shape, model.scores(x, frames).shape, model.log_durations(x).shape
    ((1, 3, 64), (1, 4, 64), (1, 4, 3), (1, 3))
    """

    def __init__(self, config: TextToFrames, rngs: nnx.Rngs) -> None:
        self.config = c = config
        embed, aligned, feature = ("embed", c.embed), ("aligned", c.aligned), ("feature", c.features)
        self.tokens = Table("vocab", c.vocab, c.embed, std=1.0, rngs=rngs)
        self.speaker = Dense({"speaker": c.speaker}, {"embed": c.embed}, std=c.speaker**-0.5, bias=True, rngs=rngs)
        make = lambda rngs: ForwardBlock(c, rngs)  # noqa: E731
        self.encoder = stack(make, c.layers[0], rngs, "layers.encoder")
        self.decoder = stack(make, c.layers[1], rngs, "layers.decoder")
        self.keys = nnx.List(
            [
                TimeConv(embed, aligned, taps=3, rngs=rngs),
                TimeConv(aligned, ("aligned_out", c.aligned), taps=1, rngs=rngs),
            ]
        )
        self.queries = nnx.List(
            [
                TimeConv(feature, aligned, taps=3, rngs=rngs),
                TimeConv(aligned, ("aligned_out", c.aligned), taps=1, rngs=rngs),
            ]
        )
        self.wide = TimeConv(embed, ("embed_out", c.embed), taps=3, rngs=rngs)
        self.wide_norm = Norm("layer", "embed_out", c.embed, eps=1e-5)
        self.duration = Dense({"embed_out": c.embed}, {"scalar": 1}, std=0.1 * c.embed**-0.5, bias=True, rngs=rngs)
        self.duration.bias[...] = self.duration.bias[...] + 1.0  # e frames
        self.norm = Norm("layer", *embed, eps=1e-5)
        self.last = Dense(dict([embed]), dict([feature]), std=c.embed**-0.5, bias=True, rngs=rngs)

    def encoded(self, tokens_BN: Int[Array, "B N"], speaker_BD: Float[Array, "B D"]) -> Float[Array, "B N E"]:
        """Vectors of tokens in their context and of the speaker."""
        x_BNE = self.tokens(tokens_BN)
        x_BNE = x_BNE + sinusoids(x_BNE.shape[1], self.config.embed).astype(x_BNE.dtype)
        return self._run(self.encoder, x_BNE, tokens_BN > 0) + self.speaker(speaker_BD)[:, None]

    def scores(self, x_BNE: Float[Array, "B N E"], frames_BTF: Float[Array, "B T F"]) -> Float[Array, "B T N"]:
        """-|f(token) - g(frame)|² of small networks f and g: logits of which token a frame is of."""
        f_BNA = self.keys[1](jax.nn.relu(self.keys[0](x_BNE)))
        g_BTA = self.queries[1](jax.nn.relu(self.queries[0](frames_BTF)))
        return -jnp.square(g_BTA[:, :, None] - f_BNA[:, None]).sum(-1) / self.config.aligned**0.5

    def log_durations(self, x_BNE: Float[Array, "B N E"]) -> Float[Array, "B N"]:
        """log of how many frames each token has; its gradient ends here."""
        x = self.wide_norm(jax.nn.relu(self.wide(jax.lax.stop_gradient(x_BNE))))
        return self.duration(x)[..., 0]

    def frames(
        self, x_BNE: Float[Array, "B N E"], token_BT: Int[Array, "B T"], real_BT: Bool[Array, "B T"]
    ) -> Float[Array, "B T F"]:
        """The features of frames whose tokens are known."""
        x_BTE = jnp.take_along_axis(x_BNE, token_BT[..., None], 1)
        x_BTE = x_BTE + sinusoids(x_BTE.shape[1], self.config.embed).astype(x_BTE.dtype)
        return self.last(self.norm(self._run(self.decoder, x_BTE, real_BT)))

    def _run(self, blocks: nnx.Module, x: Array, real: Array) -> Array:
        layers = self.config.layers[blocks is self.decoder]

        def call(block: ForwardBlock, _: Any, x: Array) -> Array:
            return block(x, real)

        return run_stack(blocks, call, x, start=0, stop=layers, scan=self.config.scan)
