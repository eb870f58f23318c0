"""Skill composition: what is tested was in no text of training, arms differ in texts alone, marks are the grader's."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.curriculum.skill_composition import (
    ARMS,
    BASE,
    EXPERIMENT,
    HELD_OUT,
    KNOWN,
    MORE,
    NEW_TOPICS,
    ONE,
    OTHER,
    THREE,
    TRAINED,
    TWO,
    Found,
    cells,
    drawn_tokens,
    examples,
    fitting,
    judged,
    known_texts,
    preset,
)
from stagejax import Plan
from stagejax.data.prompts.compositions import compositions_tokenizer
from stagejax.data.prompts.rhetoric import marks, shown
from stagejax.names import slug

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def records(source: Any) -> list[Any]:
    return [source[i] for i in range(len(source))]


@pytest.mark.slow
def test_no_skills_topics_or_sets_of_the_tests_are_in_fine_tuning() -> None:
    cfg = replace(SMOKE, ks=(2, 3, 5), each=20, prompts=4)
    told = [record for label in ARMS for record in records(examples(cfg, label))]
    sets = {frozenset(record["skills"]) for record in told}
    assert {skill for own in sets for skill in own} <= set(KNOWN)
    assert max(map(len, sets)) == 3
    for (pool, k), source in cells(cfg).items():
        for record in records(source):
            assert record["topic"] in NEW_TOPICS
            assert record["topic"] not in {own["topic"] for own in told}
            assert frozenset(record["skills"]) not in sets
            assert len(record["skills"]) == k
            assert pool != TRAINED or set(record["skills"]) <= set(KNOWN)
            assert pool != HELD_OUT or set(record["skills"]) <= set(OTHER)
            assert marks(record["solution"].split(), record["skills"], record["topic"]).full  # it can be done


def test_pretraining_knows_every_skill_and_no_two_together() -> None:
    texts = records(replace(known_texts(SMOKE), each=25))
    seen = [set(shown(record["solution"].split())) for record in texts]
    assert all(own == set(record["skills"]) for own, record in zip(seen, texts, strict=True))
    assert len(set.union(*seen)) > 15
    assert max(map(len, seen)) == 1
    assert {record["question"].split()[0] for record in texts} == {f"size:{k}" for k in range(1, 6)}


@pytest.mark.slow  # it looks at the smoke run
def test_sets_are_nested_and_arms_differ_in_nothing_else(finished: Any) -> None:
    results, report, _ = finished
    one, two, three, more = (
        {(r["question"], r["solution"]) for r in records(examples(SMOKE, label))} for label in (ONE, TWO, THREE, MORE)
    )
    assert one < two < three
    assert one < more
    assert (len(one), len(two), len(three), len(more)) == tuple(n * SMOKE.each for n in (1, 2, 3, 3))
    stages = [results[f"0/{slug(label)}"].stage for label in ARMS]
    assert len({replace(stage, name="arm", data=stages[0].data) for stage in stages}) == 1
    costs = [results[f"0/{slug(label)}"].cost for label in ARMS]
    assert len({(cost.steps, cost.tokens, cost.flops) for cost in costs}) == 1
    filled = [(stage.data.take(np.arange(stage.data.size()))["segments"] > 0).mean() for stage in stages]
    assert min(filled) > 0.75  # of the rows; the rest is padding, most of it where texts are of one skill
    base = results["base"]
    assert all(base in arm.charged for arm in report.arms)


@pytest.mark.slow
def test_marks_are_the_graders_of_the_texts_that_were_drawn(finished: Any) -> None:
    results, _, _ = finished
    code = compositions_tokenizer()
    for label in (BASE, *ARMS):
        made = results[f"0/{slug(label)}/texts"]
        value = made.value
        assert made.cost.sampled_tokens == drawn_tokens(value) > 0
        asked = 0
        for place, source in enumerate(cells(SMOKE).values()):
            for number, record in enumerate(records(source)):
                own = marks(code.decode(value["tokens"][place, number]).split(), record["skills"], record["topic"])
                assert value["fraction"][place, number] == pytest.approx(own.fraction)
                assert value["full"][place, number] == own.full
                asked += len(record["skills"])
        assert value["counts"][:, 1].sum() == asked
        assert (value["counts"][:, 0] <= value["counts"][:, 1]).all()
    losses = results["base"].history.train["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_texts_of_one_skill_do_not_fit_one_behind_the_other() -> None:
    shares = fitting(replace(SMOKE, ks=(2, 3, 4, 5), each=120))
    assert max(shares) < 0.35
    assert shares[2] < 0.05  # at k = 4


def test_claims_are_judged_by_the_rules_of_the_docstring() -> None:
    places = list(cells(SMOKE))

    def verdicts(trained: tuple[float, ...], held_out: tuple[float, ...]) -> list[str]:
        said: dict[str, Any] = {}
        for label, *means in zip((ONE, TWO, THREE), trained, held_out, strict=True):
            for seed, off in enumerate((-0.1, 0.1)):  # the mean counts
                fraction = np.full((len(places), 2), 0.5)
                for pool, own in zip((TRAINED, HELD_OUT), means, strict=True):
                    fraction[places.index((pool, 4))] = own + off
                said.setdefault(label, {})[seed] = SimpleNamespace(value={"fraction": fraction})
        return [claim.verdict for claim in judged(Found(SMOKE, {}, said))]

    holds, not_so = "holds", "does not hold"
    assert verdicts((0.20, 0.25, 0.31), (0.20, 0.22, 0.26)) == [holds, holds]
    assert verdicts((0.20, 0.25, 0.29), (0.20, 0.22, 0.24)) == [not_so, not_so]  # a gain too small
    assert verdicts((0.20, 0.35, 0.31), (0.20, 0.19, 0.26)) == [not_so, not_so]  # D(1,2) is not between


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), replace(preset("laptop"), seeds=(0,)))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
