"""By which strategies a model replies, how well each does on every task, and which to ask for.

All are functions for `run.make`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from stagejax.data.prompts.strategies import CAUTIOUS, Asked, best_strategies, erased, strategy_of
from stagejax.data.tokenizers import Tokenizer, codec
from stagejax.inference.continuing import Sampling
from stagejax.inference.prompts.teacher_corpus import judged, teacher_corpus
from stagejax.result import Result


def answered(
    net: Result, tokenizer: Tokenizer, asked: Asked, how: Sampling, prompt: int, limit: int, seed: int
) -> dict[str, Any]:
    """What `judged` finds of every query, and the "strategy" that its reply follows.

    Args:
      prompt: tokens that prompts are padded to, with CLS.
      limit: most tokens of a reply.
    """
    found, texts, _ = judged(net, tokenizer, asked, how, prompt, limit, seed)
    return found | {"strategy": [strategy_of(text) for text in texts]}


def sampled(value: Mapping[str, Any]) -> int:
    """How many tokens were drawn for what `answered` found."""
    return int(sum(value["tokens"]))


def chosen(names: tuple[str, ...], margin: float, *found: Result) -> dict[str, Any]:
    """The strategy of every task, from replies to validation queries under each strategy (`best_strategies`).

    Args:
      names: strategies that the queries of `found`, results of `answered`, asked for.

    Returns:
      "best": a strategy by task; "right" and "tokens": means by task and strategy.
    """
    right: dict[str, dict[str, float]] = {}
    tokens: dict[str, dict[str, float]] = {}
    for name, result in zip(names, found, strict=True):
        families = np.array(result.value["family"])
        for task in dict.fromkeys(families.tolist()):
            own = families == task
            right.setdefault(task, {})[name] = float(np.array(result.value["right"])[own].mean())
            tokens.setdefault(task, {})[name] = float(np.array(result.value["tokens"])[own].mean())
    return {"best": best_strategies(right, tokens, margin), "right": right, "tokens": tokens}


def under(choice: Result, asked: Asked) -> Asked:
    """The queries, each under the strategy that was chosen for its task."""
    return replace(asked, chosen=tuple(sorted(choice.value["best"].items())))


def corpus_as_chosen(choice: Result, teacher: Result, tokenizer: Tokenizer, asked: Asked, *how: Any) -> dict[str, Any]:
    """`teacher_corpus` of queries under the strategies chosen; the messages are still there."""
    own = under(choice, asked)
    return teacher_corpus(teacher, tokenizer, own, own, *how)


def answered_as_chosen(choice: Result, net: Result, tokenizer: Tokenizer, asked: Asked, *how: Any) -> dict[str, Any]:
    """`answered` for queries under the strategies chosen."""
    return answered(net, tokenizer, under(choice, asked), *how)


def corpus_erased(corpus: Result, tokenizer: Tokenizer, asked: Asked) -> dict[str, Any]:
    """The documents of a corpus under the message that names no strategy (`erased`).

    Args:
      asked: queries that the tokenizer may be learned from.
    """
    return erased(corpus.value, int(codec(tokenizer, asked, "prompt").encode([f"<{CAUTIOUS}>"])[0][0]))
