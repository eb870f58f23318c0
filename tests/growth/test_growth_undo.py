"""Every growth that can be undone gives its source again; the others say why not."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from pairs import NAMES, OPERATORS, SMALL, by_path, random_params

from stagejax.audit import recovered
from stagejax.growth import MSG, Decoalesce, Growth, GrowthError, Interpolate, Undo, grow

#: Pairs whose way back is none, and what is said then.
REFUSED = {
    "Subset": "no way back|nowhere",
    "InheritWithMomentum": "mixes in",
    "Net2Net": "mixes in",
    "Upcycle": "no counterpart|no way back",
    "GranularUpcycle": "no counterpart|no way back",
    "DropUpcycle": "no counterpart|no way back",
    "MSG": "no counterpart",
}


def kind_of(operator) -> str:
    return type(operator).__name__


def refused(operator, small, large) -> bool:
    if isinstance(operator, MSG):
        return getattr(small, "depths", None) != getattr(large, "depths", None)  # whole blocks were born
    return kind_of(operator) in REFUSED and getattr(operator, "noise", True) != 0


#: The last pair of each of these stands for all in a quick run.
QUICK = {kind_of(pair[0]): name for pair, name in zip(OPERATORS, NAMES, strict=True)}
QUICK = {QUICK[kind] for kind in ("LEMON", "ZeroInit", "BlockDiagonal", "IdentityBlocks", "AKI", *REFUSED)}
PAIRS = [
    pytest.param(*pair, id=name, marks=[] if name in QUICK else pytest.mark.slow)
    for pair, name in zip(OPERATORS, NAMES, strict=True)
]


@pytest.mark.parametrize(
    ("operator", "small", "large"),
    [p for p in PAIRS if not refused(*p.values) and kind_of(p.values[0]) != "Coalesce"],  # which loses what it merges
)
def test_the_source_comes_back(operator, small, large) -> None:
    growth, params = Growth(operator, small, large), random_params(small)
    grown = grow(growth, params, others={"init": random_params(large, 1)})
    assert recovered(growth, params, grown) < 1e-5


@pytest.mark.parametrize(("operator", "small", "large"), [p for p in PAIRS if refused(*p.values)])
def test_no_way_back_is_said(operator, small, large) -> None:
    with pytest.raises(GrowthError, match=REFUSED[kind_of(operator)]):
        _ = Growth(Undo(operator), large, small).terms


def test_mixtures_have_no_way_back() -> None:
    with pytest.raises(GrowthError, match=r"mixes in \['large'\]"):
        _ = Growth(Undo(Interpolate(0.5, Decoalesce())), replace(SMALL, mlp=24), SMALL).terms


def test_the_way_back_of_trained_weights_is_the_nearest_source() -> None:
    """Least squares: the residual of growing it again is orthogonal to all that the growth can make."""
    large = replace(SMALL, mlp=24)
    growth = Growth(Decoalesce(), SMALL, large)
    with jax.enable_x64(True):
        trained = random_params(large, 3)
        back = grow(Growth(Undo(Decoalesce()), large, SMALL), trained)
        again = by_path(grow(growth, back))
        probe = by_path(grow(growth, random_params(SMALL, 4)))
        for where, leaf in by_path(trained).items():
            assert abs(np.sum((leaf - again[where]) * probe[where])) < 1e-10
