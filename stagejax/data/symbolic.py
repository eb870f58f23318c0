"""Two tasks with symbols: whether a coin still shows heads, and the last letters of names, joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stagejax.data.comparisons import PEOPLE
from stagejax.data.pipeline import joint_digest
from stagejax.data.problems import held_out
from stagejax.data.sources import Record, Source

COIN, STILL = "a coin shows heads .", "does it still show heads ?"
LETTERS, JOINED = "take the last letters of", "and join them ."
#: Words of both tasks, beside people.
WORDS = ("flips", "flip", "not", "tails", "yes", "no", "count", "nobody", "letter", *(name[-1] for name in PEOPLE))
WORDS = tuple(sorted({*WORDS, *f"{COIN} {STILL} {LETTERS} {JOINED}".split()}))


@dataclass(frozen=True)
class Symbolic(Source):
    """Coins that people flip or do not, or people whose last letters are asked for; fields as of `Comparisons`.

    A question belongs to the train or to the test split by its hash.

    Args:
      coins: or else letters.
      people: how many a question may name, each as often.

    Reference: Wei et al. 2022, https://arxiv.org/abs/2201.11903, section 5.

    >>> Symbolic(people=(2,))[0]["question"]
    'a coin shows heads . finn flips . dan does not flip . does it still show heads ?'
    >>> record = Symbolic(coins=False, people=(3,))[0]
    >>> record["question"], record["steps"], record["answer"]
    """

    split: str = "train"
    size: int = 1000
    coins: bool = True
    people: tuple[int, ...] = (2, 3, 4)
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        rng = np.random.default_rng((self.seed, index, self.coins))
        while True:
            count = self.people[rng.integers(len(self.people))]
            names = [PEOPLE[place] for place in rng.permutation(len(PEOPLE))[:count]]
            own = _coin(names, rng.integers(0, 2, count).astype(bool).tolist()) if self.coins else _letters(names)
            if held_out(str(own["question"])) == (self.split == "test"):
                return {**own, "length": count, "program": "", "links": []}

    def digest(self) -> str:
        return joint_digest(str(self))


def _coin(names: list[str], flips: list[bool]) -> dict[str, object]:
    shows, steps = True, ["heads"]
    for name, flip in zip(names, flips, strict=True):
        shows ^= flip
        steps.append(f"{name} {'heads' if shows else 'tails'}")
    told = " ".join(f"{name} {'flips' if flip else 'does not flip'} ." for name, flip in zip(names, flips, strict=True))
    given = [f"{name} flips" if flip else f"{name} not" for name, flip in zip(names, flips, strict=True)]
    plan = [f"count {name}" for name, flip in zip(names, flips, strict=True) if flip] or ["count nobody"]
    return {"question": f"{COIN} {told} {STILL}", "given": given, "plan": plan, "steps": steps, "careful": steps,
            "answer": "yes" if shows else "no"}  # fmt: skip


def _letters(names: list[str]) -> dict[str, object]:
    steps = [f"{name} {name[-1]}" for name in names]
    return {"question": f"{LETTERS} {' '.join(names)} {JOINED}", "given": list(names),
            "plan": [f"letter of {name}" for name in names], "steps": steps, "careful": steps,
            "answer": " ".join(name[-1] for name in names)}  # fmt: skip
