"""Stage of decay: the frozen base does not move, steps and searches are equal, no donor leaks, kappas of the test."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.stage_of_decay import ARMS, EXPERIMENT, HEAD, SCRATCH, TWO, preset
from stagejax import Plan
from stagejax.axes import path_name
from stagejax.inference import Frozen, apply, logits_of

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
NETS = ("Inception", "Xception")


def statistics(result: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(result.state().rest)
    return {path_name(path): np.asarray(leaf) for path, leaf in leaves}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> set[str]:
    return {path for path in a.keys() & b.keys() if np.array_equal(a[path], b[path])}


def arm(report: Any, name: str, net: str, scheme: str = "Megyesi", region: str = "limbs") -> Any:
    return next(own for own in report.arms if own.name == f"{name}, {net}, {scheme}, {region}, seed 0")


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_the_first_step_moves_the_head_alone_and_no_statistic(finished: Any, net: str) -> None:
    results, report, _ = finished
    base, (head, whole) = results[f"{net}/source"], arm(report, TWO, net).results
    before, after, last = flat(base), flat(head), flat(whole)
    assert same(before, after) == {path for path in after if not path.startswith("head/")}
    assert same(statistics(base), statistics(head)) == set(statistics(base))
    assert not same(statistics(head), statistics(whole))
    assert not {path for path in same(after, last) if "kernel" in path}
    assert whole.stage.handover.params == "carry"
    alone = arm(report, HEAD, net).results[0]
    assert same(statistics(base), statistics(alone)) == set(statistics(base))


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_arms_take_equal_steps_and_equal_searches(finished: Any, net: str) -> None:
    _, report, _ = finished
    arms = {name: arm(report, name, net) for name in ARMS}
    assert {sum(result.steps for result in own.results) for own in arms.values()} == {SMOKE.steps}
    for name, own in arms.items():
        tried = [result for result in own.charged if f"/validation/{name.replace(' ', '-')}/" in result.name]
        ends = [result for result in tried if not result.name.endswith("/head")]
        heads = [result for result in own.charged if "/validation/head-alone/" in result.name]
        assert (len(heads) >= len(SMOKE.rates)) == (name in (TWO, HEAD))  # two steps take their rate of the head
        scores = {result.stage.optimizer.peak: result.history.last("macro_f1") for result in ends}
        assert len(SMOKE.rates) <= len(ends) == len(scores) <= len(SMOKE.rates) + 2
        best = own.results[-1].stage.optimizer.peak
        assert scores[best] == max(scores.values())
        assert len(ends) == len(SMOKE.rates) + 2 or min(scores) < best < max(scores)  # an end is gone past
        assert any(result.name.endswith("/source") for result in own.charged) == (name != SCRATCH)
        assert {path for path in same(flat(own.results[-1]), flat(own.charged[0])) if "kernel" in path} == (
            {path for path in flat(own.results[-1]) if "kernel" in path and "base" in path} if name == HEAD else set()
        )


@pytest.mark.slow
def test_rates_are_chosen_on_donors_that_no_test_shows(finished: Any) -> None:
    results, _, _ = finished
    shown: dict[str, set[bytes]] = {"train": set(), "validation": set(), "test": set()}
    for result in results.values():
        if result.kind == "train" and "/source" not in result.name:
            part = "validation" if "/validation/" in result.name else "test"
            for where, source in (("train", result.stage.data.data.source), (part, result.stage.evaluate.data.source)):
                shown[where] |= {source.donors[i]["image"].tobytes() for i in range(len(source.donors))}
    assert all(shown.values())
    assert not shown["train"] & (shown["validation"] | shown["test"])
    assert not shown["validation"] & shown["test"]


@pytest.mark.slow
def test_the_study_is_of_test_photographs_and_examiners(finished: Any) -> None:
    results, report, _ = finished
    two, study = arm(report, TWO, "Xception").results[-1], results["Xception/Megyesi/limbs/0/test/study"].value
    data = two.stage.evaluate.data
    assert len(data.source) == SMOKE.test * SMOKE.batch
    said = apply(logits_of, Frozen.of(two), data.take_records(np.arange(len(data.source)))["image"]).argmax(-1)
    label = np.array([data.source[i]["label"] for i in range(len(data.source))])
    hits = np.array([((said == c) & (label == c)).sum() / max(1, (label == c).sum()) for c in range(4)])
    np.testing.assert_allclose(study["recall"], hits)
    assert np.mean(study["f1"]) == pytest.approx(two.history.last("macro_f1"), abs=1e-5)
    assert study["labels"] > study["raters"][0] > 0.5
    assert study["raters"] == results["Inception/Megyesi/limbs/0/test/study"].value["raters"]


@pytest.mark.slow
def test_report(finished: Any) -> None:
    _, report, _ = finished
    assert all(claim.verdict != "not tested" for claim in report.claims)
    titles = [table.title for table in report.tables]
    assert titles[2:] == ["Agreement", "By Megyesi's stages, two steps", "Networks", "Learning rates"]
    assert len(report.arms) == 2 * 2 * (4 + 2)


def test_the_networks_are_two() -> None:
    kinds = {name: {type(m).__name__ for m in modules(config)} for name, config in preset("laptop").nets.items()}
    assert "Depthwise" in kinds["Xception"]
    assert "Depthwise" not in kinds["Inception"]


def modules(config: Any) -> list[Any]:
    from flax import nnx

    return [module for _, module in nnx.iter_modules(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in ("smoke", "laptop")])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
