"""Cups of one encoder: the prefix that each reads, its losses against NumPy, and what the decoder may know."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.stats import spearmanr

from stagejax.models import bert, gpt
from stagejax.models.text.matryoshka import Matryoshka
from stagejax.objectives.text.matryoshka import (
    by_grade,
    drawn_retrieval,
    graded,
    ranked,
    retrieval,
    similarity,
    smae,
    two_dimensional,
)
from stagejax.objectives.text.similarity import cosent, multiple_negatives, spearman

CUPS = ((1, 4), (2, 8), (3, 12))
BASE = bert(vocab=20, layers=3, embed=12, heads=2, mlp=16, length=6, init_std=0.3)  # words tell on each other


@pytest.fixture(scope="module")
def model() -> Any:
    return Matryoshka(BASE).build(nnx.Rngs(0))


@pytest.fixture(scope="module")
def vectors() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(10, size)).astype(np.float32) for _, size in CUPS)


class Given:
    """A model whose embeddings are known."""

    def __init__(self, vectors: tuple[np.ndarray, ...]) -> None:
        self.vectors = dict(zip(CUPS, map(jnp.asarray, vectors), strict=True))

    def embeddings(self, tokens: jax.Array, cups: Any, pool: str) -> tuple[jax.Array, ...]:
        self.pool = pool
        return tuple(self.vectors[cup] for cup in cups)


BATCH = {"first": jnp.zeros((5, 6), int), "second": jnp.zeros((5, 6), int)}


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def ranking(x: np.ndarray, scale: float = 20.0) -> float:
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return float(-np.log(np.diag(softmax(scale * unit[:5] @ unit[5:].T))).mean())


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum(-1).mean())


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.slow
def test_a_cup_is_the_smaller_encoder_and_reads_a_prefix(scan: bool) -> None:
    model = Matryoshka(replace(BASE, scan=scan)).build(nnx.Rngs(0))
    tokens = jnp.array([[1, 5, 6, 7, 0, 0], [1, 8, 9, 4, 3, 2]])
    graphdef, state = nnx.split(model)
    found = jax.jit(lambda t: [nnx.merge(graphdef, state).embeddings(t, CUPS, pool) for pool in ("mean", "first")])
    for (depth, size), mean, first in zip(CUPS, *found(tokens), strict=True):
        x = np.asarray(model.encoder.hidden(tokens, depth=depth, mask=tokens != 0))
        means = np.stack([x[0, :4].mean(0), x[1].mean(0)])  # text tokens only
        np.testing.assert_allclose(mean, means[:, :size], atol=1e-5)
        np.testing.assert_allclose(first, x[:, 0, :size], atol=1e-5)


@pytest.mark.slow
def test_lifting_a_prefix_is_the_head_on_a_vector_with_zeros_behind_it(model: Any) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 3, 12))
    full = model.encoder.head(x.at[..., 8:].set(0), model.encoder.tokens)
    np.testing.assert_allclose(model.predict(model.lift(x[..., :8])), full, atol=1e-5)


@pytest.mark.slow
def test_similarity_is_ranking_and_agreement_of_coordinates(vectors: Any) -> None:
    loss, _ = similarity(Given(vectors), BATCH, None, cups=CUPS, weight=0.5)
    last = vectors[-1]
    expected = sum(map(ranking, vectors))
    expected += 0.15 * sum(kl(softmax(last[:, : x.shape[1]]), softmax(x)) for x in vectors[:-1])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    alone, _ = similarity(Given(vectors), BATCH, None, cups=CUPS[1:2])
    np.testing.assert_allclose(alone, ranking(vectors[1]), rtol=1e-5)


@pytest.mark.slow
def test_retrieval_compares_scores_with_a_fixed_target(vectors: Any) -> None:
    scores = [x[:5] @ x[5:].T / 3 for x in vectors]
    expected = sum(-np.log(np.diag(softmax(s))).mean() for s in scores)
    expected += sum(kl(softmax(scores[-1]), softmax(s)) for s in scores[:-1])
    loss, _ = retrieval(Given(vectors), BATCH, None, cups=CUPS, temperature=3.0)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)

    def of_last(weight: float) -> Any:
        def loss(last: jax.Array) -> jax.Array:
            return retrieval(Given((*vectors[:-1], last)), BATCH, None, cups=CUPS, weight=weight)[0]

        return jax.grad(loss)(jnp.asarray(vectors[-1]))

    np.testing.assert_allclose(of_last(0.0), of_last(1.0), atol=1e-6)


def test_two_dimensional_draws_one_inner_layer_and_trains_all_sizes() -> None:
    rng = np.random.default_rng(1)
    by_layer = [jnp.asarray(rng.normal(size=(10, 12)).astype(np.float32)) for _ in range(3)]

    class Layers:
        def embeddings(self, tokens: jax.Array, cups: Any, pool: str) -> tuple[jax.Array, ...]:
            assert list(cups) == [(1, 12), (2, 12), (3, 12)]
            return tuple(by_layer)

    def of(layer: int) -> float:
        inner, last = np.asarray(by_layer[layer]), np.asarray(by_layer[-1])
        sizes = (4, 8, 12)
        own = sum(ranking(last[:, :d]) + ranking(inner[:, :d]) / (1 + np.log(layer + 1)) for d in sizes)
        return own + 0.3 * kl(softmax(last), softmax(inner))

    step = jax.jit(lambda key: two_dimensional(Layers(), BATCH, key, cups=CUPS)[0])
    found = {round(float(step(jax.random.key(k))), 3) for k in range(8)}
    assert found == {round(of(0), 3), round(of(1), 3)}

    def scores(x: Any, size: int) -> np.ndarray:
        return np.asarray(x)[:5, :size] @ np.asarray(x)[5:, :size].T

    def of_scores(layer: int) -> float:
        whole = scores(by_layer[-1], 12)
        loss = -np.log(np.diag(softmax(whole))).mean()
        for own in (scores(by_layer[layer], size) for size in (4, 8, 12)):
            loss += -np.log(np.diag(softmax(own))).mean() + kl(softmax(whole), softmax(own))
        return float(loss)

    step = jax.jit(lambda key: drawn_retrieval(Layers(), BATCH, key, cups=CUPS)[0])
    found = {round(float(step(jax.random.key(k))), 3) for k in range(8)}
    assert found == {round(of_scores(0), 3), round(of_scores(1), 3)}


@pytest.mark.slow
def test_the_decoder_sees_the_sentence_only_through_its_first_vector(model: Any) -> None:
    batch = {
        "tokens": jnp.array([[1, 3, 6, 7, 8, 2]]), "targets": jnp.array([[1, 5, 6, 7, 8, 2]]),
        "places": jnp.array([[1, 2]]), "place_weights": jnp.array([[1.0, 0.0]]),
        "decoder_tokens": jnp.array([[1, 3, 3, 7, 8, 2]]), "decoder_places": jnp.array([[1, 2]]),
        "decoder_weights": jnp.ones((1, 2)),
    }  # fmt: skip
    graphdef, state = nnx.split(model)
    run = jax.jit(lambda batch: smae(nnx.merge(graphdef, state), batch, None, cups=CUPS))
    loss, metrics = run(batch)
    assert 1 < float(loss) < 10
    assert [float(metrics[name][1]) for name in ("mlm", "mae")] == [1.0, 2 * len(CUPS)]
    other = run(batch | {"tokens": jnp.array([[1, 3, 6, 9, 8, 2]])})[1]  # the encoder reads another word
    assert float(other["mae"][0]) != float(metrics["mae"][0])
    first = jnp.ones((1, 12))
    same = model.decode(batch["decoder_tokens"].at[0, 0].set(9), first)  # the first token itself is replaced
    np.testing.assert_array_equal(same, model.decode(batch["decoder_tokens"], first))


@pytest.mark.slow
def test_few_graded_pairs_are_ranked_by_grade(vectors: Any) -> None:
    grades = np.array([0.0, 5.0, 2.5, 2.5, 1.0], np.float32)
    loss, metrics = similarity(Given(vectors), BATCH | {"grade": jnp.asarray(grades)}, None, cups=CUPS, rank=by_grade)
    expected = 0.3 * sum(kl(softmax(vectors[-1][:, : x.shape[1]]), softmax(x)) for x in vectors[:-1])
    for x in vectors:
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        cosines = (unit[:5] * unit[5:]).sum(1)
        wrong = [np.exp(20 * (cosines[j] - cosines[i])) for i in range(5) for j in range(5) if grades[i] > grades[j]]
        expected += np.log(1 + sum(wrong))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert set(metrics) == {"loss"}


def test_passages_are_ranked_for_queries_that_have_an_answer(vectors: Any) -> None:
    given = Given(vectors)
    _, metrics = ranked(given, BATCH | {"grade": jnp.array([1.0, 0.0, 1.0, 1.0, 0.0])}, None, cups=CUPS, k=2)
    assert given.pool == "first"
    for k, x in enumerate(vectors):
        scores = x[:5] @ x[5:].T
        own = [1 + int((scores[q] > scores[q, q]).sum()) for q in (0, 2, 3)]
        np.testing.assert_allclose(metrics[f"cup_{k + 1}"][0], sum(1 / r for r in own if r <= 2), rtol=1e-6)
        assert float(metrics[f"cup_{k + 1}"][1]) == 3.0


def test_grades_are_ordered_by_cosine(vectors: Any) -> None:
    grades = jnp.array([0.0, 5.0, 2.5, 2.5, 1.0])
    _, metrics = graded(Given(vectors), BATCH | {"grade": grades}, None, cups=CUPS)
    for k, x in enumerate(vectors):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        expected = spearmanr((unit[:5] * unit[5:]).sum(1), grades).statistic
        np.testing.assert_allclose(metrics[f"cup_{k + 1}"][0], expected, atol=1e-5)
    x, y = np.random.default_rng(0).integers(0, 4, (2, 30)).astype(np.float32)  # many ties
    np.testing.assert_allclose(spearman(jnp.asarray(x), jnp.asarray(y)), spearmanr(x, y).statistic, atol=1e-5)


def test_ranking_losses_are_their_formulas() -> None:
    rng = np.random.default_rng(2)
    a, p, n = (rng.normal(size=(3, 4)).astype(np.float32) for _ in range(3))
    c = np.concatenate([p, n])
    cosines = (a @ c.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(c, axis=1)[None]
    loss, _ = multiple_negatives(*map(jnp.asarray, (a, p, n)), scale=5.0)
    np.testing.assert_allclose(loss, -np.log(softmax(5 * cosines)[np.arange(3), np.arange(3)]).mean(), rtol=1e-5)
    s, y = np.array([0.1, 0.9, 0.5], np.float32), np.array([2.0, 1.0, 1.0], np.float32)
    expected = np.log(1 + np.exp(20 * (0.9 - 0.1)) + np.exp(20 * (0.5 - 0.1)))
    np.testing.assert_allclose(cosent(jnp.asarray(s), jnp.asarray(y)), expected, rtol=1e-5)


@pytest.mark.slow
def test_what_has_no_normed_inner_states_is_refused(model: Any) -> None:
    with pytest.raises(ValueError, match=r"give it bert"):
        Matryoshka(gpt())
    with pytest.raises(ValueError, match=r"dropout=0.1"):
        Matryoshka(replace(BASE, dropout=0.1))
    with pytest.raises(ValueError, match=r"depth=4 .* layers=3"):
        model.embeddings(jnp.zeros((1, 3), int), [(4, 2)])
