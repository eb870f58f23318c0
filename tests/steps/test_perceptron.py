"""The averaged perceptron against plain loops, whole and in padded chunks."""

import jax.numpy as jnp
import numpy as np

from stagejax.data.tasks.tagged import DrawnSentences, TaggedText
from stagejax.data.tasks.token_features import features, form_table
from stagejax.steps.perceptron import Perceptron, flops_of_learning, learn, tag

BUCKETS, TEXT = 128, TaggedText((DrawnSentences(30),))
STREAM = TEXT.training(0)
K = len(TEXT.corpus().labels)
N = 160
ROWS = features(form_table(TEXT, BUCKETS), STREAM, np.arange(N))
TAGS = STREAM.tags[:N]


def by_loops() -> tuple[np.ndarray, np.ndarray]:
    """Mean of the weights over tokens, and what was said on the way."""
    w = np.zeros((BUCKETS + K + K * K, K))
    total, seen, said, second, first = np.zeros_like(w), 0, [], 0, 0
    for row, right in zip(ROWS, TAGS, strict=True):
        rows = [*row, (row[0] + 7919 * (first + 1)) % BUCKETS, BUCKETS + first, BUCKETS + K + second * K + first]
        own = 0 if right == 0 else 1 + int(np.argmax(w[rows].sum(0)[1:]))
        if right:
            for r in rows:
                w[r, right] += 1
                w[r, own] -= 1
            total += w
            seen += 1
        said.append(own)
        second, first = first, own
    return total / seen, np.array(said)


def test_mean_weights_are_those_of_loops() -> None:
    state = learn(Perceptron.empty(BUCKETS, K), jnp.asarray(ROWS), jnp.asarray(TAGS), jnp.ones(N, jnp.int32))
    expected, said = by_loops()
    np.testing.assert_allclose(np.asarray(state.averaged()), expected, atol=1e-4)
    assert np.asarray(state.before).tolist() == said[-2:].tolist()


def test_chunks_with_padding_are_the_whole() -> None:
    state = Perceptron.empty(BUCKETS, K)
    for start, end in ((0, 70), (70, 160)):
        padding = (0, N - (end - start))
        live = np.pad(np.ones(end - start, np.int32), padding)
        rows, tags = np.pad(ROWS[start:end], (padding, (0, 0))), np.pad(TAGS[start:end], padding)
        state = learn(state, jnp.asarray(rows), jnp.asarray(tags), jnp.asarray(live))
    np.testing.assert_allclose(np.asarray(state.averaged()), by_loops()[0], atol=1e-4)


def test_tagging_does_not_see_tags_and_leaves_borders() -> None:
    weights, _ = by_loops()
    borders = (TAGS == 0).astype(np.int32)
    said = np.asarray(tag(jnp.asarray(weights, jnp.float32), jnp.asarray(ROWS[:, None]), jnp.asarray(borders[:, None])))
    assert (said[:, 0][TAGS == 0] == 0).all()
    assert (said[:, 0] == TAGS)[TAGS > 0].mean() > 0.6
    assert flops_of_learning(10, 13, K) == 10 * 3 * 16 * K
