"""Taggers that learn in one pass, observed while they do: what each says of a test text after every prefix.

A tagger is a generator `(text, training, ends, test, option) -> tags of the test stream`, one array for every end of a
prefix of the training stream. Each is then what training on that prefix from scratch would leave.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from stagejax.data.tasks.tagged import Stream, TaggedText, lanes, suffix_numbers
from stagejax.data.tasks.token_features import features, form_table
from stagejax.decode.viterbi import viterbi
from stagejax.models.text.hidden_markov import Counts, log_emissions, tags_by_suffix, transitions
from stagejax.steps.perceptron import Perceptron, learn, tag

Tags = Int[np.ndarray, " n"]

LANES, MULTIPLE = 64, 32  # of test texts, tagged side by side


def _counts(
    text: TaggedText, training: Stream, ends: Sequence[int], endings: int
) -> Iterator[tuple[Counts, np.ndarray]]:
    """What was counted up to every end, and the tags that endings of so many letters tell of."""
    corpus = text.corpus()
    suffixes = suffix_numbers(corpus.forms, endings)
    counted = Counts.none(len(corpus.forms), len(corpus.labels))
    for start, end in itertools.pairwise([0, *ends]):
        counted = counted.with_tokens(training.words, training.tags, start, end)
        yield counted, tags_by_suffix(counted.words_VK, suffixes)


def most_frequent(
    text: TaggedText, training: Stream, ends: Sequence[int], test: Stream, endings: int
) -> Iterator[Tags]:
    """The tag that a word has had most often; of a word never seen, the likeliest by its ending.

    >>> from stagejax.data.tasks.tagged import DrawnSentences
    >>> text = TaggedText((DrawnSentences(90),), folds=3)
    >>> said, = most_frequent(text, text.training(0), [text.training(0).end(600)], text.test(0), endings=2)
    >>> bool((said == text.test(0).tags).mean() > 0.6)
    True
    """
    for counted, by_ending in _counts(text, training, ends, endings):
        best = np.where(counted.words_VK.any(-1), counted.words_VK.argmax(-1), by_ending[:, 1:].argmax(-1) + 1)
        best[0] = 0
        yield best[test.words]


def hidden_markov(
    text: TaggedText, training: Stream, ends: Sequence[int], test: Stream, endings: int
) -> Iterator[Tags]:
    """The likeliest tags of whole sentences under a chain of second order, words never seen by their endings.

    Reference: Brants, TnT: a statistical part-of-speech tagger, ANLP 2000 (there with a beam).
    """
    places = lanes(test, LANES, MULTIPLE)
    for counted, by_ending in _counts(text, training, ends, endings):
        scores = log_emissions(counted.words_VK, by_ending)[test.words[places]]
        moves = np.log(np.maximum(transitions(counted.triples_KKK), 1e-12))
        said = viterbi(jnp.asarray(moves, jnp.float32), jnp.asarray(scores, jnp.float32))
        yield _in_order(said, places, test)


def perceptron(text: TaggedText, training: Stream, ends: Sequence[int], test: Stream, buckets: int) -> Iterator[Tags]:
    """The averaged perceptron over hashed features of the window and its own last two tags."""
    table, places = form_table(text, buckets), lanes(test, LANES, MULTIPLE)
    scored, borders = features(table, test, places), (test.words[places] == 0).astype(np.int32)
    rows = features(table, training, np.arange(len(training.words)))
    longest = -(-max(np.diff([0, *ends])) // 512) * 512  # of what is between two ends: one program for all
    state = Perceptron.empty(buckets, len(text.corpus().labels))
    for start, end in itertools.pairwise([0, *ends]):
        behind = (0, longest - (end - start))
        live = np.pad(np.ones(end - start, np.int32), behind)
        state = learn(state, np.pad(rows[start:end], (behind, (0, 0))), np.pad(training.tags[start:end], behind), live)
        yield _in_order(tag(state.averaged(), scored, borders), places, test)


def _in_order(said: object, places: np.ndarray, test: Stream) -> Tags:
    """What was said in lanes, in the order of the stream."""
    found = np.zeros(len(test.words), np.int64)
    found[places.ravel()] = np.asarray(said).ravel()
    return found
