"""Records that are stored as text: nested ones, which a table of arrays would take apart."""

from __future__ import annotations

import json
from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record


@dataclass(frozen=True)
class FromJson(Derived):
    """What one field of each record of a source says in JSON.

    >>> from stagejax.data import TFDS
    >>> FromJson(TFDS("dialogues/film", split="test")).source.name
    'dialogues/film'
    """

    field: str = "json"

    def __getitem__(self, index: int) -> Record:
        return json.loads(self.source[index][self.field])

    def digest(self) -> str:
        return joint_digest(self.source.digest(), self.field)
