"""Generator and discriminator with one table of tokens, and encoders that tag."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.apart import take_apart
from stagejax.models import bert, gpt
from stagejax.models.text.electra import Electra

SMALL = bert(vocab=20, layers=1, embed=8, heads=2, length=6)
TOKENS = jnp.array([[1, 5, 6, 7, 2], [1, 9, 9, 4, 2]])


@pytest.mark.slow
def test_tables_are_there_once_and_both_models_train_them() -> None:
    graphdef, axes, params, _ = take_apart(Electra(SMALL, SMALL))
    assert {"tokens", "positions"} <= set(params["encoder"])
    assert not {"tokens", "positions"} & set(params["generator"])
    assert jax.tree.structure(params) == jax.tree.structure(axes, is_leaf=lambda x: hasattr(x, "names"))
    values = nnx.to_pure_dict(nnx.state(Electra(SMALL, SMALL).build(nnx.Rngs(0)), nnx.Param))

    def of_table(function: Any) -> np.ndarray:
        gradient = jax.jit(jax.grad(lambda p: function(nnx.merge(graphdef, p)).sum()))(values)
        return np.asarray(gradient["encoder"]["tokens"]["table"])

    apart = [of_table(lambda m: m.generator(TOKENS) ** 2), of_table(lambda m: m.verdicts(TOKENS) ** 2)]
    both = of_table(lambda m: (m.generator(TOKENS) ** 2).sum() + (m.verdicts(TOKENS) ** 2).sum())
    assert all(np.abs(one).max() > 0 for one in apart)
    np.testing.assert_allclose(both, sum(apart), rtol=1e-4, atol=1e-6)


def test_a_pair_that_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="embed"):
        Electra(SMALL, bert(vocab=20, layers=1, embed=16, heads=2, length=6))
    with pytest.raises(ValueError, match="whole rows"):
        Electra(SMALL, gpt(vocab=20, layers=1, embed=8, heads=2, length=6))
