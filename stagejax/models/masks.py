"""Masks on hidden vectors: parts of a network switched off, or let in gradually, without another network.

A mask is an array (size,) over a named axis. It multiplies the hidden vectors over that axis: 0 removes a unit, 1 keeps
it. `embed` masks what is embedded, what each block adds and what norms give, whose statistics it weighs; `mlp` masks
the hidden units of the feed-forward network; `kv_heads`, `q_per_kv` and `value_dim` mask what heads give before the
output projection; where products of queries and keys are not scaled, `key_dim` masks the queries. `channels.i` masks
what a convolution gives behind its norm and activation, or adds to a residual; `hidden.i` what a dense layer gives.
Under `layers` stands a gate of each block: `h <- g block(h) + (1 - g) h`. In a decoder or encoder every other axis but
`embed` may have a mask for each layer, (layers, size). A model with several stacks has one gate of each,
`layers.decoder`, and one mask for all their layers.

A network masked by zeros and ones is the smaller network that has only the kept units.

References: Yao et al. 2023 (masked structural growth), https://arxiv.org/abs/2305.02869, section 3.2; as subnets of a
supernet: Yu et al. 2020 (BigNAS), https://arxiv.org/abs/2003.11142.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Array, Float

from stagejax.axes import family

Masks = Mapping[str, Array]

#: The families of axes over which hidden vectors are masked; `layers` gates blocks, `experts` a router's choice.
MASKED = ("embed", "mlp", "kv_heads", "q_per_kv", "key_dim", "value_dim", "channels", "hidden", "experts", "layers")


def masked(x: Float[Array, "*shape"], masks: Masks | None, axes: tuple[str, ...]) -> Float[Array, "*shape"]:
    """`x`, whose last dimensions are `axes`, times the masks of these axes.

    >>> import jax.numpy as jnp
    >>> masked(jnp.ones((2, 2)), {"mlp": jnp.array([1.0, 0.0])}, ("mlp",))
    Array([[1., 0.],
           [1., 0.]], dtype=float32)
    """
    for place, axis in enumerate(reversed(axes)):
        if masks and axis in masks:
            x = x * masks[axis].astype(x.dtype).reshape(-1, *(1,) * place)
    return x


def of_layer(masks: Masks | None, layer: int | Array, stack: str = "layers") -> Masks | None:
    """The masks of one layer of a stack: rows of those that differ from layer to layer, its own gate under `layers`."""
    if masks is None:
        return None
    own = {axis: mask[layer] if mask.ndim == 2 else mask for axis, mask in masks.items() if family(axis) != "layers"}
    return own | ({"layers": masks[stack][layer]} if stack in masks else {})


def gated(after: Float[Array, "*shape"], before: Float[Array, "*shape"], masks: Masks | None) -> Float[Array, "*shape"]:
    """`g after + (1 - g) before` for the gate under `layers`, a scalar; without one, `after`."""
    if not masks or "layers" not in masks:
        return after
    gate = masks["layers"].astype(after.dtype)
    return gate * after + (1 - gate) * before


def check_masks(masks: Masks | None, sizes: Mapping[str, int]) -> None:
    """Whether every mask is over an axis that can be masked, and has its size.

    Raises:
      ValueError: it is not; the error names the axis and the shapes that would do.

    >>> import jax.numpy as jnp
    >>> check_masks({"mlp": jnp.ones(3)}, {"mlp": 4, "layers": 2})
    Traceback (most recent call last):
    ...
    ValueError: the mask of axis 'mlp' has shape (3,): give it (4,) or, for a mask of each layer, (2, 4)
    """
    for axis, mask in (masks or {}).items():
        if family(axis) not in MASKED or axis not in sizes:
            known = [name for kind in MASKED for name in sizes if family(name) == kind]
            raise ValueError(f"axis {axis!r} cannot be masked: choose among {', '.join(known)}")
        fits = [(sizes[axis],)]
        if "layers" in sizes and axis not in ("layers", "embed"):
            fits += [(sizes["layers"], sizes[axis])]
        if mask.shape not in fits:
            each = f" or, for a mask of each layer, {fits[1]}" if fits[1:] else ""
            raise ValueError(f"the mask of axis {axis!r} has shape {mask.shape}: give it {fits[0]}{each}")
