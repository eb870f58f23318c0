"""Utterances: of one speaker, said as they are labelled, from clips of their part alone, silent where nothing is."""

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data.sound.speech import Tones
from stagejax.data.sound.utterances import Speech, Utterances, _drawn, played
from stagejax.data.sources import EmptySource

CLIPS = Tones(limit=90)
SOURCE = Utterances(CLIPS, (0, 2), words=(1, 3), longest=2560, size=60)


def test_an_utterance_is_of_one_speaker_and_says_its_words() -> None:
    _, words, speakers = CLIPS.clips()
    counts = set()
    for i in range(len(SOURCE)):
        record, (chosen, *_) = SOURCE[i], _drawn(SOURCE, i)
        assert set(speakers[chosen]) == {record["speaker"]} <= {0, 2}
        np.testing.assert_array_equal(words[chosen], record["words"])
        assert len(record["frames"]) <= SOURCE.most_frames
        counts.add(len(record["words"]))
    assert counts == {1, 2, 3}
    assert [own.tolist() for own in SOURCE.said()] == [SOURCE[i]["words"].tolist() for i in range(len(SOURCE))]


def test_parts_share_no_clip() -> None:
    halves = [replace(SOURCE, part=(k, 2)) for k in (0, 1)]
    first, second = ({int(c) for i in range(60) for c in _drawn(half, i)[0]} for half in halves)
    assert not first & second
    assert len(first) > 10


def test_a_speed_changes_lengths_and_not_words() -> None:
    fast = replace(SOURCE, speed=0.3)
    assert [x.tolist() for x in fast.said()] == [x.tolist() for x in SOURCE.said()]
    assert any(len(fast[i]["frames"]) != len(SOURCE[i]["frames"]) for i in range(5))
    np.testing.assert_array_equal(played(np.arange(4, dtype=np.float32), 1.0), np.arange(4))


def test_batches_are_silent_behind_an_utterance() -> None:
    data = Speech(source=SOURCE, batch=4)
    batch, record = data.take_records(np.arange(4)), SOURCE[2]
    length, words = len(record["frames"]), record["words"]
    assert batch["real"][2].sum() == length
    np.testing.assert_array_equal(batch["frames"][2, :length], record["frames"])
    np.testing.assert_allclose(batch["frames"][2, length:], (np.log(1e-4) + 4) / 4, rtol=1e-6)
    assert batch["words"][2].tolist() == [*(words + 1), *[0] * (3 - len(words))]
    assert data.take(np.arange(4))["frames"].dtype == np.float32


def test_a_speaker_without_clips_is_an_error() -> None:
    with pytest.raises(EmptySource, match="speaker 7"):
        replace(SOURCE, speakers=(7,))[0]
