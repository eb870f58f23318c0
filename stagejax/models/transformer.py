"""The transformer family as declarations: encoders that predict masked tokens, decoders that predict the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from flax import nnx

from stagejax.models.attention import Implementation
from stagejax.models.block import NormPosition
from stagejax.models.mlp import Activation
from stagejax.models.moe import Dispatch, Mixture, Routing
from stagejax.models.norm import NormKind
from stagejax.models.stack import Remat

Positions = Literal["learned", "rotary"]


@dataclass(frozen=True)
class Transformer:
    """What a transformer language model is: sizes and choices, nothing else.

    Raises:
      ValueError: a size that does not fit another, or an unknown choice; the error names the field and the fix.

    >>> Transformer(heads=4, kv_heads=2, embed=64).sizes()["q_per_kv"]
    2
    >>> Transformer(heads=4, kv_heads=3)
    Traceback (most recent call last):
    ...
    ValueError: kv_heads=3 does not divide heads=4: each serves heads / kv_heads query heads. Set kv_heads to 1, 2 or 4.
    """

    vocab: int = 512  # number of token ids
    embed: int = 64  # width of the residual stream
    layers: int = 4  # number of blocks
    heads: int = 4  # query heads
    kv_heads: int | None = None  # key/value heads; None: as many as query heads
    head_dim: int | None = None  # size of a head: of its queries and keys; None: embed // heads
    value_dim: int | None = None  # size of its values; None: as its keys
    mlp: int = 256  # width of the feed-forward network, or of each expert
    experts: int = 0  # in every layer, instead of one feed-forward network; 0: no mixture
    top_k: int = 2  # experts that each token chooses
    routing: Routing = "topk_softmax"  # the weights of the chosen experts; see `MoE`
    capacity: float | None = None  # factor of the tokens that an expert takes; None: it takes all that choose it
    dispatch: Dispatch = "ragged"  # of dropless experts; see `MoE`
    length: int = 64  # number of learned positions: the longest sequence; rotary positions have no limit
    types: int = 0  # number of token types (BERT's sentences A and B); 0: no such table
    causal: bool = True  # decoder that predicts the next token, or encoder with BERT's transform before its head
    norm: NormKind = "layer"
    norm_position: NormPosition = "pre"  # post: also a norm behind the embeddings
    norm_eps: float = 1e-5  # added to the variance
    positions: Positions = "learned"
    rotary_theta: float = 10000.0  # base of the rotary frequencies theta^(-2 i / head_dim)
    activation: Activation = "gelu"
    tied: bool = True  # the head is the token table
    use_bias: bool = True  # on every dense layer and LayerNorm
    qkv_bias: bool | None = None  # on queries, keys and values; None: as use_bias
    dropout: float = 0.0  # probability; of the embeddings and of what each block adds
    init_std: float = 0.02  # standard deviation of initial kernels and tables
    scan: bool = False  # loop over the layers in the program, or unroll them
    remat: Remat | None = None  # recomputed in the backward pass: nothing, whole blocks, or all but dense products
    attention: Implementation = "xla"

    def __post_init__(self) -> None:
        for field in ("vocab", "embed", "layers", "heads", "mlp", "length"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: give a size of at least 1")
        choices = {
            "norm": NormKind,
            "norm_position": NormPosition,
            "positions": Positions,
            "activation": Activation,
            "attention": Implementation,
            "routing": Routing,
            "dispatch": Dispatch,
        }
        for field, choice in choices.items():
            if getattr(self, field) not in get_args(choice):
                raise ValueError(f"{field}={getattr(self, field)!r} is unknown: choose one of {get_args(choice)}")
        if self.remat not in (None, *get_args(Remat)):
            raise ValueError(f"remat={self.remat!r} is unknown: choose None or one of {get_args(Remat)}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout={self.dropout} is no probability below 1")
        if self.experts < 0 or (self.experts and not 1 <= self.top_k <= self.experts):
            raise ValueError(
                f"top_k={self.top_k} of experts={self.experts}: choose top_k between 1 and experts, or experts=0"
            )
        if self.capacity is not None and not self.capacity > 0:
            raise ValueError(f"capacity={self.capacity} must be positive, or None to drop no token")
        if self.head_dim is None and self.embed % self.heads:
            raise ValueError(
                f"heads={self.heads} does not divide embed={self.embed}, so head_dim=None has no value. Set head_dim, "
                f"or embed to a multiple of {self.heads}."
            )
        if self.kv_heads is not None and (self.kv_heads < 1 or self.heads % self.kv_heads):
            fits = [str(k) for k in range(1, self.heads + 1) if self.heads % k == 0]
            raise ValueError(
                f"kv_heads={self.kv_heads} does not divide heads={self.heads}: each serves heads / kv_heads query "
                f"heads. Set kv_heads to {' or '.join([', '.join(fits[:-1]), fits[-1]] if fits[1:] else fits)}."
            )
        if self.positions == "rotary" and self.sizes()["head_dim"] % 2:
            raise ValueError(
                f"head_dim={self.sizes()['head_dim']} is odd, but rotary positions turn pairs of dimensions. Set "
                "head_dim (or embed / heads) to an even number, or positions='learned'."
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters.

        >>> Transformer(causal=False).sizes()["embed_out"]
        64
        """
        kv_heads = self.kv_heads or self.heads
        sizes = {
            "vocab": self.vocab,
            "embed": self.embed,
            "kv_heads": kv_heads,
            "q_per_kv": self.heads // kv_heads,
            "head_dim": self.head_dim or self.embed // self.heads,
            "value_dim": self.value_dim or self.head_dim or self.embed // self.heads,
            "mlp": self.mlp,
            "layers": self.layers,
        }
        if not self.causal:
            sizes["embed_out"] = self.embed
        if self.positions == "learned":
            sizes["position"] = self.length
        if self.types:
            sizes["types"] = self.types
        if self.experts:
            sizes["experts"] = self.experts
        return sizes

    @property
    def mixture(self) -> Mixture | None:
        """The experts of every layer; None without."""
        if not self.experts:
            return None
        return Mixture(self.experts, self.top_k, self.routing, self.capacity, self.dispatch)

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `LanguageModel` with its initial parameters, drawn from `rngs.params`."""
        from stagejax.models.language_model import build

        return build(self, rngs.params())


def bert(**fields: Any) -> Transformer:
    """An encoder as in Devlin et al. 2018 (https://arxiv.org/abs/1810.04805): post-norm, learned positions, GELU, tied.

    >>> bert(embed=768, heads=12).sizes()["head_dim"]
    64
    """
    return Transformer(**{"causal": False, "norm_position": "post", "norm_eps": 1e-12, **fields})


def gpt(**fields: Any) -> Transformer:
    """A decoder as in Radford et al. 2019 (GPT-2): pre-norm, learned positions, approximate GELU, tied.

    >>> gpt().norm_position
    'pre'
    """
    return Transformer(**{"activation": "gelu_tanh", **fields})


def llama(**fields: Any) -> Transformer:
    """A decoder as in Touvron et al. 2023 (https://arxiv.org/abs/2302.13971): RMSNorm, rotary, SwiGLU, no bias, untied.

    >>> llama().positions
    'rotary'
    """
    family = {"norm": "rms", "positions": "rotary", "activation": "swiglu", "use_bias": False, "tied": False}
    return Transformer(**{**family, **fields})
