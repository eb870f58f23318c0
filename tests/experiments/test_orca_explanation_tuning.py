"""Orca: sampled explanations with their errors, equal tokens, messages that every arm sees, loss on replies alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.distillation.orca_explanation_tuning import (
    ALONE,
    ANSWERS,
    ASSISTANT,
    EXPERIMENT,
    MIXTURE,
    ORCA,
    PHASES,
    REVERSED,
    SHORT,
    STRONG,
    Found,
    averaged,
    guessed,
    judged,
    preset,
)
from stagejax import Plan
from stagejax.data.prompts.system_messages import ANSWER, EMPTY, MESSAGES, Queries
from stagejax.data.tokenizers import CLS, SPECIAL, codec
from stagejax.names import slug

SMOKE = preset("smoke")
POOL = SMOKE.pool
CODE = codec(SMOKE.tokenizer, POOL.queries(), "text")
finished = smoke_run(EXPERIMENT, SMOKE)


def stage(results: dict[str, Any], arm: str, phase: int) -> Any:
    return results[f"0/{slug(arm)}/{SMOKE.rates[0]:g}/{phase}"]


def corpus(results: dict[str, Any], name: str) -> list[tuple[str, str]]:
    """Prompts and learned replies of a teacher's documents."""
    made = results[f"replies/{slug(name)}"].value
    found = []
    for begin, end in zip(made["starts"], made["starts"][1:], strict=False):
        tokens, weights = made["tokens"][begin:end], made["weights"][begin : end - 1]
        found.append((CODE.decode(tokens[1:][weights == 0]), CODE.decode(tokens[1:][weights > 0])))
    return found


def texts(part: str) -> set[str]:
    queries = Queries(getattr(POOL, part))
    return {queries[i]["question"] for i in range(len(queries))}


def test_held_out_queries_are_in_no_training() -> None:
    trained = texts("taught") | texts("asked")
    assert not texts("test") & trained
    assert not texts("dev") & trained


def test_marks_and_answers_have_the_first_ids() -> None:
    ids = CODE.encode([" ".join(POOL.labels)])[0]
    assert ids.tolist() == list(range(SPECIAL, SPECIAL + len(POOL.labels)))


def test_every_message_is_drawn_and_a_few_queries_are_of_the_many() -> None:
    many, few = POOL.queries(), POOL.queries(few=True)
    drawn = Counter(many[i]["message"] for i in range(len(many)))
    assert set(drawn) == set(range(len(MESSAGES)))
    assert {few[i]["prompt"] for i in range(len(few))} <= {many[i]["prompt"] for i in range(len(many))}


@pytest.mark.slow
def test_orca_is_taught_by_the_assistant_first_and_all_arms_have_equal_steps() -> None:
    assert PHASES[ORCA] == ((ASSISTANT,), (STRONG,))
    assert PHASES[REVERSED] == PHASES[ORCA][::-1]
    plan = Plan.on("data=1", price=False)
    report = EXPERIMENT.pipeline(plan, SMOKE)
    assert all(claim.verdict == "not tested" for claim in report.claims)
    stages = {result.name: result.stage for result in plan.results if result.kind == "train"}
    for arm in PHASES:
        own = [stage for name, stage in stages.items() if name.startswith(f"0/{slug(arm)}/")]
        tokens = [stage.steps * int(np.prod(stage.data.spec()["tokens"].shape)) for stage in own]
        assert sum(tokens) == sum(SMOKE.steps) * SMOKE.batch * SMOKE.length
        assert len({(stage.model, stage.objective) for stage in own}) == 1


def test_claims_follow_the_rules() -> None:
    class Made:
        def __init__(self, reasoning: int, rest: int) -> None:
            kinds = ["sums"] * 100 + ["chains"] * 100 + ["hops"] * 100 + ["counts"] * 100 + ["sst2"] * 100
            right = [int(i % 100 < reasoning) for i in range(400)] + [int(i < rest) for i in range(100)]
            self.value = {"right": right, "family": kinds}

    def verdicts(**arms: tuple[int, int]) -> list[str]:
        names = {"orca": ORCA, "answers": ANSWERS, "alone": ALONE, "mixed": MIXTURE, "reversed": REVERSED}
        return [c.verdict for c in judged(Found(SMOKE, answers={names[k]: {0: Made(*v)} for k, v in arms.items()}))]

    assert averaged(Made(40, 90).value) == pytest.approx(50)
    good = verdicts(orca=(40, 60), answers=(34, 90), alone=(38, 59), mixed=(40, 60), reversed=(30, 60))
    poor = verdicts(orca=(40, 60), answers=(36, 0), alone=(40, 59), mixed=(41, 60), reversed=(30, 60))
    assert good == ["holds"] * 3
    assert poor == ["does not hold"] * 3


def test_the_most_frequent_answers_are_right_for_their_share() -> None:
    queries = Queries(POOL.test)
    shares = []
    for family in POOL.test:
        labels = [queries[i]["label"] for i in range(len(queries)) if queries[i]["family"] == family.name]
        shares.append(max(labels.count(label) for label in labels) / len(labels))
    assert guessed(POOL) == pytest.approx(100 * np.mean(shares))
    assert guessed(POOL, ("sums",)) == pytest.approx(100 * shares[0])


def test_the_pod_preset_is_the_papers() -> None:
    pod = preset("pod")
    assert pod.length == 2048
    assert pod.steps[0] == 5 * pod.steps[1]
    assert [name for name, _ in pod.pool.replies] == [ASSISTANT, STRONG]
    assert pod.arms == (ORCA, ALONE)


@pytest.mark.slow
def test_replies_are_the_teachers_own_and_wrong_ones_are_kept(finished: Any) -> None:
    results, _, _ = finished
    for name in (ASSISTANT, STRONG, SHORT):
        made = results[f"replies/{slug(name)}"].value
        assert made["right"].mean() < 1
        assert len(made["query"]) == made["ended"].sum() > made["right"].sum()
        assert results[f"replies/{slug(name)}"].cost.sampled_tokens == made["drawn"].sum()
    assert len(results[f"replies/{slug(ASSISTANT)}"].value["ended"]) == POOL.size
    assert len(results[f"replies/{slug(STRONG)}"].value["ended"]) == POOL.few


@pytest.mark.slow
def test_answers_only_sees_the_same_messages_and_as_many_queries_as_orca(finished: Any) -> None:
    results, _, _ = finished
    many = POOL.queries()
    prompts = {CODE.decode(ids) for ids in CODE.encode([many[i]["prompt"] for i in range(len(many))])}
    for name in (ASSISTANT, STRONG, SHORT):
        assert {prompt for prompt, _ in corpus(results, name)} <= prompts
    short = corpus(results, SHORT)
    assert any(MESSAGES[EMPTY] in prompt for prompt, _ in short)
    assert max(len(said.split()) for _, said in short) < 8
    assert any(said.startswith(ANSWER) for _, said in short)


@pytest.mark.slow
def test_prompts_are_not_learned_and_documents_of_a_row_are_apart(finished: Any) -> None:
    results, _, _ = finished
    data = stage(results, ORCA, 1).stage.data
    batch = data.take(np.arange(4))
    assert batch["segments"].max() > 1
    at = batch["weights"] > 0
    replies = CODE.encode(["<reply>"])[0][0]
    for row in range(4):
        marked = np.flatnonzero(batch["tokens"][row] == replies)
        assert at[row][marked].all()  # a reply is learned from its first word on
        assert not at[row][marked - 1].any()
    begins = (batch["positions"] == 0) & (batch["segments"] > 0)
    assert (batch["tokens"][begins] == CLS).all()


@pytest.mark.slow
def test_phases_follow_each_other_and_all_arms_begin_with_one_checkpoint(finished: Any) -> None:
    results, report, _ = finished
    first, second = stage(results, ORCA, 1), stage(results, ORCA, 2)
    assert first.stage.steps == SMOKE.steps[0]
    assert second.stage.steps == SMOKE.steps[1]
    assert second.stage.data.of == results[f"replies/{slug(STRONG)}"].fingerprint
    assert stage(results, REVERSED, 2).stage.data.of == results[f"replies/{slug(ASSISTANT)}"].fingerprint
    assert any((x != y).any() for x, y in zip(flat(first).values(), flat(second).values(), strict=True))
    assert all(arm.results[0].name == "checkpoint" for arm in report.arms)
    charged = {arm.group or arm.name: {result.name for result in arm.charged} for arm in report.arms}
    assert {"strong", "assistant", "replies/assistant", "replies/strong"} <= charged[ORCA]
    assert not any("assistant" in name for name in charged[ANSWERS] | charged[ALONE])


@pytest.mark.slow
def test_all_are_asked_the_same_test_queries_under_the_empty_message(finished: Any) -> None:
    results, _, _ = finished
    asked = Queries(POOL.test, message=EMPTY)
    kinds = [asked[i]["family"] for i in range(len(asked))]
    for arm in PHASES:
        made = results[f"0/{slug(arm)}/test"].value
        assert made["family"] == kinds
        assert max(made["tokens"]) <= SMOKE.limit
