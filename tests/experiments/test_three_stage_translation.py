"""Three-stage translation: what each stage reads and learns, fresh adapters, equal tokens, no test text in training."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum.three_stage_translation import (
    ALL,
    DIRECT,
    ENGLISH,
    EXPERIMENT,
    FULL,
    ONE_THREE,
    SHORT,
    THREE,
    TWO_THREE,
    held_out_pairs,
    instructions,
    portion,
    preset,
    shown_pairs,
)
from stagejax import Plan
from stagejax.data.language.parallel import translation_requests
from stagejax.names import slug

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # a smoke run of half a minute, most of it compilation


def trained(results: dict[str, Any], name: str) -> list[Any]:
    return [own for at, own in results.items() if at.startswith(f"0/{slug(name)}/") and own.kind == "train"]


def said(data: Any) -> list[str]:
    """All documents of some data: what they show, then what is learned."""
    found = []
    for part in getattr(data, "parts", (data,)):
        rows = part.take(np.arange(part.size()))
        for row in range(part.size()):
            for segment in range(1, rows["segments"][row].max() + 1):
                here = rows["segments"][row] == segment
                targets, weights = rows["targets"][row][here], rows["weights"][row][here]
                decode = SMOKE.code.decode
                found.append((decode(targets[weights == 0]), decode(targets[weights > 0])))
    return found


@slow
def test_stages_read_what_they_say(finished: Any) -> None:
    results, _, _ = finished
    first, _ = trained(results, ONE_THREE)
    assert all(not shown and "d" in text and not {"e", "f"} & {*text} for shown, text in said(first.stage.data))
    (second,) = trained(results, "interlinear")
    begins = set()
    for shown, text in said(second.stage.data):
        lines = text.splitlines()
        assert not shown  # both sides are learned
        assert len(lines) % 2 == 0
        begins.add(lines[0][0] + lines[1][0])
        assert {line[0] for line in lines} in ({"e", "d"}, {"e", "f"})
        assert len({line[0] for line in lines[::2]}) == 1  # one language comes first in a document
    assert begins == {"ed", "de", "ef", "fe"}
    (third,) = trained(results, TWO_THREE)
    for shown, answer in said(third.stage.data):
        source = shown.strip().rpartition(": ")[2][0]
        english = source == "e"
        assert shown.startswith(("In ", "Translate", "Say")) == english
        assert (answer[0] == "e") != english
    (english,) = trained(results, ENGLISH)
    assert all(shown.startswith(("In ", "Translate", "Say")) for shown, _ in said(english.stage.data))


@slow
def test_direct_sft_has_the_pairs_of_stage_2_and_3_as_instructions(finished: Any) -> None:
    results, _, _ = finished
    (direct,), (second,), (third,) = (trained(results, name) for name in (DIRECT, "interlinear", TWO_THREE))
    answers = {answer for _, answer in said(direct.stage.data)}
    lines = {line for _, text in said(second.stage.data) for line in text.splitlines()}
    assert answers == lines | {answer for _, answer in said(third.stage.data)}


@slow
def test_arms_have_equal_tokens(finished: Any) -> None:
    results, report, _ = finished
    for name in (THREE, DIRECT, ONE_THREE, ALL, FULL):
        assert sum(own.steps for own in trained(results, name)) == SMOKE.steps, name
    (second,), (third,), (short,) = (trained(results, name) for name in ("interlinear", TWO_THREE, SHORT))
    assert second.steps + third.steps == SMOKE.steps
    assert short.steps == third.steps == SMOKE.tuning
    arms = {arm.name: arm for arm in report.arms}
    per = SMOKE.batch * SMOKE.length
    assert {arms[name].cost.tokens for name in (THREE, ONE_THREE, TWO_THREE, ALL, DIRECT, ENGLISH, FULL)} == {
        per * SMOKE.steps
    }
    assert {arm.charged_cost.tokens for arm in report.arms} == {per * SMOKE.pretraining}


@slow
def test_every_stage_has_fresh_adapters_on_the_merged_model(finished: Any) -> None:
    results, _, _ = finished
    base = flat(results["base"])
    begun, tuned, merged = (flat(results[f"0/interlinear/0{end}"]) for end in ("/begun", "", "/merged"))
    after = flat(results[f"0/{slug(TWO_THREE)}/0/begun"])
    kernels = {path.removesuffix("/frozen") for path in tuned if path.endswith("/frozen")}
    assert len(kernels) == 7  # q, k, v, o, gate, up, down
    for path in kernels:
        np.testing.assert_array_equal(tuned[f"{path}/frozen"], base[path])
        np.testing.assert_array_equal(after[f"{path}/frozen"], merged[path])
        assert not begun[f"{path}/up"].any()
        assert not after[f"{path}/up"].any()
        assert tuned[f"{path}/up"].any()
    whole = {path for path in begun if not np.array_equal(begun[path], tuned[path]) and "/down" not in path}
    assert {path for path in whole if not path.endswith("/up")} == {"tokens/table"}
    full = flat(results[f"0/{slug(FULL)}/1"])
    assert all(not np.array_equal(full[path], base[path]) for path in kernels)


def test_portions_share_no_pair() -> None:
    size = len(SMOKE.far.source)
    parts = [portion(SMOKE, SMOKE.far, stage)._range() for stage in range(4)]
    assert [i for part in parts for i in part] == list(range(size))
    assert 0 < len(parts[3]) < len(parts[2])
    both = portion(SMOKE, SMOKE.far, 2, 3)._range()
    assert both == range(parts[2].start, parts[3].stop)


def test_questions_are_in_the_language_of_the_source() -> None:
    assert translation_requests("de", "en")[0] == "Auf Englisch: {}\n"
    assert translation_requests("en", "fr")[1] == "Translate into French: {}\n"
    assert translation_requests("de", "en", "en")[0] == "In English: {}\n"
    directions = [part.source.fields for part in instructions(SMOKE, 0, 3).parts]
    assert directions == list(SMOKE.directions)


def test_no_test_text_is_in_training() -> None:
    for source, target in SMOKE.directions:
        own = SMOKE.far if "de" in (source, target) else SMOKE.near
        known = {own.source[i][name] for i in range(len(own.source)) for name in ("en", own.name)}
        pairs = held_out_pairs(SMOKE, source, target)
        assert pairs
        assert not {pair[name] for pair in pairs for name in (source, target)} & known


@pytest.mark.slow
@pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")
def test_no_test_caption_is_in_training() -> None:
    laptop = preset("laptop")
    pairs = held_out_pairs(laptop, "en", "de")
    assert len(pairs) == laptop.tests
    read = {laptop.text[i]["text"] for i in range(len(laptop.text))}
    assert not {pair["en"] for pair in pairs} & read


def test_shown_pairs_are_as_in_interlinear_documents() -> None:
    (prompt,) = shown_pairs(SMOKE, "fr", "en", ["f1 f2 ."])
    lines = prompt.splitlines()
    assert len(lines) == 2 * SMOKE.shown[0] + 1
    assert [line[0] for line in lines] == ["f", "e"] * SMOKE.shown[0] + ["f"]
    assert prompt.endswith("f1 f2 .\n")


@slow
def test_the_report_tells_answers_from_their_floors(finished: Any) -> None:
    results, report, _ = finished
    value = results[f"0/{slug(TWO_THREE)}/scores/translated"].value
    assert set(value) == {"en-de", "de-en", "en-fr", "fr-en"}
    assert all(own["judge"] > 0.9 for own in value.values())
    row = next(row for row in report.tables[0].rows if row[0] == TWO_THREE)
    assert [float(cell) for cell in row[1:]] == pytest.approx([own["bleu"] for own in value.values()], abs=0.06)
    assert report.claims[1].verdict == "not tested"  # one seed has no spread


@pytest.mark.slow
def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
