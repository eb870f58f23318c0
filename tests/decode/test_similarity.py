"""Reading a similarity matrix: runs, spaces, marks, ties, and what an edit is."""

import numpy as np
import pytest

from stagejax.decode.similarity import SPACE, UNSURE, errors, read, similarity


def drawn(columns: int, *runs: tuple[int, int, int, float]) -> np.ndarray:
    """A matrix of three symbols with runs (symbol, left, right, score)."""
    symbol, left, right, score = (np.array(column) for column in zip(*runs, strict=True))
    return similarity(symbol, left, right, score.astype(float), (3, columns))


def test_the_highest_score_of_a_column_counts_and_low_ones_do_not() -> None:
    matrix = drawn(6, (0, 0, 4, 0.7), (0, 2, 6, 0.9), (1, 0, 6, 0.4))
    assert matrix[0].tolist() == [0.7, 0.7, 0.9, 0.9, 0.9, 0.9]
    assert not matrix[1:].any()


@pytest.mark.parametrize(("length", "said"), [(3, []), (4, [1])])
def test_a_run_is_a_symbol_from_more_than_its_columns_behind_the_first(length: int, said: list[int]) -> None:
    assert read(drawn(20, (1, 5, 5 + length, 0.8)), run=2, gap=30) == said


def test_a_symbol_that_follows_itself_is_read_twice_if_its_scores_differ() -> None:
    assert read(drawn(12, (2, 0, 6, 0.8), (2, 6, 12, 0.9)), run=2, gap=30) == [2, 2]
    assert read(drawn(12, (2, 0, 6, 0.8), (2, 6, 12, 0.8)), run=2, gap=30) == [2]


def test_the_surer_symbol_is_read_where_two_overlap_and_none_where_they_tie() -> None:
    assert read(drawn(12, (0, 0, 8, 0.9), (1, 4, 12, 0.8)), run=2, gap=30) == [0, 1]
    assert read(drawn(8, (0, 0, 8, 0.9), (1, 0, 8, 0.8)), run=2, gap=30) == [0]
    assert read(drawn(8, (0, 0, 8, 0.9), (1, 0, 8, 0.9)), run=2, gap=30) == []


def test_empty_columns_are_a_space_between_symbols_only() -> None:
    matrix = drawn(40, (0, 4, 9, 0.9), (1, 15, 20, 0.9), (2, 21, 26, 0.9))
    assert read(matrix, run=2, gap=5) == [0, SPACE, 1, 2]


def test_what_is_not_sure_is_marked_and_the_mark_is_an_error_until_it_is_taken_off() -> None:
    said = read(drawn(12, (0, 0, 6, 0.9), (1, 6, 12, 0.5)), run=2, gap=30, sure=0.6)
    assert said == [0, UNSURE]
    assert errors(said, [0, 1]) == {"edits": 1, "unsure": 1, "symbols": 2}
    assert errors([SPACE, 0, SPACE, 1, 1], [0, 1]) == {"edits": 1, "unsure": 0, "symbols": 2}
