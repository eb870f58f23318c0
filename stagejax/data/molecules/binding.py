"""Proteins and the molecules that bind them: assays as pairs, split by protein, and batches of such pairs."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.language.seq2seq import encoder_decoder_spec
from stagejax.data.molecules.molecules import RandomMolecules
from stagejax.data.molecules.proteins import Kinases, Proteins, RandomFamilies, core, folded
from stagejax.data.molecules.smiles import BadSmiles, tokens
from stagejax.data.molecules.valence import kekulized
from stagejax.data.named import MissingDataset, read_npz
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.tokenizers import CLS, PAD, SEP, Tokenizer, codec

#: Which folds of the proteins a split has; "train" has all others.
HELD = {"test": 0, "validation": 1}


class Pair(NamedTuple):
    """A protein, the residues of it that a model reads, a molecule that binds it, and the fold of the protein."""

    protein: str
    sequence: str
    smiles: str
    fold: int


class BindingPairs(Source):
    """Records {"protein", "sequence", "smiles"} of one split; all pairs of a protein, and of its forms, are in one.

    Subclasses are frozen dataclasses with a field `split`, which say all `pairs`.
    """

    def pairs(self) -> tuple[Pair, ...]:
        """Those of all splits, read once in a process."""
        raise NotImplementedError

    def own(self) -> tuple[Pair, ...]:
        """Those of this split.

        Raises:
          ValueError: there is no such split.
        """
        return _of_split(self)

    def ligands(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Of every protein of this split by name, the residues that are read and what binds it."""
        found: dict[str, tuple[str, list[str]]] = {}
        for pair in self.own():
            found.setdefault(pair.protein, (pair.sequence, []))[1].append(pair.smiles)
        return {name: (sequence, tuple(smiles)) for name, (sequence, smiles) in found.items()}

    def __len__(self) -> int:
        return len(self.own())

    def __getitem__(self, index: int) -> Record:
        pair = self.own()[index]
        return {"protein": pair.protein, "sequence": pair.sequence, "smiles": pair.smiles}

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.own()).encode()).hexdigest()


@functools.lru_cache(maxsize=16)
def _of_split(source: BindingPairs) -> tuple[Pair, ...]:
    if source.split not in ("train", *HELD):
        raise ValueError(f"pairs have the splits train, validation and test, not split={source.split!r}")
    held = HELD.get(source.split)
    return tuple(pair for pair in source.pairs() if _is_of(pair.fold, held))


def _is_of(fold: int, held: int | None) -> bool:
    """Whether a fold is the one that is held out or, where none is given, one that is not."""
    return fold not in HELD.values() if held is None else fold == held


@dataclass(frozen=True)
class KinaseBinders(BindingPairs):
    """What binds kinases, by the assays of Davis and KIBA, files of DeepDTA under `$STAGEJAX_DATA/deepdta`.

    Molecules are written without aromatic atoms. A protein is read around its catalytic loop (`proteins.core`).

    Args:
      davis: least pKd, -log10 of the dissociation constant in mol/l.
      kiba: least KIBA score.
      window, before: residues that are read, and how many of them come before the loop.
      longest: most tokens of a molecule; others are left out.
      folds: of the proteins, of which the first is the test split and the second the validation split.

    References: as of `proteins.Kinases`; Öztürk et al. 2018 (DeepDTA), https://doi.org/10.1093/bioinformatics/bty593.
    """

    davis: float = 7.0
    kiba: float = 14.0
    window: int = 126
    before: int = 100
    longest: int = 79
    folds: int = 10
    split: str = "train"

    def pairs(self) -> tuple[Pair, ...]:
        """Read the files.

        Raises:
          MissingDataset: they are not there.
        """
        how = (self.davis, self.kiba, self.window, self.before, self.longest, self.folds)
        return _kinase_binders(os.environ.get("STAGEJAX_DATA", ""), *how)


@functools.lru_cache(maxsize=4)
def _kinase_binders(
    root: str, davis: float, kiba: float, window: int, before: int, longest: int, folds: int
) -> tuple[Pair, ...]:
    kinases = Kinases()
    places = zip(kinases.read(), folded(kinases, folds), strict=True)
    known = {protein.sequence: (protein.parent, fold) for protein, fold in places}
    found: dict[tuple[str, str], Pair] = {}
    for assay, least in (("davis", davis), ("kiba", kiba)):
        path = Path(root, "deepdta", f"{assay}.npz")
        if not root or not path.is_file():
            raise MissingDataset(f"pairs are read from $STAGEJAX_DATA/deepdta/{path.name}, which is not there")
        table = read_npz(path)
        drugs, proteins = (_lines(path.with_name(f"{assay}.{what}.jsonl.gz")) for what in ("drugs", "proteins"))
        for row in np.flatnonzero(table["affinity"] >= least):
            sequence = proteins[table["target"][row]]["seq"]
            smiles = written(drugs[table["drug"][row]]["smiles"], longest)
            if smiles is not None:
                name, fold = known[sequence]
                read = core(sequence, window, before=before)
                found.setdefault((name, smiles), Pair(name, read, smiles, fold))
    return tuple(found.values())


@functools.lru_cache(maxsize=1 << 14)
def written(smiles: str, longest: int) -> str | None:
    """A molecule without aromatic atoms; None where it is not valid, or has more tokens than `longest`.

    >>> written("c1ccccc1", 20), written("c1ccccc1", 4), written("c1", 20)
    ('C1=CC=CC=C1', None, None)
    """
    try:
        made = kekulized(smiles)
    except BadSmiles:
        return None
    return made if len(tokens(made)) <= longest else None


def _lines(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class RandomBinders(BindingPairs):
    """Generated pairs, for tests: what binds a protein ends in the ring of its family (see `RandomMolecules`).

    >>> len(RandomBinders(RandomFamilies(2, 6), 4, folds=3)), len(RandomBinders(RandomFamilies(2, 6), 4, 3, "test"))
    (16, 16)
    """

    proteins: RandomFamilies
    each: int = 8  # molecules of a protein
    folds: int = 4
    split: str = "train"

    def pairs(self) -> tuple[Pair, ...]:
        """Draw them."""
        rows = enumerate(zip(self.proteins.read(), folded(self.proteins, self.folds), strict=True))
        return tuple(
            Pair(own.name, own.sequence, molecule["smiles"], fold)
            for at, (own, fold) in rows
            for molecule in RandomMolecules(self.each, ord(own.family[1]), at)
        )


#: Factors by which measures are multiplied before they are averaged, so that Ki and Kd are about an IC50.
FACTORS: Mapping[str, float] = {"Ki": 2.0, "Kd": 2.0, "IC50": 1.0, "EC50": 1.0}


def affinity(measures: Sequence[tuple[str, float]]) -> float:
    """The geometric mean of several measures of one pair in nmol/l, of which Ki and Kd are doubled.

    Reference: Uludoğan et al. 2022, https://arxiv.org/abs/2209.00981, section 2.1.

    >>> round(affinity([("Ki", 50.0), ("IC50", 400.0)]))
    200
    """
    return float(np.exp(np.mean([np.log(FACTORS[name] * value) for name, value in measures])))


@dataclass(frozen=True)
class MeasuredBinders(BindingPairs):
    """The pairs of a table of measurements, such as BindingDB, whose `affinity` is below `most`.

    Args:
      source: records {"protein", "family", "sequence", "smiles", "measure", "nanomolar"}, with a measure of `FACTORS`.
      most: nmol/l.
      window: residues that are read, the first ones.
      folds: of the families, by a hash of their names.

    Raises:
      KeyError: a measure that is none of `FACTORS`; when it is read.
    """

    source: Source
    most: float = 100.0
    window: int = 1024
    folds: int = 10
    split: str = "train"

    def pairs(self) -> tuple[Pair, ...]:
        """Read all records."""
        return _measured_binders(self.source, self.most, self.window, self.folds)

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.most} {self.window} {self.folds} {self.split}")


@functools.lru_cache(maxsize=4)
def _measured_binders(source: Source, most: float, window: int, folds: int) -> tuple[Pair, ...]:
    measured: dict[Pair, list[tuple[str, float]]] = {}
    for index in range(len(source)):
        record = source[index]
        fold = int.from_bytes(hashlib.sha256(str(record["family"]).encode()).digest()[:8], "big") % folds
        pair = Pair(str(record["protein"]), str(record["sequence"])[:window], str(record["smiles"]), fold)
        measured.setdefault(pair, []).append((str(record["measure"]), float(record["nanomolar"])))
    return tuple(pair for pair, own in measured.items() if affinity(own) < most)


@dataclass(frozen=True)
class Sequences(Source):
    """The proteins of one split, one a record {"name", "sequence"}, in the folds of `BindingPairs`.

    Args:
      window, before: residues that are read, and how many of them before the catalytic loop (`proteins.core`); None:
        whole proteins.

    >>> [len(Sequences(RandomFamilies(2, 8), 4, split)) for split in ("train", "validation", "test")]
    [8, 4, 4]
    """

    proteins: Proteins
    folds: int = 10
    split: str = "train"
    window: int | None = None
    before: int = 16

    def __len__(self) -> int:
        return len(_sequences(self))

    def __getitem__(self, index: int) -> Record:
        name, sequence = _sequences(self)[index]
        return {"name": name, "sequence": sequence}

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(_sequences(self)).encode()).hexdigest()


@functools.lru_cache(maxsize=8)
def _sequences(source: Sequences) -> tuple[tuple[str, str], ...]:
    rows = zip(source.proteins.read(), folded(source.proteins, source.folds), strict=True)
    own = [protein for protein, fold in rows if _is_of(fold, HELD.get(source.split))]
    if source.window is None:
        return tuple((protein.name, protein.sequence) for protein in own)
    return tuple((protein.name, core(protein.sequence, source.window, before=source.before)) for protein in own)


@dataclass(frozen=True, kw_only=True)
class TargetToMolecule(Data):
    """Pairs for an encoder, which reads [CLS, residues], and a decoder, which says [molecule, SEP].

    A batch is that of `data.language.seq2seq`, but what the decoder reads begins with SEP, as molecules in running text
    do.

    Args:
      source: of the pairs.
      residues, atoms: tokenizers of sequences and of molecules, trained on the pairs unless they are `LearnedFrom`.
      inputs, outputs: lengths; what is longer is cut.

    >>> from stagejax.data import Bytes
    >>> pairs = RandomBinders(RandomFamilies(2, 8, length=20))
    >>> data = TargetToMolecule(source=pairs, residues=Bytes(), atoms=Bytes(), batch=2, inputs=24, outputs=32)
    >>> batch = data.take(np.arange(2))
    >>> batch["inputs"].shape, int(batch["tokens"][0, 0]) == SEP, int((batch["targets"][0] == SEP).sum())
    ((2, 24), True, 1)
    """

    source: BindingPairs
    residues: Tokenizer
    atoms: Tokenizer
    batch: int
    inputs: int
    outputs: int
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return encoder_decoder_spec(self.inputs, self.outputs)

    @property
    def tokens(self) -> int:
        """Of inputs and targets together, padding counted."""
        return self.batch * (self.inputs + self.outputs)

    def size(self) -> int:
        return len(self.source)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows = shuffled(self.seed, numbers, self.size())
        return {name: array[rows] for name, array in _arrays(replace(self, batch=1, seed=0, count=None)).items()}

    def read(self, sequences: Sequence[str]) -> Batch:
        """What the encoder reads of some proteins: {"inputs", "mask"}."""
        found = np.zeros((len(sequences), self.inputs), np.int32)
        for row, ids in zip(found, codec(self.residues, self.source, "sequence").encode(sequences), strict=True):
            row[: 1 + len(ids)] = [CLS, *ids][: self.inputs]
        return {"inputs": found, "mask": found != PAD}

    def digest(self) -> str:
        codes = codec(self.residues, self.source, "sequence"), codec(self.atoms, self.source, "smiles")
        return joint_digest(self.source.digest(), *(code.digest() for code in codes))


@functools.lru_cache(maxsize=8)
def _arrays(data: TargetToMolecule) -> dict[str, Any]:
    """Every pair of a source, encoded once."""
    pairs = data.source.own()
    spec = data.sample_spec()
    made = {
        name: np.zeros((len(pairs), *spec[name].shape), spec[name].dtype) for name in ("tokens", "targets", "weights")
    }
    answers = codec(data.atoms, data.source, "smiles").encode([pair.smiles for pair in pairs])
    for at, answer in enumerate(answers):
        said = [*answer[: data.outputs - 1], SEP]
        made["targets"][at, : len(said)], made["weights"][at, : len(said)] = said, 1
        made["tokens"][at, : len(said)] = [SEP, *said[:-1]]
    return data.read([pair.sequence for pair in pairs]) | made
