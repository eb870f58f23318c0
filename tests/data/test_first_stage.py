"""BM25 against its formula, easiness against reference implementations, and samples that stay in their lists."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gaussian_kde

from stagejax.data.retrieval.bm25 import BM25
from stagejax.data.retrieval.first_stage import RankedLists, RankedPairs
from stagejax.data.selection import easiness as easy
from stagejax.data.selection.easiness import Reversed, easiness, kde, normalised_score, reciprocal_rank
from stagejax.data.vocabulary.hashed_words import HashedWords

RNG = np.random.default_rng(0)
Q, K, ITEMS = 12, 6, 30


def made() -> dict[str, np.ndarray]:
    """Lists in which a query's row and an item's are their numbers, the last two queries without their answer."""
    answer = np.concatenate([RNG.integers(0, K, Q - 2), [-1, -1]]).astype(np.int32)
    return {
        "queries": np.arange(Q, dtype=np.int32)[:, None].repeat(3, 1),
        "items": np.arange(ITEMS, dtype=np.int32)[:, None].repeat(4, 1),
        "lists": np.stack([RNG.permutation(ITEMS)[:K] for _ in range(Q)]).astype(np.int32),
        "scores": -np.sort(-RNG.uniform(1, 9, (Q, K)), axis=1),
        "answer": answer,
    }


LISTS = made()


def pairs(**fields: object) -> RankedPairs:
    return RankedPairs(of="a", arrays=LISTS, query=3, item=4, batch=4, **fields)


def test_bm25_is_its_formula_and_blocks_change_nothing() -> None:
    words = list("abcdefg")
    documents = [[words[i] for i in RNG.integers(0, 7, RNG.integers(1, 9))] for _ in range(20)]
    queries = [["a", "c"], ["b", "b", "nowhere"], [], ["g", "f", "a"]]
    k1, b, mean = 0.9, 0.4, np.mean([len(own) for own in documents])
    expected = np.zeros((len(queries), len(documents)))
    for q, query in enumerate(queries):
        for d, own in enumerate(documents):
            for word in query:
                n = sum(word in other for other in documents)
                idf = math.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
                tf = own.count(word)
                expected[q, d] += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(own) / mean))
    np.testing.assert_allclose(BM25(k1, b).scores(queries, documents), expected, atol=1e-12)
    numbers, scores = BM25(k1, b).best(queries, documents, 5, block=3)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :5], atol=1e-12)
    np.testing.assert_allclose(np.take_along_axis(expected, numbers, 1), scores, atol=1e-12)
    with pytest.raises(ValueError, match="b from 0 to 1"):
        BM25(b=2.0)


def test_kde_is_that_of_scipy() -> None:
    for scores, found in zip(LISTS["scores"], kde(LISTS["scores"]), strict=True):
        reference = gaussian_kde(scores)
        np.testing.assert_allclose(found, [reference.integrate_box_1d(-np.inf, s) for s in scores], atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 50), min_size=2, max_size=12))
def test_heuristics_lie_between_0_and_1_and_fall_along_the_list(scores: list[float]) -> None:
    lists = -np.sort(-np.array([scores]))
    for heuristic in (reciprocal_rank, normalised_score, kde):
        found = heuristic(lists)
        assert (found >= 0).all()
        assert (found <= 1).all()
        assert (np.diff(found) <= 1e-12).all()
        np.testing.assert_allclose(Reversed(heuristic)(lists), 1 - found)


def test_a_sample_is_an_answer_of_the_list_and_another_candidate_each_with_its_own_easiness() -> None:
    data = pairs(heuristic=reciprocal_rank, seed=3)
    batch = data.take(np.arange(200))
    assert data.size() == Q - 2
    for query, (right, wrong), found in zip(batch["query"], batch["items"][:, :, 0], batch["easiness"], strict=True):
        row = LISTS["lists"][query[0]].tolist()
        assert row.index(right) == LISTS["answer"][query[0]]
        assert wrong in row
        assert wrong != right
        ranks = 1 + row.index(right), 1 + row.index(wrong)
        np.testing.assert_allclose(found, [1 / ranks[0] + easy.FLOOR, 1 - 1 / ranks[1] + easy.FLOOR], rtol=1e-6)
    assert sorted(batch["query"][: Q - 2, 0]) == list(range(Q - 2))  # once an epoch
    assert len({tuple(own) for own in batch["items"][:, :, 0].tolist()}) > 3 * Q  # other candidates every time
    assert (pairs().take(np.arange(8))["easiness"] == 1).all()


def test_easiness_looks_at_scores_and_at_labels_only_to_turn_it_round() -> None:
    relevant = np.arange(K) == 2
    found = easiness(np.full((1, K), 0.3), relevant[None])
    np.testing.assert_allclose(found[0], np.where(relevant, 0.3, 0.7), atol=1e-6)


def test_lent_weights_are_those_of_the_batch_on_other_samples() -> None:
    own, lent = (pairs(heuristic=kde, lent=which).take(np.arange(40)) for which in (False, True))
    assert np.array_equal(own["items"], lent["items"])
    swapped = own["easiness"].reshape(20, 2, 2)[:, ::-1].reshape(40, 2)
    assert np.array_equal(lent["easiness"], swapped)
    assert not np.array_equal(lent["easiness"], own["easiness"])
    with pairs(heuristic=kde, lent=True).batches(None, shard=(1, 2)) as part:  # a process sees as much
        assert np.array_equal(next(part)["easiness"], lent["easiness"][2:4])


def test_whole_lists_are_cut_with_their_answers() -> None:
    data = RankedLists(of="a", arrays=LISTS, query=3, item=4, places=3, batch=Q)
    batch = data.take(np.arange(Q))
    assert np.array_equal(batch["items"][:, :, 0], LISTS["lists"][:, :3])
    answer = LISTS["answer"]
    assert np.array_equal(batch["answer"], np.where(answer < 3, answer, -1))


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="holds nothing as 'lists'"):
        RankedPairs(of="a", query=3, item=4, batch=4).take(np.arange(4))
    with pytest.raises(ValueError, match="texts of"):
        RankedPairs(of="a", arrays=LISTS, query=5, item=4, batch=4).size()


def test_unknown_words_are_the_same_token_everywhere() -> None:
    code = HashedWords(words=3, buckets=50).train(iter(["a a b b c zebra"]))
    first, second = code.encode(["The ZEBRA, a b", "zebra"])
    assert first[1] == second[0] >= 7
    assert first[2:].tolist() == [4, 5]
    assert max(first) < HashedWords(words=3, buckets=50).vocab
