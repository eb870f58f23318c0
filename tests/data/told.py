"""A source whose texts are given: for tests of what is made of documents."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source


@dataclass(frozen=True)
class Told(Source):
    """Records {"text"} of the given texts, in every split."""

    told: tuple[str, ...]
    split: str = "train"

    def __len__(self) -> int:
        return len(self.told)

    def __getitem__(self, index: int) -> Record:
        return {"text": self.told[index]}

    def digest(self) -> str:
        return joint_digest(*self.told)
