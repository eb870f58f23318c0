"""Orca 2: S* by validation queries, messages erased and nothing else, equal steps, one rule for every arm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.distillation.orca2_cautious import (
    ASSISTANT,
    EXPERIMENT,
    KEPT,
    ORCA_1,
    ORCA_2,
    SHORT,
    STEPS,
    TOLD,
    Found,
    averaged,
    guessed,
    judged,
    preset,
)
from stagejax import Plan
from stagejax.data.prompts.strategies import ANY, CAUTIOUS, COT, DIRECT, EXTRACT, RECALL, STRATEGIES
from stagejax.data.tokenizers import codec
from stagejax.names import slug

SMOKE = preset("smoke")
POOL = SMOKE.pool
CODE = codec(SMOKE.tokenizer, POOL.queries("asked"), "prompt")
BEST = {"sums": COT, "facts": RECALL, "ledgers": EXTRACT, "hops": RECALL, "chains": DIRECT}
finished = smoke_run(EXPERIMENT, SMOKE)


class Made:
    """An artifact with a value, as found by `answered`."""

    def __init__(self, value: Any) -> None:
        self.value = value


def answers(right: int, follow: int = 100, tokens: int = 5) -> dict[int, Made]:
    """One hundred queries of every task: so many right, so many by S*."""
    value: dict[str, list[Any]] = {"right": [], "family": [], "strategy": [], "tokens": []}
    for task, strategy in BEST.items():
        value["right"] += [int(i < right) for i in range(100)]
        value["family"] += [task] * 100
        value["strategy"] += [strategy if i < follow else "" for i in range(100)]
        value["tokens"] += [tokens] * 100
    return {0: Made(value)}


def corpus(made: Any) -> list[tuple[str, str]]:
    """Prompts and learned replies of documents."""
    value, found = made.value, []
    for begin, end in zip(value["starts"], value["starts"][1:], strict=False):
        tokens, weights = value["tokens"][begin:end], value["weights"][begin : end - 1]
        found.append((CODE.decode(tokens[1:][weights == 0]), CODE.decode(tokens[1:][weights > 0])))
    return found


@pytest.fixture(scope="module")
def planned() -> Any:
    plan = Plan.on("data=1", price=False)
    return EXPERIMENT.pipeline(plan, SMOKE), plan.results


@pytest.mark.slow
def test_all_arms_have_equal_steps_and_begin_with_the_same_stages(planned: Any) -> None:
    report, results = planned
    assert all(claim.verdict == "not tested" for claim in report.claims)
    stages = {result.name: result.stage for result in results if result.kind == "train"}
    own = [stages[f"{slug(arm)}/0/{SMOKE.rates[0]:g}"] for arm in SMOKE.arms]
    assert len({(stage.steps, stage.model, stage.objective) for stage in own}) == 1
    assert len({str(stage.data.spec()) for stage in own}) == 1
    for arm in report.arms:
        assert [result.name for result in arm.results[:-1]] == ["checkpoint", "answers", "assistants_replies"]


def test_selection_is_charged_to_those_who_use_it(planned: Any) -> None:
    report, _ = planned
    charged = {arm.group or arm.name: {result.name for result in arm.charged} for arm in report.arms}
    picks = {f"strong/{strategy}" for strategy in STRATEGIES}
    assert picks <= charged[ORCA_2] & charged[KEPT]
    assert not picks & (charged[STEPS] | charged[SHORT] | charged[ORCA_1])
    assert all({ASSISTANT, "strong", "replies/assistant"} <= names for names in charged.values())


@pytest.mark.slow
def test_claims_follow_the_rules() -> None:
    def verdicts(kept: dict[int, Made], **arms: dict[int, Made]) -> list[str]:
        found = Found(SMOKE, choices={"teacher": (Made({"best": BEST}),)})
        names = {"orca2": ORCA_2, "orca1": ORCA_1, "steps": STEPS, "short": SHORT}
        found.answers.update({names[name]: made for name, made in arms.items()} | {KEPT: kept, TOLD: kept})
        return [claim.verdict for claim in judged(found)]

    good = {"steps": answers(88, tokens=9), "short": answers(50), "orca1": answers(80)}
    assert verdicts(answers(88), orca2=answers(91, 86), **good) == ["holds"] * 4
    assert verdicts(answers(89), orca2=answers(89, 84, 9), **good) == ["does not hold"] * 4
    poor = {name: answers(0, tokens=9) for name in good}
    assert verdicts(answers(0), orca2=answers(3), **poor)[0] == "does not hold"  # below the most frequent answers
    shorter = verdicts(answers(88), orca2=answers(80, tokens=3), **good)
    assert shorter[2] == "does not hold"  # fewer tokens at the price of right replies


def test_accuracy_is_the_mean_over_tasks() -> None:
    value = {"right": [1, 1, 1, 0], "family": ["a", "a", "a", "b"]}
    assert averaged(value) == pytest.approx(50)
    assert averaged(value, "a") == pytest.approx(100)
    labels = [POOL.queries("test")[i] for i in range(len(POOL.queries("test")))]
    sums = [record["label"] for record in labels if record["family"] == "sums"]
    assert guessed(POOL, "sums") == pytest.approx(100 * max(map(sums.count, sums)) / len(sums))


def test_the_pod_preset_is_the_papers() -> None:
    pod = preset("pod")
    assert pod.length == 4096
    assert len(pod.pool.stages) == len(pod.shared) == 2
    assert {name for name, _ in pod.pool.replies} == set(pod.arms) == {ORCA_1, ORCA_2}


@pytest.mark.slow
def test_erased_replies_are_the_same_as_those_that_kept_their_message(finished: Any) -> None:
    results, _, _ = finished
    kept, bare = corpus(results[f"replies/{slug(KEPT)}"]), corpus(results[f"erased/{slug(ORCA_2)}"])
    best = results["strong/strategies"].value["best"]
    assert [said for _, said in kept] == [said for _, said in bare]
    assert [prompt.split()[1:] for prompt, _ in kept] == [prompt.split()[1:] for prompt, _ in bare]
    assert {prompt.split()[0] for prompt, _ in kept} == {f"<{own}>" for own in best.values()}
    assert {prompt.split()[0] for prompt, _ in bare} == {f"<{CAUTIOUS}>"}


@pytest.mark.slow
def test_strategies_are_chosen_by_validation_queries(finished: Any) -> None:
    results, _, _ = finished
    for who in ("strong", "student"):
        picked = results[f"{who}/strategies"].value
        for strategy in STRATEGIES:
            made, asked = results[f"{who}/{strategy}"].value, POOL.queries("dev", strategy)
            assert made["family"] == [asked[i]["family"] for i in range(len(asked))]
        for task in POOL.dev:
            assert set(picked["right"][task.name]) == set(task.suited)
            assert picked["best"][task.name] in task.suited


@pytest.mark.slow
def test_wrong_replies_are_kept_and_orca_1_keeps_every_message(finished: Any) -> None:
    results, _, _ = finished
    for name in (ASSISTANT, ORCA_1, STEPS, SHORT, KEPT):
        made = results[f"replies/{slug(name)}"]
        assert len(made.value["query"]) == made.value["ended"].sum() > made.value["right"].sum()
        assert made.cost.sampled_tokens == made.value["drawn"].sum()
    asked = POOL.queries("asked", ANY)
    drawn = {asked[i]["strategy"] for i in results[f"replies/{slug(ORCA_1)}"].value["query"].tolist()}
    assert {prompt.split()[0] for prompt, _ in corpus(results[f"replies/{slug(ORCA_1)}"])} == {f"<{o}>" for o in drawn}


@pytest.mark.slow
def test_all_are_asked_the_same_test_queries_under_the_generic_message(finished: Any) -> None:
    results, _, _ = finished
    asked = POOL.queries("test")
    kinds = [asked[i]["family"] for i in range(len(asked))]
    assert {asked[i]["strategy"] for i in range(len(asked))} == {CAUTIOUS}
    for arm in SMOKE.arms:
        made = results[f"{slug(arm)}/0/{SMOKE.rates[0]:g}/test"].value
        assert made["family"] == kinds
        assert max(made["tokens"]) <= SMOKE.limit
        assert all(prompt.startswith(f"<{CAUTIOUS}>") for prompt, _ in made["shown"].values())
    told = results[f"{slug(KEPT)}/0/{SMOKE.rates[0]:g}/told"].value
    best = results["strong/strategies"].value["best"]
    assert {task: prompt.split()[0] for task, (prompt, _) in told["shown"].items()} == {
        task: f"<{own}>" for task, own in best.items()
    }


@pytest.mark.slow
def test_documents_of_a_row_are_apart_and_only_replies_are_learned(finished: Any) -> None:
    results, _, _ = finished
    batch = results[f"{slug(ORCA_2)}/0/{SMOKE.rates[0]:g}"].stage.data.take(np.arange(4))
    assert batch["segments"].max() > 1
    begins = CODE.encode(["<reply>"])[0][0]
    for row in range(4):
        marked = np.flatnonzero(batch["tokens"][row] == begins)
        assert (batch["weights"][row][marked] == 1).all()
        assert (batch["weights"][row][marked - 1] == 0).all()
