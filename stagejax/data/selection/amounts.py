"""How much of some text a stage reads, and how much of that it learns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stagejax.data.pipeline import Data


class Amount(NamedTuple):
    """Of a number of samples."""

    turns: float  # of every row
    read: float  # tokens, without padding
    learned: float  # those that the loss counts


def amount(data: Data, samples: int | float) -> Amount:
    """What `samples` rows of text are, of data with "targets", 0 on padding, and "weights".

    >>> from stagejax.data.prompts.answers import Answers
    >>> from stagejax.data.reasoning.problems import Problems
    >>> problems = Problems(size=8, steps=(2,))
    >>> amount(Answers(source=problems, tokenizer=problems.tokenizer(), batch=4, length=48), 16).learned
    240.0
    """
    every, turns = data.take(np.arange(data.size())), samples / data.size()
    return Amount(turns, turns * float((every["targets"] > 0).sum()), turns * float(every["weights"].sum()))
