"""Subsets of layers, tokens and units, as a student starts from them."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from pairs import SMALL, TOKENS, logits, model, random_params

from stagejax.growth import Growth, GrowthError, Subset, evenly, grow, top

DEEP = replace(SMALL, layers=3, vocab=20)


@pytest.mark.slow
def test_chosen_tokens_keep_their_logits() -> None:
    ids = (7, *range(12), 19)
    small, params = replace(DEEP, vocab=14), random_params(DEEP)
    kept = grow(Growth(Subset.of(vocab=ids), DEEP, small), params)
    tokens = TOKENS % len(ids)
    after = model(small, kept)(jnp.asarray(tokens))
    before = model(DEEP, params)(jnp.asarray(np.asarray(ids)[tokens]))
    np.testing.assert_allclose(after, before[..., np.asarray(ids)], rtol=1e-5, atol=1e-5)


def test_the_bottom_layers_are_the_shallower_model() -> None:
    params = random_params(DEEP)
    small = replace(DEEP, layers=2)
    student = grow(Growth(Subset.of(layers=(0, 1)), DEEP, small), params)
    shallow = model(DEEP, params)(jnp.asarray(TOKENS), depth=2)
    np.testing.assert_allclose(logits(small, student), shallow, rtol=1e-5, atol=1e-6)
    ends = grow(Growth(Subset.of(layers=evenly), DEEP, small), params)
    kernel = params["blocks"]["mlp"]["up"]["kernel"]
    np.testing.assert_array_equal(ends["blocks"]["mlp"]["up"]["kernel"], kernel[np.array([0, 2])])


def test_families_and_full_names() -> None:
    old, new = {"layers.encoder": 4, "layers.decoder": 4}, {"layers.encoder": 2, "layers.decoder": 2}
    maps = Subset.of(**{"layers.encoder": top, "layers.decoder": evenly}).terms(old, new)[0].maps
    assert {name: m.write.index.tolist() for name, m in maps.items()} == {
        "layers.encoder": [2, 3],
        "layers.decoder": [0, 3],
    }
    assert set(Subset.of(layers=top).terms(old, new)[0].maps) == set(old)


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        ({"layers": (0,)}, r"1 entries \[0\] of axis 'layers' are chosen, which has 3 and shall have 2. Set layers=1"),
        ({"layers": (0, 3)}, r"\[0, 3\] of axis 'layers' .* choose among 0 to 2"),
        ({"experts": (0,)}, r"Subset\(.*chooses entries of 'experts', but the model has only the axes \['vocab'"),
    ],
)
def test_refused(keep, says) -> None:
    with pytest.raises(GrowthError, match=says):
        _ = Growth(Subset.of(**keep), DEEP, replace(DEEP, layers=2)).terms
