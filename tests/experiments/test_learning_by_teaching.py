"""LbT: exams never see the problem's answer, all that is drawn is charged, both kinds of DPO differ in scores alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.self_training.learning_by_teaching import (
    ANY,
    CORRECT,
    EQUAL,
    EXPERIMENT,
    ITSELF,
    LBT,
    MAJORITY,
    SUM,
    WORDS,
    Taught,
    chosen,
    equal,
    exam_flops,
    flops,
    preset,
    problems,
    text,
    turns,
    ways,
)
from stagejax import Plan
from stagejax.data.reasoning.recipes import Recipes, recipes_of
from stagejax.data.sources import Derived, Record
from stagejax.inference.reasoning.teaching import exam, scored_pairs, share

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


@dataclass(frozen=True)
class Unanswered(Derived):
    """Problems without their solutions and answers."""

    def __getitem__(self, index: int) -> Record:
        return {"question": self.source[index]["question"], "exams": self.source[index]["exams"]}


def taught(results: Any) -> Taught:
    rounds = [results[f"0/drawn/{i}"] for i in range(turns(SMOKE))]
    return Taught(rounds, [[results[f"0/exam/{i}/{k}"] for k in range(2)] for i in range(3)])


@pytest.mark.slow  # most of it compilation
def test_scores_come_from_students_alone(finished: Any) -> None:
    results, _, _ = finished
    source = Unanswered(problems(SMOKE, "test"))
    again = exam(results["student/1"], source, results["0/drawn/0"], SMOKE.how, SMOKE.repeats, 0)
    np.testing.assert_array_equal(again["right"], results["0/exam/1/0"].value["right"])
    np.testing.assert_array_equal(again["drawn"], results["0/exam/1/0"].value["drawn"])
    for name in ("teacher", "student/0", "student/1"):
        loss = results[name].history.train["loss"]
        assert np.mean(loss[-5:]) < 0.8 * loss[0]


@pytest.mark.slow
def test_answers_are_those_of_the_summed_scores(finished: Any) -> None:
    results, _, _ = finished
    own, found = taught(results), chosen(SMOKE, taught(results))
    said = own.rounds[0].value["said"]
    scores = (share(own.exams[0][0]) + share(own.exams[1][0])) / 2
    np.testing.assert_allclose(found["s"], scores)
    for problem, truth in enumerate(problems(SMOKE, "test").column("answer")):
        sums = {a: scores[problem][said[problem] == a].sum() for a in set(said[problem].tolist()) - {-1}}
        best = [a for a in sums if sums[a] == max(sums.values())]
        if len(best) == 1:
            assert found[SUM][problem] == (best[0] == truth)
    assert all((found[arm] <= found[ANY]).all() for arm in ways(SMOKE) if arm != EQUAL)


@pytest.mark.slow
def test_both_arms_of_m2_differ_in_the_scores_of_the_same_rationales(finished: Any) -> None:
    results, _, _ = finished
    drawn, source = results["0/practice"], problems(SMOKE, "practice")
    right = (drawn.value["said"] == source.column("answer")[:, None]).astype(float)
    exams = [share(results[f"0/practice-exam/{i}"]) for i in range(2)]
    for arm, score in {"correctness-dpo": right, "m2-lbt-dpo": 0.5 * right + 0.5 * np.mean(exams, axis=0)}.items():
        own = scored_pairs(results["teacher"], source, drawn, SMOKE.how, score.tolist(), SMOKE.gap, SMOKE.pairs)
        made = results[f"0/{arm}/pairs"].value
        assert len(made["problem"]) == SMOKE.practice * SMOKE.samples // 2
        for name in ("chosen", "rejected", "chosen_reference", "rejected_reference"):
            np.testing.assert_allclose(own[name], made[name], rtol=1e-4)
        assert results[f"0/{arm}/0.001"].steps == SMOKE.dpo_steps


@pytest.mark.slow
def test_all_that_is_drawn_is_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    first = [results[name] for name in ("0/drawn/0", "0/exam/0/0", "0/exam/1/0")]
    assert arms[MAJORITY].charged_cost.sampled_tokens == first[0].value["drawn"].sum() > 0
    assert arms[SUM].charged_cost.sampled_tokens == sum(own.value["drawn"].sum() for own in first)
    assert arms[SUM].charged_cost.flops > sum(own.cost.flops for own in first)  # students' training as well
    for arm in (CORRECT, LBT):
        assert results["0/practice"] in arms[arm].charged
    assert results["0/practice-exam/1"] in arms[LBT].charged
    assert results["student/0"] in arms[LBT].charged
    lessons = next(table for table in report.tables if table.title == "Exams right")
    assert [row[0] for row in lessons.rows] == ["student 1", "student 2", "teacher"]


@pytest.mark.slow
def test_the_vote_beside_it_costs_as_much_as_the_exams() -> None:
    for config in (SMOKE, preset("laptop")):
        exams = sum(exam_flops(config, net) for net in config.students)
        spent = config.samples * (flops(config, config.teacher) + exams)
        assert 0 <= equal(config) * flops(config, config.teacher) - spent < flops(config, config.teacher)
        assert equal(config) <= turns(config) * config.samples
        counts = {name: len(way.exams) for name, way in ways(config).items() if way.exams}
        assert set(counts.values()) == {2}  # at as many answers
        assert {i for i, _ in ways(config)[ITSELF].exams} == {2}


def test_no_text_has_a_recipe_that_is_asked_for() -> None:
    config = preset("laptop")

    def recipes(source: Any) -> set[tuple[str, ...]]:
        told = [source[i]["question"].split() for i in range(len(source))]
        return {(words[0], *sorted(words[1:-2])) for words in told}

    asked = {split: recipes(problems(config, split)) for split in ("dev", "practice", "test")}
    every = len(recipes_of("train", config.recipes.operations, config.recipes.houses))
    read = [recipes(replace(config.recipes, size=every, seed=i, ordered=i == 0)) for i in range(3)]
    assert {len(own) for own in read} == {every}
    for i, own in enumerate(asked.values()):
        assert not any(own & seen for seen in read)
        assert not any(own & other for other in list(asked.values())[i + 1 :])
    assert len(asked["test"]) == config.tests


def test_problems_and_lessons_fit_their_rows() -> None:
    config = replace(preset("laptop"), read=100)
    row = text(config, 0, ordered=True).take(np.arange(4))["tokens"]
    assert row.shape == (4, config.teacher.length - 1)
    longest = max(len(WORDS.encode([own["solution"]])[0]) + 1 for own in Recipes(size=50))
    assert longest == config.limit


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
