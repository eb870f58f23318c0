"""The loss of unigrams by hand: tokens with a weight alone, one added to each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data.language.unigrams import unigram_loss
from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning.problems import Problems

SOURCE = Problems(size=12, steps=(2,))
DATA = Answers(source=SOURCE, tokenizer=SOURCE.tokenizer(), batch=4, length=48)


def test_unigrams_by_hand() -> None:
    vocab, taken = DATA.tokenizer.vocab, DATA.take(np.arange(12))
    tokens = taken["targets"][taken["weights"] > 0]
    shares = (np.bincount(tokens, minlength=vocab) + 1) / (len(tokens) + vocab)
    assert unigram_loss(DATA, DATA, vocab) == pytest.approx(-np.log(shares[tokens]).mean())
    first = DATA.take(np.arange(5))
    few = first["targets"][first["weights"] > 0]
    assert unigram_loss(DATA, DATA, vocab, samples=5) == pytest.approx(-np.log(shares[few]).mean())
    # Prompts are learned as well: other tokens count.
    assert unigram_loss(replace(DATA, prompts=True), DATA, vocab) > unigram_loss(DATA, DATA, vocab)
