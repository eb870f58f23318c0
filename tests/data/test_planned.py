"""Word problems with plans: a plan leads to the answer, forms are told apart, nothing gives the answer away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stagejax.data import Dataset, MissingDataset
from stagejax.data.reasoning.planned import OTHER_VERBS, SO, VERBS, Equations, Form, Planned, executed, vocabulary
from stagejax.data.reasoning.problems import Problems, answer_of

WORDS = vocabulary(12)
PROBLEMS = Problems(size=150, steps=(1, 2, 3), largest=12, asides=1, wording=VERBS)


def kinds(style: str) -> list[Planned]:
    other, longer = replace(PROBLEMS, wording=OTHER_VERBS), replace(PROBLEMS, steps=(4,), size=60)
    return [Planned(own, style, back) for own in (PROBLEMS, other, longer) for back in (False, True)]


@pytest.mark.slow
def test_plans_and_solutions_lead_to_the_answer() -> None:
    for source in kinds("plan"):
        for i in range(len(source)):
            record = source[i]
            plan, _, solution = record["said"].partition(SO)
            assert executed(record["asked"], plan) == record["answer"]
            assert solution.split()[-1] == str(record["answer"])
            assert plan.count(";") == record["steps"]
            assert not any(word.isdigit() for word in plan.split())
            other = replace(source, style="solve")[i]
            assert other["said"].replace(" ;", "") == solution.strip()
            assert other["asked"].replace("solve", "plan") == record["asked"]


def test_a_backward_problem_asks_for_the_start_and_hides_it() -> None:
    source = Planned(PROBLEMS, backward=True)
    for i in range(len(source)):
        record, forward = source[i], PROBLEMS[i]
        first = int(forward["program"].split()[0])
        assert record["answer"] == first
        last = record["asked"].split(" . ")[-2].split()
        assert last[-1] == str(answer_of(forward["solution"]))


def test_every_step_of_a_generated_answer_is_of_its_form_and_of_no_other() -> None:
    forms = {style: Form(WORDS, style) for style in ("plan", "solve")}
    for style, form in forms.items():
        for source in kinds(style):
            *steps, last = source[0]["said"].split(" ; ")
            assert all(form(WORDS.encode([step])[0], False) for step in steps)
            assert form(WORDS.encode([last])[0], True)
            other = forms["solve" if style == "plan" else "plan"]
            assert not other(WORDS.encode([last])[0], True)
    for wrong in ("add", "add b c", "b add", "so", "so 7 + 5", "7 + 5 = 12", "add 7", ""):
        assert not forms["plan"](WORDS.encode([wrong])[0], True)


def test_plans_that_cannot_be_executed() -> None:
    asked = Planned(PROBLEMS)[0]["asked"]
    assert executed(asked, "") is not None  # the start itself
    assert executed(asked, "add h ;") is None
    assert executed("ann has a 7 . ann divides b 2 . how many ? plan", "share b ;") is None


def test_other_verbs_share_no_verb() -> None:
    verbs = [{s.split()[1] for s in (w.start, *(s for _, s in w.clauses), *w.asides)} for w in (VERBS, OTHER_VERBS)]
    assert not verbs[0] & verbs[1]


def test_a_style_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of"):
        Planned(PROBLEMS, "draw")


def test_svamps_programs_are_told_in_these_words() -> None:
    try:
        source = Planned(Equations(Dataset("svamp", "test"), PROBLEMS))
        assert len(source) > 100
    except MissingDataset:
        pytest.skip("STAGEJAX_DATA has no svamp")
    for i in range(len(source)):
        record = source[i]
        assert executed(record["asked"], record["said"].partition(SO)[0]) == record["answer"]
