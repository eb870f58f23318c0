"""Clips of one event and two: reversed ones are the same reversed, captions tell what is heard, pairs are held out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.sound.audio import LogMel
from stagejax.data.sound.sounds import Whistles
from stagejax.data.sound.stitched import (
    AFTER,
    AND,
    BEFORE,
    WHILE,
    ExamCaptions,
    Ordered,
    Overlaid,
    Phrases,
    Several,
    Single,
    Stitched,
    decibels,
    event_pairs,
    over,
    placed,
)

MEL = LogMel(window=256, hop=200, bands=24, low=60.0, floor=1e-3)
KINDS = (Single, Several, Ordered, Overlaid)


def items(kind: type[Stitched], **fields: Any) -> Stitched:
    return kind(sources=(Whistles(), Whistles(events=3, count=4)), batch=8, mel=MEL, **fields)


def texts(data: Stitched, tokens: np.ndarray) -> list[list[str]]:
    return [[data.phrases.words.decode(row) for row in item] for item in tokens]


def test_names_of_all_sources_count() -> None:
    assert len(items(Single).phrases.names) == 9
    with pytest.raises(ValueError, match="same rate and seconds"):
        replace(items(Single), sources=(Whistles(), Whistles(seconds=0.5)))
    with pytest.raises(ValueError, match="'seen' or 'held'"):
        items(Single, pairs="all")


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_is_a_function_of_its_number(kind: type[Stitched]) -> None:
    data, some = items(kind), np.array([5, 2, 7, 100_000])
    many, few = data.take(np.arange(8)), data.take(some)
    for name, leaf in few.items():
        np.testing.assert_array_equal(leaf[:3], many[name][some[:3]])
        spec = data.sample_spec()[name]
        assert (leaf.shape[1:], leaf.dtype) == (spec.shape, spec.dtype)
    assert not np.array_equal(replace(data, seed=1).take(some)["frames"], few["frames"])


def test_what_is_reversed_is_the_same_sound_in_the_other_order() -> None:
    data = items(Ordered)
    batch = data.take(np.arange(64))
    half = batch["frames"].shape[2] // 2
    forward, back = batch["frames"].swapaxes(0, 1)
    inside = slice(0, half - 2)  # windows that do not reach over the border
    shift = forward[:, half:][:, inside] - back[:, :half][:, inside]
    loud = (forward[:, half:][:, inside] > -0.5) & (back[:, :half][:, inside] > -0.5)
    for item in range(64):
        gain = shift[item][loud[item]]
        assert gain.std() < 0.02  # equal but for how loud each row is
    assert batch["present"].all()
    wanted = {(BEFORE, 0, 1), (AFTER, 1, 0)}
    names = data.phrases.names
    met = set()
    for events, (said, reverse) in zip(batch["events"], texts(data, batch["tokens"]), strict=True):
        options = {template.format(names[events[a]], names[events[b]]): (template, a, b) for template, a, b in wanted}
        reverses = {template.format(names[events[b]], names[events[a]]): template for template, a, b in wanted}
        met.add((options[said][0], reverses[reverse]))  # a KeyError is a caption that does not tell what is heard
    assert len(met) == 4  # the word of each is drawn alone


def test_the_first_half_of_a_clip_is_its_first_event() -> None:
    data = items(Ordered)
    batch = data.take(np.arange(32))
    half = batch["frames"].shape[2] // 2
    alone: dict[int, list[np.ndarray]] = {}
    for frames, events in zip(batch["frames"][:, 0], batch["events"], strict=True):
        for k, event in enumerate(events):
            alone.setdefault(int(event) % 6 if event < 6 else int(event) - 6, []).append(frames[k * half :][: half - 2])
    peaks = {event: [part.mean(0).argmax() for part in parts] for event, parts in alone.items()}
    assert all(np.ptp(bands) <= 1 for bands in peaks.values())  # one pitch
    assert len({int(np.median(bands)) for bands in peaks.values()}) == 6


def test_events_at_a_time_are_their_own_reversal() -> None:
    data = items(Overlaid)
    batch = data.take(np.arange(32))
    assert batch["present"].tolist() == [[True, False]] * 32
    names = data.phrases.names
    for events, (said, _) in zip(batch["events"], texts(data, batch["tokens"]), strict=True):
        assert said in {WHILE.format(names[a], names[b]) for a, b in (events, events[::-1])}
    silent = (batch["frames"] < -1.5).all(-1)[:, 0].mean(1)
    assert (silent > 0.3).all()  # both in one window


def test_a_second_event_is_what_tells_the_rows_of_stage_a_apart() -> None:
    data = items(Several)
    batch = data.take(np.arange(128))
    names, heard = data.phrases.names, []
    for events, frames, (name, both) in zip(
        batch["events"], batch["frames"], texts(data, batch["tokens"]), strict=True
    ):
        assert name.endswith(names[events[0]])
        templates = {template: {template.format(names[a], names[b]) for a, b in (events, events[::-1])}
                     for template in (AND, WHILE)}  # fmt: skip
        apart = both in templates[AND]
        assert apart or both in templates[WHILE]
        silent = (frames < -1.5).all(-1).mean(1)
        assert silent[0] > 0.3
        assert (silent[1] < 0.3) == apart  # "and": in a row, "while": at a time
        heard.append(both.startswith(names[events[0]]))
    assert 0.3 < np.mean(heard) < 0.7  # captions do not tell which is first


def test_pairs_held_out_are_in_no_other_item() -> None:
    seen, held = ({tuple(pair) for pair in event_pairs(9, 0.2, which).tolist()} for which in ("seen", "held"))
    assert len(held) == 14
    assert not seen & held
    assert seen | held == {(i, j) for i in range(9) for j in range(9) if i != j}
    assert {(j, i) for i, j in held} == held
    for kind in KINDS:
        for pairs, known in (("seen", seen), ("held", held)):
            drawn = {tuple(pair) for pair in items(kind, pairs=pairs).take(np.arange(200))["events"].tolist()}
            assert drawn <= known
            assert len(drawn) > len(known) / 2


def test_held_out_recordings_are_others() -> None:
    data = items(Single)
    test = data.held_out(2)
    assert {source.split for source in test.sources} == {"test"}
    assert not np.array_equal(data.take(np.arange(4))["frames"], test.take(np.arange(4))["frames"])
    assert data.digest() == replace(data, seed=3).digest()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 0.999), min_size=2, max_size=6))
def test_windows_lie_whole_in_their_clips_and_sums_are_as_loud_as_one(draws: list[float]) -> None:
    numbers = np.arange(len(draws) * 50).reshape(len(draws), 50) % 17 + 1.0
    clips = placed(numbers, np.array(draws))
    assert clips.shape == (len(draws), 100)
    for clip, window in zip(clips, numbers, strict=True):
        np.testing.assert_array_equal(clip[clip != 0], window)
    first, second = np.sin(np.arange(4000) * 0.3), np.sin(np.arange(4000) * 0.71)
    both = over(*(np.tile(one, (len(draws), 1)) for one in (first, second)), np.array(draws))
    np.testing.assert_allclose(np.square(both).mean(1), 0.5, rtol=0.05)
    assert (np.abs(20 * np.log10(decibels(np.array(draws)))) <= 6 + 1e-9).all()


def test_captions_of_the_exam_name_first_what_they_name_first() -> None:
    phrases = Phrases(("dog bark", "rain", "rooster"), 6)
    tables = ExamCaptions(phrases)()
    say = phrases.words.decode
    assert say(tables["after"][0, 2]) == "dog bark after rooster"
    assert say(tables["followed"][1, 0]) == "rain followed by dog bark"
    assert [say(row) for row in tables["single"][:, 1]] == ["rain", "a sound of rain", "this is rain"]
    with pytest.raises(ValueError, match="raise `length`"):
        ExamCaptions(Phrases(("dog bark", "rain"), 4))()
