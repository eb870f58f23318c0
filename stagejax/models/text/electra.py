"""A generator and a discriminator of text that share one table of tokens (ELECTRA)."""

from __future__ import annotations

from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.linear import Dense
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class Electra:
    """What such a pair is: an encoder, whose verdicts are s_j = sigmoid(w . gelu(W encoder(x)_j + c) + b), and a
    shallow generator.

    Tables of tokens and of learned positions are the encoder's, for both. The encoder is a whole `LanguageModel`, so
    that what starts from it does not care how it was trained; its language head lies idle here.

    Raises:
      ValueError: one of the two is a decoder, or they cannot share their tables.

    Reference: Clark et al. 2020, https://arxiv.org/abs/2003.10555.

    >>> import jax.numpy as jnp
    >>> from stagejax.models import bert
    >>> model = Electra(bert(layers=2, embed=16, heads=2), bert(layers=1, embed=16, heads=2)).build(nnx.Rngs(0))
    >>> model.verdicts(jnp.ones((3, 5), int)).shape, model.generator.tokens is model.encoder.tokens
    ((3, 5), True)
    """

    encoder: Transformer
    generator: Transformer

    def __post_init__(self) -> None:
        shared = ("vocab", "embed", "length", "positions")
        differ = [name for name in shared if getattr(self.encoder, name) != getattr(self.generator, name)]
        if differ or self.encoder.causal or self.generator.causal:
            raise ValueError(
                "an encoder and a generator share their tables and see whole rows: give it two bert(...) of equal "
                f"{', '.join(shared)}; these differ in {', '.join(differ) or 'none'}"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the encoder."""
        return self.encoder.sizes() | {"verdict": 1}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `Detector`."""
        return built(Detector, self, rngs.params())


class Detector(nnx.Module):
    """The module of `Electra`: `encoder`, `generator` and `detector`. Letters: B batch, T tokens."""

    def __init__(self, config: Electra, rngs: nnx.Rngs) -> None:
        c = config.encoder
        self.config = config
        self.encoder = LanguageModel(c, rngs)
        self.generator = LanguageModel(config.generator, rngs)
        self.generator.tokens, self.generator.positions = self.encoder.tokens, self.encoder.positions
        self.detector = Judge(c.embed, c.init_std, rngs)

    def verdicts(self, tokens_BT: Int[Array, "B T"], key: jax.Array | None = None) -> Float[Array, "B T"]:
        """The logit of each token to be altered."""
        return self.detector(self.encoder.hidden(tokens_BT, key=key))


class Judge(nnx.Module):
    """What says of each token whether it is altered: a layer of the encoder's width and a linear one."""

    def __init__(self, embed: int, std: float, rngs: nnx.Rngs) -> None:
        self.inner = Dense({"embed": embed}, {"embed_out": embed}, std=std, bias=True, rngs=rngs)
        self.output = Dense({"embed_out": embed}, {"verdict": 1}, std=std, bias=True, rngs=rngs)

    def __call__(self, x_BTE: Float[Array, "B T E"]) -> Float[Array, "B T"]:
        return self.output(jax.nn.gelu(self.inner(x_BTE)))[..., 0]
