"""Prompting a frozen model in two calls: it reasons, and is then asked, behind its own words, for the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from stagejax.data import CLS, SEP
from stagejax.data.tokenizers import Codec
from stagejax.decode import Prompts, Samples, completions, padded_prompts, sample
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, flops_of_one


@dataclass(frozen=True)
class Calling:
    """How prompts are put.

    Args:
      prompt: tokens of [CLS, prompt] at most, to which all are padded.
      limit: new tokens at most, the stop with them.
      batch: prompts at once, so that one program serves all.

    >>> Calling(prompt=80, limit=100).batch
    256
    """

    prompt: int
    limit: int
    batch: int = 256

    def flops(self, config: Any) -> float:
        """FLOPs of one reply, as if it had all tokens that it may have.

        >>> from stagejax.models import gpt
        >>> Calling(8, 4).flops(gpt(layers=1)) > 10**5
        True
        """
        like = jax.ShapeDtypeStruct
        row = {"tokens": like((self.prompt,), "int32"), "lengths": like((), "int32"), "keys": like((2,), "uint32")}
        row["temperature"] = like((), "float32")
        return float(flops_of_one(draw, config, row, self, SEP, while_trips=self.limit))


@dataclass
class Replies:
    """What a model said to prompts, in their order: texts, and how many tokens each took."""

    texts: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)


def draw(model: Any, batch: Any, how: Calling, stop: int) -> Samples:
    """One reply to each prompt of a batch, with its own of the batch's `keys` (B, 2) and `temperature` (B,)."""
    prompts, keys = Prompts(batch["tokens"], batch["lengths"]), jax.random.wrap_key_data(batch["keys"])
    size = {"length": how.prompt + how.limit, "limit": how.limit, "stops": ((stop,), (SEP,))}
    return sample(model, prompts, keys, temperature=batch["temperature"], **size)


def replies(
    net: Frozen,
    code: Codec,
    prompts: Sequence[str],
    how: Calling,
    stop: str,
    temperature: float | Sequence[float] = 0.0,
    seed: int = 0,
) -> Replies:
    """What a model says behind [CLS, prompt], up to the word `stop` or `how.limit` tokens.

    What is drawn for a prompt depends on the seed and its number, and not on the others.

    Args:
      temperature: of all prompts, or of each; 0: the likeliest token, again and again.

    Raises:
      ValueError: a prompt is longer than `how.prompt`.

    >>> # replies(Frozen.of(result), code, ["q how many ? a let us think ."], Calling(80, 100), "|")
    """
    (end,) = code.encode([stop])[0].tolist()
    rows = [[CLS, *ids.tolist()] for ids in code.encode(list(prompts))]
    keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(seed), max(len(rows), 1))))
    heat = np.broadcast_to(np.asarray(temperature, np.float32), len(rows))
    made = Replies()
    for start in range(0, len(rows), how.batch):
        places = [place % len(rows) for place in range(start, start + how.batch)]
        filled = padded_prompts([rows[place] for place in places], how.prompt)
        batch = {"tokens": filled.tokens_BP, "lengths": filled.lengths_B, "keys": keys[places]}
        batch["temperature"] = heat[places]
        found = completions(ask(draw, net, batch, how, end))[: len(rows) - start]
        made.texts += [code.decode(own.tokens) for (own,) in found]
        made.tokens += [own.sampled for (own,) in found]
    return made
