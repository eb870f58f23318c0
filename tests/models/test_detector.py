"""The grid detector: boxes stay in their cells, axes have their sizes, parts lie where the freeze rules look."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes, path_name
from stagejax.models.vision.detector import Detector

NET = Detector(image=16, channels=(4, 6, 6), neck=4, halvings=2)


def test_every_axis_has_its_declared_size() -> None:
    model = nnx.eval_shape(lambda: NET.build(nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    named = jax.tree_util.tree_leaves_with_path(axes_of(model), is_leaf=is_axes)
    for (path, axes), leaf in zip(named, leaves, strict=True):
        assert path_name(path).split("/")[0] in ("backbone", "neck", "head")
        assert tuple(NET.sizes()[name] for name in axes.names) == leaf.shape


def test_the_default_has_the_parameters_of_the_dossier() -> None:
    params = nnx.to_pure_dict(nnx.state(nnx.eval_shape(lambda: Detector().build(nnx.Rngs(0))), nnx.Param))
    sizes = {part: sum(leaf.size for leaf in jax.tree.leaves(own)) for part, own in params.items()}
    assert 55_000 < sizes["backbone"] < 65_000
    assert 38_000 < sizes["neck"] + sizes["head"] < 55_000


@pytest.mark.slow
def test_boxes_are_centred_in_their_cells_and_start_with_the_prior() -> None:
    model = NET.build(nnx.Rngs(0))
    model.head.box.bias[...] = jnp.array([3.0, -3.0, 0.0, 0.0])
    output = model(jax.random.uniform(jax.random.key(1), (2, 16, 16, 1)))
    boxes = np.asarray(output["boxes"]).reshape(2, 4, 4, 4)
    cells = (boxes[..., :2] + boxes[..., 2:]) / 2 * 4
    rows, columns = np.meshgrid(np.arange(4), np.arange(4), indexing="ij")
    np.testing.assert_array_equal(np.floor(cells), np.broadcast_to(np.stack([rows, columns], -1), cells.shape))
    np.testing.assert_allclose(boxes[..., 2:] - boxes[..., :2], NET.prior, rtol=0.2)
    np.testing.assert_allclose(jax.nn.sigmoid(output["objectness"]), NET.rare, rtol=0.2)


def test_sides_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        Detector(image=20)
