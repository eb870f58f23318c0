"""BERT's instances from shards of several corpora: where A and B are from, what is masked, and how files are made."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from told import Told

from stagejax.data import CLS, MASK, PAD, SEP, Bytes, EmptySource
from stagejax.data.language.next_sentences import BySentence, NextSentences, drafts


def documents(count: int, word: str) -> Told:
    """Of 3 to 8 sentences, no two alike."""
    sizes = 3 + np.arange(count) * 7 % 6
    return Told(tuple(" ".join(f"{word} {d} has {s} and {d * s}." for s in range(sizes[d])) for d in range(count)))


SMALL, LARGE = documents(80, "A tree"), documents(400, "The other rock")
DATA = NextSentences(
    corpora=((SMALL, 2), (LARGE, 2)), tokenizer=Bytes(), batch=4, length=40, shard=2000, files=5, rows=60
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=2, max_size=6),
    st.integers(4, 16),
    st.integers(0, 9),
)
def test_sentences_are_read_once_in_order_and_b_follows_a_or_is_of_another_document(
    lengths: list[list[int]], room: int, seed: int
) -> None:
    starts = np.cumsum([0, *(n for own in lengths for n in own)])
    documents = np.cumsum([0, *map(len, lengths)])
    owner = np.repeat(np.arange(len(lengths)), [sum(own) for own in lengths])
    made = drafts(starts, documents, room, np.random.default_rng(seed).random((len(starts), 8)))
    read = [span for one in made for span in ((one.first,) if one.random else (one.first, one.second))]
    assert [at for start, end in read for at in range(start, end)] == list(range(starts[-1]))
    for one in made:
        assert {one.first[0], one.first[1], *one.second} <= set(starts.tolist())
        assert (owner[one.second[0]] != owner[one.first[0]]) == one.random
        assert one.random or one.second[0] == one.first[1]
        left = [end - start - cut for (start, end), cut in zip((one.first, one.second), one.cut, strict=True)]
        assert min(left) > 0
        assert sum(left) <= room
        assert max(one.cut) == 0 or sum(left) == room
        assert all(0 <= front <= cut for front, cut in zip(one.front, one.cut, strict=True))


def test_half_of_the_pairs_that_could_follow_are_random() -> None:
    starts, documents = np.arange(0, 4001, 2), np.arange(0, 2001, 20)
    made = drafts(starts, documents, 8, np.random.default_rng(0).random((2001, 8)))
    follow = np.mean([not one.random for one in made])
    assert 0.4 < follow < 0.55
    assert 0.02 < np.mean([one.first[1] - one.first[0] + one.second[1] - one.second[0] <= 4 for one in made]) < 0.3


def restored(batch: dict[str, Any]) -> np.ndarray:
    tokens = batch["tokens"].copy()
    rows, places = np.nonzero(batch["weights"])
    at = batch["places"][rows, places]
    tokens[rows, at] = batch["targets"][rows, places]
    return tokens


def test_a_row_is_a_pair_with_types_masks_and_letters() -> None:
    batch = DATA.take(np.arange(200))
    tokens = restored(batch)
    text = "\n".join(own.replace(". ", ".") for own in (*SMALL.told, *LARGE.told))
    assert (batch["weights"].sum(1) >= 1).all()
    assert batch["weights"].sum(1).max() == DATA.masks == 6
    chosen = batch["weights"] > 0
    masked = np.take_along_axis(batch["tokens"], batch["places"], 1)[chosen]
    assert 0.7 < (masked == MASK).mean() < 0.9
    assert (batch["letters"][chosen] == 1).all()
    for row, types in zip(tokens, batch["types"], strict=True):
        first, second = np.flatnonzero(row == SEP)
        assert row[0] == CLS
        assert (row[second + 1 :] == PAD).all()
        assert types.tolist() == [0] * (first + 1) + [1] * (second - first) + [0] * (39 - second)
        for words in (row[1:first], row[first + 1 : second]):
            assert Bytes().decode(words) in text


def test_what_is_drawn_belongs_to_a_file_and_another_file_draws_anew() -> None:
    once = DATA.take(np.arange(10))
    np.testing.assert_array_equal(DATA.take(np.arange(3, 8))["tokens"], once["tokens"][3:8])

    def rows(data: NextSentences, first: int) -> set[bytes]:
        return {tokens.tobytes() for tokens in data.take(first + np.arange(data.rows))["tokens"]}

    whole = replace(DATA, rows=1000)  # more than a file has
    many = rows(whole, 0)
    assert 100 < len(many) < 1000
    assert rows(whole, whole.rows * whole.files) == many  # the same masks when the file is read again
    assert len(rows(whole, whole.rows) & many) < 3
    assert rows(DATA, 0) < many
    assert not rows(DATA, 0) & rows(DATA, DATA.rows * DATA.files)  # it goes on where it was left
    assert len(rows(replace(whole, seed=1), 0) & many) < 3


def test_shards_are_whole_documents_of_nearly_equal_size_and_come_equally_often() -> None:
    for corpus in (0, 1):
        shards, made = DATA.shards(corpus), DATA._corpus(corpus)
        numbers = np.concatenate(shards)
        assert len(numbers) == len(set(numbers.tolist())) == len(made.starts) - 1
        sizes = [np.diff(made.starts)[own].sum() for own in shards]
        assert abs(np.mean(sizes) - DATA.shard) < DATA.shard / 2
        drawn = np.concatenate([DATA.drawn(file)[corpus] for file in range(40)])
        counts = np.bincount(drawn, minlength=len(shards))
        assert counts.max() - counts.min() <= 1
    assert len(DATA.shards(1)) > 2 * len(DATA.shards(0))  # so the small one's come more often


def test_shards_of_a_small_corpus_meet_others_of_the_large_one() -> None:
    files = [DATA.drawn(file) for file in range(8)]
    company = [set(large.tolist()) for small, large in files if 0 in small]
    assert len(company) > 1
    assert len({frozenset(own) for own in company}) == len(company)


def test_each_sentence_is_closed_and_documents_come_back() -> None:
    code = BySentence(Bytes()).train(iter(()))
    (ids,) = code.encode(["It is. So it is.\nHere"])
    assert Bytes().decode(ids) == "It is.So it is.Here"
    assert (ids == SEP).sum() == 3
    assert ids[-1] == SEP
    assert code.encode([""])[0].size == 0


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="length=5"):
        NextSentences(corpora=((SMALL, 1),), tokenizer=Bytes(), batch=1, length=5, shard=10)
    with pytest.raises(ValueError, match=r"\[0\] shards"):
        NextSentences(corpora=((SMALL, 0),), tokenizer=Bytes(), batch=1, length=16, shard=10)
    with pytest.raises(EmptySource, match="less than a shard of 100000000"):
        NextSentences(corpora=((SMALL, 1),), tokenizer=Bytes(), batch=1, length=16, shard=10**8).take(np.arange(1))
    with pytest.raises(EmptySource, match="1 documents"):
        NextSentences(corpora=((Told(("A. B.",)), 1),), tokenizer=Bytes(), batch=1, length=16, shard=5).take(
            np.arange(1)
        )
