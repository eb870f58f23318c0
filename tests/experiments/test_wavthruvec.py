"""WavThruVec at smoke size: who is heard by what, texts that nothing was trained on, frames of both interfaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.generative.wavthruvec import (
    ARMS,
    EMB,
    EXPERIMENT,
    MEL,
    NOISY,
    REAL,
    SEVEN,
    TRANSCRIBED,
    preset,
)

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # a smoke run of a minute, nearly all of it compilation


def test_seeds_change_roles() -> None:
    cfg = preset("laptop")
    parts = [cfg.people(seed) for seed in cfg.seeds]
    assert {nobody for _, _, nobody in parts} == {5, 1, 3}
    for few, many, nobody in parts:
        assert sorted((*many, nobody)) == list(range(6))
        assert many[: len(few)] == few


def test_tested_orders_are_of_no_training() -> None:
    cfg = preset("laptop")
    tested = cfg.orders(cfg.shifts)
    assert len(set(tested)) == 27
    assert set(tested) < set(cfg.away)
    assert not any(SEVEN in pair for pair in cfg.away)  # "seven" is held out as a word, not in orders
    assert all(SEVEN in pair for pair in cfg.texts[27:])
    assert len(cfg.texts) == 36


@pytest.mark.parametrize("name", EXPERIMENT.presets)
def test_parts_fit_each_other(name: str) -> None:
    cfg = preset(name)
    assert cfg.vocoder.hop == cfg.mel.hop
    assert cfg.encoder.hop == 1
    assert cfg.encoder.bands == cfg.voice.bands == cfg.ear.bands == cfg.judge.bands == cfg.mel.bands
    assert cfg.vocoder.speaker == cfg.text.speaker == cfg.voice.vector
    assert cfg.voice.speakers == sum(cfg.roles) < cfg.judge.speakers == cfg.speakers
    assert cfg.samples % cfg.mel.hop == 0


@slow
def test_interfaces_are_alike_but_for_what_they_are(finished: Any) -> None:
    results, _, _ = finished
    made, found = results["utterances"].value, results["features"].value
    for interface in (EMB, MEL):
        clean = found[interface][made["real"]]
        np.testing.assert_allclose(clean.mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(clean.std(0), 1, atol=1e-2)
        assert found[interface].shape == found[interface + NOISY].shape
        assert not np.allclose(found[interface], found[interface + NOISY])
    assert not {tuple(pair) for pair in made["words"].tolist()} & set(SMOKE.away)


@slow
def test_text2vec_hears_transcribed_speakers_and_vec2wav_no_text(finished: Any) -> None:
    results, _, _ = finished
    made = results["utterances"].value
    few, many, _ = SMOKE.people(0)
    for arm in ("embeddings", "mel-noisy-transcripts"):
        data = results[f"0/text2vec/{arm}"].stage.data
        rows = data.arrays
        assert len(rows["tokens"]) == (np.isin(made["speaker"], few) & (made["words"] != SEVEN).all(1)).sum()
    sizes = {name: len(results[f"0/vec2wav/{name}"].stage.data.arrays["signal"]) for name in ("embeddings", "mel")}
    assert set(sizes.values()) == {int(np.isin(made["speaker"], many).sum())}
    assert "tokens" not in results["0/vec2wav/mel"].stage.data.sample_spec()


@slow
def test_all_is_heard_of_all_arms(finished: Any) -> None:
    results, report, _ = finished
    heard = results["0/heard"].value
    shape = (SMOKE.speakers, len(SMOKE.texts))
    for row in (REAL, *ARMS):
        assert heard[f"{row}/right"].shape == heard[f"{row}/similarity"].shape == shape
        assert (np.abs(heard[f"{row}/similarity"]) <= 1 + 1e-5).all()
    assert not heard[f"{REAL}/apart"].any()
    assert (heard[f"{EMB}/similarity"] != heard[f"{TRANSCRIBED}/similarity"]).any()
    assert len(report.claims) == 3
    charged = {arm.group or arm.name: arm.charged_cost.flops for arm in report.arms}
    assert charged[EMB] == charged[TRANSCRIBED] > charged[MEL] > 0
