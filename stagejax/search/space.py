"""A space of subnets of one vision transformer: as masks over its weights, and as networks of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stagejax.models.masks import Masks
from stagejax.models.vit import ViT

Code = tuple[int, ...]
Codes = Int[Array | np.ndarray, "*batch genes"]


@dataclass(frozen=True)
class Space:
    """The subnets of a vision transformer: its first channels with their heads, its first blocks, and in each block the
    first hidden units, so many for each channel.

    A subnet is a code (genes,): the places in `widths`, in `depths`, and for each block of the largest network in
    `ratios`; the ratios of blocks that it lacks say nothing. All heads have one size, that of the largest network.

    Args:
      largest: the network that holds all others.
      widths: of the residual stream, rising to that of the largest network.
      depths: numbers of blocks, rising to that of the largest.
      ratios: hidden units of a feed-forward network for each channel, rising to those of the largest.

    Raises:
      ValueError: a list that does not rise to the largest network's size, or a width that is no whole number of heads.

    References: Yu et al. 2020 (BigNAS), https://arxiv.org/abs/2003.11142; Tang et al. 2023 (ElasticViT),
    https://arxiv.org/abs/2303.09730, section 3.

    >>> space = Space(ViT(embed=32, heads=2, layers=3, mlp=64), widths=(16, 32), depths=(1, 3), ratios=(1, 2))
    >>> space.choices, space.network((0, 1, 0, 1, 0)).sizes()["mlp"]
    ((2, 2, 2, 2, 2), 32)
    >>> float(space.flops(np.array(space.most)) / space.flops(np.array(space.least))) > 10
    True
    """

    largest: ViT
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    ratios: tuple[int, ...]

    def __post_init__(self) -> None:
        net = self.largest
        sizes = {"widths": net.embed, "depths": net.layers, "ratios": net.mlp / net.embed}
        for field, size in sizes.items():
            values = getattr(self, field)
            if list(values) != sorted(set(values)) or values[0] < 1 or values[-1] != size:
                raise ValueError(f"{field}={values} must rise to {size:g}, which is that of the largest network")
        if net.kv_heads not in (None, net.heads) or any(width % self.head for width in self.widths):
            raise ValueError(
                f"widths={self.widths} must be multiples of the head size {self.head}, and kv_heads=None: a subnet has "
                "as many heads as fit into its width"
            )

    @property
    def head(self) -> int:
        """The size of a head."""
        return self.largest.head_dim or self.largest.embed // self.largest.heads

    @property
    def choices(self) -> tuple[int, ...]:
        """How many values each gene has."""
        return (len(self.widths), len(self.depths), *[len(self.ratios)] * self.largest.layers)

    @property
    def least(self) -> Code:
        """The smallest subnet."""
        return (0,) * len(self.choices)

    @property
    def most(self) -> Code:
        """The largest network itself."""
        return tuple(choices - 1 for choices in self.choices)

    def sizes(self, codes: Codes) -> tuple[Any, Any, Any]:
        """Width, depth, and the hidden units of each block (*batch, layers), none in the blocks that a subnet lacks."""
        xp = codes.__array_namespace__()
        width, depth = xp.asarray(self.widths)[codes[..., 0]], xp.asarray(self.depths)[codes[..., 1]]
        there = xp.arange(self.largest.layers) < depth[..., None]
        return width, depth, xp.where(there, xp.asarray(self.ratios)[codes[..., 2:]] * width[..., None], 0)

    def masks(self, code: Int[Array, " genes"]) -> Masks:
        """The masks under which the largest network is the subnet; `code` may be traced."""
        width, depth, hidden_L = self.sizes(code)
        net = self.largest
        there = {
            "embed": jnp.arange(net.embed) < width,
            "kv_heads": jnp.arange(net.heads) < width // self.head,
            "mlp": jnp.arange(net.mlp) < hidden_L[:, None],
            "layers": jnp.arange(net.layers) < depth,
        }
        return {axis: mask.astype(jnp.float32) for axis, mask in there.items()}

    def flops(self, codes: Codes) -> Float[Array | np.ndarray, "*batch"]:
        """FLOPs of matrix multiplications, forward, of one image; in NumPy for NumPy's codes.

        With n patches of P numbers, T tokens, width w, h_l hidden units and C classes
        2 n P w + Σ_l T (8 w² + 4 T w + 4 w h_l) + 2 w C.
        """
        xp = codes.__array_namespace__()
        width, depth, hidden_L = (size.astype("float32") for size in self.sizes(codes))
        net, tokens = self.largest, self.largest.sizes()["position"]
        embedding = 2 * (net.image // net.patch * net.patch) ** 2 * net.channels * width
        attention = depth * tokens * (8 * width**2 + 4 * tokens * width)
        return xp.asarray(embedding + attention + 4 * tokens * width * hidden_L.sum(-1) + 2 * width * net.classes)

    def network(self, code: Code) -> ViT:
        """The subnet as a network of its own; blocks with fewer hidden units than the widest need `own_masks`."""
        width, hidden = self._known(code)
        sizes = {"embed": width, "layers": len(hidden), "heads": width // self.head, "mlp": max(hidden)}
        return replace(self.largest, **sizes, head_dim=self.head)

    def kept(self, code: Code) -> dict[str, tuple[int, ...]]:
        """What the subnet keeps of each axis, for `growth.Subset.of(**kept)`."""
        net = self.network(code).sizes()
        return {axis: tuple(range(net[axis])) for axis in ("embed", "kv_heads", "mlp", "layers")}

    def own_masks(self, code: Code) -> Masks:
        """The masks under which `network(code)` is the subnet: of the hidden units of its blocks."""
        hidden = self._known(code)[1]
        return {"mlp": (jnp.arange(max(hidden)) < jnp.array(hidden)[:, None]).astype(jnp.float32)}

    def _known(self, code: Code) -> tuple[int, list[int]]:
        """Width, and the hidden units of the blocks there are."""
        width, depth, hidden_L = self.sizes(np.array(code))
        return int(width), hidden_L[: int(depth)].tolist()
