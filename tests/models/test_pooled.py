"""The pooled first token: the language head at some places, the pair's head on tanh, and what padding cannot change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import bert
from stagejax.models.text.pooled import PooledClassifier
from stagejax.objectives.language import masked_lm
from stagejax.objectives.text.next_sentence import masked_and_next

CONFIG = PooledClassifier(
    bert(vocab=30, layers=2, embed=16, heads=2, mlp=32, length=12, types=2, init_std=0.2), classes=2
)
TOKENS = jax.random.randint(jax.random.key(0), (3, 9), 4, 30).at[1, 7:].set(0)
TYPES = jnp.array([[0] * 4 + [1] * 5] * 3)


@pytest.mark.slow
def test_chosen_places_have_the_logits_that_the_whole_head_gives() -> None:
    model = CONFIG.build(nnx.Rngs(0))
    places = jnp.array([[1, 3], [6, 2], [0, 8]])
    masked, pair = model.both(TOKENS, TYPES, places_BM=places)
    whole = model(TOKENS, types=TYPES, mask=TOKENS != 0)
    np.testing.assert_allclose(masked, jnp.take_along_axis(whole, places[..., None], 1), atol=1e-5)
    first = model.encoder.hidden(TOKENS, types=TYPES, mask=TOKENS != 0)[:, 0]
    pooled = jnp.tanh(first @ model.pooler.kernel[...] + model.pooler.bias[...])
    np.testing.assert_allclose(pair, pooled @ model.head.kernel[...] + model.head.bias[...], atol=1e-5)


@pytest.mark.slow
def test_padding_changes_no_answer_and_types_do() -> None:
    model = CONFIG.build(nnx.Rngs(0))
    longer = jnp.pad(TOKENS, ((0, 0), (0, 3)))
    np.testing.assert_allclose(model.answers(longer), model.answers(TOKENS), atol=1e-5)
    one_type = model.both(TOKENS, jnp.zeros_like(TYPES), places_BM=jnp.zeros((3, 1), int))[1]
    np.testing.assert_allclose(one_type, model.answers(TOKENS), atol=1e-5)
    assert jnp.abs(model.both(TOKENS, TYPES, places_BM=jnp.zeros((3, 1), int))[1] - one_type).max() > 1e-3


def test_the_loss_is_that_of_masked_tokens_plus_that_of_next_sentences() -> None:
    model = CONFIG.build(nnx.Rngs(0))
    places, weights = jnp.array([[1, 3], [6, 2], [2, 8]]), jnp.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    targets, following = jnp.array([[5, 6], [7, 29], [8, 9]]), jnp.array([0, 1, 1])
    batch = {
        "tokens": TOKENS, "types": TYPES, "places": places, "targets": targets, "weights": weights,
        "letters": jnp.array([[1.0, 4.0], [2.0, 9.0], [3.0, 2.0]]), "random_next": following,
    }  # fmt: skip
    loss, metrics = masked_and_next(model, batch, None)
    rows = jnp.arange(3)[:, None]
    dense = {
        "tokens": TOKENS, "types": TYPES, "mask": TOKENS != 0,
        "targets": jnp.zeros_like(TOKENS).at[rows, places].set(targets),
        "weights": jnp.zeros(TOKENS.shape).at[rows, places].set(weights),
    }  # fmt: skip
    reference, _ = masked_lm(model, dense, None)
    pair = jax.nn.log_softmax(model.both(TOKENS, TYPES, places_BM=places)[1])[jnp.arange(3), following]
    np.testing.assert_allclose(loss, reference - pair.mean(), rtol=1e-5)
    total, letters = metrics["per_letter"]
    np.testing.assert_allclose(total / letters, 5 * reference / 12, rtol=1e-5)
    assert float(metrics["next"][1]) == 3
