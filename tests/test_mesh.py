"""Meshes: from text; the same numbers on eight devices as on one; moments lie where their parameters lie."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
import pytest
from spine import assert_close, drive, flat, go, stage
from test_handover import accumulating, grouped, injected
from toy import Numbers, Toy, adam

from stagejax.axes import path_name
from stagejax.handover import Handover
from stagejax.mesh import abstract_mesh, batch_ways, make_mesh, parse_mesh, start_processes
from stagejax.program import build
from stagejax.stage import Evaluation

CUBE = "data=2,fsdp=2,tensor=2"
RULES = {"layers": "tensor"}
#: Only to look at shardings. XLA (of jax 0.10 and 0.12, on CPUs) finds wrong gradients where two kernels split like
#: this follow each other, x @ (fsdp, tensor) @ (fsdp, tensor), and the batch is split over data and fsdp.
ALL_AXES = {"embed": "fsdp", "embed_out": "tensor", "layers": "data"}


@pytest.mark.parametrize("text", ["data", "data=0", "data=-1", "data=x", "data=2,data=2", "=2"])
def test_a_bad_mesh_is_named(text):
    with pytest.raises(ValueError, match=r"should be name=size with each name once"):
        parse_mesh(text)


def test_an_empty_mesh_is_refused():
    with pytest.raises(ValueError, match=r"an empty mesh"):
        parse_mesh(" , ")


def test_a_mesh_has_its_axes_in_order():
    assert dict(make_mesh(CUBE).shape) == {"data": 2, "fsdp": 2, "tensor": 2}
    assert dict(make_mesh().shape) == {"data": 8}
    assert batch_ways(abstract_mesh("data=16,fsdp=16,tensor=4")) == 256


def test_a_mesh_larger_than_the_devices_is_refused():
    with pytest.raises(
        ValueError, match=r"mesh data=4,fsdp=4 needs 16 devices, and this run has 8 \(cpu\).*smaller --mesh.*plan"
    ):
        make_mesh("data=4,fsdp=4")


def test_a_coordinator_alone_is_not_enough(monkeypatch):
    monkeypatch.setenv("STAGEJAX_COORDINATOR", "localhost:1")
    with pytest.raises(
        ValueError, match=r"STAGEJAX_COORDINATOR is set, but not STAGEJAX_PROCESSES and STAGEJAX_PROCESS"
    ):
        start_processes()


def test_a_batch_that_the_mesh_does_not_divide_is_refused():
    with pytest.raises(
        ValueError, match=r"stage 'a': a batch of 6 cannot be split evenly over 4 devices.*multiple of 4.*--mesh"
    ):
        build(stage(data=Numbers(samples=6)), make_mesh(CUBE))
    with pytest.raises(
        ValueError, match=r"a batch of 8 .* 4 devices along data and fsdp and 4 accumulated parts.*multiple of 16"
    ):
        build(stage(accumulate=4), make_mesh(CUBE))
    with pytest.raises(ValueError, match=r"a held-out batch of 6 .*multiple of 4"):
        build(stage(accumulate=2, evaluate=Evaluation(Numbers(samples=6), 1)), make_mesh(CUBE))
    build(stage(accumulate=2, evaluate=Evaluation(Numbers(samples=4), 1)), make_mesh(CUBE))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [{"ema": 0.9, "evaluate": Evaluation(Numbers(seed=9), 2, every=2)}, {"accumulate": 2, "seeds": 2}],
    ids=["plain", "replicas"],
)
def test_eight_devices_find_what_one_finds(fields):
    """To 1e-5 relative: sums over devices add up in another order, and Adam divides by small numbers at first."""
    _, one, record = drive(stage(**fields, steps=4))
    _, eight, other = drive(stage(**fields, steps=4), mesh=CUBE, rules=RULES)
    assert_close(eight, one, rtol=1e-5, atol=1e-6)
    assert_close(other.history.train, record.history.train, rtol=1e-5, atol=1e-6)
    assert other.cost.flops == record.cost.flops
    assert len(eight.params["blocks"].sharding.device_set) == 8
    lead = (None,) * bool(fields.get("seeds"))
    assert eight.params["blocks"].sharding.spec == jax.P(*lead, "tensor", "fsdp", None)


def bottom_layer(path: str, axes: Any) -> bool | slice:
    return slice(1, 3) if "layers" in axes.names else path == "up"


def factored(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.adafactor(1e-2, min_dim_size_to_factor=4)


@pytest.mark.parametrize("seeds", [None, 2])
@pytest.mark.parametrize("optimizer", [adam, injected, accumulating, grouped, factored])
def test_moments_lie_where_their_parameters_lie(optimizer, seeds):
    program = build(stage(optimizer=optimizer, seeds=seeds), make_mesh(CUBE), ALL_AXES)
    state = program.initial(0)
    params = {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state.params)}
    like = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.opt_state):
        param = params.get(path_name(path).rpartition("/")[2])
        if param is not None and leaf.shape == param.shape:
            assert leaf.sharding == param.sharding, path
            like += 1
        else:
            assert leaf.sharding.is_fully_replicated, path
    assert like >= (4 if optimizer is not factored else 1)


def test_moments_of_rows_are_sharded_as_their_rows_allow():
    """Two of four layers over two devices: still split. One layer could not be, and is everywhere."""
    program = build(stage(model=Toy(layers=4), trainable=bottom_layer), make_mesh(CUBE), ALL_AXES)
    assert program.initial(0).opt_state[0].mu["blocks"].sharding.spec == jax.P("data", "fsdp", "tensor")
    program = build(
        stage(model=Toy(layers=3), trainable=bottom_layer), make_mesh(CUBE), ALL_AXES | {"layers": "tensor"}
    )
    assert program.state.params["blocks"].sharding.spec == jax.P(None, "fsdp", "tensor")
    assert program.initial(0).opt_state[0].mu["blocks"].sharding.spec == jax.P("tensor", "fsdp", None)


@pytest.mark.slow
def test_the_state_keeps_its_shardings_from_step_to_step_and_stage_to_stage(tmp_path):
    def pipeline(run: Any) -> Any:
        one = run.train(stage("one", steps=3, ema=0.9, save_every=2))
        return one, run.train(stage("two", steps=3, ema=0.9, handover=Handover(moments="carry", ema="carry")), one)

    for result in go(tmp_path, pipeline, mesh=CUBE, rules=RULES):
        program = build(result.stage, make_mesh(CUBE), RULES)
        for leaf, wanted in zip(jax.tree.leaves(result.state()), jax.tree.leaves(program.state), strict=True):
            assert leaf.sharding == wanted.sharding


def test_a_run_ends_with_the_same_bits_on_the_same_mesh(tmp_path):
    def pipeline(run: Any) -> Any:
        return run.train(stage("one", steps=3))

    one, two = (go(tmp_path / name, pipeline, mesh=CUBE, rules=RULES) for name in ("a", "b"))
    assert one.digest == two.digest
    np.testing.assert_array_equal(flat(one.state().params)["up"], flat(two.state().params)["up"])
