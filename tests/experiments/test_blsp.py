"""BLSP at smoke size: what is frozen, who is heard when, where labels come from, and what arms have in common."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.multimodal.blsp import (
    ARMS,
    ASR,
    BLSP,
    BOTH,
    CASCADE,
    CODE,
    DEAF,
    EXPERIMENT,
    FOUR,
    GRAMMAR,
    HELD,
    NEAR,
    SEVERAL,
    TEXT,
    UNUSED,
    lessons,
    preset,
    scores,
    told,
    transcripts,
)
from stagejax import Plan
from stagejax.data import MASK, SEP
from stagejax.data.prompts.number_words import ENGLISH, INSTRUCTIONS, answered, asked, spelled
from stagejax.data.sound.utterances import Speech, _drawn
from stagejax.inference.sound.hearing import behaves, near
from stagejax.names import slug

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


@pytest.mark.slow
def test_only_the_adapter_is_trained(finished: Any) -> None:
    results, report, _ = finished
    before = flat(results["llm/instructed"])
    for arm in ARMS:
        (result,) = next(own for own in report.arms if own.name == arm).results
        own = flat(result.member("llm"))
        assert all(np.array_equal(own[path], leaf) for path, leaf in before.items())
        assert set(result.model) == {"llm", "adapter"}  # of the encoder there are states
        moved, untrained = flat(result.member("adapter")), flat(results["untrained"].member("adapter"))
        assert any(not np.array_equal(moved[path], leaf) for path, leaf in untrained.items())


@pytest.mark.slow
def test_states_are_those_of_the_frozen_encoder(finished: Any) -> None:
    results, _, _ = finished
    kept, source = results["states/adapter"].value["states"], SMOKE.heard["adapter"]
    batch = Speech(source=source, batch=1).take_records(np.arange(4))
    states, real = results["encoder"].module().features(*map(jnp.asarray, (batch["frames"], batch["real"])))
    np.testing.assert_allclose(np.where(real[..., None], states - kept[:4], 0), 0, atol=5e-3)
    assert len(kept) == len(source)


@pytest.mark.slow
def test_arms_differ_in_their_labels_alone(finished: Any) -> None:
    results, report, _ = finished
    stages = {arm.name: arm.results[0].stage for arm in report.arms}
    assert set(stages) == set(ARMS)
    assert len({(s.steps, s.seed, s.data.data, str(s.model)) for s in stages.values()}) == 1
    assert {name: stage.objective for name, stage in stages.items()} == dict.fromkeys(ARMS, behaves) | {NEAR: near}
    for arm in report.arms:
        names = [each.name for each in arm.charged]
        pilots = [f"pilot/{slug(arm.name)}/{peak:g}" for peak in SMOKE.peaks]
        assert names[:5] == ["encoder", "llm/base", "llm/instructed", "states/adapter", "states/held"]
        assert names[-len(pilots) :] == pilots
        own = [name for name in names if name.startswith("labels/")]
        assert len(own) == (0 if arm.name in (ASR, GRAMMAR, NEAR) else 2)
        assert all(results[name].cost.sampled_tokens > 0 for name in own)
        assert results[pilots[0]].stage.data.data == stages[arm.name].data.data


@pytest.mark.slow
def test_labels_are_what_the_frozen_model_says_of_the_transcript(finished: Any) -> None:
    results, _, _ = finished
    lists = transcripts(SMOKE, "adapter")
    for name, path in ((("continue",), "continue"), (FOUR, slug(" ".join(FOUR)))):
        said = results[f"labels/adapter/{path}"].value["said"]
        prompts = [asked(name[i % len(name)], spelled(own)) for i, own in enumerate(lists[:8])]
        assert told(SMOKE, results["llm/instructed"], prompts) == said[:8]
    rows = results[f"rows/adapter/{slug(BLSP)}"].value
    said = results["labels/adapter/continue"].value["said"]
    for i in range(8):
        learned = rows["targets"][i][rows["weights"][i] > 0]
        assert CODE.decode(learned[:-1]) == said[i]
        assert learned[-1] == SEP
        prompt = rows["tokens"][i][: (rows["weights"][i] > 0).argmax() + 1]
        assert not set(CODE.decode(prompt).split()) & set(ENGLISH)  # of the list there are marks alone
        assert (prompt == MASK).sum() > 0


@pytest.mark.slow
def test_the_report_judges_and_a_plan_does_not(finished: Any) -> None:
    results, report, _ = finished
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}
    text = results[f"{slug(TEXT)}/answers"].value
    one, other = (scores(SMOKE, results[f"0/{slug(arm)}/answers"].value, text)["held"] for arm in (BLSP, ASR))
    assert report.claims[0].shown.split()[0] == f"{100 * (one - other):+.1f}"
    assert [row[0] for row in report.tables[0].rows] == [TEXT, CASCADE, *ARMS, DEAF]
    plan = Plan.on("data=1", price=False)
    assert {claim.verdict for claim in EXPERIMENT.pipeline(plan, SMOKE).claims} == {"not tested"}


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_tested_speakers_are_in_no_stage_and_held_clips_in_no_training(name: str) -> None:
    cfg = preset(name)
    heard = cfg.heard
    assert not set(cfg.speakers) & set(cfg.unseen)
    assert {key: own.speakers for key, own in heard.items()} == dict.fromkeys(heard, cfg.speakers) | {
        "test": cfg.unseen
    }
    assert heard["held"].split == "test"
    assert {heard[part].split for part in ("encoder", "adapter")} == {"train"}
    assert heard["encoder"].part == (0, 2)
    assert len({own.seed for own in heard.values()}) == 4
    if name == "smoke":
        _, _, owners = cfg.clips.clips()
        clips = {int(c) for i in range(cfg.utterances) for c in _drawn(heard["adapter"], i)[0]}
        assert not set(owners[list(clips)]) & set(cfg.unseen)


def test_each_arm_learns_what_it_says() -> None:
    lists, own = [[3, 1], [0, 2], [5, 5], [9, 8]] * 20, [f"then {ENGLISH[i % 10]}" for i in range(80)]
    found = {arm: lessons(arm, lists, own) for arm in ARMS}
    assert found[BLSP] == [("continue", text) for text in own]
    assert found[ASR] == found[NEAR] == [("repeat", spelled(numbers)) for numbers in lists]
    assert found[BOTH][::2] == found[BLSP][::2]
    assert found[BOTH][1::2] == found[ASR][1::2]
    assert [name for name, _ in found[SEVERAL][:4]] == list(FOUR)
    assert [text for _, text in found[SEVERAL]] == own
    drawn = {text for (_, text), numbers in zip(found[GRAMMAR], lists, strict=True) if numbers == [3, 1]}
    assert drawn == {answered("continue", [3, 1], chance) for chance in (0.0, 0.7, 0.9)}  # all three ways
    assert set(HELD) == set(INSTRUCTIONS) - {"continue", "repeat"}
    assert set(UNUSED) == set(HELD) - set(FOUR)


def test_scores_are_of_the_truth_and_of_the_model_on_text() -> None:
    lists = transcripts(SMOKE, "test")
    right = {name: [answered(name, own, 0.0) for own in lists] for name in INSTRUCTIONS}
    full = scores(SMOKE, right, right)
    assert full["held"] == full["unused"] == full["same"] == full["repeat"] == 1
    deaf = scores(SMOKE, dict.fromkeys(INSTRUCTIONS, right["repeat"]), right)
    assert deaf["transcribed"] == 1
    assert deaf["repeat"] == 1
    assert deaf["German"] == deaf["sum"] == deaf["parity"] == 0
    assert deaf["same"] < 0.5
