"""Encoders of pairs and of sentences: where they are read, what they do not see, and that pairs are read jointly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import bert
from stagejax.models.text.cross_encoder import CrossEncoder, shared_tokens
from stagejax.models.text.sentence_encoder import SentenceEncoder

ENCODER = bert(vocab=30, layers=1, embed=16, heads=2, mlp=32, length=20, types=4, init_std=0.2)
QUERIES = jnp.array([[1, 5, 6, 7, 0], [1, 8, 9, 0, 0]])
ITEMS = jnp.array([[1, 6, 10, 11, 12, 0, 0], [1, 13, 14, 15, 0, 0, 0]])


@pytest.mark.slow
def test_scores_are_read_at_cls_or_at_the_markers() -> None:
    tokens = jnp.array([[1, 27, 5, 6, 7, 0, 28, 2, 29, 6, 10, 11, 12, 0, 0]])  # [CLS] [S] query [E] [SEP] [T] item
    types = jnp.array([[0, 0, 0, 2, 0, 0, 0, 0, 1, 3, 1, 1, 1, 1, 1]])
    for pool in ("cls", "markers"):
        model = CrossEncoder(ENCODER, 5, 7, pool).build(nnx.Rngs(0))
        x = jax.jit(model.encoder.hidden)(tokens, types=types, mask=tokens != 0)[0]
        expected = model.scorer(x[0])[0] if pool == "cls" else (x[1] + x[6]) / 2 @ x[8]
        np.testing.assert_allclose(jax.jit(model)(QUERIES[:1], ITEMS[:1])[0], expected, rtol=2e-5)


@pytest.mark.slow
def test_padding_is_not_seen_and_each_query_has_its_own_items() -> None:
    model = CrossEncoder(ENCODER, 5, 7, "markers").build(nnx.Rngs(0))
    items = jnp.stack([ITEMS, ITEMS[::-1]])
    before = jax.jit(model.scores)(QUERIES, items)
    single = jax.jit(model)
    np.testing.assert_allclose(before[:, 0], single(QUERIES, ITEMS), rtol=1e-5)
    np.testing.assert_allclose(before[:, 1], single(QUERIES, ITEMS[::-1]), rtol=1e-5)
    model.encoder.tokens.table[...] = model.encoder.tokens.table[...].at[0].set(9.0)
    np.testing.assert_allclose(jax.jit(model.scores)(QUERIES, items), before, rtol=1e-5)


@pytest.mark.slow
def test_a_score_is_no_product_of_a_vector_of_the_query_and_one_of_the_item() -> None:
    tokens = np.random.default_rng(0).integers(4, 27, (2, 24, 7))
    queries, items = jnp.asarray(tokens[0, :, :5]), jnp.asarray(tokens[1])
    every = jnp.broadcast_to(items, (24, 24, 7))

    def rank(model: nnx.Module) -> int:
        return int(np.linalg.matrix_rank(np.asarray(jax.jit(model.scores)(queries, every), np.float64), rtol=1e-5))

    assert rank(CrossEncoder(ENCODER, 5, 7, "markers").build(nnx.Rngs(0))) == 24
    assert rank(SentenceEncoder(ENCODER).build(nnx.Rngs(0))) <= 16


def test_shared_tokens_are_text_of_both_sides() -> None:
    sides = jnp.array([[0, 0, 0, 0, 1, 1, 1, 1]])
    found = shared_tokens(jnp.array([[0, 5, 5, 28, 5, 6, 28, 0]]), sides, 27)
    assert found.tolist() == [[0, 1, 1, 0, 1, 0, 0, 0]]


@pytest.mark.slow
def test_a_dual_encoder_gives_scaled_cosines() -> None:
    model = SentenceEncoder(ENCODER, scale=10.0).build(nnx.Rngs(0))
    u, v = (np.asarray(jax.jit(model)(tokens)) for tokens in (QUERIES, ITEMS))
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(model.similarities)(QUERIES, ITEMS), 10 * u @ v.T, rtol=1e-4, atol=1e-4)
    own = jax.jit(model.scores)(QUERIES, jnp.stack([ITEMS, ITEMS]))
    np.testing.assert_allclose(own, 10 * u @ v.T, rtol=1e-4, atol=1e-4)
    longer = jnp.pad(QUERIES, ((0, 0), (0, 3)))
    np.testing.assert_allclose(jax.jit(model)(longer), u, atol=1e-5)


@pytest.mark.slow
def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="types=3"):
        CrossEncoder(bert(types=3, length=64), 5, 7)
    with pytest.raises(ValueError, match="raise it"):
        CrossEncoder(ENCODER, 12, 12)
    with pytest.raises(ValueError, match="causal=True"):
        SentenceEncoder(bert(causal=True))
    assert jax.eval_shape(CrossEncoder(ENCODER, 5, 7).build(nnx.Rngs(0)), QUERIES, ITEMS).shape == (2,)
