"""Videos of procedures: what is said happens in the frames, and batches give away no guideline."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from stagejax.data.tokenizers import MASK, SEP
from stagejax.data.video.guided_clips import GuidedClips, Summaries, captioned, row_of, summarized, written
from stagejax.data.video.guidelines import ADD, BOX, DIM, MOVE, PAINT, REMOVE, TAKE, numbered
from stagejax.data.video.procedure_frames import ProcedureFrames, labels_at
from stagejax.data.video.procedure_videos import ProcedureVideos, _placed, toy

CLEAR = toy(40, noise=0.0, away=0.0, varied=0.0)


def with_operation(operation: int) -> tuple[dict, int]:
    """A record in which it is done, and the number of the step."""
    for at in range(len(CLEAR)):
        own = CLEAR.tasks[at // CLEAR.videos].operations
        if operation in own:
            return CLEAR[at], own.index(operation)
    raise AssertionError(operation)


def before_and_after(operation: int) -> tuple[np.ndarray, np.ndarray]:
    record, at = with_operation(operation)
    start, end = record["bounds"][at]
    return record["video"][start - 1].astype(float), record["video"][end - 1].astype(float)


def test_records_are_addressed_and_splits_are_apart() -> None:
    source = toy(4)
    assert np.array_equal(source[5]["video"], toy(4)[5]["video"])
    record = source[5]
    assert {name: record[name] for name in source.told(5)} == source.told(5)
    test = source.of_split("test")
    assert not {task.operations for task in source.tasks} & {task.operations for task in test.tasks}
    assert not np.array_equal(test[5]["video"], record["video"])


def test_bounds_follow_each_other_within_what_is_shown() -> None:
    for at in range(0, len(CLEAR), 7):
        record = CLEAR[at]
        bounds = record["bounds"]
        assert len(bounds) == len(record["steps"]) == len(record["links"])
        assert bounds[0][0] == 0
        assert all(1 < end - start < 4 for start, end in bounds)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(bounds))
        assert bounds[-1][1] <= record["shown"] <= CLEAR.frames
        assert not record["video"][record["shown"] :].any()


def test_what_is_said_is_seen() -> None:
    record, _ = with_operation(TAKE)
    first, taken = record["video"][0].astype(float), record["video"][record["bounds"][0][1] - 1].astype(float)
    assert 0 < first.sum() < taken.sum()
    before, after = before_and_after(PAINT)
    assert np.allclose(before[..., 0], before[..., 1], atol=1)  # grey
    assert not np.allclose(after[..., 0], after[..., 2], atol=9)
    before, after = before_and_after(DIM)
    assert after.sum() < before.sum()
    for operation in (ADD, BOX):
        before, after = before_and_after(operation)
        assert after.sum() > before.sum()
    before, after = before_and_after(MOVE)
    places = [np.argwhere(frame.sum(-1) > 99).mean(0) for frame in (before, after)]
    assert np.abs(places[0] - places[1]).max() > 2


def test_an_image_is_turned_about_its_middle() -> None:
    image = np.random.default_rng(0).random((5, 5)).astype(np.float32)
    middles = np.array([[4.0, 4.0]] * 3)
    whole, turned, small = _placed(image, 9, middles, np.array([0.0, 90.0, 0.0]), np.array([1.0, 1.0, 0.5]))
    np.testing.assert_allclose(whole[2:7, 2:7], image, atol=1e-6)
    assert whole.sum() == pytest.approx(image.sum(), rel=1e-5)
    assert any(np.allclose(turned[2:7, 2:7], np.rot90(image, k), atol=1e-4) for k in (1, 3))
    np.testing.assert_allclose(small[3:6, 3:6], image[::2, ::2], atol=1e-6)


def test_cameras_look_away_as_often_as_declared() -> None:
    source = replace(CLEAR, away=0.5)
    frames = np.concatenate([source[at]["video"][: source[at]["shown"]] for at in range(12)])
    grey = (frames == 128).all((1, 2, 3)) | (frames == 127).all((1, 2, 3))
    assert 0.35 < grey.mean() < 0.65


def test_what_does_not_fit_is_refused() -> None:
    for fields in ({"side": 9}, {"frames": 17}, {"split": "dev"}):
        with pytest.raises(ValueError, match=r"side|frames|split"):
            toy(4, **fields)
    with pytest.raises(IndexError):
        CLEAR[len(CLEAR)]


def clips(guide: str) -> GuidedClips:
    return GuidedClips(source=toy(6), batch=5, guide=guide)


def test_without_a_guideline_nothing_of_the_task_is_seen() -> None:
    numbers = np.arange(5)
    plain, gold, other = (clips(guide).take(numbers) for guide in ("none", "gold", "other"))
    source, words = toy(6), toy(6).words
    frames = source.frames
    assert set(np.unique(plain["rows"]).tolist()) <= {0, MASK}
    assert not plain["rows"][..., frames:].any()
    for name in ("inputs", "tokens", "targets", "weights"):
        assert np.array_equal(plain[name], gold[name])
        assert np.array_equal(plain[name], other[name])
    for row, record in enumerate(clips("gold").records(numbers)):
        told = source.told(int(record))
        beside = [words.decode(batch["rows"][row, 0, frames:]) for batch in (gold, other)]
        assert beside[0] == numbered(told["guideline"])
        assert beside[1] != beside[0]
        assert beside[1] in [numbered(task.guideline) for task in source.tasks]
        assert words.decode(gold["targets"][row]) == numbered(told["steps"])
        assert (gold["rows"][row, 0, :frames] == MASK).sum() == told["shown"]
    spec = clips("none").sample_spec()
    assert all(plain[name].shape[1:] == leaf.shape and plain[name].dtype == leaf.dtype for name, leaf in spec.items())


def test_summaries_show_different_videos_of_one_task() -> None:
    source = toy(6)
    data = Summaries(source=source, batch=6)
    batch = data.take(np.arange(24))
    counts = (batch["rows"] > 0).any(-1).sum(1)
    assert set(counts.tolist()) <= {1, 2, 4, 8}
    assert len(set(counts.tolist())) > 1
    for row, task in enumerate(data.records(np.arange(24)).tolist()):
        assert source.words.decode(batch["targets"][row]) == numbered(source.tasks[task].guideline)
        own = [source[task * 8 + k]["video"] for k in range(8)]
        videos = batch["inputs"][row][: counts[row]]
        shown = [next(k for k in range(8) if np.array_equal(own[k], video)) for video in videos]
        assert len(set(shown)) == counts[row]
        assert not batch["inputs"][row][counts[row] :].any()


def test_by_text_there_are_no_frames() -> None:
    data = Summaries(source=toy(6), batch=6, route="text")
    batch, spec = data.take(np.arange(6)), data.sample_spec()
    assert batch["inputs"].shape == (6, 8, 0, 16, 16, 3)
    assert all(batch[name].shape[1:] == leaf.shape for name, leaf in spec.items())
    source = toy(6)
    task = int(data.records(np.arange(1))[0])
    said = {numbered(source.told(task * 8 + k)["steps"]) for k in range(8)}
    assert source.words.decode(batch["rows"][0, 0]) in said
    with pytest.raises(ValueError, match="counts"):
        Summaries(source=toy(6), batch=6, counts=(9,))


def test_rows_and_lists_have_their_places() -> None:
    words = toy(2).words
    row = row_of(words, 1, 3, "take two", 1)
    assert row[:3].tolist() == [MASK, 0, 0]
    assert words.decode(row[3:]) == "take"
    tokens, targets, weights = written(words, "take two", 4)
    assert tokens[0] == targets[2] == SEP
    assert np.array_equal(tokens[1:3], targets[:2])
    assert weights.tolist() == [1, 1, 1, 0]
    with pytest.raises(ValueError, match="raise `length`"):
        written(words, "take two", 2)
    source: ProcedureVideos = toy(2)
    assert captioned(source, [0, 9], ["", "take"], 4)["rows"].shape == (2, 1, source.frames + 4)
    assert summarized(source, [[0], [8, 9]], None, 3, 4)["rows"].any(-1).tolist() == [[1, 0, 0], [1, 1, 0]]


def test_single_frames_have_the_labels_of_their_time() -> None:
    source = toy(6)
    data = ProcedureFrames(source=source, batch=6)
    batch = data.take(np.arange(12))
    spec = data.sample_spec()
    assert all(batch[name].shape[1:] == leaf.shape and batch[name].dtype == leaf.dtype for name, leaf in spec.items())
    assert all(batch[name].min() >= 0 and batch[name].max() < size for name, size in data.classes.items())
    record = CLEAR.told(3)
    for at, (start, end) in enumerate(record["bounds"]):
        for frame in range(start, end):
            assert labels_at(record, frame)["step"] == 1 + record["operations"][at]
    first, last = labels_at(record, 0), labels_at(record, record["shown"] - 1)
    assert (first["color"], first["second"]) == (0, 0)
    assert last["color"] == (1 + record["color"]) * (PAINT in record["operations"])
    record, at = with_operation(REMOVE)
    end = record["bounds"][at][1]
    assert labels_at(record, end - 2)["second"] == 1 + record["second"]
    assert labels_at(record, end - 1)["second"] == 0
