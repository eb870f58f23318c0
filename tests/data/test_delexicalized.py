"""Terms to placeholders: the longest at each place, from left to right, and none is left."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.dialogue.delexicalized import PLACEHOLDER, Delexicalized, TermMasker
from stagejax.data.dialogue.domain_terms import DomainTerms, RandomTerms
from stagejax.data.dialogue.drawn_dialogues import NOUNS, DrawnDialogues

TERMS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=6).map(tuple)


def by_expression(terms: tuple[str, ...], text: str) -> str:
    """The same by an alternation that tries long terms first."""
    if not terms:
        return text
    longest = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
    return re.sub(f"(?:{longest})+", PLACEHOLDER, text)


@settings(max_examples=80, deadline=None)
@given(TERMS, st.text("abc d", max_size=30))
def test_it_is_what_an_expression_of_all_terms_does(terms: tuple[str, ...], text: str) -> None:
    mask = TermMasker(terms)
    assert mask(text) == by_expression(terms, text)
    spans = mask.spans(text)
    assert all(text[start:end] in terms for start, end in spans)
    assert all(before <= start for (_, before), (start, _) in itertools.pairwise(spans))
    gaps = [text[a:b] for a, b in zip([0, *(e for _, e in spans)], [*(s for s, _ in spans), len(text)], strict=True)]
    assert not any(term in gap for gap in gaps for term in terms)  # nothing is left between


def test_terms_of_several_words_and_neighbours_are_one_placeholder() -> None:
    mask = TermMasker(("the wall", "the", "red"))
    assert mask("the wall is theredthe end") == "□ is □ end"
    assert TermMasker(("a",), placeholder="_")("banana") == "b_n_n_"


def test_what_cannot_be_told_from_a_placeholder_is_refused() -> None:
    for terms, placeholder in ((("",), "□"), (("a□",), "□"), (("a",), "[MASK]"), (("a",), "")):
        with pytest.raises(ValueError, match="one character, which no term holds"):
            TermMasker(terms, placeholder)
    with pytest.raises(ValueError, match="already: choose another"):
        TermMasker(("a",))("b□")


def test_dialogues_of_all_domains_are_the_same_without_their_terms() -> None:
    every = {name: DrawnDialogues(name, 60) for name in NOUNS}
    said = {}
    for name, own in every.items():
        others = tuple(other for n, other in every.items() if n != name)
        terms = DomainTerms(own, others, least=10)
        masked = Delexicalized(own, terms)
        said[name] = {turn["text"] for i in range(len(masked)) for turn in masked[i]["turns"]}
        texts = [turn["text"] for i in range(len(own)) for turn in own[i]["turns"]]
        assert not any(noun in text for text in said[name] for noun in NOUNS[name])
        assert said[name] == {TermMasker(terms.terms())(text) for text in texts}
        assert masked.of_split("test").source.split == "test"
        assert masked.digest() != Delexicalized(own, RandomTerms(terms)).digest() != own.digest()
    film, song, park = said.values()
    assert film == song == park  # a dozen ways of saying
    assert len(film) <= 14
