"""LEMON: exact growth at any width, with unequal shares that break the symmetry of copies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from stagejax.growth.depth import DepthRule, adjacent, layers_map
from stagejax.growth.draw import Draw, cyclic, seed_of
from stagejax.growth.fpi import WIDTH
from stagejax.growth.identity import By, check_identity, identity_terms, unmoved_terms
from stagejax.growth.linear import Blend, Gather, Linear
from stagejax.growth.maps import Map, copy_map
from stagejax.growth.operator import GrowthError, Operator, Sizes, changed
from stagejax.growth.regions import fresh
from stagejax.growth.term import Term


@dataclass(frozen=True)
class LEMON(Operator):
    """Exact growth of width and depth, for pre-norm models at any width, tied or not.

    Heads and mlp units are copied; what reads the copies has unequal shares of what it read, summing to 1, so that
    copies learn apart. The residual stream of size D becomes k = floor(D'/D) whole copies and a remainder: the mean of
    all channels under LayerNorm, zeros under RMSNorm. So the norms' variance (mean square) becomes η² = k D/D' of what
    it was: gains are multiplied by η, eps by η², and what reads the remainder, which is zero behind the norm, is drawn
    freshly. A tied head's norm is divided by k. New layers are the identity.

    Post-norm LayerNorm, and the transform before an encoder's head, need whole multiples. Wang et al. 2024
    (arXiv 2310.07999), sections 4 and 5.
    """

    norm: Literal["layer", "rms"] = "layer"  # of the model
    asymmetry: float = 0.5  # shares before they are normalised are uniform in 1 ± this; 0: equal shares
    depth: DepthRule = adjacent  # where new layers go, and what they copy
    by: By = "output"
    fresh: bool = False
    draw: Draw = cyclic  # of heads and mlp units
    seed: int = 0
    axes: tuple[str, ...] = WIDTH  # that it widens

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Copies, then free readers of the remainder, then layers that add nothing."""
        maps = {axis: self._map(axis, old[axis], new[axis]) for axis in changed(old, new, self.axes)}
        streams = changed(old, new, [axis for axis in self.axes if axis == "embed"])
        free = [fresh(axis, remainder(old[axis], new[axis]), "read", "gain") for axis in streams]
        return [
            Term("small", {**maps, **layers_map(self.depth, old, new)}),
            *free,
            *identity_terms(self, old, new, maps),
        ]

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The same; but moments of a new layer begin at zero."""
        terms = self.terms(old, new)
        return [*terms, *unmoved_terms(self.depth, old, new, terms[0].maps)]

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse the other norm, deeper post-norm stacks, and uneven widths that this kind of model cannot keep."""
        check_identity(self, old_config, new_config)
        if not 0 <= self.asymmetry <= 1:
            raise GrowthError(f"{self}: shares uniform in 1 ± {self.asymmetry} may sum to 0: set it between 0 and 1")
        old, new = old_config.sizes(), new_config.sizes()
        norm = getattr(old_config, "norm", "layer")
        for axis in changed(old, new, ("embed",)):
            if norm != self.norm:
                raise GrowthError(
                    f"{self} is for norm={self.norm!r}, but the model has norm={norm!r}: use norm={norm!r}"
                )
            post = getattr(old_config, "norm_position", "pre") == "post"
            if new[axis] % old[axis] and norm == "layer" and (post or f"{axis}_out" in old):
                why = "a post-norm model" if post else "an encoder with a transform before its head"
                raise GrowthError(
                    f"{self}: {axis!r} cannot go {old[axis]} -> {new[axis]} in {why} with LayerNorm, which keeps its "
                    f"function at whole multiples only. Use {axis}={2 * old[axis]}, or MSG() for any size."
                )

    def _map(self, axis: str, old: int, new: int) -> Map:
        if axis.partition(".")[0] == "embed":
            return stream_map(old, new, self.norm)
        index = self.draw(old, new, seed_of(self.seed, axis))
        return shared_map(index, old, self.asymmetry, seed_of(self.seed, f"{axis} shares"))


def shared_map(index: object, old: int, asymmetry: float, seed: tuple[int, ...]) -> Map:
    """Copies whose readers have unequal shares.

    >>> shares = shared_map([0, 1, 0], 2, 0.5, (0,)).read.weight
    >>> float(shares[0] + shares[2]), float(shares[1])
    (1.0, 1.0)
    """
    copies = copy_map(index, old)
    assert isinstance(copies.read, Gather)
    rng = np.random.RandomState(np.asarray(seed, np.uint32))
    drawn = 1 + asymmetry * rng.uniform(-1, 1, copies.read.weight.shape)
    shares = drawn / np.take_along_axis(copies.read.sums(drawn), copies.read.index, axis=-1)
    return replace(copies, read=copies.read.weighing(shares), tied=shares)


def remainder(old: int, new: int) -> np.ndarray:
    """Which entries are beyond the whole copies.

    >>> remainder(2, 5)
    array([False, False, False, False,  True])
    """
    return np.arange(new) >= new // old * old


def stream_map(old: int, new: int, norm: str) -> Map:
    """Whole copies of the residual stream, and a remainder that the norm takes to zero.

    >>> stream_map(4, 10, "layer").eps
    0.8
    """
    rest, copies = remainder(old, new), new // old
    whole = Gather.of(np.arange(new) % old, old, ~rest)
    eta2 = copies * old / new
    write: Linear = Blend(whole, rest.astype(np.float64)) if norm == "layer" and rest.any() else whole
    return Map(
        write=write,
        read=whole.scaled(1 / copies),
        gain=whole.scaled(eta2**0.5),
        shift=whole,
        stack=whole,
        tied=np.full(new, 1 / copies),
        eps=eta2,
    )
