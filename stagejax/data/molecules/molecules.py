"""Molecules of any sources as one corpus: valid, short enough, and written in one way."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from stagejax.data.molecules.smiles import BadSmiles, tokens
from stagejax.data.molecules.valence import kekulized
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source


@dataclass(frozen=True)
class Molecules(Derived):
    """The molecules of a source without aromatic atoms, as records {"smiles"}; those that are no valid ones, or have
    more than `longest` tokens, are left out.

    Args:
      source: records with a SMILES string in the first of `fields` that they have.
      fields: the names to look for.
      longest: most tokens of a molecule.

    >>> made = Molecules(RandomMolecules(20), longest=12)
    >>> 0 < len(made) <= 20, max(len(tokens(record["smiles"])) for record in made) <= 12
    (True, True)
    """

    fields: tuple[str, ...] = ("smiles", "text")
    longest: int = 79

    def __len__(self) -> int:
        return len(_kept(self))

    def __getitem__(self, index: int) -> Record:
        return {"smiles": _kept(self)[index]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"at most {self.longest} tokens")


@functools.lru_cache(maxsize=8)
def _kept(made: Molecules) -> tuple[str, ...]:
    found = []
    for index in range(len(made.source)):
        record = made.source[index]
        text = str(record[next(name for name in made.fields if name in record)])
        if len(tokens(text)) > 2 * made.longest:  # cheap; brackets of [nH] and the like may go
            continue
        try:
            written = kekulized(text)
        except BadSmiles:
            continue
        if len(tokens(written)) <= made.longest:
            found.append(written)
    return tuple(found)


SCAFFOLDS = ("C1=CC=CC=C1", "C1CCNCC1", "C1=CSC=N1", "C1COCCN1", "C1=CNC=C1", "C1CC1")


@dataclass(frozen=True)
class RandomMolecules(Source):
    """Generated molecules, for tests: a chain of C, N and O, some with a branch, that ends in a ring.

    Args:
      count: how many.
      ring: number of the ring, of `SCAFFOLDS`; None: any.

    >>> RandomMolecules(2)[0]
    {'smiles': 'NCCCCC(=O)C1=CC=CC=C1'}
    """

    count: int
    ring: int | None = None
    seed: int = 0
    split: str = "train"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        index = range(self.count)[index]
        draw = np.random.default_rng((self.seed, index, self.split != "train"))
        chain = "".join(draw.choice(["C", "C", "C", "N", "O"], draw.integers(1, 6)).tolist())
        middle = str(draw.choice(["C(=O)", "C(F)", "C", "C(C)"]))
        ring = int(draw.integers(len(SCAFFOLDS))) if self.ring is None else self.ring % len(SCAFFOLDS)
        return {"smiles": f"{chain}{middle}{SCAFFOLDS[ring]}"}

    def digest(self) -> str:
        return joint_digest(f"{self}")
