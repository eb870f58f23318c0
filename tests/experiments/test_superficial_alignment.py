"""Superficial alignment: sets are nested, models differ in examples alone, nothing that is asked is taught, new facts
are the same for all, and claims follow their rules."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum.superficial_alignment import (
    BASE,
    CHAINED,
    DEV,
    EPOCHS,
    EXPERIMENT,
    FRONT,
    NEW,
    PLAIN,
    UPDATES,
    Found,
    Tuned,
    claims_of,
    preset,
    pretraining,
    protocols,
    quizzes,
    starts,
    subset,
    teaching,
    tuning,
)
from stagejax import Plan
from stagejax.data.reasoning.mistakes import CODE, HOPS, JUDGES, LISTS, MATH, TASKS
from stagejax.names import slug

SMOKE, LAPTOP = preset("smoke"), preset("laptop")
finished = smoke_run(EXPERIMENT, SMOKE)


def questions(source: Any) -> list[str]:
    return [source[i]["question"] for i in range(len(source))]


def test_sets_of_examples_are_nested_and_other_seeds_draw_others() -> None:
    for task in SMOKE.tasks:
        for seed in (0, 1):
            sets = [questions(subset(task, size, seed)) for size in SMOKE.sizes[:2]]
            assert [len(own) for own in sets] == list(SMOKE.sizes[:2])
            assert all(few == more[: len(few)] for few, more in itertools.pairwise(sets))
        assert questions(subset(task, 10, 0)) != questions(subset(task, 10, 1))


def test_models_differ_in_examples_and_updates_in_nothing_else() -> None:
    for task in TASKS:
        few, many = (tuning(SMOKE, Tuned(task, size, EPOCHS, 0), 1e-3) for size in (10, 80))
        assert replace(few, data=many.data, steps=many.steps) == replace(many, name=few.name)
        assert (few.steps, many.steps) == (4, 30)  # 3 epochs of 10 and of 80, 8 a batch
        assert many.steps * many.data.batch == SMOKE.epochs * len(many.data.source)
    control = [tuning(SMOKE, Tuned(HOPS, size, UPDATES, 0), 1e-3) for size in SMOKE.sizes]
    assert {stage.steps for stage in control} == {SMOKE.updates}
    weights = few.data.take(np.arange(8))["weights"]
    assert set(np.unique(weights)) == {0.0, 1.0}
    assert (weights.argmax(1) > 8).all()  # nothing of the questions is learned
    assert protocols(LAPTOP, MATH) == protocols(LAPTOP, HOPS) == (EPOCHS, UPDATES)
    assert protocols(LAPTOP, CODE) == protocols(LAPTOP, LISTS) == (EPOCHS,)


def test_nothing_that_is_asked_is_taught_or_asked_in_development() -> None:
    cfg = SMOKE
    for task, what in zip(cfg.tasks, ("program", "path", "solution", "asked"), strict=True):
        parts = [[source[i][what] for i in range(len(source))] for source in (task.train, task.dev, task.test.source)]
        assert len(parts[2]) == task.test.questions
        sets = [set(part) for part in parts]
        assert all(not a & b for a, b in itertools.combinations(sets, 2))
        assert task.name == LISTS or [len(own) for own in sets] == [len(part) for part in parts]  # all are different
    lists, hops = cfg.tasks[3], cfg.tasks[1]
    assert len(set(questions(lists.train))) == len(lists.train)
    taught = {fact for i in range(len(hops.train)) for fact in hops.train[i]["path"]}
    assert not taught & {fact for i in range(len(hops.test.source)) for fact in hops.test.source[i]["path"]}
    asked = quizzes(cfg)
    old, new = set(cfg.town.facts()), {asked[NEW].source[i]["path"][0] for i in range(asked[NEW].questions)}
    chains = [asked[CHAINED].source[i]["path"] for i in range(asked[CHAINED].questions)]
    assert all(len(set(path) & new) == len(set(path) & old - taught) == 1 for path in chains)
    chosen_by = {asked[DEV].source[i]["question"] for i in range(asked[DEV].questions)}
    assert not chosen_by & set(questions(asked[CHAINED].source))
    stage = teaching(cfg, starts(cfg)[0], 0, 1e-3)
    assert {len(stage.data.source[i]["path"]) for i in range(len(stage.data.source))} == {1}


def test_new_facts_are_taught_alike() -> None:
    stages = [teaching(SMOKE, start, 0, 1e-3) for start in starts(SMOKE)]
    alone, beside = ({replace(own, name="x") for own in part} for part in (stages[:4], stages[4:]))
    assert len(alone) == len(beside) == 1  # the same for every start
    new = quizzes(SMOKE)[NEW].questions
    assert [stages[0].steps, stages[4].steps] == [SMOKE.injected * n // SMOKE.batch for n in (new, new + SMOKE.early)]
    added = questions(stages[4].data.source)[new:]
    assert added == questions(subset(SMOKE.tasks[1], SMOKE.early, 0))
    names = [BASE, "1000 of two hops", "1000 of word problems"]
    assert [own.name for own in starts(LAPTOP)] == [
        *names,
        "100 of two hops",
        *(f"{own}, form beside" for own in names),
    ]


def test_there_are_as_many_questions_as_a_quiz_says() -> None:
    for quiz in (*(task.test for task in LAPTOP.tasks[1::2]), *quizzes(LAPTOP).values()):
        assert len(quiz.source) == quiz.questions >= 100
    assert quizzes(LAPTOP)[NEW].questions == 100
    for cfg in (SMOKE, LAPTOP):
        assert cfg.early in cfg.sizes
        assert max(cfg.sizes) <= min(len(task.train) for task in cfg.tasks)


def test_pretraining_holds_no_form_of_an_answer() -> None:
    told = {type(own).__name__: [own[i]["text"] for i in range(min(len(own), 10))] for own, _ in SMOKE.read[1:]}
    assert len(told) == 5
    records = {task.name: task.train[0] for task in SMOKE.tasks}
    for text in (text for own in told.values() for text in own):
        assert not {"ans", "how", "who", "?", "code", ":"} & set(text.split())
        for task, record in records.items():
            assert not any(JUDGES[task](record, part.strip()).formed for part in (text, *text.split(" .")))
    assert len(pretraining(SMOKE).data.parts) == len(SMOKE.read)


def said(rate: float, form: float, n: int = 100) -> Any:
    """Answers of which a share is right, and a share has no form."""
    right, formless = round(rate * n), round(form * n)
    mistakes = [""] * right + ["form"] * formless + ["step"] * (n - right - formless)
    return SimpleNamespace(value={"right": [1] * right + [0] * (n - right), "mistake": mistakes,
                                  "formed": [int(own != "form") for own in mistakes], "texts": []})  # fmt: skip


def verdicts(
    curves: dict[str, list[float]],
    form: float = 0.05,
    chained: tuple[float, ...] = (0.1, 0.4, 0.2),
    plain: float = 0.1,
) -> list[str]:
    cfg = replace(SMOKE, sizes=(10, 30, 100, 300, 1000), early=100, fitted=30, seeds=(0, 1), controlled=())
    tuned = {
        Tuned(task, size, EPOCHS, seed): said(rate * (1 + 0.2 * seed), form if size <= 100 else 0.0)
        for task, rates in curves.items() for size, rate in zip(cfg.sizes, rates, strict=True) for seed in cfg.seeds
    }  # fmt: skip
    names = [start.name for start in starts(cfg)]
    rates = dict(zip(names, (*chained, 0.9, 0.9, 0.9, 0.9), strict=True))
    taught = {
        (name, seed): {CHAINED: said(rate + 0.05 * seed, 0.0)} for name, rate in rates.items() for seed in cfg.seeds
    }
    without = {task: {which: said(plain, 0.0) for which in PLAIN} for task in TASKS}
    return [own.verdict for own in claims_of(Found(cfg, None, None, {}, tuned, {}, without, taught))]


def test_claims_are_judged_by_the_rules_of_the_docstring() -> None:
    yes, no = "holds", "does not hold"
    power, flat_ = [0.05, 0.1, 0.17, 0.29, 0.5], [0.1, 0.5, 0.5, 0.5, 0.52]
    falls, late = [0.1, 0.1, 0.17, 0.3, 0.28], [0.0, 0.0, 0.17, 0.29, 0.5]
    assert verdicts({MATH: power, HOPS: power, CODE: power, LISTS: flat_}) == [yes, yes, yes]
    for other in (falls, late, flat_):  # it falls; nothing is right at first; no power
        assert verdicts({MATH: power, HOPS: power, CODE: other, LISTS: flat_})[0] == no
    assert verdicts(dict.fromkeys(TASKS, power), plain=0.5)[:2] == [no, no]  # who counts is right as often
    assert verdicts(dict.fromkeys(TASKS, power), form=0.06)[1] == no
    assert verdicts({MATH: power, HOPS: flat_, CODE: power, LISTS: power})[1] == no  # nothing left to learn
    for rates, verdict in (((0.31, 0.4, 0.2), no), ((0.1, 0.4, 0.31), no), ((0.3, 0.4, 0.3), yes)):
        assert verdicts(dict.fromkeys(TASKS, power), chained=rates)[2] == verdict
    nothing, little = [0.0] * 5, [0.0, 0.0, 0.0, 0.0, 0.01]
    for rates in (nothing, little):
        assert verdicts(dict.fromkeys(TASKS, rates), plain=0.0)[:2] == [no, no]


@pytest.mark.slow  # it looks at the smoke run
def test_every_model_starts_at_one_base_and_all_weights_are_tuned(finished: Any) -> None:
    results, report, _ = finished
    base = results[BASE]
    tuned = {
        name: own for name, own in results.items() if own.kind == "train" and name.endswith("/0") and "new" not in name
    }
    assert len(tuned) == len(SMOKE.sizes) * (len(TASKS) + len(SMOKE.controlled))
    for own in tuned.values():
        assert own.generation == base.generation + 1
        assert str(own.stage.handover.moments) == str(own.stage.handover.schedule) == "reset"
    first = flat(base)
    last = flat(results[f"3-epochs/two-hops/{max(SMOKE.sizes)}/0"])
    assert all((first[path] != last[path]).any() for path in first)
    assert base.history.train["loss"][-1] < base.history.train["loss"][0] - 1
    arms = {arm.name: arm for arm in report.arms}
    assert len(arms) == len(SMOKE.sizes) * len(TASKS) + len(starts(SMOKE))
    assert all(base in (*arm.charged, *arm.results) for arm in arms.values())
    for start in starts(SMOKE):  # the searches for it and for what it starts from, and the answers that chose
        paid = [own.kind for own in arms[f"new facts to {start.name}"].charged]
        assert paid.count("train") == (len(SMOKE.rates) + 1) * bool(start.net) + len(SMOKE.injected_rates)
        assert len(paid) - paid.count("train") == len(SMOKE.injected_rates)


@pytest.mark.slow
def test_answers_are_those_of_the_judges_and_rates_those_of_development(finished: Any) -> None:
    results, report, _ = finished
    for task in SMOKE.tasks:
        for size in SMOKE.sizes:
            name = Tuned(task.name, size, EPOCHS, 0).stage
            made = next(own for own in results.values() if own.name.startswith("test/") and own.name.endswith(name))
            marks = made.value
            assert len(marks["right"]) == task.test.questions
            for i, (question, text) in enumerate(marks["texts"]):
                record = task.test.source[i]
                judged = JUDGES[task.name](record, text)
                assert record["question"] == question
                assert (marks["right"][i], marks["mistake"][i]) == (judged.right, judged.mistake or "")
            assert made.cost.flops > 0
        early = Tuned(task.name, SMOKE.early, EPOCHS, 0).stage
        pilots = {rate: results[f"{early}/{rate:g}"].history.last("loss") for rate in SMOKE.rates}
        best = min(pilots, key=lambda rate: pilots[rate])
        own = [result.stage for key, result in results.items() if slug(task.name) in key and key.count("/") == 3
               and result.kind == "train"]  # fmt: skip
        assert {stage.optimizer.peak for stage in own} == {best}
    tables = {table.title: table for table in report.tables}
    assert [row[0] for row in tables["New facts"].rows] == [start.name for start in starts(SMOKE)]
    assert tables["New facts"].columns[1:3] == tuple(f"before: {which}" for which in (CHAINED, FRONT))
    base = tables["Without fine-tuning, and without reasoning"]
    assert [row[:2] for row in base.rows] == [(task, "0.0") for task in TASKS]  # the base knows no form
    assert base.columns[1:] == (BASE, *PLAIN)
    known = results["recall"].value
    assert {len(own) for own in known.values()} == {len(SMOKE.town.facts())}


@pytest.mark.slow
def test_lists_are_learned_and_new_facts_are_taught_to_each_start(finished: Any) -> None:
    results, _, _ = finished
    few, many = (results[Tuned(LISTS, size, EPOCHS, 0).stage].history.last("loss") for size in (10, 80))
    assert many < few - 0.3
    for start in starts(SMOKE):
        told = results[f"new-facts/{slug(start.name)}/0"]
        before = results[start.net.stage if start.net else BASE]
        assert told.generation == before.generation + 1
        assert told.history.train["loss"][-1] < told.history.train["loss"][0]


@pytest.mark.slow
def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
