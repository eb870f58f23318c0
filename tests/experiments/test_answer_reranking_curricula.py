"""Curricula for re-ranking at smoke size: weights, no exclusions, BM25's lists, equal arms, choices without test."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.curriculum.answer_reranking_curricula import (
    ANTI,
    BATCH,
    EXPERIMENT,
    FIRST,
    HEURISTICS,
    NONE,
    POINT,
    POINT_NONE,
    RANDOM,
    RECIPROCAL,
    preset,
)
from stagejax import Plan
from stagejax.data.selection.easiness import Reversed, reciprocal_rank
from stagejax.names import slug

SMOKE = preset("smoke")
EVERY = (NONE, *HEURISTICS, ANTI, RANDOM, BATCH, POINT_NONE, POINT)
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # what looks at the smoke run, most of it compilation


def of(finished: Any, label: str) -> Any:
    """The stage of an arm that is reported."""
    return next(arm for arm in finished[1].arms if arm.group == label).results[0]


def per_iteration(result: Any, what: str) -> np.ndarray:
    return np.asarray(result.history.train[what]).reshape(SMOKE.iterations, -1).mean(1)


@slow
def test_a_sample_weighs_as_its_easiness_and_iteration_say(finished: Any) -> None:
    for label in (*HEURISTICS, ANTI):
        result = of(finished, label)
        m = result.stage.step.keywords["options"].m
        samples = SMOKE.iterations * SMOKE.iteration * SMOKE.batch
        D = result.stage.data.take(np.arange(samples))["easiness"].mean(1).reshape(SMOKE.iterations, -1).mean(1)
        phase = np.minimum(np.arange(SMOKE.iterations) / m, 1)
        np.testing.assert_allclose(per_iteration(result, "weight"), D + phase * (1 - D), atol=1e-5)
        assert D.max() < 0.99
    assert (per_iteration(of(finished, NONE), "weight") == 1).all()
    np.testing.assert_allclose(per_iteration(of(finished, NONE), "plain"), per_iteration(of(finished, NONE), "loss"))


@slow
def test_easiness_is_of_the_first_stage_and_reversed_for_the_anti_curriculum(finished: Any) -> None:
    lists = finished[0]["lists/train"].value
    easy, hard = (of(finished, label).stage.data for label in (RECIPROCAL, ANTI))
    assert (easy.heuristic, hard.heuristic) == (reciprocal_rank, Reversed(reciprocal_rank))
    batches = [data.take(np.arange(64)) for data in (easy, hard)]
    np.testing.assert_allclose(batches[0]["easiness"] + batches[1]["easiness"], 1, atol=1e-6)
    assert np.array_equal(batches[0]["items"], batches[1]["items"])
    assert (np.diff(lists["scores"]) <= 0).all()
    assert set(easy.arrays) == set(lists)  # nothing else, no model's score, is there to look at


@slow
def test_no_sample_is_ever_excluded_and_all_arms_see_the_same(finished: Any) -> None:
    numbers = np.arange(SMOKE.iterations * SMOKE.iteration * SMOKE.batch)
    seen = {label: of(finished, label).stage.data.take(numbers) for label in EVERY}
    for label, batch in seen.items():
        assert np.array_equal(batch["items"], seen[NONE]["items"]), label
        assert (batch["easiness"] > 0).all(), label
    kept = (finished[0]["lists/train"].value["answer"] >= 0).sum()
    assert len({tuple(row) for row in seen[NONE]["query"].tolist()}) <= kept == seen[NONE]["query"][:kept].shape[0]


@slow
def test_arms_differ_in_nothing_but_their_weights(finished: Any) -> None:
    report = finished[1]
    stages = [of(finished, label).stage for label in EVERY]
    assert len({(own.steps, own.optimizer, own.model, own.seed, own.data.batch) for own in stages}) == 1
    best = of(finished, RANDOM).stage
    assert best.data.lent
    lent, own = (of(finished, label).history.train["weight"] for label in (RANDOM, BATCH))
    np.testing.assert_allclose(lent, own, atol=1e-6)  # the same mean weight in every step
    whole = of(finished, BATCH).history.train
    np.testing.assert_allclose(whole["loss"], np.multiply(whole["weight"], whole["plain"]), atol=1e-5)
    each = of(finished, RECIPROCAL).history.train
    assert np.abs(each["loss"] - np.multiply(each["weight"], each["plain"])).max() > 1e-4
    assert {arm.group for arm in report.arms} == set(EVERY)


@slow
def test_choices_rest_on_development_questions_and_are_charged(finished: Any) -> None:
    results, report, _ = finished
    lists = {part: {tuple(row) for row in results[f"lists/{part}"].value["queries"].tolist()} for part in
             ("train", "dev", "test")}  # fmt: skip
    assert lists["dev"]
    for result in results.values():
        if result.kind == "train":
            assert result.stage.evaluate.data.of == results["lists/dev"].fingerprint
            assert result.stage.data.of == results["lists/train"].fingerprint
    for label, grid in ((NONE, SMOKE.peaks), *((kind, SMOKE.ms) for kind in HEURISTICS)):
        tried = {value: results[f"{slug(label)}/{value}/0"].history.last("mrr") for value in grid}
        best = of(finished, label)
        assert best.history.last("mrr") == max(tried.values())
    arms = {arm.group: arm for arm in report.arms}
    assert len(arms[NONE].charged) == len(SMOKE.peaks) - 1
    assert len(arms[RECIPROCAL].charged) == len(SMOKE.ms) - 1
    assert len(arms[RANDOM].charged) == len(arms[BATCH].charged) == len(SMOKE.ms)


@slow
def test_the_whole_list_of_bm25_is_ranked_and_what_it_missed_counts_as_nothing(finished: Any) -> None:
    results, report, _ = finished
    lists, model = results["lists/test"].value, of(finished, NONE).module()
    scores = np.asarray(model.scores(jnp.asarray(lists["queries"]), jnp.asarray(lists["items"][lists["lists"]])))
    answer, found = lists["answer"], results[f"ranks/{slug(NONE)}/0"].value["ranks"]
    assert scores.shape == (len(answer), SMOKE.candidates)
    assert (answer < 0).any()
    assert np.isinf(found[answer < 0]).all()
    for own, a, rank in zip(scores[answer >= 0], answer[answer >= 0], found[answer >= 0], strict=True):
        assert abs(rank - (own >= own[a]).sum()) <= (np.abs(own - own[a]) < 1e-4).sum() - 1
    table = report.tables[0]
    rows = {row[0]: row for row in table.rows}
    assert rows[NONE][1] == f"{100 * np.where(found <= 10, 1 / found, 0).mean():.1f}"
    assert rows[FIRST][2] == f"{100 * (answer == 0).mean():.1f}"


@slow
def test_rankers_learn(finished: Any) -> None:
    for label in (NONE, RECIPROCAL, POINT):
        plain = per_iteration(of(finished, label), "plain")
        assert plain[-3:].mean() < plain[:3].mean(), label


@slow
def test_the_report_is_complete(finished: Any) -> None:
    _, report, _ = finished
    assert [one.verdict != "not tested" for one in report.claims] == [True] * 6
    assert len(report.figures) == 1
    assert len(report.tables[1].rows) == 10


@pytest.mark.parametrize("name", EXPERIMENT.presets)
def test_a_plan_tests_no_claim_and_has_every_arm(name: str) -> None:
    plan = Plan.on("data=16,fsdp=16" if name == "pod" else "data=1", price=False)
    cfg = preset(name)
    report = EXPERIMENT.pipeline(plan, cfg)
    assert {one.verdict for one in report.claims} == {"not tested"}
    assert len(report.arms) == len(EVERY) * len(cfg.seeds)
    trained = [result for result in plan.results if result.kind == "train"]
    tries = len(cfg.peaks) + 3 * len(cfg.ms) + 5
    assert len(trained) == tries + 9 * (len(cfg.seeds) - 1)
