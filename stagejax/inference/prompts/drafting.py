"""What a language model says of prompts behind which a reference answer is known: drafts, and answers in parts its own.

Letters: N pairs, P tokens of a prompt with CLS, L of an answer with its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from stagejax.data.prompts.answers import Answers
from stagejax.data.tokenizers import MASK, SEP, SPECIAL
from stagejax.decode import Prompts, Samples, sample
from stagejax.decode.forced import Forced
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, flops_of_one
from stagejax.stage import Batch

#: The token between a draft and its correction: no text has it.
CORRECT = MASK
#: Rows that are continued together.
AT_ONCE = 128

Ints = Int[np.ndarray, "N _"]


@dataclass(frozen=True)
class Pairs:
    """Prompts and their reference answers, padded with 0."""

    prompts_NP: Ints
    lengths_N: Int[np.ndarray, " N"]
    answers_NL: Ints  # with SEP at the end
    sizes_N: Int[np.ndarray, " N"]

    @classmethod
    def of(cls, data: Answers, numbers: Int[np.ndarray, " N"], prompt: int, answer: int) -> Pairs:
        """Samples of `data` as pairs, with so many tokens at most.

        Raises:
          ValueError: a prompt or an answer is longer.

        >>> from stagejax.data.reasoning.problems import Problems
        >>> problems = Problems(size=8, steps=(2,))
        >>> data = Answers(source=problems, tokenizer=problems.tokenizer(), batch=4, length=48)
        >>> pairs = Pairs.of(data, np.arange(4), 40, 16)
        >>> pairs.sizes_N.tolist(), pairs.answers_NL[0, 14]
        ([15, 15, 15, 15], np.int32(2))
        """
        batch = data.take(numbers)
        rows = np.concatenate([batch["tokens"][:, :1], batch["targets"]], axis=1)
        first_N, sizes_N = batch["weights"].argmax(1) + 1, batch["weights"].sum(1).astype(np.int32)
        if first_N.max() > prompt or sizes_N.max() > answer:
            raise ValueError(
                f"a prompt of {first_N.max()} tokens and an answer of {sizes_N.max()} do not fit into "
                f"prompt={prompt} and answer={answer}: raise them"
            )
        prompts, answers = np.zeros((len(rows), prompt), np.int32), np.zeros((len(rows), answer), np.int32)
        for row, (tokens, first, size) in enumerate(zip(rows, first_N, sizes_N, strict=True)):
            prompts[row, :first], answers[row, :size] = tokens[:first], tokens[first : first + size]
        return cls(prompts, first_N.astype(np.int32), answers, sizes_N)

    def take(self, rows: Any) -> Pairs:
        """Some of them."""
        return Pairs(self.prompts_NP[rows], self.lengths_N[rows], self.answers_NL[rows], self.sizes_N[rows])

    def drafted(self, said: Said) -> Pairs:
        """The same with [prompt, draft, CORRECT] as prompts, L + 1 tokens longer: what is answered the second time."""
        prompts = np.pad(self.prompts_NP, ((0, 0), (0, said.tokens_NL.shape[1] + 1)))
        for row, (first, size) in enumerate(zip(self.lengths_N, said.sizes_N, strict=True)):
            prompts[row, first : first + size], prompts[row, first + size] = said.tokens_NL[row, :size], CORRECT
        return replace(self, prompts_NP=prompts, lengths_N=self.lengths_N + said.sizes_N + 1)


class Said(NamedTuple):
    """What a model said behind prompts."""

    tokens_NL: Ints  # padded with 0
    sizes_N: Int[np.ndarray, " N"]
    logprobs_N: Float[np.ndarray, " N"]  # of all its tokens, under the model itself


def continued(model: Any, batch: Batch, length: int) -> Samples:
    """One continuation of each prompt, in which given tokens are taken as they are; it ends with SEP or its limit."""
    rule = Forced(batch["answers"], batch["given"], batch["may"])
    how = {"limit": batch["limit"], "temperature": batch["temperature"], "stops": ((SEP,),)}
    return sample(model, Prompts(batch["tokens"], batch["lengths"]), batch["keys"], length=length, allowed=rule, **how)


def decoded(
    net: Frozen,
    pairs: Pairs,
    keys_N: Any,
    *,
    temperature: float,
    given_NL: Bool[np.ndarray, "N L"] | None = None,
    limit_N: Int[np.ndarray, " N"] | None = None,
    special: tuple[int, ...] = (SEP,),
) -> Said:
    """What the model says behind each prompt.

    Args:
      temperature: of the draws; 0: the likeliest tokens.
      given_NL: where the token of the reference answer stands, as if it had been said. None: nowhere.
      limit_N: most tokens; None: L.
      special: what may be drawn beside tokens of text; (): no end.

    >>> # said = decoded(Frozen.of(result), pairs, keys(0, np.arange(64)), temperature=0.0)
    """
    (N, L), P = pairs.answers_NL.shape, pairs.prompts_NP.shape[1]
    ids = np.arange(net.config.vocab)
    may_V = (ids >= SPECIAL) | np.isin(ids, special)
    rows = {
        "tokens": pairs.prompts_NP,
        "lengths": pairs.lengths_N,
        "answers": pairs.answers_NL,
        "given": np.zeros((N, L), bool) if given_NL is None else given_NL,
        "limit": np.full(N, L, np.int32) if limit_N is None else limit_N.astype(np.int32),
        "keys": keys_N,
    }
    said = Said(np.zeros((N, L), np.int32), np.zeros(N, np.int32), np.zeros(N, np.float32))
    for start in range(0, N, AT_ONCE):
        places = np.minimum(np.arange(start, start + AT_ONCE), N - 1)  # one shape, so one program
        part = {name: x[places] for name, x in rows.items()}
        drawn = ask(continued, net, part | {"may": may_V, "temperature": np.float32(temperature)}, P + L)
        for row in range(min(AT_ONCE, N - start)):
            first, end = int(drawn.starts_BN[row, 0]), int(drawn.ends_BN[row, 0])
            said.tokens_NL[start + row, : end - first] = drawn.tokens_BNS[row, 0, first:end]
            said.sizes_N[start + row], said.logprobs_N[start + row] = end - first, drawn.logprobs_BNS[row, 0].sum()
    return said


def keys(seed: int, numbers: Int[np.ndarray, " N"]) -> jax.Array:
    """A key for each pair, a function of the seed and its number alone."""
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.asarray(numbers))


def decoding_flops(config: Any, prompt: int, answer: int) -> float:
    """FLOPs of one continuation of `answer` tokens behind a prompt padded to `prompt`.

    >>> from stagejax.models import gpt
    >>> decoding_flops(gpt(layers=1), 8, 4) > 10**5
    True
    """
    like = jax.ShapeDtypeStruct
    row = {"tokens": like((prompt,), "int32"), "lengths": like((), "int32"), "answers": like((answer,), "int32")}
    row |= {"given": like((answer,), "bool"), "limit": like((), "int32")}
    row["keys"] = jax.eval_shape(lambda: jax.random.key(0))
    return float(flops_of_one(_one, config, row, prompt + answer, while_trips=answer))


def _one(model: Any, rows: Any, length: int) -> Samples:
    return continued(model, rows | {"may": jnp.ones(model.config.vocab, bool), "temperature": jnp.float32(1)}, length)
