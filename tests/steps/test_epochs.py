"""Several passes over one draw: as many gradient steps on it, and one step of the stage, also when it was killed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spine import assert_outcome, cut_short, go, outcome

from stagejax import Stage
from stagejax.data import Images
from stagejax.mesh import make_mesh
from stagejax.models.policy import RecurrentPolicy
from stagejax.optimizer import sgd
from stagejax.program import build, step_keys
from stagejax.steps.epochs import Epochs

RATE = 0.1


def draw(models: Any, batch: Any, key: Any) -> Any:
    """One number by chance, and what the policy is at the draw."""
    made = {"noise": jax.random.normal(key, ()), "bias": models["policy"].from_encoding.bias[...]}
    return made, {"shown": jnp.ones(())}


def distance(model: Any, made: Any, key: Any, *, times: float) -> Any:
    """Half the squared distance of the bias from the draw's, moved by its noise."""
    off = model.from_encoding.bias[...] - jax.lax.stop_gradient(made["bias"]) - made["noise"]
    loss = times * (off**2).sum() / 2
    return loss, {"off": off.sum()}


def stage(epochs: int) -> Stage:
    return Stage(
        "epochs",
        {name: RecurrentPolicy(plants=1, hidden=(2,)) for name in ("policy", "value")},
        {"policy": partial(distance, times=1.0), "value": partial(distance, times=0.0)},
        sgd(RATE, decay="constant", momentum=None),
        Images(batch=2),
        steps=2,
        step=Epochs(draw, epochs),
    )


def rounds(epochs: int, count: int) -> tuple[list[Any], list[Any]]:
    own = stage(epochs)
    program = build(own, make_mesh("data=1"))
    step, state, key = jax.jit(program.step), program.initial(0), step_keys(own, 0)
    batch = {name: np.zeros(x.shape, x.dtype) for name, x in own.data.spec().items()}
    states, metrics = [jax.device_get(state)], []
    for _ in range(count):
        state, found = step(state, batch, key, jax.tree.map(jnp.float32, program.schedule))
        states.append(jax.device_get(state))
        metrics.append(jax.device_get(found))
    return states, metrics


def bias(state: Any, name: str = "policy") -> float:
    return float(state[name].params["from_encoding"]["bias"][0])


@pytest.mark.slow
def test_passes_go_towards_one_draw_and_the_next_round_draws_anew_from_where_they_led() -> None:
    """Each pass leaves 1 - rate of the distance, so K of them take 1 - (1 - rate)^K of the way to the draw's number."""
    way, moves = 1 - (1 - RATE) ** 3, []
    states, metrics = rounds(3, 2)
    for before, after, found in zip(states, states[1:], metrics, strict=False):
        moves.append(bias(after) - bias(before))
        left = (1 - RATE) ** 2 * moves[-1] / way  # to the draw's number, as the last pass met it
        assert found["policy_off"] == pytest.approx(-left, rel=1e-4)
        assert found["loss"] == found["policy_loss"] == pytest.approx(left**2 / 2, rel=1e-3)
        assert found["shown"] == 1
    assert moves[0] != pytest.approx(moves[1], rel=1e-3)
    once, _ = rounds(1, 1)
    assert bias(once[1]) - bias(once[0]) == pytest.approx(moves[0] * RATE / way, rel=1e-4)  # the same draw


def test_a_round_is_one_step_of_the_stage_and_models_without_a_gradient_stand_still() -> None:
    (before, after), _ = rounds(3, 1)
    assert [int(state.step) for state in after.values()] == [1, 1]
    assert bias(before, "value") == bias(after, "value")


def test_killed_between_two_rounds_it_ends_with_the_same_bits(tmp_path: Any, monkeypatch: Any) -> None:
    def pipeline(run: Any) -> list[Any]:
        return [run.train(replace(stage(3), steps=4, save_every=1))]

    whole = outcome(tmp_path / "whole", go(tmp_path / "whole", pipeline))
    cut_short(tmp_path / "killed", monkeypatch, pipeline, at=3)
    assert_outcome(outcome(tmp_path / "killed", go(tmp_path / "killed", pipeline)), whole)


def test_a_round_without_a_pass_is_refused() -> None:
    with pytest.raises(ValueError, match="epochs=0"):
        Epochs(draw, 0)
