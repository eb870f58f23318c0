"""Dual encoder of people and sentences: tokens of both into one space, a global feature by their maxima, and prototypes
that both are asked by.

Letters: B images or texts, T tokens, Y and X rows and columns of pixels, P pixel channels, E embed, J joint space, Q
prototypes, F features of one, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.block import Block, pre_norm_block
from stagejax.models.build import built
from stagejax.models.head import Head
from stagejax.models.linear import Dense, Table
from stagejax.models.multimodal.dual_encoder import Tower
from stagejax.models.norm import Norm
from stagejax.models.patches import patches_of
from stagejax.models.stack import Remat, run_stack, stack
from stagejax.models.text.coupled import CrossAttention
from stagejax.models.transformer import Transformer, bert

Tokens = Float[Array, "B T J"]
Seen = Bool[Array, "B T"] | None


@dataclass(frozen=True)
class PersonSearch:
    """What a model for finding people by sentences is.

    Two towers of pre-norm blocks, of patches and of words; a linear map of each (a 1 x 1 convolution) to the joint
    space. A decoder with learned queries, the prototypes, attends to the tokens of either. Heads: masked words, kinds
    of pictures, and the identities that are trained on.

    Raises:
      ValueError: a size that does not fit another; the error names the field.

    References: Shao et al. 2023 (UniPT), https://arxiv.org/abs/2309.01420, section 3; the prototypes: Shao et al. 2022
    (LGUR), https://arxiv.org/abs/2207.07802, section 3.3.

    >>> PersonSearch().sizes()["position.image"]
    32
    """

    height: int = 40
    width: int = 20
    channels: int = 3
    patch: int = 5
    vocab: int = 64
    length: int = 24  # tokens of a text
    pad: int = 0  # the token that is no part of a text
    image: Tower = field(default_factory=lambda: Tower(3, 48, 192))
    text: Tower = field(default_factory=lambda: Tower(2, 48, 192))
    joint: int = 48
    head_dim: int = 16
    kinds: int = 10  # classes of pictures
    identities: int = 10  # trained on
    queries: int = 6
    layers: int = 2  # of the decoder
    features: int = 16  # of a prototype
    norm_eps: float = 1e-5
    init_std: float = 0.05  # standard deviation of initial kernels and tables
    scan: bool = False
    remat: Remat | None = None

    def __post_init__(self) -> None:
        if self.height % self.patch or self.width % self.patch:
            raise ValueError(f"patch={self.patch} does not divide height={self.height} and width={self.width}")
        for name, size in (("image", self.image.embed), ("text", self.text.embed), ("joint", self.joint)):
            if size % self.head_dim:
                raise ValueError(f"head_dim={self.head_dim} does not divide the width {size} of {name}")

    @property
    def decoder(self) -> Transformer:
        """What the decoder's blocks are."""
        heads = self.joint // self.head_dim
        return bert(vocab=1, layers=self.layers, embed=self.joint, heads=heads, mlp=4 * self.joint, length=self.queries)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        sizes = {
            "patch_row": self.patch,
            "patch_column": self.patch,
            "pixel": self.channels,
            "position.image": self.height * self.width // self.patch**2,
            "vocab": self.vocab,
            "position.text": self.length,
            "q_per_kv": 1,
            "head_dim": self.head_dim,
            "value_dim": self.head_dim,
            "joint": self.joint,
            "query": self.queries,
            "feature": self.features,
            "classes.kind": self.kinds,
            "classes.identity": self.identities,
            "layers.query": self.layers,
            "kv_heads.query": self.joint // self.head_dim,
            "mlp.query": 4 * self.joint,
        }
        for name, tower in (("image", self.image), ("text", self.text)):
            heads = tower.embed // self.head_dim
            sizes |= {f"embed.{name}": tower.embed, f"layers.{name}": tower.layers}
            sizes |= {f"kv_heads.{name}": heads, f"mlp.{name}": tower.mlp}
        return sizes | {"embed_out": self.text.embed}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `PersonSearchModel` with its initial parameters, drawn from `rngs.params`."""
        return built(PersonSearchModel, self, rngs.params())


class Encoder(nnx.Module):
    """One tower: what enters it, positions, blocks, and the map to the joint space."""

    def __init__(self, config: PersonSearch, name: str, enter: nnx.Module, rngs: nnx.Rngs) -> None:
        self.config, self.own = config, getattr(config, name)
        embed, std = {f"embed.{name}": self.own.embed}, config.init_std
        self.enter = enter
        positions = Table(f"position.{name}", config.sizes()[f"position.{name}"], self.own.embed, std=std, rngs=rngs)
        self.positions = axes.renamed(positions, {"embed": f"embed.{name}"})
        names = {axis: f"{axis}.{name}" for axis in ("embed", "kv_heads", "mlp")}
        make: Callable[[nnx.Rngs], Block] = lambda own: axes.renamed(self._block(own), names)  # noqa: E731
        self.blocks = stack(make, self.own.layers, rngs, f"layers.{name}")
        self.norm = Norm("layer", f"embed.{name}", self.own.embed, eps=config.norm_eps)
        self.projection = Dense(embed, {"joint": config.joint}, std=self.own.embed**-0.5, bias=True, rngs=rngs)

    def _block(self, rngs: nnx.Rngs) -> Block:
        c, own = self.config, self.own
        sizes = own.embed, own.embed // c.head_dim, c.head_dim, own.mlp
        return pre_norm_block(*sizes, eps=c.norm_eps, std=c.init_std, rngs=rngs)

    def __call__(self, entered: Any, mask: Seen = None) -> Float[Array, "B T E"]:
        """The stream behind the last norm."""
        x_BTE = self.enter(entered)
        x_BTE = x_BTE + self.positions.table[...][: x_BTE.shape[1]]
        call = lambda block, _, x_BTE: block(x_BTE, mask=mask)  # noqa: E731
        how: dict[str, Any] = {"start": 0, "stop": self.own.layers, "scan": self.config.scan}
        return self.norm(run_stack(self.blocks, call, x_BTE, remat=self.config.remat, **how))


class Prototypes(nnx.Module):
    """Learned queries that attend to the tokens of an image or a text, by one decoder; each has its own map outward."""

    def __init__(self, config: PersonSearch, rngs: nnx.Rngs) -> None:
        self.config, c = config, config.decoder
        names = {"embed": "joint", **{axis: f"{axis}.query" for axis in ("kv_heads", "mlp")}}
        sizes, std = (c.sizes()[axis] for axis in ("embed", "kv_heads", "q_per_kv", "head_dim", "mlp")), config.init_std
        own = tuple(sizes)
        how: dict[str, Any] = {"norm": "layer", "norm_position": "post", "norm_eps": c.norm_eps, "activation": "gelu"}
        how |= {"bias": True, "dropout": 0.0, "std": std, "std_out": std}
        block = lambda rngs: axes.renamed(Block(*own, rngs=rngs, **how), names)  # noqa: E731
        cross = lambda rngs: axes.renamed(CrossAttention(c, rngs), names)  # noqa: E731
        shape = (config.queries, config.joint)
        self.queries = axes.param(jax.random.normal(rngs.params(), shape), reads=("query",), writes=("joint",))
        self.blocks = stack(block, c.layers, rngs, "layers.query")
        self.cross = stack(cross, c.layers, rngs, "layers.query")
        kernel = jax.random.normal(rngs.params(), (*shape, config.features)) * config.joint**-0.5
        self.outward = axes.param(kernel, reads=("query", "joint"), writes=("feature",))

    def __call__(self, tokens_BTJ: Tokens, mask: Seen = None) -> Float[Array, "B Q F"]:
        """The features that each prototype finds."""
        c, shape = self.config.decoder, (len(tokens_BTJ), *self.queries[...].shape)

        def call(pair: Any, _: Any, x_BQJ: Any) -> Any:
            block, cross = pair
            return block.fed(cross(block.attended(x_BQJ), *cross.seen(tokens_BTJ), mask))[0]

        how: dict[str, Any] = {"start": 0, "stop": c.layers, "scan": self.config.scan}
        x_BQJ = run_stack(nnx.List([self.blocks, self.cross]), call, jnp.broadcast_to(self.queries[...], shape), **how)
        return jnp.einsum("bqj,qjf->bqf", x_BQJ, self.outward[...])


class PersonSearchModel(nnx.Module):
    """The module of `PersonSearch`. Its parts are `image`, `text`, `prototypes`, and the heads `words`, `kind`,
    `identity` and `part_identity`.

    >>> model = PersonSearch().build(nnx.Rngs(0))
    >>> model(jnp.zeros((2, 40, 20, 3)), jnp.ones((5, 24), int)).shape
    (2, 5)
    """

    def __init__(self, config: PersonSearch, rngs: nnx.Rngs) -> None:
        self.config = c = config
        pixels = {"patch_row": c.patch, "patch_column": c.patch, "pixel": c.channels}
        entry = Dense(pixels, {"embed.image": c.image.embed}, std=c.init_std, bias=True, rngs=rngs)
        table = Table("vocab", c.vocab, c.text.embed, std=c.init_std, rngs=rngs)
        self.image = Encoder(c, "image", entry, rngs)
        self.text = Encoder(c, "text", axes.renamed(table, {"embed": "embed.text"}), rngs)
        how: dict[str, Any] = {"tied": False, "transform": True, "bias": True, "norm": "layer", "use_bias": True}
        words = Head(c.text.embed, c.vocab, norm_eps=c.norm_eps, std=c.init_std, rngs=rngs, **how)
        self.words = axes.renamed(words, {"embed": "embed.text"})
        joint, std = {"joint": c.joint}, c.joint**-0.5
        self.kind = Dense(joint, {"classes.kind": c.kinds}, std=std, bias=True, rngs=rngs)
        self.identity = Dense(joint, {"classes.identity": c.identities}, std=std, bias=True, rngs=rngs)
        self.prototypes = Prototypes(c, rngs)
        kernel = jax.random.normal(rngs.params(), (c.queries, c.features, c.identities)) * c.features**-0.5
        self.part_identity = axes.param(kernel, reads=("query", "feature"), writes=("classes.identity",))

    def __call__(self, images_BYXP: Float[Array, "B Y X P"], tokens_NT: Int[Array, "N T"]) -> Float[Array, "B N"]:
        """The cosine of the global features of every image and every text."""
        return self.image_vectors(images_BYXP) @ self.text_vectors(tokens_NT).T

    def image_vectors(self, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, "B J"]:
        """The global features of images, as unit vectors."""
        return _unit(whole(*self.image_tokens(images_BYXP)))

    def text_vectors(self, tokens_BT: Int[Array, "B T"]) -> Float[Array, "B J"]:
        """The global features of texts, as unit vectors."""
        return _unit(whole(*self.text_tokens(tokens_BT)))

    def image_tokens(self, images_BYXP: Float[Array, "B Y X P"]) -> tuple[Tokens, Seen]:
        """The patches in the joint space; all of them are there."""
        x_BTE = self.image(patches_of(images_BYXP, self.config.patch))
        return self.image.projection(x_BTE), None

    def text_tokens(self, tokens_BT: Int[Array, "B T"]) -> tuple[Tokens, Seen]:
        """The words in the joint space, and where there are any.

        Raises:
          ValueError: texts that are longer than `length`.
        """
        if tokens_BT.shape[1] > self.config.length:
            raise ValueError(f"texts of {tokens_BT.shape[1]} tokens, but the model has length={self.config.length}")
        real_BT = tokens_BT != self.config.pad
        return self.text.projection(self.text(tokens_BT, real_BT)), real_BT

    def masked_words(self, tokens_BT: Int[Array, "B T"]) -> Float[Array, "B T V"]:
        """Logits of the word at every place, of the text tower alone."""
        return self.words(self.text(tokens_BT, tokens_BT != self.config.pad), self.text.enter)

    def whole(self, tokens_BTJ: Tokens, mask: Seen = None) -> Float[Array, "B J"]:
        """The global feature of tokens in the joint space; see `whole`."""
        return whole(tokens_BTJ, mask)

    def part_logits(self, features_BQF: Float[Array, "B Q F"]) -> Float[Array, "B Q C"]:
        """Logits of the identities, by what each prototype finds."""
        return jnp.einsum("bqf,qfc->bqc", features_BQF, self.part_identity[...])


def whole(tokens_BTJ: Tokens, mask: Seen = None) -> Float[Array, "B J"]:
    """The global feature: the largest value over the tokens that are there.

    >>> whole(jnp.array([[[1.0, -2.0], [0.0, 5.0]]]), jnp.array([[True, False]])).tolist()
    [[1.0, -2.0]]
    """
    if mask is None:
        return tokens_BTJ.max(1)
    return jnp.where(mask[..., None], tokens_BTJ, jnp.finfo(tokens_BTJ.dtype).min).max(1)


def _unit(x_BJ: Float[Array, "B J"]) -> Float[Array, "B J"]:
    return x_BJ * jax.lax.rsqrt(jnp.sum(x_BJ * x_BJ, -1, keepdims=True) + 1e-12)
