"""MIO: tokens of one vocabulary, grown rows, the stated shares, equal tokens, and arms that differ as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.multimodal.mio_tokens import (
    ALTERNATING,
    EXPERIMENT,
    NATURAL,
    SHARES,
    STAGED,
    heard_if_valid,
    natural,
    preset,
)
from stagejax import Plan
from stagejax.data.multimodal.multimodal import KINDS

SMOKE = preset("smoke")
WORDS = SMOKE.words
finished = smoke_run(EXPERIMENT, SMOKE)


@pytest.mark.slow  # a smoke run of most of a minute, most of it compilation
class TestFinished:
    def test_the_vocabulary_grows_by_mean_rows_and_old_ones_stay(self, finished: Any) -> None:
        results, _, _ = finished
        before, after = flat(results["text"]), flat(results["grown"])
        old, new = before["tokens/table"], after["tokens/table"]
        assert len(new) - len(old) == WORDS.added == SMOKE.image.codes + 2 * SMOKE.speech.codes + 4
        np.testing.assert_array_equal(new[: len(old)], old)
        np.testing.assert_allclose(new[len(old) :], np.broadcast_to(old.mean(0), (WORDS.added, 32)), atol=1e-6)
        assert {name for name in after if after[name].shape != before[name].shape} == {
            "tokens/table",
            "head/output/kernel",
        }

    def test_pictures_and_clips_are_codes_and_the_arms_see_the_same_ones(self, finished: Any) -> None:
        results, _, _ = finished
        codes = results["codes"].value
        assert codes["train/picture"].shape == (160, 1, 16)
        assert len(np.unique(codes["train/picture"])) > 8
        assert codes["train/clips"].shape == (120, 8, 2)
        assert all(len(np.unique(codes["train/clips"][..., q])) > 3 for q in range(2))
        docs = {order: results[f"documents/{order}"].value for order in ("sequential", "alternating")}
        for kind in ("pairs", "text", "interleaved"):
            name = f"train/{kind}/tokens"
            np.testing.assert_array_equal(docs["sequential"][name], docs["alternating"][name])
        spoken = [own["train/speech/tokens"] for own in docs.values()]
        timbre = [(own >= WORDS.speech + SMOKE.speech.codes) & (own < WORDS.borders[0]) for own in spoken]
        assert 0 < timbre[0].sum() < timbre[1].sum()  # in order it is left out of what is understood
        said = docs["sequential"]["train/instructions/weights"]
        assert 0.1 < said.mean() < 0.9
        assert docs["sequential"]["train/text/tokens"].max() < WORDS.text

    def test_shares_are_the_papers_and_all_arms_have_as_many_tokens(self, finished: Any) -> None:
        results, report, _ = finished
        for name, shares in SHARES.items():
            data = results[f"0/staged/{name}"].stage.data
            owners = np.bincount(data.owners(np.arange(1000)))
            np.testing.assert_allclose(owners / 1000, [share / 16 for share in shares if share], atol=0.001)
            assert [part.keep for part in data.parts] == [
                f"train/{kind}/" for kind, share in zip(KINDS, shares, strict=True) if share
            ]
        docs = results["documents/sequential"].value
        sizes = [len(docs[f"train/{kind}/tokens"]) for kind in KINDS]
        np.testing.assert_allclose(natural(docs), np.array(sizes) / sum(sizes), atol=1e-4)
        assert len({arm.cost.tokens for arm in report.arms}) == 1
        assert len({arm.cost.steps for arm in report.arms}) == 1
        assert all("tokenizer/speech" in {r.name for r in arm.charged} for arm in report.arms)

    def test_every_stage_learns_and_answers_are_judged(self, finished: Any) -> None:
        results, report, folder = finished
        for name in ("tokenizer/pictures", "tokenizer/speech", "judge/pictures", "judge/speech", "0/staged/sft"):
            losses = results[name].history.train["loss"]
            assert losses[-1] < losses[0]
        for arm in ("staged", "one-stage-natural-shares", "staged-alternating-codes"):
            value = results[f"0/{arm}/answers"].value
            assert all(len(value[task]) == SMOKE.tests for task in ("caption", "draw", "transcribe", "speak", "valid"))
            assert not value["speak"][~value["valid"]].any()
        ceiling = results["ceiling"].value
        assert ceiling["clips, real"] > 0.5
        assert ceiling["clips, from codes"] > 0.4
        assert ceiling["words, told by content codes"] > 0.7
        page = (folder / "report.html").read_text()
        assert page.count("<audio") == 9
        assert "Staged: held-out loss by stage" in page
        assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}


def test_words_are_counted_among_valid_clips() -> None:
    valid = np.array([True, True, False, True, False])
    value = {"speak": np.array([True, False, False, False, False]), "valid": valid}
    assert heard_if_valid(value) == pytest.approx(1 / 3)
    assert np.isnan(heard_if_valid(value | {"valid": np.zeros(5, bool)}))


def test_presets_are_what_they_say() -> None:
    assert preset("pod").words.added == 8192 + 4096 + 4
    assert preset("laptop").arms == (STAGED, NATURAL, ALTERNATING)
    shares = preset("laptop").steps[1:]
    np.testing.assert_allclose(np.array(shares) / sum(shares), np.array([25, 13, 32]) / 70, atol=0.02)


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
