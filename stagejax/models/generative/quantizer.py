"""Vectors as codes: the nearest entry of a codebook, and the sum of several in turn.

Letters: N vectors, K codes of a book, D coordinates, Q books.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes


@dataclass(frozen=True)
class Quantized:
    """What a quantizer makes of vectors."""

    vectors: Float[Array, "*batch D"]  # the codes' vectors; the gradient passes through to what was quantized
    codes: Int[Array, "..."]  # (*batch,), or (*batch, Q) of several books
    codebook: Float[Array, ""]  # mean |sg(x) - code|²: moves codes to the vectors
    commitment: Float[Array, ""]  # mean |x - sg(code)|²: keeps vectors near their codes

    def loss(self, beta: float = 0.25) -> Float[Array, ""]:
        """codebook + beta · commitment, to be added to that of the reconstruction."""
        return self.codebook + beta * self.commitment


jax.tree_util.register_dataclass(Quantized, ["vectors", "codes", "codebook", "commitment"], [])


class Quantizer(nnx.Module):
    """A codebook (K, D), axes `codes` and `embed`: each vector becomes the nearest code, x + sg(code - x).

    Reference: van den Oord et al. 2017, https://arxiv.org/abs/1711.00937, equations 1 to 3.

    >>> book = Quantizer(codes=8, embed=2, rngs=nnx.Rngs(0))
    >>> found = book(jnp.zeros((3, 2)))
    >>> found.codes.shape, found.vectors.shape
    ((3,), (3, 2))
    """

    def __init__(self, codes: int, embed: int, *, std: float = 1.0, rngs: nnx.Rngs) -> None:
        table = std * jax.random.normal(rngs.params(), (codes, embed))
        self.table = axes.param(table, reads=("codes",), writes=("embed",))

    def nearest(self, x: Float[Array, "*batch D"]) -> Int[Array, "*batch"]:
        """argmin_k |x - code_k|²."""
        return nearest(self.table[...], x)

    def vectors(self, codes: Int[Array, "*batch"]) -> Float[Array, "*batch D"]:
        """Of the codes; NaN outside of the book."""
        return self.table[...].at[codes].get(mode="fill", fill_value=jnp.nan)

    def __call__(self, x: Float[Array, "*batch D"]) -> Quantized:
        codes = self.nearest(x)
        found, hold = self.vectors(codes), jax.lax.stop_gradient
        codebook = ((hold(x) - found) ** 2).sum(-1).mean()
        commitment = ((x - hold(found)) ** 2).sum(-1).mean()
        return Quantized(x + hold(found - x), codes, codebook, commitment)


class ResidualQuantizer(nnx.Module):
    """Q books in turn, each on what the ones before left over: x ≈ Σ_q code_q.

    Book q's vectors are drawn `shrink^q` times as large. Reference: Zeghidour et al. 2021, SoundStream,
    https://arxiv.org/abs/2107.03312, section III-C.

    >>> books = ResidualQuantizer(books=3, codes=8, embed=2, rngs=nnx.Rngs(0))
    >>> books(jnp.zeros((5, 2))).codes.shape
    (5, 3)
    """

    def __init__(
        self, books: int, codes: int, embed: int, *, std: float = 1.0, shrink: float = 0.5, rngs: nnx.Rngs
    ) -> None:
        self.books = nnx.List([Quantizer(codes, embed, std=std * shrink**q, rngs=rngs) for q in range(books)])

    def vectors(self, codes: Int[Array, "*batch q"]) -> Float[Array, "*batch D"]:
        """The sum over the first q books; fewer give the coarser approximation."""
        return sum(book.vectors(codes[..., q]) for q, book in enumerate(self.books[: codes.shape[-1]]))  # type: ignore[return-value]

    def __call__(self, x: Float[Array, "*batch D"]) -> Quantized:
        hold, rest, found = jax.lax.stop_gradient, x, []
        for book in self.books:
            found.append(book(rest))
            rest = rest - book.vectors(found[-1].codes)
        codes = jnp.stack([one.codes for one in found], axis=-1)
        return Quantized(
            x + hold(self.vectors(codes) - x),
            codes,
            sum(one.codebook for one in found),  # type: ignore[arg-type]
            sum(one.commitment for one in found),  # type: ignore[arg-type]
        )


def revive(
    table: Float[Array, "K D"],
    used: Float[Array, " K"],
    x: Float[Array, "N D"],
    key: Any,
    below: float,
    weight: Float[Array, " N"] | None = None,
) -> Array:
    """The codebook, with codes used less than `below` (share of all vectors) put at vectors drawn from `x`.

    They are drawn in proportion to weight · |x - nearest code|², so that codes go where there are too few of them.

    Reference: Dhariwal et al. 2020, Jukebox, https://arxiv.org/abs/2005.00341, section 3.1 (random restarts); Arthur
    and Vassilvitskii 2007, k-means++, section 2.2 (the proportion).

    >>> revive(jnp.zeros((2, 1)), jnp.array([0.9, 0.0]), jnp.array([[0.0], [1.0]]), jax.random.key(0), 0.1).ravel()
    Array([0., 1.], dtype=float32)
    """
    far_N = jnp.square(x - table[nearest(table, x)]).sum(-1) * (1 if weight is None else weight)
    drawn = x[jax.random.categorical(key, jnp.log(far_N + 1e-30), shape=(table.shape[0],))]
    return jnp.where((used < below)[:, None], drawn, table)


def nearest(table: Float[Array, "K D"], x: Float[Array, "*batch D"]) -> Int[Array, "*batch"]:
    """argmin_k |x - code_k|²."""
    return jnp.argmin((table**2).sum(-1) - 2 * x @ table.T, axis=-1)


def usage(codes: Int[Array, "*batch"], size: int) -> tuple[Float[Array, " K"], Float[Array, ""]]:
    """Each code's share, and the perplexity exp(-Σ p log p): how many codes are in use.

    >>> share, perplexity = usage(jnp.array([0, 0, 1, 1]), 4)
    >>> share, round(float(perplexity), 4)
    (Array([0.5, 0.5, 0. , 0. ], dtype=float32), 2.0)
    """
    share = jnp.bincount(codes.ravel(), length=size) / codes.size
    return share, jnp.exp(-jnp.sum(jax.scipy.special.xlogy(share, share)))
