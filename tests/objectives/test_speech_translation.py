"""The teacher's truncated distribution as a label, and recognition from whole pairs of frames."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.sound.recognition import ctc
from stagejax.objectives.sound.speech_translation import (
    recognition,
    taught,
    top_k,
    translation,
    truncated_cross_entropy,
)


def batch(k: int = 3) -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(0), 3)
    teacher = jax.random.normal(keys[0], (2, 4, 7))
    top, logits = top_k(teacher, k)
    return {
        "inputs": jnp.ones((2, 6, 5)),
        "mask": jnp.ones((2, 3), bool),
        "tokens": jnp.zeros((2, 4), int),
        "targets": jax.random.randint(keys[1], (2, 4), 0, 7),
        "weights": jnp.array([[1.0, 1, 1, 0], [1, 1, 0, 0]]),
        "top": top,
        "top_logits": logits,
        "student": jax.random.normal(keys[2], (2, 4, 7)),
        "teacher": teacher,
    }


def student(own: dict[str, Any]) -> Any:
    return lambda frames, tokens, mask, key: own["student"]


def test_what_is_kept_are_the_likeliest_tokens() -> None:
    own = batch()
    np.testing.assert_array_equal(own["top"][0, 0], np.argsort(-np.asarray(own["teacher"][0, 0]))[:3])
    assert (jnp.diff(own["top_logits"]) <= 0).all()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_truncated_cross_entropy_is_that_of_the_renormalised_teacher(temperature: float) -> None:
    own = batch()
    found = truncated_cross_entropy(own["student"], own["top"], own["top_logits"], temperature)
    logp = np.asarray(jax.nn.log_softmax(own["student"]))
    for b, n in np.ndindex(2, 4):
        z = np.asarray(own["teacher"][b, n])[np.asarray(own["top"][b, n])] / temperature
        p = np.exp(z) / np.exp(z).sum()
        np.testing.assert_allclose(found[b, n], -(p * logp[b, n][np.asarray(own["top"][b, n])]).sum(), rtol=1e-4)
    whole = truncated_cross_entropy(own["student"], *top_k(own["teacher"], 7))
    np.testing.assert_allclose(whole, -(jax.nn.softmax(own["teacher"]) * logp).sum(-1), rtol=1e-4)


def test_with_strength_one_no_label_is_looked_at() -> None:
    own = batch()
    loss, metrics = taught(student(own), own, None)
    other, _ = taught(student(own), own | {"targets": (own["targets"] + 1) % 7}, None)
    np.testing.assert_allclose(loss, other)
    np.testing.assert_allclose(metrics["loss"][0] / metrics["loss"][1], loss, rtol=1e-5)
    none = own | {"weights": own["weights"].at[:, 1:].set(0.0)}
    first, _ = taught(student(own), none, None)
    kd = truncated_cross_entropy(own["student"], own["top"], own["top_logits"])
    np.testing.assert_allclose(first, kd[:, 0].mean(), rtol=1e-5)  # weights say which tokens count


def test_losses_are_mixed_by_strength() -> None:
    own = batch()
    kd, nll = taught(student(own), own, None)[0], translation(student(own), own, None)[0]
    half = taught(student(own), own, None, strength=0.25)[0]
    np.testing.assert_allclose(half, 0.75 * nll + 0.25 * kd, rtol=1e-5)
    held = {name: leaf for name, leaf in own.items() if not name.startswith("top")}
    np.testing.assert_allclose(taught(student(own), held, None)[0], nll, rtol=1e-6)
    assert translation(student(own), own, None, smoothing=0.1)[0] != nll


def test_bands_are_hidden_in_training_alone() -> None:
    own = batch() | {"inputs": jnp.ones((2, 6, 16))}
    seen = []

    def model(frames: Any, tokens: Any, mask: Any, key: Any) -> Any:
        seen.append(frames)
        return own["student"]

    translation(model, own, None, hidden=8)
    translation(model, own, jax.random.key(3), hidden=8)
    assert (seen[0] == 1).all()
    assert (seen[1] == 0).any()


@pytest.mark.slow
def test_recognition_is_ctc_of_pairs_of_frames() -> None:
    path = 5 * jnp.eye(4)[jnp.array([[1, 0, 2]])]
    own = {"inputs": jnp.zeros((1, 6, 5)), "mask": jnp.array([[True, True, False]]), "words": jnp.array([[1, 0]])}
    seen = []

    def model(frames: Any, real: Any, key: Any) -> Any:
        seen.append(real)
        return path, real[:, ::2]

    loss, metrics = recognition(model, own, None)
    assert seen[0].tolist() == [[True] * 4 + [False] * 2]
    both = {"frames": own["inputs"], "real": seen[0], "words": own["words"]}
    np.testing.assert_allclose(loss, ctc(model, both, None)[0])
    assert metrics["exact"][0] == 1
