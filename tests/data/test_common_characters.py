"""Characters by frequency: as many tokens as characters, declared ones always known, all others one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.tokenizers import SPECIAL
from stagejax.data.vocabulary.common_characters import CommonCharacters

TOKENIZER = CommonCharacters(characters=4, declared="□\n")
CODE = TOKENIZER.train(iter(["aabbbc", "dd□", "e"]))


@settings(max_examples=30, deadline=None)
@given(st.text("abcdez□\n好é", max_size=20))
def test_any_text_has_a_token_for_each_character(text: str) -> None:
    (ids,) = CODE.encode([text])
    assert len(ids) == len(text)
    assert ((ids >= SPECIAL) & (ids < TOKENIZER.vocab)).all()
    known = set("abcd□\n")
    assert CODE.decode(ids) == "".join(c if c in known else "\N{REPLACEMENT CHARACTER}" for c in text)
    assert CODE.decode([0, 1, *ids, 2, 3]) == CODE.decode(ids)


def test_ids_are_declared_then_rare_then_by_frequency() -> None:
    assert [int(ids[0]) - SPECIAL for ids in CODE.encode(list("□\nzbadce"))] == [0, 1, 2, 3, 4, 5, 6, 2]
    few = CommonCharacters(characters=9).train(iter(["ab"]))  # fewer characters than ids
    assert few.decode([SPECIAL + 1, SPECIAL + 2, SPECIAL + 8]) == "ab\N{REPLACEMENT CHARACTER}"
    assert CODE.digest() != few.digest()
    begun = CommonCharacters(characters=9, train_characters=3).train(iter(["ab", "cd", "ee"]))
    assert begun.decode(begun.encode(["abcde"])[0]) == "abcd\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("fields", [{"declared": "aa"}, {"rare": "ab"}, {"declared": "x", "rare": "x"}, {"rare": ""}])
def test_what_is_not_one_character_each_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="each character once"):
        CommonCharacters(characters=3, **fields)
