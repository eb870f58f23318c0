"""Step-Video at smoke size: a VAE that is deepened, stages from one another, pairs of the model's own samples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.generative.step_video import CASCADE, DPO, EXPERIMENT, SCRATCH, SFT, WINNERS, clips, drawn, preset
from stagejax import Plan, loop, running
from stagejax.inference import Frozen
from stagejax.inference.multimodal import videos
from stagejax.interrupt import Interrupted
from stagejax.state import digest

pytestmark = pytest.mark.slow  # a smoke run of minutes, nearly all of it compilation
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_the_vae_is_deepened_by_new_parts_that_train_first(finished: Any) -> None:
    results, _, _ = finished
    shallow, new, every = (flat(results[f"vae/{name}"]) for name in ("shallow", "new", "all"))
    added = set(new) - set(shallow)
    assert added
    assert all("/deep/" in path for path in added)
    assert all(np.array_equal(new[path], shallow[path]) for path in shallow)  # only what is new was trained
    assert sum(not np.array_equal(every[path], new[path]) for path in shallow) > len(shallow) / 2
    assert {row[3] for row in results["vae/new"].handover if row[0] == "params"} == {"freeze", "reset"}
    assert results["vae/all"].history.last("l1") < results["vae/shallow"].history.train["l1"][0]


def test_the_vae_learns_against_a_discriminator_at_last(finished: Any) -> None:
    results, report, _ = finished
    last = results["vae/adversarial"]
    assert {row[3] for row in last.handover if row[0] == "autoencoder: params"} == {"carry"}
    every, own = flat(results["vae/all"]), flat(last.member("autoencoder"))
    assert sum(not np.array_equal(own[path], leaf) for path, leaf in every.items()) > len(every) / 2
    assert {"discriminator_real", "discriminator_decoded", "autoencoder_unreal"} <= set(last.history.train)
    assert all(last in arm.charged for arm in report.arms)
    made = results["latents/clips-12-train"].value
    scale = Frozen.of(last.member("autoencoder")), *(results["scale"].value[name] for name in ("mean", "std"))
    data = clips(SMOKE, 8, sentences="seen", flawed=SMOKE.clips.flawed)
    shown = np.stack([data.source[i]["video"] for i in range(4)])
    np.testing.assert_allclose(videos.Latents(*scale).encode(shown), made["latents"][:4], atol=1e-3)


def test_latents_are_those_of_the_vae_and_images_are_first_frames(finished: Any) -> None:
    results, _, _ = finished
    images, whole = (results[f"latents/{kind}-12-train"].value for kind in ("images", "clips"))
    assert whole["latents"].shape == (96, 3, 3, 3, 4)
    assert set(images["frames"]) == {1}
    assert set(whole["frames"]) == {3}
    np.testing.assert_allclose(images["latents"][:, 0], whole["latents"][:, 0], atol=1e-4)
    assert not images["latents"][:, 1:].any()
    assert results["latents/clips-8-train"].value["latents"].shape == (96, 3, 2, 2, 4)


def test_stages_begin_where_the_one_before_ended_and_budgets_are_equal(finished: Any) -> None:
    results, report, _ = finished
    for name in ("0/low", "0/high", "0/sft-0", "0/sft-1", "0/sft-winners"):
        assert {row[3] for row in results[name].handover if row[0] == "params"} == {"carry"}
    assert {row[3] for row in results["0/scratch"].handover if row[0] == "params"} == {"reset"}
    arms = {arm.name: arm for arm in report.arms}
    step = results["0/scratch"].cost.flops / results["0/scratch"].steps
    assert abs(arms[CASCADE].cost.flops - arms[SCRATCH].cost.flops) < step
    assert abs(arms[WINNERS].cost.flops - arms[DPO].cost.flops) < step
    assert arms[DPO].charged_cost.flops > results["0/pairs"].cost.flops > 0
    assert arms[DPO].results[:-1] == arms[SFT].results


def test_sft_is_the_mean_of_runs_in_orders_of_their_own(finished: Any) -> None:
    results, report, _ = finished
    base, one, two, mean = (flat(results[f"0/{name}"]) for name in ("high", "sft-0", "sft-1", "sft"))
    for path, leaf in mean.items():
        np.testing.assert_allclose(leaf, (one[path] + two[path]) / 2, rtol=1e-5, atol=1e-6)
    assert all(any(not np.array_equal(x[path], y[path]) for path in base) for x, y in ((base, one), (one, two)))
    arms = {arm.name: arm for arm in report.arms}
    assert {"0/sft-0", "0/sft-1", "0/sft"} <= {result.name for result in arms[SFT].results}


def test_pairs_are_the_models_own_samples_in_the_order_of_the_program(finished: Any) -> None:
    results, _, _ = finished
    pairs, tools = results["0/pairs"].value, tuple(results[name] for name in ("vae/adversarial", "scale", "judge"))
    tools = (tools[0].member("autoencoder"), *tools[1:])
    assert (pairs["scores"][:, 0] - pairs["scores"][:, 1] > 0.05).all()
    again = drawn(SMOKE, results["0/sft"], tools, "seen", SMOKE.samples, 0)
    own = again["latents"].reshape(len(again["latents"]), -1)
    for side in ("chosen", "rejected"):
        rows = pairs[side].reshape(len(pairs[side]), -1)
        assert (np.abs(rows[:, None] - own[None]).max(-1).min(1) < 1e-4).all()
    assert not np.array_equal(pairs["chosen"], pairs["rejected"])


def test_the_reference_is_the_model_that_drew_the_pairs(finished: Any) -> None:
    results, _, _ = finished
    for name in ("0/sft-dpo", "0/sft-dpo-own-noise"):
        state = results[name].state()
        assert digest(state["reference"].params) == results["0/sft"].digest
        assert digest(state["policy"].params) != results["0/sft"].digest
        assert results[name].history.train["loss"][0] == pytest.approx(np.log(2), abs=1e-5)
    shared, own = (results[f"0/spread/{name}"].value["loss"] for name in ("shared", "own"))
    assert shared.shape == own.shape == (32,)
    assert shared.std() > 0
    assert shared.var() < own.var()


def test_what_is_tested_was_never_shown(finished: Any) -> None:
    results, _, _ = finished
    code = SMOKE.clips.words

    def said(tokens: np.ndarray) -> set[str]:
        return {code.decode(row) for row in tokens}

    unseen = replace(SMOKE.clips, sentences="unseen")
    tested = {unseen.sentence(*pair) for pair in unseen.pairs()}
    trained = [results[name].value["tokens"] for name in results if name.startswith("latents/") or name == "0/pairs"]
    assert not tested & set().union(*map(said, trained))
    data = clips(SMOKE, 8, sentences="unseen").take(np.arange(8))
    assert said(data["tokens"]) <= tested


def test_the_filter_keeps_clips_of_its_source(finished: Any) -> None:
    results, _, _ = finished
    kept, source = results["filtered"].value, results["latents/clips-12-train"].value
    assert 0 < len(kept["latents"]) < len(source["latents"])
    assert len(kept["flawed_before"]) == len(source["latents"])
    rows = kept["latents"].reshape(len(kept["latents"]), -1)
    assert (np.abs(rows[:, None] - source["latents"].reshape(1, 96, -1)).max(-1).min(1) == 0).all()


def test_the_report_judges_and_plays(finished: Any) -> None:
    _, report, folder = finished
    assert len(report.claims) == 3
    assert all(claim.verdict != "not tested" for claim in report.claims)
    page = (folder / "report.html").read_text()
    assert "data:image/gif;base64," in page
    assert "Clips of unseen sentences" in page


def test_interrupted_dpo_ends_with_the_same_bits(finished: Any, tmp_path: Any) -> None:
    """The step beside a reference draws its noise by its number."""
    results, _, _ = finished
    stage, start, asked = results["0/sft-dpo"].stage, dict.fromkeys(("policy", "reference"), results["0/sft"]), []
    real = loop._due

    def due(run: Any, *args: Any) -> bool:
        asked.append(args)
        if len(asked) == 3:
            run.stop.set()
        return real(*args)

    with running(tmp_path, EXPERIMENT.name, mesh="data=1") as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_due", partial(due, run))
        with pytest.raises(Interrupted):
            run.train(stage, start)
    with running(tmp_path, EXPERIMENT.name, mesh="data=1") as run:
        again = run.train(stage, start)
    assert again.steps == SMOKE.dpo[0]
    assert again.member("policy").state().step == SMOKE.dpo[0]
    assert again.digest == results["0/sft-dpo"].digest


@pytest.mark.parametrize("name", ["laptop", "long", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
