"""Remarks: labels follow what is written, heard and shown; errors and flips have their rates; splits share nothing."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from stagejax.data.multimodal.feedback import SPLITS, Remarks, toy
from stagejax.data.selection.pools import images_of, mel_energies, own_rows, sentences_of
from stagejax.data.sound.sounds import Recording, Whistles
from stagejax.data.sources import EmptySource

ROWS = np.arange(60)


def test_records_are_functions_of_their_index() -> None:
    source, batch = toy(), toy().take(ROWS)
    for name, leaf in source[7].items():
        np.testing.assert_array_equal(leaf, batch[name][7])
    spec = Remarks(source=source, batch=4).spec()
    assert {name: (4, *leaf.shape[1:]) for name, leaf in batch.items()} == {n: leaf.shape for n, leaf in spec.items()}
    with pytest.raises(IndexError, match="record 64 of 64"):
        source[64]


def test_procedural_is_the_way_of_the_thing_and_its_pictures_say_nothing_without_order() -> None:
    source = toy(size=200)
    video, labels = source.take(np.arange(200))["video"][..., 0], source.true_labels(np.arange(200))
    columns = (video.sum(2) * np.arange(video.shape[-1])).sum(-1) / video.sum((2, 3))
    np.testing.assert_array_equal(columns[:, -1] > columns[:, 0], labels[:, 2] == 1)
    middles = [columns[labels[:, 2] == way].mean() for way in (0, 1)]
    assert abs(middles[0] - middles[1]) < 1.0


def test_praise_is_loud_and_positive() -> None:
    source = toy(size=200)
    drawn, labels = source._drawn(np.arange(200)), source.true_labels(np.arange(200))
    np.testing.assert_array_equal(labels[:, 3] == 1, drawn["loud"] & drawn["mood"])
    level = source.take(np.arange(200))["frames"].max((1, 2))
    assert level[drawn["loud"]].mean() > level[~drawn["loud"]].mean() + 0.2


def test_visual_aid_is_what_is_named_and_seen() -> None:
    source = toy(size=100, errors=0.0)
    rows, labels, drawn = source.take(ROWS), source.true_labels(ROWS), source._drawn(ROWS)
    named = (rows["tokens"] == 6).any(1).astype(int)  # the second of the declared names
    np.testing.assert_array_equal(named, drawn["named"])
    np.testing.assert_array_equal(labels[:, 4] == 1, named == drawn["seen"])
    assert source.frequencies == pytest.approx((0.5, 0.5, 0.5, 0.25, 0.52))


def test_word_errors_have_their_rate() -> None:
    true, heard = (toy(errors=errors).take(ROWS)["tokens"] for errors in (0.0, 0.35))
    kept = [len(set(a[a > 0]) & set(b)) / len(set(a[a > 0])) for a, b in zip(true, heard, strict=True)]
    assert 0.55 < np.mean(kept) < 0.9
    few = toy(errors=0.05).take(ROWS)["tokens"]
    assert (few == true).all(1).mean() > (heard == true).all(1).mean()


def test_splits_share_no_row_and_the_test_has_recordings_of_its_own() -> None:
    assert not set(own_rows("train", 500)) & set(own_rows("valid", 500))
    assert [len(own_rows(split, 500)) for split in ("train", "valid", "test")] == [450, 50, 500]
    source = toy()
    assert len(images_of(source.objects[0], "valid", 8)) < len(images_of(source.objects[0], "train", 8))
    assert all(all(source.topics.kinds(split)) for split in ("train", "valid", "test"))
    heard = {s: {row.tobytes() for row in mel_energies(source.sounds, s, source.mel)[0]} for s in SPLITS}
    assert all(heard.values())
    assert not any(heard[a] & heard[b] for a, b in itertools.combinations(SPLITS, 2))


@pytest.mark.slow
def test_only_training_labels_are_flipped_and_each_label_by_itself() -> None:
    numbers, wrong = np.arange(600), {}
    for split in SPLITS:
        source = toy(split, size=600)
        wrong[split] = source.take(numbers)["labels"] != source.true_labels(numbers)
    np.testing.assert_allclose(wrong["train"].mean(0), 0.1, atol=0.04)
    assert not wrong["valid"].any()
    assert not wrong["test"].any()
    assert abs(np.corrcoef(wrong["train"].T) - np.eye(5)).max() < 0.2


class Louder(Whistles):
    def recordings(self) -> list[Recording]:
        return [own._replace(signal=3 * own.signal) for own in super().recordings()]


def test_recordings_have_one_level() -> None:
    source = toy()
    energies, events = mel_energies(source.sounds, "train", source.mel)
    assert set(events.tolist()) == {0, 1, 2, 3}
    assert energies.shape[1:] == (source.sound_frames, source.mel.bands)
    louder = mel_energies(Louder(events=4, seconds=0.15), "train", source.mel)
    np.testing.assert_allclose(louder[0], energies, rtol=1e-3, atol=1e-5)


def test_pools_of_nothing_are_refused() -> None:
    source = toy()
    with pytest.raises(EmptySource, match="no sentence of a kind"):
        sentences_of(source.topics.source, "train", (9,), 8, "s1", "who")
    with pytest.raises(EmptySource, match="raise `limit`"):
        images_of(replace(source.objects[0], names=("",) * 10), "train", 8)
    with pytest.raises(EmptySource, match="holds no recording"):
        mel_energies(replace(source.sounds, count=0), "train", source.mel)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="the splits train, valid, test"):
        toy("dev")
    with pytest.raises(ValueError, match="lower `speeds` or `side`"):
        replace(toy(), speeds=(3,))
    with pytest.raises(ValueError, match="one for each of 2 groups"):
        replace(toy(), shares=(1.0,))
