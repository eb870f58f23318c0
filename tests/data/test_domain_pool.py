"""A pool of domains: few dialogues of the target, dictionaries of what is trained on, forms of the same dialogues."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stagejax.data.dialogue.delexicalized import PLACEHOLDER
from stagejax.data.dialogue.domain_pool import MASKED, PLAIN, RANDOM, Domain, DomainPool
from stagejax.data.dialogue.domain_terms import turns_of
from stagejax.data.dialogue.drawn_dialogues import NOUNS, SPLITS, DrawnDialogues

DOMAINS = tuple(Domain(name, *(DrawnDialogues(name, 30, split) for split in SPLITS)) for name in NOUNS)
POOL = DomainPool(DOMAINS, "song", share=0.1, least=6)


def test_the_target_has_few_dialogues_and_a_seed_says_which() -> None:
    assert [len(POOL.dialogues(name)) for name in POOL.names] == [30, 3, 30]
    chosen = {tuple(POOL.dialogues("song")[i]["turns"][3]["text"] for i in range(3))}
    chosen |= {tuple(replace(POOL, seed=1).dialogues("song")[i]["turns"][3]["text"] for i in range(3))}
    assert len(chosen) == 2
    with pytest.raises(ValueError, match="target='news' is none of the domains film, song, park"):
        replace(POOL, target="news")


def test_dictionaries_are_of_what_is_trained_on() -> None:
    for name in POOL.names:
        terms = POOL.dictionary(name)
        assert terms.own == POOL.dialogues(name)
        assert set(terms.other) == {POOL.dialogues(other) for other in POOL.names if other != name}
    seen = "\n".join(turn["text"] for turn in turns_of(POOL.together(PLAIN)))
    assert all(term in seen for name in POOL.names for term in POOL.dictionary(name).terms())


def test_forms_are_of_the_same_dialogues() -> None:
    forms = {form: [turn["text"] for turn in turns_of(POOL.together(form))] for form in (PLAIN, MASKED, RANDOM)}
    assert {len(said) for said in forms.values()} == {63 * 7}
    assert not any(PLACEHOLDER in text for text in forms[PLAIN])
    for form in (MASKED, RANDOM):
        pairs = list(zip(forms[PLAIN], forms[form], strict=True))
        assert any(PLACEHOLDER in text for _, text in pairs)
        for plain, text in pairs:  # what is left stands there in its order
            at = 0
            for piece in text.split(PLACEHOLDER):
                assert piece in plain[at:]
                at = plain.index(piece, at) + len(piece)
    test = DOMAINS[1].test
    assert POOL.read("song", test, PLAIN) is test
    assert any(PLACEHOLDER in turn["text"] for turn in turns_of(POOL.read("film", DOMAINS[0].test, MASKED)))
