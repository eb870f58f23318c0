"""Sentences by templates: blanks filled with phrases, optional endings, and words that give way to synonyms."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stagejax.data.order import random_words

Synonyms = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Grammar:
    """For each text a template is drawn, its blanks are filled, and each word that has synonyms becomes one of them.

    Args:
      templates: texts with blanks such as {upper}, all of which a text must be given.
      endings: (blank, texts with that blank): one is put behind the template where there is a phrase for the blank.
      synonyms: (word, what may stand in its place).

    Raises:
      ValueError: no template.

    Reference: "combine" of Shao et al. 2023 (UniPT), https://arxiv.org/abs/2309.01420, section 3.2.

    >>> grammar = Grammar(("in {upper}",), (("bag", ("with {bag}",)),), (("red", ("crimson",)),))
    >>> grammar([{"upper": "a red coat"}, {"upper": "a shirt", "bag": "a red bag"}], seed=0)
    ['in a crimson coat', 'in a shirt with a crimson bag']
    """

    templates: tuple[str, ...]
    endings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    synonyms: Synonyms = ()

    def __post_init__(self) -> None:
        if not self.templates:
            raise ValueError("templates=(): a grammar has at least one")

    def __call__(self, said: Sequence[Mapping[str, str]], seed: int) -> list[str]:
        """One text for each mapping from blanks to phrases: text i is a function of `seed`, i and its phrases."""
        words, kinds = random_words(seed, np.arange(len(said)), 2 + len(self.endings)), dict(self.synonyms)
        texts = []
        for i, (phrases, own) in enumerate(zip(said, words.tolist(), strict=True)):
            text = self.templates[own[0] % len(self.templates)]
            for draw, (blank, ends) in zip(own[2:], self.endings, strict=True):
                text += f" {ends[draw % len(ends)]}" if blank in phrases else ""
            filled = text.format_map(phrases).split()
            draws = random_words(own[1] % 2**31 + seed, np.array([i]), len(filled))[0].tolist()
            texts.append(" ".join(_one_of(kinds, word, draw) for word, draw in zip(filled, draws, strict=True)))
        return texts

    def some(self, every: int) -> Grammar:
        """The same with every n-th template only."""
        return Grammar(self.templates[::every], self.endings, self.synonyms)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of templates, endings and synonyms, in order, without blanks."""
        parts = [*self.templates, *itertools.chain(*(ends for _, ends in self.endings))]
        found = [word for part in parts for word in part.split() if not word.startswith("{")]
        return tuple(dict.fromkeys([*found, *itertools.chain(*(words for _, words in self.synonyms))]))


def _one_of(kinds: Mapping[str, tuple[str, ...]], word: str, draw: int) -> str:
    return kinds[word][draw % len(kinds[word])] if word in kinds else word


def product(*parts: Sequence[str]) -> tuple[str, ...]:
    """Every combination of parts, joined by spaces.

    >>> product(("one", ""), ("person",))
    ('one person', 'person')
    """
    return tuple(" ".join(part for part in found if part) for found in itertools.product(*parts))
