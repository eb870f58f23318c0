"""A pool of queries that one strategy does not serve best everywhere, in parts for teachers, students and tests."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.knowledge.two_hop import FactGraph
from stagejax.data.named import Dataset
from stagejax.data.portion import Portion
from stagejax.data.prompts.lessons_by_strategy import ChainLessons, HopLessons, Ledgers, OneHop, SumLessons, TextLessons
from stagejax.data.prompts.query_pool import QUESTION_TYPES
from stagejax.data.prompts.strategies import CAUTIOUS, MARKS, Asked, Task
from stagejax.data.reasoning.chains import Chains
from stagejax.data.reasoning.problems import Problems, Wording
from stagejax.data.reasoning.worked import Evidence, WorkedChains, WorkedHops, WorkedSums
from stagejax.data.tokenizers import Tokenizer
from stagejax.data.vocabulary.common_words import CommonWords
from stagejax.data.vocabulary.learned import LearnedFrom

PARTS = ("taught", "asked", "dev", "test")
#: Word problems in few words.
BRIEF = Wording("{name} has {n} .", (("+", "finds {n} ."), ("-", "loses {n} .")), (), "how many ?")


@dataclass(frozen=True)
class Pool:
    """The tasks in four parts, of which the last two share no query with the first two."""

    taught: tuple[Task, ...]  # worked replies of the teacher
    asked: tuple[Task, ...]  # the student's
    dev: tuple[Task, ...]
    test: tuple[Task, ...]
    facts: FactGraph
    each: tuple[int, int, int, int]  # queries of a task, part by part
    words: int  # of the vocabulary, beside answers and marks

    @property
    def tokenizer(self) -> Tokenizer:
        """One token a word, learned from worked replies."""
        labels = (*map(str, range(10)), *QUESTION_TYPES, *(f"e{i}" for i in range(self.facts.entities)))
        return LearnedFrom(CommonWords(self.words, (*labels, *MARKS)), Asked(self.taught))

    def queries(self, part: str, strategy: str = CAUTIOUS) -> Asked:
        place = PARTS.index(part)
        return Asked(getattr(self, part), self.each[place], again=place < 2, strategy=strategy, seed=place)


def strategy_pool(facts: FactGraph, each: tuple[int, int, int, int], texts: bool) -> Pool:
    """The tasks, with trec or without; half of the facts are asked for in training, a third in the test."""
    one, iid, kinds = OneHop(facts), WorkedHops(facts, "test"), Dataset("trec")
    learned, half = Portion(kinds, stop=3000), len(iid) // 3
    told = {
        "taught": ("train", Portion(one, stop=0.3), Portion(WorkedHops(facts), stop=0.5), learned),
        "asked": ("train", Portion(one, 0.3, 0.55), Portion(WorkedHops(facts), start=0.5), Portion(kinds, 3000, 3700)),
        "dev": ("test", Portion(one, 0.55, 0.7), Portion(iid, stop=half), Portion(kinds, 3700, 3800)),
        "test": ("test", Portion(one, start=0.7), Portion(iid, start=half), Dataset("trec", "test")),
    }
    parts: dict[str, tuple[Task, ...]] = {}
    for number, (part, (split, single, double, questions)) in enumerate(told.items()):
        drawn = {"split": split, "size": each[number], "seed": number}
        parts[part] = (
            Task("sums", SumLessons(WorkedSums(Problems(steps=(2,), largest=6, wording=BRIEF, **drawn))),
                 ("{}", "solve . {}")),
            Task("facts", single, ("{}", "find {}")),
            Task("ledgers", Ledgers(names=3, entries=(3, 3), amounts=4, **drawn), ("{}", "look up . {}")),
            Task("hops", HopLessons(double), ("{}", "go {}")),
            Task("chains", ChainLessons(WorkedChains(Chains(clauses=(2, 3), letters=6, **drawn))),
                 ("{}", "value of . {}")),
        )  # fmt: skip
        if texts:
            own = TextLessons(Evidence(questions, learned, QUESTION_TYPES))
            parts[part] += (Task("trec", own, ("{}", "type of . {}")),)
    return Pool(**parts, facts=facts, each=each, words=300)
