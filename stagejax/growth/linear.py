"""Linear maps of one array dimension: a weighted choice of old entries (`Gather`), its `Inverse`, any matrix (`Dense`).

All know their dual D = A (AᵀA)⁻¹, by which gradients move when parameters move by A (so AᵀD is the identity).
Maps are small host arrays, fixed while a program is traced; only the matrix of a `Dense` may itself be traced, so that
it can be learned. The four kinds stand in one file because they are made of each other: the dual of a `Blend` may be a
`Dense`, its pattern is a `Gather`, and what follows a `Dense` is dense.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

#: An index of at most this many contiguous runs is applied as slices, which move memory faster than a gather.
MOST_RUNS = 8


@dataclass(frozen=True, eq=False)
class Gather:
    """New entry j is `weight[j]` times old entry `index[j]`. A weight of zero leaves the new entry empty.

    With an index of shape (layers, new) each old layer has a map of its own.

    >>> Gather.of([0, 1, 0], old=2).apply(jnp.array([5.0, 7.0]), 0)
    Array([5., 7., 5.], dtype=float32)
    """

    index: np.ndarray
    weight: np.ndarray
    old: int

    def __post_init__(self) -> None:
        if self.index.shape != self.weight.shape or self.index.ndim not in (1, 2) or not self.index.size:
            raise ValueError(
                "a Gather needs an index of shape (new,) or (layers, new) and a weight of the same shape, not "
                f"{self.index.shape} and {self.weight.shape}"
            )
        if self.index.min() < 0 or self.index.max() >= self.old:
            raise ValueError(
                f"a Gather from {self.old} entries has indices {self.index.min()} to {self.index.max()}: keep them "
                f"in [0, {self.old})"
            )

    @classmethod
    def of(cls, index: object, old: int, weight: object = 1.0) -> Gather:
        """A Gather from anything numpy takes for an index and a weight; one weight may stand for all."""
        array = np.asarray(index, np.int64)
        return cls(array, np.broadcast_to(np.asarray(weight, np.float64), array.shape).copy(), int(old))

    @property
    def new(self) -> int:
        """The number of new entries."""
        return self.index.shape[-1]

    @property
    def layers(self) -> int | None:
        """How many layers have a map of their own; None: one map for all."""
        return self.index.shape[0] if self.index.ndim == 2 else None

    @property
    def identity(self) -> bool:
        """Whether nothing changes."""
        return self.new == self.old and bool(np.all(self.index == np.arange(self.new)) and np.all(self.weight == 1))

    def apply(self, x: jax.Array, dim: int, layers_dim: int | None = None) -> jax.Array:
        """`x` with dimension `dim` mapped; `layers_dim` is where a map of several layers finds them."""
        if self.identity:
            return x
        return weigh(self._gather(x, dim, layers_dim), spread(self.weight, x.ndim, dim, layers_dim))

    def _gather(self, x: jax.Array, dim: int, layers_dim: int | None) -> jax.Array:
        if self.layers is not None:
            index = spread(self.index, x.ndim, dim, layers_dim)
            return jnp.take_along_axis(x, jnp.asarray(index, jnp.int32), axis=dim, mode="clip")
        copies = self.new // self.old
        if copies > 1 and np.array_equal(self.index, np.repeat(np.arange(self.old), copies)):
            return jnp.repeat(x, copies, axis=dim)
        runs = self.runs()
        if len(runs) <= MOST_RUNS:
            pieces = [jax.lax.slice_in_dim(x, first, first + size, axis=dim) for _, first, size in runs]
            return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=dim)
        return jnp.take(x, jnp.asarray(self.index, jnp.int32), axis=dim, mode="clip")

    def runs(self) -> list[tuple[int, int, int]]:
        """The contiguous runs of the index of one map for all layers: where each begins, what its first entry is, size.

        >>> Gather.of([1, 2, 0, 1], old=3).runs()
        [(0, 1, 2), (2, 0, 2)]
        """
        starts = np.flatnonzero(np.diff(self.index, prepend=-2) != 1)
        sizes = np.diff(starts, append=self.new)
        return [(int(start), int(self.index[start]), int(size)) for start, size in zip(starts, sizes, strict=True)]

    def dense(self) -> np.ndarray:
        """The map as a matrix (new, old), or (layers, new, old)."""
        return np.eye(self.old)[self.index] * self.weight[..., None]

    def dual(self) -> Gather:
        """A (AᵀA)⁻¹: each weight over the summed squares of the weights of its old entry; empty entries stay empty."""
        total = np.take_along_axis(self.sums(self.weight**2), self.index, axis=-1)
        return self.weighing(np.divide(self.weight, total, out=np.zeros_like(total), where=total > 0))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """For every old entry, the sum of a value over its copies: (old,) or (layers, old)."""
        rows = np.arange(self.layers or 1)[:, None] * self.old + np.atleast_2d(self.index)
        total = np.bincount(rows.ravel(), values.ravel(), minlength=(self.layers or 1) * self.old)
        return total.reshape(*self.index.shape[:-1], self.old)

    def squared(self) -> Gather:
        """Every weight squared: how second moments move."""
        return self.weighing(self.weight**2)

    def pattern(self) -> Gather:
        """Which old entry goes where, without weights: how masks move."""
        return self.weighing((self.weight != 0).astype(np.float64))

    def scaled(self, factor: np.ndarray | float) -> Gather:
        """Every new entry times its factor."""
        return self.weighing(self.weight * factor)

    def weighing(self, weight: np.ndarray) -> Gather:
        """The same choice of entries with other weights."""
        return Gather(self.index, np.asarray(weight, np.float64), self.old)

    def magnitude(self) -> np.ndarray:
        """|weight| of every new entry; 1 for an empty one, whose value comes from elsewhere."""
        return np.where(self.weight == 0, 1.0, np.abs(self.weight))

    def inverse(self) -> Inverse:
        """The map back: the left inverse (AᵀA)⁻¹Aᵀ.

        Raises:
          ValueError: some old entry is nowhere in the new ones.
        """
        return Inverse(self)

    def after(self, first: Linear) -> Linear:
        """This map of the result of `first`, as one map.

        Raises:
          ValueError: `first` does not end where this one begins.

        >>> Gather.of([0, 0, 1], old=2).after(Gather.of([2, 1], old=3)).index
        array([2, 2, 1])
        """
        if first.new != self.old:
            raise ValueError(f"a map from {self.old} entries cannot follow one to {first.new}")
        if not isinstance(first, Gather):
            return Dense(self.dense() @ first.dense())
        layers = self.layers or first.layers
        if layers is None:
            return Gather(first.index[self.index], first.weight[self.index] * self.weight, first.old)
        own = np.broadcast_to(self.index, (layers, self.new))
        index, weight = (np.broadcast_to(a, (layers, first.new)) for a in (first.index, first.weight))
        weight = np.take_along_axis(weight, own, axis=-1) * self.weight
        return Gather(np.take_along_axis(index, own, axis=-1), weight, first.old)


@dataclass(frozen=True, eq=False)
class Dense:
    """New entry j is the sum over i of `matrix[j, i]` times old entry i.

    >>> Dense(np.array([[0.5, 0.5]])).apply(jnp.array([2.0, 4.0]), 0)
    Array([3.], dtype=float32)
    """

    matrix: np.ndarray | jax.Array

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2:
            raise ValueError(f"a Dense map needs a matrix of shape (new, old), not {self.matrix.shape}")

    @property
    def new(self) -> int:
        """The number of new entries."""
        return self.matrix.shape[0]

    @property
    def old(self) -> int:
        """The number of old entries."""
        return self.matrix.shape[1]

    @property
    def layers(self) -> None:
        """One map for all layers."""
        return None

    @property
    def identity(self) -> bool:
        """Never assumed of a matrix."""
        return False

    def apply(self, x: jax.Array, dim: int, layers_dim: int | None = None) -> jax.Array:
        """`x` with dimension `dim` mapped."""
        matrix = jnp.asarray(self.matrix, _wide(x.dtype))
        y = jnp.tensordot(matrix, x.astype(matrix.dtype), axes=(1, dim), precision=jax.lax.Precision.HIGHEST)
        return jnp.moveaxis(y, 0, dim).astype(x.dtype)

    def dense(self) -> np.ndarray | jax.Array:
        """The matrix (new, old)."""
        return self.matrix

    def dual(self) -> Dense:
        """The transposed pseudo-inverse, A (AᵀA)⁻¹ where A has full column rank."""
        return Dense(np.linalg.pinv(np.asarray(self.matrix)).T)

    def squared(self) -> Dense:
        """Every entry squared: how second moments move."""
        return Dense(self.matrix**2)

    def pattern(self) -> Gather:
        """Each new entry from the old one of largest weight: how masks move."""
        matrix = np.abs(np.asarray(self.matrix))
        return Gather.of(matrix.argmax(1), self.old, matrix.max(1) != 0)

    def scaled(self, factor: np.ndarray | float) -> Dense:
        """Every new entry times its factor."""
        return Dense(self.matrix * np.reshape(factor, (-1, 1)))

    def magnitude(self) -> np.ndarray:
        """The length of every row; 1 for an empty one."""
        length = np.linalg.norm(np.asarray(self.matrix), axis=1)
        return np.where(length == 0, 1.0, length)

    def inverse(self) -> Dense:
        """The map back: the pseudo-inverse."""
        return Dense(np.linalg.pinv(np.asarray(self.matrix)))

    def after(self, first: Linear) -> Dense:
        """This map of the result of `first`, as one map.

        Raises:
          ValueError: `first` does not end where this one begins, or has a map for each layer.
        """
        if first.new != self.old or first.layers is not None:
            raise ValueError(
                f"a matrix of {self.old} columns cannot follow a map to {first.new} ({first.layers} layers)"
            )
        return Dense(self.matrix @ first.dense())


@dataclass(frozen=True, eq=False)
class Inverse:
    """The left inverse (AᵀA)⁻¹Aᵀ of a `Gather` A: every group of copies is averaged, by the weights of the copies.

    Every view of it is the inverse of that view of A, so masks and moments go back to what they came from as well.
    Undoes A to the last bit where groups have 1, 2, 4, 8 ... members of one weight; to rounding elsewhere.

    >>> Inverse(Gather.of([0, 1, 0], old=2, weight=[0.5, 1, 0.5])).apply(jnp.array([2.0, 7.0, 4.0]), 0)
    Array([6., 7.], dtype=float32)
    """

    forward: Gather

    def __post_init__(self) -> None:
        lost = np.argwhere(self.forward.sums(self.forward.weight != 0) == 0)[:, -1]
        if lost.size:
            raise ValueError(
                f"a map that puts entries {sorted(set(lost.tolist()))} of {self.forward.old} nowhere has no inverse"
            )

    @property
    def new(self) -> int:
        """The number of new entries."""
        return self.forward.old

    @property
    def old(self) -> int:
        """The number of old entries."""
        return self.forward.new

    @property
    def layers(self) -> int | None:
        """How many layers have a map of their own; None: one map for all."""
        return self.forward.layers

    @property
    def identity(self) -> bool:
        """Whether nothing changes."""
        return self.forward.identity

    def apply(self, x: jax.Array, dim: int, layers_dim: int | None = None) -> jax.Array:
        """`x` with dimension `dim` mapped: the sum over the first, second ... member of every group."""
        if self.identity:
            return x
        wide = x.astype(_wide(x.dtype))
        first, *others = [member.apply(wide, dim, layers_dim) for member in self.members()]
        return sum(others, first).astype(x.dtype)

    def members(self) -> list[Gather]:
        """The first, second ... member of every group, weighted; where a group has fewer, with weight 0."""
        index, weight = (np.atleast_2d(a) for a in (self.forward.index, self.forward.dual().weight))
        order = np.argsort(np.where(weight != 0, index, self.new), axis=-1, kind="stable")  # by group, in order
        counts = np.atleast_2d(self.forward.sums(self.forward.weight != 0)).astype(np.int64)
        found = []
        for nth in range(counts.max()):
            at = np.minimum(np.cumsum(counts, axis=-1) - counts + nth, self.old - 1)
            chosen = np.take_along_axis(order, at, axis=-1)
            own = np.take_along_axis(weight, chosen, axis=-1) * (nth < counts)
            shape = (*self.forward.index.shape[:-1], self.new)
            found.append(Gather(chosen.reshape(shape), own.reshape(shape), self.old))
        return found

    def dense(self) -> np.ndarray:
        """The map as a matrix (new, old), or (layers, new, old)."""
        return np.swapaxes(self.forward.dual().dense(), -1, -2)

    def dual(self) -> Inverse:
        """The inverse of the dual, which is the dual of the inverse."""
        return Inverse(self.forward.dual())

    def squared(self) -> Inverse:
        """The inverse of the squared map: what second moments came from."""
        return Inverse(self.forward.squared())

    def pattern(self) -> Gather:
        """The first member of every group: how masks move."""
        return self.members()[0].pattern()

    def scaled(self, factor: np.ndarray | float) -> Inverse:
        """Every new entry times its factor, none of them 0."""
        factors = np.broadcast_to(np.asarray(factor, np.float64), (*self.forward.index.shape[:-1], self.new))
        return Inverse(self.forward.scaled(1 / np.take_along_axis(factors, self.forward.index, axis=-1)))

    def magnitude(self) -> np.ndarray:
        """One over the |weight| of the first member of every group."""
        first = self.members()[0].index
        return 1 / np.abs(np.take_along_axis(self.forward.weight, first, axis=-1))

    def inverse(self) -> Gather:
        """The map that this one undoes."""
        return self.forward

    def after(self, first: Linear) -> Dense:
        """This map of the result of `first`, as one map.

        Raises:
          ValueError: `first` does not end where this one begins, or has a map for each layer.
        """
        return Dense(self.dense()).after(first)


@dataclass(frozen=True, eq=False)
class Blend:
    """New entry j is what `gather` makes it plus `mean[j]` times the mean of all old entries.

    What a dense matrix of such rows does, in time and memory of a `Gather`: rows of a large vocabulary that begin as
    the mean row, entries of the residual stream that keep the mean of LayerNorm.

    >>> Blend(Gather.of([0, 1, 0], old=2, weight=[1, 1, 0]), np.array([0.0, 0.0, 1.0])).apply(jnp.array([5.0, 7.0]), 0)
    Array([5., 7., 6.], dtype=float32)
    """

    gather: Gather
    mean: np.ndarray  # (new,)

    def __post_init__(self) -> None:
        if self.gather.layers is not None or self.mean.shape != (self.gather.new,):
            raise ValueError(f"a Blend of {self.gather.new} entries, one map for all layers: not {self.mean.shape}")

    @property
    def new(self) -> int:
        """The number of new entries."""
        return self.gather.new

    @property
    def old(self) -> int:
        """The number of old entries."""
        return self.gather.old

    @property
    def layers(self) -> None:
        """One map for all layers."""
        return None

    @property
    def identity(self) -> bool:
        """Whether nothing changes."""
        return self.gather.identity and not self.mean.any()

    def apply(self, x: jax.Array, dim: int, layers_dim: int | None = None) -> jax.Array:
        """`x` with dimension `dim` mapped."""
        wide = x.astype(_wide(x.dtype))
        share = jnp.asarray(spread(self.mean, x.ndim, dim, None), wide.dtype)
        return (self.gather.apply(wide, dim) + share * wide.mean(dim, keepdims=True)).astype(x.dtype)

    def dense(self) -> np.ndarray:
        """The map as a matrix (new, old)."""
        return self.gather.dense() + self.mean[:, None] / self.old

    def dual(self) -> Blend | Dense:
        """A (AᵀA)⁻¹, again a Blend where all old entries weigh the same and no row has both parts."""
        weight, total = self.gather.weight, self.gather.sums(self.gather.weight**2)
        if not total.min() or np.ptp(total) > 1e-12 * total.max() or np.any((weight != 0) & (self.mean != 0)):
            return Dense(self.dense()).dual()
        first, beta = total[0], np.sum(self.mean**2) / self.old**2
        lost = beta * self.old / (first + beta * self.old)  # of the mean, by the formula of Sherman and Morrison
        return Blend(self.gather.scaled(1 / first), (self.mean * (1 - lost) - weight * lost) / first)

    def squared(self) -> Blend:
        """Every entry of the matrix squared: how second moments move."""
        own, all_entries = self.gather.weight, self.mean / self.old
        return Blend(self.gather.weighing(own**2 + 2 * own * all_entries), all_entries**2 * self.old)

    def pattern(self) -> Gather:
        """The old entry that each new one is, or begins as a part of: how masks move."""
        return self.gather.weighing(((self.gather.weight != 0) | (self.mean != 0)).astype(np.float64))

    def scaled(self, factor: np.ndarray | float) -> Blend:
        """Every new entry times its factor."""
        return Blend(self.gather.scaled(factor), self.mean * factor)

    def magnitude(self) -> np.ndarray:
        """The length of every row; 1 for an empty one."""
        return Dense(self.dense()).magnitude()

    def inverse(self) -> Dense:
        """The map back: the pseudo-inverse."""
        return Dense(self.dense()).inverse()

    def after(self, first: Linear) -> Dense:
        """This map of the result of `first`, as one map.

        Raises:
          ValueError: `first` does not end where this one begins, or has a map for each layer.
        """
        return Dense(self.dense()).after(first)


Linear = Gather | Dense | Inverse | Blend


def spread(values: np.ndarray, ndim: int, dim: int, layers_dim: int | None) -> np.ndarray:
    """(new,) or (layers, new) reshaped so that it broadcasts against an array with these dimensions."""
    shape = [1] * ndim
    shape[dim] = values.shape[-1]
    if values.ndim == 1:
        return values.reshape(shape)
    if layers_dim is None:
        raise ValueError("a map of several layers needs an array that has a layers dimension")
    shape[layers_dim] = values.shape[0]
    return (values if layers_dim < dim else values.T).reshape(shape)


def weigh(x: jax.Array, weight: np.ndarray) -> jax.Array:
    """`x` times a broadcastable weight, as a choice where every weight is 0 or 1, and not at all where all are 1."""
    if np.all(weight == 1):
        return x
    if np.all((weight == 0) | (weight == 1)):
        return jnp.where(jnp.asarray(weight != 0), x, jnp.zeros((), x.dtype))
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(f"values of type {x.dtype} can be copied but not weighted: grow them by index (view=by_index)")
    wide = _wide(x.dtype)
    return (x.astype(wide) * jnp.asarray(weight, wide)).astype(x.dtype)


def _wide(dtype: np.dtype) -> np.dtype:
    """The precision in which arrays of this type are weighted: at least float32."""
    return jnp.promote_types(dtype, jnp.float32)
