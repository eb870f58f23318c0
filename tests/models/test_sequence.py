"""Context parallelism: a step whose tokens lie on several devices is the step of one device."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding
from spine import assert_close, drive

from stagejax import Plan, Stage
from stagejax.data.joined import Row
from stagejax.data.prompts.answers import MadeRows
from stagejax.mesh import make_mesh
from stagejax.models.generative.dit import DiT
from stagejax.models.generative.text_to_video import TextToVideo
from stagejax.models.sequence import along_sequence
from stagejax.objectives.flow import FlowMatching
from stagejax.optimizer import sgd

SPLIT = "data=1,fsdp=2,tensor=2,sequence=2"


def laid(x: Any, mesh: str, **how: Any) -> Any:
    """Where a program leaves an array whose dimension 1 is split, from a batch that is split over the mesh."""
    mesh = make_mesh(mesh)
    batch = jax.device_put(x, NamedSharding(mesh, jax.P("data")))
    return jax.jit(lambda x: along_sequence(2 * x, 1, **how))(batch)


def test_tokens_lie_along_the_axis_and_the_batch_stays_where_it_was() -> None:
    x = np.arange(4 * 6 * 2.0, dtype=np.float32).reshape(4, 6, 2)
    split, whole = laid(x, "data=2,sequence=3"), laid(x, "data=2,sequence=3", whole=True)
    assert split.sharding.shard_shape(split.shape) == (2, 2, 2)
    assert whole.sharding.shard_shape(whole.shape) == (2, 6, 2)
    for found in (split, whole, laid(x, "data=2")):
        np.testing.assert_array_equal(found, 2 * x)


def flow(frames: int) -> Stage:
    """Three steps on clips of 2 frames, 4 tokens in all, or of 3 frames and 15 tokens, whose heads attend in turns."""
    sizes = {
        "channels": 2,
        "embed": 8,
        "layers": 2,
        "heads": 4,
        "turns": frames - 1,
        "head_dim": 8,
        "mlp": 12,
        "text": 6,
    }
    net = DiT(**sizes, split=(2, 1, 1), scan=True, remat="full")
    shape, rng = (frames, 1, 5 if frames == 3 else 2, 2), np.random.default_rng(0)
    arrays = {
        "latents": rng.normal(size=(8, *shape)).astype(np.float32),
        "tokens": rng.integers(1, 9, (8, 4), dtype=np.int32),
        "frames": np.int32([frames, 1] * 4),
    }
    spec = (Row("latents", shape), Row("tokens", (4,), "int32"), Row("frames", (), "int32"))
    data = MadeRows(rows=spec, of=f"{frames} frames", arrays=arrays, batch=4)
    objective = FlowMatching("latents", ("tokens",), drop=0.1, frames="frames")
    return Stage("flow", TextToVideo(net, vocab=9), objective, sgd(0.3), data, 3)


EVEN, UNEVEN = 2, 3  # frames whose tokens are as many on each of two devices; or 8 and 7


@pytest.mark.slow
@pytest.mark.parametrize("frames", [EVEN, UNEVEN])
def test_a_step_along_the_sequence_is_the_step_of_one_device(frames: int) -> None:
    stage = flow(frames)
    _, one, record = drive(stage)
    program, split, other = drive(stage, mesh=SPLIT)
    before, after = (x.params["net"]["blocks"]["cross"]["query"]["kernel"] for x in (program.initial(0), one))
    assert np.abs(np.asarray(after) - np.asarray(before)).max() > 1e-4  # what is compared below has learnt
    assert_close(split, one, rtol=1e-4, atol=1e-5)
    assert_close(other.history.train, record.history.train, rtol=1e-5, atol=1e-6)
    assert other.cost.flops == record.cost.flops


@pytest.mark.slow
def test_a_plan_counts_tokens_where_they_lie() -> None:
    """The inputs of the blocks, which alone are kept of them, are on one device a part of what they were."""

    def kept(mesh: str) -> int:
        plan = Plan.on(mesh)
        plan.train(flow(3))
        return plan.stages[0].bytes_per_device.activations_estimated

    inputs = 2 * 4 * 15 * 8 * 4  # layers, samples, tokens, embed, bytes
    saved = kept("data=1") - kept("data=1,sequence=3")
    assert saved >= 2 / 3 * inputs
    assert saved < 2 / 3 * kept("data=1")
    assert kept("data=1") == kept("data=1,tensor=3")
