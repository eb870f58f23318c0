"""Budgets: a stage within a budget costs what the budget is, to half a step."""

from __future__ import annotations

from dataclasses import replace

import pytest
from spine import go, stage
from toy import Toy

from stagejax import budget
from stagejax.budget import flops, step_flops, within
from stagejax.ledger import Cost
from stagejax.result import Result


def test_a_stage_within_a_budget_costs_that(tmp_path):
    small, large = stage("small", steps=6), stage("large", model=Toy(embed=12))
    first = go(tmp_path, lambda run: run.train(small))
    assert flops(first) == 6 * step_flops(small)
    rival = within(large, flops(first))
    assert rival.steps < 6
    assert abs(rival.steps * step_flops(large) - flops(first)) <= step_flops(large) / 2
    assert (rival.name, rival.model) == (large.name, large.model)
    assert within(large, 0.0).steps == 1
    assert within(large, flops(first), at_least=50).steps == 50


def test_costs_of_several_results_add_up():
    results = [Result(name, "make", name, 0, cost=Cost(flops=x, eval_flops=9)) for name, x in (("a", 2.0), ("b", 3))]
    assert flops(*results) == 5
    assert flops() == 0


def test_a_program_is_priced_once(monkeypatch: pytest.MonkeyPatch):
    one = stage("one", model=Toy(embed=20))  # a program of no other test
    price = step_flops(one)
    monkeypatch.setattr(budget, "build", None)
    assert step_flops(replace(one, name="two", seed=3)) == price
