"""Speech translation robust to cuts at smoke size: what each stage learns from, and what cuts and scores see."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum.segmentation_robust_st import (
    CODE,
    CUTS,
    EXPERIMENT,
    FULL,
    INNER,
    LABELS,
    MANUAL,
    NO_FT2,
    NO_KD,
    VAD,
    preset,
)
from stagejax import Plan
from stagejax.data.sound.resegmenting import ManualSegments, RandomSegments
from stagejax.data.sound.talks import Talk
from stagejax.inference import Frozen
from stagejax.inference.sound.translating_talks import scored, texts_of, translated
from stagejax.inference.tasks.translating import generated
from stagejax.objectives.sound.speech_translation import taught, translation

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def arms_of(report: Any) -> dict[str, Any]:
    return {arm.group: arm for arm in report.arms}


@pytest.mark.slow
def test_stages_begin_with_what_is_before_them(finished: Any) -> None:
    results, report, _ = finished
    inner, begun = flat(results["recognizer"]), flat(results["0/begun"])
    taken = {path: leaf for path, leaf in begun.items() if path.startswith("speech/")}
    assert taken.keys() == {f"speech/{path}" for path in inner}
    assert {path.split("/")[0] for path in inner} == {name for _, name, _ in INNER}
    assert all(np.array_equal(leaf, inner[path.removeprefix("speech/")]) for path, leaf in taken.items())
    arms = arms_of(report)
    assert set(arms) == {FULL, NO_FT2}
    assert [result.name for result in arms[FULL].results] == ["0/kd", "0/ft1", "0/full"]
    assert arms[FULL].results[:2] == arms[NO_FT2].results[:2]
    assert len({sum(result.steps for result in arm.results) for arm in arms.values()}) == 1
    for arm in arms.values():
        assert [result.name for result in arm.charged] == ["recognizer", "teacher", "rows/taught"]
        assert all(result.cost.flops > 0 for result in arm.charged)


@pytest.mark.slow
def test_what_stages_learn_from(finished: Any) -> None:
    _, report, _ = finished
    arms = arms_of(report)
    kd, ft1, ft2 = (result.stage for result in arms[FULL].results)
    assert kd.objective.func is taught
    assert kd.objective.keywords == {"strength": 1.0, "temperature": 1.0, "hidden": SMOKE.hidden}
    assert ft1.objective.func is ft2.objective.func is translation
    assert ft1.objective.keywords == ft2.objective.keywords == {"smoothing": 0.1, "hidden": SMOKE.hidden}
    assert isinstance(ft1.data.data.source, ManualSegments)
    assert isinstance(ft2.data.data.source, RandomSegments)
    assert len(ft1.data.data.source.talks) == sum(SMOKE.talks[:2])
    assert len(ft2.data.data.source.talks) == SMOKE.talks[0]  # those with a real translation
    assert kd.optimizer.decay == "cosine"
    assert ft1.optimizer == ft2.optimizer
    assert ft1.optimizer.decay == "constant"
    assert ft1.optimizer.peak < kd.optimizer.peak
    longer = arms[NO_FT2].results[-1].stage
    assert (longer.optimizer, longer.steps) == (ft2.optimizer, ft2.steps)
    assert longer.data.data == replace(ft1.data.data, seed=longer.data.data.seed)


@pytest.mark.slow
def test_the_arm_without_kd_differs_in_its_first_loss_alone() -> None:
    plan = Plan.on("data=1", price=False)
    arms = arms_of(EXPERIMENT.pipeline(plan, replace(SMOKE, beside=(NO_KD,))))
    assert set(arms) == set(LABELS)
    (kd, _, full), (ce, _, other) = ([result.stage for result in arms[label].results] for label in (FULL, NO_KD))
    assert ce.objective.func is full.objective.func is translation
    assert (ce.data.data, ce.optimizer, ce.steps) == (kd.data.data, kd.optimizer, kd.steps)
    assert (other.data, other.optimizer, other.steps) == (full.data, full.optimizer, full.steps)


def test_decoding_begins_as_training_does() -> None:
    first = SMOKE.texting.take_records(np.arange(3))["tokens"][:, 0]
    assert (first == SMOKE.listening.decoding.begin).all()


@pytest.mark.slow
def test_the_teacher_writes_what_has_no_translation(finished: Any) -> None:
    results, _, _ = finished
    rows, source = results["rows/taught"].value, ManualSegments(SMOKE.known)
    gold = texts_of(source, SMOKE.texting).take_records(np.arange(len(source)))
    talks = np.array([own.talk for own in source.segments()])
    real = talks < SMOKE.talks[0]
    assert real.any()
    assert (~real).any()
    np.testing.assert_array_equal(rows["targets"][real], gold["targets"][real])
    inputs = {name: gold[name][~real] for name in ("inputs", "mask")}
    how = replace(SMOKE.listening.decoding, length=SMOKE.sizes[1])
    texts, _ = generated(Frozen.of(results["teacher"]), inputs, CODE, how)
    assert [CODE.decode(row) for row in rows["targets"][~real]] == [own[0] for own in texts]
    assert rows["top"].shape == (*gold["targets"].shape, SMOKE.top)
    assert (np.diff(rows["top_logits"].astype(np.float32)) <= 0).all()
    assert (np.diff(np.sort(rows["top"])) > 0).all()
    cut, random = RandomSegments(SMOKE.translated, longest=SMOKE.longest), results["rows/random"].value
    assert [CODE.decode(row) for row in random["targets"]] == [" ".join(own.target) for own in cut.segments()]


@pytest.mark.slow
def test_the_report_judges_by_what_is_realigned(finished: Any) -> None:
    results, report, _ = finished
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}
    cuts = {row[0]: row[1:] for row in report.tables[-1].rows}
    assert cuts[MANUAL][0] == SMOKE.talks[3] * SMOKE.sentences
    assert cuts[MANUAL][-1] == 1
    assert 0 <= cuts[VAD][-1] <= 1
    assert [row[0] for row in report.tables[2].rows] == [FULL, NO_FT2]
    for name in ("full", "no-ft2"):
        value = results[f"0/{name}/said"].value
        assert list(value) == list(CUTS)
        for own in value.values():
            again = scored([text.split() for text in own["said"]], SMOKE.test)
            assert again == {"bleu": own["bleu"], "errors": own["errors"]}
    net = Frozen.of(results["0/full"])
    said = translated(net, SMOKE.test, SMOKE.cuts[VAD], SMOKE.listening)
    assert [" ".join(own) for own in said] == results["0/full/said"].value[VAD]["said"]


def test_scores_do_not_need_as_many_segments_as_sentences() -> None:
    wanted = [[w for own in SMOKE.test.talk(i).sentences for w in own.target] for i in range(SMOKE.talks[3])]
    assert scored(wanted, SMOKE.test) == {"bleu": pytest.approx(100), "errors": 0}
    half = [own[: len(own) // 2] for own in wanted]
    assert 0 < scored(half, SMOKE.test)["bleu"] < 60
    assert 40 < scored(half, SMOKE.test)["errors"] < 60
    assert scored(wanted[1:] + wanted[:1], SMOKE.test)["bleu"] < 60


def test_no_segmenter_sees_sentences() -> None:
    talk = SMOKE.test.talk(0)
    blind = Talk(talk.signal, (), talk.speaker)
    for name, segmenter in SMOKE.cuts.items():
        if name != MANUAL:
            assert SMOKE.listening.cut(talk, segmenter) == SMOKE.listening.cut(blind, segmenter)
    assert SMOKE.listening.cut(talk, None) == [(own.begin, own.end) for own in talk.sentences]
    short = replace(SMOKE.listening, longest=0.5)
    assert max(b - a for a, b in short.cut(talk, None)) == 4000


def test_recordings_of_validation_and_test_are_in_no_stage() -> None:
    cfg = preset("laptop")
    known, held, test = cfg.known, cfg.validation, cfg.test
    assert known.part[1] <= held.part[0]
    assert (known.part[2], known.clips) == (held.part[2], held.clips)
    assert (test.split, known.split) == ("test", "train")
    assert set(test.speakers) - set(known.speakers) == {5}
    assert len(cfg.translated) < len(known)
    assert known.between[1] > known.pause[0]


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_sentences_fit_their_rows(name: str) -> None:
    cfg = preset(name)
    words, tokens = cfg.sizes
    manual, cut = ManualSegments(cfg.validation).segments(), RandomSegments(cfg.validation, longest=cfg.longest)
    assert max(len(own.words) for own in manual) <= words
    assert max(len(own.target) for own in manual) < tokens
    assert np.mean([len(own.target) < tokens for own in cut.segments()]) > 0.95
    assert max(own.end - own.begin for own in manual) / cfg.known.rate <= cfg.longest
