"""The convolutional text classifier: against windows taken one by one, padding, and dropout."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.text.text_cnn import TextCNN

CONFIG = TextCNN(vocab=30, classes=3, embed=5, filters=4, widths=(2, 3))
MODEL = CONFIG.build(nnx.Rngs(0))
TOKENS = jnp.array([[5, 6, 7, 8, 9, 0, 0], [3, 4, 0, 0, 0, 0, 0]])


def test_features_are_the_largest_value_over_windows_taken_one_by_one() -> None:
    table = np.asarray(MODEL.table.table[...])
    for row, features_WF in zip(np.asarray(TOKENS), np.asarray(MODEL.features(TOKENS)), strict=True):
        text = [table[token] for token in row if token]
        for width, found_F in zip(CONFIG.widths, features_WF, strict=True):
            dense = MODEL.windows[str(width)]
            padded = np.array(text + [np.zeros(5)] * (width - 1))
            windows = [np.einsum("we,wef->f", padded[i : i + width], dense.kernel[...]) for i in range(len(text))]
            np.testing.assert_allclose(found_F, np.maximum(np.max(windows, axis=0), 0), atol=1e-5)


def test_padding_changes_nothing() -> None:
    np.testing.assert_allclose(MODEL(TOKENS), MODEL(jnp.pad(TOKENS, ((0, 0), (0, 4)))), atol=1e-6)


def test_a_key_draws_dropout_and_nothing_else_is_random() -> None:
    np.testing.assert_array_equal(MODEL(TOKENS), MODEL(TOKENS))
    assert not np.allclose(MODEL(TOKENS), MODEL(TOKENS, key=jax.random.key(0)))


def test_a_wrong_configuration_is_refused() -> None:
    for fields in ({"widths": ()}, {"widths": (2, 2)}, {"dropout": 1.0}):
        with pytest.raises(ValueError, match="widths="):
            TextCNN(vocab=30, classes=3, **fields)
