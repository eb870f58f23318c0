"""Texts show what their prompts ask, sets are nested, and no set of skills is on both sides of the split."""

from __future__ import annotations

from itertools import combinations

import pytest

from stagejax.data.prompts import compositions
from stagejax.data.prompts.composing import composed
from stagejax.data.prompts.compositions import Compositions, compositions_tokenizer, held_out
from stagejax.data.prompts.drafts import Draw
from stagejax.data.prompts.rhetoric import NAMES, limit, marks, shown

POOL, OTHERS = tuple(range(12)), tuple(range(12, 20))


def records(source: Compositions) -> list[dict]:
    return [dict(source[i]) for i in range(len(source))]


def test_texts_have_full_marks_and_prompts_name_size_topic_and_skills() -> None:
    code = compositions_tokenizer()
    for own in records(Compositions((1, 2, 4), 5, POOL, topics=(2, 7))):
        words, asked = own["solution"].split(), own["question"].split()
        assert marks(words, own["skills"], own["topic"]).full
        assert asked == [f"size:{len(own['skills'])}", f"topic:{own['topic']}", *(NAMES[x] for x in own["skills"]), ":"]
        assert own["topic"] in (2, 7)
        assert code.decode(code.encode([own["question"]])[0]) == own["question"]


def test_sets_of_more_ks_hold_those_of_fewer() -> None:
    one, two, three = (
        {(r["question"], r["solution"]) for r in records(Compositions(ks, 6, POOL, combined="trained"))}
        for ks in ((1,), (1, 2), (1, 2, 3))
    )
    assert one < two < three
    assert len(three) == 18
    more = {(r["question"], r["solution"]) for r in records(Compositions((1,), 18, POOL, combined="trained"))}
    assert one < more


@pytest.mark.slow
def test_no_set_of_skills_is_on_both_sides_and_none_goes_missing() -> None:
    pairs = [set(own) for own in combinations(range(20), 2)]
    assert 0.15 < sum(map(held_out, pairs)) / len(pairs) < 0.35
    assert held_out((3, 7)) == held_out((7, 3))
    assert not any(held_out((skill,)) for skill in range(20))
    train, test = (
        {frozenset(r["skills"]) for r in records(Compositions((2,), 80, POOL, combined=side))}
        for side in ("trained", "held out")
    )
    assert not train & test
    assert len(train) > 30
    assert len(test) > 5


def test_texts_across_pools_have_skills_of_both() -> None:
    for own in records(Compositions((2, 3), 6, POOL, others=OTHERS)):
        assert set(own["skills"]) & set(POOL)
        assert set(own["skills"]) & set(OTHERS)


def test_pure_texts_show_nothing_but_what_is_asked_at_any_size() -> None:
    source = Compositions((0, 1), 15, (*POOL, *OTHERS), sizes=(1, 3, 5), pure=True)
    sizes = set()
    for own in records(source):
        words, size = own["solution"].split(), int(own["question"].split()[0].removeprefix("size:"))
        assert set(shown(words)) == set(own["skills"])
        assert len(words) <= limit(size)
        sizes.add(size)
    assert sizes == {1, 3, 5}


def test_what_cannot_be_drawn_or_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        Compositions((3,), 1, (0, 1))
    with pytest.raises(ValueError, match="two skills or more"):
        Compositions((1, 2), 1, POOL, combined="held out")
    with pytest.raises(ValueError, match="at least two"):
        Compositions((1, 2), 1, POOL, others=OTHERS)
    no_room = (NAMES.index("modus_ponens"), NAMES.index("contrast"))
    assert composed(Draw(0, 0), no_room, 0, attempts=100) is None
    monkeypatch.setattr(compositions, "composed", lambda *_: None)
    with pytest.raises(ValueError, match="found no text"):
        Compositions((2,), 1, no_room)[0]
