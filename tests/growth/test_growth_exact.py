"""Growths that keep the function keep it, for every kind of model; the others equal their published definition."""

import itertools
from dataclasses import replace

import jax
import numpy as np
import pytest
from pairs import SMALL, logits, random_params

from stagejax.growth import AKI, FPI, Growth, Isometric, balanced, grow, interpolate, stack, uniform
from stagejax.growth.draw import seed_of

#: Causal, tied, kind of norm; and where the norms are, so that each pair of choices occurs.
KINDS = [
    (*kind, "post" if sum(map(bool, (kind[0], kind[1], kind[2] == "rms"))) % 2 else "pre")
    for kind in itertools.product((True, False), (True, False), ("layer", "rms"))
]


def change(operator, small, large) -> float:
    growth, params = Growth(operator, small, large), random_params(small)
    before, after = logits(small, params), logits(growth.config, grow(growth, params))
    return np.abs(after - before).max() / np.abs(before).max()


@pytest.mark.parametrize(("causal", "tied", "norm", "position"), KINDS)
def test_fpi_keeps_the_function(causal, tied, norm, position) -> None:
    """Twice the width, and uneven numbers of copies of heads and mlp units."""
    small = replace(SMALL, layers=1, causal=causal, tied=tied, norm=norm, norm_position=position)
    large = replace(small, embed=16, heads=5, mlp=29)
    assert change(FPI(), small, large) < 1e-5
    with jax.enable_x64(True):
        assert change(FPI(draw=balanced), small, large) < 1e-12


def test_fpi_keeps_the_function_under_grouped_queries() -> None:
    small = replace(SMALL, heads=4, kv_heads=2, positions="rotary", activation="swiglu", norm="rms", use_bias=False)
    with jax.enable_x64(True):
        assert change(FPI(draw=uniform), small, replace(small, heads=9, kv_heads=3)) < 1e-12


@pytest.mark.slow
def test_uneven_width_needs_another_rule() -> None:
    """FPI of 1.5 times the width does not keep the function; the isometric copy does, with its smaller norm eps."""
    small = replace(SMALL, norm="rms", norm_eps=1e-2)
    large = replace(small, embed=12, heads=3, mlp=17)
    with jax.enable_x64(True):
        assert change(FPI(), small, large) > 1e-2
        for tied, position in ((True, "pre"), (False, "post")):
            kind = {"tied": tied, "norm_position": position}
            assert change(Isometric(draw=uniform), replace(small, **kind), replace(large, **kind)) < 1e-12
    grown = Growth(Isometric(), small, large).config
    assert grown.norm_eps == pytest.approx(1e-2 * 8 / 12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "depth", "grouped"),
    [
        ("cyclic", stack, False),
        ("per_layer", interpolate, False),
        ("per_layer", stack, True),
        ("cyclic", interpolate, True),
    ],
)
def test_aki_equals_the_loop(draw, depth, grouped) -> None:
    """Against a plain loop over layers, heads and units, written from the paper."""
    small = replace(SMALL, layers=3, heads=4, kv_heads=2 if grouped else 4)
    large = replace(small, embed=16, layers=5, heads=6, kv_heads=2 if grouped else 6, mlp=19)
    operator = AKI(depth, per_layer=True, draw=uniform) if draw == "per_layer" else AKI(depth)
    if draw == "per_layer":
        widths = {axis: [uniform(a, b, seed_of(0, axis, layer)) for layer in range(3)] for axis, a, b in inner(grouped)}
        widths["embed"] = [uniform(8, 16, seed_of(0, "embed"))] * 3
    else:
        widths = {axis: [np.arange(b) % a] * 3 for axis, a, b in [*inner(grouped), ("embed", 8, 16)]}
    with jax.enable_x64(True):
        params = random_params(small)
        grown = grow(Growth(operator, small, large), params)
        wanted = aki_by_loop(jax.tree.map(np.asarray, params), widths, grouped, depth(3, 5))
        got = jax.tree_util.tree_leaves_with_path(grown)
        assert len(got) == len(jax.tree.leaves(wanted))
        for (path, leaf), other in zip(got, jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(leaf, other, rtol=1e-14, err_msg=str(path))


def inner(grouped: bool) -> list[tuple[str, int, int]]:
    return [("q_per_kv", 2, 3) if grouped else ("kv_heads", 4, 6), ("mlp", 12, 19)]


def aki_by_loop(p, widths, grouped: bool, layers) -> dict:
    """AKI for a tied pre-norm decoder with LayerNorm, one unit at a time."""
    e = widths["embed"][0]
    share = np.array([1 / np.sum(e == i) for i in e])
    blocks = [layer(p["blocks"], n, widths, grouped, e, share) for n in range(3)]
    return {
        "blocks": jax.tree.map(lambda *leaves: np.stack([leaves[n] for n in layers]), *blocks),
        "norm": {name: p["norm"][name][e] * share for name in ("gain", "shift")},
        "positions": {"table": p["positions"]["table"][:, e]},
        "tokens": {"table": p["tokens"]["table"][:, e]},
    }


def layer(blocks, n: int, widths, grouped: bool, e, share) -> dict:
    def at(x, index):  # one layer's slice of every leaf
        return jax.tree.map(lambda leaf: leaf[index], x)

    here, above = at(blocks, n), at(blocks, min(n + 1, 2))
    unit, head = widths["mlp"], widths["q_per_kv" if grouped else "kv_heads"]
    attention = {name: {"kernel": [], "bias": []} for name in ("query", "key", "value", "out")}
    up, up_bias, down = [], [], []
    for j in range(19):
        source, m = (here, n) if j < 12 else (above, min(n + 1, 2))
        g = unit[m]
        count = np.sum(g == g[j])
        up.append(source["mlp"]["up"]["kernel"][e][:, g[j]] * share)
        up_bias.append(source["mlp"]["up"]["bias"][g[j]])
        down.append(source["mlp"]["down"]["kernel"][g[j]][e] / count)
    old, new = (2, 3) if grouped else (4, 6)
    for h in range(new):
        source, m = (here, n) if h < old else (above, min(n + 1, 2))
        g = head[m]
        count = np.sum(g == g[h])
        own = source["attention"]
        query = own["query"]["kernel"][e] * share[:, None, None, None]
        out = own["out"]["kernel"][..., e]
        if grouped:
            attention["query"]["kernel"].append(query[:, :, g[h]])
            attention["query"]["bias"].append(own["query"]["bias"][:, g[h]])
            attention["out"]["kernel"].append(out[:, g[h]] / count)
        else:
            attention["query"]["kernel"].append(query[:, g[h]])
            attention["query"]["bias"].append(own["query"]["bias"][g[h]])
            attention["out"]["kernel"].append(out[g[h]] / count)
            for name in ("key", "value"):
                attention[name]["kernel"].append(own[name]["kernel"][e][:, g[h]] * share[:, None])
                attention[name]["bias"].append(own[name]["bias"][g[h]])
    dim = 1 if grouped else 0
    stacked = {
        "query": {
            "kernel": np.stack(attention["query"]["kernel"], dim + 1),
            "bias": np.stack(attention["query"]["bias"], dim),
        },
        "out": {"kernel": np.stack(attention["out"]["kernel"], dim), "bias": here["attention"]["out"]["bias"][e]},
    }
    for name in ("key", "value"):
        own = here["attention"][name]
        kernel = own["kernel"][e] * share[:, None, None] if grouped else np.stack(attention[name]["kernel"], 1)
        stacked[name] = {"kernel": kernel, "bias": own["bias"] if grouped else np.stack(attention[name]["bias"])}
    norms = {name: {s: here[name][s][e] for s in ("gain", "shift")} for name in ("attention_norm", "mlp_norm")}
    mlp = {
        "up": {"kernel": np.stack(up, 1), "bias": np.stack(up_bias)},
        "down": {"kernel": np.stack(down), "bias": here["mlp"]["down"]["bias"][e]},
    }
    return {"attention": stacked, "mlp": mlp, **norms}


def test_depth_rules() -> None:
    """Blocks are whole copies in the order of the rule; all else stays."""
    from stagejax.growth import Deepen

    params = random_params(SMALL)
    grown = grow(Growth(Deepen(stack), SMALL, replace(SMALL, layers=5)), params)
    for before, after in zip(jax.tree.leaves(params["blocks"]), jax.tree.leaves(grown["blocks"]), strict=True):
        np.testing.assert_array_equal(after, before[np.array([0, 1, 0, 1, 1])])
    np.testing.assert_array_equal(grown["tokens"]["table"], params["tokens"]["table"])


@pytest.mark.slow
def test_direct_copy_keeps_the_corner() -> None:
    from stagejax.growth import DirectCopy

    large = replace(SMALL, embed=16, layers=3, heads=4, mlp=20, vocab=17)
    growth, params = Growth(DirectCopy(), SMALL, large), random_params(SMALL)
    key = jax.random.key(4)
    grown, fresh = grow(growth, params, key=key), random_init(growth, key)
    leaves = zip(*(jax.tree.leaves(t) for t in (params, grown, fresh)), strict=True)
    for small, got, init in leaves:
        corner = tuple(slice(0, n) for n in small.shape)
        np.testing.assert_array_equal(got[corner], small)
        outside = np.ones(got.shape, bool)
        outside[corner] = False
        np.testing.assert_array_equal(np.asarray(got)[outside], np.asarray(init)[outside])


def random_init(growth, key):
    from stagejax.growth.apply import initial

    return jax.jit(lambda k: initial(growth, k))(key)
