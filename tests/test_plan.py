"""Plan mode: what it says without arrays is what a run then does."""

from __future__ import annotations

import math
import resource
import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from spine import drive, go, stage
from test_handover import own_step
from test_stage import only_down, second_layer
from toy import Numbers, Toy, adam

from stagejax.axes import param
from stagejax.handover import Handover, HandoverError
from stagejax.mesh import make_mesh
from stagejax.plan import Plan
from stagejax.program import build, bytes_per_device
from stagejax.stage import Evaluation, Precision

CUBE = "data=2,fsdp=2,tensor=2"
RULES = {"embed_out": "tensor"}
HELD_OUT = Evaluation(Numbers(seed=9), 2, every=3)


def pipeline(run: Any) -> Any:
    one = run.train(stage("one", steps=7, evaluate=HELD_OUT, ema=0.9))
    fields = {"trainable": second_layer, "remat": "nothing_saveable"}
    two = run.train(stage("two", steps=4, handover=Handover(data="carry"), **fields), one)
    three = run.train(
        stage("three", steps=2, trainable=only_down, seeds=2, accumulate=2, precision=Precision("bfloat16"))
    )
    models = {"model": {"a": Toy(), "b": Toy(embed=4)}, "optimizer": {"a": None, "b": adam}}
    both = run.train(stage("both", steps=1, **models, step=own_step, objective=None), {"a": two})
    made = run.make("made", sorted, [2, 1])
    return one, two, three, both, made


@pytest.fixture(scope="module")
def planned():
    plan = Plan.on(CUBE, RULES)
    return plan, pipeline(plan)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return go(tmp_path_factory.mktemp("real"), pipeline, mesh=CUBE, rules=RULES)


def test_costs_tables_and_names_are_those_of_the_run(planned, real):
    plan, results = planned
    for told, found, row in zip(results, real, plan.stages, strict=True):
        assert (told.name, told.kind, told.generation) == (found.name, found.kind, found.generation)
        assert told.handover == found.handover == row.handover
        assert told.parameters == found.parameters
        if found.kind == "train":
            assert told.fingerprint == found.fingerprint
            for field in ("flops", "eval_flops", "tokens", "steps"):
                assert getattr(told.cost, field) == getattr(found.cost, field), (told.name, field)
    assert plan.to_json()["total"]["flops"] == sum(r.cost.flops for r in real)
    assert plan.to_json()["mesh"] == {"data": 2, "fsdp": 2, "tensor": 2}


def test_bytes_are_those_of_the_real_shards(planned):
    """Of every array, what one device holds."""
    plan, results = planned
    for result, row in zip(results, plan.stages, strict=True):
        if result.kind != "train":
            continue
        state = build(result.stage, make_mesh(CUBE), RULES).initial(0)
        states = list(state.values()) if isinstance(state, dict) else [state]
        device = jax.devices()[0]

        def held(tree: Any, device: Any = device) -> int:
            shards = [s for leaf in jax.tree.leaves(tree) for s in leaf.addressable_shards if s.device == device]
            return sum(shard.data.nbytes for shard in shards)

        assert row.bytes_per_device.params == held([s.params for s in states])
        assert row.bytes_per_device.moments == held([s.opt_state for s in states])
        assert row.bytes_per_device.ema == held([s.ema for s in states])
        assert bytes_per_device([s.params for s in states]) == row.bytes_per_device.params
        assert row.bytes_per_device.total == sum(
            getattr(row.bytes_per_device, n) for n in ("params", "gradients", "moments", "ema", "activations_estimated")
        )


def test_gradients_and_trained_numbers_are_of_what_is_trained(planned):
    rows = {row.name: row for row in planned[0].stages}
    assert (rows["one"].trained, rows["one"].bytes_per_device.gradients) == (160, rows["one"].bytes_per_device.params)
    assert rows["two"].trained == 64 + 8
    assert rows["two"].bytes_per_device.gradients == 4 * (
        64 // 4 + 8 // 2
    )  # blocks over fsdp and tensor, down over fsdp
    assert rows["three"].trained == 2 * 8
    assert rows["three"].bytes_per_device.gradients == 2 * 2 * 8 // 2  # two replicas in bfloat16, over fsdp


def test_activations_are_known_of_every_step(planned):
    rows = {row.name: row.bytes_per_device for row in planned[0].stages if row.kind == "train"}
    assert all(row.activations_estimated > 0 for name, row in rows.items() if name != "both")
    assert rows["both"].activations_estimated == 0  # of several models; its step computes nothing


def multiplied(parts, states, batch, key):
    """Matrices in a loop of unknown length."""
    end = jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: x @ x, batch["x"].T @ batch["x"])
    return states, {"loss": end.sum()}


def test_a_step_that_cannot_be_priced_names_its_stage():
    with pytest.raises(ValueError, match=r"a while_loop multiplies matrices.*\n.*stage 'loops'"):
        Plan.on("data=1").train(stage("loops", step=multiplied, objective=None))


def test_plan_and_run_refuse_the_same():
    plan = Plan.on("data=2")
    one = plan.train(stage("one"))
    with pytest.raises(HandoverError, match=r"stage 'two': params/blocks is \(2, 8, 8\)"):
        plan.train(stage("two", model=Toy(embed=4)), one)
    with pytest.raises(ValueError, match="two stages of this pipeline are named 'one'"):
        plan.train(stage("one"), one)
    with pytest.raises(ValueError, match="cannot be split evenly over 2 devices"):
        plan.train(stage("three", data=Numbers(samples=5)))
    fields = {"model": {"a": Toy()}, "step": own_step, "optimizer": {"a": adam}, "objective": None}
    with pytest.raises(HandoverError, match="from several results"):
        plan.train(stage("four", handover=Handover(data="carry"), **fields), {"a": one})


def test_nothing_is_measured_in_a_plan(planned):
    assert np.isnan(planned[1][0].history.last("loss"))
    assert planned[1][-1].value is None


class Huge(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        shape = (24, 32_768, 32_768)
        self.blocks = param(
            jax.random.normal(rngs.params(), shape), stack=("layers",), reads=("embed",), writes=("embed_out",)
        )

    def __call__(self, x_BF: jax.Array, key: Any) -> jax.Array:
        h_BD = jax.numpy.pad(x_BF, ((0, 0), (0, self.blocks.shape[1] - x_BF.shape[1])))
        for layer in range(self.blocks.shape[0]):
            h_BD = h_BD @ self.blocks[...][layer]
        return h_BD[:, 0]


@dataclass(frozen=True)
class HugeConfig:
    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return Huge(rngs)

    def sizes(self) -> dict[str, int]:
        return {"layers": 24, "embed": 32_768, "embed_out": 32_768}


def test_twenty_five_billion_parameters_are_planned_without_their_memory():
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    plan = Plan.on("data=16,fsdp=16,tensor=4", RULES)
    data = Numbers(samples=256)
    one = plan.train(stage("one", model=HugeConfig(), data=data, steps=1000, ema=0.99, evaluate=Evaluation(data, 2)))
    plan.train(stage("two", model=HugeConfig(), data=data, steps=10, handover=Handover(moments="carry")), one)
    size = 24 * 32_768**2
    assert size > 25e9
    row = plan.stages[0]
    assert row.parameters == size
    assert row.bytes_per_device.params == row.bytes_per_device.ema == 4 * size // 64
    assert row.bytes_per_device.moments == 8 * size // 64 + 8  # and two counts
    assert row.flops == 1000 * 6 * 256 * size - 1000 * 2 * 256 * 32_768**2  # the first layer's input needs no gradient
    assert math.isclose(row.tokens, 256_000)
    assert time.monotonic() - began < 30
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # KiB


def test_plan_flops_are_the_step_that_runs():
    plan = Plan.on("data=1")
    plan.train(stage())
    assert plan.stages[0].flops == drive(stage())[2].cost.flops
