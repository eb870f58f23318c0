"""The step: accumulation, precision, rematerialisation, averaging, freezing, several models, replicas, own steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from spine import assert_close, assert_same, drive, flat, stage
from toy import Numbers, Toy, adam, regression

from stagejax.axes import Axes
from stagejax.mesh import make_mesh
from stagejax.program import build, step_keys
from stagejax.stage import Evaluation, Precision, Stage, average, gradient_step, ratios
from stagejax.state import TrainState, cast, everything, join, split

QUIET = Toy(noise=0.0)
SEEN: dict[str, Any] = {}


def batches(data: Numbers, steps: int) -> list[dict[str, np.ndarray]]:
    return [data.batch(k) for k in range(steps)]


@dataclass(frozen=True)
class Sparse(Numbers):
    """Every second row has no weight, so one of two accumulated parts counts nothing."""

    def batch(self, step: int) -> dict[str, np.ndarray]:
        batch = super().batch(step)
        return batch | {"weight": batch["weight"] * (np.arange(self.samples) % 2).astype(np.float32)}


# Accumulation


@pytest.mark.parametrize(("data", "parts"), [(Numbers(), 2), (Numbers(), 4), (Sparse(), 2)])
def test_accumulation_is_the_whole_batch_weighted_by_count(data, parts):
    _, whole, record = drive(stage(model=QUIET, data=data))
    _, parted, parted_record = drive(stage(model=QUIET, data=data, accumulate=parts))
    assert_close(parted.params, whole.params, rtol=2e-6)
    assert_close(parted.opt_state, whole.opt_state, rtol=2e-5)
    assert_close(parted_record.history.train, record.history.train, rtol=2e-6)
    assert parted_record.cost.flops == record.cost.flops


def unweighted(model: Any, batch: Any, key: Any) -> tuple[jax.Array, dict[str, Any]]:
    loss, _ = regression(model, batch, key)
    return loss, {"error": loss}


def test_an_unweighted_loss_is_averaged_over_parts():
    data = Numbers()
    program, state, _ = drive(stage(model=QUIET, objective=unweighted, steps=1, accumulate=2, optimizer=sgd))
    fresh = program.initial(0)
    batch = data.batch(0)
    grads = [gradient_of(program, fresh.params, {k: v[i::2] for k, v in batch.items()}) for i in range(2)]
    expected = jax.tree.map(lambda p, a, b: p - 0.1 * (a + b) / 2, fresh.params, *grads)
    assert_close(state.params, expected)


def sgd(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.sgd(0.1)


def gradient_of(program: Any, params: Any, batch: Any) -> Any:
    part = program.parts

    def loss(params: Any) -> jax.Array:
        return regression(nnx.merge(part.graphdef, params, {"seen": jnp.zeros(())}), batch, None)[0]

    return jax.grad(loss)(params)


# Precision


def sees_compute(model: Any, batch: Any, key: Any) -> tuple[jax.Array, dict[str, Any]]:
    SEEN["compute"] = model.up[...].dtype.name
    return regression(model, batch, key)


def sees_gradients(steps: int, axes: Any) -> optax.GradientTransformation:
    inner = adam(steps, axes)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        SEEN["gradients"] = {x.dtype.name for x in jax.tree.leaves(updates)}
        return inner.update(updates, state, params)

    return optax.GradientTransformation(inner.init, update)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    ("precision", "params", "compute", "gradients", "moments"),
    [
        (Precision(), "float32", "float32", "float32", "float32"),
        (Precision(compute="bfloat16"), "float32", "bfloat16", "float32", "float32"),
        (Precision(params="bfloat16"), "bfloat16", "bfloat16", "bfloat16", "bfloat16"),
        (Precision(params="bfloat16", gradients="float32"), "bfloat16", "bfloat16", "float32", "float32"),
        (Precision(compute="bfloat16", gradients="bfloat16"), "float32", "bfloat16", "bfloat16", "float32"),
    ],
)
def test_each_precision_is_used_where_it_is_declared(precision, params, compute, gradients, moments, parts):
    SEEN.clear()
    declared = stage(objective=sees_compute, optimizer=sees_gradients, precision=precision, accumulate=parts, ema=0.9)
    program = build(declared, make_mesh("data=1"))
    after, _ = jax.eval_shape(program.step, program.state, program.batch, program.key, program.schedule)
    assert {"compute": compute, "gradients": {gradients}} == SEEN
    for state in (program.state, after):
        assert {x.dtype.name for x in jax.tree.leaves((state.params, state.ema))} == {params}
        assert {x.dtype.name for x in jax.tree.leaves(state.opt_state) if x.ndim} == {moments}
        assert {x.dtype.name for x in jax.tree.leaves(state.rest)} == {"float32"}


# Rematerialisation


def test_rematerialised_steps_have_the_same_numbers_and_price():
    plain, kept, _ = drive(stage())
    again, recomputed, _ = drive(stage(remat="nothing_saveable"))
    assert_close(recomputed.params, kept.params, rtol=1e-5)
    assert again.step_flops() == plain.step_flops()
    assert "remat" in str(jax.make_jaxpr(again.step)(again.state, again.batch, again.key, again.schedule))


# Average


def test_the_average_follows_its_formula():
    declared = stage(ema=0.75)
    program, state, _ = drive(declared)
    walked = program.initial(0)
    assert_same(walked.ema, walked.params)
    expected = flat(walked.ema)
    step, key = jax.jit(program.step), step_keys(declared, 0)
    for batch in batches(declared.data, 4):
        walked, _ = step(walked, batch, key, program.schedule)
        params = flat(walked.params)
        expected = {k: 0.75 * expected[k] + 0.25 * params[k] for k in expected}
    assert_close(state.ema, walked.ema, rtol=1e-6)
    for path, value in flat(state.ema).items():
        np.testing.assert_allclose(value, expected[path], rtol=1e-5)
        assert np.abs(value - flat(state.params)[path]).max() > 1e-4
    assert average(None, state.params, None) is None


def test_evaluation_can_score_the_average():
    _, _, record = drive(stage(ema=0.9, evaluate=Evaluation(Numbers(seed=9), 1, ema=True)))
    _, _, plain = drive(stage(ema=0.9, evaluate=Evaluation(Numbers(seed=9), 1)))
    assert record.history.evals[-1]["loss"] != plain.history.evals[-1]["loss"]


# Clipping


def clipped(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(0.01), optax.sgd(1.0))


def test_clipping_belongs_to_the_optimizer():
    program, state, record = drive(stage(optimizer=clipped, steps=1))
    moved = jax.tree.map(lambda a, b: a - b, state.params, program.initial(0).params)
    np.testing.assert_allclose(optax.tree.norm(moved), 0.01, rtol=1e-4)
    assert record.history.train["grad_norm"][0] > 0.05  # before the clip


# Freezing


def only_down(path: str, axes: Axes) -> bool:
    return "classes" in axes.names


def second_layer(path: str, axes: Axes) -> bool | slice:
    return slice(1, 2) if "layers" in axes.names else path == "down"


def test_frozen_leaves_have_no_moments_and_never_change():
    program, state, _ = drive(stage(trainable=only_down))
    fresh = program.initial(0)
    assert_same({k: state.params[k] for k in ("up", "blocks")}, {k: fresh.params[k] for k in ("up", "blocks")})
    assert np.abs(np.asarray(state.params["down"] - fresh.params["down"])).min() > 0
    assert [path for path in flat(state.opt_state) if "mu" in path or "nu" in path] == ["0/mu/down", "0/nu/down"]


def test_of_a_stack_only_the_chosen_rows_are_trained():
    program, state, _ = drive(stage(model=Toy(layers=3), trainable=second_layer))
    fresh, params = program.initial(0).params, state.params
    moved = np.abs(np.asarray(params["blocks"] - fresh["blocks"])).max(axis=(1, 2))
    assert moved[1] > 0
    assert moved[0] == moved[2] == 0
    assert_same(params["up"], fresh["up"])
    assert {k: v.shape for k, v in flat(state.opt_state).items() if "mu" in k} == {
        "0/mu/blocks": (1, 8, 8),
        "0/mu/down": (8, 1),
    }


def test_rows_train_as_they_would_alone():
    """The gradient of the trained rows is that of the whole leaf, cut."""
    _, rows, _ = drive(stage(model=QUIET, optimizer=sgd, steps=1, trainable=second_layer))
    _, whole, _ = drive(stage(model=QUIET, optimizer=sgd, steps=1))
    assert_close(rows.params["blocks"][1], whole.params["blocks"][1])


def test_less_is_computed_for_frozen_leaves():
    trained, _, _ = drive(stage())
    frozen, _, _ = drive(stage(trainable=only_down))
    assert frozen.step_flops() < trained.step_flops()


# Variables


def test_variables_beside_the_parameters_are_updated_in_their_dtype():
    _, state, _ = drive(stage())
    assert flat(state.rest) == {"seen": 32.0}
    _, parted, _ = drive(stage(accumulate=2, precision=Precision(compute="bfloat16")))
    assert flat(parted.rest) == {"seen": 32.0}


# Replicas


def test_each_replica_is_the_single_run_of_its_seed():
    fields = {"steps": 4, "ema": 0.9, "evaluate": Evaluation(Numbers(seed=9), 2, every=2)}
    program, together, record = drive(stage(seed=5, seeds=3, **fields))
    assert program.step_flops() % 3 == 0
    for i in range(3):
        single, alone, own = drive(stage(seed=5 + i, **fields))
        one = jax.tree.map(lambda x, i=i: x[i], together)
        assert_close(one, alone, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose([v[i] for v in record.history.train["loss"]], own.history.train["loss"], rtol=1e-5)
        for row, wanted in zip(record.history.evals, own.history.evals, strict=True):
            np.testing.assert_allclose(row["loss"][i], wanted["loss"], rtol=1e-5)
        assert program.step_flops() == 3 * single.step_flops()
    assert len({float(x) for x in together.params["up"][:, 0, 0]}) == 3


# A step of its own


def halving_step(part: Any, state: TrainState, batch: Any, key: jax.Array) -> tuple[TrainState, dict[str, Any]]:
    params = jax.tree.map(lambda p: p / 2, state.params)
    return replace(state, step=state.step + 1, params=params), {"norm": optax.tree.norm(params)}


def test_a_stage_may_bring_its_own_step():
    program, state, record = drive(stage(step=halving_step, objective=None, steps=3))
    assert_close(state.params, jax.tree.map(lambda p: p / 8, program.initial(0).params), rtol=1e-7)
    assert set(record.history.train) == {"norm"}


# Several models


def fooled(parts: Any, states: Any, batch: Any, key: jax.Array) -> tuple[Any, dict[str, Any]]:
    """A GAN in small: the critic tells the maker's numbers from the data's, then the maker learns from the critic."""

    def made(maker: Any) -> jax.Array:
        return nnx.merge(parts["maker"].graphdef, maker, states["maker"].rest)(batch["x"], None)

    def judged(critic: Any, value: jax.Array) -> jax.Array:
        x = jnp.stack([value, value**2, jnp.ones_like(value)], axis=1)
        return nnx.merge(parts["critic"].graphdef, critic, states["critic"].rest)(x, None)

    def critic_loss(critic: Any) -> jax.Array:
        return (
            jax.nn.softplus(-judged(critic, batch["y"])) + jax.nn.softplus(judged(critic, made(states["maker"].params)))
        ).mean()

    def maker_loss(trained: Any, frozen: Any, critic: Any) -> jax.Array:
        return jax.nn.softplus(-judged(critic, made(join(trained, frozen, parts["maker"].selection)))).mean()

    def update(name: str, loss: Any, *rest: Any) -> tuple[TrainState, jax.Array]:
        part, state = parts[name], states[name]
        trained, frozen = split(state.params, part.selection)
        arguments = (join(trained, frozen, part.selection),) if not rest else (trained, frozen, *rest)
        value, grads = jax.value_and_grad(loss)(*arguments)
        updates, opt_state = part.tx.update(grads, state.opt_state, trained)
        params = join(optax.apply_updates(trained, updates), frozen, part.selection)
        return replace(state, step=state.step + 1, params=params, opt_state=opt_state), value

    critic, critic_value = update("critic", critic_loss)
    maker, maker_value = update("maker", maker_loss, critic.params)
    return {"critic": critic, "maker": maker, "judge": states["judge"]}, {"critic": critic_value, "maker": maker_value}


def gap(models: Any, batch: Any, key: Any) -> tuple[jax.Array, dict[str, Any]]:
    value = ((models["maker"](batch["x"], key) - batch["y"]) ** 2).mean()
    return value, {}


GAN = {
    "model": {"maker": Toy(), "critic": Toy(embed=4), "judge": Toy(embed=2)},
    "objective": None,
    "optimizer": {"maker": adam, "critic": sgd, "judge": None},
    "trainable": {"maker": only_down, "critic": everything, "judge": only_down},
    "step": fooled,
    "evaluate": Evaluation(Numbers(seed=9), 2, objective=gap),
}


def test_several_models_train_together():
    program, states, record = drive(stage(**GAN))
    fresh = program.initial(0)
    assert set(states) == {"maker", "critic", "judge"}
    assert_same(states["judge"].params, fresh["judge"].params)
    assert flat(states["judge"].opt_state) == {}
    assert_same(states["maker"].params["up"], fresh["maker"].params["up"])
    assert np.abs(np.asarray(states["maker"].params["down"] - fresh["maker"].params["down"])).max() > 0
    assert np.abs(np.asarray(states["critic"].params["up"] - fresh["critic"].params["up"])).max() > 0
    assert [len(record.history.train[k]) for k in ("critic", "maker")] == [4, 4]
    assert np.isfinite(record.history.last("loss"))


@pytest.mark.slow
def test_several_models_have_different_initial_values_and_replicas():
    states = drive(stage(**GAN, steps=1, seeds=2))[1]
    assert states["maker"].params["up"].shape == (2, 3, 8)
    twins = drive(stage(**GAN | {"model": {k: Toy(embed=4) for k in GAN["model"]}}, steps=1))[0].initial(0)
    assert np.abs(np.asarray(twins["maker"].params["up"] - twins["critic"].params["up"])).min() > 0


# Evaluation


@dataclass(frozen=True)
class Uneven(Numbers):
    """Batches that count very differently."""

    def batch(self, step: int) -> dict[str, np.ndarray]:
        batch = super().batch(step)
        return batch | {"weight": batch["weight"] * np.float32(10.0**step)}


def test_evaluation_sums_over_uneven_counts():
    data = Uneven(seed=9)
    program, state, record = drive(stage(evaluate=Evaluation(data, 3)))
    model = nnx.merge(program.parts.graphdef, state.params, state.rest)
    pairs = [regression(model, batch, None)[1]["loss"] for batch in batches(data, 3)]
    exact = sum(float(total) for total, _ in pairs) / sum(float(count) for _, count in pairs)
    assert record.history.last("loss") == pytest.approx(exact, rel=1e-6)
    mean = np.mean([float(total / count) for total, count in pairs])
    assert abs(mean - exact) > 1e-3


def test_the_last_state_is_always_scored_and_the_first_when_asked():
    def steps_scored(every: int | None) -> list[int]:
        record = drive(stage(evaluate=Evaluation(Numbers(seed=9), 1, every=every)))[2]
        return [row["step"] for row in record.history.evals]

    assert steps_scored(None) == [4]
    assert steps_scored(2) == [0, 2, 4]
    assert steps_scored(3) == [0, 3, 4]


def test_ratios_of_nothing_are_zero():
    assert ratios({"a": (jnp.zeros(()), jnp.zeros(())), "b": jnp.ones(())}) == {"a": 0.0, "b": 1.0}


# Declarations that are refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps is 0; it is at least 1"),
        ({"seeds": 0}, "seeds is 0"),
        ({"save_every": 0}, "save_every is 0"),
        ({"keep": 0}, "keep is 0"),
        ({"accumulate": 3}, "accumulate=3 does not divide the batch of 8"),
        ({"accumulate": 0}, "accumulate=0"),
        ({"ema": 1.0}, "ema is a decay between 0 and 1"),
        ({"remat": "save_only_these_names"}, "remat='save_only_these_names' is none of nothing_saveable"),
        ({"objective": None}, "objective is None"),
        ({"evaluate": Evaluation(Numbers(), 0)}, "batches=0"),
        ({"evaluate": Evaluation(Numbers(), 1, every=0)}, "every=0"),
        ({"evaluate": Evaluation(Numbers(), 1, ema=True)}, "evaluate.ema needs ema=decay"),
        ({"model": {"a": Toy()}}, "several models: give it its own step"),
        (GAN | {"optimizer": {"maker": adam}}, "optimizer is of maker, but the models are maker, critic, judge"),
        (GAN | {"evaluate": Evaluation(Numbers(), 1)}, "evaluate.objective is None"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        stage(**fields)


@pytest.mark.parametrize("name", ["", "/a", "a//b", "../a", "a/..", "a/", "a\\b", "a\n", "."])
def test_names_are_paths(name):
    with pytest.raises(ValueError, match="a name is words joined by single slashes"):
        stage(name)
    assert Stage("large/fpi x2", Toy(), regression, adam, Numbers(), 1).name == "large/fpi x2"


def test_cast_is_what_precision_uses():
    assert cast({"a": jnp.ones(1)}, "float16")["a"].dtype == "float16"
    assert gradient_step.__doc__
