"""Maps of one axis: their algebra, for random sizes and index maps."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.growth import (
    Blend,
    Dense,
    Gather,
    copy_map,
    corner_map,
    dense_map,
    identity_map,
    isometric_map,
    select_map,
)
from stagejax.growth.lemon import shared_map, stream_map
from stagejax.growth.linear import MOST_RUNS
from stagejax.growth.maps import SIDES

quick = settings(deadline=None, max_examples=25, derandomize=True)


@st.composite
def onto(draw: st.DrawFn, most: int = 7) -> tuple[list[int], int]:
    """An index map that uses every old entry, in any order."""
    old = draw(st.integers(1, most))
    more = draw(st.lists(st.integers(0, old - 1), max_size=2 * most))
    return draw(st.permutations([*range(old), *more])), old


@st.composite
def gathers(draw: st.DrawFn, old: int | None = None) -> Gather:
    old = old or draw(st.integers(1, 6))
    new = draw(st.integers(1, 9))
    index = draw(st.lists(st.integers(0, old - 1), min_size=new, max_size=new))
    weight = draw(st.lists(st.sampled_from([0.0, 1.0, 0.5, -2.0]), min_size=new, max_size=new))
    return Gather.of(index, old, weight)


@quick
@given(onto())
def test_copies_and_isometries_preserve(drawn: tuple[list[int], int]) -> None:
    for rule in (copy_map(*drawn), isometric_map(*drawn)):
        a, b = rule.write.dense(), rule.read.dense()
        np.testing.assert_allclose(b.T @ a, np.eye(rule.old), atol=1e-12)
        assert rule.preserves


@quick
@given(onto())
def test_gradients_move_by_the_dual(drawn: tuple[list[int], int]) -> None:
    for rule in (copy_map(*drawn), isometric_map(*drawn), corner_map(drawn[1], len(drawn[0]))):
        for side in SIDES:
            linear = rule.rule(side, True)
            np.testing.assert_allclose(linear.dense().T @ linear.dual().dense(), np.eye(rule.old), atol=1e-12)
            np.testing.assert_allclose(linear.dual().dual().dense(), linear.dense(), atol=1e-12)


@pytest.mark.slow
@quick
@given(gathers())
def test_a_gather_is_its_matrix(gather: Gather) -> None:
    matrix, x = gather.dense(), np.random.RandomState(0).normal(size=(3, gather.old, 2)).astype(np.float32)
    wanted = np.einsum("ni,aib->anb", matrix, x)
    np.testing.assert_allclose(gather.apply(jnp.asarray(x), 1), wanted, rtol=1e-6)
    np.testing.assert_allclose(Dense(matrix).apply(jnp.asarray(x), 1), wanted, atol=1e-5)
    np.testing.assert_allclose(gather.dual().dense(), Dense(matrix).dual().matrix, atol=1e-9)
    np.testing.assert_allclose(gather.squared().dense(), Dense(matrix).squared().matrix)
    np.testing.assert_allclose(gather.magnitude(), Dense(matrix).magnitude())
    np.testing.assert_allclose(gather.sums(np.ones(gather.new)), np.bincount(gather.index, minlength=gather.old))


@st.composite
def blends(draw: st.DrawFn) -> Blend:
    """Whole copies and means, or anything."""
    old, copies, rest = (draw(st.integers(1, 5)) for _ in range(3))
    if draw(st.booleans()):
        new = copies * old + rest
        whole = np.arange(new) < copies * old
        return Blend(Gather.of(np.arange(new) % old, old, whole * draw(st.sampled_from([1.0, 0.5]))), 1.0 - whole)
    gather = draw(gathers(old=old))
    weight = st.sampled_from([0.0, 1.0, -0.5])
    return Blend(gather, np.array(draw(st.lists(weight, min_size=gather.new, max_size=gather.new))))


@pytest.mark.slow
@quick
@given(blends(), st.data())
def test_a_blend_is_its_matrix(blend: Blend, data: st.DataObject) -> None:
    matrix, x = blend.dense(), np.random.RandomState(0).normal(size=(3, blend.old, 2)).astype(np.float32)
    np.testing.assert_allclose(blend.apply(jnp.asarray(x), 1), np.einsum("ni,aib->anb", matrix, x), atol=1e-5)
    np.testing.assert_allclose(blend.squared().dense(), matrix**2, atol=1e-12)
    np.testing.assert_allclose(blend.dual().dense(), Dense(matrix).dual().matrix, atol=1e-9)
    np.testing.assert_allclose(blend.scaled(0.5).dense(), 0.5 * matrix)
    np.testing.assert_allclose(blend.magnitude(), Dense(matrix).magnitude())
    np.testing.assert_allclose(blend.inverse().dense(), np.linalg.pinv(matrix), atol=1e-9)
    first = data.draw(gathers())
    first = Gather(first.index[:1].repeat(blend.old), first.weight[:1].repeat(blend.old), first.old)
    np.testing.assert_allclose(blend.after(first).dense(), matrix @ first.dense(), atol=1e-12)
    assert set(np.unique(blend.pattern().weight)) <= {0, 1}


@quick
@given(onto(), st.floats(0, 0.9))
def test_unequal_shares_preserve(drawn: tuple[list[int], int], asymmetry: float) -> None:
    rule = shared_map(*drawn, asymmetry, (3,))
    assert rule.preserves
    counts = np.bincount(drawn[0], minlength=drawn[1])[drawn[0]]
    assert np.all(rule.read.weight >= (1 - asymmetry) / (1 + asymmetry) / counts - 1e-12)


@quick
@given(st.integers(1, 6), st.integers(0, 9), st.sampled_from(["layer", "rms"]))
def test_the_stream_keeps_its_mean_and_its_readers(old: int, more: int, norm: str) -> None:
    """LEMON: means of what is normed survive; what is read is what was; the variance shrinks as its eps does."""
    rule, x = stream_map(old, old + more, norm), np.random.RandomState(1).normal(size=old)
    y = rule.write.dense() @ x
    assert rule.preserves
    square = np.var if norm == "layer" else lambda v: np.mean(v**2)
    np.testing.assert_allclose(square(y), rule.eps * square(x), atol=1e-12)
    if norm == "layer":
        np.testing.assert_allclose(y.mean(), x.mean(), atol=1e-12)


@quick
@given(st.data())
def test_composition_is_the_product(data: st.DataObject) -> None:
    first = data.draw(gathers())
    second = data.draw(gathers(old=first.new))
    product = second.dense() @ first.dense()
    np.testing.assert_allclose(second.after(first).dense(), product)
    np.testing.assert_allclose(Dense(second.dense()).after(first).dense(), product)
    np.testing.assert_allclose(second.after(Dense(first.dense())).dense(), product)


@quick
@given(onto(), st.data())
def test_two_growths_are_one(drawn: tuple[list[int], int], data: st.DataObject) -> None:
    """Growing twice and growing once by the composed map agree, under a tied head too."""
    first = copy_map(*drawn)
    more = data.draw(st.lists(st.integers(0, first.new - 1), max_size=6))
    second = copy_map([*range(first.new), *more], first.new)
    both = second.after(first)
    assert both.preserves
    for side in SIDES:
        step = second.rule(side, True).dense() @ first.rule(side, True).dense()
        np.testing.assert_allclose(both.rule(side, True).dense(), step)


@quick
@given(st.data())
def test_layered_maps_are_one_map_a_layer(data: st.DataObject) -> None:
    rows = [data.draw(gathers(old=4)) for _ in range(3)]
    new = min(row.new for row in rows)
    gather = Gather(np.stack([r.index[:new] for r in rows]), np.stack([r.weight[:new] for r in rows]), 4)
    x = np.random.RandomState(0).normal(size=(3, 2, 4)).astype(np.float32)
    wanted = np.einsum("lni,lai->lan", gather.dense(), x)
    np.testing.assert_allclose(gather.apply(jnp.asarray(x), 2, 0), wanted, rtol=1e-6)
    np.testing.assert_allclose(
        gather.apply(jnp.asarray(x.transpose(2, 1, 0)), 0, 2), wanted.transpose(2, 1, 0), rtol=1e-6
    )
    duals = [Gather(i, w, 4).dual().weight for i, w in zip(gather.index, gather.weight, strict=True)]
    np.testing.assert_allclose(gather.dual().weight, np.stack(duals))
    follow = data.draw(gathers(old=new))
    np.testing.assert_allclose(follow.after(gather).dense(), follow.dense() @ gather.dense())


@pytest.mark.parametrize(
    "index", [np.arange(4), np.repeat(np.arange(4), 3), np.arange(10) % 4, np.random.RandomState(0).randint(0, 4, 40)]
)
def test_every_form_of_a_gather_gives_the_same(index: np.ndarray) -> None:
    """Nothing to do, repeats, a few slices, and a real gather."""
    x = np.random.RandomState(1).normal(size=(2, 4)).astype(np.float32)
    np.testing.assert_array_equal(Gather.of(index, 4).apply(jnp.asarray(x), 1), x[:, index])
    assert MOST_RUNS < 30


def test_masks_and_small_types_are_copied() -> None:
    half = copy_map([0, 1, 0], 2)
    mask = jnp.array([True, False])
    np.testing.assert_array_equal(half.read.pattern().apply(mask, 0), [True, False, True])
    np.testing.assert_array_equal(corner_map(2, 3).write.apply(jnp.array([4, 5]), 0), [4, 5, 0])
    assert half.read.apply(jnp.ones(2, jnp.bfloat16), 0).dtype == jnp.bfloat16
    assert Dense(np.ones((3, 2))).apply(jnp.ones(2, jnp.bfloat16), 0).dtype == jnp.bfloat16
    with pytest.raises(TypeError, match="grow them by index"):
        half.read.apply(mask, 0)


def test_coalescing_is_the_inverse_of_decoalescing() -> None:
    """The pseudo-inverse of a copying map averages what was written and sums what was read (Multi-Level, section 3)."""
    grow = copy_map([0, 1, 2, 0, 1, 2], 3)
    shrink = dense_map(grow.write.dual().dense().T, grow.read.dual().dense().T)
    for side in ("write", "read", "gain", "shift"):
        np.testing.assert_allclose(
            shrink.rule(side, False).after(grow.rule(side, False)).dense(), np.eye(3), atol=1e-12
        )
    np.testing.assert_allclose(shrink.write.dense()[0], [0.5, 0, 0, 0.5, 0, 0])
    np.testing.assert_allclose(shrink.read.dense()[0], [1, 0, 0, 1, 0, 0])


def test_isometric_maps_scale_norms() -> None:
    rule = isometric_map([0, 1, 0], 2)
    assert rule.eps == pytest.approx(2 / 3)
    np.testing.assert_allclose(rule.gain.weight, np.sqrt(2 / 3))
    assert isometric_map([0, 1], 2).eps == 1
    assert identity_map(3).write.identity
    np.testing.assert_array_equal(select_map([2, 0], 3).stack.index, [2, 0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: copy_map([0, 0], 2), r"\[1\] of 2 appear nowhere"),
        (lambda: copy_map([[0, 1], [1, 1]], 2), r"\[0\] of 2 appear nowhere"),
        (lambda: Gather.of([0, 5], 2), "indices 0 to 5"),
        (lambda: Gather.of([], 2), "needs an index"),
        (lambda: Gather(np.zeros(2, int), np.zeros(3), 1), "needs an index"),
        (lambda: corner_map(3, 2), "3 -> 2 shrinks"),
        (lambda: Dense(np.zeros(3)), "needs a matrix"),
        (lambda: Gather.of([0], 2).after(Gather.of([0], 1)), "cannot follow"),
        (lambda: dense_map(np.ones((3, 2)), np.ones((2, 3))), "different sizes"),
        (lambda: Gather.of([[0, 0]], 2).apply(jnp.ones(2), 0), "layers dimension"),
    ],
)
def test_impossible_maps_are_refused(make, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
