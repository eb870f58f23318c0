"""Selectors of pseudo labels against references item by item, and their weights against the formulas."""

import numpy as np
import pytest

from stagejax.inference.selection.pseudo_labels import HAST, UST, VERIPS, AcTune, NeST, Pseudo, Said, class_weights
from stagejax.objectives.retrieval.neighbours import nearest_others

N, L, C, E = 60, 12, 3, 5
RNG = np.random.default_rng(0)


def told(count: int, sharp: float = 3.0) -> Said:
    logits = sharp * RNG.normal(size=(count, C))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    x = RNG.normal(size=(count, E)).astype(np.float32)
    passes = np.clip(p + 0.1 * RNG.normal(size=(4, count, C)), 1e-3, 1)
    passes /= passes.sum(-1, keepdims=True)
    return Said(x, p, nearest_others(x, 14), passes, p[::-1].copy())


POOL, KNOWN = told(N), told(L + 5).of(np.arange(L))


@pytest.mark.parametrize("options", [{}, {"k": 8, "confidence": 0.7}, {"agreement": 0.6}, {"confidence": 0.0}])
def test_hast_accepts_what_a_loop_accepts(options: dict) -> None:
    rule, wanted = HAST(**options), []
    unit = POOL.embeddings_NE / np.linalg.norm(POOL.embeddings_NE, axis=1, keepdims=True)
    predicted = POOL.probabilities_NC.argmax(1)
    for i in range(N):
        near = sorted((j for j in range(N) if j != i), key=lambda j: -unit[i] @ unit[j])[: rule.k - 1]
        shares = [np.mean([predicted[j] == c for j in near]) for c in range(C)]
        own = POOL.probabilities_NC[i]
        if np.argmax(shares) == own.argmax() and own.max() > rule.confidence and max(shares) > rule.agreement:
            wanted.append(i)
    found = rule(POOL, KNOWN, np.random.default_rng(0))
    assert 0 < len(wanted) < N
    assert found.items_M.tolist() == wanted
    assert found.labels_M.tolist() == predicted[wanted].tolist()


def test_hast_without_neighbours_or_with_weights() -> None:
    confident = np.flatnonzero(POOL.probabilities_NC.max(1) > 0.5)
    found = HAST(agreement=None, balanced=True, beta=0.1)(POOL, KNOWN, np.random.default_rng(0))
    assert found.items_M.tolist() == confident.tolist()
    np.testing.assert_allclose(found.weights_M, 0.1 * class_weights(found.labels_M, C))
    np.testing.assert_allclose(found.known_L, np.ones(L))
    assert found.weights().mean() == pytest.approx(1)


def test_class_weights_are_those_of_the_formula() -> None:
    labels = np.repeat([0, 1, 2], [8, 4, 1])  # the mean is floor(13 / 3) = 4
    by_class = {c: 10 / (1 + np.exp(-(4 - n) / n)) for c, n in ((0, 8), (1, 4), (2, 1))}
    np.testing.assert_allclose(class_weights(labels, 3), [by_class[c] for c in labels])
    assert by_class[1] == 5


def test_ust_draws_equally_many_of_each_class_and_weighs_by_variance() -> None:
    found = UST(each=5)(POOL, KNOWN, np.random.default_rng(0))
    assert np.bincount(found.labels_M).tolist() == [5, 5, 5]
    assert len(set(found.items_M.tolist())) == 15
    i, c = found.items_M[0], found.labels_M[0]
    assert c == POOL.passes_PNC.mean(0)[i].argmax()
    variance = POOL.passes_PNC[:, i, c].var()
    assert found.weights_M[0] == pytest.approx(max(0.1 * np.log(1 / (variance + 1e-8)), 0.4))
    assert found.known_L.shape == (L,)


def test_verips_accepts_what_is_certain_and_said_twice() -> None:
    found = VERIPS(0.5)(POOL, KNOWN, np.random.default_rng(0))
    p = POOL.probabilities_NC
    certain = [1 + sum(x * np.log(x) for x in row) / np.log(C) >= 0.5 for row in p]
    twice = p.argmax(1) == POOL.again_NC.argmax(1)
    assert found.items_M.tolist() == np.flatnonzero(certain & twice).tolist()
    assert 0 < len(found.items_M) < sum(certain)


def test_nest_takes_the_least_divergent_as_a_loop_finds_them() -> None:
    rule = NeST(k=3, each=2, confidence=0.4)

    def kl(a: np.ndarray, b: np.ndarray) -> float:
        return float((a * np.log(a / b)).sum())

    scores, q = [], KNOWN.probabilities_NC
    unit, theirs = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (POOL.embeddings_NE, KNOWN.embeddings_NE))
    for i in range(N):
        near = np.argsort(-unit[i] @ theirs.T)[:3]
        pairs = [kl(q[near[a]], q[near[b]]) for a in range(3) for b in range(a + 1, 3)]
        scores.append(np.mean([kl(POOL.probabilities_NC[i], q[j]) for j in near]) + 0.1 * np.mean(pairs))
    lowest = np.argsort(scores)[: 2 * L]
    wanted = sorted(i for i in lowest if POOL.probabilities_NC[i].max() > 0.4)
    assert rule(POOL, KNOWN, np.random.default_rng(0)).items_M.tolist() == wanted


def test_actune_takes_few_and_only_confident_ones() -> None:
    rule = AcTune(regions=6, sampled=3, each=4)
    found = rule(POOL, KNOWN, np.random.default_rng(0))
    assert len(found.items_M) == 12
    assert len(set(found.items_M.tolist())) == 12
    assert (POOL.probabilities_NC[found.items_M].max(1) > 0.6).all()
    assert found.weights_M.sum() == pytest.approx(found.known_L.sum())
    few = Said(POOL.embeddings_NE[:3], np.eye(3))
    assert rule(few, KNOWN, np.random.default_rng(0)).items_M.tolist() == [0, 1, 2]


def test_nothing_accepted_weighs_the_labels_alone() -> None:
    unsure = Said(POOL.embeddings_NE, np.full((N, C), 1 / C), POOL.neighbours_NK)
    found = HAST()(unsure, KNOWN, np.random.default_rng(0))
    assert len(found.items_M) == 0
    assert isinstance(found, Pseudo)
    np.testing.assert_allclose(found.weights(), np.ones(L))
