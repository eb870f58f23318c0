"""Moving objects: where they go, what is said of them, and that a clip depends on nothing but its number."""

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.multimodal.composites import DIGITS, Objects
from stagejax.data.video.moving import DIRECTIONS, Clips, Moving, centroids, directions_of

SOURCE = Moving((Objects(Digits(), DIGITS),), 400, side=8)


def corners(source: Moving, index: int) -> np.ndarray:
    """Row and column of an object's centroid in each frame."""
    video = source[index]["video"][..., 0]
    grid = np.mgrid[: source.size, : source.size]
    return np.stack([(grid * frame).sum((1, 2)) / frame.sum() for frame in video])


def test_an_object_moves_as_its_sentence_says_and_stays_in_the_frame() -> None:
    ink = set()
    for index in range(60):
        clip = SOURCE[index]
        assert clip["text"] == f"a {DIGITS[clip['label']]} moves {list(DIRECTIONS)[clip['direction']]}"
        steps = np.diff(corners(SOURCE, index), axis=0)
        way = np.array(list(DIRECTIONS.values())[clip["direction"]])
        speed = np.abs(steps[0]).max()
        assert speed == pytest.approx(round(speed), abs=1e-4)
        assert round(speed) in SOURCE.speeds
        np.testing.assert_allclose(steps[: SOURCE.steady], np.tile(speed * way, (SOURCE.steady, 1)), atol=1e-4)
        across = steps @ (1 - np.abs(way))
        np.testing.assert_allclose(across, 0, atol=1e-4)
        np.testing.assert_allclose(clip["video"].sum((1, 2, 3)), clip["video"][0].sum(), rtol=1e-5)  # never cut
        ink.add(round(float(clip["video"][0].sum()), 3))
    assert len(ink) > 40  # different images


def test_objects_are_reflected_by_walls() -> None:
    source = replace(SOURCE, speeds=(3,))  # 24 pixels in a way of 12: there and back again
    steps = np.stack([np.diff(corners(source, i), axis=0).sum(1) for i in range(30)])
    turned = np.sign(steps[:, 0]) != np.sign(steps[:, -1])
    assert turned.mean() > 0.8
    assert np.abs(steps).max() <= 3 + 1e-4


def test_clips_are_functions_of_their_number() -> None:
    again = Moving((Objects(Digits(), DIGITS),), 1000, side=8)
    for index in (0, 17, 399):
        np.testing.assert_array_equal(again[index]["video"], SOURCE[index]["video"])
        assert not np.array_equal(replace(SOURCE, seed=1)[index]["video"], SOURCE[index]["video"])
    with pytest.raises(IndexError):
        SOURCE[400]


def test_unseen_sentences_are_never_shown() -> None:
    seen, unseen = (replace(SOURCE, sentences=which) for which in ("seen", "unseen"))
    assert (len(seen.pairs()), len(unseen.pairs()), len(SOURCE.pairs())) == (32, 8, 40)
    shown = {(seen[i]["label"], seen[i]["direction"]) for i in range(400)}
    assert shown == set(seen.pairs())
    assert not shown & set(unseen.pairs())
    assert {direction for _, direction in unseen.pairs()} == set(range(4))


def test_flawed_clips_are_blurred_or_in_disorder() -> None:
    flawed = replace(SOURCE, flawed=1.0)
    kinds = {"blurred": 0, "disorder": 0}
    for index in range(40):
        clean, bad = SOURCE[index]["video"], flawed[index]["video"]
        assert flawed[index]["flawed"]
        same = [any(np.array_equal(frame, other) for other in clean) for frame in bad]
        assert all(same) or not any(same)
        kinds["disorder" if all(same) else "blurred"] += 1
        if not any(same):
            assert bad.max() < clean.max()
    assert min(kinds.values()) > 10
    share = np.mean([replace(SOURCE, flawed=0.25)[i]["flawed"] for i in range(400)])
    assert share == pytest.approx(0.25, abs=0.06)


def test_batches_of_clips_and_of_images() -> None:
    clips = Clips(source=SOURCE, batch=4).take(np.arange(4))
    small = Clips(source=SOURCE, batch=4, pixels=12).take(np.arange(4))
    images = Clips(source=SOURCE, batch=4, frames=1).take(np.arange(4))
    code = SOURCE.words
    assert {name: x.shape for name, x in clips.items()} == {
        name: (4, *spec.shape) for name, spec in Clips(source=SOURCE, batch=4).sample_spec().items()
    }
    assert small["video"].shape == (4, 9, 12, 12, 1)
    np.testing.assert_allclose(small["video"].mean((2, 3)), clips["video"].mean((2, 3)), rtol=1e-4)  # areas
    np.testing.assert_array_equal(images["video"][:, 0], clips["video"][:, 0])
    for row in range(4):
        label, direction = int(clips["label"][row]), int(clips["direction"][row])
        assert code.decode(clips["tokens"][row]) == SOURCE.sentence(label, direction)
        assert code.decode(images["tokens"][row]) == f"a {DIGITS[label]}"


def test_kinds_without_a_word_are_left_out() -> None:
    few = replace(SOURCE, objects=(Objects(Digits(), ("", "one", "", "three")),))
    assert few.names == ("one", "three")
    assert len(few.pairs()) == 8
    for index in range(20):
        clip = few[index]
        assert few.names[clip["label"]] in clip["text"]


def test_splits_share_no_image_and_walls_need_room() -> None:
    def seen(split: str) -> set[bytes]:
        source = replace(SOURCE, split=split, count=150)
        found = set()
        for i in range(150):
            frame = source[i]["video"][0, ..., 0]
            rows, columns = (np.flatnonzero(frame.any(axis)) for axis in (1, 0))
            found.add(frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].tobytes())
        return found

    assert not seen("train") & seen("test")
    with pytest.raises(ValueError, match="longer than the free way"):
        replace(SOURCE, side=15)


def test_a_program_sees_where_objects_go() -> None:
    batch = Clips(source=SOURCE, batch=64).take(np.arange(64))
    places = centroids(batch["video"])
    np.testing.assert_array_equal(directions_of(places), batch["direction"])
    still = np.repeat(batch["video"][:, :1], 9, axis=1)
    assert (directions_of(centroids(still)) == -1).all()
    index = int(Clips(source=SOURCE, batch=1).records(np.array([3]))[0])
    np.testing.assert_allclose(np.diff(places[3], axis=0), np.diff(corners(SOURCE, index), axis=0), atol=0.05)
