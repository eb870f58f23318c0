"""Checkpoints of tracked embeddings: the oldest goes, choices come with periods and are replaced, costs with epochs."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax import Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.models import llama
from stagejax.models.taps import Watched
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.program import build
from stagejax.steps.watching import EpochFlops, Watching, with_all
from stagejax.transforms.sensitivity import MostSensitive

EPOCH, PERIOD, CHOOSE = 5, 2, MostSensitive(0.25)
TEXTS = jax.random.randint(jax.random.key(0), (3, 7), 4, 260)


@pytest.mark.slow
def test_a_checkpoint_remembers_and_a_period_chooses_anew() -> None:
    model = Watched(llama(vocab=260, embed=8, layers=2, heads=2, mlp=16), checkpoints=2, texts=3)
    data = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=2, length=8)
    watching = Watching(EPOCH, PERIOD, CHOOSE)
    program = build(Stage("watched", model, causal_lm, adamw(1e-3), data, 10, step=watching), None)
    state = jax.jit(program.init)(jax.random.key(0))
    kept = jnp.ones(8).at[3].set(0.0)
    state = replace(state, step=jnp.int32(EPOCH), rest=state.rest | {"kept": kept})
    first = watching.checkpoint(program.parts, state, TEXTS, jax.random.key(0))
    assert (first.rest["seen"][0] == 0).all()
    assert (first.rest["seen"][1, :, 3] == 0).all()  # tracked as it trains
    np.testing.assert_array_equal(first.rest["kept"], kept)  # no choice in the middle of a period
    second = watching.checkpoint(program.parts, replace(first, step=jnp.int32(2 * EPOCH)), TEXTS, jax.random.key(0))
    np.testing.assert_array_equal(second.rest["seen"][0], first.rest["seen"][1])
    np.testing.assert_array_equal(second.rest["kept"], CHOOSE(second.rest["seen"], jax.random.key(0)))
    bare = replace(watching, embed=with_all)
    third = bare.checkpoint(program.parts, replace(first, step=jnp.int32(3 * EPOCH)), TEXTS, jax.random.key(0))
    assert (third.rest["seen"][1, :, 3] != 0).all()


def test_a_checkpoint_is_charged_to_the_last_step_of_an_epoch() -> None:
    assert EpochFlops(3, 10.0, 5.0)(np.arange(6)).tolist() == [10, 10, 15, 10, 10, 15]
    with pytest.raises(ValueError, match="at least 1"):
        Watching(0, 3, CHOOSE)
