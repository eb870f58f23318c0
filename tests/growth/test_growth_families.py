"""Which operator keeps the function of which kind of model, all of them on all, and why not where it does not.

Parameters are grown in numpy, by the definition of the operator's terms, so that each model is compiled once, whatever
grew it; and, slowly, by `grow` on a mesh of eight devices, which has to make the same of them.
"""

from collections.abc import Iterable
from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from cells import CHANGED, CONVOLUTIONAL, DEEPER, KEPT, LONGER, WIDER, Cell, in_parts, in_size
from flax import nnx
from jax.sharding import AxisType
from pairs import SMALL, by_matrices, logits, placed, random_params

from stagejax.axes import path_name
from stagejax.growth import (
    Coalesce,
    Decoalesce,
    GranularUpcycle,
    Growth,
    GrowthError,
    HeadSize,
    LearnedMaps,
    Undo,
    Upcycle,
    by_squared_dual,
    by_weight,
    grow,
    grow_moments,
)
from stagejax.growth.inherit import InheritWithMomentum

every_family = pytest.mark.parametrize("name", WIDER)


@every_family
def test_what_keeps_the_function_of_which_model(name: str) -> None:
    """In width and depth."""
    check(in_size(name))


@pytest.mark.slow
@every_family
def test_what_keeps_the_function_in_its_parts(name: str) -> None:
    """In the size of heads, in rows of tables, in experts."""
    check(in_parts(name))


def check(cells: Iterable[Cell]) -> None:
    for cell in cells:
        if cell.wanted not in (KEPT, CHANGED):
            with pytest.raises(GrowthError, match=cell.wanted):
                _ = Growth(cell.operator, cell.small, cell.large).terms
            continue
        found = change(cell)
        assert found < 1e-10 if cell.wanted == KEPT else found > 1e-2, (str(cell), found)


def change(cell: Cell) -> float:
    """The largest change of an output that was there before, relative to the largest output; in float64."""
    with jax.enable_x64(True):
        growth = Growth(cell.operator, cell.small, cell.large)
        params, like = random_params(cell.small), random_params(cell.large, 1)
        made = by_matrices(growth, {"small": params, "init": like}, growth.terms, by_weight)
        grown = jax.tree_util.tree_map_with_path(lambda path, _: made[path_name(path)], like)
        before, after = logits(cell.small, params), logits(growth.config, grown)
        return float(np.abs(after[..., : before.shape[-1]] - before).max() / np.abs(before).max())


@pytest.mark.slow
@pytest.mark.skipif(jax.device_count() < 8, reason="needs eight devices")
@every_family
def test_compiled_and_sharded_on_every_model(name: str) -> None:
    """On eight devices, from shards to shards, against matrices in numpy."""
    mesh = jax.make_mesh((4, 2), ("fsdp", "tensor"), axis_types=(AxisType.Auto,) * 2)
    for cell in (*in_size(name), *in_parts(name)):
        if cell.wanted not in (KEPT, CHANGED):
            continue
        growth = Growth(cell.operator, cell.small, cell.large)
        params, fresh = random_params(cell.small), random_params(cell.large, 1)
        (_, before), (_, after) = placed(cell.small, mesh), placed(cell.large, mesh)
        others = {"init": jax.device_put(fresh, after)}
        grown = grow(growth, jax.device_put(params, before), others=others, shardings=after)
        wanted = by_matrices(growth, {"small": params, "init": fresh}, growth.terms, by_weight)
        places = by_path_of(after)
        for where, leaf in by_path_of(grown).items():
            assert leaf.sharding == places[where], (str(cell), where)
            np.testing.assert_allclose(leaf, wanted[where], rtol=1e-5, atol=1e-6, err_msg=f"{cell} {where}")


@pytest.mark.slow
@every_family
def test_moments_on_every_model(name: str) -> None:
    """Second moments, by the squared duals, against matrices in numpy; those of what is born are 0."""
    for cell in (*in_size(name), *in_parts(name)):
        if cell.wanted not in (KEPT, CHANGED):
            continue
        growth = Growth(cell.operator, cell.small, cell.large)
        squares = jax.tree.map(np.square, random_params(cell.small))
        moved = grow_moments(growth, optax.scale_by_rms(), optax.ScaleByRmsState(nu=squares), "dual").nu
        sources = {"small": squares, "init": jax.tree.map(np.zeros_like, random_params(cell.large))}
        wanted = by_matrices(growth, sources, growth.moment_terms, by_squared_dual)
        for where, leaf in by_path_of(moved).items():
            value = wanted[where] if where in growth.source else np.zeros_like(leaf)
            np.testing.assert_allclose(leaf, value, rtol=1e-5, atol=1e-6, err_msg=f"{cell} {where}")


#: What has no way back: it mixes in another tree, or the parameters are others.
ONE_WAY = (InheritWithMomentum, Upcycle, GranularUpcycle)


@pytest.mark.slow
@every_family
def test_the_source_comes_back_on_every_model(name: str) -> None:
    """By the inverse maps; of coalescing and de-coalescing too."""
    small, wide = WIDER[name]
    for cell in (*in_size(name), *in_parts(name), Cell(Decoalesce(), small, wide, KEPT)):
        born = getattr(cell.small, "depths", None) != getattr(cell.large, "depths", None)
        if cell.wanted not in (KEPT, CHANGED) or isinstance(cell.operator, ONE_WAY) or born:
            continue
        growth, params = Growth(cell.operator, cell.small, cell.large), random_params(cell.small)
        sources = {"small": params, "init": random_params(cell.large, 1)}
        made = by_matrices(growth, sources, growth.terms, by_weight)
        there = jax.tree_util.tree_map_with_path(lambda path, _: made[path_name(path)], sources["init"])  # noqa: B023
        for way in (Undo(cell.operator), Coalesce())[: 1 + isinstance(cell.operator, Decoalesce)]:
            back = Growth(way, growth.config, cell.small)
            for where, leaf in by_matrices(back, {"small": there}, back.terms, by_weight).items():
                np.testing.assert_allclose(leaf, by_path_of(params)[where], rtol=1e-5, atol=1e-6, err_msg=f"{cell}")


@pytest.mark.slow
@every_family
def test_maps_are_learned_of_every_model(name: str) -> None:
    """But of those with running statistics, which no gradient reaches."""
    small, wide = WIDER[name]
    depth = {} if name in CONVOLUTIONAL else DEEPER.get(name, {"layers": 3})
    config, params = LearnedMaps(small, replace(wide, **depth)), random_params(small)

    def learned(maps_seed: int) -> jax.Array:
        maps = config.build(nnx.Rngs(maps_seed))
        return nnx.to_pure_dict(nnx.state(maps.network(params), nnx.Param))

    if name in ("convnet", "resnet"):
        with pytest.raises(GrowthError, match="has variables beside its parameters, which none learns"):
            nnx.eval_shape(lambda: learned(0))
        return
    shapes = jax.tree.map(lambda x: x.shape, nnx.eval_shape(lambda: learned(0)))
    assert shapes == jax.tree.map(lambda x: x.shape, random_params(config.new))


def by_path_of(tree) -> dict:
    """The leaves themselves, by their paths."""
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def test_keys_grow_only_where_their_products_are_scaled() -> None:
    """By the root of the ratio of sizes; T5's products are not scaled."""
    small = WIDER["t5"][0]
    scaled = Growth(HeadSize(), SMALL, replace(SMALL, head_dim=16))
    plain = Growth(HeadSize(), small, replace(small, head_dim=LONGER["t5"]))
    assert scaled.terms[1].maps["head_dim"].write.weight.max() == 2
    assert plain.terms[1].maps["key_dim"].write.weight.max() == 1
