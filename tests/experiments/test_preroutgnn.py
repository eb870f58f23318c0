"""PreRoutGNN: the encoder passes on and learns, testing runs free from inputs alone, arms differ by what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from smoke import flat, smoke_run

from experiments.transfer.preroutgnn import (
    EXPERIMENT,
    GCN,
    NO_ENCODER,
    OURS,
    RANDOM,
    WHOLE,
    circuits,
    held_out,
    line_of_levels,
    methods,
    preset,
    r2,
    slack_r2,
)
from stagejax import Plan
from stagejax.data.circuits.circuits import Room
from stagejax.models.route_timing import RouteTiming

pytestmark = pytest.mark.slow  # a smoke run of a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_the_encoder_is_carried_and_learns_on_and_the_decoder_is_dropped(finished: Any) -> None:
    results, _, _ = finished
    before, after = flat(results["encoder/0"]), flat(results["preroutgnn/0/rate-0.01"])
    shared = {name for name in before if name.startswith("encoder/")}
    assert shared
    assert shared == {name for name in after if name.startswith("encoder/")}
    assert not any(name.startswith("decoder/") for name in after)
    assert any(not np.array_equal(before[name], after[name]) for name in shared)
    rows = results["preroutgnn/0/rate-0.01"].handover
    assert any("carry" in row for row in rows)
    assert not any(name.startswith("encoder/") for name in flat(results["no-auto-encoder/0/rate-0.01"]))


def test_all_arms_learn(finished: Any) -> None:
    results, _, _ = finished
    for name, result in results.items():
        if result.kind == "train":
            assert result.history.train["loss"][-1] < 0.5 * result.history.train["loss"][0], name


def test_free_running_looks_at_no_true_signal_but_those_of_inputs(finished: Any) -> None:
    results, _, _ = finished
    net = results["preroutgnn/0/rate-0.01"].averaged().module()
    data = held_out(SMOKE)
    graph = {name: jnp.asarray(leaf[0]) for name, leaf in data.take(np.arange(1)).items()}
    steps = [jnp.asarray(table) for table in data.schedule(SMOKE.widths)]
    said = net.free_running(graph, *steps)
    hidden = jnp.where(graph["begins"][:, None] > 0, graph["signal"], jnp.nan)
    np.testing.assert_array_equal(net.free_running(graph | {"signal": hidden}, *steps).signal, said.signal)
    np.testing.assert_allclose(said.signal, results["preroutgnn/0/rate-0.01/said"].value["signal"], atol=1e-4)
    real = np.asarray(graph["block"]) < SMOKE.scored.blocks - 1
    assert np.isfinite(np.asarray(said.signal)[real]).all()


def test_parts_hold_what_their_arms_say(finished: Any) -> None:
    arms = methods(SMOKE)
    batches = {label: circuits(SMOKE, arms[label]).take(np.arange(1)) for label in (OURS, RANDOM, WHOLE)}
    pins = {label: int(batch["weights"].sum()) for label, batch in batches.items()}
    nets = {label: int((batch["nets"][0, :, 1] < batch["pins"].shape[1]).sum()) for label, batch in batches.items()}
    assert pins[RANDOM] < pins[OURS] <= pins[WHOLE]
    assert nets[RANDOM] < nets[WHOLE] < nets[OURS]  # nets are cut; padding repeats some
    assert circuits(SMOKE, arms[GCN]) == circuits(SMOKE, arms[WHOLE])
    assert arms[NO_ENCODER].partition == arms[OURS].partition
    plain = arms[GCN].network
    assert plain == RouteTiming(plain.hidden, plain.net_layers, None, False, False, None, plain.message)
    assert {source for own in (SMOKE.train, SMOKE.validation) for source in own}.isdisjoint(SMOKE.test)


def test_the_score_is_of_endpoints_and_one_for_the_truth(finished: Any) -> None:
    graph = held_out(SMOKE).take(np.arange(1))
    truth = graph["signal"][0]
    assert slack_r2(SMOKE, truth) == [1.0] * 3
    elsewhere = truth + (graph["ends"][0][:, None] == 0)
    assert slack_r2(SMOKE, elsewhere) == [1.0] * 3
    assert max(slack_r2(SMOKE, truth + 0.5)) < 0.5
    assert r2(np.array([[0.0, 5.0], [2.0, 7.0]]), np.array([[1.0, 6.0], [1.0, 6.0]])) == 0.0


def test_the_report_charges_the_encoder_and_judges_both_claims(finished: Any) -> None:
    results, report, _ = finished
    assert len(report.claims) == 2
    assert "not tested" not in {claim.verdict for claim in report.claims}
    arms = {arm.name: arm for arm in report.arms}
    assert results["encoder/0"] in arms[OURS].results
    assert len(arms[GCN].results) == 1
    steps = {arm.results[-1].steps for arm in report.arms}
    assert steps == {SMOKE.steps}


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_the_line_of_levels_is_of_all_training_circuits_in_however_many_graphs() -> None:
    dealt_out = replace(SMOKE, batch=2, room=Room(120, 70, 90, 3))  # too small for both in one
    assert line_of_levels(dealt_out) == line_of_levels(SMOKE)


def test_steps_that_take_nothing_change_nothing() -> None:
    """The last pin's signal, which they would pass on to itself without end, stays zero."""
    data = held_out(SMOKE)
    graph = {name: jnp.asarray(leaf[0]) for name, leaf in data.take(np.arange(1)).items()}
    net = methods(SMOKE)[OURS].network.build(nnx.Rngs(0))
    steps = data.schedule(SMOKE.widths)
    said = net.free_running(graph, *(jnp.asarray(table) for table in steps))
    late = net.free_running(graph, *(jnp.pad(table, ((9, 9), (0, 1)), constant_values=-1) for table in steps))
    assert not np.asarray(said.signal)[np.asarray(graph["block"]) == SMOKE.scored.blocks - 1].any()
    for one, other in zip(said, late, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_step_of_teacher_forcing_is_a_step_of_running_free() -> None:
    """Where the signals before are true, both ways say the same."""
    data = held_out(SMOKE)
    graph = {name: jnp.asarray(leaf[0]) for name, leaf in data.take(np.arange(1)).items()}
    net = methods(SMOKE)[OURS].network.build(nnx.Rngs(0))
    free = net.free_running(graph, *(jnp.asarray(t) for t in data.schedule(SMOKE.widths)))
    forced = net.teacher_forced(graph | {"signal": free.signal})  # its own signals as the truth
    real = np.asarray(graph["weights"]) > 0
    np.testing.assert_allclose(forced.signal[real], free.signal[real], rtol=1e-4, atol=1e-4)
    arcs = np.asarray(graph["arc_weights"]) > 0
    np.testing.assert_allclose(forced.cell_delay[arcs], free.cell_delay[arcs], rtol=1e-4, atol=1e-4)
    assert jax.tree.all(jax.tree.map(lambda x: bool(jnp.isfinite(x[: len(real)]).all()), forced))
