"""Dialogues as pairs of what was said before and what is answered, one for each turn but the first."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record

#: Behind every context.
ANSWERS = "\n"


@dataclass(frozen=True)
class Exchanges(Derived):
    """Records {"question", "solution", "dialogue"}: the last turns before a turn, and the turn; for `Answers`.

    The context is its turns with spaces between them, cut from the left, and `ANSWERS` behind it; the response is cut
    from the right. Dialogues of fewer than two turns give none.

    Args:
      source: records {"turns": [{"text": ...}, ...]}.
      turns: of a context at most; None: all that came before.
      context, response: characters at most; the context's with `ANSWERS`.

    >>> from stagejax.data.dialogue.drawn_dialogues import DrawnDialogues
    >>> source = DrawnDialogues("park", 2)
    >>> pairs = Exchanges(source, turns=1, context=6, response=4)
    >>> turns = [turn["text"] for turn in source[0]["turns"]]
    >>> pairs[0]["question"] == turns[0][-5:] + "\\n", pairs[0]["solution"] == turns[1][:4]
    (True, True)
    """

    turns: int | None = 2
    context: int = 64
    response: int = 32

    def __post_init__(self) -> None:
        if self.context < 2 or self.response < 1 or (self.turns is not None and self.turns < 1):
            raise ValueError(
                f"turns={self.turns}, context={self.context}, response={self.response}: at least 1, 2 and 1"
            )

    def __len__(self) -> int:
        return len(_places(self))

    def __getitem__(self, index: int) -> Record:
        dialogue, turn = _places(self)[index]
        texts = [own["text"] for own in self.source[dialogue]["turns"][: turn + 1]]
        before = texts[:-1] if self.turns is None else texts[max(0, turn - self.turns) : -1]
        context = " ".join(before)[-(self.context - len(ANSWERS)) :] + ANSWERS
        return {"question": context, "solution": texts[-1][: self.response], "dialogue": dialogue}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.turns} {self.context} {self.response}")


@functools.lru_cache(maxsize=64)
def _places(own: Exchanges) -> tuple[tuple[int, int], ...]:
    """The dialogue and the turn of every record."""
    return tuple((i, turn) for i in range(len(own.source)) for turn in range(1, len(own.source[i]["turns"])))
