"""Operators that keep the function keep it at any size: a network in numpy, grown by matrices, nothing compiled."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import by_matrices, by_path, random_params

from stagejax.axes import param
from stagejax.growth import (
    FPI,
    LEMON,
    AddRows,
    BlockDiagonal,
    Growth,
    IdentityBlocks,
    Isometric,
    Net2Net,
    ZeroInit,
    adjacent,
    balanced,
    by_weight,
    cyclic,
    interpolate,
    stack,
    uniform,
)

quick = settings(deadline=None, max_examples=15, derandomize=True)
TOKENS = np.arange(5)


@dataclass(frozen=True)
class Tiny:
    """A pre-norm network of feed-forward blocks over a table of 5 rows."""

    embed: int
    mlp: int
    layers: int = 2
    vocab: int = 5
    norm: str = "layer"
    tied: bool = True
    norm_eps: float = 0.1
    norm_position: str = "pre"

    def sizes(self) -> dict[str, int]:
        return {"vocab": self.vocab, "embed": self.embed, "mlp": self.mlp, "layers": self.layers}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return TinyNet(self)


class TinyNet(nnx.Module):
    def __init__(self, c: Tiny) -> None:
        L, E, F = c.layers, c.embed, c.mlp
        layers = ("layers",)
        self.table = param(jnp.zeros((c.vocab, E)), reads=("vocab",), writes=("embed",))
        self.block_gain = param(jnp.ones((L, E)), stack=layers, gain=("embed",))
        self.up = param(jnp.zeros((L, E, F)), stack=layers, reads=("embed",), writes=("mlp",))
        self.up_bias = param(jnp.zeros((L, F)), stack=layers, writes=("mlp",))
        self.down = param(jnp.zeros((L, F, E)), stack=layers, reads=("mlp",), writes=("embed",))
        self.down_bias = param(jnp.zeros((L, E)), stack=layers, writes=("embed",))
        self.gain = param(jnp.ones(E), gain=("embed",), tied=c.tied)
        if c.norm == "layer":
            self.block_shift = param(jnp.zeros((L, E)), stack=layers, shift=("embed",))
            self.shift = param(jnp.zeros(E), shift=("embed",), tied=c.tied)
        if not c.tied:
            self.head = param(jnp.zeros((E, c.vocab)), reads=("embed",), writes=("vocab",))


def forward(c: Tiny, p: dict[str, np.ndarray]) -> np.ndarray:
    def norm(x: np.ndarray, gain: np.ndarray, shift: Any) -> np.ndarray:
        x = x - x.mean(-1, keepdims=True) if c.norm == "layer" else x
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + c.norm_eps) * gain + (shift if c.norm == "layer" else 0)

    x = p["table"][TOKENS]
    for layer in range(c.layers):
        own = {name: leaf[layer] for name, leaf in p.items() if leaf.shape[0] == c.layers and name not in ONCE}
        hidden = np.tanh(norm(x, own["block_gain"], own.get("block_shift")) @ own["up"] + own["up_bias"])
        x = x + hidden @ own["down"] + own["down_bias"]
    return norm(x, p["gain"], p.get("shift")) @ (p["table"].T if c.tied else p["head"])


ONCE = ("table", "gain", "shift", "head")


def change(operator: Any, small: Tiny, large: Tiny) -> tuple[float, np.ndarray]:
    """The largest change of a logit of old tokens, relative; and the new logits."""
    growth = Growth(operator, small, large)
    with jax.enable_x64(True):
        params, fresh = random_params(small), random_params(large, 1)
        grown = by_matrices(growth, {"small": params, "init": fresh}, growth.terms, by_weight)
        before = forward(small, by_path(params))
    after = forward(growth.config, grown)
    return float(np.abs(after[:, : small.vocab] - before).max() / np.abs(before).max()), after


@st.composite
def nets(draw: st.DrawFn, norms: tuple[str, ...] = ("layer", "rms")) -> Tiny:
    sizes = {name: draw(st.integers(least, 5)) for name, least in (("embed", 2), ("mlp", 1), ("layers", 1))}
    return Tiny(**sizes, norm=draw(st.sampled_from(norms)), tied=draw(st.booleans()))


def larger(draw: Callable[..., Any], net: Tiny, *axes: str) -> Tiny:
    return replace(net, **{axis: getattr(net, axis) + draw(st.integers(0, 9)) for axis in axes})


DRAWS, DEPTHS = st.sampled_from([cyclic, balanced, uniform]), st.sampled_from([adjacent, stack, interpolate])


@quick
@given(st.data())
def test_lemon_at_any_size(data: st.DataObject) -> None:
    net = data.draw(nets())
    large = larger(data.draw, net, "embed", "mlp", "layers")
    choices = {
        "draw": data.draw(DRAWS),
        "depth": data.draw(DEPTHS),
        "by": data.draw(st.sampled_from(["output", "gain"])),
    }
    operator = LEMON(net.norm, data.draw(st.floats(0, 0.9)), fresh=data.draw(st.booleans()), **choices)
    assert change(operator, net, large)[0] < 1e-9


@quick
@given(st.data())
def test_zeros_and_isometries_under_rms(data: st.DataObject) -> None:
    net = data.draw(nets(("rms",)))
    large = larger(data.draw, net, "embed", "mlp", "layers")
    assert change(ZeroInit(depth=data.draw(DEPTHS), fresh=data.draw(st.booleans())), net, large)[0] < 1e-9
    assert change(Isometric(draw=data.draw(DRAWS)), net, replace(large, layers=net.layers))[0] < 1e-9


@pytest.mark.slow
@quick
@given(st.data())
def test_copies_of_hidden_units_and_whole_multiples_of_the_stream(data: st.DataObject) -> None:
    net = data.draw(nets())
    wide = larger(data.draw, net, "mlp", "layers")
    assert change(Net2Net(draw=data.draw(DRAWS), depth=data.draw(DEPTHS)), net, wide)[0] < 1e-9
    times = replace(wide, layers=net.layers, embed=net.embed * data.draw(st.integers(1, 3)))
    assert change(FPI(draw=data.draw(st.sampled_from([cyclic, balanced]))), net, times)[0] < 1e-9
    twice = replace(net, embed=2 * net.embed, mlp=2 * net.mlp, layers=wide.layers)
    assert change(BlockDiagonal(depth=data.draw(DEPTHS)), net, twice)[0] < 1e-9


@quick
@given(st.data())
def test_depth_and_vocabulary(data: st.DataObject) -> None:
    net = data.draw(nets())
    deep = larger(data.draw, net, "layers")
    for by in ("output", "gain"):
        assert (
            change(IdentityBlocks(depth=data.draw(DEPTHS), by=by, fresh=data.draw(st.booleans())), net, deep)[0] < 1e-9
        )
    error, after = change(AddRows(), net, larger(data.draw, net, "vocab"))
    assert error < 1e-12
    np.testing.assert_allclose(after[:, 5:], np.broadcast_to(after[:, :5].mean(1, keepdims=True), after[:, 5:].shape))
