"""Episodes: what is recorded is what was seen and done, and none depends on its place."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.control.phone import Phone
from stagejax.data.control.phone_tasks import Goals
from stagejax.decode import Recomputed
from stagejax.decode.episodes import operated

PHONE = Phone(side=3, apps=3, horizon=4, hands=4, popup=0.3, wrong=0.0)
GOALS = jnp.asarray(Goals(phone=PHONE, batch=6).take(np.arange(6))["goal"])
KEYS = jax.random.split(jax.random.key(1), 6)
LENGTH = 2 + PHONE.cells + 3 + 4


class Taps:
    """A policy of any temperature: always a tap, on each cell with a probability that falls with its number."""

    def looking(self, prompts: Any, images: Any) -> Recomputed:
        vocab, cells = PHONE.words.vocab, jnp.arange(PHONE.cells)
        kind = jnp.full(vocab, -1e9).at[PHONE.token("tap")].set(0.0)
        cell = jnp.full(vocab, -1e9).at[PHONE.token("c0") + cells].set(-0.3 * cells)

        def logits(tokens: Any, context: Any) -> Any:
            return jnp.where(jnp.arange(tokens.shape[1])[None, :, None] >= LENGTH, cell, kind) + 0 * tokens[..., None]

        return Recomputed(logits)


PLAY = jax.jit(lambda goals, keys: operated(Taps(), PHONE, goals, keys))


@pytest.mark.slow
def test_the_record_can_be_played_again() -> None:
    found = PLAY(GOALS, KEYS)
    kinds = PHONE.token("tap")
    cells = np.asarray(found.actions[..., 1]) - PHONE.token("c0")
    assert (found.actions[..., 0] == kinds).all()
    assert cells.min() >= 0
    assert len(set(cells.reshape(-1).tolist())) > 3
    step = jax.jit(PHONE.step)
    for n in range(3):
        device = PHONE.reset(jax.random.fold_in(KEYS[n], 0), GOALS[n])
        for h in range(PHONE.horizon):
            np.testing.assert_array_equal(PHONE.seen(device), found.screens[n, h])
            device = step(jax.random.fold_in(KEYS[n], 2 * h + 1), device, found.actions[n, h])
        np.testing.assert_array_equal(PHONE.seen(device), found.screens[n, -1])
        assert (int(device.steps), float(device.reward)) == (int(found.lengths[n]), float(found.rewards[n]))
    np.testing.assert_array_equal(found.rewards > 0, found.right)


def test_an_episode_does_not_depend_on_its_place() -> None:
    here, there = PLAY(GOALS, KEYS), PLAY(GOALS[::-1], KEYS[::-1])
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other[::-1])


@pytest.mark.slow
def test_greedy_actions_are_the_likeliest_and_prompts_hold_the_last_ones() -> None:
    found = jax.jit(lambda: operated(Taps(), PHONE, GOALS, KEYS, temperature=0.0))()
    assert (np.asarray(found.actions) == [PHONE.token("tap"), PHONE.token("c0")]).all()
    prompts = PHONE.prompts(GOALS, jnp.tile(found.actions[:, 0], (1, 2)))
    assert prompts.shape == (6, LENGTH)
    said = PHONE.words.decode(np.asarray(prompts[0])).split()
    assert said[: PHONE.cells] == ["<screen>"] * PHONE.cells
    assert said[-4:] == ["tap", "c0", "tap", "c0"]
