"""LoRA between stages and its restarts, Adam with an age for what begins anew, and GaLore against its formula."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from stagejax import Plan, Stage, running
from stagejax.axes import Axes, path_name
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.transforms import (
    LoRA,
    Reparameterized,
    adapters,
    forget,
    marked,
    merged,
    scale_by_galore,
    scale_by_restarted_adam,
    stack,
)
from stagejax.transforms.lora import restart

KERNEL, FACTOR = Axes(("embed", "mlp"), ("read", "write")), Axes(("embed", "rank"), ("read", "write"))


def initial(config: Any) -> Any:
    return jax.jit(lambda: nnx.to_pure_dict(nnx.state(config.build(nnx.Rngs(0)), nnx.Param)))()


@pytest.mark.slow
def test_lora_starts_as_the_base_and_merges_to_the_sum() -> None:
    base, form = gpt(layers=2, embed=8, heads=2, mlp=12, vocab=20, length=6), LoRA(rank=2, scale=0.5)
    params, first = (initial(config) for config in (Reparameterized(base, form), base))
    jax.tree.map(np.testing.assert_array_equal, merged(form, params, {}), first)

    moved = jax.tree.map(lambda x: x + 0.1, params)
    out = moved["blocks"]["attention"]["out"]["kernel"]
    product = np.einsum("lkqhr,lre->lkqhe", out["down"], out["up"])
    expected = out["frozen"] + 0.5 * product
    found = merged(form, moved, {})["blocks"]["attention"]["out"]["kernel"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    again = restart(form, moved, jax.random.key(1))
    kept = again["blocks"]["attention"]["out"]["kernel"]
    np.testing.assert_allclose(kept["frozen"], expected, rtol=1e-5)
    assert not np.any(kept["up"])
    assert not np.array_equal(kept["down"], out["down"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), merged(form, again, {}), merged(form, moved, {})
    )


BASE = gpt(vocab=260, embed=8, layers=2, heads=2, mlp=12, length=8)
ONE, BOTH = (Reparameterized(BASE, LoRA(rank=rank, scale=0.5)) for rank in (2, 4))
DATA = CausalText(source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=4, length=8)
STAGE = Stage("trained", BASE, causal_lm, adamw(1e-2), DATA, steps=2)
TUNED = replace(STAGE, name="first", model=ONE, trainable=adapters)


def pipeline(run: Any) -> dict[str, Any]:
    """Adapters are put on a trained model, trained apart, stacked, merged."""
    trained = run.train(STAGE)
    adapted = run.transform("adapted", ONE.adapt, trained, to=ONE)
    pair = run.train(TUNED, adapted), run.train(replace(TUNED, name="second", seed=1), adapted)
    stacked = run.transform("stacked", partial(stack, ONE.form), *pair, to=BOTH)
    run.transform("merged", BOTH.merge, stacked, to=BASE)
    return {result.name: result for result in run.results}


@pytest.mark.slow
def test_adapters_pass_between_stages(tmp_path: Path) -> None:
    """The function passes unchanged, adapters trained apart add up, frozen kernels have no moments and stay."""
    with running(tmp_path, "adapters", mesh="data=1") as run:
        found = pipeline(run)
    params = {name: result.state().params for name, result in found.items()}
    jax.tree.map(np.testing.assert_array_equal, merged(ONE.form, params["adapted"], {}), params["trained"])

    up = {name: tree["blocks"]["mlp"]["up"]["kernel"] for name, tree in params.items()}
    for name in ("first", "second", "stacked"):
        np.testing.assert_array_equal(up[name]["frozen"], up["trained"])
    product = sum(up[name]["down"] @ up[name]["up"] for name in ("first", "second"))
    assert np.abs(product).max() > 0
    np.testing.assert_allclose(up["merged"], up["trained"] + 0.5 * product, rtol=1e-5, atol=1e-7)
    moments = [leaf.shape for leaf in jax.tree.leaves(found["first"].state().opt_state) if leaf.ndim]
    trained = [leaf.shape for path, leaf in leaves(params["first"]) if "frozen" not in path]
    assert sorted(moments) == sorted(2 * trained)

    with running(tmp_path, "adapters", mesh="data=1") as run:
        assert pipeline(run)["merged"].digest == found["merged"].digest  # loaded, not made again
    plan = pipeline(Plan.on("data=2", price=False))
    assert {n: r.parameters for n, r in plan.items()} == {n: r.parameters for n, r in found.items()}


def test_what_does_not_make_the_model_is_refused() -> None:
    plan = Plan.on("data=1", price=False)
    trained = plan.train(STAGE)
    with pytest.raises(ValueError, match=r"transform 'wide' makes '.*/down' float32\[.*, 2\], but Reparameterized has"):
        plan.transform("wide", ONE.adapt, trained, to=BOTH)
    with pytest.raises(ValueError, match="is not one trained model"):
        plan.transform("two", ONE.adapt, plan.train(replace(STAGE, name="replicas", seeds=2)), to=ONE)


def leaves(tree: Any) -> list[tuple[str, Any]]:
    return [(path_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def steps(tx: optax.GradientTransformation, gradients: list[dict[str, jax.Array]]) -> list[dict[str, jax.Array]]:
    state, found = tx.init(gradients[0]), []
    for gradient in gradients:
        update, state = tx.update(gradient, state)
        found.append(update)
    return found


def random_gradients(count: int) -> list[dict[str, jax.Array]]:
    drawn = np.random.default_rng(0).normal(size=(count, 2, 4, 3)).astype(np.float32)
    return [{"kernel": jnp.asarray(a), "down": jnp.asarray(b)} for a, b in drawn]


def test_restarted_adam_without_restarts_is_adam() -> None:
    axes, gradients = {"kernel": KERNEL, "down": FACTOR}, random_gradients(3)
    for own, adam in zip(
        steps(scale_by_restarted_adam(axes), gradients), steps(optax.scale_by_adam(), gradients), strict=True
    ):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), own, adam)


def test_a_factor_that_begins_anew_is_corrected_by_its_own_age_and_warmed_up() -> None:
    axes, gradients = {"kernel": KERNEL, "down": FACTOR}, random_gradients(4)
    assert marked(axes) == {"kernel": False, "down": True}
    tx = scale_by_restarted_adam(axes, warmup=4)
    state = tx.init(gradients[0])
    for gradient in gradients[:3]:
        _, state = tx.update(gradient, state)
    update, state = tx.update(gradients[3], forget(state, marked(axes)))
    np.testing.assert_allclose(update["kernel"], steps(optax.scale_by_adam(), gradients)[3]["kernel"], rtol=1e-5)
    fresh = steps(optax.scale_by_adam(), gradients[3:])[0]["down"]
    np.testing.assert_allclose(update["down"], fresh / 4, rtol=1e-5)
    assert (int(state.count), int(state.age)) == (4, 1)


def galore_reference(gradients: list[np.ndarray], rank: int, every: int, scale: float) -> list[np.ndarray]:
    """Algorithm 2 of GaLore, for a gradient that is not taller than wide."""
    m = v = 0.0
    found = []
    for t, gradient in enumerate(gradients):
        if t % every == 0:
            p = np.asarray(jnp.linalg.svd(gradient, full_matrices=False)[0])[:, :rank]  # with the signs of JAX
        low = p.T @ gradient
        m, v = 0.9 * m + 0.1 * low, 0.999 * v + 0.001 * low**2
        step = m / (1 - 0.9 ** (t + 1)) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)
        found.append(scale * p @ step)
    return found


def test_galore_is_adam_in_a_subspace_of_the_smaller_side() -> None:
    axes = {"tall": KERNEL, "wide": KERNEL, "bias": Axes(("mlp",), ("write",))}
    rng = np.random.default_rng(0)
    shapes = {"tall": (5, 3), "wide": (3, 6), "bias": (4,)}
    gradients = [{n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()} for _ in range(4)]
    tx = scale_by_galore(axes, rank=2, every=3, scale=0.5)
    found = steps(tx, jax.tree.map(jnp.asarray, gradients))
    wide = galore_reference([g["wide"] for g in gradients], 2, 3, 0.5)
    tall = galore_reference([g["tall"].T for g in gradients], 2, 3, 0.5)
    adam = steps(optax.scale_by_adam(), [{"bias": jnp.asarray(g["bias"])} for g in gradients])
    for t in range(4):
        np.testing.assert_allclose(found[t]["wide"], wide[t], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[t]["tall"], tall[t].T, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[t]["bias"], adam[t]["bias"], rtol=1e-5)
    state = tx.init(jax.tree.map(jnp.asarray, gradients[0]))
    assert {name: moment.shape for name, moment in state.mu.items()} == {"tall": (2, 5), "wide": (2, 6), "bias": (4,)}
