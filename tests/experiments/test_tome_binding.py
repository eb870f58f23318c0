"""ToMe at smoke size: prompts that were never seen, arms that share networks and noises, and what each is charged."""

from __future__ import annotations

from types import SimpleNamespace
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
    NONE,
    PARTS,
    UNMERGED,
    preset,
    prompts_of,
    sizes_for,
    sizes_of,
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


def test_sizes_are_searched_past_their_ends_merging_first_and_arms_have_those_of_their_parts() -> None:
    """With a checker that likes small ones: beta 0.15, a binding update of 1, one of the picture of 3."""
    likes = {"beta": 0.15, "binding": 1.0, "latent": 3.0, "text": 1e-3}

    class Checked:
        def make(self, name: str, *inputs: Any, **how: Any) -> Any:
            sizes = inputs[3]
            gap = sum(abs(np.log(sizes[key] / best)) for key, best in likes.items() if sizes[key])
            return SimpleNamespace(name=name, value=1 - gap / 100)

    cfg = preset("laptop")
    found = sizes_of(Checked(), cfg, None, None, None)
    tried = {what: [sizes for sizes, _ in own] for what, own in found.tried.items()}
    assert [(one["alpha"], one["beta"]) for one in tried["merging"][:2]] == list(cfg.merging)
    assert [one["beta"] for one in tried["merging"][2:]] == [*cfg.beta, 0.15, 0.075]
    assert [one["binding"] for one in tried["binding"]] == [*cfg.binding, 0.9, 0.27]
    assert all((one["alpha"], one["beta"]) == (1.0, 0.15) for what in ("binding", "entropy") for one in tried[what])
    whole = {"alpha": 1.0, "beta": 0.15, "binding": 0.9, "latent": 3.0, "text": 0.0}  # 0 is better than any there
    assert sizes_for(ALL, found) == sizes_for(UNMERGED, found) == whole
    assert sizes_for(ENTROPY, found) == whole | {"binding": 0.0}
    assert sizes_for(MERGED, found) == NONE | {"alpha": 1.0, "beta": 0.15}
    assert sizes_for(EXCITE, found) == NONE | {"latent": 3.0}
    assert sizes_for(BASE, found) == NONE


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
    tries = {
        arm.group or arm.name: {result.name.split("/")[1] for result in arm.charged if result.name.startswith("sizes")}
        for arm in report.arms
    }
    merged, binding, entropy, excite = (
        slug(arm) for arm in (MERGED, "merging, ends, binding", "merging, ends, entropy", EXCITE)
    )
    assert tries[BASE] == tries[BEST] == set()
    assert tries[MERGED] == {merged}  # its weights were searched, too
    assert tries[ALL] == tries[UNMERGED] == {merged, binding, entropy}
    assert tries[EXCITE] == {excite}
    assert len(report.claims) == 4
    assert results["0/best"].value["bound"].shape == (SMOKE.draws - 1, NOISES, SMOKE.tests)
