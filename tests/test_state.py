"""Selection, splitting and joining of trained and frozen leaves; digests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spine import assert_same, flat

from stagejax.axes import Axes
from stagejax.state import cast, count, digest, everything, join, select, split

AXES = {
    "up": Axes(("embed", "mlp"), ("read", "write")),
    "blocks": {"w": Axes(("layers", "embed"), ("stack", "write"))},
    "bias": Axes(("embed",), ("write",)),
}
PARAMS = {"up": jnp.arange(6.0).reshape(2, 3), "blocks": {"w": jnp.arange(8.0).reshape(4, 2)}, "bias": jnp.ones(2)}


def upper_rows(path, axes):
    return slice(2, None) if "layers" in axes.names else path == "up"


def test_everything_is_the_default():
    selection = select(everything, AXES, PARAMS)
    assert selection == {"up": True, "blocks": {"w": True}, "bias": True}
    trained, frozen = split(PARAMS, selection)
    assert_same(trained, PARAMS)
    assert flat(frozen) == {}


def test_rows_and_whole_leaves_split_and_join():
    selection = select(upper_rows, AXES, PARAMS)
    assert selection == {"up": True, "blocks": {"w": slice(2, 4)}, "bias": False}
    trained, frozen = split(PARAMS, selection)
    assert {k: v.shape for k, v in flat(trained).items()} == {"blocks/w": (2, 2), "up": (2, 3)}
    assert count(trained) + count(frozen) == count(PARAMS)
    assert_same(join(trained, frozen, selection), PARAMS)
    doubled = join(jax.tree.map(lambda x: 2 * x, trained), frozen, selection)
    np.testing.assert_array_equal(doubled["blocks"]["w"], PARAMS["blocks"]["w"] * np.array([[1], [1], [2], [2]]))
    np.testing.assert_array_equal(doubled["bias"], PARAMS["bias"])


@pytest.mark.parametrize(
    ("rows", "kept"),
    [(slice(None), True), (slice(0, 9), True), (slice(-1, None), slice(3, 4)), (slice(0, 1), slice(0, 1))],
)
def test_slices_are_normal(rows, kept):
    selection = select(lambda path, axes: rows if "layers" in axes.names else False, AXES, PARAMS)
    assert selection["blocks"]["w"] == kept


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda path, axes: False, "nothing is trainable"),
        (lambda path, axes: slice(0, 1), "'bias', which has no leading `layers` axis"),
        (lambda path, axes: slice(4, 9) if "layers" in axes.names else True, "'blocks/w', which has 4 layers"),
        (lambda path, axes: slice(0, 4, 2) if "layers" in axes.names else True, "chose rows slice"),
        (lambda path, axes: None, "return True, False or a slice"),
    ],
)
def test_a_bad_rule_is_named(rule, message):
    with pytest.raises(ValueError, match=message):
        select(rule, AXES, PARAMS)


def test_cast_leaves_integers_and_none_alone():
    tree = {"a": jnp.ones(2), "n": jnp.zeros((), jnp.int32)}
    assert {k: v.dtype.name for k, v in cast(tree, "bfloat16").items()} == {"a": "bfloat16", "n": "int32"}
    assert cast(tree, None) is tree


def test_digest_depends_on_path_dtype_shape_and_bytes_only():
    one = digest(PARAMS)
    assert digest({k: PARAMS[k] for k in reversed(PARAMS)}) == one
    assert digest(jax.device_put(PARAMS, jax.devices()[3])) == one
    for other in (
        {**PARAMS, "bias": PARAMS["bias"].reshape(1, 2)},
        {**PARAMS, "bias": PARAMS["bias"].astype("float16")},
        {**PARAMS, "bias": jnp.array([1.0, np.nextafter(np.float32(1), 2)])},
        {**PARAMS, "extra": jnp.ones(1)},
    ):
        assert digest(other) != one
