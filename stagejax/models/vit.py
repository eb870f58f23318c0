"""Vision transformer: images to logits, from the same blocks as the language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from stagejax import axes
from stagejax.models.attention import Implementation
from stagejax.models.block import Block, Key, dropout
from stagejax.models.build import built
from stagejax.models.linear import Dense, Table
from stagejax.models.masks import of_layer
from stagejax.models.mlp import Activation
from stagejax.models.norm import Norm, NormKind
from stagejax.models.patches import patches_of
from stagejax.models.stack import Remat, run_stack, stack

Pool = Literal["mean", "class"]
Distilled = Literal["token", "head"]
Masks = Mapping[str, Array]


@dataclass(frozen=True)
class ViT:
    """What a vision transformer is: sizes and choices, nothing else. Its blocks are pre-norm.

    Raises:
      ValueError: a size that does not fit another, or an unknown choice; the error names the field and the fix.

    References: Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929; Touvron et al. 2020 (distillation token),
    https://arxiv.org/abs/2012.12877.

    >>> ViT(image=28, patch=7).sizes()["position"]
    16
    >>> ViT(image=28, patch=8)
    Traceback (most recent call last):
    ...
    ValueError: patch=8 does not divide image=28. Set patch to 1, 2, 4, 7, 14 or 28.
    """

    image: int = 28  # height and width in pixels
    channels: int = 1  # of a pixel
    patch: int = 7  # height and width of a patch in pixels
    classes: int = 10
    embed: int = 48  # width of the residual stream
    layers: int = 4  # number of blocks
    heads: int = 3  # query heads
    kv_heads: int | None = None  # key/value heads; None: as many as query heads
    head_dim: int | None = None  # size of a head: of its queries and keys; None: embed // heads
    value_dim: int | None = None  # size of its values; None: as its keys
    mlp: int = 192  # width of the feed-forward network
    pool: Pool = "mean"  # the head reads the mean of all tokens, or a class token of its own
    distilled: Distilled | None = None  # a second token behind the class token; "head": and a head that reads it
    norm: NormKind = "layer"
    norm_eps: float = 1e-6  # added to the variance
    activation: Activation = "gelu"
    use_bias: bool = True  # on every dense layer and LayerNorm
    dropout: float = 0.0  # probability; of the tokens and of what each block adds
    drop_path: float = 0.0  # probability that an image skips the last block; lower blocks less, in proportion to depth
    init_std: float = 0.02  # standard deviation of initial kernels and tables
    scan: bool = False  # loop over the layers in the program, or unroll them
    remat: Remat | None = None  # recomputed in the backward pass: nothing, whole blocks, or all but dense products
    attention: Implementation = "xla"

    def __post_init__(self) -> None:
        for field in ("image", "channels", "patch", "classes", "embed", "layers", "heads", "mlp"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: give a size of at least 1")
        choices = {"pool": Pool, "norm": NormKind, "activation": Activation, "attention": Implementation}
        choices |= {} if self.distilled is None else {"distilled": Distilled}
        for field, choice in choices.items():
            if getattr(self, field) not in get_args(choice):
                raise ValueError(f"{field}={getattr(self, field)!r} is unknown: choose one of {get_args(choice)}")
        if self.image % self.patch:
            fits = [str(p) for p in range(1, self.image + 1) if self.image % p == 0]
            raise ValueError(
                f"patch={self.patch} does not divide image={self.image}. Set patch to {', '.join(fits[:-1])} or "
                f"{fits[-1]}."
            )
        if self.head_dim is None and self.embed % self.heads:
            raise ValueError(
                f"heads={self.heads} does not divide embed={self.embed}, so head_dim=None has no value. Set head_dim, "
                f"or embed to a multiple of {self.heads}."
            )
        if self.kv_heads is not None and (self.kv_heads < 1 or self.heads % self.kv_heads):
            raise ValueError(
                f"kv_heads={self.kv_heads} does not divide heads={self.heads}: each serves heads / kv_heads query heads"
            )
        if self.distilled is not None and self.pool != "class":
            raise ValueError(f"distilled={self.distilled!r} is a token behind a class token: set pool='class'")
        for field in ("dropout", "drop_path"):
            if not 0.0 <= getattr(self, field) < 1.0:
                raise ValueError(f"{field}={getattr(self, field)} is no probability below 1")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        kv_heads = self.kv_heads or self.heads
        return {
            "patch_row": self.patch,
            "patch_column": self.patch,
            "pixel": self.channels,
            "position": (self.image // self.patch) ** 2 + (self.pool == "class") + (self.distilled is not None),
            "embed": self.embed,
            "kv_heads": kv_heads,
            "q_per_kv": self.heads // kv_heads,
            "head_dim": self.head_dim or self.embed // self.heads,
            "value_dim": self.value_dim or self.head_dim or self.embed // self.heads,
            "mlp": self.mlp,
            "layers": self.layers,
            "classes": self.classes,
        }

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `VisionTransformer` with its initial parameters, drawn from `rngs.params`."""
        return built(VisionTransformer, self, rngs.params())


class VisionTransformer(nnx.Module):
    """Images to logits. It computes in the dtype of its parameters.

    Letters: B batch, Y and X rows and columns of pixels, P pixel channels, T tokens, E embed, C classes.

    >>> model = ViT(layers=2).build(nnx.Rngs(0))
    >>> model(jnp.zeros((3, 28, 28, 1))).shape
    (3, 10)
    """

    def __init__(self, config: ViT, rngs: nnx.Rngs) -> None:
        self.config = config
        c, sizes = config, config.sizes()
        E, std = c.embed, c.init_std
        pixels = {name: sizes[name] for name in ("patch_row", "patch_column", "pixel")}
        self.patches = Dense(pixels, {"embed": E}, std=std, bias=c.use_bias, rngs=rngs)
        self.positions = Table("position", sizes["position"], E, std=std, rngs=rngs)

        def token() -> nnx.Param:
            return axes.param(std * jax.random.normal(rngs.params(), (E,)), writes=("embed",))

        self.class_token = token() if c.pool == "class" else None
        self.distilled_token = None if c.distilled is None else token()

        def block(rngs: nnx.Rngs) -> Block:
            return Block(
                *(sizes[name] for name in ("embed", "kv_heads", "q_per_kv", "head_dim", "mlp")),
                norm=c.norm,
                norm_position="pre",
                norm_eps=c.norm_eps,
                activation=c.activation,
                bias=c.use_bias,
                dropout=c.dropout,
                value_dim=sizes["value_dim"],
                std=std,
                std_out=std,
                rngs=rngs,
                implementation=c.attention,
            )

        self.blocks = stack(block, c.layers, rngs)
        self.norm = Norm(c.norm, "embed", E, eps=c.norm_eps, bias=c.use_bias)
        self.head = Dense({"embed": E}, {"classes": c.classes}, std=std, bias=True, rngs=rngs)
        second = c.distilled == "head"
        self.distilled_head = (
            Dense({"embed": E}, {"classes": c.classes}, std=std, bias=True, rngs=rngs) if second else None
        )

    def __call__(self, images_BYXP: Float[Array, "B Y X P"], **options: Any) -> Float[Array, "B C"]:
        """Logits; the options are those of `features`."""
        return self.logits(self.features(images_BYXP, **options))

    def features(
        self,
        images_BYXP: Float[Array, "B Y X P"],
        *,
        key: Key | None = None,
        masks: Masks | None = None,
        layers: Sequence[int] | None = None,
        depth: int | None = None,
        stop_below: int = 0,
    ) -> Float[Array, "B *heads E"]:
        """What the head reads: the pooled tokens behind the last block and the final norm.

        Args:
          key: draws dropout and skipped blocks; without one there are none.
          masks: multiplies hidden vectors, by axis, in all blocks or (two-dimensional) block by block; under `layers`
            the gate of each block.
          layers: block l of the network is row `layers[l]` of the stacked parameters, so that several share one.
          depth: run only the bottom `depth` blocks of the network.
          stop_below: no gradient reaches the bottom `stop_below` blocks, nor the tokens through them.
        """
        key_tokens, key_blocks = (None, None) if key is None else jax.random.split(key)
        x_BTE = dropout(self.tokens(images_BYXP), self.config.dropout, key_tokens)
        total = self.config.layers if layers is None else len(layers)
        depth = total if depth is None else depth
        if not 1 <= depth <= total or not 0 <= stop_below <= depth:
            raise ValueError(
                f"depth={depth} and stop_below={stop_below} in a network of {total} blocks: need 1 <= depth <= {total} "
                "and 0 <= stop_below <= depth"
            )
        for start, stop in ((0, stop_below), (stop_below, depth)):
            x_BTE = jax.lax.stop_gradient(x_BTE) if stop_below and start == stop_below else x_BTE
            x_BTE = self.encode(x_BTE, start, stop, key=key_blocks, masks=masks, layers=layers)
        return self.pool(x_BTE, masks)

    def dense(self, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, "B T E"]:
        """The features of every patch, row by row: tokens behind the last block and the final norm, but for the first.

        >>> ViT(layers=1).build(nnx.Rngs(0)).dense(jnp.zeros((2, 28, 28, 1))).shape
        (2, 16, 48)
        """
        first = (self.class_token is not None) + (self.distilled_token is not None)
        return self.norm(self.encode(self.tokens(images_BYXP)))[:, first:]

    def tokens(self, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, "B T E"]:
        """The stream before the first block: patches, behind the class token if there is one, and their positions.

        Raises:
          ValueError: images of another size than the model's.
        """
        c = self.config
        B = images_BYXP.shape[0]
        if images_BYXP.shape[1:] != (c.image, c.image, c.channels):
            raise ValueError(
                f"images of shape {images_BYXP.shape[1:]}, but the model has image={c.image} and channels={c.channels}"
            )
        x_BTE = self.patches(patches_of(images_BYXP, c.patch))
        first = [token[...] for token in (self.class_token, self.distilled_token) if token is not None]
        if first:
            x_BTE = jnp.concatenate([jnp.broadcast_to(jnp.stack(first), (B, len(first), c.embed)), x_BTE], axis=1)
        return self.placed(x_BTE)

    def placed(self, x_BTE: Float[Array, "B T E"]) -> Float[Array, "B T E"]:
        """Tokens that know their positions."""
        return x_BTE + self.positions.table[...]

    def encode(
        self,
        x_BTE: Float[Array, "B T E"],
        start: int = 0,
        stop: int | None = None,
        *,
        key: Key | None = None,
        masks: Masks | None = None,
        layers: Sequence[int] | None = None,
        frozen: bool = False,
    ) -> Float[Array, "B T E"]:
        """The stream through the blocks start..stop-1 of the network; the options are those of `features`.

        Gradients pass through `frozen` blocks and do not reach their parameters.

        A block that an image skips, or whose gate is below one, gives `gate * block(x) + (1 - gate) * x`.

        Reference of skipped blocks: Huang et al. 2016 (stochastic depth), https://arxiv.org/abs/1603.09382.
        """
        total = self.config.layers if layers is None else len(layers)
        blocks = self.blocks if layers is None else _shared(self.blocks, layers)
        blocks = _frozen(blocks) if frozen else blocks
        gates, rate = None if masks is None else masks.get("layers"), self.config.drop_path

        def call(block: Block, layer: Any, x_BTE: Any) -> Any:
            own = None if key is None else jax.random.fold_in(key, layer)
            y_BTE = block(x_BTE, own, **({} if masks is None else {"masks": of_layer(masks, layer)}))
            gate = _keep(rate * layer / max(total - 1, 1), own, x_BTE) if rate else 1.0
            gate = gate if gates is None else gate * gates[layer]
            return y_BTE if isinstance(gate, float) else gate * y_BTE + (1 - gate) * x_BTE

        stop, c = total if stop is None else stop, self.config
        return run_stack(blocks, call, x_BTE, start=start, stop=stop, scan=c.scan, remat=c.remat)

    def pool(self, x_BTE: Float[Array, "B T E"], masks: Masks | None = None) -> Float[Array, "B *heads E"]:
        """The final norm, and the class token or the mean of all tokens; with a second head, class and second token."""
        x_BTE = self.norm(x_BTE, **({} if masks is None else {"mask": masks.get("embed")}))
        if self.distilled_head is not None:
            return x_BTE[:, :2]
        return x_BTE[:, 0] if self.class_token is not None else x_BTE.mean(1)

    def logits(self, x_BE: Float[Array, "B *heads E"]) -> Float[Array, "B C"]:
        """The head on what `features` returns; of two heads the mean."""
        if self.distilled_head is None:
            return self.head(x_BE)
        return (self.head(x_BE[:, 0]) + self.distilled_head(x_BE[:, 1])) / 2


@dataclass(frozen=True)
class UnplacedViT(ViT):
    """A vision transformer that is not told where a patch is: without its position table, which nothing reads.

    >>> model = UnplacedViT.of(ViT(layers=1)).build(nnx.Rngs(0))
    >>> image = jnp.arange(28.0**2).reshape(1, 28, 28, 1)
    >>> turned = jnp.roll(image, 7, axis=2)  # by one patch
    >>> bool(jnp.allclose(model(image), model(turned), atol=1e-5))
    True
    """

    @classmethod
    def of(cls, config: ViT) -> UnplacedViT:
        """The same sizes and choices."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(config)})

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `UnplacedTransformer` with its initial parameters, drawn from `rngs.params`."""
        return built(UnplacedTransformer, self, rngs.params())


class UnplacedTransformer(VisionTransformer):
    """The module of `UnplacedViT`."""

    def placed(self, x_BTE: Float[Array, "B T E"]) -> Float[Array, "B T E"]:
        return x_BTE


def _shared(blocks: nnx.Module, layers: Sequence[int]) -> nnx.Module:
    """The stacked blocks whose row l is row `layers[l]` of these; gradients of rows that share one are added up."""
    graphdef, params = nnx.split(blocks)
    rows = jnp.asarray(layers, jnp.int32)
    return nnx.merge(graphdef, jax.tree.map(lambda leaf: jnp.take(leaf, rows, axis=0, mode="clip"), params))


def _frozen(blocks: nnx.Module) -> nnx.Module:
    """The same blocks, with constants for parameters."""
    graphdef, params = nnx.split(blocks)
    return nnx.merge(graphdef, jax.tree.map(jax.lax.stop_gradient, params))


def _keep(rate: Float[Array, ""] | float, key: Key | None, x_BTE: Float[Array, "B T E"]) -> Array | float:
    """For each image 1 / (1 - rate) with probability 1 - rate, otherwise 0; without a key, 1."""
    if key is None:
        return 1.0
    kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 1.0 - rate, (x_BTE.shape[0], 1, 1))
    return (kept / (1.0 - rate)).astype(x_BTE.dtype)
