"""Steps lead to their labels: every family is solved again from its question."""

from stagejax.data.knowledge.two_hop import FactGraph
from stagejax.data.reasoning.chains import Chains
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.worked import Evidence, FactTexts, WorkedChains, WorkedCounts, WorkedHops, WorkedSums
from stagejax.data.sources import Derived, Record
from stagejax.data.tasks.pairs import SynonymPairs


def test_letters_are_counted() -> None:
    rows = WorkedCounts(size=50)
    for i in range(50):
        record = rows[i]
        letter, _, *row = record["question"].split()
        assert record["label"] == str(row.count(letter))
        assert record["steps"] == [f"{own} {row[: at + 1].count(letter)}" for at, own in enumerate(row)]
        assert record["brief"][-1].split()[-1] == record["label"]


def test_rows_of_letters_of_the_two_splits_differ() -> None:
    parts = [WorkedCounts(split, 200, seed=seed) for split, seed in (("train", 0), ("test", 0), ("test", 1))]
    train, test, more = ({part[i]["question"] for i in range(200)} for part in parts)
    assert not train & (test | more)


def test_hops_follow_facts_that_are_told_and_held_out_ones_are_never_in_training() -> None:
    graph = FactGraph(entities=12, relations=4, degree=3, untold=0.3)
    told = FactTexts(graph)
    facts = {told[i]["text"] for i in range(len(told))}
    train, test = WorkedHops(graph), WorkedHops(graph, "test")
    for source in (train, test):
        for i in range(len(source)):
            record = source[i]
            assert set(record["steps"]) <= facts
            h, r1, r2 = record["question"].split()
            first, second = (step.split() for step in record["steps"])
            assert (first[:2], second[1], second[2]) == ([h, r1], r2, record["label"])
            assert first[2] == second[0] == record["brief"][0]
    asked = [{source[i]["question"] for i in range(len(source))} for source in (train, test)]
    assert not asked[0] & asked[1]


def test_a_brief_explanation_is_part_of_a_full_one_and_shorter() -> None:
    for source in (WorkedSums(Problems(size=20)), WorkedChains(Chains(size=20)), WorkedCounts(size=20)):
        for i in range(20):
            full, brief = (" ".join(source[i][kind]) for kind in ("steps", "brief"))
            assert len(brief.split()) <= len(full.split())
            assert len(brief) < len(full) or source[i]["steps"] == source[i]["brief"]
            assert brief.split()[-1] == full.split()[-1] == source[i]["label"]


class Scored(Derived):
    """Sentences by whether they are about a dog, or its synonyms."""

    def __getitem__(self, index: int) -> Record:
        text = self.source[index]["s1"]
        return {"text": text, "label": int("dog" in text.split())}

    def digest(self) -> str:
        return self.source.digest()


def test_the_word_that_makes_the_class_is_the_first_evidence() -> None:
    films = Evidence(Scored(SynonymPairs(size=600)), Scored(SynonymPairs(size=600)), ("no", "yes"))
    about = [films[i] for i in range(200) if films[i]["label"] == "yes"]
    assert about
    assert all(record["brief"] == ["dog"] for record in about)
    assert all(set(films[i]["steps"]) <= set(films[i]["question"].split()) for i in range(50))
