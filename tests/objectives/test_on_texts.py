"""Labels, logits and masked words of texts, against numpy and a model that tells what it was shown."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.text.on_texts import by_labels, by_logits, logits_and_masked, what_was_masked

RANDOM = np.random.default_rng(0)
B, T, C, V = 3, 5, 4, 9
CLASSES, WORDS = (jnp.asarray(RANDOM.normal(size=size), jnp.float32) for size in ((V, C), (V, V)))
TOKENS = jnp.array([[1, 5, 6, 2, 0], [1, 7, 2, 0, 0], [1, 8, 5, 7, 2]])
MASKED = jnp.array([[1, 3, 6, 2, 0], [1, 3, 2, 0, 0], [1, 8, 3, 6, 2]])
WEIGHTS = (TOKENS != MASKED).astype(jnp.float32)
LOGITS = jnp.asarray(RANDOM.normal(size=(B, C)), jnp.float32)
BATCH = {"tokens": TOKENS, "masked": MASKED, "weights": WEIGHTS, "logits": LOGITS, "label": jnp.array([0, 3, 1])}


class Model:
    """Classes and words by tables of tokens."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def answers(self, tokens: Any, key: Any) -> Any:
        self.seen.append(key)
        return CLASSES[tokens].mean(1)

    def __call__(self, tokens: Any, *, key: Any, mask: Any) -> Any:
        self.seen += [key, mask]
        return WORDS[tokens]


def logs(z: Any) -> np.ndarray:
    return np.asarray(jax.nn.log_softmax(jnp.asarray(z)), np.float64)


def divergence(tokens: Any) -> float:
    p, q = logs(LOGITS), logs(CLASSES[tokens].mean(1))
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def words() -> float:
    own = np.take_along_axis(logs(WORDS[MASKED]), np.asarray(TOKENS)[..., None], -1)[..., 0]
    return float(-(own * WEIGHTS).sum() / WEIGHTS.sum())


def test_a_teachers_logits_are_matched_and_labels_teach_nothing() -> None:
    for label in (BATCH["label"], jnp.array([1, 0, 2])):
        loss, _ = by_logits(Model(), BATCH | {"label": label}, None)
        assert float(loss) == pytest.approx(divergence(TOKENS), rel=1e-5)


def test_labels_are_learned_and_are_all_there_is_without_a_teacher() -> None:
    batch = {name: BATCH[name] for name in ("tokens", "label")}
    wanted = -logs(CLASSES[TOKENS].mean(1))[np.arange(B), np.asarray(BATCH["label"])].mean()
    for objective in (by_labels, by_logits):
        assert float(objective(Model(), batch, None)[0]) == pytest.approx(wanted, rel=1e-5)


def test_masked_words_are_told_from_masked_text_without_padding() -> None:
    model = Model()
    loss, _ = what_was_masked(model, BATCH, None)
    assert float(loss) == pytest.approx(words(), rel=1e-5)
    np.testing.assert_array_equal(model.seen[1], TOKENS != 0)


def test_both_are_summed_on_masked_text_with_a_key_each() -> None:
    model = Model()
    loss, _ = logits_and_masked(model, BATCH, jax.random.key(0))
    assert float(loss) == pytest.approx(divergence(MASKED) + words(), rel=1e-5)
    one, other = (jax.random.key_data(key).tolist() for key in model.seen[:2])
    assert one != other
