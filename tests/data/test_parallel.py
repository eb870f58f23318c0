"""Parallel texts: which are short, what stands above what, and who is asked in which words."""

import pytest

from stagejax.data.language.parallel import DrawnTranslations, Instructed, Interlinear, Short
from stagejax.data.portion import Portion

DRAWN = DrawnTranslations(40)


def test_short_records_are_short_in_every_language() -> None:
    short = Short(DRAWN, ("en", "de"), 4)
    kept = [short[i] for i in range(len(short))]
    assert kept == [DRAWN[i] for i in range(40) if len(DRAWN[i]["en"].split()) <= 4]
    longer = Short(DRAWN, ("en",), 99, more=5)
    assert len(short) + len(longer) == 40
    assert short.digest() != longer.digest()
    held = short.of_split("test")
    assert isinstance(held, Short)
    assert held.source.split == "test"


def test_lines_alternate_and_the_other_order_is_the_other_direction() -> None:
    one, other = (Interlinear(DRAWN, order) for order in (("en", "de"), ("de", "en")))
    for i in range(5):
        pair = DRAWN[i]
        assert one[i]["text"] == f"{pair['en']}\n{pair['de']}\n"
        assert other[i]["text"].splitlines() == one[i]["text"].splitlines()[::-1]
    assert one.digest() != other.digest()


def test_templates_come_in_turn() -> None:
    asked = Instructed(Portion(DRAWN, stop=7), ("de", "en"), ("A: {}\n", "B: {}\n"))
    assert [asked[i]["question"][0] for i in range(4)] == ["A", "B", "A", "B"]
    pair = asked.source[2]
    assert asked[2] == {"question": f"A: {pair['de']}\n", "solution": pair["en"]}


def test_made_up_languages_are_translations() -> None:
    for i in range(40):
        found = {name: text.replace(" .", "").split() for name, text in DRAWN[i].items()}
        assert [word[1:] for word in found["en"]] == [word[1:] for word in found["de"]]
        assert [word[1:] for word in found["en"]] == [word[1:] for word in found["fr"]][::-1]
    held = DRAWN.of_split("test")
    assert [held[i] for i in range(5)] != [DRAWN[i] for i in range(5)]
    with pytest.raises(KeyError):
        Short(DRAWN, ("cs",), 4)[0]
