"""System messages: a form of reply for each, messages that suit their family, few queries that are part of all."""

from collections import Counter

import pytest

from stagejax.data.prompts.system_messages import ANSWER_ONLY, MESSAGES, STEP_BY_STEP, Family, Queries, answer_of, reply
from stagejax.data.reasoning.worked import WorkedCounts

FAMILIES = (
    Family("many", WorkedCounts(size=300), ("how many {}", "count {}"), (1, 1, 0, 1, 3)),
    Family("few", WorkedCounts(size=30, seed=1), ("{} ?",)),
)
ALL = Queries(FAMILIES, size=120, quota=50, seed=5)


@pytest.mark.parametrize("message", range(len(MESSAGES)))
def test_the_answer_is_read_out_of_every_form(message: int) -> None:
    said = reply(message, ["2 + 3 = 5", "5 * 2 = 10"], "10")
    assert answer_of(said) == "10"
    assert ("2 + 3 = 5" in said) == (message != ANSWER_ONLY)


def test_all_forms_are_different() -> None:
    assert len({reply(message, ["a", "b"], "c") for message in range(len(MESSAGES))}) == len(MESSAGES)


def test_messages_suit_their_families_and_quotas_hold() -> None:
    drawn = [ALL[i] for i in range(len(ALL))]
    many = [record for record in drawn if record["family"] == "many"]
    assert len(many) == 90  # of three tasks with 50, 50 and 30 to give
    wordings = Counter(record["question"].split()[0] for record in many)
    assert set(wordings) == {"how", "count"}
    assert max(wordings.values()) <= 50
    assert STEP_BY_STEP not in {record["message"] for record in many}
    explained = [record["message"] for record in many].count(4)
    assert explained > 30  # as often as all others together


def test_a_few_are_the_same_queries_with_the_same_messages() -> None:
    few = Queries(FAMILIES, size=120, quota=50, few=40, seed=5)
    every = {ALL[i]["prompt"] for i in range(len(ALL))}
    own = [few[i]["prompt"] for i in range(len(few))]
    assert len(own) == 40
    assert set(own) <= every


def test_another_message_changes_nothing_but_the_message() -> None:
    short = Queries(FAMILIES, size=120, quota=50, message=ANSWER_ONLY, seed=5)
    for i in range(0, 120, 7):
        assert short[i]["question"] == ALL[i]["question"]
        assert short[i]["full"] == f"=> {ALL[i]['label']}"
        assert short[i]["prompt"].startswith("<answer-only>")
