"""Sentence pairs and doubly masked text: what is kept, what is cut, and that the masks lie inside each other."""

import numpy as np

from stagejax.data import BPE, CLS, MASK, PAD, Bytes, Stdlib
from stagejax.data.tasks.pairs import Graded, PairBatches, SentencePairs, SynonymPairs, TwiceMaskedText

TEXT = Stdlib(limit=100_000)


def test_only_pairs_of_a_high_grade_are_kept() -> None:
    alike = SentencePairs((Graded(SynonymPairs(), least=5.0), Graded(SynonymPairs("test", size=50))))
    grades = [alike[i]["grade"] for i in range(len(alike))]
    assert set(grades[:-50]) == {5.0}
    assert len(grades) - 50 == sum(SynonymPairs()[i]["score"] == 5.0 for i in range(2000))
    assert set(grades[-50:]) == {0.0, 1.25, 2.5, 3.75, 5.0}


def test_sentences_begin_with_cls_and_are_padded_or_cut() -> None:
    data = PairBatches(
        source=SentencePairs((Graded(SynonymPairs()),)), tokenizer=Bytes(), learned_from=TEXT, batch=4, lengths=(30, 20)
    )
    assert data.tokens == 4 * 50
    batch = data.take(np.arange(40))
    assert {name: leaf.shape for name, leaf in batch.items()} == {"first": (40, 30), "second": (40, 20), "grade": (40,)}
    assert (batch["first"][:, 0] == CLS).all()
    texts = {record["s1"] for record in map(SynonymPairs().__getitem__, range(2000))}
    for row in batch["first"]:
        text = Bytes().decode(row[row != PAD])
        assert text in texts or any(full.startswith(text) and len(full) > 29 for full in texts)
    again = data.take(np.arange(7, 9))
    np.testing.assert_array_equal(again["second"], batch["second"][7:9])


def test_the_masks_of_the_encoder_are_among_those_of_the_decoder() -> None:
    data = TwiceMaskedText(source=TEXT, tokenizer=BPE(300), batch=8, length=32)
    batch = data.take(np.arange(8))
    assert batch["places"].shape == (8, 6)
    assert batch["decoder_places"].shape == (8, 12)
    for row in range(8):
        few = set(batch["places"][row][batch["place_weights"][row] > 0].tolist())
        many = set(batch["decoder_places"][row][batch["decoder_weights"][row] > 0].tolist())
        assert few < many
        assert few == set(np.flatnonzero(batch["weights"][row]).tolist())
        changed = np.flatnonzero(batch["decoder_tokens"][row] != batch["targets"][row])
        assert set(changed.tolist()) <= many
        assert (batch["decoder_tokens"][row] == MASK).sum() > (batch["tokens"][row] == MASK).sum() - 1
