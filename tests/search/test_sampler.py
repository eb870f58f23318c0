"""Sampling of subnets: the walk, the banks, the memory, and which candidate is taken."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.models.vision.pyramid import PyramidViT
from stagejax.search.sampler import Sampler
from stagejax.search.space import Space

LARGEST = PyramidViT(image=8, patch=1, stem=8, embed=(16, 16), layers=(2, 1), mlp=(32, 32), head_dim=8)
SPACE = Space(LARGEST, (8,), (8,), ((8, 16), (8, 16)), ((1, 2), (1,)), ratios=(1, 2))
SAMPLER = Sampler(SPACE, steps=60, banks=3, memory=4)


def fresh(bank: int = 0) -> dict[str, jax.Array]:
    return SAMPLER.nothing() | {"bank": jnp.int32(bank)}


@partial(jax.jit, static_argnums=0)
def drawn(sampler: Sampler, memory: dict[str, jax.Array], step: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Banks (600, 3) and codes (600, 4, genes) of as many draws."""
    return jax.vmap(lambda key: sampler.draw(memory, key, step))(jax.random.split(jax.random.key(0), 600))


def draws(sampler: Sampler, memory: dict[str, jax.Array], step: int) -> tuple[np.ndarray, np.ndarray]:
    banks, codes = drawn(sampler, memory, jnp.int32(step))
    return np.asarray(banks), np.asarray(codes)


def test_the_banks_hold_subnets_of_like_flops_up_to_the_largest() -> None:
    known, floors = SAMPLER.known(), SAMPLER.floors()
    for bank, floor in enumerate(floors):
        costs = SAMPLER.costs(known[bank])
        assert (costs >= 0.999 * floor).all()
        assert (costs <= 1.26 * floor).all()
    assert floors[-1] * 1.25 == pytest.approx(float(SPACE.flops(np.array(SPACE.most))))


@pytest.mark.parametrize(("bank", "shares"), [(0, (2 / 3, 1 / 3, 0)), (1, (1 / 3,) * 3), (2, (0, 1 / 3, 2 / 3))])
def test_the_walk_goes_to_neighbours_and_stays_within(bank: int, shares: tuple[float, ...]) -> None:
    """From an inner bank -1, 0 or 1; from the first 0, 0 or 1; from the last -1, 0 or 0; one for the whole step."""
    banks, codes = draws(replace(SAMPLER, prefer=False), fresh(bank), 0)
    assert (banks == banks[:, :1]).all()
    np.testing.assert_allclose(np.bincount(banks[:, 0], minlength=3) / len(banks), shares, atol=0.06)
    least = SAMPLER.smallest()
    for own in set(banks.ravel().tolist()):
        there = codes[banks[:, 0] == own]
        assert SAMPLER.within(there[:, :3].reshape(-1, 9), own).all()
        assert (there[:, 3] == least[own]).all()


def test_without_the_walk_every_slot_has_a_bank_of_its_own_and_the_smallest_is_that_of_the_space() -> None:
    banks, codes = draws(replace(SAMPLER, walk=False), fresh(), 0)
    np.testing.assert_allclose([(banks == bank).mean() for bank in range(3)], 1 / 3, atol=0.05)
    assert (banks != banks[:, :1]).any()
    assert (codes[:, 3] == SPACE.least).all()


def test_uniform_sampling_is_the_sandwich_rule() -> None:
    _, codes = draws(replace(SAMPLER, walk=False, prefer=False), fresh(), 0)
    assert (codes[:, 0] == SPACE.most).all()
    assert (codes[:, -1] == SPACE.least).all()
    for gene, choices in enumerate(SPACE.choices):
        shares = np.bincount(codes[:, 1:3, gene].ravel(), minlength=choices) / (2 * len(codes))
        np.testing.assert_allclose(shares, 1 / choices, atol=0.06)


@pytest.mark.slow
def test_exploration_takes_the_candidate_whose_flops_are_in_its_width() -> None:
    """With every known subnet a candidate, it is the one of the least depth over width in the bank."""
    sampler, memory = replace(SAMPLER, table=32, candidates=32), fresh(1)
    value = jax.jit(jax.vmap(partial(sampler.depth_over_width, anchor=jnp.array(SPACE.least))))
    banks, codes = draws(sampler, memory, 0)
    for bank in range(3):
        assert (value(codes[:, :3][banks == bank]) == value(sampler.known()[bank]).min()).all()
    deep, wide = value(jnp.array([(0, 0, 0, 1, 0, 0, 0, 0, 0), (0, 0, 1, 0, 0, 0, 0, 0, 0)]))
    assert wide < 0 < deep


@pytest.mark.slow
@pytest.mark.parametrize(("step", "likely"), [(0, 0.2), (9, 0.2), (10, 0.35), (59, 0.95)])
def test_a_half_full_memory_is_drawn_from_by_the_softmax_of_scores(step: int, likely: float) -> None:
    assert float(SAMPLER.likely(jnp.int32(step))) == pytest.approx(likely)
    memory = fresh()
    own = SAMPLER.known()[:, :2] * 0 + 99  # genes that no known subnet has mark the members
    memory["codes"] = memory["codes"].at[:, :2].set(own).at[:, 1].set(98)
    memory["scores"] = memory["scores"].at[:, :2].set(jnp.log(jnp.array([3.0, 1.0])))
    _, codes = draws(SAMPLER, memory, step)
    first, second = (codes[:, :3, 0] == 99).mean(), (codes[:, :3, 0] == 98).mean()
    assert first + second == pytest.approx(likely, abs=0.05)
    assert first / (first + second) == pytest.approx(0.75, abs=0.06)
    roomy = replace(SAMPLER, memory=8)
    assert roomy.room().tolist() == [4, 6, 8]  # the lower banks know no more architectures
    memory = roomy.nothing() | {"bank": jnp.int32(1)}
    memory["codes"] = memory["codes"].at[:, :2].set(99)
    memory["scores"] = memory["scores"].at[:, :2].set(0.0)
    banks, codes = draws(roomy, memory, step)
    assert (codes[banks[:, 0] == 0][:, :3, 0] == 99).any()  # two of four
    assert (codes[banks[:, 0] > 0][:, :3, 0] < 99).all()  # two of six are less than half


@pytest.mark.slow
def test_the_memory_renews_members_and_replaces_the_worst() -> None:
    codes = jnp.arange(36, dtype=jnp.int32).reshape(4, 9)
    banks = jnp.array([1, 1, 1])
    memory = SAMPLER.learn(fresh(), banks, codes, jnp.array([-1.0, -3.0, -2.0]))
    assert memory["bank"] == 1
    np.testing.assert_array_equal(memory["scores"][1], [-1.0, -3.0, -2.0, -np.inf])
    memory = SAMPLER.learn(memory, banks, codes[jnp.array([0, 3, 3, 1])], jnp.array([-4.0, -0.5, -0.25]))
    np.testing.assert_array_equal(memory["scores"][1], [-4.0, -3.0, -2.0, -0.25])
    memory = SAMPLER.learn(memory, banks, codes + 100, jnp.array([-5.0, -1.0, -1.5]))
    np.testing.assert_array_equal(memory["scores"][1], [-1.0, -1.5, -2.0, -0.25])
    assert not jnp.isfinite(memory["scores"][0]).any()


def test_every_member_is_scored_anew_in_its_turn() -> None:
    sampler, memory = replace(SAMPLER, renew=2), fresh()
    codes = memory["codes"].at[..., 0].set(jnp.arange(12).reshape(3, 4))
    memory = memory | {"codes": codes, "scores": memory["scores"].at[:, :3].set(-9.0)}
    for step in range(6):
        due = sampler.due(memory, jnp.int32(step))
        np.testing.assert_array_equal(due[:, 0], [2 * step, 2 * step + 1])
        memory = sampler.renewed(memory, jnp.int32(step), -due[:, 0].astype(jnp.float32))
    np.testing.assert_array_equal(memory["scores"], np.where(np.arange(4) < 3, -codes[..., 0], -np.inf))
    assert sampler.due(memory, jnp.int32(6))[0, 0] == 0
    assert replace(sampler, prefer=False).due(memory, jnp.int32(0)).shape == (0, 9)


def test_the_anchor_is_the_best_of_the_lowest_bank() -> None:
    memory = fresh()
    np.testing.assert_array_equal(SAMPLER.anchor(memory), SPACE.least)
    codes = jnp.zeros((4, 9), jnp.int32).at[jnp.arange(3), jnp.arange(2, 5)].set(1)
    memory = SAMPLER.learn(memory, jnp.zeros(3, jnp.int32), codes, jnp.array([-2.0, -1.0, -3.0]))
    np.testing.assert_array_equal(SAMPLER.anchor(memory), codes[1])
