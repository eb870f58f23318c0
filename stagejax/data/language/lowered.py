"""Text in lower case."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record


@dataclass(frozen=True)
class Lowered(Derived):
    """Records {"text"} of the text of a source in lower case.

    >>> from stagejax.data import Stdlib
    >>> source = Stdlib(limit=100_000)
    >>> Lowered(source)[0]["text"] == source[0]["text"].lower()
    True
    """

    def __getitem__(self, index: int) -> Record:
        return {"text": self.source[index]["text"].lower()}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "lower")
