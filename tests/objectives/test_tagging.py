"""Distillation of taggers, against numpy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.matching import attention_mse, state_mse
from stagejax.objectives.text.tagging import by_states, by_teacher, tagging

RANDOM = np.random.default_rng(0)
TOKENS = jnp.array([[1, 5, 6, 2], [1, 7, 2, 0]])
WEIGHTS = jnp.array([[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
TARGETS = jnp.array([[0, 2, 1, 0], [0, 1, 0, 0]])
BATCH = {"tokens": TOKENS, "weights": WEIGHTS, "targets": TARGETS}


class Seen(NamedTuple):
    states: jax.Array
    attentions: jax.Array


def network(layers: int, seed: int) -> Any:
    """States and attentions at random, the last token of the second row unseen."""
    random = np.random.default_rng(seed)
    states = jnp.asarray(random.normal(size=(layers + 1, 2, 4, 3)), jnp.float32)
    scores = random.normal(size=(layers, 2, 2, 4, 4))
    scores[:, 1, :, :, 3] = -np.inf
    attentions = jax.nn.softmax(jnp.asarray(scores, jnp.float32))
    seen = Seen(states, attentions)
    return SimpleNamespace(observed=lambda tokens: seen, head=lambda x: 2 * x, seen=seen)


def reference(own: Any, seen: Any) -> tuple[float, float]:
    factor = len(seen.attentions) // len(own.attentions)
    attention, states = [], []
    for i in range(len(own.attentions)):
        wanted = np.asarray(seen.attentions[(i + 1) * factor - 1])
        attention.append(np.mean((np.asarray(own.attentions[i]) - wanted)[wanted != 0] ** 2))
    for i in range(len(own.states)):
        error = (np.asarray(own.states[i]) - np.asarray(seen.states[i * factor]))[np.asarray(TOKENS) != 0]
        states.append(np.mean(error**2))
    return float(np.mean(attention)), float(np.mean(states))


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_layers_are_matched_to_the_last_of_each(layers: int) -> None:
    own, seen = network(layers, 0).seen, network(4, 1).seen
    wanted = reference(own, seen)
    assert float(attention_mse(own.attentions, seen.attentions)) == pytest.approx(wanted[0], rel=1e-5)
    found = state_mse(own.states, seen.states, (TOKENS > 0).astype(jnp.float32))
    assert float(found) == pytest.approx(wanted[1], rel=1e-5)


def test_layers_must_divide() -> None:
    with pytest.raises(ValueError, match="must divide"):
        attention_mse(network(3, 0).seen.attentions, network(4, 0).seen.attentions)


def test_each_batch_is_learned_from_its_own_teacher() -> None:
    models = {"student": network(2, 0), "a": network(4, 1), "b": network(4, 2)}
    for part, name in enumerate("ab"):
        loss, found = by_states(models, BATCH | {"part": jnp.full(2, part)}, None, teachers=("a", "b"))
        alone, _ = by_states(models, BATCH, None, teachers=(name,))
        assert float(loss) == pytest.approx(float(alone), rel=1e-6)
        assert float(loss) == pytest.approx(sum(reference(models["student"].seen, models[name].seen)), rel=1e-5)
        assert set(found) == {"attention", "states"}


def test_soft_labels_are_the_teachers_on_the_words_alone() -> None:
    models = {"student": network(2, 0), "teacher": network(4, 1)}
    loss, found = by_teacher(models, BATCH, None, temperature=2.0)
    own, said = (np.asarray(2 * models[name].seen.states[-1], np.float64) / 2.0 for name in ("student", "teacher"))
    p = np.exp(said) / np.exp(said).sum(-1, keepdims=True)
    log_q = own - np.log(np.exp(own).sum(-1, keepdims=True))
    wanted = -(p * log_q).sum(-1)[np.asarray(WEIGHTS) > 0].mean()
    assert float(found["labels"]) == pytest.approx(wanted, rel=1e-5)
    assert float(loss) == pytest.approx(
        wanted + sum(reference(models["student"].seen, models["teacher"].seen)), rel=1e-5
    )


def test_gold_labels_are_not_read() -> None:
    models = {"student": network(2, 0), "teacher": network(4, 1)}
    loss, _ = by_teacher(models, BATCH, None, temperature=2.0)
    without = {name: leaf for name, leaf in BATCH.items() if name != "targets"}
    assert float(by_teacher(models, without, None, temperature=2.0)[0]) == float(loss)


def test_tagging_counts_words() -> None:
    model = SimpleNamespace(tags=lambda tokens, key: jax.nn.one_hot(TARGETS, 3).at[0, 1].set(0) * 9)
    _, metrics = tagging(model, BATCH, None)
    assert [float(x) for x in metrics["accuracy"]] == [2, 3]
