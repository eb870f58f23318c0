"""Text classifiers: padding is no text, and the two views of a text share no place."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import bert, gpt
from stagejax.models.text.text_classifier import TextClassifier
from stagejax.objectives.text.similarity import split_texts

TINY = bert(vocab=40, layers=1, embed=16, heads=2, mlp=32, length=12, dropout=0.2)


@pytest.mark.slow
def test_padding_changes_nothing() -> None:
    model = TextClassifier(TINY, classes=3).build(nnx.Rngs(0))
    text = jnp.array([[1, 9, 12, 2]])
    longer = jnp.pad(text, ((0, 0), (0, 5)))
    np.testing.assert_allclose(model.answers(text), model.answers(longer), rtol=1e-5, atol=1e-6)
    empty = model.embeddings(jnp.zeros((1, 4), int))
    assert bool(jnp.isfinite(empty).all())


@pytest.mark.slow
def test_a_key_draws_dropout() -> None:
    model = TextClassifier(TINY, classes=3, dropout=0.5).build(nnx.Rngs(0))
    text = jnp.array([[1, 9, 12, 2]])
    drawn = [model.answers(text, key=jax.random.key(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0] - drawn[2]).max() > 1e-4


def test_a_decoder_is_refused() -> None:
    with pytest.raises(ValueError, match="causal"):
        TextClassifier(gpt(), classes=2)


def test_views_are_disjoint_halves() -> None:
    tokens, seen = jnp.arange(24).reshape(2, 12) + 1, []

    def embeddings(tokens: Any, key: Any) -> Any:
        seen.append(np.asarray(tokens))
        return jax.nn.one_hot(tokens, 25).sum(1)

    split_texts(SimpleNamespace(embeddings=embeddings), {"tokens": tokens}, jax.random.key(0))
    first, second = seen
    assert first.shape == second.shape == (2, 6)
    for row in range(2):
        assert sorted([*first[row], *second[row]]) == tokens[row].tolist()
        assert sorted(first[row]) == first[row].tolist()
