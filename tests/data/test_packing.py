"""Packed documents: all there, none cut, and a model sees each as if it were alone."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings

from stagejax.data.language.packing import Packed, documents, next_fit
from stagejax.models import llama


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=20), st.integers(7, 12))
def test_every_document_is_whole_and_in_one_row(sizes: list[int], length: int) -> None:
    made = [(np.arange(100 * i, 100 * i + size + 1), np.full(size, i + 1.0)) for i, size in enumerate(sizes)]
    data = Packed(of="x", arrays=documents(made), batch=1, length=length)
    rows = data.take(np.arange(data.size()))
    found = {}
    for row in range(data.size()):
        for segment in range(1, rows["segments"][row].max() + 1):
            here = rows["segments"][row] == segment
            tokens = rows["tokens"][row][here]
            np.testing.assert_array_equal(rows["targets"][row][here], tokens + 1)
            np.testing.assert_array_equal(rows["positions"][row][here], np.arange(here.sum()))
            np.testing.assert_array_equal(rows["weights"][row][here], tokens // 100 + 1)
            found[int(tokens[0]) // 100] = len(tokens)
    assert found == dict(enumerate(sizes))
    assert (rows["weights"] > 0).sum() == sum(sizes)


@pytest.mark.slow
def test_documents_in_a_row_do_not_see_each_other() -> None:
    made = [(np.array([1, 5, 6, 2]), np.ones(3)), (np.array([1, 9, 2]), np.ones(2))]
    batch = Packed(of="x", arrays=documents(made), batch=1, length=8).take(np.arange(1))
    model = llama(vocab=12, embed=16, layers=2, heads=2, mlp=16).build(nnx.Rngs(0))
    both = jax.jit(lambda t, p, s: model(t, positions=p, segments=s))(
        batch["tokens"], batch["positions"], batch["segments"]
    )
    alone = model(jnp.asarray(made[1][0][None, :-1]))
    here = np.flatnonzero((batch["tokens"][0] == 9) | (np.roll(batch["tokens"][0], -1) == 9))
    np.testing.assert_allclose(both[0, here], alone[0], atol=1e-5)


def test_a_document_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="document 1 predicts 9 tokens, but a row holds 8"):
        next_fit([3, 9], 8)
