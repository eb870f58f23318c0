"""One-shot pruning: norms are those of what the factors read, padding counts not, gradients, masks in their places."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.inference.knowledge.residual import read_by_attention
from stagejax.inference.serving.pruning import (
    adapted,
    factors,
    gradient_scores,
    pruned,
    squares_read,
    top,
    wanda_scores,
)
from stagejax.models import bert, llama
from stagejax.objectives import causal_lm
from stagejax.objectives.elastic import parameters
from stagejax.transforms import LoRA

NET = llama(vocab=32, embed=8, layers=2, heads=2, kv_heads=1, mlp=16, scan=True)
TOKENS = np.array([[1, 5, 6, 7, 2, 0], [1, 9, 2, 0, 0, 0]], np.int32)


@pytest.fixture(scope="module")
def model() -> Any:
    """With adapters that are not zero."""
    made = adapted(NET, LoRA(rank=4)).build(nnx.Rngs(0))
    for n, name in enumerate(("query", "key", "value")):
        up = getattr(made.blocks.attention, name).kernel.up
        up[...] = jax.random.normal(jax.random.key(n), up.shape)
    return made


@pytest.mark.slow
def test_norms_are_of_what_each_factor_reads_and_padding_counts_not(model: Any) -> None:
    @jax.jit
    def both(tokens: Any) -> Any:
        return squares_read(model, tokens), squares_read(model, tokens[:, :5]), read_by_attention(model, tokens)

    squares, short, x_read = both(jnp.asarray(TOKENS))  # the second with less padding
    there = TOKENS > 0
    read = np.asarray(model.blocks.attention_norm.gain[...])
    stream = model.embed(jnp.asarray(TOKENS), jnp.arange(6)[None], None)  # what the first block reads
    x = np.asarray(stream / jnp.sqrt(jnp.mean(stream**2, -1, keepdims=True) + NET.norm_eps)) * read[0]
    np.testing.assert_allclose(squares["key"]["down"][0], (x[there] ** 2).sum(0) / 2, rtol=1e-4)
    for name, own in factors(parameters(model)).items():
        inner = np.asarray(x_read) @ np.asarray(own["down"])[:, None]
        np.testing.assert_allclose(squares[name]["up"], (inner[:, there] ** 2).sum(1) / 2, rtol=1e-4)
    np.testing.assert_allclose(short["value"]["up"], squares["value"]["up"], rtol=1e-4)
    with pytest.raises(ValueError, match="post"):
        read_by_attention(bert(vocab=32, embed=8, heads=2, causal=True).build(nnx.Rngs(0)), jnp.asarray(TOKENS))


def test_scores_of_batches_are_those_of_all_rows_and_of_no_rows_magnitudes(model: Any) -> None:
    score = jax.jit(lambda rows: wanda_scores(model, rows))
    whole, parts = (score(jnp.asarray(rows)) for rows in (TOKENS[None], TOKENS[:, None]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), whole, parts)
    own, alone = factors(parameters(model)), wanda_scores(model, jnp.asarray(TOKENS[None][:0]))
    np.testing.assert_array_equal(alone["query"]["up"], np.abs(own["query"]["up"]))
    assert not np.allclose(whole["query"]["down"] / whole["query"]["down"].max(), alone["query"]["down"])


def test_the_gradient_is_that_of_the_loss(model: Any) -> None:
    batch = {"tokens": jnp.asarray(TOKENS)}
    scores = jax.jit(lambda: gradient_scores(model, batch))()
    up, step = model.blocks.attention.value.kernel.up, 1e-2
    first = up[...]

    loss_of = jax.jit(lambda graphdef, state: causal_lm(nnx.merge(graphdef, state), batch, None)[0], static_argnums=0)

    def loss(moved: float) -> float:
        up[...] = first.at[1, 2, 0, 3].add(moved)
        value = float(loss_of(*nnx.split(model)))
        up[...] = first
        return value

    slope = (loss(step) - loss(-step)) / (2 * step)
    np.testing.assert_allclose(scores["value"]["up"][1, 2, 3], abs(slope * float(first[1, 2, 0, 3])), rtol=0.05)


def test_masks_are_put_on_the_adapters_alone(model: Any) -> None:
    before = parameters(model)
    masks = top(wanda_scores(model, jnp.asarray(TOKENS[None])[:0]), 0.25)
    after = pruned(before, masks)
    kernel = after["blocks"]["attention"]["query"]["kernel"]
    assert (np.asarray(kernel["down"]) == 0).mean() == 0.25
    assert ((np.asarray(kernel["up"]) == 0).sum(1) == 1).all()  # of rank 4, one for each output
    np.testing.assert_array_equal(factors(after)["query"]["up"] == 0, masks["query"]["up"])
    assert kernel["frozen"] is before["blocks"]["attention"]["query"]["kernel"]["frozen"]
    assert after["blocks"]["mlp"] is before["blocks"]["mlp"]
