"""Staged training's operator, noise, asymmetry and schedules: what their papers say of them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pairs import SMALL, WIDE, by_matrices, by_path, outputs, random_params

from stagejax.growth import (
    LEMON,
    BlockDiagonal,
    Growth,
    Net2Net,
    by_dual,
    by_squared_dual,
    by_weight,
    gradual_stacking,
    grow,
    multi_stage_layerwise,
    proportional,
)

DOUBLE = replace(SMALL, embed=16, heads=4, mlp=24)


@pytest.mark.slow
def test_block_diagonal_gradients_are_the_duals() -> None:
    """Off the diagonal as well: every block of a doubled kernel has half the gradient of the source's."""
    growth = Growth(BlockDiagonal(), SMALL, DOUBLE)
    with jax.enable_x64(True):
        params = random_params(SMALL)
        loss = lambda p, c: jnp.sum(jnp.sin(outputs(c, p)))  # noqa: E731
        before, after = jax.grad(loss)(params, SMALL), jax.grad(loss)(grow(growth, params), DOUBLE)
        wanted = by_matrices(growth, {"small": before}, growth.moment_terms, by_dual)
        for where, leaf in by_path(after).items():
            np.testing.assert_allclose(leaf, wanted[where], atol=1e-10, err_msg=where)


def test_block_diagonal_moments_are_halves_and_quarters() -> None:
    """As published, but for the blocks off the diagonal; the final norm's are kept."""
    growth, params = Growth(BlockDiagonal(), SMALL, DOUBLE), random_params(SMALL)
    old = by_path(params)
    new = by_matrices(growth, {"small": params}, growth.terms, by_weight)
    up, kernel = "blocks/mlp/up/kernel", old["blocks/mlp/up/kernel"]
    np.testing.assert_allclose(new[up][:, :8, :12], kernel)
    np.testing.assert_allclose(new[up][:, 8:, 12:], kernel)
    assert not new[up][:, 8:, :12].any()
    assert not new[up][:, :8, 12:].any()
    np.testing.assert_allclose(new["norm/gain"], np.tile(old["norm/gain"], 2) / 2)
    for view, share in ((by_dual, 1 / 2), (by_squared_dual, 1 / 4)):
        moved = by_matrices(growth, {"small": params}, growth.moment_terms, view)
        np.testing.assert_allclose(moved[up], np.tile(kernel, (1, 2, 2)) * share)
        np.testing.assert_allclose(moved["norm/gain"], np.tile(old["norm/gain"], 2))


def test_noise_is_on_kernels_that_write_new_units() -> None:
    large = replace(SMALL, mlp=21)
    sources = {"small": random_params(SMALL), "init": random_params(large, 1)}
    plain, noisy = (
        by_matrices(growth, sources, growth.terms, by_weight)
        for growth in (Growth(Net2Net(noise=n), SMALL, large) for n in (0.0, 0.1))
    )
    fresh = by_path(sources["init"])
    for where in plain:
        added = noisy[where] - plain[where]
        if where == "blocks/mlp/up/kernel":
            np.testing.assert_allclose(added[..., 12:], 0.1 * fresh[where][..., 12:], atol=1e-6)
            assert not added[..., :12].any()
        else:
            assert not added.any(), where


@pytest.mark.slow
def test_unequal_shares_tell_copies_apart() -> None:
    """Copies of a unit have gradients in proportion to their shares: equal ones never learn apart, these do."""
    large = replace(WIDE, mlp=24)
    growth = Growth(LEMON(), WIDE, large)
    shares = growth.terms[0].maps["mlp"].read.weight
    params = random_params(WIDE)
    gradient = by_path(jax.grad(lambda p: jnp.sum(jnp.sin(outputs(large, p))))(grow(growth, params)))
    up = gradient["blocks/mlp/up/kernel"]
    assert np.abs(shares[:12] - shares[12:]).min() > 1e-3
    np.testing.assert_allclose(up[..., 12:] * shares[:12], up[..., :12] * shares[12:], atol=1e-5)
    assert np.abs(up[..., 12:] - up[..., :12]).max() > 1e-3 * np.abs(up).max()


def test_schedules_use_all_steps() -> None:
    for power in (0.0, 1.0, 2.0):
        phases = gradual_stacking(12, 3, steps=100, power=power)
        assert [depth for depth, _ in phases] == [3, 6, 9, 12]
        assert sum(steps for _, steps in phases) == 100
        assert sorted(phases, key=lambda phase: phase[1]) == phases
    for joint in (0.0, 0.3):
        phases = multi_stage_layerwise(6, 2, steps=50, joint=joint)
        assert sum(steps for *_, steps in phases) == 50
        assert phases[-1][:2] == ((6, 0) if joint else (6, 3))
    with pytest.raises(ValueError, match="block=5 does not divide layers=12"):
        gradual_stacking(12, 5, steps=10)
    with pytest.raises(ValueError, match="phases=4 do not divide layers=6"):
        multi_stage_layerwise(6, 4, steps=10)
    with pytest.raises(ValueError, match=r"depths=\[3, 2\] over steps=10: give growing depths"):
        proportional([3, 2], steps=10)
