"""Answers step by step: where steps end, advantages, the first pit, final answers; per-step DPO as weighted RL."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stagejax.decode import Samples
from stagejax.decode.steps import FinalAnswer, advantages, first_pit, step_ends
from stagejax.objectives.rewards.preference import Preference


@given(hnp.arrays(np.int64, 12, elements=st.integers(0, 4)), st.integers(1, 6), st.integers(7, 12))
def test_steps_part_an_answer(tokens: np.ndarray, start: int, end: int) -> None:
    ends = step_ends(tokens, start, end, separator=3)
    assert ends[-1] == end
    assert (np.diff(np.concatenate([[start], ends])) > 0).all()  # no step is empty
    inner = tokens[start : end - 1]
    assert len(ends) == 1 + (inner == 3).sum()
    assert (tokens[ends[:-1] - 1] == 3).all()


@given(hnp.arrays(np.float64, st.integers(1, 6), elements=st.integers(0, 8).map(lambda k: k / 8)), st.floats(0, 1))
def test_advantages_add_up_to_what_was_won_or_lost(values: np.ndarray, value: float) -> None:
    assert advantages(values, value).sum() == pytest.approx(values[-1] - value)
    pit = first_pit(values)
    assert values[pit] == values.min()
    assert (values[:pit] > values.min()).all()


def test_a_final_answer_counts_only_behind_the_last_marker_and_before_the_end() -> None:
    rows = np.array(
        [
            [1, 9, 5, 2, 0, 0],  # right
            [1, 9, 5, 7, 2, 0],  # more behind it
            [1, 9, 5, 9, 6, 2],  # the last one counts
            [1, 9, 6, 9, 5, 2],
            [1, 9, 5, 0, 0, 0],  # without an end
            [9, 5, 2, 7, 2, 0],  # the marker stands in the prompt
        ]
    )
    ends, stops = np.array([4, 5, 6, 6, 3, 5]), np.array([1, 1, 1, 1, 0, 1])
    starts = np.array([1, 1, 1, 1, 1, 2])
    zero = np.zeros((6, 1, 6))
    samples = Samples(rows[:, None], starts[:, None], ends[:, None], stops[:, None], zero, zero)
    found = FinalAnswer(marker=9, zero=4)(samples, {"answer": np.ones(6, int)})
    assert found[:, 0].tolist() == [1, 0, 0, 1, 0, 0]


@pytest.mark.slow
def test_per_step_dpo_has_the_optimum_of_advantage_weighted_rl() -> None:
    """On a tiny tree: two states, four steps each; the better of two steps of the reference is preferred by exp(A)."""
    rng = np.random.default_rng(0)
    reference = jax.nn.log_softmax(jnp.asarray(rng.normal(size=(2, 4)), jnp.float32))
    gains, beta = jnp.asarray(rng.normal(size=(2, 4)), jnp.float32), 0.5
    state, first, second = (x.reshape(-1) for x in np.meshgrid(np.arange(2), np.arange(4), np.arange(4)))
    loss = Preference(beta)

    def pairs(table: jax.Array) -> jax.Array:
        def one(s: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
            sides = {"chosen": a, "rejected": b}
            batch = {side: jnp.stack([s, 2 + step])[None] for side, step in sides.items()}
            batch |= {f"{side}_weights": jnp.ones((1, 1)) for side in sides}
            batch |= {f"{side}_reference": reference[s, step][None] for side, step in sides.items()}

            def model(tokens: jax.Array, key: None) -> jax.Array:
                logits = jnp.full((2, 6), -jnp.inf).at[:, 2:].set(table)
                return logits[tokens]

            return loss(model, batch, None)[0]

        chance = jnp.exp(reference[state, first] + reference[state, second])  # both steps are the reference's
        better = jax.nn.sigmoid(gains[state, first] - gains[state, second])
        return jnp.sum(chance * better * jax.vmap(one)(state, first, second))

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(pairs)

    def step(carry: tuple[jax.Array, optax.OptState], _: None) -> tuple[tuple[jax.Array, optax.OptState], None]:
        table, state = carry
        value, grad = value_and_grad(table, state=state)
        updates, state = solver.update(grad, state, table, value=value, grad=grad, value_fn=pairs)
        return (optax.apply_updates(table, updates), state), None

    (table, _), _ = jax.jit(lambda t: jax.lax.scan(step, (t, solver.init(t)), None, 60))(jnp.zeros((2, 4)))
    expected = jax.nn.softmax(reference + gains / beta)
    np.testing.assert_allclose(jax.nn.softmax(table), expected, atol=2e-3)
