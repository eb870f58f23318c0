"""How often a language model says the true answers of word tasks: as an objective of evaluations, and by texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.prompts.pair_filters import most_frequent
from stagejax.data.prompts.word_tasks import WordTaskPrompts, word_task_tokenizer
from stagejax.decode import Prompts, sample
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts.inventing import drawn
from stagejax.inference.prompts.own_examples import ANSWER, END_TOKEN, Given, Writing
from stagejax.result import Result

ICL, VOTE = "ICL", "ICL, most frequent of several"
TURNED, BARE = "ICL, demonstrations turned round", "no demonstrations"
COMMON = "most frequent true output"


def exact(model: Any, batch: Any, key: Any) -> tuple[jax.Array, Any]:
    """The share of inputs whose likeliest output, token by token, is not the true one; `accuracy` and `letters`.

    `letters`: the share of words of true outputs that are said at their places. The batch is of `PromptedText` over
    `WordTaskPrompts`, with its `gold` beside.

    >>> # Evaluation(PromptedText(source=prompts, beside=prompts.gold, ...), 1, objective=exact)
    """
    length = batch["tokens"].shape[1] + ANSWER
    how = {"length": length, "limit": ANSWER, "temperature": 0.0, "stops": ((END_TOKEN,),)}
    said = sample(model, Prompts(batch["tokens"], batch["lengths"]), jax.random.key(0), **how)
    gold_BG = jnp.stack([batch[name] for name in WordTaskPrompts.gold], axis=1)
    at_BG = jnp.minimum(said.starts_BN + jnp.arange(ANSWER), length - 1)
    same_BG = jnp.take_along_axis(said.tokens_BNS[:, 0], at_BG, axis=1) == gold_BG
    right_B = (same_BG | (gold_BG == 0)).all(1)
    word_BG = (gold_BG > 0) & (gold_BG != END_TOKEN)
    letters = ((same_BG & word_BG).sum(), word_BG.sum().astype(jnp.float32))
    return 1 - right_B.mean(), {"accuracy": (right_B.sum(), jnp.float32(right_B.size)), "letters": letters}


def asked(base: Result, writing: Writing, tasks: Sequence[Given]) -> dict[str, list[float]]:
    """The share of right outputs to the tested words of each task, by way of asking; for `run.make`.

    Ways: the likeliest output behind the demonstrations, the most frequent of several drawn, the likeliest behind
    them in another order, and behind none; and, whatever is asked, the output most frequent among the true ones.
    """
    net, code, found = Frozen.of(base), word_task_tokenizer(), dict[str, list[float]]()
    likeliest = writing.outputs(n=1, greedy=True)
    for own in tasks:
        gold = [own.task.answer(word) for word in own.tested]
        turned, bare = (Given(own.task, shown, seed=own.seed) for shown in (own.shown[::-1], ()))
        ways = {ICL: (own, likeliest), VOTE: (own, writing.outputs()), TURNED: (turned, likeliest)}
        for way, (given, drawing) in (ways | {BARE: (bare, likeliest)}).items():
            several = drawn(net, code, [given.prompt(word) for word in own.tested], drawing, own.seed)
            said = [most_frequent(one)[0] for one in several]
            found.setdefault(way, []).append(float(np.mean([a == b for a, b in zip(said, gold, strict=True)])))
        found.setdefault(COMMON, []).append(Counter(gold).most_common(1)[0][1] / len(gold))
    return found
