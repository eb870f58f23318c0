"""Slots: what a writer leaves is what a reader reads, with a cache as without, and nothing else passes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import Axes
from stagejax.decode import Prompts, sample
from stagejax.models import gpt, llama
from stagejax.models.text.slots import SlotReader, SlotWriter, into_reader, into_writer

MARKER = 3
SIZES = {"vocab": 12, "embed": 16, "layers": 2, "heads": 2, "mlp": 24, "length": 12, "init_std": 0.5}
PROMPTS = np.array([[1, 5, 6, 3, 0, 0], [1, 7, 8, 9, 3, 3], [1, 3, 0, 0, 0, 0]], np.int32)
LENGTHS = np.array([4, 6, 2], np.int32)


@pytest.fixture(params=[gpt, llama], ids=["learned positions", "rotary"])
def pair(request):
    net = request.param(**SIZES)
    writer = SlotWriter(net, MARKER, 8).build(nnx.Rngs(0))
    return writer, SlotReader(net, MARKER, 16).build(nnx.Rngs(1))


@pytest.mark.slow
def test_answers_with_a_cache_are_those_of_whole_rows(pair) -> None:
    writer, reader = pair
    states = writer.hidden(jnp.array(PROMPTS))
    drawn = sample(
        reader.filled(states), Prompts(PROMPTS, LENGTHS), jax.random.key(0), length=10, n=2, temperature=0.0, limit=4
    )
    logits = jax.jit(lambda tokens, states: reader(tokens, states=states))
    for row, length in enumerate(LENGTHS):
        tokens = np.zeros((1, 10), np.int32)
        tokens[0, :length] = PROMPTS[row, :length]
        alone = writer.hidden(jnp.array(tokens))
        for at in range(length, length + 4):
            tokens[0, at] = int(np.argmax(logits(tokens, alone)[0, at - 1]))
        for copy in (0, 1):
            np.testing.assert_array_equal(drawn.tokens_BNS[row, copy], tokens[0])


@pytest.mark.slow
def test_a_reader_reads_states_in_its_slots_alone(pair) -> None:
    writer, reader = pair
    tokens = jnp.array(PROMPTS)
    states, other = writer.hidden(tokens), jax.random.normal(jax.random.key(2), (3, 6, 16))
    outside = jnp.where((tokens == MARKER)[..., None], states, other)
    np.testing.assert_array_equal(reader(tokens, states=states), reader(tokens, states=outside))
    moved = reader(tokens, states=jnp.where((tokens == MARKER)[..., None], other, states))
    assert not np.allclose(moved[0, 3], reader(tokens, states=states)[0, 3], atol=1e-3)
    np.testing.assert_allclose(moved[:, 0], reader(tokens, states=states)[:, 0], atol=1e-5)  # before any slot
    changed = reader.tokens.table[...].at[MARKER].set(7.0)  # the marker's own row is not read
    before = reader.hidden(tokens, vectors=reader.vectors(tokens, states))
    reader.tokens.table[...] = changed
    np.testing.assert_array_equal(reader.hidden(tokens, vectors=reader.vectors(tokens, states)), before)


@pytest.mark.slow
def test_what_stands_behind_a_slot_does_not_reach_it(pair) -> None:
    writer, _ = pair
    tokens = jnp.array(PROMPTS)
    longer = jnp.concatenate([tokens, jnp.full((3, 4), 9)], axis=1).at[0, 4:].set(8)
    np.testing.assert_allclose(writer.hidden(longer)[0, 3], writer.hidden(tokens)[0, 3], atol=1e-5)
    np.testing.assert_allclose(writer.hidden(longer)[2, 1], writer.hidden(tokens)[2, 1], atol=1e-5)


def test_a_summary_is_the_direction_of_the_mean_over_slots(pair) -> None:
    writer, _ = pair
    states = np.asarray(writer.hidden(jnp.array(PROMPTS)))
    kernel = np.asarray(writer.project.kernel[...])
    for row, places in enumerate(([3], [4, 5], [1])):
        z = (states[row, places] @ kernel).mean(0)
        np.testing.assert_allclose(writer.summary(jnp.array(PROMPTS))[row], z / np.linalg.norm(z), atol=1e-4)


@pytest.mark.slow
def test_vectors_of_the_table_change_nothing() -> None:
    model = gpt(**SIZES).build(nnx.Rngs(0))
    tokens = jnp.array(PROMPTS)
    vectors = (tokens == MARKER, model.tokens(tokens))
    np.testing.assert_array_equal(model(tokens, vectors=vectors), model(tokens))
    logits, _ = model.step(tokens, model.init_cache(3, 8), vectors=vectors)
    np.testing.assert_allclose(logits, model(tokens), atol=1e-4)


def test_a_cache_needs_the_states_of_its_rows(pair) -> None:
    writer, reader = pair
    filled = reader.filled(writer.hidden(jnp.array(PROMPTS)))
    with pytest.raises(ValueError, match="a cache of 2 rows, but states of 3"):
        filled.init_cache(2, 8)
    cache = filled.init_cache(3, 8).rows(jnp.array([2, 2, 0]))
    np.testing.assert_array_equal(cache.states_BPF[1], filled.states_BPF[2])
    assert cache.moved(jnp.array([1, 0, 2])).lengths_B.tolist() == [1, 0, 2]


def test_what_passes_into_writers_and_readers() -> None:
    none = Axes((), ())
    found = {path: (into_writer(path, none), into_reader(path, none)) for path in ("project/kernel", "inject/kernel")}
    assert found == {"project/kernel": ("reset", "carry"), "inject/kernel": ("carry", "reset")}
