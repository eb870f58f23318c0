"""Divergences of distributions: formulas, bounds, gradients; and what their averages count."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from stagejax.objectives.divergence import Distances, forward_kl, jensen_shannon, reverse_kl

RNG = np.random.RandomState(0)
STUDENT, TEACHER = (jnp.asarray(RNG.normal(size=(4, 6)) * 2, jnp.float32) for _ in range(2))
Q, P = (np.asarray(jax.nn.softmax(z), np.float64) for z in (STUDENT, TEACHER))


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (p * np.log(p / q)).sum(-1)


def test_they_are_those_of_the_formulas() -> None:
    np.testing.assert_allclose(forward_kl(STUDENT, TEACHER), kl(P, Q), rtol=1e-4)
    np.testing.assert_allclose(reverse_kl(STUDENT, TEACHER), kl(Q, P), rtol=1e-4)
    middle = (P + Q) / 2
    np.testing.assert_allclose(jensen_shannon(STUDENT, TEACHER), (kl(P, middle) + kl(Q, middle)) / 2, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 30.0))
def test_bounds(seed: int, scale: float) -> None:
    a, b = jnp.asarray(np.random.RandomState(seed).normal(size=(2, 3, 5)) * scale, jnp.float32)
    for divergence in (forward_kl, reverse_kl, jensen_shannon):
        assert (np.asarray(divergence(a, b)) > -1e-5).all()
        np.testing.assert_allclose(divergence(a, a + 3), 0, atol=1e-5)
    both = np.asarray(jensen_shannon(a, b))
    assert (both <= np.log(2) + 1e-5).all()
    np.testing.assert_allclose(both, jensen_shannon(b, a), atol=1e-5)


def test_gradients_in_the_students_logits() -> None:
    np.testing.assert_allclose(jax.grad(lambda z: forward_kl(z, TEACHER).sum())(STUDENT), Q - P, atol=1e-5)
    wanted = Q * (np.log(Q / P) - kl(Q, P)[:, None])
    np.testing.assert_allclose(jax.grad(lambda z: reverse_kl(z, TEACHER).sum())(STUDENT), wanted, atol=1e-5)
    wanted = Q / 2 * (np.log(2 * Q / (P + Q)) - kl(Q, (P + Q) / 2)[:, None])
    np.testing.assert_allclose(jax.grad(lambda z: jensen_shannon(z, TEACHER).sum())(STUDENT), wanted, atol=1e-5)


def test_a_distance_is_measured_on_the_other_models_responses_alone() -> None:
    table = {name: jnp.asarray(RNG.normal(size=(9, 6)), jnp.float32) for name in ("student", "teacher", "oracle")}
    models = {name: lambda inputs, tokens, mask, own=own: own[tokens] for name, own in table.items()}
    batch = {"inputs": jnp.zeros((2, 3), int), "mask": jnp.ones((2, 3), bool)}
    batch |= {"teacher_tokens": jnp.array([[1, 2, 3], [4, 0, 0]]), "oracle_tokens": jnp.array([[5, 6, 0], [7, 8, 2]])}
    weights = {"teacher": jnp.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), "oracle": jnp.array([[1.0, 1, 0], [1, 1, 1]])}
    loss, metrics = Distances()(models, batch | {f"{who}_weights": own for who, own in weights.items()}, None)
    said = {"teacher": [1, 2, 3, 4], "oracle": [5, 6, 7, 8, 2]}
    for name, who in (("proxy", "teacher"), ("golden", "oracle")):
        rows = table["student"][jnp.array(said[who])], table[who][jnp.array(said[who])]
        for suffix, divergence in (("", forward_kl), ("_reverse", reverse_kl), ("_js", jensen_shannon)):
            total, count = metrics[name + suffix]
            assert count == len(said[who])
            assert total == pytest.approx(float(divergence(*rows).sum()), rel=1e-4)
    assert loss == pytest.approx(float(metrics["proxy"][0]) / 4, rel=1e-5)
