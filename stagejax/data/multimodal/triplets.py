"""Data sets named by three elements (modality, area, task): what they share, mixtures, and what sharing gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Triplet(NamedTuple):
    """What a data set shows and asks: how its images are acquired, of what, and the question."""

    modality: str
    area: str
    task: str


#: Which of (modality, area, task) a data set has in common with a target.
Shared = tuple[bool, bool, bool]

ELEMENTS = Triplet._fields
NOTHING: Shared = (False, False, False)

#: One element and no other, by its name.
ONE: Mapping[str, Shared] = dict(
    zip(ELEMENTS, ((True, False, False), (False, True, False), (False, False, True)), strict=True)
)

#: How two data sets can have the three elements of a target: the two of one set, and that of the other.
WAYS: tuple[tuple[Shared, Shared], ...] = tuple(((not own[0], not own[1], not own[2]), own) for own in ONE.values())


def shared(one: Triplet, target: Triplet) -> Shared:
    """Which elements two triplets have in common.

    >>> shared(Triplet("CT", "lung", "cancer"), Triplet("CT", "brain", "cancer"))
    (True, False, True)
    """
    return (one.modality == target.modality, one.area == target.area, one.task == target.task)


def covered(mixture: Iterable[Triplet], target: Triplet) -> Shared:
    """Which elements of the target a mixture has in any of its triplets.

    >>> covered([Triplet("CT", "lung", "cancer"), Triplet("MR", "brain", "tumour")], Triplet("CT", "brain", "covid"))
    (True, True, False)
    """
    found = [shared(one, target) for one in mixture]
    return (any(own[0] for own in found), any(own[1] for own in found), any(own[2] for own in found))


class Grid(NamedTuple):
    """All triplets of some modalities, areas and tasks."""

    modalities: tuple[str, ...]
    areas: tuple[str, ...]
    tasks: tuple[str, ...]

    def triplets(self) -> list[Triplet]:
        """All of them, modality by modality."""
        return [Triplet(m, a, t) for m in self.modalities for a in self.areas for t in self.tasks]

    def rotated(self, shifts: Sequence[tuple[int, int]]) -> list[Triplet]:
        """For each pair of shifts (i, j) and each k: modality k + i, area k, task k + j, modulo their numbers.

        With as many modalities and tasks as areas every element is in as many triplets as there are shifts.

        >>> [tuple(own) for own in Grid(("CT", "MR"), ("lung", "brain"), ("cancer", "covid")).rotated([(1, 0)])]
        [('MR', 'lung', 'cancer'), ('CT', 'brain', 'covid')]
        """
        m, t = len(self.modalities), len(self.tasks)
        return [
            Triplet(self.modalities[(k + i) % m], area, self.tasks[(k + j) % t])
            for i, j in shifts
            for k, area in enumerate(self.areas)
        ]

    def apart(self, targets: Sequence[Triplet]) -> list[Triplet]:
        """The triplets that share no two elements with any target: of a target they tell single elements at most.

        >>> grid = Grid(("CT", "MR"), ("lung", "brain"), ("cancer", "covid"))
        >>> [tuple(own) for own in grid.apart([Triplet("CT", "lung", "cancer")])][0]
        ('CT', 'brain', 'covid')
        """
        return [own for own in self.triplets() if all(sum(shared(own, target)) < 2 for target in targets)]


def drawn(among: Sequence[Triplet], target: Triplet, wanted: Sequence[Shared], seed: int) -> tuple[Triplet, ...]:
    """Different triplets at random, the i-th of which shares exactly the elements `wanted[i]` with the target.

    Lists that begin alike are drawn alike as far as they agree.

    Raises:
      ValueError: no triplet is left that shares just these.

    >>> among = Grid(("CT", "MR"), ("lung", "brain"), ("cancer", "covid")).triplets()
    >>> drawn(among, Triplet("CT", "lung", "cancer"), [(True, False, False)], 0)
    (Triplet(modality='CT', area='brain', task='covid'),)
    """
    found: list[Triplet] = []
    for place, own in enumerate(wanted):
        left = [one for one in among if shared(one, target) == own and one not in found]
        if not left:
            raise ValueError(f"no other triplet of these {len(among)} shares just {own} with {tuple(target)}")
        found.append(left[int(np.random.default_rng([seed, place]).integers(len(left)))])
    return tuple(found)


def gain_by_element(covers: Sequence[Shared], gains: Sequence[float]) -> Float[np.ndarray, " 4"]:
    """What each element gives by least squares, and what all three give on top: gain = Σ own · [covered] + top · [all].

    Args:
      covers: what mixtures cover of their targets.
      gains: of these mixtures, over one that covers nothing.

    >>> covers = [(True, False, False), (False, True, False), (False, False, True), (True, True, True)]
    >>> gain_by_element(covers, [1.0, 0.5, 2.0, 7.0]).round(6).tolist()
    [1.0, 0.5, 2.0, 3.5]
    """
    rows = np.array([[*own, all(own)] for own in covers], float)
    return np.linalg.lstsq(rows, np.array(gains, float), rcond=None)[0]
