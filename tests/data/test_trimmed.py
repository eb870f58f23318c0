"""Trimmed vocabularies: exact text, the share that keeps a token, ids without gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import BPE, SPECIAL, Stdlib, codec, read_corpus
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.data.vocabulary.trimmed import Trimmed, kept_tokens

MORE, FEW = Stdlib(limit=200_000), Stdlib(limit=20_000)
WHOLE = LearnedFrom(BPE(800), MORE)
LEAST = 1e-3
KEPT = kept_tokens(WHOLE, (FEW,), LEAST)
TRIMMED = Trimmed(WHOLE, (FEW,), len(KEPT), LEAST)


def test_a_merge_is_the_text_of_its_two_parts() -> None:
    code = codec(WHOLE, MORE)
    merges = code.merges()
    assert sorted(merges) == list(range(260, 800))
    known = [(token, pair) for token, pair in merges.items() if code.decode([token]).isascii()]
    assert len(known) > 500
    assert all(code.decode([token]) == code.decode(pair) for token, pair in known)


def test_tokens_stay_by_their_share_of_a_corpus() -> None:
    counts = np.bincount(read_corpus(FEW, WHOLE).ids, minlength=800)
    counts[:SPECIAL] = 0
    wanted = [token for token in range(800) if token < 260 or counts[token] >= LEAST * counts.sum()]
    assert KEPT.tolist() == wanted
    assert 260 < len(KEPT) < 800


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_text_comes_back(text: str) -> None:
    code = codec(TRIMMED, FEW)
    ids = code.encode([text])[0]
    assert code.decode(ids) == text.encode("utf-8", "replace").decode()
    assert ids.size == 0 or SPECIAL <= ids.min() <= ids.max() < len(KEPT)


def test_text_of_kept_tokens_has_the_same_tokens() -> None:
    text = FEW[0]["text"][:3000]
    old, new = (codec(tokenizer, FEW).encode([text])[0] for tokenizer in (WHOLE, TRIMMED))
    dropped = ~np.isin(old, KEPT)
    assert dropped.any()
    assert len(new) > len(old)
    lead = int(np.argmax(dropped))
    np.testing.assert_array_equal(KEPT[new[:lead]], old[:lead])


def test_another_number_of_tokens_is_an_error() -> None:
    with pytest.raises(ValueError, match="tokens are kept"):
        codec(Trimmed(WHOLE, (FEW,), len(KEPT) - 1, LEAST), FEW)
