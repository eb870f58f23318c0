"""A vision transformer that learns by completing images of which it sees a few patches.

Letters: B images, T patches, K patches that are seen, E and D width of encoder and decoder, Y, X and P as in `vit`.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.block import Block, pre_norm_block
from stagejax.models.build import built
from stagejax.models.linear import Dense, Table
from stagejax.models.patches import patches_of
from stagejax.models.stack import run_stack, stack
from stagejax.models.vit import ViT


@dataclass(frozen=True)
class MaskedAutoencoder:
    """An encoder of the patches that are seen, and a narrow decoder of all of them.

    Args:
      encoder: the network that is wanted; without a class token.
      seen: share of the patches that it sees in training.
      embed, layers, heads: of the decoder, whose feed-forward networks are four times as wide.

    Raises:
      ValueError: the encoder has a class token, or no patch would be seen or none hidden.

    Reference: He et al. 2022 (MAE), https://arxiv.org/abs/2111.06377.

    >>> MaskedAutoencoder(ViT(image=28, patch=7), seen=0.25).shown
    4
    """

    encoder: ViT
    seen: float = 0.25
    embed: int = 32
    layers: int = 1
    heads: int = 2
    init_std: float = 0.02  # standard deviation of the decoder's initial kernels and positions

    def __post_init__(self) -> None:
        if self.encoder.pool == "class":
            raise ValueError("the encoder has a class token, which no loss here would train: set pool='mean'")
        if not 1 <= self.shown < self.patches:
            raise ValueError(f"seen={self.seen} shows {self.shown} of {self.patches} patches: show some, hide some")

    @property
    def patches(self) -> int:
        """Patches of an image."""
        return (self.encoder.image // self.encoder.patch) ** 2

    @property
    def shown(self) -> int:
        """How many of them the encoder sees."""
        return round(self.seen * self.patches)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        head = {"kv_heads.decoder": self.heads, "q_per_kv.decoder": 1}
        head |= dict.fromkeys(("head_dim.decoder", "value_dim.decoder"), self.embed // self.heads)
        own = {"embed.decoder": self.embed, "mlp.decoder": 4 * self.embed, "layers.decoder": self.layers}
        pixels = {"pixels": self.encoder.patch**2 * self.encoder.channels}
        return self.encoder.sizes() | own | head | pixels

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `Autoencoder` with its initial parameters, drawn from `rngs.params`."""
        return built(Autoencoder, self, rngs.params())


class Autoencoder(nnx.Module):
    """The module of `MaskedAutoencoder`: `encoder`, a `VisionTransformer`, and what is needed beside it in training.

    >>> model = MaskedAutoencoder(ViT(image=28, patch=7)).build(nnx.Rngs(0))
    >>> model.completed(jnp.zeros((2, 28, 28, 1)), jnp.zeros((2, 4), int)).shape
    (2, 16, 49)
    """

    def __init__(self, config: MaskedAutoencoder, rngs: nnx.Rngs) -> None:
        self.config, std = config, config.init_std
        c, sizes, outer = config, config.sizes(), config.encoder.embed
        self.encoder = config.encoder.build(rngs)
        self.narrow = Dense({"embed": outer}, {"embed.decoder": c.embed}, std=std, bias=True, rngs=rngs)
        self.hidden = axes.param(std * jax.random.normal(rngs.params(), (c.embed,)), writes=("embed.decoder",))
        self.positions = axes.renamed(
            Table("position", c.patches, c.embed, std=std, rngs=rngs), {"embed": "embed.decoder"}
        )

        def block(rngs: nnx.Rngs) -> Block:
            own = pre_norm_block(c.embed, c.heads, c.embed // c.heads, 4 * c.embed, eps=1e-6, std=std, rngs=rngs)
            names = ("embed", "kv_heads", "q_per_kv", "head_dim", "value_dim", "mlp")
            return axes.renamed(own, {name: f"{name}.decoder" for name in names})

        self.blocks = axes.renamed(stack(block, c.layers, rngs), {"layers": "layers.decoder"})
        self.pixels = Dense({"embed.decoder": c.embed}, {"pixels": sizes["pixels"]}, std=std, bias=True, rngs=rngs)

    def completed(self, images_BYXP: Float[Array, "B Y X P"], seen_BK: Int[Array, "B K"]) -> Float[Array, "B T pixels"]:
        """Every patch of each image, from those that are seen."""
        tokens_BTE = self.encoder.tokens(images_BYXP)
        seen_BKE = jnp.take_along_axis(tokens_BTE, seen_BK[:, :, None], axis=1)
        known_BKD = self.narrow(self.encoder.norm(self.encoder.encode(seen_BKE)))
        B, T, _ = tokens_BTE.shape
        all_BTD = jnp.broadcast_to(self.hidden[...], (B, T, self.config.embed))
        all_BTD = all_BTD.at[jnp.arange(B)[:, None], seen_BK].set(known_BKD) + self.positions.table[...]
        c = self.config
        all_BTD = run_stack(self.blocks, lambda block, _, x: block(x), all_BTD, start=0, stop=c.layers)
        return self.pixels(all_BTD)

    def pixels_of(self, images_BYXP: Float[Array, "B Y X P"]) -> Float[Array, "B T pixels"]:
        """The pixels of every patch, row by row: what `completed` should give."""
        found = patches_of(images_BYXP, self.config.encoder.patch)
        return found.reshape(*found.shape[:2], -1)
