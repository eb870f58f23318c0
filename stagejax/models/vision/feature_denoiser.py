"""One transformer block on a grid of features: to denoise them, or under a linear head to classify every patch.

Letters: B images, T patches, E features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from flax import nnx
from jaxtyping import Array, Float

from stagejax.models.block import Key, pre_norm_block
from stagejax.models.build import built
from stagejax.models.linear import Dense, Table


@dataclass(frozen=True)
class FeatureDenoiser:
    """block(features + positions): as many features of as many patches. With `classes`, logits of each patch.

    Args:
      grid: patches along a side.
      embed: width of the features.
      heads: of the block; the paper has one for every 64 features.
      mlp: its hidden units; None: four times `embed`.
      classes: of a linear head on every patch.

    Raises:
      ValueError: heads do not divide the features.

    Reference: Yang et al. 2024 (DVT), https://arxiv.org/abs/2401.02957, section 4.2.

    >>> FeatureDenoiser(grid=12, embed=64).sizes()["position"]
    144
    """

    grid: int
    embed: int
    heads: int = 1
    mlp: int | None = None
    classes: int | None = None
    init_std: float = 0.02  # standard deviation of initial kernels and positions

    def __post_init__(self) -> None:
        if self.embed % self.heads:
            raise ValueError(f"heads={self.heads} does not divide embed={self.embed}")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        head = {"kv_heads": self.heads, "q_per_kv": 1, "head_dim": self.embed // self.heads}
        classes = {} if self.classes is None else {"classes": self.classes}
        return {"position": self.grid**2, "embed": self.embed, "mlp": self.mlp or 4 * self.embed} | head | classes

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `Denoiser` with its initial parameters, drawn from `rngs.params`."""
        return built(Denoiser, self, rngs.params())


class Denoiser(nnx.Module):
    """The module of `FeatureDenoiser`.

    >>> import jax
    >>> FeatureDenoiser(grid=4, embed=8).build(nnx.Rngs(0))(jax.numpy.zeros((3, 16, 8))).shape
    (3, 16, 8)
    """

    def __init__(self, config: FeatureDenoiser, rngs: nnx.Rngs) -> None:
        self.config = c = config
        sizes, std = c.sizes(), c.init_std
        self.positions = Table("position", sizes["position"], c.embed, std=std, rngs=rngs)
        own = (sizes[name] for name in ("embed", "kv_heads", "head_dim", "mlp"))
        self.block = pre_norm_block(*own, eps=1e-6, std=std, rngs=rngs)
        head = partial(Dense, {"embed": c.embed}, std=std, bias=True, rngs=rngs)
        self.head = None if c.classes is None else head({"classes": c.classes})

    def __call__(self, maps_BTE: Float[Array, "B T E"], key: Key | None = None) -> Float[Array, "B T out"]:
        found_BTE = self.block(maps_BTE + self.positions.table[...], key)
        return found_BTE if self.head is None else self.head(found_BTE)
