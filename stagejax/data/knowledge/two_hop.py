"""Questions in two hops over a random graph of facts, with the bridge between the hops said or left out.

An atomic fact (h, r, t) says that relation r leads from entity h to entity t. Two of them, (h, r1, b) and (b, r2, t),
make the two-hop fact (h, r1, r2) -> t over the bridge b. Some atomic facts are only ever told by themselves: whoever
answers a two-hop question about two of those has not recalled it, nor anything like it, but has put it together.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from stagejax.data.order import random_words, shuffled, uniforms
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.tokenizers import SEP, SPECIAL
from stagejax.data.vocabulary.words import Words

#: Tokens of the longest row: h r1 r2 b t and its end.
LONGEST = 6
#: Tokens of a question in two hops: h r1 r2.
ASKED = 3
#: What a reader is tested on, in the order of the numbers that tests bear.
KINDS = ("id_atomic", "ood_atomic", "trained", "iid", "ood")

Facts = Int32[np.ndarray, "n 3"]  # h, r, t
Compositions = Int32[np.ndarray, "n 5"]  # h, r1, r2, b, t


@dataclass(frozen=True)
class FactGraph:
    """Every entity has `degree` different relations, each of which leads to an entity drawn at random.

    Args:
      entities, relations: how many there are; each is one token.
      apart: share of the atomic facts of which no composition is ever trained on (out of distribution, OOD); the others
        are in distribution (ID).
      untold: share of the compositions of ID facts that are left out of training.
      seed: of all draws.

    Raises:
      ValueError: more relations of an entity than there are, or a share outside of (0, 1).

    Reference: Wang et al. 2024, https://arxiv.org/abs/2405.15071, section 2.

    >>> graph = FactGraph(entities=20, relations=5, degree=3)
    >>> parts = graph.parts()
    >>> [len(part) for part in parts], graph.tokenizer().decode(parts.iid[0])
    ([54, 6, 147, 11, 4], 'e6 r2 r2 e3 e6')
    """

    entities: int = 100
    relations: int = 20
    degree: int = 10
    apart: float = 0.1
    untold: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.degree <= self.relations:
            raise ValueError(f"degree={self.degree} of relations={self.relations}: an entity has each at most once")
        if not (0 < self.apart < 1 and 0 < self.untold < 1):
            raise ValueError(f"apart={self.apart}, untold={self.untold}: both are shares between 0 and 1")

    def tokenizer(self) -> Words:
        """Entities e0, e1, ..., then relations r0, r1, ...: one token each."""
        return Words((*(f"e{i}" for i in range(self.entities)), *(f"r{i}" for i in range(self.relations))))

    @property
    def vocab(self) -> int:
        """Number of token ids, special ones among them."""
        return SPECIAL + self.entities + self.relations

    def parts(self) -> Parts:
        """All facts and their compositions, as token ids."""
        return _parts(self)

    def with_another(self, facts: Int32[np.ndarray, "n places"], place: int) -> Int32[np.ndarray, "n places"]:
        """The same facts, whose entity or relation at one place is the next one of all; after the last is the first."""
        relations = SPECIAL + self.entities
        first, size = (SPECIAL, self.entities) if facts[0, place] < relations else (relations, self.relations)
        changed = facts.copy()
        changed[:, place] = first + (facts[:, place] - first + 1) % size
        return changed


class Parts(NamedTuple):
    """The facts of a graph, each part in random order. Compositions of one ID and one OOD fact are left out."""

    id_atomic: Facts
    ood_atomic: Facts
    told: Compositions  # of two ID facts, those that training may have
    iid: Compositions  # of two ID facts, never trained on
    ood: Compositions  # of two OOD facts


@functools.lru_cache(maxsize=32)
def _parts(graph: FactGraph) -> Parts:
    heads, degree, seed = np.arange(graph.entities), graph.degree, 7 * graph.seed
    relations = np.argsort(random_words(seed, heads, graph.relations), axis=1)[:, :degree]
    tails = (random_words(seed + 1, heads, degree) % np.uint64(graph.entities)).astype(np.int64)
    size = graph.entities * degree
    first = SPECIAL + graph.entities  # the token of the first relation
    facts = np.stack(
        [SPECIAL + np.repeat(heads, degree), first + relations.reshape(-1), SPECIAL + tails.reshape(-1)], axis=1
    ).astype(np.int32)
    ood = np.zeros(size, bool)
    ood[shuffled(seed + 2, np.arange(max(1, round(graph.apart * size))), size)] = True

    one = np.repeat(np.arange(size), degree)  # every fact, with every fact about the entity to which it leads
    two = (tails.reshape(-1)[:, None] * degree + np.arange(degree)).reshape(-1)
    pairs = np.column_stack([facts[one, :2], facts[two, 1], facts[one, 2], facts[two, 2]])
    inside, outside = ~ood[one] & ~ood[two], ood[one] & ood[two]
    numbers = np.arange(len(pairs))
    untold = happens(seed + 3, numbers, graph.untold)

    def mixed(part: np.ndarray) -> np.ndarray:
        return part[shuffled(seed + 4, np.arange(len(part)), len(part))]

    compositions = pairs[inside & ~untold], pairs[inside & untold], pairs[outside]
    return Parts(*map(mixed, (facts[~ood], facts[ood], *compositions)))


def happens(seed: int, numbers: Int64[np.ndarray, " n"], share: float) -> Bool[np.ndarray, " n"]:
    """For each number whether it is one of a random share."""
    return uniforms(random_words(seed, numbers, 1))[:, 0] < share


@dataclass(frozen=True)
class Noise:
    """A share of the two-hop facts of training, drawn once, is false: another bridge, another answer, or both."""

    share: float
    bridge: bool = False
    answer: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or not (self.bridge or self.answer):
            raise ValueError(f"{self}: give a share from 0 to 1, and what of it is false: bridge, answer or both")

    @property
    def said(self) -> str:
        """What is false, in words.

        >>> Noise(0.2, bridge=True, answer=True).said
        '20 % of bridges and answers'
        """
        what = " and ".join(word for word, own in (("bridges", self.bridge), ("answers", self.answer)) if own)
        return f"{100 * self.share:g} % of {what}"

    def spoil(self, graph: FactGraph, facts: Compositions) -> Compositions:
        """The same facts, some of them false; the entity that is put in place of the right one is drawn from all."""
        numbers, seed = np.arange(len(facts)), 7 * graph.seed
        hit = happens(seed + 5, numbers, self.share)
        others = SPECIAL + (random_words(seed + 6, numbers, 2) % np.uint64(graph.entities)).astype(np.int32)
        spoilt = facts.copy()
        for column, false, other in ((3, self.bridge, others[:, 0]), (4, self.answer, others[:, 1])):
            spoilt[hit & false, column] = other[hit & false]
        return spoilt


def rows_of(facts: Facts | Compositions, written: bool) -> tuple[Int32[np.ndarray, "n 6"], Float32[np.ndarray, "n 5"]]:
    """Facts as rows of tokens, and the weights of their targets: 1 at what follows the question, its end among it.

    Args:
      written: say the bridge before the answer, h r1 r2 b t, or leave it out, h r1 r2 t.

    >>> tokens, weights = rows_of(np.array([[10, 30, 31, 11, 12]], np.int32), written=False)
    >>> tokens.tolist(), weights.tolist()
    ([[10, 30, 31, 12, 2, 0]], [[0.0, 0.0, 1.0, 1.0, 0.0]])
    """
    if facts.shape[1] == 5 and not written:
        facts = facts[:, [0, 1, 2, 4]]
    asked, end = 2 if facts.shape[1] == 3 else ASKED, facts.shape[1]
    tokens, weights = np.zeros((len(facts), LONGEST), np.int32), np.zeros((len(facts), LONGEST - 1), np.float32)
    tokens[:, :end], tokens[:, end] = facts, SEP
    weights[:, asked - 1 : end] = 1
    return tokens, weights


@dataclass(frozen=True, kw_only=True)
class TwoHop(Data):
    """All atomic facts, and some compositions of ID ones: {"tokens", "targets": int32 (5,), "weights": float32 (5,)}.

    Args:
      written: whether the bridge is said before the answer: explicit chain of thought, or none.
      ratio: λ, two-hop facts for each atomic ID fact.
      noise: of the two-hop facts.

    Raises:
      ValueError: when rows are taken, if there are fewer compositions than `ratio` asks for.

    Reference: https://arxiv.org/abs/2502.04667.

    >>> data = TwoHop(graph=FactGraph(20, 5, 3), ratio=1.0, batch=4)
    >>> row = data.take(np.array([0]))
    >>> data.graph.tokenizer().decode(row["tokens"][0]), row["weights"][0].tolist(), data.size()
    ('e3 r3 e16', [0.0, 1.0, 1.0, 0.0, 0.0], 114)
    """

    graph: FactGraph
    batch: int
    written: bool = True
    ratio: float = 7.2
    noise: Noise | None = None
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        kinds = {"tokens": "int32", "targets": "int32", "weights": "float32"}
        return {name: jax.ShapeDtypeStruct((LONGEST - 1,), np.dtype(kind)) for name, kind in kinds.items()}

    def size(self) -> int:
        return len(_told(self.graph, self.ratio, self.written, self.noise)[0])

    def trained(self) -> Compositions:
        """The two-hop facts of training, before any of them is spoilt."""
        parts = self.graph.parts()
        size = max(1, round(self.ratio * len(parts.id_atomic)))
        if size > len(parts.told):
            raise ValueError(
                f"ratio={self.ratio} asks for {size} two-hop facts, but {self.graph} has {len(parts.told)}: lower "
                f"`ratio` to {len(parts.told) / len(parts.id_atomic):.2f} or less, or raise `degree`"
            )
        return parts.told[:size]

    def targets(self) -> float:
        """Tokens of a row that are learned, on average."""
        return float(_told(self.graph, self.ratio, self.written, self.noise)[1].sum(1).mean())

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        tokens, weights = _told(self.graph, self.ratio, self.written, self.noise)
        chosen = shuffled(self.seed, numbers, len(tokens))
        return {"tokens": tokens[chosen, :-1], "targets": tokens[chosen, 1:], "weights": weights[chosen]}

    def digest(self) -> str:
        return joint_digest(repr((self.graph, self.written, self.ratio, self.noise)))


@functools.lru_cache(maxsize=32)
def _told(graph: FactGraph, ratio: float, written: bool, noise: Noise | None) -> tuple[np.ndarray, np.ndarray]:
    """All rows of training, and their weights."""
    parts, facts = graph.parts(), TwoHop(graph=graph, ratio=ratio, batch=1).trained()
    spoilt = facts if noise is None else noise.spoil(graph, facts)
    rows = [rows_of(part, written) for part in (parts.id_atomic, parts.ood_atomic, spoilt)]
    tokens, weights = (np.concatenate(part) for part in zip(*rows, strict=True))
    return tokens, weights


@dataclass(frozen=True, kw_only=True)
class TwoHopTests(Data):
    """Facts of every kind of `KINDS`, none of them spoilt: the rows of `of`, and the number of their `kind` (int32).

    Behind the last fact a batch is filled up with rows of no weight. `count` follows from the number of facts.

    Args:
      of: what was trained on.
      most: facts of a kind.

    >>> tests = TwoHopTests(of=TwoHop(graph=FactGraph(20, 5, 3), batch=4, ratio=1.0), most=8, batch=16)
    >>> rows = tests.take(np.arange(tests.size()))
    >>> tests.count, np.bincount(rows["kind"][rows["weights"].any(1)]).tolist()
    (3, [8, 6, 8, 8, 4])
    """

    of: TwoHop
    most: int
    batch: int

    @property
    def count(self) -> int:  # type: ignore[override]
        return -(-sum(map(len, self.facts().values())) // self.batch)

    def facts(self) -> dict[str, Facts | Compositions]:
        """By kind."""
        parts = self.of.graph.parts()
        return {kind: getattr(parts, kind, self.of.trained())[: self.most] for kind in KINDS}

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self.of.sample_spec() | {"kind": jax.ShapeDtypeStruct((), np.dtype("int32"))}

    def size(self) -> int:
        return self.count * self.batch

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        tokens, weights, kind = _tests(self.of, self.most)
        there = numbers < len(tokens)
        chosen = np.where(there, numbers, 0)
        weights = weights[chosen] * there[:, None].astype(np.float32)
        return {"tokens": tokens[chosen, :-1], "targets": tokens[chosen, 1:], "weights": weights, "kind": kind[chosen]}

    def digest(self) -> str:
        return self.of.digest()


@functools.lru_cache(maxsize=32)
def _tests(of: TwoHop, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    facts = TwoHopTests(of=of, most=most, batch=1).facts()
    tokens, weights = (
        np.concatenate(x) for x in zip(*(rows_of(own, of.written) for own in facts.values()), strict=True)
    )
    return tokens, weights, np.repeat(np.arange(len(KINDS)), [len(own) for own in facts.values()]).astype(np.int32)
