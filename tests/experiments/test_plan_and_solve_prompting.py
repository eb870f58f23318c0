"""Plan-and-Solve: styles are equal in tokens, triggers were never read, and controls are what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.reasoning.plan_and_solve_prompting import (
    BARE,
    COT,
    EXPERIMENT,
    FOREIGN,
    HELD,
    IRRELEVANT,
    LONG,
    PLUS,
    POT,
    PS,
    REAL,
    SHOTS,
    TRIGGERS,
    Found,
    corpus,
    generated,
    preset,
    problems,
    prompts,
    questions,
    read,
    texts,
    was_read,
)
from stagejax.data.reasoning.cues import CONCLUSION, CUES
from stagejax.data.reasoning.solution_errors import CALCULATION, MISSING
from stagejax.data.reasoning.solution_styles import END, STYLES, Styled, solution
from stagejax.data.selection.amounts import amount

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_no_program_of_the_test_is_read() -> None:
    read_ = {problems(SMOKE)[i]["program"] for i in range(len(problems(SMOKE)))}
    assert not read_ & {own["program"] for own in questions(SMOKE)}


def test_sets_are_as_declared() -> None:
    found: dict[str, list[Any]] = {name: [] for name in (HELD, LONG, IRRELEVANT)}
    for own in questions(SMOKE):
        numbers = sum(word.isdigit() for word in own["question"].split())
        found[own["set"]].append((len(own["steps"]), numbers - len(own["changes"])))
    assert {steps for steps, _ in found[HELD]} == {1, 2, 3, 4}
    assert {steps for steps, _ in found[LONG]} == {5, 6}
    assert {others for _, others in found[HELD]} == {0, 1}
    assert {others for _, others in found[IRRELEVANT]} == {2}
    assert generated(SMOKE) == len(questions(SMOKE))


def test_styles_have_as_many_rows_and_nearly_as_many_tokens() -> None:
    mixture = corpus(SMOKE, 0)
    assert mixture.weights == (*[5, 1] * len(STYLES), 6)
    large = replace(SMOKE, size=160)
    filled = [amount(texts(large, style, False), 100).read for style in STYLES]
    assert max(filled) < 1.2 * min(filled)
    rows = {row[0]: row for row in (was_read(large, style) for style in STYLES)}
    assert rows["direct"][1] > rows["chain"][1] > rows["plan"][1] > rows["careful plan"][1]


def test_triggers_are_sentences_that_were_never_read() -> None:
    known = [Styled(problems(SMOKE), style, 0.0, seed=11)[i]["text"] for style in STYLES for i in range(40)]
    for arm, style in TRIGGERS.items():
        for place, text in enumerate(prompts(SMOKE, arm)):
            cue = text.rpartition(" a:")[2].strip()
            assert (cue == "") is (style is None)
            if style is not None:
                assert cue == CUES[style].unseen[place % len(CUES[style].unseen)]
                assert not any(cue in own for own in known)
    assert not any(f"{END} {end} " in own for own in known for end in CONCLUSION.unseen)


def test_demonstrations_are_two_solved_problems_of_training_programs() -> None:
    shown = prompts(SMOKE, SHOTS)[0].split(END)
    assert len(shown) == 5
    assert prompts(SMOKE, BARE)[0] == shown[-1].strip()
    assert "=" in shown[0]
    assert "plan" not in shown[0]
    test = {own["question"] for own in questions(SMOKE)}
    assert not any(question in part for part in shown[:4] for question in test)


def test_a_problem_of_svamp_is_read_with_its_last_words() -> None:
    record = {"question": "Each pack costs 1,500 dollars. " * 20 + "How many?", "answer": 51.0}
    own = read(SMOKE, record)
    assert own["answer"] == "51"
    assert own["set"] == REAL
    assert own["question"].endswith("how many ?")
    assert len(own["question"].split()) == SMOKE.prompt[0] - 30


class Made:
    """What was said, without a run."""

    def __init__(self, said: list[str], answers: list[str | None], tokens: int) -> None:
        self.value = {"said": said, "answer": answers, "tokens": [tokens] * len(said)}


def found_with() -> Found:
    """CoT leaves out the last step of each problem of several; PS has a wrong last result; PS+ is right."""
    rows: dict[str, Any] = {COT: [], PS: [], PLUS: [], BARE: [], FOREIGN: []}
    for own in questions(SMOKE):
        short = " ; ".join(own["steps"][:-1])
        wrong = [*own["steps"][:-1], own["steps"][-1].rpartition(" ")[0] + " 99"]
        rows[COT].append((short, "99"))
        rows[PS].append((solution({**own, "steps": wrong}, "plan"), "99"))
        rows[PLUS].append((solution(own, "careful plan"), own["answer"]))
        rows[BARE].append((short, None))
        rows[FOREIGN].append(("", None))
    said = {arm: {0: Made(*map(list, zip(*own, strict=True)), 10 + 11 * (arm == PLUS))} for arm, own in rows.items()}
    twice = [(text, answer) for text, answer in rows[COT] for _ in range(SMOKE.samples)]
    samples = {COT: {0: Made(*map(list, zip(*twice, strict=True)), 10)}}
    return Found(replace(SMOKE, samples=2), {}, said, samples)


def test_errors_forms_and_equal_tokens() -> None:
    found = found_with()
    assert found.accuracy(PLUS) == [100.0]
    assert found.accuracy(COT) == found.accuracy(COT, HELD, 2) == [0.0]
    assert found.errors(COT, MISSING) == [100.0]
    assert found.errors(PS, CALCULATION) == [100.0]
    assert found.errors(PLUS, MISSING) == [0.0]
    assert found.form(PS, "plan") == found.form(PLUS, "careful plan") == [100.0]
    assert found.equal() == 2
    assert found.apart(PLUS, COT, (0, 2)) == [100.0]
    assert found.by_steps(PLUS, 5) == [100.0]


@pytest.mark.slow
def test_smoke_run(finished: Any) -> None:
    results, found, folder = finished
    losses = results["0/model"].history.train["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    count = len(questions(SMOKE))
    assert len(results["0/cot"].value["said"]) == count
    assert len(results["0/ps-plus/samples"].value["answer"]) == SMOKE.samples * count
    assert max(results["0/cot"].value["tokens"]) <= sum(SMOKE.limit)
    assert max(results["0/program"].value["tokens"]) <= SMOKE.limit[0]
    assert results["0/cot/samples"].cost.sampled_tokens == sum(results["0/cot/samples"].value["tokens"])
    own = {arm.name: arm for arm in found.arms}
    assert list(own) == [COT, *(arm for arm in TRIGGERS if arm != COT)]
    assert {arm.results[0].digest for arm in own.values()} == {results["0/model"].digest}
    tables = {table.title: table for table in found.tables}
    assert len(tables["Right answers"].rows) == len(TRIGGERS)
    assert POT not in [row[0] for row in tables["First errors"].rows]
    assert (folder / "report.html").exists()
    assert all(c.verdict != "not tested" for c in found.claims)
