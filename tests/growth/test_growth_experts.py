"""Experts: what the operators keep, what they say they do, and what becomes of moments; routers that are born."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from pairs import IMAGE, SMALL, TOKENS, by_path, model, random_params

from stagejax.axes import Axes
from stagejax.growth import (
    FPI,
    AddExperts,
    CopyExperts,
    DropUpcycle,
    GranularUpcycle,
    Growth,
    GrowthError,
    Operator,
    Upcycle,
    grow,
    grow_moments,
    verify_growth,
)
from stagejax.growth.factors import factors
from stagejax.models.transformer import Transformer
from stagejax.objectives import causal_lm, with_experts

PLAIN = replace(SMALL, layers=1, dispatch="dense")  # GELU with biases; programs that compile quickly
GATED = replace(PLAIN, norm="rms", activation="swiglu", positions="rotary", use_bias=False, tied=False)
KEY = jax.random.key(3)


def logits(config: Transformer, params, **options) -> np.ndarray:
    return np.asarray(jax.jit(lambda p: model(config, p)(jnp.asarray(TOKENS), **options))(params))


def change(operator: Operator, small: Transformer, large: Transformer, **options) -> float:
    growth, params = Growth(operator, small, large), random_params(small)
    fresh = random_params(large, 1)  # routers far from indifferent
    before, after = (
        logits(small, params),
        logits(growth.config, grow(growth, params, others={"init": fresh}), **options),
    )
    return np.abs(after - before).max() / np.abs(before).max()


EXACT = {
    "upcycled, top 1": (Upcycle(), GATED, replace(GATED, experts=4, top_k=1)),
    "upcycled, top 3": (Upcycle(), PLAIN, replace(PLAIN, experts=4, top_k=3)),
    "upcycled, capacity": (Upcycle(), PLAIN, replace(PLAIN, experts=4, capacity=4.0)),
    "granular": (GranularUpcycle(2), PLAIN, replace(PLAIN, mlp=6, experts=6, top_k=4)),
    "granular, gated": (GranularUpcycle(3), GATED, replace(GATED, mlp=4, experts=6, top_k=3)),
    "nothing dropped": (DropUpcycle(share=0.0), PLAIN, replace(PLAIN, experts=2)),
    "copied with top_k": (
        CopyExperts(),
        replace(PLAIN, experts=3, top_k=2),
        replace(PLAIN, experts=6, top_k=4),
    ),
    "copied with top_k, over all": (
        CopyExperts(),
        replace(GATED, experts=2, top_k=1, routing="softmax_topk"),
        replace(GATED, experts=6, top_k=3, routing="softmax_topk"),
    ),
    "copied, one chosen": (
        CopyExperts(),
        replace(GATED, experts=2, top_k=1),
        replace(GATED, experts=4, top_k=1),
    ),
    "wider experts": (
        FPI(),
        replace(PLAIN, experts=3),
        replace(PLAIN, experts=3, embed=16, mlp=19, heads=5),
    ),
}


@pytest.mark.parametrize(("operator", "small", "large"), EXACT.values(), ids=EXACT)
def test_the_function_is_kept(operator, small, large) -> None:
    assert change(operator, small, large) < 1e-5
    with jax.enable_x64(True):
        assert change(operator, small, large) < 1e-10


@pytest.mark.slow
def test_what_is_not_kept_is_noticed() -> None:
    """The loss of the output under softmax-then-top-k, naive doubling at fixed top_k, and dropped knowledge."""
    large = replace(GATED, experts=4)
    assert change(Upcycle(), GATED, replace(large, routing="softmax_topk")) > 1e-2
    assert change(CopyExperts(noise=0.5), replace(GATED, experts=2, top_k=1), large) > 1e-3
    assert change(DropUpcycle(share=0.5), GATED, large) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("routing", ["topk_softmax", "softmax_topk"])
def test_added_experts_are_silent_behind_their_mask(routing) -> None:
    small = replace(GATED, experts=2, routing=routing)
    large = replace(small, experts=5)
    closed = jnp.array([1.0, 1.0, 0.0, 0.0, 0.0])
    with jax.enable_x64(True):
        assert change(AddExperts(), small, large, masks={"experts": closed}) < 1e-10
    assert change(AddExperts(), small, large, masks={"experts": jnp.maximum(closed, 0.5)}) > 1e-3


@pytest.mark.slow
def test_experts_are_copies_and_routers_are_drawn() -> None:
    large = replace(SMALL, experts=3)
    growth, params = Growth(Upcycle(), SMALL, large), random_params(SMALL)
    grown = by_path(grow(growth, params, key=KEY))
    assert growth.born == {"blocks/mlp/router/kernel"}
    for where, leaf in by_path(params).items():
        copied = np.stack([leaf] * 3, axis=1) if "/mlp/" in where else leaf
        np.testing.assert_array_equal(grown[where], copied, err_msg=where)
    router = grown["blocks/mlp/router/kernel"]
    assert router.shape == (2, 8, 3)
    assert 0.01 < router.std() < 0.03
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    assert grow(growth, half, key=KEY)["blocks"]["mlp"]["router"]["kernel"].dtype == jnp.bfloat16


def test_granular_experts_are_shards_in_virtual_groups() -> None:
    large = replace(SMALL, mlp=4, experts=6, top_k=3)
    grown = by_path(grow(Growth(GranularUpcycle(3), SMALL, large), random_params(SMALL), key=KEY))
    small = by_path(random_params(SMALL))
    for e in range(6):
        units = slice(e % 3 * 4, e % 3 * 4 + 4)
        up, down = small["blocks/mlp/up/kernel"], small["blocks/mlp/down/kernel"]
        np.testing.assert_array_equal(grown["blocks/mlp/up/kernel"][:, e], up[..., units])
        np.testing.assert_allclose(grown["blocks/mlp/down/kernel"][:, e], 3 * down[:, units], rtol=1e-6)
    router = grown["blocks/mlp/router/kernel"]
    np.testing.assert_array_equal(router[..., 0::3], router[..., 2::3])
    assert np.abs(router[..., 0] - router[..., 3]).min() > 0


@pytest.mark.slow
def test_dropped_units_are_drawn_with_the_old_statistics() -> None:
    small = replace(SMALL, mlp=200)
    operator = DropUpcycle(share=0.25, seed=1)
    grown = by_path(grow(Growth(operator, small, replace(small, experts=2)), random_params(small), key=KEY))
    old = by_path(random_params(small))
    for name, axis in (("up", -1), ("down", -2)):
        before, after = old[f"blocks/mlp/{name}/kernel"] + 0.0, grown[f"blocks/mlp/{name}/kernel"]
        for e in range(2):
            redrawn = operator.redrawn(e, 200)
            assert redrawn.sum() == 50
            np.testing.assert_array_equal(np.compress(~redrawn, after[:, e], axis), np.compress(~redrawn, before, axis))
            was, now = np.compress(redrawn, before, axis), np.compress(redrawn, after[:, e], axis)
            assert not np.isin(now, was).any()
            np.testing.assert_allclose(now.mean((1, 2)), was.mean((1, 2)), atol=1e-6)
            np.testing.assert_allclose(now.std((1, 2)), was.std((1, 2)), rtol=1e-5)
    assert (operator.redrawn(0, 200) != operator.redrawn(1, 200)).any()


# --- moments ---


def gradients(config: Transformer, params):
    batch = {"tokens": jnp.asarray(TOKENS)}
    return jax.jit(jax.grad(lambda p: causal_lm(model(config, p), batch, None)[0]))(params)


@pytest.mark.slow
def test_gradients_of_copies_chosen_together_move_by_the_dual() -> None:
    """So that the moments of CopyExperts are exact, and their factors those under which it follows the small model."""
    small = replace(PLAIN, experts=2, top_k=1)
    growth = Growth(CopyExperts(), small, replace(small, experts=6, top_k=3))
    with jax.enable_x64(True):
        params = random_params(small)
        tx = optax.scale_by_adam()
        state = tx.init(params)._replace(mu=gradients(small, params))
        moved = grow_moments(growth, tx, state, "dual").mu
        actual = gradients(growth.config, grow(growth, params))
        for (where, a), b in zip(by_path(actual).items(), by_path(moved).values(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12, err_msg=where)
    axes = {"up": Axes(("experts", "embed", "mlp"), ("stack", "read", "write"))}
    known = factors(growth, axes)
    assert float(known.lr["up"].max()) == 1
    assert float(known.eps["up"].max()) == pytest.approx(1 / 3)


@pytest.mark.parametrize("rule", ["dual", "copy", "reset"])
def test_moments_of_upcycled_experts(rule) -> None:
    """Shared among the experts, or copied to each; those of the router, which was not there, are zero."""
    growth, params = Growth(Upcycle(), SMALL, replace(SMALL, experts=4)), random_params(SMALL)
    tx = optax.chain(optax.clip(1.0), optax.masked(optax.adamw(1e-3), True))
    state = jax.tree.map(lambda x: x + 1, tx.init(params))
    grown = grow_moments(growth, tx, state, rule)
    fresh = jax.eval_shape(tx.init, random_params(growth.config))
    assert jax.tree.structure(grown) == jax.tree.structure(fresh)
    adam = grown[1].inner_state[0]
    first, second = {"dual": (1 / 4, 1 / 16), "copy": (1, 1), "reset": (0, 0)}[rule]
    np.testing.assert_allclose(adam.mu["blocks"]["mlp"]["up"]["kernel"], first)
    np.testing.assert_allclose(adam.nu["blocks"]["mlp"]["up"]["kernel"], second)
    assert adam.mu["blocks"]["mlp"]["router"]["kernel"].shape == (2, 8, 4)
    assert not np.asarray(adam.nu["blocks"]["mlp"]["router"]["kernel"]).any()


# --- receipts ---


@pytest.mark.slow
def test_a_receipt_of_a_mixture() -> None:
    """From dense to experts by the dense objective, and from experts to more by one that looks at the routers."""
    batch, params = {"tokens": jnp.asarray(TOKENS)}, random_params(PLAIN)
    growth = Growth(Upcycle(), PLAIN, replace(PLAIN, experts=2, top_k=1))
    mixture = grow(growth, params, others={"init": random_params(growth.config, 1)})
    receipt = verify_growth(growth, params, mixture, "dual", causal_lm, batch)
    assert receipt.logit_change < 1e-4
    assert receipt.loss_after == pytest.approx(receipt.loss_before, rel=1e-5)
    assert set(receipt.symmetry) == {"experts"}
    assert receipt.symmetry["experts"].difference > 0.01  # each expert sees other tokens
    more = Growth(CopyExperts(), growth.config, replace(growth.config, experts=4, top_k=2))
    objective = partial(with_experts, causal_lm, balance=0.01)
    receipt = verify_growth(more, mixture, grow(more, mixture), "dual", objective, batch)
    assert receipt.logit_change_relative < 1e-5
    assert receipt.symmetry["experts"].cosine == pytest.approx(1, abs=1e-5)  # copies chosen together never learn apart


# --- refusals ---


@pytest.mark.parametrize(
    ("operator", "small", "large", "says"),
    [
        (FPI(), SMALL, replace(SMALL, experts=2), "FPI.*'blocks/mlp/router/kernel' has no counterpart"),
        (Upcycle(), SMALL, replace(SMALL, mlp=24), "Upcycle.*the new model has none: set experts"),
        (Upcycle(), replace(SMALL, experts=2), replace(SMALL, experts=4), "experts=2 already. Use CopyExperts"),
        (Upcycle(), SMALL, replace(SMALL, experts=2, mlp=24), "Upcycle.*no rule for axis 'mlp'.*12 -> 24"),
        (GranularUpcycle(2), SMALL, replace(SMALL, experts=4), "cannot hold mlp=12 in 2 shards.*mlp=6"),
        (GranularUpcycle(2), SMALL, replace(SMALL, experts=3, mlp=6), "experts=3.*a multiple of 2"),
        (GranularUpcycle(2), SMALL, replace(SMALL, experts=4, mlp=6, embed=4), "'embed' also becomes smaller"),
        (GranularUpcycle(2), SMALL, replace(SMALL, experts=4, mlp=6, top_k=1), "top_k=1.*multiple of 2"),
        (GranularUpcycle(2), IMAGE, replace(IMAGE, mlp=24), "the new model has none"),
        (DropUpcycle(share=1.5), SMALL, replace(SMALL, experts=2), "share=1.5"),
        (CopyExperts(), SMALL, replace(SMALL, experts=2), "experts are 0 -> 2. Use Upcycle"),
        (AddExperts(), replace(SMALL, experts=4), replace(SMALL, experts=2), "axis 'experts'.*shrinks: 4 -> 2"),
        (AddExperts(), replace(SMALL, experts=2), replace(SMALL, experts=2, mlp=24), "Ask for more experts"),
    ],
)
def test_refusals(operator, small, large, says) -> None:
    growth = Growth(operator, small, large)
    with pytest.raises(GrowthError, match=says):
        _ = growth.terms, growth.config
