"""Proteins with the family that they are of: kinases of two assays, generated families, and any annotated source."""

from __future__ import annotations

import functools
import gzip
import hashlib
import itertools
import json
import os
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from stagejax.data.named import MissingDataset
from stagejax.data.sources import Source

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"  #: the twenty letters of a sequence


class Protein(NamedTuple):
    """A sequence with its name, its family ("": none that counts), and the protein that it is a form of."""

    name: str
    sequence: str
    family: str
    parent: str


@runtime_checkable
class Proteins(Protocol):
    """The declaration of a set of proteins: a frozen dataclass."""

    def read(self) -> tuple[Protein, ...]:
        """All proteins, read or made once in a process."""
        ...


#: Families of kinases by how a gene's name begins.
FAMILIES = {
    "AKT": "PRK", "CAMK": "CAMK", "CDK": "CDK", "CSNK": "CSNK", "EPH": "EPH", "FGFR": "FGFR", "JAK": "JAK",
    "MAP": "MAP", "NEK": "NEK", "PIK3": "PIK", "PIP": "PIK", "PRK": "PRK", "STK": "STK",
}  # fmt: skip
#: The catalytic loop of protein kinases, PI 3-kinases and PIP kinases.
LOOP = re.compile("[HY][RGC][DS][LIVMFC]...?N|DRH..NI|[IM]DYSLL")


def gene(name: str) -> str:
    """The gene of a name in Davis, without mutation, domain, phosphorylation and partner.

    >>> [gene(name) for name in ("ABL1(F317L)p", "FLT3(ITD)", "CDK4-cyclinD1", "p38-alpha")]
    ['ABL1', 'FLT3', 'CDK4', 'p38-alpha']
    """
    return re.sub(r"-cyclin.*", "", name.partition("(")[0])


def family(name: str) -> str:
    """The family that a gene's name says, "" where it says none.

    >>> family("EPHA3"), family("PIP5K1A"), family("WEE1")
    ('EPH', 'PIK', '')
    """
    return next((label for start, label in FAMILIES.items() if name.startswith(start)), "")


def parents(names: Sequence[str], sequences: Sequence[str], shared: float = 0.9, k: int = 6) -> list[str]:
    """For each sequence the name of the first one that it is a form of.

    Two are forms of one protein if they have one name, or if the shorter one's k-mers are in the other, all but a share
    of 1 - `shared`; so are mutants, isoforms, and one protein under two names. Forms of forms are forms.

    >>> parents(["A", "B", "C", "A"], ["MKVLAAGIT", "KMKVLAAGIT", "WWWWWWWWW", "HHHHHHHHH"])
    ['A', 'A', 'C', 'A']
    """
    words = [{s[i : i + k] for i in range(len(s) - k + 1)} for s in sequences]
    first = list(range(len(names)))
    for i, j in itertools.combinations(range(len(names)), 2):
        small, large = sorted((words[i], words[j]), key=len)
        if first[i] != first[j] and (names[i] == names[j] or len(small & large) >= shared * max(1, len(small))):
            keep, lost = sorted((first[i], first[j]))
            first = [keep if at == lost else at for at in first]
    return [names[at] for at in first]


@dataclass(frozen=True)
class Kinases:
    """The distinct sequences of the Davis and KIBA assays, files of DeepDTA under `$STAGEJAX_DATA/deepdta`.

    Families are read off the gene names of Davis (`FAMILIES`); one of fewer than `members` genes is none. KIBA's names
    are accessions, which say no family.

    Reference: Davis et al. 2011, https://doi.org/10.1038/nbt.1990; Tang et al. 2014, https://doi.org/10.1021/ci400709d.
    """

    members: int = 8

    def read(self) -> tuple[Protein, ...]:
        """Read the files.

        Raises:
          MissingDataset: they are not there.
        """
        return _kinases(os.environ.get("STAGEJAX_DATA", ""), self.members)


@functools.lru_cache(maxsize=2)
def _kinases(root: str, members: int) -> tuple[Protein, ...]:
    found: dict[str, str] = {}
    for assay in ("davis", "kiba"):
        path = Path(root, "deepdta", f"{assay}.proteins.jsonl.gz")
        if not root or not path.is_file():
            raise MissingDataset(f"kinases are read from $STAGEJAX_DATA/deepdta/{path.name}, which is not there")
        for row in _lines(path):
            found.setdefault(row["seq"], gene(row["id"]) if assay == "davis" else row["id"])
    names, sequences = list(found.values()), list(found)
    own = parents(names, sequences)
    genes = set(own)
    count = {label: sum(family(name) == label for name in genes) for label in FAMILIES.values()}
    kept = [family(name) if count.get(family(name), 0) >= members else "" for name in own]
    return tuple(map(Protein, names, sequences, kept, own))


def _lines(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Annotated:
    """The proteins of any source whose records say name, sequence and family; every one is its own parent.

    >>> from stagejax.data.named import TFDS
    >>> Annotated(TFDS("uniref50")).fields
    ('id', 'sequence', 'family')
    """

    source: Source
    fields: tuple[str, str, str] = ("id", "sequence", "family")

    def read(self) -> tuple[Protein, ...]:
        """Read all records."""
        return _annotated(self.source, self.fields)


@functools.lru_cache(maxsize=2)
def _annotated(source: Source, fields: tuple[str, str, str]) -> tuple[Protein, ...]:
    rows = ([str(source[i][field]) for field in fields] for i in range(len(source)))
    return tuple(Protein(*row, parent=row[0]) for row in rows)


@dataclass(frozen=True)
class RandomFamilies:
    """Generated proteins: members of a family are copies of a random sequence, `changed` of whose residues are drawn.

    >>> len(RandomFamilies(2, 3).read()), RandomFamilies(2, 3).read()[3].family
    (6, 'FB')
    """

    families: int = 4
    members: int = 8
    length: int = 60
    changed: float = 0.2
    seed: int = 0

    def read(self) -> tuple[Protein, ...]:
        """Draw them."""
        draw, letters = np.random.default_rng(self.seed), np.array(list(RESIDUES))
        made = []
        for number in range(self.families):
            label, ancestor = f"F{string.ascii_uppercase[number]}", draw.choice(letters, self.length)
            for member in range(self.members):
                other = draw.random(self.length) < self.changed
                sequence = "".join(np.where(other, draw.choice(letters, self.length), ancestor))
                made.append((f"{label}{member}", sequence, label))
        names, sequences, _ = zip(*made, strict=True)
        return tuple(Protein(*own, first) for own, first in zip(made, parents(names, sequences), strict=True))


def core(sequence: str, window: int, shift: int = 0, before: int = 16) -> str:
    """`window` residues, `before` of them before the catalytic loop; those in the middle where there is no loop.

    >>> core("AAAAHRDLKPENLL", 6, before=2), core("AAAAHRDLKPENLL", 6, shift=3, before=2), core("ACDEF", 3)
    ('AAHRDL', 'RDLKPE', 'CDE')
    """
    found = LOOP.search(sequence)
    start = (found.start() - before if found else (len(sequence) - window) // 2) + shift
    start = max(0, min(start, len(sequence) - window))
    return sequence[start : start + window]


@functools.lru_cache(maxsize=16)
def folded(proteins: Proteins, folds: int) -> tuple[int, ...]:
    """The fold of each protein: all forms of one are in the same, and every family is spread evenly.

    >>> sorted(folded(RandomFamilies(1, 8), 4))
    [0, 0, 1, 1, 2, 2, 3, 3]
    """
    own = proteins.read()
    of_parent: dict[str, str] = {}
    for protein in own:
        of_parent.setdefault(protein.parent, protein.family)

    def rank(name: str) -> tuple[str, str]:
        return of_parent[name], hashlib.sha256(name.encode()).hexdigest()

    places: dict[str, int] = {}
    for label in set(of_parent.values()):
        ranked = sorted((name for name in of_parent if of_parent[name] == label), key=rank)
        places |= {name: at % folds for at, name in enumerate(ranked)}
    return tuple(places[protein.parent] for protein in own)
