"""Growth on a mesh of eight devices: the same values, the target's shardings, little temporary memory."""

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AxisType
from pairs import NAMES, OPERATORS, by_path, placed, random_params

from stagejax.growth import (
    AKI,
    FPI,
    LEMON,
    BlockDiagonal,
    Coalesce,
    DirectCopy,
    Gather,
    Growth,
    Isometric,
    ZeroInit,
    balanced,
    grow,
    grow_moments,
    stack,
    uniform,
)
from stagejax.growth import apply as growth_apply
from stagejax.growth.apply import initial
from stagejax.growth.term import base
from stagejax.models.transformer import Transformer

needs_eight = pytest.mark.skipif(jax.device_count() < 8, reason="needs eight devices")


def mesh_of(fsdp: int, tensor: int):
    return jax.make_mesh((fsdp, tensor), ("fsdp", "tensor"), axis_types=(AxisType.Auto,) * 2)


#: The last bit or two of float32: where weights of two axes are multiplied, or means and products summed, in an order
#: that depends on the shards, or where a mixture's product and sum are rounded once on one side (fused) and twice on
#: the other. All else is the same to the last bit.
ROUNDING = {"rtol": 3e-7, "atol": 1e-7}


def same_to_the_bit(growth, where: str) -> bool:
    """Whether a leaf is made of choices of entries, each rounded once at most: by one weight that is no power of 2."""
    axes = growth.target[where][0]
    for term in growth.terms_of(where, growth.terms):
        if not term.concerns(axes) or term.nothing:
            continue
        named = [(base(name), side) for name, side in zip(axes.names, axes.sides, strict=True)]
        rules = [term.maps[name].rule(side, axes.tied) for name, side in named if name in term.maps]
        if term.matched or not powers_of_two(term.coefficient) or not all(isinstance(rule, Gather) for rule in rules):
            return False
        if sum(not powers_of_two(rule.weight) for rule in rules) > 1:
            return False
    return True


def powers_of_two(weights) -> bool:
    return bool(np.isin(np.frexp(np.asarray(weights, np.float64))[0], (0.0, 0.5)).all())


#: The first pair of these has every kind of map and region; the others are as good, and slow.
KINDS = (Isometric, LEMON, ZeroInit, BlockDiagonal, AKI, DirectCopy, Coalesce)
FIRST = {NAMES[[type(pair[0]) for pair in OPERATORS].index(kind)] for kind in KINDS}
PAIRS = [
    pytest.param(*pair, id=name, marks=[] if name in FIRST else pytest.mark.slow)
    for pair, name in zip(OPERATORS, NAMES, strict=True)
]


@needs_eight
@pytest.mark.parametrize(("operator", "small", "large"), PAIRS)
def test_sharded_equals_unsharded(operator, small, large) -> None:
    growth, params, fresh = Growth(operator, small, large), random_params(small), random_params(large, 1)
    mesh = mesh_of(4, 2)
    (_, before), (_, after) = placed(small, mesh), placed(large, mesh)
    alone = by_path(grow(growth, params, others={"init": fresh}))
    sources = jax.device_put(params, before), {"init": jax.device_put(fresh, after)}
    spread = grow(growth, sources[0], others=sources[1], shardings=after)
    for leaf, sharding in zip(jax.tree.leaves(spread), jax.tree.leaves(after), strict=True):
        assert leaf.sharding == sharding
    for where, leaf in by_path(spread).items():
        if same_to_the_bit(growth, where):
            np.testing.assert_array_equal(leaf, alone[where], err_msg=where)
        np.testing.assert_allclose(leaf, alone[where], **ROUNDING, err_msg=where)


def test_most_growths_are_the_same_to_the_bit() -> None:
    """All leaves of copies, corners, halves and new experts; none that a mean or a matrix makes."""
    kinds: dict[str, list[bool]] = {}
    for pair in OPERATORS:
        growth = Growth(*pair)
        kinds.setdefault(type(pair[0]).__name__, []).extend(same_to_the_bit(growth, where) for where in growth.target)
    for kind in ("BlockDiagonal", "IdentityBlocks", "Upcycle", "CopyExperts", "DirectCopy", "MSG", "Subset", "Deepen"):
        assert all(kinds[kind]), kind
    assert not any(kinds["InheritWithMomentum"])
    assert np.mean([same for leaves in kinds.values() for same in leaves]) > 0.8


@pytest.mark.slow
@needs_eight
def test_moments_take_their_parameters_shardings() -> None:
    operator, small, large = OPERATORS[0]
    growth, params, mesh, tx = Growth(operator, small, large), random_params(small), mesh_of(2, 4), optax.adamw(1e-3)
    after = placed(large, mesh)[1]
    every = jax.NamedSharding(mesh, jax.P())
    fresh = jax.eval_shape(tx.init, random_params(large))
    places = optax.tree_map_params(tx, lambda _, s: s, fresh, after, transform_non_params=lambda _: every)
    state = tx.init(params)
    state = (state[0]._replace(mu=params, nu=jax.tree.map(np.square, params)), *state[1:])
    for rule in ("dual", "reset"):
        alone, spread = grow_moments(growth, tx, state, rule), grow_moments(growth, tx, state, rule, shardings=places)
        for leaf, sharding in zip(jax.tree.leaves(spread), jax.tree.leaves(places), strict=True):
            assert leaf.sharding == sharding
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(spread), strict=True):
            np.testing.assert_allclose(a, b, **ROUNDING)


@pytest.mark.slow
@needs_eight
@pytest.mark.parametrize(
    ("operator", "fsdp", "tensor"),
    [(AKI(), 8, 1), (FPI(draw=balanced), 8, 1), (DirectCopy(depth=stack), 8, 1), (Isometric(draw=uniform), 2, 4)],
    ids=str,
)
def test_temporary_memory(operator, fsdp, tensor, monkeypatch) -> None:
    """At most half as much again as the shards of source and target, and the shards of the largest leaf, per device."""
    small = Transformer(vocab=2048, embed=256, layers=2, heads=4, mlp=1024, length=128, norm="rms")
    large = replace(small, embed=512, heads=8, mlp=2048, layers=4)
    mesh = mesh_of(fsdp, tensor)
    (like, before), (shapes, after) = placed(small, mesh), placed(large, mesh)
    own = bytes_per_device(like, before) + bytes_per_device(shapes, after)
    growth = Growth(operator, small, large)
    like = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), like, before)
    largest = max(x.size * x.dtype.itemsize for x in jax.tree.leaves(shapes))
    temporary: list[int] = [0]

    def measured(places):
        def only_compiled(sources, rules):
            memory = real(places).lower(sources, rules).compile().memory_analysis()
            temporary.append(memory.temp_size_in_bytes)
            return tuple(jax.ShapeDtypeStruct(r.shape, r.dtype) for r in rules)

        return only_compiled

    real = growth_apply.program
    monkeypatch.setattr(growth_apply, "program", measured)
    fresh = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, after)
    grow(growth, like, others={"init": fresh}, shardings=after)
    if isinstance(operator, DirectCopy):  # the fresh tree is temporary as well
        key = jax.random.key(0)
        draw = jax.jit(lambda k: initial(growth, k), out_shardings=after).lower(key).compile().memory_analysis()
        temporary.append(max(max(temporary), draw.temp_size_in_bytes) + draw.output_size_in_bytes)
    assert max(temporary) < 1.5 * own + largest
    print(f"{operator}: {max(temporary) / 2**20:.2f} MiB, allowed {(1.5 * own + largest) / 2**20:.2f} MiB")


def bytes_per_device(shapes, places) -> int:
    pairs = zip(jax.tree.leaves(shapes), jax.tree.leaves(places), strict=True)
    return sum(int(np.prod(s.shard_shape(x.shape))) * x.dtype.itemsize for x, s in pairs)
