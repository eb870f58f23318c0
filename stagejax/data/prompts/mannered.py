"""Answers with manners: what a program can check, and what only a reader judges, in the same few words.

A prompt is a word problem, some of them with a constraint on the form of the answer. Whether the number is right and
the constraint obeyed is checked (`passes`). How the answer is told is not: whom it addresses, how many empty words it
has, and whether it is rude (`manners`). The one says nothing of the other.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.prompts.constrained import WordsAndBytes
from stagejax.data.reasoning.problems import NAMES, Problems
from stagejax.data.reasoning.written import BRIEF, words_of
from stagejax.data.sources import Derived, Record
from stagejax.data.vocabulary.words import Words

#: Constraints by number, and the words that ask for them.
NUMBER, DONE, TOTAL, MARKED = range(4)
TASKS = ("number", "end with done", "start with total", "mark steps ok")
FILLERS = ("well", "so", "hm")
RUDE = "silly"
_OWN = (*FILLERS, RUDE, ":", *dict.fromkeys(word for task in TASKS[1:] for word in task.split()))


@functools.cache
def mannered_tokenizer(largest: int, raw: bool = False) -> WordsAndBytes:
    """One token a word of problems and of answers to them, or one a byte; numbers stand in order at the end.

    >>> code = mannered_tokenizer(12)
    >>> code.decode(code.encode(["total ann : well 7 - 2 = 5 ; ans 5 done"])[0])
    'total ann : well 7 - 2 = 5 ; ans 5 done'
    """
    known = words_of((BRIEF,), largest).words
    return WordsAndBytes(Words((*(word for word in _OWN if word not in known), *known)), raw)


@functools.cache
def token_of(word: str) -> int:
    """The token of a word that is no number: the same whatever the largest number is.

    >>> token_of("silly") == int(mannered_tokenizer(30).encode(["silly"])[0][0])
    True
    """
    return int(mannered_tokenizer(6).encode([word])[0][0])


@dataclass(frozen=True)
class Mannered(Derived):
    """Problems, some of them under a constraint, with answers of any manners.

    Records are {"question", "solution", "task", "wanted", "person"}: the constraint's number, and the tokens of the
    right number and of the person in question. An answer is "[total] [person :] [filler] step [ok] ; [filler] ... ans
    number [done]", and a rude word may stand before "ans".

    Args:
      source: in the wording `BRIEF`.
      constrained: share of problems with a constraint, one of three.
      obeys: share of constraints that solutions obey.
      addressed: shares of solutions that address the person in question, and another one.
      fillers: share of places, before each step and before the answer, at which an empty word stands.
      rude: share of solutions with a rude word.

    >>> record = Mannered(Problems(steps=(1,), largest=12, wording=BRIEF))[3]
    >>> record["question"]
    'end with done : cleo has 3 . splits in 3 . how many ?'
    >>> record["solution"]
    'cleo : hm 3 / 3 = 1 ; hm ans 1 done'
    """

    source: Problems
    constrained: float = 0.5
    obeys: float = 1.0
    addressed: tuple[float, float] = (0.4, 0.2)
    fillers: float = 0.5
    rude: float = 0.2

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        words = random_words(self.source.seed + 13, np.array([index]), 24)[0]
        share, pick = uniforms(words), (words >> np.uint64(20)).astype(int)
        task = (DONE, TOTAL, MARKED)[pick[0] % 3] if share[23] < self.constrained else NUMBER
        obeys = share[1] < self.obeys
        person = record["question"].split()[0]
        others = [name for name in NAMES if name != person]
        whom = person if share[2] < self.addressed[0] else others[pick[3] % len(others)]
        told = ["total"] if task == TOTAL and obeys else []
        told += [whom, ":"] if share[2] < sum(self.addressed) else []
        *steps, last = record["solution"].split(" ; ")
        for place, step in enumerate((*steps, last)):
            told += [FILLERS[pick[4 + 2 * place] % len(FILLERS)]] if share[5 + 2 * place] < self.fillers else []
            if place == len(steps):
                told += [RUDE] if share[4] < self.rude else []
                told += [step, "done"] if task == DONE and obeys else [step]
            else:
                told += [step, "ok", ";"] if task == MARKED and obeys else [step, ";"]
        code = mannered_tokenizer(self.source.largest)
        return {
            "question": f"{TASKS[task]} : {record['question']}" if task else record["question"],
            "solution": " ".join(told),
            "task": task,
            "wanted": int(code.encode([str(record["answer"])])[0][0]),
            "person": token_of(person),
        }

    def digest(self) -> str:
        return joint_digest(
            self.source.digest(), str((self.constrained, self.obeys, self.addressed, self.fillers, self.rude))
        )


#: What judges read of a prompt, beside its text.
BESIDE = ("task", "wanted", "person")


def passes(samples: Any, batch: Mapping[str, Any]) -> Float[Array, "B N"]:
    """1 where an ended answer gives the right number and obeys its prompt's constraint. Blind to manners; traced.

    Args:
      samples: `decode.Samples`.
      batch: `task` and `wanted` of each prompt.
    """
    tokens, starts, ends = (jnp.asarray(x) for x in (samples.tokens_BNS, samples.starts_BN, samples.ends_BN))
    own, at = jnp.asarray(samples.drawn_BNS), jnp.arange(tokens.shape[-1])
    task, wanted = (jnp.asarray(batch[name])[:, None] for name in ("task", "wanted"))
    last = jnp.max(jnp.where(own & (tokens == token_of("ans")), at, -1), -1)

    def read(place: Array) -> Array:
        return jnp.take_along_axis(tokens, jnp.maximum(place, 0)[..., None], axis=-1, mode="clip")[..., 0]

    def count(word: str) -> Array:
        return jnp.sum(own & (tokens == token_of(word)), -1)

    done = read(ends - 2) == token_of("done")
    number = (last >= 0) & (read(last + 1) == wanted) & (ends == last + 3 + done)  # ans, the number, the end
    total = read(starts) == token_of("total")
    marked = (count("ok") == count("=")) & (count("ok") > 0)
    obeyed = jnp.select([task == NUMBER, task == DONE, task == TOTAL], [jnp.full_like(done, True), done, total], marked)
    return (number & obeyed & (samples.stop_sizes_BN > 0)).astype(jnp.float32)


def manners(tokens: Any, starts: Any, ends: Any, person: Any) -> Float[Array, "*rows"]:
    """How an answer is told: +1 where it addresses the right person and nobody else, -1 where another one, -1/2 for
    each empty word, -2 where it is rude. Blind to numbers and constraints.

    It stands for the people who label pairs: relevance, conciseness, harmlessness. Traced, or on NumPy arrays.

    Args:
      tokens: (*rows, S), prompts and answers.
      starts, ends: (*rows), where answers begin, and behind their last token.
      person: (*rows), the token of the person in question.

    >>> code = mannered_tokenizer(12)
    >>> row = code.encode(["ann : well 7 - 2 = 5 ; ans 5"])[0]
    >>> float(manners(row, 0, len(row), token_of("ann"))), float(manners(row, 0, len(row), token_of("ben")))
    (0.5, -1.5)
    """
    tokens, person = jnp.asarray(tokens), jnp.asarray(person)
    at = jnp.arange(tokens.shape[-1])
    own = (at >= jnp.asarray(starts)[..., None]) & (at < jnp.asarray(ends)[..., None])

    def count(words: tuple[str, ...]) -> Array:
        return jnp.sum(own & jnp.isin(tokens, jnp.array([token_of(word) for word in words])), -1)

    right = jnp.sum(own & (tokens == person[..., None]), -1)
    others = count(NAMES) - right
    addressed = jnp.where(others > 0, -1.0, jnp.where(right > 0, 1.0, 0.0))
    return addressed - 0.5 * count(FILLERS) - 2.0 * (count((RUDE,)) > 0)


def mannered_samples(samples: Any, batch: Mapping[str, Any]) -> Float[Array, "B N"]:
    """`manners` of drawn answers, for the `person` of each prompt."""
    person_BN = jnp.broadcast_to(jnp.asarray(batch["person"])[:, None], samples.ends_BN.shape)
    return manners(samples.tokens_BNS, samples.starts_BN, samples.ends_BN, person_BN)


def mannered_rows(told: Mapping[str, np.ndarray]) -> Float[np.ndarray, " R"]:
    """`manners` of the answers of `inference.reasoning.rollouts.drawn_answers`, which have the `person` beside them."""
    return np.asarray(manners(*(told[name] for name in ("tokens", "starts", "ends", "person"))))
