"""The detector of two branches: axes, anchors, RoI alignment against a loop over points, the head's difference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes, path_name
from stagejax.models.vision.matching_detector import MatchingDetector
from stagejax.models.vision.regions import anchors, roi_align

NET = MatchingDetector(((4,), (4, 8)), ((2, 2),), ((8, 4), (8, 6)), None, (2, 3), 6, groups=2)


@pytest.fixture(scope="module")
def model() -> nnx.Module:
    return NET.build(nnx.Rngs(0))


def test_every_axis_has_its_declared_size() -> None:
    model = nnx.eval_shape(lambda: NET.build(nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    named = jax.tree_util.tree_leaves_with_path(axes_of(model), is_leaf=is_axes)
    for (path, axes), leaf in zip(named, leaves, strict=True):
        assert path_name(path).split("/")[0] in ("backbone", "proposer", "head")
        assert tuple(NET.sizes()[name] for name in axes.names) == leaf.shape


def interpolated(feature: np.ndarray, y: float, x: float) -> np.ndarray:
    """The value at a point between the centres of cells; beyond the outermost ones it is theirs."""
    y, x = (min(max(at - 0.5, 0), size - 1) for at, size in zip((y, x), feature.shape, strict=False))
    top, left = min(int(y), feature.shape[0] - 2), min(int(x), feature.shape[1] - 2)
    dy, dx = y - top, x - left
    corners = feature[top : top + 2, left : left + 2]
    return (corners[0, 0] * (1 - dx) + corners[0, 1] * dx) * (1 - dy) + (
        corners[1, 0] * (1 - dx) + corners[1, 1] * dx
    ) * dy


def test_aligned_regions_are_means_of_interpolated_points() -> None:
    rng = np.random.default_rng(0)
    feature, (h, w) = rng.normal(size=(5, 9, 2)).astype(np.float32), (2, 3)
    boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.1, 0.3, 0.75, 0.42], [0.0, 0.9, 1.0, 1.0]], np.float32)
    expected = np.zeros((3, h, w, 2))
    for r, (top, left, bottom, right) in enumerate(boxes):
        for i in range(h):
            for j in range(w):
                points = [
                    interpolated(
                        feature,
                        5 * (top + (bottom - top) * (i + (a + 0.5) / 2) / h),
                        9 * (left + (right - left) * (j + (b + 0.5) / 2) / w),
                    )
                    for a in (0, 1)
                    for b in (0, 1)
                ]
                expected[r, i, j] = np.mean(points, 0)
    np.testing.assert_allclose(roi_align(jnp.asarray(feature), jnp.asarray(boxes), (h, w)), expected, atol=1e-5)


def test_anchors_lie_around_their_cells_and_in_the_image(model: nnx.Module) -> None:
    own = anchors((2, 4), (8, 16), NET.anchors)
    assert own.shape == (2 * 4 * 2, 4)
    np.testing.assert_allclose(own[2], [0, (6 - 2) / 16, 6 / 8, (6 + 2) / 16])  # cell (0, 1), the first shape
    assert own.min() >= 0
    assert own.max() <= 1
    np.testing.assert_array_equal(model.anchors((8, 16)), anchors((4, 8), (8, 16), NET.anchors))


def test_the_head_sees_nothing_but_how_a_region_differs_from_the_query(model: nnx.Module) -> None:
    rng = np.random.default_rng(2)
    regions, shift = (jnp.asarray(rng.normal(size=(1, 1, 5, 2, 3, 8)), jnp.float32) for _ in range(2))
    query = regions[:, :, 0]
    match, by = model.head(regions, query)
    again, moves = model.head(regions + shift[:, :, :1], query + shift[:, :, 0])
    np.testing.assert_allclose(match, again, atol=1e-5)
    np.testing.assert_allclose(by, moves, atol=1e-5)
    mirrored, _ = model.head(2 * query[:, :, None] - regions, query)
    np.testing.assert_allclose(match, mirrored, atol=1e-5)
    assert float(jnp.ptp(match)) > 0


@pytest.mark.slow
def test_proposals_depend_on_the_channels_of_the_query(model: nnx.Module) -> None:
    maps = model.maps(jnp.asarray(np.random.default_rng(3).normal(size=(1, 8, 16, 1)), jnp.float32))
    queries = jnp.ones((1, 2, 2, 3, 8)).at[0, 1, :, :, :4].set(0.0)
    said, _ = model.propose(maps, queries)
    alone, _ = model.propose(maps * (jnp.arange(8) >= 4), queries[:, :1])
    np.testing.assert_allclose(said[:, 1], alone[:, 0], atol=1e-6)
    assert not np.allclose(said[:, 0], said[:, 1])


@pytest.mark.slow
def test_what_lies_beside_a_query_in_its_image_is_not_pooled(model: nnx.Module) -> None:
    ramp = jnp.broadcast_to(jnp.arange(8.0), (1, 1, 8, 8))[..., None]
    half, whole = (model.queries(ramp, jnp.array([[[0.0, left, 1.0, 1.0]]])) for left in (0.5, 0.0))
    alone = roi_align(model.maps(ramp[0])[0], jnp.array([[0.0, 0.5, 1.0, 1.0]]), (2, 3))
    np.testing.assert_allclose(half[0], alone, atol=1e-6)
    assert half.shape == whole.shape == (1, 1, 2, 3, 8)
    assert not np.allclose(half, whole)


@pytest.mark.parametrize(
    ("fields", "says"), [({"pools": ()}, "pools"), ({"pools": ((3, 2),)}, "pools"), ({"groups": 3}, "groups")]
)
def test_a_net_that_cannot_be_is_refused(fields: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        MatchingDetector(**{"blocks": ((4,), (4, 8)), "pools": ((2, 2),), "groups": 2, **fields})
