"""One field of the records of a source, as text: a language of a parallel corpus, the words of tagged sentences."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record


@dataclass(frozen=True)
class FieldText(Derived):
    """Records {"text"} of one field of a source: its text, or its list of words with spaces between them.

    >>> from stagejax.data.tasks.tagged import DrawnSentences
    >>> FieldText(DrawnSentences(3), "form")[0]["text"][:13]
    'w38 w1el w197'
    """

    field: str

    def __getitem__(self, index: int) -> Record:
        found = self.source[index][self.field]
        return {"text": found if isinstance(found, str) else " ".join(found)}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.field)
