"""The controller, led by models that are scripts: it ends, corrects, goes back, and counts what it asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from flax import nnx

from stagejax.data.reasoning import guided_steps as steps
from stagejax.data.reasoning.planned_problems import changes_of, written
from stagejax.inference.frozen import Frozen
from stagejax.inference.reasoning import adaptive_answers
from stagejax.inference.reasoning.adaptive_control import (
    COIN,
    NOBODY,
    ORACLE,
    OWN,
    Accepted,
    Control,
    State,
    Verdict,
    flaw,
)
from stagejax.inference.reasoning.adaptive_prompts import Calls, Solving
from stagejax.inference.reasoning.two_calls import Calling, Replies
from stagejax.models import llama

CODE = steps.vocabulary(30)
CALLS = Calls(Calling(120, 40, 2), Calling(8, 1, 2))


def record(program: str, told: str) -> dict[str, Any]:
    changes = changes_of(program)
    own = {"question": told, "changes": changes, **written(changes)}
    return {**own, "answer": str(own["steps"][-1].split()[-1])}


FIRST = record("7 + 3 - 2 * 2", "ann has 7 . finds 3 . loses 2 . times 2 . how many ?")
SECOND = record("9 - 4", "ben has 9 . dan is 5 . gives 4 . how many ?")
RECORDS = [FIRST, SECOND]


@dataclass
class Scripted(Solving):
    """A model that says every step rightly, but for what `wrong` replaces, and judges as `ok` does."""

    wrong: dict[str, str] = field(default_factory=dict)  # a right step that is asked for first: what is said instead
    stubborn: bool = False  # wrong steps are said again and again
    blind: bool = False  # says that all is right
    prompts: list[str] = field(default_factory=list)
    heats: list[float] = field(default_factory=list)

    def said(self, prompts: Sequence[str], states: Sequence[State], how: Calling, heat: Any, number: int) -> Replies:
        self.prompts += prompts
        self.heats += np.broadcast_to(heat, len(prompts)).tolist()
        return Replies([self.one(*own) for own in zip(prompts, states, strict=True)], [1] * len(prompts))

    def one(self, prompt: str, state: State) -> str:
        if prompt.endswith("="):
            a, sign, b, _ = prompt.split()
            return str(steps.applied(int(a), sign, int(b)))
        own, done = RECORDS[state.place], len(state.calculated)
        if prompt.endswith(steps.ANS):
            return str(own["answer"])
        guide = next(name for name, cue in steps.CUES.items() if prompt.endswith(f" {cue} )"))
        right = steps.guided(own, done, guide)
        return self.wrong.get(right, right) if self.stubborn or not state.fails else right

    def verdicts(self, prompts: Sequence[str], states: Sequence[State]) -> list[tuple[float, str]]:
        found = []
        for prompt, state in zip(prompts, states, strict=True):
            said = prompt.rpartition("check ")[2].removesuffix(" )")
            calculated = () if said == "all" else steps.calculations(said)
            assert calculated is not None
            right = steps.right_step(RECORDS[state.place], state.calculated, calculated)
            found.append((0.9 if right or self.blind else 0.1, steps.READ))
        return found


def solved(control: Control, **how: Any) -> tuple[list[State], Scripted]:
    def judge(place: int, before: Any, said: Any) -> bool:
        return steps.right_step(RECORDS[place], before, said)

    model = Scripted(None, CODE, CALLS, control, judge=judge, **how)  # type: ignore[arg-type]
    return model.solve([own["question"] for own in RECORDS]), model


@pytest.mark.parametrize("validator", [OWN, NOBODY, ORACLE, COIN])
def test_a_faultless_model_is_led_to_the_answers(validator: str) -> None:
    states, model = solved(Control(validator=validator))
    assert [own.answer for own in states] == ["16", "5"]
    assert not any(own.corrections for own in states)
    assert max(model.heats) == 0
    assert [own.wholes for own in states] == [[True], [True]]


def test_complexity_sets_the_first_size_of_steps() -> None:
    _, model = solved(Control(high=3))
    assert model.prompts[0].endswith("( next two )")
    _, model = solved(Control(high=2))
    assert model.prompts[0].endswith("( next )")


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_rejected_step_is_asked_for_again_behind_its_reason(stubborn: bool) -> None:
    wrong = {"7 + 3 = 10": "7 + 3 = 11"}
    states, model = solved(Control(high=0), wrong=wrong, stubborn=stubborn)
    again = [prompt for prompt in model.prompts if "bad misread 7 + 3 = 11" in prompt]
    assert again[0].endswith("in parts )")
    assert 0.7 in model.heats
    if not stubborn:
        assert states[0].corrections == [([], ("7 + 3 = 11",), ("7 + 3 = 10",))]
        assert states[0].answer == "16"


def test_arithmetic_is_found_wrong_by_a_second_calculation() -> None:
    wrong = {"7 + 3 = 10": "7 + 3 = 11"}
    states, _ = solved(Control(high=0), wrong=wrong, blind=True)
    assert states[0].judged[0][2].reason == steps.SUM
    assert states[0].answer == "16"
    states, _ = solved(Control(high=0, mechanical=False), wrong=wrong, blind=True)
    assert states[0].calculated[0] == "7 + 3 = 11"


def test_without_correction_nothing_of_a_rejected_step_is_shown() -> None:
    _, model = solved(Control(high=0, corrects=False), wrong={"7 + 3 = 10": "7 + 3 = 11"})
    assert not any(steps.BAD in prompt for prompt in model.prompts)


def test_without_adaptation_every_step_is_one_calculation() -> None:
    _, model = solved(Control(adapts=False), wrong={"7 + 3 = 10": "7 + 3 = 11"})
    asked = [prompt for prompt in model.prompts if prompt.endswith(")")]
    assert all(prompt.endswith("next )") for prompt in asked)


def state(**how: Any) -> State:
    return State("ann has 7 . finds 3 . how many ?", 0, 1, 4, 2, **how)


def accepted(step: str, score: float = 0.8) -> Accepted:
    return Accepted((step,), score, steps.SUM)


def test_two_failures_make_steps_smaller_and_allow_two_more() -> None:
    own, control = state(), Control()
    own.fail(accepted("7 + 3 = 11"), control)
    assert (own.granularity, own.limit) == (1, 4)
    own.fail(None, control)
    assert (own.granularity, own.limit) == (2, 6)
    fixed = state()
    for _ in range(2):
        fixed.fail(None, Control(fixed=4))
    assert fixed.limit == 4
    high = state()
    high.limit = 10
    for _ in range(2):
        high.fail(None, control)
    assert high.limit == control.most


def test_three_clean_steps_make_steps_larger() -> None:
    own = state()
    for step in ("7 + 3 = 10", "10 - 2 = 8", "8 - 2 = 6"):
        own.take(accepted(step))
    assert own.granularity == 0


def test_retries_end_in_going_back_and_then_in_the_best_try() -> None:
    own, control = state(), Control(retries=1, backs=1)
    own.backs = 1
    own.take(accepted("7 + 3 = 10"))
    for _ in range(2):
        own.fail(accepted("10 - 9 = 1", 0.1), control)
    assert own.calculated == []
    assert (own.backs, own.fails, own.refused) == (0, 1, ("7 + 3 = 10", steps.SUM))
    own.fail(accepted("7 - 3 = 4", 0.3), control)
    assert own.calculated == ["7 + 3 = 10"]  # of both tries that of the higher score
    assert own.fails == 0


def test_a_whole_solution_that_fails_goes_back_to_before_the_worst_step() -> None:
    own = state()
    for step, score in (("7 + 3 = 10", 0.9), ("10 - 2 = 8", 0.5), ("ans 8", 0.7)):
        own.take(accepted(step, score))
    assert own.ended()
    own.conclude(Verdict(False, 0.2, steps.READ))
    assert own.answer is None
    assert own.calculated == ["7 + 3 = 10"]
    own.backs = 0
    own.take(accepted("ans 10", 0.1))
    own.conclude(Verdict(False, 0.2, steps.READ))
    assert own.answer == "8"  # of the better chain


def test_the_budget_ends_in_an_answer() -> None:
    states, _ = solved(Control(rounds=1))
    assert states[0].answer == "16"
    assert len(states[0].calculated) == 2


def test_texts_alone_show_repeats_and_numbers_from_nowhere() -> None:
    question = FIRST["question"]
    assert flaw(question, [], ["7 + 3 = 10", "10 - 2 = 8"]) is None
    assert flaw(question, ["7 + 3 = 10"], ["10 - 6 = 4"]) == steps.READ
    assert flaw(question, ["7 + 3 = 10"], ["ans 11"]) == steps.READ
    assert flaw(question, ["7 + 3 = 10"], ["10 - 2 = 8", "10 - 2 = 8"]) == steps.AGAIN


def test_verdicts_and_corrections_are_told_by_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted(*made: Any) -> Scripted:
        return Scripted(*made, wrong={"7 + 3 = 10 , 10 - 2 = 8": "7 + 2 = 9", "9 - 4 = 5": "9 - 5 = 4"})

    monkeypatch.setattr(adaptive_answers, "Solving", scripted)
    found = adaptive_answers.led(Frozen(None, None, None), CODE, CALLS, RECORDS, Control(), 0)
    assert found["answer"] == ["16", "5"]
    assert found["corrections"] == [[False, True]] * 2
    assert adaptive_answers.validated(found["judged"])["AUC"] == 1.0
    assert 0 < found["shares"][0] < 1
    assert found["shares"][1] == 0


@pytest.mark.slow
def test_a_model_that_knows_nothing_answers_within_its_budget() -> None:
    net = llama(vocab=CODE.vocab, embed=8, layers=1, heads=1, mlp=8, length=64)
    _, params, rest = nnx.split(net.build(nnx.Rngs(0)), nnx.Param, ...)
    frozen = Frozen(net, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))
    first = adaptive_answers.chains(frozen, CODE, CALLS.guided, RECORDS, steps.STEPS, n=2)
    assert first["said"][0] == first["said"][1]
    assert first["read"][0] == len(FIRST["question"].split()) + 7
    again = adaptive_answers.rewritten(frozen, CODE, CALLS.guided, RECORDS, {k: own[::2] for k, own in first.items()})
    assert again["calls"] == [2, 2]
    assert again["tokens"] == [a + b for a, b in zip(again["read"], again["drawn"], strict=True)]
    scores = adaptive_answers.checked(frozen, CODE, CALLS.guided, RECORDS, first)
    assert len(scores["ok"]) == len(scores["tokens"]) == 4
    assert all(0 < ok < 1 for ok in scores["ok"])
    found = adaptive_answers.led(frozen, CODE, CALLS, RECORDS, Control(rounds=3), 0)
    assert len(found["answer"]) == 2
    assert all(3 <= calls <= 3 * 4 + 1 for calls in found["calls"])
    assert all(drawn < tokens for drawn, tokens in zip(found["drawn"], found["tokens"], strict=True))
