"""New rows of tables, and other resolutions of positions and patches."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pairs import IMAGE, POST, SMALL, by_matrices, logits, model, random_params

from stagejax.growth import AddRows, Growth, GrowthError, Resample, by_dual, by_weight, grow, resize_matrix


@pytest.mark.parametrize(("old", "new"), [(4, 9), (9, 4), (3, 3), (1, 5)])
def test_lines_are_resized_as_images_are(old: int, new: int) -> None:
    for method in ("linear", "cubic"):
        wanted = jax.image.resize(np.eye(old, dtype=np.float32), (new, old), method)
        np.testing.assert_allclose(resize_matrix(old, new, method), wanted, atol=1e-6)
    with pytest.raises(ValueError, match="method='lanczos' is unknown: choose one of"):
        resize_matrix(2, 3, "lanczos")


def test_logits_of_old_tokens_stay() -> None:
    small, large = SMALL, replace(SMALL, vocab=17)
    with jax.enable_x64(True):
        params = random_params(small)
        before, after = logits(small, params), logits(large, grow(Growth(AddRows(), small, large), params))
    np.testing.assert_allclose(after[..., :13], before, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(after[..., 13:], np.broadcast_to(before.mean(-1, keepdims=True), after[..., 13:].shape))


def test_a_head_with_a_bias_keeps_its_softmax() -> None:
    """New tokens have no probability, or one below rounding; without that, or without a bias, old ones lose some."""
    large = replace(POST, vocab=17)
    with jax.enable_x64(True):
        params = random_params(POST)
        before = jax.nn.log_softmax(logits(POST, params))
        for bias, least, most in ((-np.inf, 0, 1e-14), (-30.0, 0, 1e-10), (None, 1e-2, np.inf)):
            grown = grow(Growth(AddRows(bias=bias), POST, large), params)
            after = jax.nn.log_softmax(logits(large, grown))
            assert least <= np.abs(after[..., :13] - before).max() <= most
            assert bias != -np.inf or np.all(np.exp(after[..., 13:]) == 0)
    with pytest.raises(GrowthError, match=r"AddRows\(bias=-30.0\) sets .* 'vocab', but no .* Leave `bias` out"):
        _ = Growth(AddRows(bias=-30.0), SMALL, replace(SMALL, vocab=17)).terms


def test_a_larger_patch_gives_what_the_smaller_gave() -> None:
    """Every patch of the image resized, the kernel by the dual of that: the same tokens, so the same logits."""
    small = replace(IMAGE, layers=1)
    large = replace(small, image=10, patch=5)
    images = np.random.RandomState(0).normal(size=(2, 2, 2, 2, 2, 2))  # images, rows, columns, their pixels, channels
    for method in ("linear", "cubic"):
        matrix = resize_matrix(2, 5, method)
        resized = np.einsum("ip,jq,byxpqc->byixjc", matrix, matrix, images).reshape(2, 10, 10, 2)
        with jax.enable_x64(True):
            params = random_params(small)
            grown = grow(Growth(Resample(method, grid=True), small, large), params)
            before = model(small, params).tokens(jnp.asarray(images.swapaxes(2, 3).reshape(2, 4, 4, 2)))
            after = model(large, grown).tokens(jnp.asarray(resized))
        np.testing.assert_allclose(after, before, rtol=1e-10, atol=1e-12)


def test_positions_on_a_grid_are_an_image_and_class_tokens_keep_theirs() -> None:
    small = replace(IMAGE, pool="class")
    large = replace(small, image=8)
    growth, table = Growth(Resample("cubic", grid=True), small, large), "positions/table"
    params = random_params(small)
    old = np.asarray(params["positions"]["table"])
    new = by_matrices(growth, {"small": params}, growth.terms, by_weight)[table]
    np.testing.assert_allclose(new[0], old[0])
    wanted = jax.image.resize(old[1:].reshape(2, 2, 8), (4, 4, 8), "cubic").reshape(16, 8)
    np.testing.assert_allclose(new[1:], wanted, atol=1e-6)
    moved = by_matrices(growth, {"small": params}, growth.moment_terms, by_dual)[table]
    np.testing.assert_allclose(new.T @ moved, old.T @ old, atol=1e-5)  # gradients: AᵀD is the identity
    back = Growth(Resample(grid=True), large, small)
    assert by_matrices(back, {"small": random_params(large)}, back.terms, by_weight)[table].shape == (5, 8)
    with pytest.raises(
        GrowthError, match=r"'position' goes 4 -> 5, which is 2 x 2 places behind 0 tokens, and 2 x 2 behind 1"
    ):
        Resample(grid=True).terms({"position": 4}, {"position": 5})
