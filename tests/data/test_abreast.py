"""Data side by side, and tagged sentences as pieces of words."""

import numpy as np
import pytest

from stagejax.data import Bytes, Digits, Images, Stdlib
from stagejax.data.abreast import Abreast, part
from stagejax.data.tagged import DrawnSentences
from stagejax.data.tagged_pieces import TaggedPieces
from stagejax.data.tokenizers import CLS, PAD, SEP

PIECES = {"tokenizer": Bytes(), "learned_from": Stdlib(), "batch": 4}


def test_members_go_through_their_own_samples() -> None:
    one, two = Images(source=Digits(), batch=4), Images(source=Digits(), batch=4, seed=1)
    both = Abreast(members=(("one", one), ("two", two)))
    batch = both.take(np.arange(4))
    for name, data in (("one", one), ("two", two)):
        for field, leaf in data.take(np.arange(4)).items():
            np.testing.assert_array_equal(part(batch, name)[field], leaf)
    held = both.held_out(2)
    np.testing.assert_array_equal(held.take(np.arange(4))["one/image"], one.held_out(2).take(np.arange(4))["image"])
    assert held.count == 2
    with pytest.raises(ValueError, match="once"):
        Abreast(members=(("one", one), ("one", two)))


def test_a_word_is_tagged_at_its_first_piece() -> None:
    source = DrawnSentences(6)
    data = TaggedPieces(source=source, length=256, **PIECES)
    batch, records = data.take(np.arange(4)), data.records(np.arange(4))
    for row, record in enumerate(records):
        words = source[int(record)]
        tokens, first = batch["tokens"][row], batch["weights"][row] == 1
        text = [piece for piece in tokens if piece not in (CLS, SEP, PAD)]
        assert Bytes().decode(text) == "".join(f" {form}" for form in words["form"])
        assert [data.labels[tag] for tag in batch["tags"][row][first]] == words["upos"]
        assert tokens[0] == CLS
        assert (tokens[first] == Bytes().encode([" "])[0][0]).all()


def test_a_long_sentence_is_cut() -> None:
    data = TaggedPieces(source=DrawnSentences(6), length=10, **PIECES)
    batch = data.take(np.arange(4))
    assert (batch["tokens"][:, -1] == SEP).all()
    assert not batch["weights"][:, [0, -1]].any()
