"""Phrases, signed videos and their batches against their own statements."""

import numpy as np
import pytest

from stagejax.data.language.phrases import FUNCTION, DrawnCaptions, Phrases
from stagejax.data.language.restoring import Masking, Restored
from stagejax.data.tokenizers import MASK, SEP
from stagejax.data.video.sign_clips import Distortion, SignClips, features_of
from stagejax.data.video.signing import DrawnLetters, Signed, sign_order
from stagejax.data.vocabulary.common_words import CommonWords

PHRASES = Phrases(DrawnCaptions(120), 20)
SIGNED = Signed(PHRASES, DrawnLetters(24), size=12, side=9)


def test_a_phrase_is_the_longest_run_and_ends_in_content() -> None:
    assert PHRASES.phrase("Nobody saw a red dog walking in the. A man") == "a red dog walking"
    assert PHRASES.phrase("a red unknown dog") is None
    assert all(PHRASES[i]["text"].split()[-1] not in FUNCTION for i in range(len(PHRASES)))
    limited = Phrases(DrawnCaptions(120), 20, limit=5)
    assert len(limited) == 5
    assert [limited[i] for i in range(5)] == [PHRASES[i] for i in range(5)]
    assert len(limited.of_split("test")) == len(PHRASES.of_split("test"))


def test_a_video_is_letters_with_blends_between() -> None:
    record = SIGNED[0]
    words = sign_order(record["text"].split())
    assert record["signs"] == tuple(SIGNED.lexicon[word] for word in words)
    assert len(set(SIGNED.lexicon.values())) == len(SIGNED.lexicon)
    video = record["video"][..., 0].astype(float)
    assert len(video) == 4 * len(words) - 1
    for k in range(3, len(video), 4):
        np.testing.assert_allclose(video[k], (video[k - 1] + video[k + 1]) / 2, atol=1)
    ink = video.reshape(len(video), -1).sum(1)
    assert ink[0] == ink[1] == ink[2] > 0  # a letter drifts within the frame


def test_order_is_not_that_of_the_words() -> None:
    assert sign_order(["a", "red", "dog", "jumping", "in", "the", "street"]) == ("street", "red", "dog", "jumping")
    assert sign_order(["a", "man", "dressed", "in", "blue", "outside"]) == ("outside", "man", "blue", "dressed")


def test_too_few_letters() -> None:
    with pytest.raises(ValueError, match="lower `words`"):
        _ = Signed(PHRASES, DrawnLetters(3), size=12, side=9).lexicon


def test_masks_are_the_last_words_or_random_ones() -> None:
    ids, words = np.arange(10, 18, dtype=np.int32), np.random.default_rng(0).integers(0, 2**63, 9).astype(np.uint64)
    last, random = (Masking(0.9, last)(ids, words) == MASK for last in (True, False))
    assert last.sum() == random.sum() == np.ceil(0.9 * words[0] / 2.0**64 * 8)
    assert last[-last.sum() :].all()
    assert not np.array_equal(last, random)


def test_clips_repeat_their_ends_and_say_which_features_count() -> None:
    texts = Restored(source=SIGNED, tokenizer=CommonWords(20), learned_from=PHRASES, batch=4, length=9)
    data = SignClips(texts=texts, frames=32, pad=4, kernels=(3, 3), pixels=12)
    batch, numbers = data.take(np.arange(4)), data.records(np.arange(4))
    for row, record in enumerate(numbers):
        video = SIGNED[int(record)]["video"].astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(batch["inputs"][row, :5], np.repeat(video[:1], 5, axis=0))
        np.testing.assert_array_equal(batch["inputs"][row, 4 : 4 + len(video)], video)
        np.testing.assert_array_equal(batch["inputs"][row, 4 + len(video) :], np.repeat(video[-1:], 28 - len(video), 0))
        assert batch["mask"][row].sum() == features_of(-(-len(video) // 4) * 4 + 8, (3, 3))
        end = int(batch["text_mask"][row].sum()) - 1
        assert batch["text"][row, end] == SEP
        assert texts.code.decode(batch["targets"][row]) == SIGNED[int(record)]["text"]
        assert batch["tokens"][row, 1 : end + 1].tolist() == batch["targets"][row, :end].tolist()
    short = SignClips(texts=texts, frames=16, pad=4, kernels=(3, 3), pixels=12)
    assert short.take(np.arange(2))["inputs"].shape == (2, 16, 12, 12, 1)


def test_distortion_by_nothing_is_nothing_and_a_quarter_turn_turns() -> None:
    frames = np.random.default_rng(0).random((2, 5, 5, 1), np.float32)
    np.testing.assert_array_equal(Distortion()(frames, np.full(7, 0.9)), frames)
    turned = Distortion(angle=90.0)(frames, np.array([0.0, 0.9, 0.9, 1.0, 0, 0, 0]))
    rotated = np.rot90(frames, axes=(1, 2))
    assert min(np.abs(turned - r).max() for r in (rotated, np.rot90(frames, -1, (1, 2)))) < 1e-5
    moved = Distortion()(frames, np.array([0.9, 0.9, 0.0, 0, 0, 1.0, 0.5]))
    np.testing.assert_allclose(moved[:, 1:], frames[:, :-1], atol=1e-6)
