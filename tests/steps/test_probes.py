"""Probes: weights count as they are, and many classifiers learn as each would alone."""

import jax
import numpy as np
import pytest

from stagejax.steps.probes import Probe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype(np.float32)
PROBE = Probe(features=4, mlp=8, classes=2, steps=60, batch=10, peak=2e-2)


def examples(seeds: int, weights: np.ndarray) -> dict[str, np.ndarray]:
    rows = np.stack([np.random.default_rng(s).integers(0, 40, (60, 10)) for s in range(seeds)])
    return {"rows": rows, "label": (X[rows, 0] > 0).astype(int), "weights": weights[rows].astype(np.float32)}


@pytest.mark.slow
def test_side_by_side_is_as_alone() -> None:
    keys = jax.random.split(jax.random.key(0), 2)
    made = examples(2, np.ones(40))
    both = PROBE.fit(PROBE.fresh(keys), keys, X, made)
    alone = PROBE.fit(PROBE.fresh(keys[1:]), keys[1:], X, {name: own[1:] for name, own in made.items()})
    for name in both:
        np.testing.assert_allclose(both[name][1], alone[name][0], rtol=2e-4, atol=1e-5)
    answers = PROBE.answers(both, X)
    assert (answers.argmax(-1) == (X[:, 0] > 0)).mean() > 0.9


def test_examples_without_weight_are_not_learned() -> None:
    keys, weights = jax.random.split(jax.random.key(1), 1), np.ones(40)
    weights[:10] = 0
    made = examples(1, weights)
    other = made | {"label": np.where(made["rows"] < 10, 1 - made["label"], made["label"])}
    first, second = (PROBE.fit(PROBE.fresh(keys), keys, X, own) for own in (made, other))
    np.testing.assert_array_equal(first["up"], second["up"])


def test_passes_differ_by_dropout_alone() -> None:
    keys = jax.random.split(jax.random.key(2), 1)
    heads = PROBE.fresh(keys)
    quiet = PROBE.passes(heads, keys, X, 3)
    np.testing.assert_allclose(quiet, np.broadcast_to(PROBE.answers(heads, X)[:, None], quiet.shape), rtol=1e-5)
    loud = Probe(4, 8, 2, dropout=(0.3, 0.5)).passes(heads, keys, X, 3)
    assert np.abs(loud[0, 0] - loud[0, 1]).max() > 0.01
