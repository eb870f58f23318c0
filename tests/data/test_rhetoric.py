"""Every skill is seen where it is shown and not where it nearly is, and marks are those of Skill-Mix."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.prompts.composing import composed
from stagejax.data.prompts.drafts import Draw
from stagejax.data.prompts.rhetoric import FAMILIES, NAMES, SKILLS, limit, marks, shown, tags
from stagejax.data.sound import lexicon
from stagejax.data.sound.lexicon import ADJECTIVES, KIND, SINGULAR, TOPICS, VERBS, grammatical, initial, rime

#: Of each skill a text that shows it, and one that does not.
EXAMPLES = {
    "alliteration": ("the bill boon bade .", "the bill boon sade ."),
    "end_rhyme": ("poons bade . goons lade .", "poons bade . goons bade ."),
    "internal_rhyme": ("the doon poon bade .", "the doon bade the poon ."),
    "framing": ("the boon sade the bock .", "the boon sade the boon ."),
    "epizeuxis": ("boons bade bade .", "boons bade . boons bade ."),
    "anaphora": ("the boon bade . the boon sade .", "the boon bade . the bock sade ."),
    "epistrophe": ("boons bade . socks bade .", "boons bade . socks sade ."),
    "anadiplosis": ("boons bade socks . the socks sade .", "boons bade socks . the sock sade ."),
    "tricolon": ("boons , a sock and the bock bade .", "boons bade socks ."),
    "question": ("did boons bade ?", "boons bade ."),
    "parenthesis": ("boons ( two socks ) bade .", "( two socks ) boons bade ."),
    "apostrophe": ("oh bill boon !", "oh bill bade !"),
    "modus_ponens": ("if boons bade then socks sade . boons bade . so socks sade .",
                     "if boons bade then socks sade . socks sade . so boons bade ."),
    "contrast": ("boons bade not socks but the bock .", "boons bade not socks ."),
    "comparison": ("boons grew more bill than a sock .", "boons grew more sade than a sock ."),
    "cause": ("boons bade because socks sade .", "boons bade because socks ."),
    "pronoun": ("the boon bade . it sade .", "the boon bade . they sade ."),
    "possession": ("boons bade their sock .", "boons bade its sock ."),
    "demonstration": ("a boon bade . socks sade that boon .", "that boon bade . socks sade a boon ."),
    "counting": ("one boon bade . two boons sade .", "two boons bade . one boon sade ."),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_skill_is_seen_where_it_is_and_not_where_it_nearly_is(name: str) -> None:
    right, wrong = (shown(text.split()) for text in EXAMPLES[name])
    number = NAMES.index(name)
    assert number in right
    assert number not in wrong
    assert grammatical(EXAMPLES[name][0].split())


def test_there_are_five_families_of_four_and_names_show_nothing() -> None:
    assert [len(own) for own in FAMILIES.values()] == [4] * 5
    assert len(set(NAMES)) == len(SKILLS) == 20
    for number, name in enumerate(NAMES):
        text = f"boons bade . {name} . socks sade .".split()
        assert number not in shown(text)
        assert not marks(text, [number], 0).sense  # a name is no word of the language
    assert not set(tags(5)) - {":"} & set(KIND)


def test_words_have_initials_rimes_and_topics_to_choose_from() -> None:
    assert len(KIND) == 24 + 24 + 2 * 72 + len(lexicon.FUNCTION)
    assert len(set(SINGULAR)) == 72
    assert not set(VERBS) & set(ADJECTIVES) | set(SINGULAR) & {*VERBS, *ADJECTIVES}
    assert set(Counter(map(initial, VERBS)).values()) == {2}
    assert {len(set(map(initial, own))) for own in TOPICS} == {6}
    assert len(set(map(rime, [*SINGULAR, *(f"{noun}s" for noun in SINGULAR)]))) == 20


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("the two boons bade .", False),  # one determiner
        ("the bill darl boon bade .", True),
        ("a boons bade .", False),  # number
        ("two boon bade .", False),
        ("boons .", False),
        ("boons bade", False),
        ("did boons bade .", False),
        ("boons bade ?", False),
        ("so boons bade . they sade it .", True),
        ("if boons bade then a sock , bocks and those mocks sade .", True),
        ("boons : bade .", False),
        ("", False),
    ],
)
def test_sense_is_a_grammar(text: str, whole: bool) -> None:
    assert grammatical(text.split()) == whole


def test_marks_are_one_a_skill_and_three() -> None:
    question, cause = NAMES.index("question"), NAMES.index("cause")
    text = f"did {TOPICS[3][0]}s bade two {TOPICS[3][1]}s because {TOPICS[4][0]}s sade ?".split()
    assert marks(text, (question, cause), 3).full
    assert not marks(text, (question, cause), 4).topic  # once only
    long = [*text, *["boons", "bade", "socks", ".", "boons", "bade", "socks", ".", "boons", "bade", "socks", "."]]
    own = marks(long, (question, cause), 3)
    assert (own.skills, own.sense, own.length, own.full, own.fraction) == ((True, True), True, False, False, 1.0)
    assert len(text) <= limit(2) < len(long)


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 19), min_size=1, max_size=5), st.integers(0, 11), st.integers(0, 1000))
def test_the_writer_shows_any_skills_at_once(skills: set[int], topic: int, seed: int) -> None:
    words = composed(Draw(seed, 0), tuple(skills), topic, attempts=50)
    if words is None:  # seldom: see the next test
        return
    assert marks(words, skills, topic).full
    assert words == composed(Draw(seed, 0), tuple(skills), topic, attempts=50)


@pytest.mark.slow
def test_nearly_all_sets_of_five_can_be_written() -> None:
    found = [composed(Draw(0, n), tuple(Draw(1, n).mixed(range(20))[:5]), n % 12, attempts=200) for n in range(40)]
    assert sum(words is not None for words in found) >= 38
    assert max(len(words) for words in found if words) <= limit(5)
    assert all(re.fullmatch("[a-z]+|[.,?!()]", word) for words in found if words for word in words)
