"""Tasks and guidelines: splits share no sequence, variants stay legal, lists survive as text."""

import itertools

import numpy as np
import pytest

from stagejax.data.video.guide_records import annotations, forms, guideline_of, specific, titles
from stagejax.data.video.guidelines import (
    ABSTRACT,
    ADD,
    CONCRETE,
    MOST,
    REMOVE,
    SPLITS,
    TAKE,
    legal,
    numbered,
    sequences,
    steps_of,
    tasks,
    varied,
    vocabulary,
)
from stagejax.data.video.procedure_videos import toy


def test_splits_partition_all_legal_sequences() -> None:
    found = {split: set(sequences(split)) for split in SPLITS}
    assert all(not found[a] & found[b] for a, b in itertools.combinations(found, 2))
    every = set().union(*found.values())
    assert all(legal(own) and 3 <= len(own) <= 5 and own[0] == TAKE for own in every)
    # Of 8 operations k in any order, halves of those with ADD and REMOVE, none of those with REMOVE alone.
    wanted = sum(sum(legal((TAKE, *own)) for own in itertools.permutations(range(1, 9), k)) for k in (2, 3, 4))
    assert len(every) == wanted == 1291


def test_tasks_have_a_sequence_each_and_domains_in_turn() -> None:
    own = tasks("train", 40, ("a", "b", "c", "d"))
    assert len({task.operations for task in own}) == 40
    assert len({task.domain for task in own}) == 8
    with pytest.raises(ValueError, match="lower `count`"):
        tasks("valid", 5000, ("a", "b"))


def test_variants_stay_legal_and_are_as_frequent_as_declared() -> None:
    rng, changed = np.random.default_rng(0), 0
    for operations in sequences("valid"):
        for _ in range(5):
            done = varied(operations, 0.3, rng.random(4).tolist())
            plain = [operation for operation, _ in done]
            assert legal(plain)
            assert len(done) <= MOST
            assert {link for _, link in done} >= set(range(1, len(operations) + 1))
            changed += plain != list(operations)
            for operation, link in done:
                assert operation == operations[link - 1] if link else operation not in operations
    assert 0.2 < changed / (5 * len(sequences("valid"))) < 0.4


def test_what_was_not_added_is_not_removed() -> None:
    assert not legal((TAKE, REMOVE))
    assert legal((TAKE, ADD, REMOVE))
    for u in np.linspace(0, 0.99, 7):
        assert [op for op, _ in varied((TAKE, ADD, REMOVE), 1.0, (0.0, 0.9, u, u))][:2] != [TAKE, REMOVE]


def test_guidelines_and_videos_have_hardly_a_word_in_common() -> None:
    abstract, concrete = ({word for text in texts for word in text.split()} for texts in (ABSTRACT, CONCRETE))
    assert abstract & concrete == set()


def test_lists_are_read_back() -> None:
    steps = ["take the boot", "turn the boot"]
    assert steps_of(numbered(steps)) == steps
    assert steps_of("") == []
    assert steps_of("boot 1 2 turn") == ["boot", "turn"]
    assert numbered(["a"] * 9).count("a") == MOST
    words = vocabulary(("even",), ("two",), ("red",))
    assert len(set(words)) == len(words)
    assert {"1", "6", "even", "northwest", "red", "two", "elsewhere"} <= set(words)


def test_records_have_the_schema_and_the_three_tasks() -> None:
    source = toy(4, videos=3)
    records = annotations(source)
    assert len(records) == 4
    for number, record in enumerate(records):
        assert record["guideline_steps_num"] == len(guideline_of(record))
        assert list(record["videos"]) == [str(3 * number + k) for k in range(3)]
        for video in record["videos"]:
            own = source.told(int(video))
            assert titles(record, video) == list(own["steps"])
            assert [step["guideline_step"] for step in specific(record, video)] == list(own["links"])
    asked = forms(records[0], 1)
    assert asked["captioning"][0] == "<video>"  # no guideline, no task
    assert asked["summarization"][0].count("<video>") == 3
    assert asked["guided"][0].endswith(asked["summarization"][1])
    assert asked["guided"][1] == asked["captioning"][1]
