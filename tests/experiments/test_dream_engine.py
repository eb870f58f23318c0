"""Dream Engine at smoke size: who is trained in which stage, what prompts hold, equal image-steps, and verdicts."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from smoke import smoke_run

from experiments.multimodal.dream_engine import ARMS, EDIT, EXPERIMENT, KINDS, STAGED, everything, preset, prompts_of
from stagejax.data.multimodal.picture_prompts import COMBINE, COPY, DRAW
from stagejax.inference.pictures import prompted_pictures as drawing

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # a smoke run of a minute, nearly all of it compilation


@pytest.mark.parametrize("name", EXPERIMENT.presets)
def test_what_networks_read_fits_them(name: str) -> None:
    cfg = preset(name)
    size, vocab = cfg.prompts.size, cfg.prompts.words.vocab
    assert cfg.lmm.vision.image == cfg.dit.image == 2 * cfg.judge.image == size
    assert min(cfg.lmm.language.vocab, cfg.encoder.net.vocab) >= vocab
    assert cfg.encoder.net.embed == cfg.dit.width == cfg.adapter.writes
    assert cfg.encoder.net.length >= drawing.CAPTION
    assert cfg.lmm.language.length >= drawing.prompt_length(cfg.patches) + 2 + drawing.ANSWER
    assert cfg.judge.classes == cfg.prompts.classes
    assert dict(cfg.arms).keys() <= set(ARMS)


def test_the_joint_stage_sees_what_the_two_stages_see() -> None:
    cfg = preset("laptop")
    assert sum(everything(cfg).values()) == sum(cfg.steps)
    one, two = cfg.steps
    drawn = one / 2 + two / 8
    assert everything(cfg) == {EDIT: two / 2, COMBINE: two / 4, DRAW: drawn, COPY: drawn}


def test_prompts_of_the_test_are_of_their_split_and_differ_by_kind() -> None:
    cfg = preset("laptop")
    sources = [prompts_of(cfg, kind, "test") for kind in KINDS]
    assert {own.split for own in sources} == {"test"}
    assert len({own.seed for own in sources}) == len(KINDS)
    assert [len(own) for own in sources] == list(cfg.tests)
    assert prompts_of(cfg, DRAW, "train").split == "train"


def changed(first: Any, last: Any) -> float:
    """The largest change of a parameter."""
    pairs = zip(*(jax.tree.leaves(own.state().params) for own in (first, last)), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


@slow
def test_stage_1_trains_the_adapter_alone_and_stage_2_the_transformer_too(finished: Any) -> None:
    results, report, _ = finished
    base, first, second = (results[name].member("dit") for name in ("base", "0/staged/1", "0/staged/2"))
    assert changed(base, first) == results["0/frozen"].value["moved"] == 0
    assert changed(first, second) > 0
    adapters = [results[f"0/staged/{i}"].member("condition") for i in (1, 2)]
    assert changed(*adapters) > 0
    assert "stage 1 of the staged arm: 0." in report.notes[0]


@slow
def test_arms_have_equal_image_steps(finished: Any) -> None:
    results, _, _ = finished
    steps = {name: results[name].stage.steps for name in results if name.startswith("0/") and name[-1] in "12"}
    one, two = SMOKE.steps
    assert steps["0/staged/1"] == steps["0/stage-1-text-to-image-alone/1"] == one
    assert steps["0/no-stage-1/1"] == steps["0/one-joint-stage/1"] == one + two
    assert len({stage.data.batch for stage in (results[name].stage for name in steps)}) == 1


@slow
def test_losses_fall_and_the_truth_is_best(finished: Any) -> None:
    results, report, _ = finished
    for name in ("lmm", "base"):
        losses = results[name].history.train["loss"]
        assert np.mean(losses[-3:]) < losses[0]
    for kind in KINDS:
        made = results["controls"].value
        assert not made[f"truth/{kind}/l2"].any()
    assert not made[f"source, unchanged/{COPY}/l2"].any()
    assert len(report.claims) == 3
    assert {arm.group for arm in report.arms} == set(ARMS)
    assert all(arm.charged_cost.flops > results["base"].cost.flops for arm in report.arms)
    assert report.baseline == STAGED
