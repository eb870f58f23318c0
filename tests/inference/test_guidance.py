"""Libraries of strategies: what is found, what the loop of writing and comparing keeps and counts, what is audited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stagejax.data.dialogue.customer_service import prompt
from stagejax.data.dialogue.customers import Customer, Talk, customers, replied
from stagejax.data.dialogue.service_language import EXAMPLE
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts import guidance, guidance_rounds
from stagejax.inference.prompts.guidance import Entry, Guide, Refining, allowed, likeness, refined, serve, uncovered
from stagejax.inference.prompts.guidance_rounds import Clients, judged, library_round, teacher_replies
from stagejax.result import Result

OPENING = "C listen Ann here my parcel has not come ! now"
TOLD = "C that is 301 it is urgent ! now"
LIBRARY = (Entry("C listen _ here my parcel has not come ! now", "say sorry"), Entry(TOLD, "send it fast"))


def made(value: Any) -> Result:
    return Result("", "make", "", 1, value=value)


def test_names_and_numbers_do_not_count_and_the_last_message_counts_most() -> None:
    same = likeness([OPENING.replace("Ann", "Kim")], [LIBRARY[0].scenario])
    assert np.allclose(same, 1.0)
    far, near = likeness([f"{OPENING} A which order is it {TOLD}"], [OPENING, f"C good day A hold {TOLD}"])[0]
    assert far < 0.3 < 0.7 < near < 1
    assert likeness([], ["C"]).shape == (0, 1)


def test_a_guide_puts_the_nearest_entry_or_none() -> None:
    guide = Guide(LIBRARY, threshold=0.6)
    assert guide.texts([OPENING, "C goodbye", TOLD]) == (["say sorry", "", "send it fast"], [0, -1, 1])
    assert Guide(LIBRARY, threshold=-1.0).texts(["C goodbye"])[1] != [-1]
    assert Guide().texts([OPENING]) == ([""], [-1])
    drawn = [Guide(LIBRARY, random=0).texts([OPENING] * 40, turn)[1] for turn in (0, 1)]
    assert set(drawn[0]) == {0, 1}
    assert drawn[0] != drawn[1]
    told = Guide(LIBRARY, threshold=0.6, random=0).texts(["C goodbye", OPENING] * 40)[1]
    assert set(told[::2]) == {-1}  # a control for which entry, not for whether there is one
    assert set(told[1::2]) == {0, 1}


@pytest.mark.parametrize("text", ["say sorry to Ann", "tell them of 301", "", "Ben"])
def test_the_filter_takes_out_what_names_a_case(text: str) -> None:
    assert not allowed(text)


def test_uncovered_states_are_far_from_entries_and_from_each_other() -> None:
    states = [OPENING, OPENING.replace("Ann", "Kim"), TOLD, "C hello Ann i am locked out"]
    for seed in range(5):
        found = uncovered(states, [TOLD], 0.9, 9, np.random.default_rng(seed))
        assert len(found) == 2
        assert 2 not in found
        assert 3 in found
    assert len(uncovered(states, [], 0.9, 1, np.random.default_rng(0))) == 1


class Stand:
    """What stands for both models: strategies in turn, a reply that tells its strategy, and a score of each reply."""

    def __init__(self, strategies: Sequence[str], score: dict[str, float]) -> None:
        self.strategies, self.score, self.asked = list(strategies), score, list[tuple[str, str, str]]()

    def put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guidance, "advised", self.advised)
        monkeypatch.setattr(guidance, "said", lambda net, states, texts, mark, how: [t or "wanted" for t in texts])
        monkeypatch.setattr(
            guidance, "scores", lambda net, states, said, how: np.array([self.score[own] for own in said])
        )

    def advised(self, net: Any, asked: Sequence[tuple[str, str, str]], how: Any, seed: int) -> list[str]:
        self.asked += asked
        return [self.strategies.pop(0) for _ in asked]


NET = Frozen(None, None, None)


def test_the_best_strategy_is_kept_and_every_answer_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    score = {"wanted": -1.0, "old": -9.0, "name a day": -7.0, "say sorry": -2.0}
    stand = Stand(["name a day", "say sorry for Ann", "say sorry"], score)
    stand.put(monkeypatch)
    found = refined(NET, NET, [OPENING], ["old"], Refining(tries=4, slack=2.5), 3, 0)
    assert found.entries == [Entry(LIBRARY[0].scenario, "say sorry", 7.0, 3, 3)]
    assert (found.queries, found.written, found.rejected, found.mastered) == (2 + 2 + 1 + 2, 3, 1, 0)
    assert stand.asked[0] == (OPENING, "old", "")
    assert stand.asked[1] == stand.asked[2] == (OPENING, "name a day", "name a day")


def test_what_is_mastered_gets_none_and_what_gains_nothing_is_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand = Stand(["name a day"] * 4, {"wanted": -1.0, "good": -3.0, "old": -7.0, "name a day": -8.0})
    stand.put(monkeypatch)
    found = refined(NET, NET, [TOLD, OPENING], ["good", "old"], Refining(tries=4), 0, 0)
    assert found.entries == []
    assert (found.mastered, found.written, found.queries) == (1, 2, 4 + 2 * 2)  # two tries in a row without gain


def test_without_revision_the_first_strategy_is_kept_for_one_answer_each(monkeypatch: pytest.MonkeyPatch) -> None:
    Stand(["name a day", "say sorry for Ann"], {}).put(monkeypatch)
    found = refined(NET, NET, [TOLD, OPENING], ["", ""], Refining(tries=1), 1, 0)
    assert found.entries == [Entry("C that is _ it is urgent ! now", "name a day", 0.0, 1)]
    assert (found.queries, found.rejected) == (2, 1)


def test_dialogues_go_on_until_all_are_over_and_say_what_was_put(monkeypatch: pytest.MonkeyPatch) -> None:
    people = Clients("test", 3, 2).drawn()

    def said(net: Any, states: Sequence[str], texts: Sequence[str], mark: str, how: Any) -> list[str]:
        return [replied(_at(state, people).best(), _at(state, people).customer, 0) for state in states]

    def _at(state: str, people: list[Customer]) -> Talk:
        return next(talk for talk in held if talk.state == state)

    held: list[Talk] = []
    monkeypatch.setattr(guidance, "Talk", lambda customer: held.append(Talk(customer)) or held[-1])
    monkeypatch.setattr(guidance, "said", said)
    found = serve(NET, people, Guide(LIBRARY, threshold=0.0), Refining().student)
    assert all(talk.over for talk in found.talks)
    assert len(found.states) == len(found.replies) == len(found.owners) == sum(talk.turns for talk in found.talks)
    value = judged(found, Clients("test", 3, 2), Guide(LIBRARY))
    assert (value["seen"], value["unseen"]) == ([1.0] * 3, [1.0] * 2)
    assert (value["guided"], value["mistakes"]) == (1.0, 0.0)
    assert sum(value["uses"].values()) == len(found.states)
    assert value["obeyed"] < 1
    assert judged(found, Clients("test", 3, 2), Guide(LIBRARY, mark=EXAMPLE))["obeyed"] is None


def test_an_arm_of_replies_has_as_many_answers_of_the_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guidance_rounds, "said", lambda net, states, texts, mark, how: [f"r {len(s)}" for s in states])
    monkeypatch.setattr(guidance_rounds, "Frozen", type("F", (), {"of": staticmethod(lambda result: NET)}))
    visited = [Talk(one).state for one in customers(40, "train", 0)]
    first, second = ({"queries": n, "states": visited[at : at + 2], "visited": visited} for n, at in ((5, 0), (6, 2)))
    value = teacher_replies(made(None), Refining(), 0, made(first), made(second))
    assert value["queries"] == len(value["states"]) == len(set(value["states"])) == 11
    assert value["states"][:4] == list(dict.fromkeys(visited[:4]))
    assert value["entries"][0].text == f"r {len(visited[0])}"


def test_a_round_begins_with_the_library_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def serving(net: Any, people: Any, guide: Guide, how: Any) -> guidance.Served:
        seen["guide"], seen["people"] = guide, people
        states = [OPENING, "C i am locked out"]
        return guidance.Served([Talk(people[0])], states, [0, -1], ["", ""], ["old", "old"], [0, 0])

    def writing(student: Any, teacher: Any, states: Any, before: Any, how: Any, number: int, seed: int) -> Any:
        seen["states"] = states
        return guidance.Refined([Entry("C new", "say sorry")], 7, 1, 2, 1)

    monkeypatch.setattr(guidance_rounds, "Frozen", type("F", (), {"of": staticmethod(lambda result: NET)}))
    monkeypatch.setattr(guidance_rounds, "serve", serving)
    monkeypatch.setattr(guidance_rounds, "refined", writing)
    old = {"entries": [list(entry) for entry in LIBRARY]}
    value = library_round(made(None), made(None), Refining(), 1, 2, made(old))
    assert seen["guide"].entries == LIBRARY
    assert seen["people"] == customers(32, "train", 2001)
    assert seen["states"] == ["C i am locked out"]  # the other one is covered
    assert value["entries"] == [*LIBRARY, Entry("C new", "say sorry")]
    assert (value["queries"], value["mastered"], value["written"], value["rejected"]) == (7, 1, 2, 1)


def test_prompts_hold_what_was_tried_and_said() -> None:
    made = prompt("C hello", ("S", "say sorry"), ("A", "goodbye Ann"), wanted="S")
    assert made == "C hello S say sorry A goodbye Ann S"
