"""Made-up dialogues of several domains that say the same things in the same ways, each about things of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

#: Nouns of each domain, which stand in its dialogues and in no others.
NOUNS = {"film": ("plot", "cast"), "song": ("tune", "band"), "park": ("walk", "gate")}
SPLITS = ("train", "validation", "test")

_CONSONANTS, _VOWELS = "bdfgjklmnprstvz", "aeiou"
_TOLD = (
    ("do you know {entity} ?", "have you heard of {entity} ?"),
    ("yes , it has a fine {noun} .", "i do , the {noun} is good ."),
    ("who made it ?", "do you know who made it ?"),
    ("it was made by {maker} .", "{maker} made it ."),
    ("oh , when was that ?", "in which year ?"),
    ("in {year} , i think .", "that was {year} ."),
    ("thank you , i like the {noun} .", "good , so i will see the {noun} ."),
)


@dataclass(frozen=True)
class DrawnDialogues(Source):
    """Dialogues of seven turns, for tests: records {"turns": [{"text", "facts"}, ...]}.

    Both wordings of each turn are the same in all domains. Nouns are the domain's; names of things and makers are made
    up, and those of a split end as no other split's do. Facts say who made a thing, and when.

    Args:
      domain: one of `NOUNS`.
      count: of dialogues.
      split: one of `SPLITS`.

    Raises:
      ValueError: an unknown domain or split.

    >>> DrawnDialogues("park", 1)[0]["turns"][3]
    {'text': 'vokekax made it .', 'facts': [['gusogox', 'maker', 'vokekax']]}
    """

    domain: str
    count: int
    split: str = "train"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.domain not in NOUNS or self.split not in SPLITS:
            raise ValueError(f"domain={self.domain!r}, split={self.split!r}: choose of {[*NOUNS]} and of {SPLITS}")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        index = range(self.count)[index]
        place = index * len(SPLITS) + SPLITS.index(self.split)
        words = random_words(self.seed * len(NOUNS) + [*NOUNS].index(self.domain), np.array([place]), 12)[0]
        thing, maker, noun, year, *ways = (words >> np.uint64(11)).tolist()
        entity, maker = self._name(thing), self._name(maker)
        parts = {"entity": entity, "maker": maker, "noun": NOUNS[self.domain][noun % 2], "year": 1900 + year % 99}
        texts = [own[way % 2].format(**parts) for own, way in zip(_TOLD, ways, strict=False)]
        facts = {3: [[entity, "maker", maker]], 5: [[entity, "year", str(parts["year"])]]}
        return {"turns": [{"text": text, "facts": facts.get(turn, [])} for turn, text in enumerate(texts)]}

    def digest(self) -> str:
        return joint_digest(str(self))

    def _name(self, word: int) -> str:
        """Three syllables, and a letter that says which split."""
        said = ""
        for _ in range(3):
            word, consonant = divmod(word, len(_CONSONANTS))
            word, vowel = divmod(word, len(_VOWELS))
            said += _CONSONANTS[consonant] + _VOWELS[vowel]
        return said + "xwq"[SPLITS.index(self.split)]
