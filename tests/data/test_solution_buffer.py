"""What joins the known programs: decided by states and answers, never by text."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.reasoning.solution_buffer import VERDICTS, Known, joined, states
from stagejax.data.reasoning.straight_line import NotExecutable, answer_of, state_of, traced

NUMBERS = (Fraction(2), Fraction(5), Fraction(3))
REFERENCE = Known("t0 = n0 + n1 ; t1 = t0 * n2 ; answer = t1 - n0", True)


def one(sampled: str, known: tuple[Known, ...] = (REFERENCE,), **how: object) -> tuple[tuple[Known, ...], str]:
    return joined(known, sampled, NUMBERS, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sampled", "verdict", "kept"),
    [
        ("a = n1 + n0 ; answer = a", "partial", "a = n1 + n0"),  # another name, another order, the same state
        ("a = n1 + n0 ; b = n2 * a ; answer = b", "partial", "a = n1 + n0 ; b = n2 * a"),  # the longest prefix
        ("a = n1 + n0 ; b = a - 1 ; answer = b", "partial", "a = n1 + n0"),
        ("t0 = n0 + n1 ; answer = t0", "known", None),  # the reference begins so
        ("t0 = n0 + n0 ; t1 = t0 * n2 ; answer = t1", "wrong", None),  # like the reference as text, of another state
        ("x = n0 * n0 ; t0 = n0 + n1 ; answer = t0", "wrong", None),  # that state has a value more
        ("t0 = n2 + n2 ; t1 = t0 * n2 ; answer = t1 + 1", "full", None),
        ("t1 = (n0 + n1) * n2 ; answer = t1 - n0", "full", None),
        ("a = n1 + n0 ; b = 1 ; c = a * n2 ; answer = c - n0", "too long", None),
        ("a = n1 + n0 ; answer = a +", "not executable", None),
        ("a = n1 + n0 ; answer = zz", "not executable", None),
        ("t0 = n0+n1 ; t1 = ((t0)) * n2 ; answer = t1-n0", "known", None),  # redundant parentheses and spaces
        ("", "wrong", None),
    ],
)
def test_verdicts(sampled: str, verdict: str, kept: str | None) -> None:
    known, said = one(sampled)
    assert said == verdict
    assert known[0] == REFERENCE
    if kept is not None:
        assert known[1:] == (Known(kept, False),)
    elif verdict == "full":
        assert known[1] == Known(sampled, True)
    else:
        assert known == (REFERENCE,)


def test_a_right_answer_by_other_states_opens_a_new_way() -> None:
    new = "x = n0 * n2 ; y = n1 * n2 ; z = x + y ; answer = z - n0"
    assert one(new)[1] == "too long"
    known, verdict = one(new, tolerance=1)
    assert verdict == "full"
    assert one("q = n2 * n0 ; answer = q", known)[1] == "partial"
    assert one("q = n2 * n0 ; answer = q")[1] == "wrong"


def test_a_longer_program_takes_the_place_of_its_prefix() -> None:
    known, _ = one("a = n1 + n0 ; answer = a")
    longer, verdict = one("a = n1 + n0 ; b = n2 * a ; answer = b", known)
    assert (verdict, [each.full for each in longer]) == ("partial", [True, False])
    assert longer[1].program == "a = n1 + n0 ; b = n2 * a"
    assert one("a = n1 + n0 ; answer = a", longer) == (longer, "known")
    full, verdict = one("a = n1 + n0 ; b = n2 * a ; answer = b - n0", longer)
    assert (verdict, full[1:]) == ("full", (Known("a = n1 + n0 ; b = n2 * a ; answer = b - n0", True),))


def test_names_are_no_prefix_of_longer_names() -> None:
    reference = Known("t1 = n0 + n1 ; answer = t1 * n2", True)
    known, verdict = one("t10 = n0 + n1 ; answer = t10", (reference,))
    assert verdict == "partial"
    assert known[1].program == "t10 = n0 + n1"


def test_without_partial_programs_only_answers_count() -> None:
    assert one("a = n1 + n0 ; answer = a", partial=False) == ((REFERENCE,), "wrong")
    assert one("a = n1 + n0 ; b = n2 * a ; answer = b - n0", partial=False)[1] == "full"


def test_full_programs_stand_before_partial_ones() -> None:
    known, _ = one("a = n1 + n0 ; answer = a")
    known, _ = one("t1 = (n0 + n1) * n2 ; answer = t1 - n0", known)
    assert [each.full for each in known] == [True, True, False]
    assert [each.text[-1] for each in known] == ["0", "0", ";"]


STATEMENTS = st.tuples(
    st.sampled_from(["a", "b", "answer"]), st.sampled_from(["n0", "n1", "n2", "a", "b"]), st.sampled_from("+-*"),
    st.sampled_from(["n0", "n1", "n2", "a", "b"]),
).map(lambda x: f"{x[0]} = {x[1]} {x[2]} {x[3]}")  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.lists(STATEMENTS, min_size=1, max_size=4).map(" ; ".join), max_size=8), st.integers(0, 1))
def test_whatever_is_sampled_the_known_stays_right_and_distinct(samples: list[str], tolerance: int) -> None:
    known: tuple[Known, ...] = (REFERENCE,)
    for sampled in samples:
        before, (known, verdict) = states(known, NUMBERS), one(sampled, known, tolerance=tolerance)
        assert verdict in VERDICTS
        if verdict == "partial":
            new = next(each for each in known if not each.full and sampled.startswith(each.program))
            assert traced(new.program, NUMBERS)[-1].state in before
        if verdict == "not executable":
            with pytest.raises(NotExecutable):
                traced(sampled, NUMBERS)
    codes = [tuple(step.code for step in traced(each.program, NUMBERS)) for each in known]
    assert len(set(codes)) == len(codes)
    for each, code in zip(known, codes, strict=True):
        assert each.full == (answer_of(each.program, NUMBERS) is not None)
        assert answer_of(each.program, NUMBERS) in ((19,) if each.full else (None,))
        assert each.full or not any(other[: len(code)] == code for other in codes if other is not code)
    assert states(known, NUMBERS)[state_of(NUMBERS)] == 0
