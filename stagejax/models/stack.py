"""Blocks stacked along `layers`: made together, and run one after the other, unrolled or by a scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax import axes

Remat = Literal["full", "dots"]
Carry = Any


def stack(make: Callable[[nnx.Rngs], nnx.Module], layers: int, rngs: nnx.Rngs, axis: str = "layers") -> nnx.Module:
    """`layers` blocks, each from its own key, as one module whose parameters have `axis` as their leading axis.

    >>> from stagejax.models.norm import Norm
    >>> blocks = stack(lambda rngs: Norm("rms", "embed", 8, eps=1e-6), 3, nnx.Rngs(0))
    >>> print(blocks.gain[...].shape, axes.axes_of(blocks)["gain"])
    (3, 8) #layers *embed
    """
    graphdef, _ = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    # A loop, because random draws in a batch take longer to compile.
    draw = lambda key: nnx.to_pure_dict(nnx.state(make(nnx.Rngs(params=key))))  # noqa: E731
    blocks = nnx.merge(graphdef, jax.lax.map(draw, jax.random.split(rngs.params(), layers)))
    axes.stack_axes(blocks, axis)
    return blocks


def run_stack(
    blocks: nnx.Module,
    call: Callable[[Any, Any, Carry], Carry],
    carry: Carry,
    *,
    start: int,
    stop: int,
    scan: bool = False,
    remat: Remat | None = None,
) -> Carry:
    """`carry = call(block_i, i, carry)` for i in start..stop-1.

    Args:
      blocks: what `stack` returns.
      call: applies one block; `i` is an int where unrolled and a traced integer in a scan.
      scan: compile one block and loop over it (small programs for deep models), or unroll (faster steps; XLA sees each
        layer and drops what a frozen one does not need).
      remat: keep nothing of a block for its backward pass ("full"), or the products with its kernels ("dots").
    """
    graphdef, params = nnx.split(blocks)

    def one(params: Any, index: Any, carry: Carry) -> Carry:
        return call(nnx.merge(graphdef, params), index, carry)

    if remat is not None:
        dots = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
        policy = dots if remat == "dots" else None
        one = jax.checkpoint(one, policy=policy, prevent_cse=not scan, static_argnums=() if scan else (1,))
    if scan:
        rows = jax.tree.map(lambda p: p[start:stop], params)
        body = lambda carry, row: (one(*row, carry), None)  # noqa: E731
        return jax.lax.scan(body, carry, (rows, jnp.arange(start, stop)))[0]
    leaves, structure = jax.tree.flatten(params)
    rows = zip(*(_rows(leaf, start, stop) for leaf in leaves), strict=True)
    for index, row in zip(range(start, stop), rows, strict=True):
        carry = one(jax.tree.unflatten(structure, row), index, carry)
    return carry


def _rows(stacked: jax.Array, start: int, stop: int) -> list[jax.Array]:
    """The rows start..stop-1. Their gradients come back in one concatenation, which XLA sees through: the backward pass
    of a row whose gradient nobody wants is dropped (it is not where each row is indexed, which pads and adds)."""
    sizes = (start, *[1] * (stop - start), stacked.shape[0] - stop)
    return [row[0] for row in jax.lax.split(stacked, sizes)[1:-1]]
