"""DreamOmni at smoke size: what arms learn from, equal FLOPs, resolutions, and what the claims are made of."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.generative.dreamomni import (
    CALLED,
    COPY,
    DRAWINGS,
    DRAWN,
    EDITED,
    EDITS,
    EXPERIMENT,
    FIRST,
    JOINT,
    NO_SKIPS,
    STAGED,
    TOKENS,
    TRUTH,
    crossed,
    pairs,
    phases,
    preset,
    sooner,
)
from stagejax import Plan
from stagejax.data.multimodal.stickers import OPERATIONS

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def result(steps: int, *evals: tuple[int, float]) -> Any:
    rows = [{"step": step, "loss": loss} for step, loss in evals]
    return SimpleNamespace(steps=steps, history=SimpleNamespace(evals=rows, last=lambda _: rows[-1]["loss"]))


def test_steps_are_counted_over_all_stages() -> None:
    low, high = result(40), result(60, (0, 0.5), (30, 0.9), (60, 0.4))
    assert crossed([low, high], 0.9) == 70  # not the step 0, at which nothing was learned at this resolution
    assert crossed([low, high], 0.4) == 100
    assert crossed([low, high], 0.3) == float("inf")
    without = SimpleNamespace(results=[result(100, (100, 0.9))])
    arms = {JOINT: {0: SimpleNamespace(results=[low, high])}, NO_SKIPS: {0: without}}
    assert sooner(arms) == [0.7]
    assert sooner({JOINT: arms[JOINT]}) == []


@pytest.mark.parametrize("name", ["smoke", "laptop", "pod"])
def test_arms_share_one_budget(name: str) -> None:
    cfg = preset(name)
    for arm in (JOINT, DRAWINGS, EDITS, NO_SKIPS, FIRST, STAGED, TOKENS):
        if name == "pod" and arm == FIRST:
            continue  # its first two resolutions take more than half
        shares = phases(cfg, arm)
        assert sum(share for *_, share in shares) == pytest.approx(1)
        assert min(share for *_, share in shares) > 0
        assert [side for side, *_ in shares] == sorted(side for side, *_ in shares)
    assert sum(share for _, kind, share in phases(SMOKE, FIRST) if kind == EDITED) == 0.5


def test_an_arm_pays_for_the_prompts_that_it_reads() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    paid = {arm.group: [own.name for own in arm.charged] for arm in report.arms}
    both = ["given/draw-train-16", "given/edits-train-16"]
    assert paid[DRAWINGS] == ["reader", both[0]]
    assert paid[JOINT] == paid[FIRST] == ["reader", *both]
    assert paid[STAGED] == ["reader", "given/draw-train-8", "given/edits-train-8", *both]


def test_only_drawings_and_the_last_tests_have_all_concepts() -> None:
    kinds = {kind: pairs(SMOKE, kind, "train" if kind != CALLED else "test") for kind in (DRAWN, EDITED, CALLED)}
    assert [source.calls for source in kinds.values()] == ["all", "edited", "drawn"]
    assert {source.split for source in (pairs(SMOKE, kind, "test") for kind in kinds)} == {"test"}
    assert set(kinds[EDITED].operations) == set(OPERATIONS[1:])
    assert pairs(replace(SMOKE, scored="valid"), DRAWN, "test").split == "valid"


@pytest.mark.slow
def test_arms_cost_the_same_and_grow_in_resolution(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    step = results["joint/0/0"].cost.flops / results["joint/0/0"].steps
    for arm in arms.values():
        assert abs(arm.cost.flops - arms[JOINT].cost.flops) <= 3 * step, arm.name
    low, grown, high = (results[f"joint-two-resolutions/0/{name}"] for name in ("0", "1/grown", "1"))
    assert flat(low)["positions/table"].shape == (4, 16)
    assert flat(grown)["positions/table"].shape == (16, 16)
    assert {row[3] for row in high.handover if row[0] == "params"} == {"carry"}
    assert [results[f"drawings-then-edits/0/{i}"].steps > 0 for i in range(2)] == [True] * 2
    assert flat(results["joint-no-skips/0/0"]).keys() == flat(high).keys() - {"skips/kernel", "skips/bias"}


@pytest.mark.slow
def test_frozen_parts_learn_and_flows_too(finished: Any) -> None:
    results, _, _ = finished
    for name in ("reader", "judge"):
        losses = results[name].history.train["loss"]
        assert np.mean(losses[-4:]) < np.mean(losses[:4]), name
    assert results["joint/0/0"].history.evals[-1]["loss"] < 2.5
    given, pair = results["given/edits-test-16"].value, results["pairs/edits-test"].value
    assert given["image"].shape == given["source"].shape == (14, 16, 16, 3)
    np.testing.assert_array_equal(given["there"][:, 4:] > 0, pair["tokens"][:, 4:] > 0)
    assert given["there"][:, :4].all()
    assert not results["given/draw-test-16"].value["there"][:, :4].any()  # a drawing has no image in its prompt


@pytest.mark.slow
def test_the_report_compares_with_copies_and_with_the_truth(finished: Any) -> None:
    results, report, folder = finished
    base, tables = results["controls"].value, {table.title: table for table in report.tables}
    rows = {row[0]: row for row in tables["Pictures that are right"].rows}
    assert {JOINT, EDITS, COPY, TRUTH} <= set(rows)
    assert base[f"truth/{EDITED}/kept"].all()
    assert base[f"{COPY}/{EDITED}/outside"][:6].max() == 0
    assert len(report.claims) == 3
    assert all(claim.verdict != "not tested" for claim in report.claims)
    assert "Edits that call for others" in (folder / "report.html").read_text()
    scores = results["joint/0/scores"]
    assert scores.cost.flops > 0
    assert scores.value[f"{EDITED}/success"].shape == (14,)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
