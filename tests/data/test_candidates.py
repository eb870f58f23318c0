"""Queries with candidates: which come always, which are drawn, and that a batch is a function of its number."""

import numpy as np
import pytest

from stagejax.data import Bytes
from stagejax.data.retrieval.candidates import Candidates, candidate_texts
from stagejax.data.retrieval.tfidf import tf_idf
from stagejax.data.tasks.pairs import Graded, SentencePairs, SynonymPairs

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "queries": RANDOM.integers(4, 9, (6, 3)).astype(np.int32),
    "items": np.arange(40, dtype=np.int32).reshape(10, 4),
    "always": np.arange(6)[:, None],
    "pool": np.array([[(row + 1 + k) % 10 for k in range(5)] for row in range(6)]),
    "scores": RANDOM.normal(size=(6, 10)).astype(np.float32),
}
DATA = Candidates(of="a", arrays=ARRAYS, query=3, item=4, always=1, drawn=3, scored=10, batch=4, seed=1)


def test_the_answer_comes_first_and_others_are_drawn_from_the_pool_anew() -> None:
    batch = DATA.take(np.arange(600))
    rows = batch["numbers"][:, 0]  # each query's answer has its number
    assert (batch["query"] == ARRAYS["queries"][rows]).all()
    assert (batch["scores"] == ARRAYS["scores"][rows]).all()
    assert (batch["items"] == ARRAYS["items"][batch["numbers"]]).all()
    drawn = batch["numbers"][:, 1:]
    assert all(len(set(own)) == 3 for own in drawn.tolist())
    for row in range(6):
        counts = np.bincount(drawn[rows == row].ravel(), minlength=10)[ARRAYS["pool"][row]]
        assert counts.sum() == 300
        assert counts.min() > 40


def test_a_sample_is_a_function_of_its_number() -> None:
    whole, part = DATA.take(np.arange(20)), DATA.take(np.array([13, 2]))
    assert all(np.array_equal(whole[name][[13, 2]], part[name]) for name in whole)
    assert {name: leaf.shape for name, leaf in part.items()} == {
        name: (2, *leaf.shape) for name, leaf in DATA.sample_spec().items()
    }


def test_what_the_artifact_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match="holds"):
        Candidates(of="a", arrays=ARRAYS, query=3, item=4, drawn=6, batch=4).take(np.arange(2))
    with pytest.raises(ValueError, match="holds"):
        Candidates(of="a", query=3, item=4, batch=4).take(np.arange(2))


def test_items_are_different_texts_and_every_query_knows_its_own() -> None:
    source = SentencePairs((Graded(SynonymPairs(size=300), least=5.0),))
    made = candidate_texts(source, Bytes(), (40, 60), others=4)
    texts = [Bytes().decode(ids) for ids in made["items"]]
    assert len(set(texts)) == len(texts)
    for row in range(len(source)):
        assert Bytes().decode(made["queries"][row]) == source[row]["first"]
        assert texts[made["always"][row, 0]] == source[row]["second"]
    assert not (made["pool"] == made["always"]).any()
    assert made["pool"].max() < len(texts)
    graded = candidate_texts(SentencePairs((Graded(SynonymPairs(size=300)),)), Bytes(), (40, 60))
    zero = sum(SynonymPairs(size=300)[row]["score"] == 0 for row in range(300))
    assert zero > 0
    assert len(graded["queries"]) == 300 - zero


def test_tf_idf_ranks_the_rare_word() -> None:
    texts = np.array([[1, 4, 5, 0], [1, 4, 6, 0], [1, 4, 7, 7]])
    vectors = tf_idf(texts, texts, 8)
    asked = tf_idf(np.array([[1, 4, 6, 6]]), texts, 8)
    assert (asked @ vectors.T).argmax() == 1
    assert vectors[:, :4].sum() == 0
    idf = np.log(4 / 2) + 1
    expected = np.array([1.0, idf]) / np.hypot(1, idf)
    np.testing.assert_allclose(vectors[0, [4, 5]], expected)
    np.testing.assert_allclose(vectors[2, 7] / vectors[2, 4], (1 + np.log(2)) * idf)
