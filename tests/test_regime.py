"""Regimes: epochs become updates, adaptation stretches every border, rates follow the rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagejax.regime import Regime, linear_rule, square_root_rule

PUBLISHED = Regime(rates=(0.1, 0.01, 0.001, 0.0001), ends=(81, 122, 164, 200))


def test_phases_in_updates() -> None:
    phases = PUBLISHED.phases(rows=50_000, batch=128)
    assert [rate for _, rate in phases] == [0.1, 0.01, 0.001, 0.0001]
    ends = [round(end * 50_000 / 128) for end in PUBLISHED.ends]
    assert [sum(updates for updates, _ in phases[: i + 1]) for i in range(4)] == ends
    assert PUBLISHED.updates(50_000, 128) == ends[-1]


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(100, 60_000), st.integers(1, 9), st.integers(1, 6)
)
def test_adaptation_keeps_the_updates_of_every_phase(lengths: list[int], rows: int, batch: int, power: int) -> None:
    ends = tuple(sum(lengths[: i + 1]) for i in range(len(lengths)))
    regime, times = Regime((0.1,) * len(ends), ends), 2**power
    assert regime.stretched(times).phases(rows, times * batch) == regime.phases(rows, batch)


def test_without_adaptation_the_updates_shrink_with_the_batch() -> None:
    assert PUBLISHED.updates(50_000, 2048) * 2048 == pytest.approx(PUBLISHED.updates(50_000, 128) * 128, rel=1e-3)


def test_rules_and_scaling() -> None:
    assert square_root_rule(2048, 128) == 4
    assert linear_rule(2048, 128) == 16
    assert PUBLISHED.scaled(4.0).rates == pytest.approx((0.4, 0.04, 0.004, 0.0004))
    assert PUBLISHED.scaled(4.0).ends == PUBLISHED.ends


@pytest.mark.parametrize(("rates", "ends"), [((), ()), ((0.1,), (1, 2)), ((0.1, 0.0), (1, 2)), ((0.1, 0.1), (2, 2))])
def test_what_is_no_regime(rates: tuple[float, ...], ends: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="give each phase a positive rate"):
        Regime(rates, ends)


def test_a_phase_without_updates_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the phases have \[2, 0\] updates"):
        Regime((0.1, 0.01), (2, 2.1)).phases(rows=1000, batch=1000)
