"""Mutants of one protein with their measured fitness: GB1, and a generated landscape."""

from __future__ import annotations

import functools
import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from stagejax.data.molecules.proteins import RESIDUES
from stagejax.data.named import MissingDataset


class Landscape(NamedTuple):
    """The wild type, its mutants, and the fitness of each."""

    wild: str
    mutants: tuple[str, ...]
    fitness: Float32[np.ndarray, " mutants"]


@dataclass(frozen=True)
class GB1:
    """Variants of four sites of protein G's domain B1: `count` of FLIP's, drawn once, without the construct's tail.

    Read from `$STAGEJAX_DATA/flip_gb1`. Reference: Wu et al. 2016, https://doi.org/10.7554/eLife.16965; Dallago et al.
    2021 (FLIP).
    """

    count: int = 512
    residues: int = 56  # of the domain, where all four sites are

    def read(self) -> Landscape:
        """Read the files.

        Raises:
          MissingDataset: they are not there.
        """
        return _gb1(os.environ.get("STAGEJAX_DATA", ""), self.count, self.residues)


@functools.lru_cache(maxsize=2)
def _gb1(root: str, count: int, residues: int) -> Landscape:
    folder = Path(root, "flip_gb1")
    if not root or not (folder / "splits.jsonl.gz").is_file():
        raise MissingDataset("GB1 is read from $STAGEJAX_DATA/flip_gb1/splits.jsonl.gz, which is not there")
    known = json.loads((folder / "wild_type.json").read_text(encoding="utf-8"))
    with gzip.open(folder / "splits.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    chosen = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:count]]
    wild, sites = known["wild_type"][:residues], known["positions_0based"]
    mutants = tuple(mutated(wild, dict(zip(sites, row["variant"], strict=True))) for row in chosen)
    return Landscape(wild, mutants, np.array([row["fitness"] for row in chosen], np.float32))


@dataclass(frozen=True)
class RandomLandscape:
    """A generated wild type, and mutants whose fitness is minus the number of sites that were drawn anew.

    >>> made = RandomLandscape(count=3, length=10).read()
    >>> len(made.wild), len(made.mutants), made.fitness.tolist()
    (10, 3, [0.0, -1.0, -2.0])
    """

    count: int = 16
    length: int = 40
    seed: int = 0

    def read(self) -> Landscape:
        """Draw them."""
        draw, letters = np.random.default_rng(self.seed), list(RESIDUES)
        wild = "".join(draw.choice(letters, self.length))
        sites = [draw.permutation(self.length)[: n % self.length] for n in range(self.count)]
        mutants = tuple(mutated(wild, {int(at): str(draw.choice(letters)) for at in own}) for own in sites)
        return Landscape(wild, mutants, np.array([-len(own) for own in sites], np.float32))


def mutated(wild: str, changes: dict[int, str]) -> str:
    """A sequence with other letters at some places.

    >>> mutated("ACDE", {1: "W", 3: "Y"})
    'AWDY'
    """
    return "".join(changes.get(at, letter) for at, letter in enumerate(wild))
