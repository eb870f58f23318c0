"""Rows that masks are found by: as many entries by any rule that ranks rows, others where other rows use others."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.inference import Frozen
from stagejax.inference.serving import pruning
from stagejax.inference.serving.calibration import Calibration
from stagejax.models import llama
from stagejax.objectives.elastic import parameters
from stagejax.transforms import LoRA

NET = pruning.adapted(llama(vocab=258, embed=16, layers=2, heads=2, mlp=16), LoRA(rank=4))


def rows(seed: int) -> CausalText:
    return CausalText(source=Stdlib(limit=5_000), tokenizer=Bytes(), batch=4, length=16, seed=seed)


@pytest.fixture(scope="module")
def net() -> Frozen:
    """With adapters that are not zero."""
    model = NET.build(nnx.Rngs(0))
    for n, name in enumerate(("query", "key", "value")):
        up = getattr(model.blocks.attention, name).kernel.up
        up[...] = jax.random.normal(jax.random.key(n), up.shape)
    rest = nnx.to_pure_dict(nnx.split(model, nnx.Param, ...)[2])
    return Frozen(NET, parameters(model), rest)


@pytest.mark.slow
def test_masks_of_rules_that_rank_rows_have_as_many_entries_and_are_those_of_their_rows(net: Frozen) -> None:
    few, others = rows(0), rows(1)
    found = Calibration(few, others, others, seed=3)
    masks = {name: getattr(found, name)(net, 0.25) for name in ("by_harm", "by_own_use", "by_size", "at_random")}
    counts = {name: [int(x.sum()) for x in jax.tree.leaves(mask)] for name, mask in masks.items()}
    assert len({tuple(own) for own in counts.values()}) == 1
    expected = pruning.by_use(net, pruning.rows_of(few, found.batches), 0.25)
    jax.tree.map(np.testing.assert_array_equal, masks["by_harm"], expected)
    again = Calibration(few, others, others, seed=4).at_random(net, 0.25)
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (again, masks["at_random"])), strict=True))


def test_what_harm_alone_uses_is_nothing_where_aligned_rows_are_the_same(net: Frozen) -> None:
    same, other = (Calibration(rows(0), rows(0), rows(seed), seed=0) for seed in (0, 1))
    assert not any(x.any() for x in jax.tree.leaves(same.by_harm_alone(net, 0.25)))
    inside: Any = jax.tree.map(
        lambda a, b: not (a & ~b).any(), other.by_harm_alone(net, 0.25), other.by_harm(net, 0.25)
    )
    assert all(jax.tree.leaves(inside))


def test_the_gradient_ranks_whole_tensors(net: Frozen) -> None:
    masks = Calibration(rows(0), rows(0), rows(0), seed=0).by_gradient(net, 0.25)
    assert [int(x.sum()) for x in jax.tree.leaves(masks)] == [-(-x.size // 4) for x in jax.tree.leaves(masks)]
