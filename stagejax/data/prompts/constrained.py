"""Two verifiable skills: word problems, and constraints on the form of their solutions. With bytes beside words."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import Problems, vocabulary
from stagejax.data.sources import Record, Source
from stagejax.data.tokenizers import SPECIAL, Bytes, Codec, Ids, Tokenizer
from stagejax.data.vocabulary.words import Words

NUMBER, DONE, EXACTLY, TOTAL = range(4)
SKILLS = ("number", "end with done", "use exactly n steps", "start with total")
_ASKED = ("", "end with done : ", "use exactly {} steps : ", "start with total : ")
_LARGEST = 30  # of the numbers that are words


@dataclass(frozen=True)
class WordsAndBytes(Tokenizer, Codec):
    """Words of a closed language and, behind them, bytes, as which any text can be written (`raw`)."""

    words: Words
    raw: bool = False

    @property
    def vocab(self) -> int:
        return self.words.vocab + 256

    def train(self, texts: Iterator[str]) -> Codec:
        return self

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        if not self.raw:
            return self.words.encode(texts)
        return [ids + np.int32(self.words.vocab - SPECIAL) for ids in Bytes().encode(texts)]

    def decode(self, ids: Ids) -> str:
        """The words; bytes give none."""
        return self.words.decode([i for i in ids if i < self.words.vocab])

    def digest(self) -> str:
        return joint_digest(self.words.digest(), str(self.raw))


@functools.cache
def skills_tokenizer(raw: bool = False) -> WordsAndBytes:
    """One token a word and a number of `Skills`, or one a byte.

    >>> code = skills_tokenizer()
    >>> code.decode(code.encode(["total : 7 + 5 = 12"])[0])
    'total : 7 + 5 = 12'
    """
    own = ["end", "with", "done", "use", "exactly", "steps", "start", "total", ":"]
    return WordsAndBytes(Words(tuple(dict.fromkeys((*own, *vocabulary(_LARGEST))))), raw)


@functools.cache
def _token(word: str) -> int:
    return int(skills_tokenizer().encode([word])[0][0])


@dataclass(frozen=True)
class Skills(Source):
    """Problems, every second one with a constraint; a solution obeys it, or does with probability `obeys`.

    Records are {"question", "solution", "skill", "wanted", "program"}; wanted is the token of the answer, or the number
    of steps.

    >>> record = Skills(Problems(steps=(1,)))[2]
    >>> record["question"]
    'start with total : eve has 28 eggs . eve gives 3 to ben . how many does eve have ?'
    >>> record["solution"]
    'total : 28 - 3 = 25 ; ans 25'
    """

    problems: Problems
    obeys: float = 1.0

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.problems.split

    def of_split(self, split: str) -> Source:
        return replace(self, problems=self.problems.of_split(split))

    def __len__(self) -> int:
        return len(self.problems)

    def __getitem__(self, index: int) -> Record:
        record, draw = self.problems[index], random_words(self.problems.seed + 7, np.array([index]), 2)[0]
        skill = (NUMBER, NUMBER, NUMBER, DONE, EXACTLY, TOTAL)[int(draw[0] >> np.uint64(8)) % 6]
        solution, obeys = record["solution"], float(uniforms(draw)[1]) < self.obeys
        if obeys and skill == DONE:
            solution += " done"
        elif obeys and skill == TOTAL:
            solution = f"total : {solution}"
        elif not obeys and skill == EXACTLY:
            solution = solution.partition(" ; ")[2]
        return {
            "question": _ASKED[skill].format(record["steps"]) + record["question"],
            "solution": solution,
            "skill": skill,
            "wanted": record["steps"] if skill == EXACTLY else _token(str(record["answer"])),
            "program": record["program"],
        }

    def digest(self) -> str:
        return joint_digest(self.problems.digest(), str(self.obeys))


def verified(samples: Any, batch: Mapping[str, Any]) -> Float[Array, "B N"]:
    """1 where an ended answer is right by its prompt's skill: the token behind the last "ans", or a predicate.

    It reads the answer alone; what is wanted stands beside the prompt, not in it. Traced, so a compiled step may ask.

    Args:
      samples: `decode.Samples`.
      batch: `skill` and `wanted` of each prompt.
    """
    tokens, starts, ends = (jnp.asarray(x) for x in (samples.tokens_BNS, samples.starts_BN, samples.ends_BN))
    own, at = jnp.asarray(samples.drawn_BNS), jnp.arange(tokens.shape[-1])
    last = jnp.max(jnp.where(own & (tokens == _token("ans")), at, -1), -1)

    def read(place: Array) -> Array:
        return jnp.take_along_axis(tokens, jnp.maximum(place, 0)[..., None], axis=-1, mode="clip")[..., 0]

    skill, wanted = jnp.asarray(batch["skill"])[:, None], jnp.asarray(batch["wanted"])[:, None]
    number = (last >= 0) & (read(last + 1) == wanted) & (ends == last + 3)  # ans, the number, the end
    done = (read(ends - 2) == _token("done")) & (ends - 2 >= starts)
    steps = jnp.sum(own & (tokens == _token("=")), -1) == wanted
    total = read(starts) == _token("total")
    right = jnp.select([skill == NUMBER, skill == DONE, skill == EXACTLY], [number, done, steps], total)
    return (right & (samples.stop_sizes_BN > 0)).astype(jnp.float32)


def contents(sources: Iterable[Source]) -> set[str]:
    """All prompts, and the programs of their problems: what training and tests must not share."""
    return {text for s in sources for i in range(len(s)) for text in (s[i]["question"], s[i]["program"])}
