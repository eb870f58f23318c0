"""Multiple choice: the letter stands before the answer, all options are answers, positions are shuffled."""

from __future__ import annotations

import numpy as np

from stagejax.data.multimodal.choices import LETTERS, TEMPLATES, Choices, words_of
from stagejax.data.multimodal.object_scenes import KIND, TASKS, Subset, digit_areas
from stagejax.data.multimodal.triplets import Triplet

AREAS = digit_areas()
WORDS = words_of(AREAS)


def questions(task: str, free: float = 0.0) -> Choices:
    return Choices(source=Subset(Triplet("plain", "area-1", task), AREAS[1], 120), words=WORDS, batch=8, open=free)


def test_the_letter_is_that_of_the_answer_among_all_four_in_any_order() -> None:
    for task in TASKS:
        data = questions(task)
        batch, orders = data.take_records(np.arange(120)), set()
        for i, (row, at) in enumerate(zip(batch["tokens"], batch["at"], strict=True)):
            words = WORDS.decode(row[: at + 1]).split()
            assert words[: data.patches] == ["<image>"] * data.patches
            assert words[-1] == "answer"
            options = dict(zip(words[-9:-1:2], words[-8:-1:2], strict=True))
            assert tuple(options) == LETTERS
            assert sorted(options.values()) == sorted(data.source.answers)
            assert options[WORDS.decode([batch["label"][i]])] == data.source.answers[i % 4]
            assert " ".join(words[data.patches : -9]) in TEMPLATES[task]
            orders.add(tuple(options.values()))
        assert len(orders) > 18  # of 24
        letters = np.unique(batch["label"], return_counts=True)[1]
        assert len(letters) == 4
        assert letters.min() > 15
        assert not batch["open"].any()


def test_open_questions_are_answered_by_the_word() -> None:
    batch = questions(KIND, 0.5).take_records(np.arange(120))
    assert 40 < batch["open"].sum() < 80
    for row, at, label, free, i in zip(*(batch[n] for n in ("tokens", "at", "label", "open")), range(120), strict=True):
        said, words = WORDS.decode([label]), WORDS.decode(row[: at + 1]).split()
        assert (said == AREAS[1].answers(KIND)[i % 4]) == bool(free) == ("A" not in words)


def test_questions_name_neither_modality_nor_area() -> None:
    asked = {word for texts in TEMPLATES.values() for text in texts for word in text.split()}
    assert not asked & {"plain", "inverted", "edges", "noisy", "spokes", *(area.name for area in AREAS)}
    assert all(len(set(texts)) == 6 for texts in TEMPLATES.values())


def test_a_caption_tells_the_answer_in_front_of_the_question() -> None:
    data = Choices(source=questions(KIND).source, words=WORDS, batch=8, open=0.3, told=0.3)
    rows = data.take_records(np.arange(120))
    told = [WORDS.decode(row).split()[data.patches] for row in rows["tokens"]]
    captioned = [word == AREAS[1].answers(KIND)[i % 4] for i, word in enumerate(told)]
    assert 20 < sum(captioned) < 60
    assert not (rows["open"].astype(bool) & captioned).any()
    assert rows["tokens"].shape[1] == questions(KIND).length + 1
