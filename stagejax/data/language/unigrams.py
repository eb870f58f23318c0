"""What a model that knows nothing but how often each token is would lose: a floor for language models."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from stagejax.data.pipeline import Data


def unigram_loss(seen: Data, test: Data, vocab: int, samples: int | None = None) -> float:
    """The mean of -log (c(t) + 1) / (n + vocab) over tokens t of `test`, in nats; c(t) of the n tokens of `seen` are t.

    Tokens are targets with a weight, of samples with "targets" and "weights".

    Args:
      samples: of the test, the first ones; None: an epoch.

    >>> from stagejax.data.prompts.answers import Answers
    >>> from stagejax.data.reasoning.problems import Problems
    >>> problems = Problems(size=8, steps=(2,))
    >>> data = Answers(source=problems, tokenizer=problems.tokenizer(), batch=4, length=48)
    >>> unigram_loss(data, data, data.tokenizer.vocab) < math.log(data.tokenizer.vocab)
    True
    """

    def counts(data: Data, size: int) -> Counter[int]:
        taken = data.take(np.arange(size))
        return Counter(taken["targets"][taken["weights"] > 0].tolist())

    known = counts(seen, seen.size())
    wanted = counts(test, test.size() if samples is None else min(samples, test.size()))
    lost = (n * math.log((known[token] + 1) / (known.total() + vocab)) for token, n in wanted.items())
    return -sum(lost) / wanted.total()
