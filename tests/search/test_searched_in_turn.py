"""Numbers chosen in turn: what was tried before counts, further ones are tried, and all is spent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from stagejax.search.in_turn import InTurn


def test_a_second_search_of_one_thing_keeps_the_best_of_the_first() -> None:
    def score(way: str, own: dict[str, float]) -> Any:
        return SimpleNamespace(value=-abs(own["a"] - 2) - own["b"])

    found = InTurn(score)
    first = found.search("x", "way", {"b": 0.0}, "a", (1.0, 2.0, 4.0))
    assert first == {"a": 2.0, "b": 0.0}
    assert found.search("x", "way", first, "b", (1.0, 2.0)) == first  # none of these is better than 0
    assert [own["b"] for own, _ in found.tried["x"]] == [0.0, 0.0, 0.0, 1.0, 2.0, 0.5, 0.25]
    assert len(found.spent("x")) == 7


def test_a_plan_takes_the_first_and_goes_no_further() -> None:
    found = InTurn(lambda way, own: SimpleNamespace(value=None))
    assert found.search("x", "way", {}, "a", (1.0, 2.0), also=[{"a": 3.0}]) == {"a": 3.0}
    assert [own["a"] for own, _ in found.tried["x"]] == [3.0, 1.0, 2.0]
