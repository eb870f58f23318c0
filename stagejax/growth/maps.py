"""What happens to one named axis, side by side: the part of a growth operator that concerns one axis.

The same axis is written by one parameter, read by another, scaled by a norm and shifted by its bias. A `Map` holds the
linear map of each side. With B the reading map and A the writing map, a linear layer keeps its function when BᵀA is the
identity; a norm has rules of its own, and may need another eps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.axes import Side
from stagejax.growth.linear import Dense, Gather, Linear

SIDES: tuple[Side, ...] = ("write", "read", "gain", "shift", "stack")


@dataclass(frozen=True, eq=False)
class Map:
    """The linear map of each side of one axis, and what norms over it need besides. Most are made by functions below.

    Args:
      write, read, gain, shift, stack: of the parameters that are on this side of the axis, each old -> new.
      tied: (new,), multiplies gain and shift of a norm whose output is read by a table stored on its writing side (a
        tied head): the division that the reader would do.
      eps: multiplies the eps of norms over this axis.

    Raises:
      ValueError: the sides map different sizes.
    """

    write: Linear
    read: Linear
    gain: Linear
    shift: Linear
    stack: Linear
    tied: np.ndarray
    eps: float = 1.0

    def __post_init__(self) -> None:
        sizes = {side: (getattr(self, side).old, getattr(self, side).new) for side in SIDES}
        if len(set(sizes.values())) > 1 or self.tied.shape[-1] != self.new:
            raise ValueError(f"the sides of one axis map different sizes: {sizes}, tied {self.tied.shape}")

    @property
    def old(self) -> int:
        """The size of the axis before."""
        return self.write.old

    @property
    def new(self) -> int:
        """The size of the axis after."""
        return self.write.new

    @property
    def preserves(self) -> bool:
        """Whether BᵀA is the identity, so that a linear layer over this axis keeps its function."""
        a, b = np.asarray(self.write.dense()), np.asarray(self.read.dense())
        return bool(np.allclose(np.swapaxes(b, -1, -2) @ a, np.eye(self.old), atol=1e-9))

    def rule(self, side: Side, tied: bool) -> Linear:
        """The linear map of a parameter that has this axis on `side`."""
        linear: Linear = getattr(self, side)
        return linear.scaled(self.tied) if tied and side in ("gain", "shift") else linear

    def inverse(self) -> Map:
        """The map back, side by side: what was copied is averaged, what was divided is summed.

        Raises:
          ValueError: some old entry is nowhere in the new ones, or the shares under a tied head differ within a group.

        >>> copy_map([0, 1, 0], old=2).inverse().read.dense()
        array([[1., 0., 1.],
               [0., 1., 0.]])
        """
        sides = {side: getattr(self, side).inverse() for side in SIDES}
        gain, first = self.gain.pattern(), sides["gain"].pattern()
        tied = np.take_along_axis(self.tied, first.index, axis=-1)
        if np.any((np.take_along_axis(tied, gain.index, axis=-1) != self.tied) & (gain.weight != 0)):
            raise ValueError("a map whose shares under a tied head differ among the copies of an entry has no inverse")
        return Map(**sides, tied=1 / tied, eps=1 / self.eps)

    def after(self, first: Map) -> Map:
        """This map of the result of `first`, as one map.

        Raises:
          ValueError: `first` does not end where this one begins, or its shares under a tied head are unequal and this
            one mixes them.
        """
        sides = {side: getattr(self, side).after(getattr(first, side)) for side in SIDES}
        if isinstance(self.gain, Dense) and np.ptp(first.tied) > 0:
            raise ValueError("a matrix cannot follow a map whose shares under a tied head are unequal")
        tied = self.tied * np.take_along_axis(first.tied, self.gain.pattern().index, axis=-1)
        return Map(**sides, tied=tied, eps=first.eps * self.eps)


def identity_map(size: int) -> Map:
    """Nothing changes: the map of an axis of a source that has the target's size already."""
    return select_map(np.arange(size), size)


def select_map(index: object, old: int) -> Map:
    """Entries chosen by index, the same on all sides: layers of a stack, rows of a vocabulary, a subset.

    >>> select_map([0, 1, 1], old=2).read.weight
    array([1., 1., 1.])
    """
    chosen = Gather.of(index, old)
    return Map(chosen, chosen, chosen, chosen, chosen, tied=np.ones(chosen.new))


def copy_map(index: object, old: int) -> Map:
    """Function-preserving copies: what writes the axis is copied, what reads it is divided by the number of copies.

    A tied head reads through a copied table, so the division goes to the norm before it. Exact with a norm over the
    axis only if all entries have equally many copies. bert2BERT (arXiv 2110.07143), section 3.2, "FPI".

    Args:
      index: which old entry each new one copies, (new,) or, for a map of every old layer, (layers, new).
      old: the size of the axis before.

    Raises:
      ValueError: some old entry is copied nowhere, so its part of the function would be lost.

    >>> copy_map([0, 1, 0], old=2).read.weight
    array([0.5, 1. , 0.5])
    """
    copy, counts = _copies(index, old)
    share = 1 / counts
    return Map(copy, copy.weighing(share), copy, copy, copy, tied=share)


def corner_map(old: int, new: int) -> Map:
    """Old entries stay where they are and new ones are empty, to be filled by another term.

    Raises:
      ValueError: the axis shrinks.

    >>> corner_map(2, 3).write.weight
    array([1., 1., 0.])
    """
    if new < old:
        raise ValueError(f"corner_map grows an axis, and {old} -> {new} shrinks")
    corner = Gather.of(np.minimum(np.arange(new), old - 1), old, np.arange(new) < old)
    return Map(corner, corner, corner, corner, corner, tied=np.ones(new))


def isometric_map(index: object, old: int) -> Map:
    """Copies scaled by 1/√(number of copies) on both sides, so that root mean squares keep their ratios.

    Exact under RMSNorm for any numbers of copies: gains are scaled by √(old/new) and eps by old/new; a tied head needs
    no correction, because it reads by the same map that writes.

    >>> isometric_map([0, 1, 0], old=2).preserves
    True
    """
    copy, counts = _copies(index, old)
    scaled, ratio = copy.weighing(counts**-0.5), copy.old / copy.new
    return Map(scaled, scaled, copy.scaled(ratio**0.5), scaled, copy, tied=np.ones(copy.new), eps=ratio)


def dense_map(write: object, read: object, tied: object = 1.0) -> Map:
    """Any two matrices (new, old); gains, shifts and stacks move as what writes.

    >>> dense_map([[0.5, 0.5]], [[1.0, 1.0]]).old
    2
    """
    a, b = Dense(np.asarray(write, np.float64)), Dense(np.asarray(read, np.float64))
    return Map(a, b, a, a, a, tied=np.broadcast_to(np.asarray(tied, np.float64), (a.new,)).copy())


def _copies(index: object, old: int) -> tuple[Gather, np.ndarray]:
    """The plain copy, and for every new entry how many copies its old one has."""
    copy = Gather.of(index, old)
    counts = copy.sums(copy.weight)
    if not counts.all():
        lost = sorted({int(i) for i in np.argwhere(counts == 0)[:, -1]})
        raise ValueError(
            f"a function-preserving map must copy every old entry, but {lost} of {old} appear nowhere in it"
        )
    return copy, np.take_along_axis(counts, copy.index, axis=-1)
