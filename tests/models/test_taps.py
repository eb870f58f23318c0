"""Taps: reading changes nothing, an edit reaches the blocks above alone, masks stay where they are put."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import llama
from stagejax.models.taps import Watched, tapped

NET = llama(vocab=32, embed=8, layers=3, heads=2, mlp=16, tied=True)
TOKENS = jax.random.randint(jax.random.key(0), (2, 6), 4, 32)


@pytest.fixture(scope="module")
def model() -> nnx.Module:
    return NET.build(nnx.Rngs(0))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, 2])
def test_reading_changes_nothing(model: nnx.Module, depth: int) -> None:
    hidden, stream = tapped(model, TOKENS, depth)
    np.testing.assert_allclose(hidden, model.hidden(TOKENS), atol=1e-5)
    if depth:
        np.testing.assert_allclose(model.norm(stream), model.hidden(TOKENS, depth=depth), atol=1e-5)
    else:
        np.testing.assert_allclose(stream, model.tokens(TOKENS), atol=1e-6)


def test_what_is_edited_is_read_above_and_returned(model: nnx.Module) -> None:
    hidden, stream = tapped(model, TOKENS, 3, lambda x: 0 * x + 1)
    np.testing.assert_array_equal(stream, np.ones((2, 6, 8)))
    np.testing.assert_allclose(hidden, model.norm(jnp.ones((2, 6, 8))), atol=1e-6)
    below = tapped(model, TOKENS, 1, lambda x: 2 * x)[1]
    np.testing.assert_allclose(below, 2 * tapped(model, TOKENS, 1)[1], atol=1e-6)


def test_a_scan_reads_the_same(model: nnx.Module) -> None:
    scanned = replace(NET, scan=True).build(nnx.Rngs(0))
    for one, other in zip(tapped(model, TOKENS, 2), tapped(scanned, TOKENS, 2), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    with pytest.raises(ValueError, match="depth=4"):
        tapped(scanned, TOKENS, 4)


def test_only_kept_coordinates_of_the_stream_are_read_above() -> None:
    watched = Watched(NET, checkpoints=2, texts=2).build(nnx.Rngs(0))
    np.testing.assert_allclose(watched.masked(TOKENS), watched(TOKENS), atol=1e-5)
    kept = jnp.ones(8).at[jnp.array([2, 5])].set(0.0)
    watched.kept[...] = kept
    seen = watched.embeddings(TOKENS, watched.without_dropped)
    assert (seen[:, [2, 5]] == 0).all()
    np.testing.assert_allclose(seen, watched.embeddings(TOKENS) * kept, atol=1e-6)  # no rescaling
    stream = tapped(watched.net, TOKENS, 2)[1] * kept
    above = tapped(watched.net, TOKENS, 2, lambda _: stream)[0]
    np.testing.assert_allclose(watched.masked(TOKENS), watched.net.logits(above), atol=1e-5)
    assert jnp.abs(watched.masked(TOKENS) - watched(TOKENS)).max() > 1e-3  # called, it reads all


def test_a_sentence_is_what_stands_at_its_second_to_last_token() -> None:
    watched = Watched(NET, checkpoints=2, texts=2).build(nnx.Rngs(0))
    rows = TOKENS.at[0, 4:].set(0)
    found, stream = watched.embeddings(rows), tapped(watched.net, rows, 2)[1]
    np.testing.assert_array_equal(found, jnp.stack([stream[0, 2], stream[1, 4]]))
    with pytest.raises(ValueError, match="second-to-last"):
        Watched(replace(NET, layers=1), checkpoints=2, texts=2)
