"""Direct translation of speech: an encoder of log-mel frames, whose inner layers also recognise words, and a decoder.

Letters: B batch, T frames, M mel bands, t time steps (half of the frames), N tokens, E embed, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.block import Key
from stagejax.models.build import built
from stagejax.models.language_model import block_of
from stagejax.models.multimodal.sign_translation import TextDecoderModel, sided
from stagejax.models.norm import Norm
from stagejax.models.speech.recognizer import Recognizer, sinusoids
from stagejax.models.stack import run_stack, stack
from stagejax.models.text.coupled import Reading, qualified
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class SpeechTranslator:
    """What a speech translator is: a recognizer, blocks above it, and a text decoder.

    The recognizer's head for CTC sits so on an inner layer of the encoder. The blocks above see its features. A table
    of the decoder's positions begins as sinusoids, so that those which no training reaches are like the others.

    Args:
      upper: whose blocks and final norm are above the recognizer; an encoder.
      decoder: an encoder's declaration, which gets a causal mask here.

    Raises:
      ValueError: the three differ in width.

    Reference: Papi et al. 2021 (FBK at IWSLT), https://arxiv.org/abs/2106.12607; CTC on an inner layer: Bahar et al.
    2019, https://arxiv.org/abs/1911.08870.

    >>> net = Transformer(causal=False, layers=1)
    >>> SpeechTranslator(Recognizer(), net, net).sizes()["layers.upper"]
    1
    """

    speech: Recognizer
    upper: Transformer
    decoder: Transformer

    def __post_init__(self) -> None:
        widths = {self.speech.embed, self.upper.embed, self.decoder.embed}
        if len(widths) > 1:
            raise ValueError(f"embed is {sorted(widths)} in recognizer, upper blocks and decoder: give them one width")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return self.speech.sizes() | sided(self.upper, "upper") | sided(self.decoder, "decoder")

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SpeechTranslatorModel` with its initial parameters, drawn from `rngs.params`."""
        return built(SpeechTranslatorModel, self, rngs.params())


class SpeechTranslatorModel(TextDecoderModel):
    """Frames in, and logits of the tokens out that follow those given; `reading` is for decoding.

    >>> net = Transformer(vocab=9, causal=False, layers=1)
    >>> model = SpeechTranslator(Recognizer(), net, net).build(nnx.Rngs(0))
    >>> model(jnp.zeros((1, 8, 32)), jnp.ones((1, 3), int), mask=jnp.ones((1, 4), bool)).shape
    (1, 3, 9)
    """

    def __init__(self, config: SpeechTranslator, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs)
        u, d = config.upper, config.decoder
        if d.positions == "learned":
            self.decoder.positions.table[...] = jnp.asarray(sinusoids(d.length, d.embed)) * (d.init_std * 2**0.5)
        self.speech = config.speech.build(rngs)
        names = {name: qualified(name, "upper") for name in u.sizes()}
        self.upper = axes.renamed(stack(lambda own: block_of(u, own), u.layers, rngs), names)
        self.upper_norm = Norm(u.norm, "embed", u.embed, eps=u.norm_eps)

    def __call__(
        self,
        inputs_BTM: Float[Array, "B T M"],
        tokens_BN: Int[Array, "B N"],
        *,
        mask: Bool[Array, "B t"],
        key: Key | None = None,
    ) -> Float[Array, "B N V"]:
        """Logits of every token behind `tokens_BN`; `mask` is of pairs of frames."""
        keys = (None, None) if key is None else jax.random.split(key)
        return self.say(tokens_BN, self.encode(inputs_BTM, mask=mask, key=keys[0]), mask=mask, key=keys[1])

    def reading(self, inputs_BTM: Float[Array, "B T M"], mask_Bt: Bool[Array, "B t"]) -> Reading:
        """This model as a `CausalModel` of what it says of some segments."""
        return Reading(self, inputs_BTM, mask_Bt)

    def encode(
        self, inputs_BTM: Float[Array, "B T M"], *, mask: Bool[Array, "B t"], key: Key | None = None
    ) -> Float[Array, "B t E"]:
        """What the decoder attends to."""
        u, keys = self.config.upper, (None, None) if key is None else jax.random.split(key)
        x_BtE, _ = self.speech.features(inputs_BTM, jnp.repeat(mask, 2, axis=1), keys[0])

        def call(block: Any, layer: Any, x_BtE: Any) -> Any:
            return block(x_BtE, None if key is None else jax.random.fold_in(keys[1], layer), mask=mask)

        return self.upper_norm(run_stack(self.upper, call, x_BtE, start=0, stop=u.layers, scan=u.scan, remat=u.remat))
