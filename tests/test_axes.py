"""Axes: what a parameter must say, what is refused, and where it lies on a mesh."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from toy import Numbers, Toy, adam, regression

from stagejax.axes import Axes, MissingAxes, axes_of, param, partition_spec, stack_axes
from stagejax.program import build
from stagejax.stage import Stage


class Nameless(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(jnp.zeros((2, 3)))


class NamelessConfig(Toy):
    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return Nameless(rngs)


def test_a_parameter_without_axes_is_named() -> None:
    with pytest.raises(MissingAxes, match=r"'kernel'.*\(2, 3\).*axes\.param"):
        axes_of(Nameless(nnx.Rngs(0)))
    with pytest.raises(MissingAxes, match="'kernel'"):
        build(Stage("a", NamelessConfig(), regression, adam, Numbers(), steps=2), None)


def test_stacked_blocks_must_say_so() -> None:
    class Blocks(nnx.Module):
        def __init__(self) -> None:
            self.kernel = param(jnp.zeros((3, 2)), reads=("embed",), writes=("mlp",))
            self.kernel.set_value(jnp.zeros((4, 3, 2)))

    blocks = Blocks()
    with pytest.raises(MissingAxes, match="stack_axes"):
        axes_of(blocks)
    stack_axes(blocks, "layers")
    assert str(axes_of(blocks)["kernel"]) == "#layers <embed >mlp"


@pytest.mark.parametrize(
    ("names", "says"),
    [({"reads": ("embed",)}, "2 dimensions"), ({"reads": ("embed",), "writes": ("embed",)}, "repeat")],
)
def test_impossible_axes_are_refused(names: dict[str, tuple[str, ...]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        param(jnp.zeros((2, 2)), **names)


def test_a_mesh_axis_is_used_once_and_only_where_it_divides() -> None:
    mesh = jax.sharding.AbstractMesh((2, 4), ("fsdp", "tensor"))
    axes = Axes(("embed", "mlp", "vocab"), ("read", "write", "write"))
    assert partition_spec(axes, (8, 8, 8), mesh) == jax.P("fsdp", "tensor", None)
    assert partition_spec(axes, (8, 6, 8), mesh) == jax.P("fsdp", None, "tensor")
    assert partition_spec(axes, (8, 8, 8), mesh, {"mlp": ("fsdp", "tensor")}) == jax.P(None, ("fsdp", "tensor"), None)
