"""Spoken words: frames, lengths and words belong together; sound comes back; batches hold no word."""

import numpy as np

from stagejax.data.joined import Row, join
from stagejax.data.sound.speech import MEL, Clips, Tones, frames_of, padded, sound_of

SOURCE = Tones(limit=60)


def test_words_can_be_told_and_splits_differ() -> None:
    records = [SOURCE[i] for i in range(60)]
    first = np.stack([record["image"][0, :, 0] for record in records])
    for record in records:
        nearest = np.abs(first - record["image"][0, :, 0]).sum(1).argsort()[1]
        assert records[nearest]["label"] % 4 == record["label"] % 4  # what the first tone tells
        silent = record["image"][record["length"] :]
        np.testing.assert_allclose(silent, silent.min() if silent.size else 0)
    assert not np.array_equal(Tones("test", limit=60)[0]["image"], SOURCE[0]["image"])


def test_sound_comes_back() -> None:
    signal = SOURCE.clips()[0][3]
    frames = frames_of(signal)
    assert frames.shape == (MEL.frames(len(signal)), 32)
    loud = frames > frames.max() - 1.2
    assert np.abs(frames_of(sound_of(frames)) - frames)[loud].mean() < 0.3
    assert np.abs(frames - padded(frames[:0], len(frames)))[loud].mean() > 2


def test_batches_are_records_with_what_was_made_for_them() -> None:
    class Made:
        fingerprint, value = "a", {"number": np.arange(60)}

    data = join(Clips(source=SOURCE, batch=8), Made, Row("number", dtype="int64"))
    batch = data.take(np.arange(8))
    assert set(batch) == {"frames", "real", "number"}
    for row, number in enumerate(batch["number"]):
        np.testing.assert_array_equal(batch["frames"][row], SOURCE[int(number)]["image"][..., 0])
        assert batch["real"][row].sum() == SOURCE[int(number)]["length"]
