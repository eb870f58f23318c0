"""Views know where they look: the pixels of an image that holds its own coordinates say the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data.pictures.views import centres, cut, random_views, whole


@pytest.mark.slow
def test_a_view_shows_the_points_that_it_says() -> None:
    side, grid = 32, 4
    middle = (jnp.arange(side) + 0.5) / side
    image = jnp.stack(jnp.meshgrid(middle, middle, indexing="ij"), -1)  # every pixel holds its own place
    views = random_views(jax.random.key(0), 20, area=(0.3, 0.6))
    shown = cut(image, views, 16).reshape(20, grid, 4, grid, 4, 2).mean((2, 4)).reshape(20, grid * grid, 2)
    assert views.mirrored.any()
    assert not views.mirrored.all()
    inner = np.array([5, 6, 9, 10])  # beyond the outermost pixels, at the border, nothing is to be read
    np.testing.assert_allclose(shown[:, inner], centres(views, grid)[:, inner], atol=2e-3)


def test_the_whole_view_is_the_image() -> None:
    image = jax.random.uniform(jax.random.key(0), (12, 12, 3))
    np.testing.assert_allclose(cut(image, whole(), 12)[0], image, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.5), st.floats(0.0, 0.5))
def test_views_stay_in_the_image_and_in_their_bounds(seed: int, least: float, more: float) -> None:
    views = random_views(jax.random.key(seed), 50, area=(least, least + more), ratio=(0.5, 2.0), mirror=0.0)
    area, ratio = views.height * views.width, views.width / views.height
    assert float(area.max()) <= least + more + 1e-5
    assert (views.top >= 0).all()
    assert (views.left >= 0).all()
    assert (views.top + views.height <= 1 + 1e-6).all()
    assert (views.left + views.width <= 1 + 1e-6).all()
    fits = (views.height < 1) & (views.width < 1)
    assert (area[fits] >= least - 1e-5).all()
    assert ((ratio[fits] >= 0.5 - 1e-4) & (ratio[fits] <= 2 + 1e-4)).all()
    assert not views.mirrored.any()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"area": (0.0, 0.5)}, "area="), ({"area": (0.6, 0.5)}, "area="), ({"ratio": (2.0, 1.0)}, "ratio=")],
)
def test_bounds_that_are_none(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        random_views(jax.random.key(0), 2, **options)
