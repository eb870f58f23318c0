"""ToMe at smoke size: prompts that were never seen, arms that share networks and noises, and what each is charged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.generative.tome_binding import (
    ALL,
    BASE,
    BEST,
    ENTROPY,
    EXCITE,
    EXPERIMENT,
    MERGED,
    NOISES,
    PARTS,
    RATES,
    UNMERGED,
    chosen,
    preset,
    prompts_of,
)
from stagejax.names import slug

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # a smoke run of a minute, nearly all of it compilation


def test_prompts_of_the_test_are_unseen_and_apart_from_those_of_validation() -> None:
    cfg = preset("laptop")
    own = prompts_of(cfg)
    assert (len(own["validation"]), len(own["test"])) == (cfg.validation, cfg.tests)
    unseen = {frozenset(prompt) for prompt in cfg.world.prompts(2, seen=False)}
    pairs = {name: {frozenset(prompt) for prompt in prompts} for name, prompts in own.items()}
    assert not pairs["validation"] & pairs["test"]
    assert pairs["validation"] | pairs["test"] <= unseen
    assert not unseen & {frozenset(prompt) for prompt in cfg.world.prompts(2, seen=True)}
    assert len(set(own["test"])) == cfg.tests


@pytest.mark.parametrize("name", EXPERIMENT.presets)
def test_what_networks_read_fits_them(name: str) -> None:
    cfg = preset(name)
    assert cfg.pair.text.vocab >= cfg.world.words.vocab
    assert cfg.net.shape == cfg.pair.image.shape[:2] == cfg.world.shape
    assert cfg.net.text == cfg.pair.text.embed
    assert cfg.reader.heads[0][1][-1] == len(cfg.world.items)
    assert cfg.reader.shape[0] == cfg.detector.side
    starts = [start for start, _ in cfg.pools]
    assert starts == sorted(starts)
    assert all(one[1] <= two[0] for one, two in zip(cfg.pools, cfg.pools[1:], strict=False))  # nobody shares an item


def test_arms_are_the_parts_of_the_method() -> None:
    cfg = preset("laptop")
    whole = cfg.part(ALL)
    assert (whole.merge, whole.ends, whole.focus) == (True, True, "entropy")
    assert whole.binding > 0
    assert cfg.part(MERGED).passes(2) == cfg.part(BASE).passes(2)
    assert cfg.part(EXCITE).passes(2) == cfg.part(ENTROPY).passes(2)
    assert not cfg.part(UNMERGED).merge
    assert cfg.draws * cfg.part(BASE).passes(2) >= whole.passes(2) > (cfg.draws - 1) * cfg.part(BASE).passes(2)


def test_the_best_sizes_are_chosen_and_the_first_of_equals() -> None:
    rows = {
        "merging": [[[1.1, 1.2, 0.0, 0.0, 0.0], 0.4], [[0.5, 0.6, 0.0, 0.0, 0.0], 0.6]],
        "binding": [[[0.5, 0.6, 1.0, 0.0, 0.0], 0.5], [[0.5, 0.6, 2.0, 0.0, 0.0], 0.5]],
        "entropy": [[[0.5, 0.6, 0.0, 1.0, 0.1], 0.1], [[0.5, 0.6, 0.0, 2.0, 0.2], 0.2]],
        "excite": [[[0.5, 0.6, 0.0, 3.0, 0.0], 0.2], [[0.5, 0.6, 0.0, 4.0, 0.0], 0.1]],
    }
    assert chosen(rows) == {"alpha": 0.5, "beta": 0.6, "binding": 1.0, "latent": 2.0, "text": 0.2}
    assert chosen(rows, "excite")["latent"] == 3.0
    assert chosen({}) == dict.fromkeys(RATES, 0.0)


@slow
def test_arms_share_noises_and_differ_in_their_parts(finished: Any) -> None:
    results, _, _ = finished
    made = {arm: results[f"0/{slug(arm)}"].value for arm in PARTS}
    shape = NOISES, SMOKE.tests, *SMOKE.world.shape, 3
    assert all(own["pictures"].shape == shape for own in made.values())
    assert all(own["bound"].shape == shape[:2] for own in made.values())
    for arm in PARTS:
        assert (arm == BASE) == np.array_equal(made[arm]["pictures"], made[BASE]["pictures"])


@slow
def test_arms_are_charged_all_their_passes(finished: Any) -> None:
    results, report, _ = finished
    flops = {arm: results[f"0/{slug(arm)}"].cost.flops for arm in PARTS}
    passes = {arm: SMOKE.part(arm).passes(2) for arm in PARTS}
    assert all(np.isclose(flops[arm] / flops[BASE], passes[arm] / passes[BASE]) for arm in PARTS)
    charged = {arm.group or arm.name: arm.charged_cost.flops for arm in report.arms}
    assert charged[ALL] > charged[ENTROPY] > charged[BASE] > 0
    assert charged[BEST] > charged[BASE]
    assert len(report.claims) == 4
    assert results["0/best"].value["bound"].shape == (SMOKE.draws - 1, NOISES, SMOKE.tests)
