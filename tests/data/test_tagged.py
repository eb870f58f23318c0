"""Tagged text: folds that part the sentences, nested prefixes, lanes, and hashed features of the window."""

import numpy as np
import pytest

from stagejax.data.tasks.tagged import BORDERS, DrawnSentences, Stream, TaggedText, lanes
from stagejax.data.tasks.token_features import WINDOW, TaggedTokens, attribute, features, form_table

TEXT = TaggedText((DrawnSentences(50), DrawnSentences(25, seed=1)), folds=3)


def sentences(stream: Stream) -> list[tuple[int, ...]]:
    """Words of every sentence of a stream."""
    cuts = np.split(stream.words, np.flatnonzero(stream.words == 0))
    return [tuple(cut[cut > 0].tolist()) for cut in cuts if (cut > 0).any()]


def test_folds_part_the_sentences() -> None:
    corpus = TEXT.corpus()
    every = [tuple(corpus.words[a:b].tolist()) for a, b in zip(corpus.starts, corpus.starts[1:], strict=False)]
    tested = [sentence for fold in range(3) for sentence in sentences(TEXT.test(fold))]
    assert sorted(tested) == sorted(every)
    for fold in range(3):
        assert sorted(sentences(TEXT.training(fold)) + sentences(TEXT.test(fold))) == sorted(every)


def test_tags_stay_with_their_words() -> None:
    corpus, stream = TEXT.corpus(), TEXT.training(1)
    pairs = set(zip(corpus.words.tolist(), corpus.tags.tolist(), strict=True)) | {(0, 0)}
    assert set(zip(stream.words.tolist(), stream.tags.tolist(), strict=True)) <= pairs
    assert corpus.labels[0] == corpus.forms[0] == ""
    assert len(corpus.labels) == 9


def test_prefixes_are_nested_and_exact() -> None:
    stream = TEXT.training(0)
    small, large = stream.first(40), stream.first(90)
    assert len(small.places) == 40
    np.testing.assert_array_equal(small.words[:-BORDERS], large.words[: len(small.words) - BORDERS])
    assert small.words[:BORDERS].tolist() == small.words[-BORDERS:].tolist() == [0, 0]
    with pytest.raises(ValueError, match="a prefix of 9999 tokens"):
        stream.first(9999)


def test_lanes_hold_every_token_once_behind_borders() -> None:
    stream = TEXT.test(0)
    places = lanes(stream, 4, multiple=16)
    assert places.shape[0] % 16 == 0
    own = places[stream.words[places] > 0]
    np.testing.assert_array_equal(np.sort(own), stream.places)
    for lane in places.T:
        first = lane[0]
        assert stream.words[first] > 0
        assert stream.words[first - BORDERS : first].tolist() == [0, 0]


def test_features_are_those_of_the_window() -> None:
    corpus, stream, buckets = TEXT.corpus(), TEXT.training(0), 2**12
    table = form_table(TEXT, buckets)
    place = stream.places[20]
    found = features(table, stream, np.array([place]))[0]
    for i, (name, away) in enumerate(WINDOW):
        word = stream.words[place + away]
        assert found[i] == table[word, i]
        alike = [
            k for k, form in enumerate(corpus.forms) if attribute(name, form) == attribute(name, corpus.forms[word])
        ]
        assert len(set(table[alike, i].tolist())) == 1
    with pytest.raises(ValueError, match="no attribute"):
        attribute("colour", "red")


def test_batches_are_the_tokens_in_order() -> None:
    data = TaggedTokens(text=TEXT, fold=2, batch=16, buckets=64)
    stream = TEXT.training(2)
    with data.batches() as batches:
        labels = np.concatenate([next(batches)["label"] for _ in range(3)])
    np.testing.assert_array_equal(labels, stream.tags[stream.places[:48]])
    assert data.digest() != TaggedTokens(text=TEXT, fold=2, batch=16, buckets=64, test=True).digest()
