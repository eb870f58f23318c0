"""Linear classifiers on pieces: what words tell is found, what they do not is not."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data import Bytes
from stagejax.data.tasks.applications import made_up
from stagejax.data.tasks.word_or_text import Rows, WordOrText
from stagejax.inference.tasks.linear_answers import linear_of_pieces, words_and_neighbours


def test_a_word_is_its_pieces_beside_those_of_its_neighbours() -> None:
    tokens = np.array([[1, 9, 8, 7, 6, 2, 0]])
    ends = np.array([[0, 0, 1, 1, 1, 0, 0, 0]], np.float32)
    made = words_and_neighbours(Rows(tokens, ends.astype(np.int32), ends, np.zeros(1, np.int32)), 10).toarray()
    assert [np.flatnonzero(word).tolist() for word in made] == [[8, 9, 27], [7, 18, 19, 26], [6, 17]]


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_pieces_tell_who_a_text_is_about_and_most_tags(number: int) -> None:
    task, text = made_up()[0][number], made_up()[2]
    from stagejax.data import BPE
    from stagejax.data.vocabulary.learned import LearnedFrom

    pieces = LearnedFrom(BPE(500), text) if number == 0 else Bytes()
    how = {"tokenizer": pieces, "length": 100, "fields": task.fields, "names": task.tags, "batch": 4}
    train, held = WordOrText(sources=(task.train,), **how), WordOrText(sources=(task.dev, task.test), **how)
    assert linear_of_pieces(train, held, pieces.vocab)["accuracy"] > (0.9, 0.4)[number]
