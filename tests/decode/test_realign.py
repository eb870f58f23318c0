"""Words cut to sentences by the least edits."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.decode.edits import edit_distance
from stagejax.decode.realign import realigned

WORDS = st.lists(st.sampled_from("abc"), max_size=7)


@settings(deadline=None, max_examples=80)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_no_other_cut_has_fewer_edits(said: list[str], wanted: list[list[str]]) -> None:
    parts = realigned(said, wanted)
    assert [word for part in parts for word in part] == said
    assert len(parts) == len(wanted)
    whole = edit_distance(said, [word for own in wanted for word in own])
    assert sum(edit_distance(a, b) for a, b in zip(parts, wanted, strict=True)) == whole


def test_other_cuts_of_the_same_words_score_the_same() -> None:
    wanted = [["a", "b"], ["c"], ["d", "e"]]
    assert realigned(list("abcde"), wanted) == wanted
    assert realigned(list("abde"), wanted) == [["a", "b"], [], ["d", "e"]]
    assert realigned(list("abxcde"), wanted)[0] == ["a", "b", "x"]
