"""Pruned kernels: the chosen share is zero, stays zero in training, and the smallest entries go."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax import Stage, running
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.stage import gradient_step, variables
from stagejax.transforms import Reparameterized, merged
from stagejax.transforms.prune import Masked, by_magnitude, cubic_sparsity, prune

BASE = gpt(vocab=260, layers=2, embed=8, heads=2, mlp=16, length=8, scan=True)
MODEL = Reparameterized(BASE, Masked())


def taken_apart():
    module = MODEL.build(nnx.Rngs(0))
    return nnx.to_pure_dict(nnx.state(module, nnx.Param)), variables(module)


@pytest.mark.slow
def test_the_smallest_go_kernel_by_kernel_or_over_all() -> None:
    params, rest = taken_apart()
    up = np.abs(np.asarray(params["blocks"]["mlp"]["up"]["kernel"]["dense"]))
    pruned, masks = prune(params, rest, 0.75)
    mask = np.asarray(masks["blocks"]["mlp"]["up"]["kernel"]["mask"])
    assert (~mask).sum() == 0.75 * mask.size
    assert up[mask].min() > up[~mask].max()
    kernel = np.asarray(pruned["blocks"]["mlp"]["up"]["kernel"]["dense"])
    np.testing.assert_array_equal(kernel, np.where(mask, params["blocks"]["mlp"]["up"]["kernel"]["dense"], 0))
    both, masks = prune(params, rest, 0.75, scope="model")
    kept = [np.asarray(leaf) for leaf in jax.tree.leaves(masks)]
    total = sum(leaf.size for leaf in kept)
    assert abs(sum((~leaf).sum() for leaf in kept) / total - 0.75) < 0.01
    assert len({float((~leaf).mean()) for leaf in kept}) > 1  # some kernels lose more than others
    np.testing.assert_array_equal(both["tokens"]["table"], params["tokens"]["table"])


def test_ties_do_not_change_the_share() -> None:
    assert int((~by_magnitude(jnp.ones(10), 0.3)).sum()) == 3


def pruning_step(part, state, batch, key):
    """A step after which the share of zeros is what the progress asks for."""
    state, metrics = gradient_step(part, state, batch, key)
    params, rest = prune(state.params, state.rest, cubic_sparsity(part.progress(state.step), 0.5))
    return replace(state, params=params, rest=rest), metrics


@pytest.mark.slow
def test_zeros_grow_with_the_progress_and_stay_zero_in_a_stage_without_pruning(tmp_path: Path) -> None:
    data = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=4, length=8)
    stage = Stage("pruned", MODEL, causal_lm, adamw(1e-2), data, steps=4, step=pruning_step)
    with running(tmp_path, "pruning", mesh="data=1") as run:
        pruned = run.train(stage)
        tuned = run.train(replace(stage, name="tuned", step=gradient_step), pruned)
    for result in (pruned, tuned):
        state = result.state()
        kernel = np.asarray(merged(Masked(), state.params, state.rest)["blocks"]["mlp"]["up"]["kernel"])
        assert (kernel == 0).mean() == 0.5
    before, after = (np.asarray(r.state().rest["blocks"]["mlp"]["up"]["kernel"]["mask"]) for r in (pruned, tuned))
    np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_masked_entries_have_no_gradient() -> None:
    params, rest = prune(*taken_apart(), 0.5)
    graphdef, _ = nnx.split(MODEL.build(nnx.Rngs(0)))
    tokens = jnp.arange(8)[None]

    def loss(params):
        return (nnx.merge(graphdef, params, rest)(tokens) ** 2).mean()

    gradient = jax.grad(loss)(params)["blocks"]["mlp"]["down"]["kernel"]["dense"]
    mask = np.asarray(rest["blocks"]["mlp"]["down"]["kernel"]["mask"])
    assert not np.asarray(gradient)[~mask].any()
    assert np.asarray(gradient)[mask].any()
