"""Competitive distillation: a teacher answers, student and teacher are compared, and what is asked next is like what
the student answered worse.

The pool of instructions is a chain of artifacts, one a round; the number of an instruction counts through all of them.
How they are written, `Form` among it, is in `picture_answers`.

Letters: N instructions of the pool, A tokens of an answer with SEP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from stagejax.data.multimodal.scene_instructions import TYPES, Augmentor, Pictures, drawn
from stagejax.inference.frozen import Frozen, apply
from stagejax.inference.pictures.picture_answers import (
    Arrays,
    Form,
    answered,
    instructions,
    log_likelihood,
    rows_of,
    written,
)
from stagejax.result import Result

JUDGE, ORACLE = "judge", "oracle"
LOOP = ("teacher right", "assessors agree", "same picture", "rejected")


def assessed(student: Result, teacher: Result, seen: Result, form: Form, batch: int, *pool: Result) -> Arrays:
    """Both assessors' scores of student and teacher on all instructions of a pool.

    Args:
      pool: for every round its instructions, then the teacher's answers.

    Returns:
      "answer" (N, A) of the student; `JUDGE` (N,), s_T - s_S with s = log p_T(answer), nats; `ORACLE` (N,), the same
      with s = 1 where the verifier finds the answer right; "teacher" and "student" (N,), whether they are.
    """
    asked, told = joined(pool[::2]), np.concatenate([own.value["answer"] for own in pool[1::2]])
    image, judge = seen.value["image"], Frozen.of(teacher)
    said = answered(Frozen.of(student), image, asked, form, batch)
    scores = [apply(log_likelihood, judge, rows_of(asked, own, image, form), batch) for own in (told, said)]
    right = [(own == asked["truth"]).all(1) for own in (told, said)]
    gaps = {JUDGE: scores[0] - scores[1], ORACLE: right[0].astype(np.float32) - right[1]}
    return {"answer": said, "teacher": right[0], "student": right[1], "type": asked["type"]} | gaps


def joined(parts: Sequence[Result]) -> Arrays:
    """All rounds of a pool as one."""
    names = ("picture", "type", "question", "truth", "parent")
    return {name: np.concatenate([part.value[name] for part in parts]) for name in names}


@dataclass(frozen=True)
class Split:
    """Which instructions are difficult, and how many of the new ones are to be like them.

    Args:
      assessor: `JUDGE` or `ORACLE`.
      threshold: τ.
      share: of the new instructions whose parents are difficult; the others have easy ones.

    Reference: Jiang et al. 2023 (Lion), https://arxiv.org/abs/2305.12870, section 3.3: τ = 1 and 1:1.
    """

    assessor: str = JUDGE
    threshold: float = 1.0
    share: float = 0.5

    def hard(self, found: Mapping[str, np.ndarray]) -> Bool[np.ndarray, " N"]:
        """H = {i: s_T(i) - s_S(i) >= τ} of what `assessed` found.

        >>> Split().hard({"judge": np.array([0.2, 3.0])}).tolist()
        [False, True]
        """
        return found[self.assessor] >= self.threshold

    def counts(self, hard: Bool[np.ndarray, " N"], count: int) -> tuple[int, int]:
        """How many of the new ones are like difficult and like easy ones; all like the others where there are none.

        >>> Split().counts(np.array([True, False]), 5), Split().counts(np.array([False]), 5)
        ((2, 3), (0, 5))
        """
        share = self.share if hard.any() and not hard.all() else float(hard.any())
        return round(share * count), count - round(share * count)


def augmented(
    how: Augmentor, pictures: Pictures, form: Form, count: int, seed: int, split: Split | None, *found: Result
) -> Arrays:
    """New instructions for the next round, none a near-duplicate of the pool.

    Args:
      split: of the pool's instructions; None: any may be a parent.
      found: with a split what `assessed` found of the pool; then the instructions of every round.

    Returns:
      As `written`; "hard" (N,), whether the parent is difficult; "rejected" (1,), near-duplicates that were not taken.
    """
    pool = found if split is None else found[1:]
    existing = instructions(joined(pool), form)
    hard = np.zeros(len(existing), bool) if split is None else split.hard(found[0].value)
    wanted = (split or Split()).counts(hard, count)
    rng, new, parents, rejected = np.random.default_rng([seed, len(pool)]), [], [], 0
    for among, number in zip((hard, ~hard), wanted, strict=True):
        if number:
            places = np.flatnonzero(among)
            made, origin, more = how(pictures, [existing[at] for at in places], [*existing, *new], number, rng)
            new, parents, rejected = [*new, *made], [*parents, *places[origin].tolist()], rejected + more
    return written(new, pictures, form, parents, hard=hard[parents], rejected=np.array([rejected]))


def of_types(pictures: Pictures, form: Form, like: Result, seed: int, *pool: Result) -> Arrays:
    """As many new instructions of each type as another artifact has, drawn at random and not from parents.

    Those of the pool may be drawn again, which is rare; no two of the new ones are the same.
    """
    return written(drawn(pictures, [TYPES[type] for type in like.value["type"]], seed + 7 * len(pool)), pictures, form)


def guessed(known: Arrays, test: Arrays) -> Bool[np.ndarray, " N"]:
    """Which test instructions are answered right by the most frequent true answer of their type among known ones.

    >>> known = {"type": np.array([0, 0, 0]), "truth": np.array([[7], [8], [8]])}
    >>> guessed(known, {"type": np.array([0, 0]), "truth": np.array([[8], [7]])}).tolist()
    [True, False]
    """
    right = np.zeros(len(test["type"]), bool)
    for own in set(known["type"].tolist()):
        answers, counts = np.unique(known["truth"][known["type"] == own], axis=0, return_counts=True)
        right |= (test["type"] == own) & (test["truth"] == answers[counts.argmax()]).all(1)
    return right


def percent(values: np.ndarray, types: np.ndarray, type: str = "") -> float:
    """The mean over instructions of one type, or of all, times 100.

    >>> percent(np.array([True, False, True]), np.array([0, 1, 0]), TYPES[1])
    0.0
    """
    return 100 * float(values[types == TYPES.index(type) if type else slice(None)].mean())


@dataclass(frozen=True)
class Pool:
    """The instructions of all rounds with what was found of them: artifacts, which say of each its round and parent.

    Its numbers are in %, of one type or of all, and NaN in a plan.

    Args:
      asked: instructions, one artifact a round.
      judged: of `assessed`, after every round but the last; none where there is no assessor.
      right: of `checked` on test instructions, after every round.
      split: what is difficult.
    """

    asked: tuple[Result, ...]
    judged: tuple[Result, ...]
    right: tuple[Result, ...]
    split: Split = Split()

    def accuracy(self, test: Arrays | None, type: str = "", after: int = -1) -> float:
        """Right answers to test instructions after a round."""
        return percent(self.right[after].value["right"], test["type"], type) if test else float("nan")

    def hard(self, number: int, type: str = "") -> float:
        """The share of H at an assessment; NaN without one."""
        found = self.judged[number].value if self.judged else None
        return percent(self.split.hard(found), found["type"], type) if found else float("nan")

    def share(self, number: int, type: str) -> float:
        """Of a type, among the instructions of a round."""
        found = self.asked[number].value
        return 100 * float((found["type"] == TYPES.index(type)).mean()) if found else float("nan")

    def looped(self) -> dict[str, float]:
        """How the rounds went, by the names of `LOOP`.

        Of the pool at the last assessment, right answers of the teacher, and instructions that both assessors find
        difficult or both easy; of the new instructions, those about their parent's picture; near-duplicates among all
        that were written.
        """
        asked, last = [own.value for own in self.asked], self.judged[-1].value if self.judged else None
        if not last:
            return dict.fromkeys(LOOP, float("nan"))
        judge, oracle = (Split(name, self.split.threshold).hard(last) for name in (JUDGE, ORACLE))
        pictures = np.concatenate([own["picture"] for own in asked])
        same = np.concatenate([own["picture"] == pictures[own["parent"]] for own in asked[1:]])
        rejected = sum(int(own["rejected"][0]) for own in asked[1:])
        values = (last["teacher"].mean(), (judge == oracle).mean(), same.mean(), rejected / (rejected + len(same)))
        return {name: 100 * float(value) for name, value in zip(LOOP, values, strict=True)}
