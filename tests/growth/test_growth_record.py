"""What is stored of a growth: the same terms, map by map, for every operator; and another map is noticed."""

from dataclasses import replace

import numpy as np
import pytest
from pairs import NAMES, OPERATORS, SMALL, by_matrices, random_params

from stagejax.growth import FPI, Growth, GrowthError, balanced, by_dual, by_index, by_squared_dual, by_weight
from stagejax.growth.record import difference, record, recorded


@pytest.mark.parametrize(("operator", "small", "large"), OPERATORS, ids=NAMES)
def test_stored_maps_are_the_maps(operator, small, large, tmp_path) -> None:
    """Through a file: parameters, moments and masks move by them alike, to the last bit."""
    growth = Growth(operator, small, large)
    np.savez(tmp_path / "maps.npz", **record(growth))
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as arrays:
        again = recorded(dict(arrays), growth)
        assert difference(growth, dict(arrays)) == ""
    assert again.born == growth.born
    assert again.config == growth.config
    sources = {"small": random_params(small), "init": random_params(large, 1)}
    kinds = [("terms", by_weight), ("terms", by_index), ("moment_terms", by_dual), ("moment_terms", by_squared_dual)]
    for terms, view in kinds:
        made, wanted = (by_matrices(g, sources, getattr(g, terms), view) for g in (again, growth))
        for where, leaf in wanted.items():
            np.testing.assert_array_equal(made[where], leaf, err_msg=where)


def test_another_map_is_named() -> None:
    large = replace(SMALL, mlp=15, heads=3)
    arrays = record(Growth(FPI(), SMALL, large))
    other = difference(Growth(FPI(draw=balanced, seed=3), SMALL, large), arrays)
    assert other == (
        "FPI(draw=balanced, seed=3): terms[0], axis 'kv_heads' where it is on side 'gain': stored is another one "
        "than is made now"
    )
    arrays = record(Growth(FPI(), SMALL, replace(SMALL, mlp=15)))
    more = difference(Growth(FPI(), SMALL, large), arrays)
    assert "terms[0], maps kv_heads: stored is another one" in more


def test_another_version_is_refused() -> None:
    with pytest.raises(GrowthError, match="have version None, and this is version 1"):
        recorded({}, Growth(FPI(), SMALL, SMALL))
