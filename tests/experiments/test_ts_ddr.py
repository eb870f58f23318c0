"""TS-DDR: budgets count programs, phases restart optimizers, all methods meet the same paths, nothing is infeasible."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.objective.ts_ddr import CONVEX, DDR, EXPERIMENT, FORESIGHT, HEAD, PPO, SLACK, preset, test_paths
from stagejax import Plan
from stagejax.objectives.control.dispatch import penalty_of
from stagejax.search.sddp import solves_of_iteration

test_paths.__test__ = False  # held-out paths, no test
pytestmark = pytest.mark.slow  # a smoke run of a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_sddp_solves_no_fewer_programs_than_each_learned_policy_and_hardly_more(finished: Any) -> None:
    one = solves_of_iteration(SMOKE.stages, 3, SMOKE.trials)
    assert SMOKE.solves <= SMOKE.iterations * one < SMOKE.solves + one
    results, _, _ = finished
    made = results["sddp"].value
    assert len(made["bounds"]) == SMOKE.iterations
    assert not made["failed"].any()
    np.testing.assert_array_less(np.diff(made["bounds"]), np.inf)
    assert (np.diff(made["bounds"]) > -1e-3 * made["bounds"][-1]).all()
    flops = {name: results[f"convex/{name}/0/1"].cost.flops for name in ("ts-ddr", "ts-ldr", "reinforce", "ppo")}
    assert len(set(flops.values())) == 1


def test_phases_carry_parameters_and_restart_the_optimizer(finished: Any) -> None:
    results, _, _ = finished
    rows = results["convex/ts-ddr/0/1"].handover
    assert any("carry" in row for row in rows)
    assert any("moments" in row[0] and "reset" in row for row in rows)


def test_training_lowers_the_cost_and_no_program_fails(finished: Any) -> None:
    results, _, _ = finished
    for name in ("convex/ts-ddr", "convex/ts-ldr", "convex/reinforce", "convex/ppo", "head/ts-ddr"):
        first, last = results[f"{name}/0/0"].history.evals[0], results[f"{name}/0/1"].history.evals[-1]
        assert last["cost"] < first["cost"], name
        for i in (0, 1):
            assert max(results[f"{name}/0/{i}"].history.train["failed"]) == 0
    assert max(results["convex/ts-ddr-with-slack/0/1"].history.train["failed"]) == 0


def test_ppo_takes_its_passes_and_moves_away_from_what_drew(finished: Any) -> None:
    results, _, _ = finished
    last = results["convex/ppo/0/1"]
    states = last.state()
    counts = [int(leaf) for leaf in jax.tree.leaves(states["policy"].opt_state) if leaf.ndim == 0]
    assert SMOKE.epochs * SMOKE.phases[1].steps in counts
    assert int(states["policy"].step) == int(states["value"].step) == SMOKE.phases[1].steps
    assert min(last.history.train["policy_moved"]) > 0
    assert last.history.train["value_explained"][-1] > 0


def test_simulations_are_paired_and_what_was_decided_is_done(finished: Any) -> None:
    results, _, _ = finished
    tests = {name: r.value for name, r in results.items() if name.endswith("/test")}
    for name, value in tests.items():
        assert value["costs"].shape == (SMOKE.test, SMOKE.stages), name
        assert value["violated"] == 0 or "slack" in name, name
        assert value["failed"] == 0, name
    least = tests["convex/perfect-foresight/test"]["costs"].sum(1)
    for name, value in tests.items():
        if name.startswith("convex") and "foresight" not in name:  # over the whole horizon nothing is below the bound
            assert (value["costs"].sum(1) >= least * (1 - 1e-4)).all(), name
    np.testing.assert_array_equal(test_paths(SMOKE, SMOKE.case, 4), test_paths(SMOKE, SMOKE.case, 4))


def test_the_slack_penalty_is_annealed_and_the_gradient_is_exact(finished: Any) -> None:
    results, report, _ = finished
    options = [results[f"convex/ts-ddr-with-slack/0/{i}"].stage.step.keywords["options"] for i in (0, 1)]
    found = [float(own(jnp.asarray(p))["penalty"]) for own in options for p in (0.0, 0.2, 0.9)]
    updates = sum(phase.steps for phase in SMOKE.phases)
    share = SMOKE.phases[0].steps / updates
    shares = [share * p for p in (0.0, 0.2, 0.9)] + [share + (1 - share) * p for p in (0.0, 0.2, 0.9)]
    assert found == [float(penalty_of(jnp.asarray(p))) for p in shares]
    assert found[0] == pytest.approx(0.1)
    assert found[-1] == 30
    assert results["gradient"].value["cosine"] == pytest.approx(1, abs=1e-3)
    assert results["gradient"].value["ratio"] == pytest.approx(1, abs=1e-3)
    assert len(report.claims) == 5
    assert "not tested" not in {claim.verdict for claim in report.claims}
    assert {(CONVEX, DDR), (CONVEX, SLACK), (CONVEX, PPO), (HEAD, DDR), (CONVEX, FORESIGHT)} <= {
        row[:2] for row in report.tables[0].rows
    }


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
