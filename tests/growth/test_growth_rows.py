"""A model grown one layer of one parameter at a time is the one that is grown as a whole."""

from dataclasses import replace

import numpy as np
import pytest
from pairs import OPERATORS, SMALL, by_path, random_params

from stagejax.axes import layers_dim
from stagejax.growth import AKI, Coalesce, Deepen, DirectCopy, Growth, GrowthError, Interpolate, grow
from stagejax.growth.rows import grow_row
from stagejax.models.transformer import Transformer

#: Copies from another layer for each region, maps of every layer, fresh entries, several layers into one.
KINDS = [
    (operator, small, large)
    for operator, small, large in OPERATORS
    if isinstance(operator, AKI | DirectCopy | Coalesce | Deepen) and isinstance(small, Transformer)
]
LEAVES = ("tokens/table", "blocks/attention/query/kernel", "blocks/mlp/up/bias", "blocks/mlp/down/kernel")


@pytest.mark.parametrize(("operator", "small", "large"), KINDS, ids=lambda x: type(x).__name__)
def test_rows_equal_the_whole(operator, small, large) -> None:
    growth, params = Growth(operator, small, large), random_params(small)
    fresh, leaves = by_path(random_params(large, 1)), by_path(params)
    asked: set[int] = set()

    def read(where: str, layers) -> np.ndarray:
        asked.add(len(layers or ()))
        return leaves[where] if layers is None else leaves[where][np.asarray(layers)]

    whole = by_path(grow(growth, params, others={"init": random_params(large, 1)}))
    for where in LEAVES:
        dim = layers_dim(growth.target[where][0])
        rows = [None] if dim is None else range(whole[where].shape[0])
        made = [np.asarray(grow_row(growth, where, row, read, lambda w: fresh[w])) for row in rows]
        got = made[0] if dim is None else np.stack(made)
        np.testing.assert_allclose(got, whole[where], rtol=1e-6, atol=1e-7, err_msg=where)
    assert max(asked) <= 2


def test_another_source_is_refused() -> None:
    operator = Interpolate(0.5, Deepen())
    with pytest.raises(GrowthError, match="also needs \\['large'\\]"):
        grow_row(Growth(operator, SMALL, replace(SMALL, layers=4)), "tokens/table", None, lambda where, layers: None)
