"""A speech encoder in the shape of Whisper's, with a head for CTC: two convolutions and a transformer over time.

Letters: B batch, T frames, M mel bands, t time steps (half of the frames), E embed, K words and a blank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32

from stagejax import axes
from stagejax.models.block import Block, Key, pre_norm_block
from stagejax.models.build import built
from stagejax.models.conv import Conv, Convolution
from stagejax.models.linear import Dense
from stagejax.models.norm import Norm
from stagejax.models.speech.tokenizer_speech import centred
from stagejax.models.stack import Remat, run_stack, stack


@dataclass(frozen=True)
class Recognizer:
    """What a speech encoder is: convolutions of 3 frames, the second with stride 2, then pre-norm blocks.

    Args:
      words: that the head tells apart; with the blank it has one class more.
      dropout: of what blocks add, where a key is given.

    Reference: the encoder of Radford et al. 2022 (Whisper), https://arxiv.org/abs/2212.04356, section 2.2.

    >>> Recognizer(words=10).sizes()["classes"]
    11
    """

    bands: int = 32
    embed: int = 64
    layers: int = 2
    heads: int = 4
    mlp: int = 256
    words: int = 10
    dropout: float = 0.0
    init_std: float = 0.02
    convolution: Convolution = "patches"
    scan: bool = False
    remat: Remat | None = None

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        head = self.embed // self.heads
        own = {"kernel_row": 3, "kernel_column.1": 1, "band": self.bands, "channels": self.embed, "embed": self.embed}
        own |= {"kv_heads": self.heads, "q_per_kv": 1, "head_dim": head, "value_dim": head}
        return own | {"mlp": self.mlp, "layers": self.layers, "classes": self.words + 1}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `RecognizerNetwork` with its initial parameters, drawn from `rngs.params`."""
        return built(RecognizerNetwork, self, rngs.params())


class RecognizerNetwork(nnx.Module):
    """The module of `Recognizer`. It sees frames less the mean of the utterance in each band.

    >>> model = Recognizer().build(nnx.Rngs(0))
    >>> logits, real = model(jnp.zeros((1, 9, 32)), jnp.arange(9)[None] < 7)
    >>> logits.shape, int(real.sum())
    ((1, 5, 11), 4)
    """

    def __init__(self, config: Recognizer, rngs: nnx.Rngs) -> None:
        self.config = c = config
        sizes = c.sizes()
        how: dict[str, Any] = {"size": (3, 1), "taps": None, "implementation": c.convolution, "rngs": rngs}
        self.first = Conv(("band", c.bands), ("channels", c.embed), **how)
        self.second = Conv(("channels", c.embed), ("embed", c.embed), stride=2, **how)
        self.first_bias = axes.param(jnp.zeros(c.embed), writes=("channels",))
        self.second_bias = axes.param(jnp.zeros(c.embed), writes=("embed",))

        def block(rngs: nnx.Rngs) -> Block:
            sized = (sizes[name] for name in ("embed", "kv_heads", "head_dim", "mlp"))
            return pre_norm_block(*sized, dropout=c.dropout, std=c.init_std, rngs=rngs)

        self.blocks = stack(block, c.layers, rngs)
        self.norm = Norm("layer", "embed", c.embed, eps=1e-5)
        self.head = Dense({"embed": c.embed}, {"classes": sizes["classes"]}, std=c.embed**-0.5, bias=True, rngs=rngs)

    def __call__(
        self, frames_BTM: Float[Array, "B T M"], real_BT: Bool[Array, "B T"], key: Key | None = None
    ) -> tuple[Float[Array, "B t K"], Bool[Array, "B t"]]:
        """Logits of the blank (class 0) and of the words, and which time steps are of the utterance."""
        x_BtE, real_Bt = self.features(frames_BTM, real_BT, key)
        return self.head(x_BtE), real_Bt

    def features(
        self, frames_BTM: Float[Array, "B T M"], real_BT: Bool[Array, "B T"], key: Key | None = None
    ) -> tuple[Float[Array, "B t E"], Bool[Array, "B t"]]:
        """The states behind the last block, and which of them are of the utterance: padding changes none of these."""
        c, dtype = self.config, self.first.kernel[...].dtype
        x = centred(frames_BTM, real_BT).astype(dtype)[:, :, None]
        x = jax.nn.gelu(self.first(x) + self.first_bias[...]) * real_BT[:, :, None, None]
        x_BtE = jax.nn.gelu(self.second(x) + self.second_bias[...])[:, :, 0]
        real_Bt = real_BT[:, ::2]
        x_BtE = x_BtE + sinusoids(x_BtE.shape[1], c.embed).astype(dtype)

        def call(block: Block, layer: Any, x_BtE: Any) -> Any:
            own = None if key is None else jax.random.fold_in(key, layer)
            return block(x_BtE, own, mask=real_Bt)

        x_BtE = run_stack(self.blocks, call, x_BtE, start=0, stop=c.layers, scan=c.scan, remat=c.remat)
        return self.norm(x_BtE), real_Bt


def sinusoids(length: int, width: int, slowest: float = 10_000.0) -> Float32[np.ndarray, "length width"]:
    """Fixed positions: sines, then cosines, of frequencies from 1 to 1 / slowest radians a step.

    Reference: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5.

    >>> sinusoids(2, 4).round(2).tolist()[1]
    [0.8399999737739563, 0.0, 0.5400000214576721, 1.0]
    """
    frequencies = np.exp(-np.log(slowest) * np.arange(width // 2) / (width // 2 - 1))
    angles = np.arange(length)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
