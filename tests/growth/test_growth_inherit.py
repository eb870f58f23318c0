"""Parameter inheriting with momentum is the stated mixture, at its ends and between them."""

from dataclasses import replace

import numpy as np
import pytest
from pairs import LARGE, SMALL, by_path, random_params

from stagejax.growth import FPI, DirectCopy, Growth, grow
from stagejax.growth.inherit import InheritWithMomentum

FRESH = random_params(LARGE, 1)


@pytest.mark.parametrize("inherit", [FPI(), DirectCopy()])
@pytest.mark.parametrize("momentum", [0.0, 0.7, 1.0])
def test_a_mixture_of_inherited_and_fresh(inherit, momentum) -> None:
    params, others = random_params(SMALL), {"init": FRESH}
    inherited = by_path(grow(Growth(inherit, SMALL, LARGE), params, others=others))
    mixed = by_path(grow(Growth(InheritWithMomentum(momentum, inherit), SMALL, LARGE), params, others=others))
    for where, fresh in by_path(FRESH).items():
        expected = momentum * inherited[where] + (1 - momentum) * fresh
        np.testing.assert_allclose(mixed[where], expected, rtol=1e-5, atol=1e-6, err_msg=where)


def test_the_same_sizes_are_shrink_and_perturb() -> None:
    params, fresh = random_params(SMALL), random_params(SMALL, 1)
    mixed = by_path(grow(Growth(InheritWithMomentum(0.5), SMALL, SMALL), params, others={"init": fresh}))
    for where, old in by_path(params).items():
        np.testing.assert_allclose(mixed[where], (old + by_path(fresh)[where]) / 2, rtol=1e-6, err_msg=where)


def test_moments_follow_what_is_inherited() -> None:
    operator = InheritWithMomentum(0.5)
    assert {t.source for t in operator.moment_terms(SMALL.sizes(), LARGE.sizes())} == {"small"}
    assert {t.source for t in operator.terms(SMALL.sizes(), LARGE.sizes())} == {"small", "init"}


def test_momentum_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"momentum=1\.2"):
        replace(InheritWithMomentum(), momentum=1.2)
