"""Models that learn turn by turn: what a move sees, lazy moves, and the same bits when killed in the middle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from spine import assert_outcome, cut_short, go, outcome

from stagejax.axes import param
from stagejax.data import Images
from stagejax.handover import Handover
from stagejax.mesh import make_mesh
from stagejax.models.generative.gan import Discriminator, Generator
from stagejax.objectives.pictures.gan import R1, logistic, non_saturating
from stagejax.optimizer import adam, sgd
from stagejax.program import Program, build, step_keys
from stagejax.stage import Stage
from stagejax.steps.alternating import Alternate, Move, with_flops


class Number(nnx.Module):
    """One number, from 1."""

    def __init__(self) -> None:
        self.x = param(jnp.ones(1), writes=("x",))


class NumberConfig:
    def sizes(self) -> dict[str, int]:
        return {"x": 1}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return Number()


def product(model: Any, batch: Any, key: Any, *, others: Any) -> Any:
    """Its derivative is what the other number is by then."""
    (other,) = others.values()
    loss = (model.x[...] * other.x[...]).sum()
    return loss, {"loss": loss}


def itself(model: Any, batch: Any, key: Any, *, others: Any) -> Any:
    """Its derivative is 1."""
    loss = model.x[...].sum()
    return loss, {"loss": loss, "extra": loss}


def numbers(*moves: Move) -> Stage:
    own = {name: NumberConfig() for name in ("a", "b")}
    plain = dict.fromkeys(own, sgd(0.1, decay="constant", momentum=None))
    return Stage("n", own, dict.fromkeys(own, product), plain, Images(batch=2), 4, Alternate(moves), ema={"a": 0.5})


def rounds(stage: Stage, count: int) -> tuple[Program, list[Any], list[Any]]:
    program = build(stage, make_mesh("data=1"))
    step, state, key = jax.jit(program.step), program.initial(0), step_keys(stage, 0)
    batch = {name: np.zeros(x.shape, x.dtype) for name, x in stage.data.spec().items()}
    states, metrics = [state], []
    for _ in range(count):
        state, found = step(state, batch, key, jax.tree.map(jnp.float32, program.schedule))
        states.append(state)
        metrics.append(jax.device_get(found))
    return program, states, metrics


def x_of(state: Any, name: str) -> float:
    return float(state[name].params["x"][0])


def test_a_move_sees_the_others_as_they_are_by_then_and_a_rare_one_is_made_every_nth_round() -> None:
    stage = numbers(Move("a"), Move("a", itself, every=3), Move("b"))
    _, states, metrics = rounds(stage, 4)
    a, b, mean = 1.0, 1.0, 1.0
    for k in range(4):
        a -= 0.1 * b
        mean = (mean + a) / 2
        if k % 3 == 0:
            a -= 0.1
            mean = (mean + a) / 2
        b -= 0.1 * a
        after = states[k + 1]
        assert (x_of(after, "a"), x_of(after, "b")) == pytest.approx((a, b))
        assert float(after["a"].ema["x"][0]) == pytest.approx(mean)
        assert after["b"].ema is None
        assert int(after["a"].step) == int(after["b"].step) == k + 1
        assert (metrics[k]["a_extra"] != 0) == (k % 3 == 0)
        assert metrics[k]["loss"] == metrics[k]["b_loss"]


def test_a_model_without_a_move_stands_still() -> None:
    _, states, _ = rounds(numbers(Move("b")), 2)
    assert x_of(states[2], "a") == 1.0
    assert x_of(states[2], "b") == pytest.approx(0.8)
    assert int(states[2]["a"].step) == 2


def test_an_average_is_of_the_named_models_only() -> None:
    stage = numbers(Move("a"))
    assert (stage.member("a").ema, stage.member("b").ema) == (0.5, None)
    with pytest.raises(ValueError, match="between 0 and 1, not 2"):
        replace(stage, ema={"b": 2.0})


EVERY = 3
GAN = Stage(
    "gan",
    {"generator": Generator(latent=4, channels=(6, 4)), "discriminator": Discriminator(8, (4,), hidden=4)},
    {"generator": non_saturating, "discriminator": logistic},
    {name: adam(1e-2, b1=0.0, b2=0.9, decay="constant") for name in ("generator", "discriminator")},
    Images(batch=4),
    steps=5,
    step=Alternate((Move("discriminator"), Move("discriminator", R1(2.0, EVERY), EVERY), Move("generator"))),
    ema={"generator": 0.9},
    save_every=1,
    keep=None,
)
CARRY = Handover(moments="carry", ema="carry")


def pipeline(run: Any) -> tuple[Any, ...]:
    first = run.train(with_flops(GAN))
    return first, run.train(replace(with_flops(GAN), name="on", seed=1, handover=CARRY), first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("whole")
    results = go(path, pipeline)
    return outcome(path, results), results


@pytest.mark.parametrize("at", [2, pytest.param(7, marks=pytest.mark.slow)])
def test_killed_between_two_rounds_it_ends_with_the_same_bits(
    tmp_path: Any, monkeypatch: Any, whole: Any, at: int
) -> None:
    cut_short(tmp_path, monkeypatch, pipeline, at)
    assert_outcome(outcome(tmp_path, go(tmp_path, pipeline)), whole[0])


def test_a_lazy_move_is_charged_in_its_rounds() -> None:
    flops = np.asarray(with_flops(GAN).step_flops(np.arange(6)))  # type: ignore[misc]
    assert (flops[::EVERY] > flops[1]).all()
    assert flops[1] == flops[2] == flops[4] == flops[5]
    exact = build(GAN, None).step_flops()
    assert flops[0] == exact


def test_moments_and_average_of_both_models_pass_on(whole: Any) -> None:
    _, second = whole[1]
    actions = {row[0]: row[3] for row in second.handover}
    assert actions["discriminator: moments nu"] == actions["generator: moments nu"] == "carry"
    assert actions["generator: ema"] == "carry"
    assert "discriminator: ema" not in actions
    # One move of the generator a round; one more of the discriminator in rounds 0 and 3 of each stage.
    counts = {name: int(state.opt_state[0].count) for name, state in second.state().items()}
    assert counts == {"generator": 10, "discriminator": 14}
