"""The edit distance is a distance."""

import functools

from hypothesis import given
from hypothesis import strategies as st

from stagejax.decode.edits import edit_distance, edit_table, word_accuracy

TEXTS = st.lists(st.sampled_from("abc"), max_size=6)


@given(TEXTS, TEXTS, TEXTS)
def test_it_is_a_metric(a: list[str], b: list[str], c: list[str]) -> None:
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, b) == edit_distance(b, a)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


@given(TEXTS, TEXTS)
def test_the_table_is_the_recursion_of_levenshtein(a: list[str], b: list[str]) -> None:
    @functools.cache
    def least(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(least(i - 1, j) + 1, least(i, j - 1) + 1, least(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    assert edit_table(a, b).tolist() == [[least(i, j) for j in range(len(b) + 1)] for i in range(len(a) + 1)]


@given(TEXTS, TEXTS)
def test_an_accuracy_is_a_share(a: list[str], b: list[str]) -> None:
    found = word_accuracy(" ".join(a), " ".join(b))
    assert 0 <= found <= 1
    assert (found == 1) == (a == b)
