"""CoMD: the teacher answers and no truth is learned, arms are equal in answers and steps, and tests stay unseen."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from smoke import flat, smoke_run

from experiments.distillation.comd import (
    AGAIN,
    COMD,
    EXPERIMENT,
    HARD,
    KINDS,
    ONE_SHOT,
    PARTS,
    RANDOM,
    TRUTH,
    VERIFIED,
    WAYS,
    preset,
)
from stagejax.inference.pictures.picture_answers import instructions
from stagejax.inference.prompts.competing import JUDGE, ORACLE, Split
from stagejax.names import slug

SMOKE, LAPTOP = preset("smoke"), preset("laptop")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # what looks at the smoke run, most of it compilation
FIRST = SMOKE.seeds[0]


def parts_of(results: dict[str, Any], label: str, what: str) -> list[Any]:
    """The artifacts of one sort of an arm, round by round."""
    found = (results.get(f"{FIRST}/{slug(label)}/{number}/{what}") for number in range(SMOKE.rounds))
    return [one for one in found if one is not None]


@pytest.mark.parametrize("cfg", [SMOKE, pytest.param(LAPTOP, marks=slow)], ids=["smoke", "laptop"])
def test_rows_fit_and_pictures_of_the_parts_differ(cfg: Any) -> None:
    words = cfg.source("own").words()
    assert cfg.teacher.vocab == cfg.student.vocab == words.vocab
    assert cfg.teacher.length == cfg.student.length == cfg.form.length + 1
    own = {part: [record["text"] for record in map(cfg.source(part).__getitem__, range(40))] for part in PARTS}
    assert not {*own["own"], *own["taught"]} & {*own["valid"], *own["test"]}
    assert not {*own["valid"]} & {*own["test"]}
    assert max(len(ids) for ids in words.encode(own["test"])) < cfg.form.answer
    assert cfg.held[0] % cfg.at_once == 0


def test_arms_differ_in_what_is_asked() -> None:
    assert WAYS[COMD].assessor == JUDGE
    assert WAYS[VERIFIED].assessor == ORACLE
    assert WAYS[HARD].hard == 1.0
    assert WAYS[COMD].hard == WAYS[VERIFIED].hard == 0.5
    assert [label for label in WAYS if WAYS[label].truth] == [TRUTH]
    assert [label for label in WAYS if not WAYS[label].rounds] == [ONE_SHOT, AGAIN, TRUTH]


@slow
def test_every_arm_has_equally_many_answers_and_steps(finished: Any) -> None:
    results, report, _ = finished
    assert {arm.group for arm in report.arms} == set(WAYS)
    for arm in report.arms:
        assert sum(one.stage.steps for one in arm.results) == SMOKE.steps * SMOKE.rounds
        asked = parts_of(results, arm.group, "asked")
        assert sum(len(one.value["type"]) for one in asked) == SMOKE.each * SMOKE.rounds
        told = parts_of(results, arm.group, "answers")
        assert len(told) == (0 if arm.group == TRUTH else len(asked))
        assert {one.fingerprint for one in told} <= {one.fingerprint for one in arm.charged}
        judged = parts_of(results, arm.group, "assessed")
        assert len(judged) == (SMOKE.rounds - 1 if WAYS[arm.group].assessor else 0)
        assert {one.fingerprint for one in judged} <= {one.fingerprint for one in arm.charged}
        assert all(one.cost.flops > 0 for one in (*told, *judged))
        charged = Counter(one.fingerprint for one in (*arm.results, *arm.charged))
        assert charged.most_common(1)[0][1] == 1, "nothing is charged twice"


@slow
def test_students_learn_what_the_teacher_says(finished: Any) -> None:
    results, _, _ = finished
    for label in WAYS:
        for asked, made in zip(parts_of(results, label, "asked"), parts_of(results, label, "rows"), strict=True):
            learned = [
                row[weights > 0] for row, weights in zip(made.value["targets"], made.value["weights"], strict=True)
            ]
            name = made.name.replace("/rows", "/answers")
            wanted = asked.value["truth"] if label == TRUTH else results[name].value["answer"]
            assert [own.tolist() for own in learned] == [row[row > 0].tolist() for row in wanted]


@slow
def test_each_round_starts_where_the_last_one_ended_and_the_first_is_shared(finished: Any) -> None:
    results, _, _ = finished
    rounds = {label: [results[f"{FIRST}/{slug(label)}/{number}"] for number in range(SMOKE.rounds)]
              for label in WAYS if WAYS[label].rounds}  # fmt: skip
    assert len({own[0].fingerprint for own in rounds.values()}) == 1
    assert len({own[1].fingerprint for own in rounds.values()}) > 1
    for own in rounds.values():
        assert [one.generation for one in own] == list(range(own[0].generation, own[0].generation + SMOKE.rounds))
    first, second = (results[f"{FIRST}/{slug(label)}/0/asked"] for label in (ONE_SHOT, AGAIN))
    assert instructions(first.value, SMOKE.form) != instructions(second.value, SMOKE.form)


@slow
def test_new_instructions_follow_the_assessment(finished: Any) -> None:
    results, _, _ = finished
    for label in (COMD, VERIFIED, HARD):
        asked, judged = (parts_of(results, label, what) for what in ("asked", "assessed"))
        for number, verdict in enumerate(judged):
            pool = [one for part in asked[: number + 1] for one in instructions(part.value, SMOKE.form)]
            hard = Split(WAYS[label].assessor, SMOKE.threshold).hard(verdict.value)
            new = asked[number + 1].value
            assert len(hard) == len(pool)
            assert (hard[new["parent"]] == new["hard"]).all()
            if hard.any() and not hard.all():
                assert new["hard"].sum() == round(WAYS[label].hard * SMOKE.each)
            made = instructions(new, SMOKE.form)
            assert not set(made) & set(pool)
            assert [own.type for own in made] == [pool[at].type for at in new["parent"]]
    ours, control = (parts_of(results, label, "asked") for label in (COMD, KINDS))
    for one, other in zip(ours, control, strict=True):
        assert (one.value["type"] == other.value["type"]).all()
    assert not any(one.value["hard"].any() for one in parts_of(results, RANDOM, "asked")[1:])


@slow
def test_the_alignment_trains_the_map_alone(finished: Any) -> None:
    results, _, _ = finished
    for name in ("teacher", "student"):
        before, after = flat(results[f"{name}/language"]), flat(results[f"{name}/alignment"])
        new = set(after) - set(before)
        assert all(path.startswith("inject/") for path in new)
        assert all((before[path] == after[path]).all() for path in before)


@slow
def test_rates_are_those_chosen_for_the_two_baselines(finished: Any) -> None:
    results, report, _ = finished
    chosen = {}
    for label in (ONE_SHOT, RANDOM):
        last = SMOKE.rounds - 1 if WAYS[label].rounds else 0
        tried = {}
        for name, result in results.items():
            match name.split("/"):
                case ["rates", rate, _, arm, number] if (arm, number) == (slug(label), str(last)):
                    tried[float(rate)] = result.history.last("exact")
        assert set(SMOKE.rates) <= set(tried)
        chosen[label] = max(tried, key=lambda rate: tried[rate])
    for arm in report.arms:
        peaks = {one.stage.optimizer.peak for one in arm.results}
        assert peaks == {chosen[RANDOM if WAYS[arm.group].rounds else ONE_SHOT]}


@slow
def test_the_report_tells_types_rounds_and_chance(finished: Any) -> None:
    _, report, _ = finished
    right, rounds, hard, share, *_ = report.tables
    assert [row[0] for row in right.rows][-1] == "most frequent answers"
    assert len(rounds.rows) == 5
    assert len(hard.rows) == 3 * (SMOKE.rounds - 1)
    assert len(share.rows) == 4 * SMOKE.rounds
    assert len(report.claims) == 7
