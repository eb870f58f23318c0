"""Coalescing and de-coalescing undo each other, and keep the function where the paper's rule and ours say so."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import TOKENS, by_path, model, random_params

from stagejax import Plan, Stage, running
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.growth import (
    Coalesce,
    Decoalesce,
    Growth,
    GrowthError,
    Interpolate,
    Inverse,
    adjacent,
    copy_map,
    cyclic,
    grow,
    stack,
)
from stagejax.growth.linear import Gather
from stagejax.growth.maps import SIDES
from stagejax.models import bert, gpt
from stagejax.models.vit import ViT
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.workdir import WorkdirError

quick = settings(deadline=None, max_examples=25, derandomize=True)

SIZES: dict[str, Any] = {"embed": 8, "layers": 2, "heads": 2, "mlp": 12}
HALVES = {
    "bert": bert(vocab=13, length=6, types=2, **SIZES),
    "gpt": gpt(vocab=13, length=6, **SIZES),
    "gpt untied, grouped": gpt(vocab=13, length=6, tied=False, **SIZES | {"heads": 4}, kv_heads=2, norm="rms"),
    "vit": ViT(image=8, patch=4, pool="class", **SIZES),
}


def times(config: Any, factor: int, depth: int = 1) -> Any:
    """The configuration with this many times the width, heads of the same size."""
    grown = replace(config, embed=config.embed * factor, heads=config.heads * factor, mlp=config.mlp * factor)
    kv = config.kv_heads and config.kv_heads * factor
    return replace(grown, layers=config.layers * depth, kv_heads=kv)


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[int], int]:
    """The groups of up to 24 units, every group used."""
    small = draw(st.integers(1, 6))
    more = draw(st.lists(st.integers(0, small - 1), max_size=18))
    return draw(st.permutations([*range(small), *more])), small


@quick
@given(grouped())
def test_any_grouping_is_undone(drawn: tuple[list[int], int]) -> None:
    """On every side, F A = 1 with F = (AᵀA)⁻¹Aᵀ; of the weights, the duals and the squares alike."""
    up = copy_map(*drawn)
    down = up.inverse()
    for side in SIDES:
        a, f = up.rule(side, True), down.rule(side, True)
        np.testing.assert_allclose(f.dense(), np.linalg.pinv(a.dense()), atol=1e-12)
        np.testing.assert_allclose(f.dual().dense(), np.linalg.pinv(f.dense()).T, atol=1e-12)
        np.testing.assert_allclose(f.magnitude() * a.magnitude()[f.pattern().index], 1)
        for view in (lambda m: m, lambda m: m.dual(), lambda m: m.squared(), lambda m: m.pattern()):
            np.testing.assert_allclose(view(f).dense() @ view(a).dense(), np.eye(up.old), atol=1e-12)
        parts = sum(member.dense() for member in f.members())  # as it is applied
        np.testing.assert_allclose(parts, f.dense(), atol=1e-15)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_groups_of_two_and_four_are_undone_to_the_bit(size: int) -> None:
    x = jnp.asarray(np.random.RandomState(0).normal(size=(50, 3)), jnp.float32)
    for seed in range(5):
        up = copy_map(np.random.RandomState(seed).permutation(np.repeat(np.arange(3), size)), 3)
        for side in ("write", "read", "shift"):
            for view in (lambda m: m, lambda m: m.dual(), lambda m: m.squared()):
                there = view(up.rule(side, True)).apply(x, 1)
                np.testing.assert_array_equal(view(up.inverse().rule(side, True)).apply(there, 1), x)


def test_each_layer_may_have_its_own_groups() -> None:
    up = Gather.of([[0, 1, 0, 1], [1, 1, 1, 0]], old=2, weight=[[1, 1, 1, 1], [0.5, 0.25, 0, 2]])
    x = jnp.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_allclose(up.inverse().apply(up.apply(x, 1, 0), 1, 0), x)
    with pytest.raises(ValueError, match=r"puts entries \[1\] of 2 nowhere"):
        Inverse(Gather.of([0, 0], old=2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        ("bert", {"tied": "tables"}),
        ("gpt", {}),
        ("gpt untied, grouped", {"width": adjacent, "depth": stack}),
        ("vit", {}),
    ],
)
def test_coalescing_undoes_decoalescing(kind: str, rules: dict[str, Any]) -> None:
    """Bit for bit, for encoder, decoder and vision transformer, in width and depth."""
    small = HALVES[kind]
    large, params = times(small, 2, depth=2), random_params(small)
    up = grow(Growth(Decoalesce(**rules), small, large), params)
    down = grow(Growth(Coalesce(**rules), large, small), up)
    for where, leaf in by_path(down).items():
        np.testing.assert_array_equal(leaf, by_path(params)[where], err_msg=where)


@pytest.mark.slow
def test_groups_of_three_and_uneven_groups_are_undone_to_rounding() -> None:
    small = HALVES["gpt"]
    large = replace(small, embed=24, heads=5, mlp=19, layers=5, head_dim=4)
    with jax.enable_x64(True):
        params = random_params(small)
        up = grow(Growth(Decoalesce(), small, large), params)
        down = by_path(grow(Growth(Coalesce(), large, small), up))
        for where, leaf in by_path(params).items():
            np.testing.assert_allclose(down[where], leaf, rtol=1e-14, err_msg=where)


def test_what_writes_is_averaged_and_what_reads_is_summed() -> None:
    """The paper's table, on a large model that is no copy of anything: halves in width, neighbours in depth."""
    large = HALVES["gpt"]
    small = replace(large, embed=4, heads=1, mlp=6, layers=1)
    params = random_params(large)
    down = grow(Growth(Coalesce(), large, small), params)

    def average(x: Any, axis: int) -> Any:
        return sum(np.split(np.asarray(x, np.float64), 2, axis)) / 2

    def added(x: Any, axis: int) -> Any:
        return 2 * average(x, axis)

    block, merged = params["blocks"], down["blocks"]
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    close(down["tokens"]["table"], average(params["tokens"]["table"], 1))
    up, back = block["mlp"]["up"], block["mlp"]["down"]
    close(merged["mlp"]["up"]["kernel"], average(average(added(up["kernel"], 1), 2), 0))
    close(merged["mlp"]["up"]["bias"], average(average(up["bias"], 1), 0))
    close(merged["mlp"]["down"]["kernel"], average(average(added(back["kernel"], 1), 2), 0))
    query = block["attention"]["query"]["kernel"]
    close(merged["attention"]["query"]["kernel"], average(average(added(query, 1), 2), 0))
    close(merged["mlp_norm"]["gain"], average(average(block["mlp_norm"]["gain"], 1), 0))
    close(down["norm"]["gain"], added(params["norm"]["gain"], 0))  # before the tied head: the division undone


def call(config: Any, params: Any) -> Any:
    return model(config, params)(jnp.asarray(TOKENS))


def change(kind: str, **rules: Any) -> float:
    """The largest relative change of a logit when width doubles."""
    small = replace(HALVES[kind], layers=1)
    growth, params = Growth(Decoalesce(**rules), small, times(small, 2)), random_params(small)
    before, after = jax.jit(lambda p: (call(small, p), call(growth.config, grow(growth, p))))(params)
    return float(np.abs(after - before).max() / np.abs(before).max())


@pytest.mark.slow
def test_width_is_exact_by_our_rule_and_by_the_published_one_only_behind_a_norm() -> None:
    """Divided tables stand a norm that follows them, as BERT has, and ruin GPT-2, where Wo and W2 write as well."""
    with jax.enable_x64(True):
        assert change("bert") < 1e-12
        assert change("gpt") < 1e-12
        assert change("bert", tied="tables") < 1e-8  # but for the norm's eps
        assert change("gpt", tied="tables") > 1e-2


def test_interpolation_mixes_two_trees() -> None:
    small = HALVES["gpt"]
    large = times(small, 2, depth=2)
    params, saved = random_params(small), random_params(large, 1)
    up = by_path(grow(Growth(Decoalesce(), small, large), params))
    mixed = by_path(grow(Growth(Interpolate(0.25, Decoalesce()), small, large), params, others={"large": saved}))
    for where, leaf in by_path(saved).items():
        np.testing.assert_allclose(mixed[where], 0.75 * leaf + 0.25 * up[where], rtol=1e-5, atol=1e-6)
    with pytest.raises(GrowthError, match=r"Interpolate.*needs \['large'\]"):
        grow(Growth(Interpolate(0.5, Decoalesce()), small, large), params)
    with pytest.raises(ValueError, match=r"share=1.5 must be in \[0, 1\]"):
        Interpolate(1.5, Decoalesce())


def test_growing_down_and_shrinking_up_are_refused() -> None:
    small = HALVES["gpt"]
    with pytest.raises(GrowthError, match=r"Decoalesce\(\) grows, but axis .* shrinks"):
        _ = Growth(Decoalesce(), times(small, 2), small).terms


DATA = CausalText(source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=4, length=8)
LARGE = gpt(vocab=260, embed=16, layers=2, heads=2, mlp=16, length=8, scan=True)
STAGE = Stage("large/first", LARGE, causal_lm, adamw(1e-3), DATA, steps=2)


def v_cycle(run: Any, seed: int = 0) -> Any:
    saved = run.train(replace(STAGE, seed=seed))
    half = replace(LARGE, embed=8, layers=1, heads=1, mlp=8)
    down = run.grow("down", saved, to=half, operator=Coalesce())
    small = run.train(replace(STAGE, name="small", model=half), down)
    up = run.grow("up", small, to=LARGE, operator=Interpolate(0.5, Decoalesce()), others={"large": saved})
    return saved, small, up


@pytest.mark.slow
def test_a_v_cycle_is_durable(tmp_path: Path) -> None:
    with running(tmp_path, "v", mesh="data=1") as run:
        saved, small, up = v_cycle(run)
        with pytest.raises(GrowthError, match=r"takes \['large'\] beside the model to grow, but is given nothing"):
            run.grow("none", small, to=LARGE, operator=Interpolate(0.5, Decoalesce()))
        with pytest.raises(GrowthError, match="large='small', whose model is not of the sizes"):
            run.grow("few", small, to=LARGE, operator=Interpolate(0.5, Decoalesce()), others={"large": small})
    growth = Growth(Decoalesce(), small.model, LARGE)
    wanted = jax.tree.map(lambda a, b: (a + b) / 2, saved.state().params, grow(growth, small.state().params))
    for where, leaf in by_path(up.state().params).items():
        np.testing.assert_allclose(leaf, by_path(wanted)[where], rtol=1e-5, atol=1e-7)
    assert up.generation == small.generation == saved.generation + 1
    assert up.receipt["loss_after"] is not None
    with running(tmp_path, "v", mesh="data=1") as run:
        assert v_cycle(run)[-1].digest == up.digest
        with pytest.raises(WorkdirError, match="others"):
            run.workdir.claim("up", "grow", {"kind": "grow"})
    plan = Plan.on("data=2,fsdp=2", price=False)
    assert v_cycle(plan)[-1].parameters == up.parameters


def test_cyclic_groups_are_halves() -> None:
    np.testing.assert_array_equal(cyclic(3, 6), [0, 1, 2, 0, 1, 2])
    assert cyclic is Decoalesce().width
