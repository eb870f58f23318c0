"""Modules trained apart: hybrids of one meta model, and the deep model made of them."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from pairs import IMAGE, by_path, model, random_params

from stagejax.growth import Assemble, Growth, GrowthError, Incubate, OwnLayers, grow
from stagejax.growth.operator import describe

META = replace(IMAGE, layers=3, pool="class")
HYBRID = replace(META, layers=4)
DEEP = replace(META, layers=6)


def hybrid(place, meta, seed) -> dict:
    growth = Growth(Incubate.at(place, modules=3, layers=2), META, HYBRID)
    return grow(growth, meta, others={"init": random_params(HYBRID, seed)})


@pytest.mark.slow
def test_a_module_is_fresh_and_its_neighbours_are_the_metas() -> None:
    meta = random_params(META)
    middle, fresh = by_path(hybrid(1, meta, 1)), by_path(random_params(HYBRID, 1))
    first, last = by_path(hybrid(0, meta, 1)), by_path(hybrid(2, meta, 1))
    for where, leaf in by_path(meta).items():
        if where.startswith("blocks"):
            expected = np.concatenate([leaf[:1], fresh[where][1:3], leaf[2:]])
            np.testing.assert_array_equal(middle[where], expected, err_msg=where)
            continue
        head = where.split("/")[0] in ("norm", "head")
        np.testing.assert_array_equal(middle[where], leaf, err_msg=where)
        np.testing.assert_array_equal(first[where], leaf if head else fresh[where], err_msg=where)
        np.testing.assert_array_equal(last[where], fresh[where] if head else leaf, err_msg=where)


@pytest.mark.slow
def test_assembled_model_is_its_modules_in_order() -> None:
    meta = random_params(META)
    own = [hybrid(place, meta, 1 + place) for place in range(3)]
    deep = grow(Growth(Assemble.of_hybrids(3), HYBRID, DEEP), own[0], others={"module1": own[1], "module2": own[2]})
    images = jax.random.normal(jax.random.key(0), (2, 4, 4, 2))
    hybrids = [model(HYBRID, params) for params in own]
    x = hybrids[0].tokens(images)
    for place, net in enumerate(hybrids):
        x = net.encode(x, place, place + 2)
    expected = hybrids[2].logits(hybrids[2].pool(x))
    np.testing.assert_allclose(model(DEEP, deep)(images), expected, rtol=1e-5, atol=1e-6)


def test_placeholders_alone_are_the_meta_model() -> None:
    meta = random_params(META)
    same = grow(Growth(Incubate((0, 1, 2)), META, META), meta, others={"init": random_params(META, 1)})
    jax.tree.map(np.testing.assert_array_equal, same, meta)


def test_what_learns_is_the_module_and_the_ends_that_it_reaches() -> None:
    for place, ends in ((0, {"patches", "positions", "class_token"}), (1, set()), (2, {"norm", "head"})):
        rule, inside = (
            OwnLayers(place, place + 2, HYBRID.layers),
            OwnLayers(place, place + 2, HYBRID.layers, ends=False),
        )
        for where, (axes, _) in describe(HYBRID).items():
            own = slice(place, place + 2) if where.startswith("blocks") else where.split("/")[0] in ends
            assert rule(where, axes) == own, where
            assert inside(where, axes) == (own if isinstance(own, slice) else False), where


@pytest.mark.parametrize(
    ("operator", "old", "new", "says"),
    [
        (Incubate((0, None)), META, HYBRID, r"says 2 layers of 3, but the model grows layers 3 -> 4. Give 4 entries"),
        (Incubate((0, None, 5, 1)), META, HYBRID, r"None or in \[0, 3\)"),
        (
            Assemble.of_hybrids(3),
            HYBRID,
            replace(META, layers=7),
            "does not make layers=7. Set layers to a multiple of 3, at most 6",
        ),
    ],
)
def test_refused(operator, old, new, says) -> None:
    with pytest.raises(GrowthError, match=says):
        _ = Growth(operator, old, new).terms
