"""Texts that show a few skills at once, behind prompts that name them."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.prompts.composing import composed
from stagejax.data.prompts.drafts import Draw
from stagejax.data.prompts.rhetoric import NAMES, size_tag, tags, topic_tag
from stagejax.data.sound.lexicon import TOPICS, lexicon_tokenizer
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.words import Words


def held_out(skills: Collection[int], share: float = 0.25) -> bool:
    """Whether these skills, in any order, are of the share of sets that no prompt of training names.

    A trained set of three may hold a pair that is held out, and a text may show by chance more than its prompt names.
    """
    number = sum(1 << skill for skill in skills)
    return len(skills) > 1 and float(uniforms(random_words(11, np.array([number]), 1))[0, 0]) < share


@dataclass(frozen=True)
class Compositions(Source):
    """Texts that show k skills and are about a topic, each behind its prompt; all have full marks.

    Records are {"question", "solution", "skills", "topic"}. The k of record i is ks[i % len(ks)], and text j of a k is
    the same in all sources, so one with more ks holds the texts of one with fewer: D(1), D(1, 2), D(1, 2, 3).

    Args:
      ks: how many skills, in turn; 0: texts without any. A k that stands there twice has twice as many texts.
      each: turns.
      pool: the skills that are drawn from, in sets that are all equally likely.
      topics: the topics that are drawn from.
      others: every text shows a skill of `pool` and one of these; the rest is drawn from both.
      combined: "trained" sets of skills, those `held_out`, or "any".
      sizes: of which one is drawn and stands in the prompt, for a text as long as one of so many skills may be; (): k.
      pure: no text shows a skill that its prompt does not name.

    Raises:
      ValueError: there is nothing to draw: too few skills, no topic, sets of one skill that are held out; or a text is
        too small for a skill of each pool. When a record is read: the writer finds no text.

    >>> record = Compositions((1, 2), each=4, pool=tuple(range(12)))[1]
    >>> record["question"]
    'size:2 topic:10 anaphora alliteration :'
    >>> record["solution"]
    'two kocks noon pills . two kocks rump the fives . the rills sish . two bill bives bish .'
    """

    ks: tuple[int, ...]
    each: int
    pool: tuple[int, ...]
    topics: tuple[int, ...] = tuple(range(len(TOPICS)))
    others: tuple[int, ...] = ()
    combined: Literal["any", "trained", "held out"] = "any"
    sizes: tuple[int, ...] = ()
    pure: bool = False
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if not self.ks or not self.topics or max(self.ks) > len(self.pool) + len(self.others):
            raise ValueError(f"ks={self.ks} of {len(self.pool)} skills, topics={self.topics}: there is nothing to draw")
        if self.combined == "held out" and min(self.ks) < 2:
            raise ValueError(f"ks={self.ks}: only sets of two skills or more are held out")
        if self.others and min(self.ks) < 2:
            raise ValueError(f"ks={self.ks}: a text with skills of `pool` and of `others` has at least two")

    def __len__(self) -> int:
        return len(self.ks) * self.each

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        turn, place = divmod(index, len(self.ks))
        k = self.ks[place]
        number = turn * self.ks.count(k) + self.ks[:place].count(k)
        return _record(replace(self, ks=(k,), each=1), number)

    def drawn(self, draw: Draw) -> tuple[int, ...]:
        """A set of skills, in the order of the prompt."""
        while True:
            own = tuple(draw.mixed([*self.pool, *self.others])[: self.ks[0]])
            across = not self.others or (set(own) & set(self.pool) and set(own) & set(self.others))
            if across and (self.combined == "any" or held_out(own) == (self.combined == "held out")):
                return own

    def digest(self) -> str:
        return joint_digest(str(self))


@functools.lru_cache(maxsize=1 << 16)
def _record(one: Compositions, number: int) -> Record:
    """Text `number` of a single k."""
    draw = Draw(one.seed + 101 * one.ks[0], number)
    for _ in range(100):
        skills, topic = one.drawn(draw), draw.pick(one.topics)
        size = draw.pick(one.sizes) if one.sizes else one.ks[0]
        words = composed(draw, skills, topic, size, one.pure)
        if words is not None:
            asked = (size_tag(size), topic_tag(topic), *(NAMES[skill] for skill in skills), ":")
            return {"question": " ".join(asked), "solution": " ".join(words), "skills": skills, "topic": topic}
    raise ValueError(f"{one}: the writer found no text. Draw from more skills, or ask for fewer of them.")


@functools.cache
def compositions_tokenizer() -> Words:
    """One token a word of the language, and one a word of prompts."""
    return lexicon_tokenizer(tags(8))
