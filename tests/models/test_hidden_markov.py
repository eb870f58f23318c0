"""Counts and probabilities of the chain against loops over the tokens."""

import numpy as np
import pytest

from stagejax.data.tasks.tagged import DrawnSentences, TaggedText, suffix_numbers
from stagejax.models.text.hidden_markov import Counts, log_emissions, tags_by_suffix, transitions

TEXT = TaggedText((DrawnSentences(40),))
STREAM, CORPUS = TEXT.training(0), TEXT.corpus()
SIZES = (len(CORPUS.forms), len(CORPUS.labels))


def counted(*ends: int) -> Counts:
    found = Counts.none(*SIZES)
    for start, end in zip((0, *ends), ends, strict=False):
        found = found.with_tokens(STREAM.words, STREAM.tags, start, end)
    return found


def test_counting_on_is_counting_anew() -> None:
    whole, parts = counted(200), counted(33, 90, 200)
    np.testing.assert_array_equal(whole.words_VK, parts.words_VK)
    np.testing.assert_array_equal(whole.triples_KKK, parts.triples_KKK)
    tags = STREAM.tags.tolist()
    i, j, k = tags[50:53]
    triples = [tuple(tags[t : t + 3]) for t in range(198)]
    assert whole.triples_KKK[i, j, k] == triples.count((i, j, k))


def test_deleted_interpolation_as_in_its_definition() -> None:
    f = counted(200).triples_KKK
    N, weights = f.sum(), [0.0, 0.0, 0.0]
    for i, j, k in np.argwhere(f):
        ways = (
            (f[:, :, k].sum() - 1, N - 1),
            (f[:, j, k].sum() - 1, f[:, j].sum() - 1),
            (f[i, j, k] - 1, f[i, j].sum() - 1),
        )
        shares = [over / under if under > 0 else 0 for over, under in ways]
        weights[int(np.argmax(shares))] += f[i, j, k]
    w = np.array(weights) / N
    i, j, k = np.argwhere(f)[3]
    expected = w[0] * f[:, :, k].sum() / N + w[1] * f[:, j, k].sum() / f[:, j].sum() + w[2] * f[i, j, k] / f[i, j].sum()
    assert transitions(f)[i, j, k] == pytest.approx(expected)


def test_transitions_are_probabilities_where_the_context_was_seen() -> None:
    f = counted(300).triples_KKK
    np.testing.assert_allclose(transitions(f)[f.sum(-1) > 0].sum(-1), 1)


def test_endings_tell_of_tags() -> None:
    words = np.zeros((5, 3))
    words[1, 1], words[2, 1], words[3, 2] = 2, 2, 4
    suffixes = suffix_numbers(["", "singing", "ringing", "table", "bringing"], 3)
    found = tags_by_suffix(words, suffixes)
    np.testing.assert_allclose(found.sum(-1), 1)
    assert found[4, 1] > 0.9
    shares = np.array([0, 0.5, 0.5])
    theta = 1e-6  # both tags are as frequent, so the longest ending alone decides
    by_hand = shares
    for own in (shares, *[np.array([0, 1.0, 0])] * 3):
        by_hand = (own + theta * by_hand) / (1 + theta)
    np.testing.assert_allclose(found[4], by_hand, atol=1e-9)


def test_emissions_leave_borders_to_borders() -> None:
    own = counted(200)
    found = log_emissions(own.words_VK, tags_by_suffix(own.words_VK, suffix_numbers(CORPUS.forms, 2)))
    assert found[0, 0] == 0
    assert (found[1:, 0] < -25).all()
    assert (found[0, 1:] < -25).all()
    word, tag = np.argwhere(own.words_VK[1:, 1:])[0] + 1
    assert np.exp(found[word, tag]) == pytest.approx(own.words_VK[word, tag] / own.words_VK[:, tag].sum())
