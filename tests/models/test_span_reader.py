"""A span reader sees both sides, no padding, and is told what stands on both where it has four types."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import bert
from stagejax.models.text.span_reader import SpanReader

TYPES = jnp.array([[0, 0, 0, 1, 1, 1]])


def logits(types: int, tokens: list[int], sides: jnp.ndarray = TYPES) -> np.ndarray:
    net = bert(layers=1, embed=16, heads=2, mlp=16, types=types, vocab=32, init_std=0.5)
    return np.asarray(SpanReader(net).build(nnx.Rngs(0)).places(jnp.array([tokens]), sides)[0])


@pytest.mark.slow
def test_padding_is_not_seen_and_both_sides_are() -> None:
    short = logits(2, [1, 9, 2, 8, 9, 2])
    long = logits(2, [1, 9, 2, 8, 9, 2, 0, 0], jnp.pad(TYPES, ((0, 0), (0, 2))))
    np.testing.assert_allclose(short, long[:6], atol=1e-4)
    assert np.abs(short - logits(2, [1, 7, 2, 8, 9, 2])).max() > 1e-3  # another question


@pytest.mark.slow
def test_types_matter_where_there_are_any() -> None:
    tokens, other = [1, 9, 2, 8, 9, 2], jnp.ones_like(TYPES)
    assert (logits(0, tokens) == logits(0, tokens, other)).all()
    assert np.abs(logits(2, tokens) - logits(2, tokens, other)).max() > 1e-3


@pytest.mark.parametrize("fields", [{"types": 3}, {"types": 2, "causal": True}])
def test_what_is_no_encoder_of_pairs_is_an_error(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="0, 2 or 4 types"):
        SpanReader(bert(layers=1, embed=16, heads=2, **fields))
