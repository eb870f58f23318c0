"""SA-OcrPaint at smoke size: the same networks in all arms, boxes that are added and annealed, pages painted again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.generative.glyph_sa_ocrpaint import (
    ALL_MOVES,
    BASE,
    EXPERIMENT,
    MISSING,
    SA,
    best,
    painted,
    preset,
    prompts_of,
)

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # a smoke run of a minute, nearly all of it compilation


def test_prompts_are_of_their_subsets() -> None:
    cfg = preset("laptop")
    short, long, crowded = np.array_split(np.array(prompts_of(cfg, 0), object), 3)
    assert {len(words) for words in short} == {len(words) for words in long} == {1, 2}
    assert {len(words) for words in crowded} == {5, 6, 7}
    assert {len(word) for words in short for word in words} == {1, 2, 3}
    assert {len(word) for words in long for word in words} == {4, 5, 6}
    assert all(sum(map(len, words)) <= cfg.characters for words in prompts_of(cfg, 1))
    assert prompts_of(cfg, 0) != prompts_of(cfg, 1)


@pytest.mark.parametrize("name", EXPERIMENT.presets)
def test_what_networks_read_fits_them(name: str) -> None:
    cfg = preset(name)
    assert cfg.planner.vocab >= cfg.tokens.vocab
    assert cfg.reader.bands == cfg.strip[0]
    assert cfg.net.places >= cfg.longest
    assert cfg.net.words >= cfg.most
    assert cfg.draws == cfg.rounds[0] + 1  # as many network evaluations
    assert not any(size % cfg.net.net.patch for size in cfg.page.shape)


@slow
def test_families_share_the_planner_and_differ_in_their_boxes(finished: Any) -> None:
    results, _, _ = finished
    boxes = {family: results[f"0/{name}/boxes"].value for family, name in names().items()}
    plans = results["0/plans"].value
    np.testing.assert_array_equal(boxes[BASE]["boxes"], plans["boxes"])
    words = np.array([len(own) for own in prompts_of(SMOKE, 0)])
    assert all((boxes[family]["there"].sum(-1) == words).all() for family in (MISSING, SA, ALL_MOVES))
    kept = plans["there"]
    np.testing.assert_array_equal(boxes[MISSING]["boxes"][kept], plans["boxes"][kept])
    assert (boxes[ALL_MOVES]["boxes"] != boxes[MISSING]["boxes"]).any()


@slow
def test_pages_are_never_read_worse_by_the_one_that_chooses(finished: Any) -> None:
    results, _, _ = finished
    for family in (BASE, SA):
        first, more, again = (results[f"0/{names()[family]}/{kind}"].value for kind in ("first", "best", "painted"))
        assert (more["f1 seen"][0] >= first["f1 seen"][0]).all()
        assert (again["f1 seen"][0] >= first["f1 seen"][0]).all()
        assert again["wrong"].shape == (SMOKE.rounds[family == SA], 3 * SMOKE.prompts)
        assert first["pages"].shape == (1, 3 * SMOKE.prompts, *SMOKE.page.shape)


@slow
def test_arms_are_charged_all_that_they_draw(finished: Any) -> None:
    results, report, _ = finished
    flops = {(arm.group or arm.name): arm.charged_cost.flops for arm in report.arms}
    assert flops[best(BASE, 2)] == flops[painted(BASE, 1)] > flops[BASE] > 0
    assert flops[best(SA, 2)] == flops[painted(SA, 1)]
    assert len(report.claims) == 4
    assert results["checker"].history.last("exact") >= 0


def names() -> dict[str, str]:
    return {BASE: "base", MISSING: "missing-boxes", SA: "sa", ALL_MOVES: "sa-all-moves"}
