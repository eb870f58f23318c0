"""A pool of queries for teachers and students: generated families that take steps to answer, and classes of texts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stagejax.data.knowledge.two_hop import FactGraph
from stagejax.data.named import Dataset
from stagejax.data.portion import Portion
from stagejax.data.prompts.system_messages import MARKS, Family, Queries
from stagejax.data.reasoning.chains import Chains
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.worked import Evidence, WorkedChains, WorkedCounts, WorkedHops, WorkedSums
from stagejax.data.sources import Source
from stagejax.data.tokenizers import Tokenizer
from stagejax.data.vocabulary.common_words import CommonWords
from stagejax.data.vocabulary.learned import LearnedFrom

REASONING = ("sums", "chains", "hops", "counts")
QUESTION_TYPES = ("description", "entity", "abbreviation", "human", "location", "number")
FEELINGS = ("negative", "positive")
#: Of classes there are no steps to go through one by one.
NOT_BY_STEPS = (1, 1, 0, 1, 1)


@dataclass(frozen=True)
class Pool:
    """Queries in parts that share none but by chance, and the facts that some of them ask for."""

    taught: tuple[Family, ...]  # worked examples of the teachers
    asked: tuple[Family, ...]  # the student's
    dev: tuple[Family, ...]
    test: tuple[Family, ...]
    facts: FactGraph
    words: int  # of the vocabulary, beside answers and marks
    size: int  # queries of the first phase
    few: int  # of those, answered by the strong teacher as well
    quota: int  # of a task
    fewer: int  # worked examples of the assistant

    @property
    def labels(self) -> tuple[str, ...]:
        """All answers there are, one word each."""
        entities = (f"e{i}" for i in range(self.facts.entities))
        return (*(str(i) for i in range(11)), *FEELINGS, *QUESTION_TYPES, *entities)

    @property
    def tokenizer(self) -> Tokenizer:
        """One token a word, learned from worked examples."""
        return LearnedFrom(CommonWords(self.words, (*self.labels, *MARKS)), Queries(self.taught))

    def queries(self, few: bool = False, message: int | None = None) -> Queries:
        """The student's, all or a few of them."""
        return Queries(self.asked, self.size, self.quota, self.few if few else None, message)


@dataclass(frozen=True)
class Files:
    """Replies that teachers gave elsewhere, and queries to be asked: records are made by whoever has them.

    Replies are {"prompt", "response"} each, queries {"family", "prompt", "label", "length"}.
    """

    replies: tuple[tuple[str, Source], ...]
    test: Source
    tokenizer: Tokenizer


def generated(facts: FactGraph, taught: int, asked: int, held: int) -> Pool:
    """The reasoning families: so many worked examples, queries of the student, and half as many of dev as of test."""
    sums, chains = Problems(steps=(1, 2), largest=10), Chains(clauses=(2, 3))
    counts = WorkedCounts(letters=3, lengths=(3, 5))
    parts: dict[str, tuple[Family, ...]] = {}
    hops, unseen = WorkedHops(facts), WorkedHops(facts, "test")
    half = held // 2
    told = {
        "taught": ("train", taught, 1, Portion(hops, stop=0.5)),
        "asked": ("train", asked, 2, Portion(hops, start=0.5)),
        "dev": ("test", half, 3, Portion(unseen, stop=half)),
        "test": ("test", held, 4, Portion(unseen, start=half, stop=min(len(unseen), half + held))),
    }
    for part, (split, size, seed, own) in told.items():
        drawn = {"split": split, "size": size, "seed": seed}
        parts[part] = (
            Family("sums", WorkedSums(replace(sums, **drawn)), ("{}", "solve this . {}", "{} tell me .")),
            Family("chains", WorkedChains(replace(chains, **drawn)), ("{}", "find the value . {}", "{} here")),
            Family("hops", own, ("{}", "where does {} lead", "go {}")),
            Family("counts", replace(counts, **drawn), ("how many {}", "count {}", "number of {}")),
        )
    return Pool(**parts, facts=facts, words=120, size=2 * asked, few=asked // 2, quota=asked // 3, fewer=2 * asked)


def with_texts(pool: Pool) -> Pool:
    """The pool with sentiments of sst2 and question types of trec; their few words are those of worked examples."""
    films, kinds = Dataset("sst2"), Dataset("trec")
    # where the records of worked examples, of the student and of dev end; of test splits 150 are asked
    shares = ((films, FEELINGS, (3000, 3900, 3950), ("{}", "review {}", "{} how is it")),
              (kinds, QUESTION_TYPES, (3000, 3450, 3500), ("{}", "type of {}", "{} what is asked for")))  # fmt: skip
    added: dict[str, tuple[Family, ...]] = dict.fromkeys(("taught", "asked", "dev", "test"), ())
    for name, (source, names, ends, templates) in zip(("sst2", "trec"), shares, strict=True):
        first, second, third = ends
        learned = Portion(source, stop=first)
        parts = {
            "taught": learned,
            "asked": Portion(source, first, second),
            "dev": Portion(source, second, third),
            "test": Portion(replace(source, split="test"), stop=150),
        }
        for part, own in parts.items():
            added[part] += (Family(name, Evidence(own, learned, names), templates, NOT_BY_STEPS),)
    grown = {part: getattr(pool, part) + own for part, own in added.items()}
    return replace(pool, **grown, words=600, size=3000, few=600, quota=240, fewer=6000)
