"""Talks, their random segments, and segmenters that do not see sentences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import EmptySource
from stagejax.data.prompts.number_words import ENGLISH
from stagejax.data.sound.resegmenting import ManualSegments, RandomSegments, head_and_tail, resegmented, split_word
from stagejax.data.sound.segmenters import Activity, ByLength, ByPauses, DivideAndConquer, Hybrid, in_samples, runs
from stagejax.data.sound.speech import Tones
from stagejax.data.sound.spoken_segments import SpokenSegments
from stagejax.data.sound.talks import NumberTalks, NumberTexts, Sentence, german_number, number_code, spoken_numbers

TALKS = NumberTalks(Tones(limit=200), sentences=4, size=6)


def test_german_numbers_put_units_first() -> None:
    assert german_number(21)[0] == ("ein", "und", "zwanzig")
    assert german_number(16)[0] == ("sech", "zehn")
    assert [german_number(n)[0] for n in (10, 11, 12, 90)] == [("zehn",), ("elf",), ("zwölf",), ("neunzig",)]
    for number in range(10, 100):
        words, links = german_number(number)
        assert {digit for digit, _ in links} == {0, 1}
        assert all(0 <= place < len(words) for _, place in links)
    assert len({german_number(n)[0] for n in range(10, 100)}) == 90
    with pytest.raises(ValueError, match="two digits"):
        german_number(7)


def test_links_follow_the_sentence() -> None:
    words, target, links = spoken_numbers([24, 17, 30])
    pairs = {(words[i], target[j]) for i, j in links}
    assert pairs == {("two", "zwanzig"), ("four", "vier"), ("one", "zehn"), ("seven", "sieb"), ("three", "dreißig"),
                     ("zero", "dreißig")}  # fmt: skip


def test_a_talk_is_its_recordings_with_pauses_between() -> None:
    for index in range(len(TALKS)):
        talk = TALKS.talk(index)
        assert talk.signal.dtype == np.float32
        pauses = [b.begin - a.end for a, b in zip(talk.sentences[:-1], talk.sentences[1:], strict=True)]
        assert all(0.2 * 8000 - 1 <= pause <= 0.6 * 8000 + 1 for pause in pauses)
        for own in talk.sentences:
            assert own.begin == own.starts[0] < own.starts[-1] < own.end <= len(talk.signal)
            assert list(own.starts) == sorted(own.starts)
            assert len(own.words) in (4, 6)
    first, again = TALKS.talk(2), NumberTalks(Tones(limit=200), sentences=4, size=9).talk(2)
    np.testing.assert_array_equal(first.signal, again.signal)  # more talks do not change the first ones
    quiet = np.abs(first.signal[: first.sentences[0].begin])
    assert 0 < quiet.max() < 0.01


def test_talks_keep_to_their_recordings() -> None:
    with pytest.raises(EmptySource, match="speaker 0"):
        NumberTalks(Tones(limit=20), part=(5, 6, 6), size=2).talk(0)
    with pytest.raises(IndexError, match="talk 6 of 6"):
        TALKS[6]
    assert sorted(TALKS[1]) == ["sentences", "signal", "speaker"]
    with pytest.raises(IndexError, match="record 3 of 3"):
        NumberTexts(size=3)[3]
    train, test = NumberTexts(size=5), NumberTexts("test", size=5)
    assert [train[i] for i in range(5)] != [test[i] for i in range(5)]


def sentence(begin: int, words: str, target: str, links: tuple[tuple[int, int], ...], known: bool = True) -> Sentence:
    own = tuple(words.split())
    starts = tuple(begin + 10 * k if known else -1 for k in range(len(own)))
    return Sentence(begin, begin + 10 * len(own), own, starts, tuple(target.split()), links)


STRAIGHT = tuple((i, i) for i in range(3))


def test_pieces_run_from_split_to_split_with_their_text() -> None:
    a, b = sentence(0, "a b c", "A B C", STRAIGHT), sentence(50, "d e f", "D E F", STRAIGHT)
    found = [(own.begin, own.end, " ".join(own.words), " ".join(own.target)) for own in resegmented([a, b], [1, 2])]
    assert found == [(0, 10, "a", "A"), (10, 70, "b c d e", "B C D E"), (70, 80, "f", "F")]
    assert len(resegmented([a, b], [1, 2], least=11.0)) == 1


def test_no_piece_reaches_over_a_sentence_that_is_not_aligned() -> None:
    a, c = sentence(0, "a b c", "A B C", STRAIGHT), sentence(90, "g h i", "G H I", STRAIGHT)
    found = [" ".join(own.words) for own in resegmented([a, sentence(40, "d e f", "D E F", STRAIGHT, False), c],
                                                        [1, None, 1])]  # fmt: skip
    assert found == ["a", "b c", "g", "h i"]
    assert split_word(sentence(0, "a b", "A B", STRAIGHT[:2], False), np.linspace(0, 0.9, 50)) is None


def test_reordered_words_are_on_both_sides() -> None:
    two_four = sentence(0, "two four six", "vier und zwanzig sechs", ((0, 2), (1, 0), (2, 3)))
    assert head_and_tail(two_four, 1) == (("vier", "und", "zwanzig"), ("vier", "und", "zwanzig", "sechs"))
    short = sentence(0, "two four", "vier und zwanzig", ((0, 2), (1, 0)))
    assert head_and_tail(short, 1) == (("vier", "und", "zwanzig"), ())  # the same place on both sides
    assert head_and_tail(two_four, 0) == ((), two_four.target)
    unlinked = sentence(0, "a b c", "A B C", ((2, 2),))
    assert head_and_tail(unlinked, 1)[0] is None
    far = sentence(0, "a b c", "A B C D E F G H", ((0, 0), (1, 1), (1, 7), (2, 2)))
    assert head_and_tail(far, 2)[0] == ("A", "B")
    near = sentence(0, "a b c", "A B C D E F G H", ((0, 0), (1, 1), (1, 6), (2, 2)))
    assert head_and_tail(near, 2)[0] == tuple("ABCDEFG")


def test_random_segments_cover_what_is_said() -> None:
    manual, cut = ManualSegments(TALKS), RandomSegments(TALKS, least=0.0)
    for talk in range(len(TALKS)):
        whole = [word for own in manual.segments() if own.talk == talk for word in own.words]
        assert [word for own in cut.segments() if own.talk == talk for word in own.words] == whole
        for own in cut.segments():
            assert own.end > own.begin
    places = [own.begin for own in cut.segments()]
    assert len(set(places) & {own.begin for own in manual.segments()}) < len(places) / 2
    short = RandomSegments(TALKS, longest=1.5).segments()
    assert max(own.end - own.begin for own in short) <= 12_000
    assert cut.segments() != RandomSegments(TALKS, least=0.0, seed=1).segments()
    assert cut.digest() == TALKS.digest()
    assert cut.split == "train"


def test_a_number_that_is_split_is_whole_in_both_translations() -> None:
    cut = RandomSegments(TALKS, least=0.0)
    seen = set()
    for own in cut.segments():
        place = {a: k for each in TALKS.sentences_of(own.talk) for k, a in enumerate(each.starts)}
        halves = place.get(own.begin, 0) % 2, place.get(own.end, 0) % 2  # the second digit, the first digit of a number
        digits = [ENGLISH.index(word) for word in own.words]
        inner = digits[halves[0] : len(digits) - halves[1]]
        whole = [10 * a + b for a, b in zip(inner[::2], inner[1::2], strict=True)]
        before = [[10 * tens + digits[0]] for tens in range(1, 10)] if halves[0] else [[]]
        behind = [[10 * digits[-1] + units] for units in range(10)] if halves[1] else [[]]
        assert own.target in {spoken_numbers([*a, *whole, *b])[1] for a in before for b in behind}
        seen.add(halves)
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_batches_hold_whole_pairs_of_frames() -> None:
    data = SpokenSegments(source=ManualSegments(TALKS), code=number_code(), batch=2, longest=2.0, words=6)
    batch = data.take_records(np.arange(3))
    own = data.source.segments()[1]
    count = min(data.most_frames, -(-(own.end - own.begin) // 160) // 2 * 2)
    assert batch["mask"][1].sum() * 2 == count
    assert (batch["inputs"][1, count:] == batch["inputs"][1, -1, 0]).all()
    words = number_code().words
    assert [words[i - 1] for i in batch["words"][1] if i] == list(own.words)


SPEECH = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda own: np.array(own, bool))


@settings(deadline=None, max_examples=60)
@given(SPEECH, st.integers(1, 6), st.integers(7, 15))
def test_segmenters_lose_no_speech(speech: np.ndarray, least: int, most: int) -> None:
    ways = (ByPauses(least), ByLength(most), DivideAndConquer(most), Hybrid(least, most, 2), Hybrid(least, most, 2, 1))
    for way in ways:
        pieces, covered = way(speech), np.zeros(len(speech), int)
        for a, b in pieces:
            assert 0 <= a < b <= len(speech)
            assert speech[a:b].any()
            covered[a:b] += 1
        assert (covered[speech] >= 1).all()
        margin = getattr(way, "margin", 0)
        assert margin or covered.max(initial=0) <= 1
        if not isinstance(way, ByPauses):
            assert all(b - a <= most + margin for a, b in pieces)


def test_pieces_by_pauses_end_where_pauses_are_long() -> None:
    speech = np.array([1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1], bool)
    assert ByPauses(1)(speech) == runs(speech, True)
    assert ByPauses(3)(speech) == [(0, 7), (10, 11)]
    assert ByPauses(4)(speech) == [(0, 11)]


def test_the_hybrid_weighs_pauses_and_length() -> None:
    speech = np.ones(30, bool)
    assert Hybrid(5, 10, 2)(speech) == [(0, 10), (10, 20), (20, 30)]  # no pause
    speech[6:9] = False
    assert Hybrid(5, 10, 2)(speech) == [(0, 6), (9, 19), (19, 29), (29, 30)]
    assert Hybrid(5, 10, 3)(speech)[0] == (0, 10)  # too short a pause
    assert Hybrid(7, 10, 2)(speech)[0] == (0, 10)  # of which too little is behind the least length
    assert Hybrid(5, 10, 2, 1)(speech)[:2] == [(0, 6), (8, 19)]  # a margin in front
    with pytest.raises(ValueError, match="0 <= least < most"):
        Hybrid(10, 10, 2)


def test_divide_and_conquer_takes_the_longest_pause_first() -> None:
    speech = np.ones(12, bool)
    speech[[2, 6, 7]] = False
    assert DivideAndConquer(11)(speech) == [(0, 6), (8, 12)]
    assert DivideAndConquer(4)(speech) == [(0, 2), (3, 6), (8, 12)]
    assert DivideAndConquer(4)(np.zeros(5, bool)) == []


def test_activity_finds_sound_in_noise() -> None:
    rng = np.random.default_rng(0)
    signal = 0.002 * rng.standard_normal(8000)
    signal[3200:4800] += 0.1 * np.sin(np.arange(1600))
    speech = Activity()(signal)
    assert runs(speech, True) == [(20, 30)]
    assert in_samples(runs(speech, True), Activity()) == [(3200, 4800)]
    assert Activity().frames(0.3) == 15
