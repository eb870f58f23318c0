"""Queries under strategies: what each writes down, which suit a task, and what erasing a message leaves alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from stagejax.data.knowledge.two_hop import FactGraph
from stagejax.data.named import Dataset
from stagejax.data.portion import Portion
from stagejax.data.prompts.lessons_by_strategy import (
    ChainLessons,
    HopLessons,
    Ledgers,
    OneHop,
    SumLessons,
    TextLessons,
    booked,
)
from stagejax.data.prompts.query_pool import QUESTION_TYPES
from stagejax.data.prompts.strategies import (
    ANY,
    CAUTIOUS,
    COT,
    DIRECT,
    EXTRACT,
    RECALL,
    RECALL_REASON,
    STRATEGIES,
    Asked,
    Task,
    best_strategies,
    erased,
    strategy_of,
)
from stagejax.data.prompts.strategy_pool import strategy_pool
from stagejax.data.prompts.system_messages import answer_of
from stagejax.data.reasoning.chains import Chains
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.worked import Evidence, WorkedChains, WorkedHops, WorkedSums

GRAPH = FactGraph(entities=20, relations=4, degree=4, apart=0.02, untold=0.3)
POOL = strategy_pool(GRAPH, (60, 40, 8, 8), texts=False)


def every(asked: Asked) -> list[dict]:
    return [asked[i] for i in range(len(asked))]


def test_a_reply_shows_its_strategy_and_its_answer() -> None:
    for strategy in STRATEGIES:
        for record in every(POOL.queries("taught", strategy)):
            assert strategy_of(record["full"]) == strategy
            assert answer_of(record["full"]) == record["label"]
            assert record["prompt"].split()[0] == f"<{strategy}>"


def test_a_task_has_the_strategies_that_have_something_to_write() -> None:
    suited = {task.name: task.suited for task in POOL.taught}
    assert suited["facts"] == (DIRECT, COT, RECALL)
    assert suited["hops"] == (DIRECT, COT, RECALL, RECALL_REASON)
    assert suited["sums"] == suited["ledgers"] == suited["chains"] == (DIRECT, COT, EXTRACT)
    assert {record["family"] for record in every(POOL.queries("dev", RECALL))} == {"facts", "hops"}


def test_no_word_of_a_question_names_a_strategy() -> None:
    opening = {"first", "then", "recall", "quote", *(f"<{name}>" for name in STRATEGIES)}
    for part in ("taught", "asked", "dev", "test"):
        assert not any(opening & set(record["question"].split()) for record in every(POOL.queries(part)))


def test_held_out_queries_are_in_no_training() -> None:
    told = {record["question"] for part in ("taught", "asked") for record in every(POOL.queries(part))}
    for part in ("dev", "test"):
        assert not told & {record["question"] for record in every(POOL.queries(part))}


def test_messages_are_drawn_among_those_that_suit_and_the_cautious_one() -> None:
    drawn = Counter((record["family"], record["strategy"]) for record in every(POOL.queries("taught", ANY)))
    for task in POOL.taught:
        assert {own for kind, own in drawn if kind == task.name} == {CAUTIOUS, *task.suited}


def test_records_come_again_in_another_wording_or_not_at_all() -> None:
    task = Task("ledgers", Ledgers(size=3), ("{}", "look up . {}"))
    twice = [record["question"] for record in every(Asked((task,), each=6))]
    assert len(set(twice)) == 6
    assert len(Asked((task,), each=50)) == 6
    assert len(Asked((task,), each=50, again=True)) == 50
    assert len(Asked((task,))) == 3
    with pytest.raises(IndexError, match="query 3 of 3"):
        Asked((task,))[3]


def test_strategies_chosen_for_tasks_are_asked_for() -> None:
    asked = Asked(POOL.dev, 4, chosen=(("sums", COT), ("facts", RECALL)))
    found = {record["family"]: record["strategy"] for record in every(asked)}
    assert found == {"sums": COT, "facts": RECALL, "ledgers": CAUTIOUS, "hops": CAUTIOUS, "chains": CAUTIOUS}
    assert asked.digest() != Asked(POOL.dev, 4).digest()


def test_erasing_changes_the_message_and_nothing_else() -> None:
    made = {"tokens": np.array([1, 7, 5, 2, 1, 8, 6, 9, 2]), "starts": np.array([0, 4, 9]), "right": np.ones(2)}
    found = erased(made, 3)
    assert np.flatnonzero(found["tokens"] != made["tokens"]).tolist() == [1, 5]
    assert made["tokens"][1] == 7  # the original is left as it was
    assert found["right"] is made["right"]


def test_the_shortest_strategy_of_the_best_ones_is_chosen() -> None:
    right = {"a": {DIRECT: 0.89, COT: 0.9, EXTRACT: 0.9}, "b": {DIRECT: 0.5, COT: 0.9}}
    tokens = {"a": {DIRECT: 3.0, COT: 9.0, EXTRACT: 5.0}, "b": {DIRECT: 3.0, COT: 9.0}}
    assert best_strategies(right, tokens) == {"a": EXTRACT, "b": COT}
    assert best_strategies(right, tokens, margin=0.02) == {"a": DIRECT, "b": COT}


def test_what_strategies_write_leads_to_the_answer() -> None:
    sums = SumLessons(WorkedSums(Problems(steps=(2, 3), largest=6)))
    chains, ledgers = ChainLessons(WorkedChains(Chains(letters=6))), Ledgers()
    for i in range(50):
        assert sums[i]["steps"][-1].split()[-1] == sums[i]["label"]
        assert eval(" ".join(sums[i]["steps"][0].split()[:3])) == int(sums[i]["steps"][0].split()[-1])
        value = 0
        for clause in chains[i]["quotes"]:
            sign, whence = clause.split()[2:]
            value = (int(whence) if whence in "01" else value) ^ (sign == "not")
        assert str(value) == chains[i]["label"]
        assert sum(int(entry.split()[1]) for entry in ledgers[i]["quotes"]) == int(ledgers[i]["label"])
    hop, facts = HopLessons(WorkedHops(GRAPH))[0], {OneHop(GRAPH)[i]["facts"][0] for i in range(len(OneHop(GRAPH)))}
    assert set(hop["facts"]) <= facts
    assert hop["facts"][0].split()[2] == hop["facts"][1].split()[0] == hop["steps"][0]


def test_a_ledger_of_nothing_asked_for_is_refused_by_its_range() -> None:
    assert booked(["a", "b"], [1, 2], "b")["steps"] == ["a 0", "b 2"]
    with pytest.raises(IndexError, match="record 9 of 3"):
        Ledgers(size=3)[9]


def test_words_of_real_questions_are_quoted() -> None:
    kinds = Dataset("trec")
    source = TextLessons(Evidence(Portion(kinds, stop=500), Portion(kinds, stop=500), QUESTION_TYPES))
    record = source[0]
    assert set(record["quotes"]) <= set(record["question"].split())
    assert record["steps"][0] == record["quotes"][0]
