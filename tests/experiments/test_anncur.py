"""ANNCUR at smoke size: queries that are no anchors, exact rankings as reference, budgets that count every call."""

from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.analysis.anncur import (
    ANNCUR,
    CLS_CE,
    DISTILLED,
    DUAL,
    EMB_CE,
    EXPERIMENT,
    FIXED,
    POOLS,
    PUPIL,
    RIVALS,
    TFIDF,
    preset,
    roles,
    scorer,
)
from stagejax import Plan
from stagejax.inference import Frozen, scoring
from stagejax.inference.retrieval import cur
from stagejax.inference.retrieval.reranking import best, recalls, scored

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # what looks at the smoke run, most of it compilation


@slow
def test_no_test_query_is_an_anchor_and_every_one_has_its_answer_among_the_items(finished: Any) -> None:
    texts = finished[0]["texts/test"]
    anchors, tests, items, answers = roles(texts, SMOKE)
    assert (len(anchors), len(tests), len(items)) == (SMOKE.anchors, SMOKE.tests, SMOKE.items)
    assert not {tuple(row) for row in anchors.tolist()} & {tuple(row) for row in tests.tolist()}
    assert answers.max() < SMOKE.items


@slow
def test_scores_are_the_cross_encoders_own_and_no_labels(finished: Any) -> None:
    results, _, _ = finished
    anchors, tests, items, _ = roles(results["texts/test"], SMOKE)
    for ce in ("cls-ce", "emb-ce"):
        net = Frozen.of(results[f"{ce}/0"])
        rows, exact = results[f"rows/{ce}/0"].value["rows"], results[f"exact/{ce}/0"].value
        np.testing.assert_allclose(rows, scoring.exact_scores(net, anchors, items, pairs=64), atol=1e-4)
        np.testing.assert_allclose(exact["tests"], scoring.exact_scores(net, tests, items, pairs=64), atol=1e-4)
        own = items[exact["of"], : SMOKE.query]
        np.testing.assert_allclose(exact["fixed"], scoring.exact_scores(net, own, items, pairs=64), atol=1e-4)
        assert np.std(exact["tests"], axis=1).min() > 1e-3  # the scorer tells items apart


@slow
def test_recalls_are_those_of_the_whole_search_written_out(finished: Any) -> None:
    results, _, _ = finished
    found, exact = results["search/emb-ce/0"].value, results["exact/emb-ce/0"].value["tests"].astype(np.float64)
    rows = results["rows/emb-ce/0"].value["rows"].astype(np.float64)
    budget, share, draw = 1, 3, 2  # 10 calls, 4 of them for anchors
    own = np.sort(np.random.default_rng(draw).permutation(SMOKE.items)[:4])
    estimate = exact[:, own] @ np.linalg.pinv(rows[:, own], rcond=1e-6) @ rows
    asked = scored(estimate, 6, own)
    assert (asked.sum(1) == SMOKE.search.calls[budget]).all()
    expected = recalls(best(exact, 5), asked, SMOKE.search.ks)
    np.testing.assert_allclose(found[ANNCUR][budget, share, draw], expected)
    dual = scoring.cosines(results["dual/0"], *roles(results["texts/test"], SMOKE)[1:3])
    np.testing.assert_allclose(found[DUAL][budget], recalls(best(exact, 5), scored(dual, 10), SMOKE.search.ks))
    for name in (ANNCUR, *RIVALS):  # no method finds more of the top five than it may call
        assert found[name][0, ..., 1].max() <= 4 / 5, name
        assert (np.diff(found[name].reshape(3, -1)[[0, 2]], axis=0) >= 0).mean() > 0.7


@slow
def test_negatives_are_hard_and_never_the_answer(finished: Any) -> None:
    results, _, _ = finished
    mined, texts = results["mined/0"].value, results["texts/train"].value
    assert not (mined["pool"] == mined["always"]).any()
    scores = scoring.cosines(results["dual/0"], texts["queries"], texts["items"])
    means = [np.take_along_axis(scores, made["pool"][:, :8], 1).mean() for made in (mined, texts)]
    assert means[0] > means[1] + 0.1


@slow
def test_the_distilled_encoder_learns_from_the_anchor_rows_and_comes_closer_to_them(finished: Any) -> None:
    results, _, _ = finished
    anchors, _, items, _ = roles(results["texts/test"], SMOKE)
    taught, rows = results["taught/emb-ce/0"].value, results["rows/emb-ce/0"].value["rows"]
    assert np.array_equal(taught["scores"], rows)
    assert np.array_equal(taught["queries"], anchors)
    start, end = flat(results["dual/0"]), flat(results["distilled/emb-ce/0"])
    assert any(not np.array_equal(start[path], end[path]) for path in start if "blocks" in path)

    def agreement(net: Any) -> float:
        ours = scoring.cosines(net, anchors, items)
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(ours, rows, strict=True)]))

    assert agreement(results["distilled/emb-ce/0"]) > agreement(results["dual/0"])


@slow
def test_all_models_learn(finished: Any) -> None:
    results, _, _ = finished
    for name in ("dual/0", "cls-ce/0", "emb-ce/0", "distilled/emb-ce/0"):
        losses = results[name].history.train["loss"]
        assert np.mean(losses[-3:]) < np.mean(losses[:3]), name


@slow
def test_every_arm_is_charged_and_the_report_complete(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert set(arms) == {DUAL, *POOLS, *PUPIL.values()}
    pair = scoring.pair_flops(scorer(SMOKE, EMB_CE))
    assert results["rows/emb-ce/0"].cost.flops == pytest.approx(pair * SMOKE.anchors * SMOKE.items)
    assert [result.name for result in arms[EMB_CE].charged] == ["dual/0", "rows/emb-ce/0"]
    assert [result.name for result in arms[PUPIL[CLS_CE]].charged] == ["cls-ce/0", "rows/cls-ce/0"]
    assert len(report.claims) == 6
    assert {one.verdict for one in report.claims} <= {"holds", "does not hold"}
    assert len(report.figures) == 2
    mrr = report.tables[-1]
    assert [row[0] for row in mrr.rows] == [TFIDF, DUAL, DISTILLED, "the cross-encoder itself"]
    recall = results["search/cls-ce/0"].value[FIXED]
    assert recall.shape == (3, 9, 3, 2)
    floor = results["search/cls-ce/0"].value["floor"]
    S = np.concatenate(
        [results[f"{part}/cls-ce/0"].value[name] for part, name in (("rows", "rows"), ("exact", "tests"))]
    )
    np.testing.assert_allclose(floor[0], cur.error_at_rank(S, (1, 10, 30, 60)), atol=1e-6)


def test_a_plan_judges_no_recall() -> None:
    plan = Plan.on("data=2", price=False)
    report = EXPERIMENT.pipeline(plan, SMOKE)
    assert [one.verdict for one in report.claims[:5]] == ["not tested"] * 5
    assert [stage.name for stage in plan.stages if stage.kind == "train"] == [
        "dual/0", "cls-ce/0", "distilled/cls-ce/0", "emb-ce/0", "distilled/emb-ce/0",
    ]  # fmt: skip
