"""Records with a question, a rationale and a label: as one text, and made of natural language inference."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record

RELATIONS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class Whole(Derived):
    """Question, rationale and label of a record as one "text": what a vocabulary is learned from.

    >>> from stagejax.data.reasoning.chains import Chains
    >>> Whole(Chains(clauses=(3,)))[1]["text"]
    'h = val 1 , n = val h , p = not n , ? n h 1 , n 1 1'
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        return {"text": " ".join(record[name] for name in ("question", "rationale", "label"))}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "whole")


@dataclass(frozen=True)
class Inferences(Derived):
    """e-SNLI: premise and hypothesis as a question, one of three words for a label, a person's reason for it.

    Args:
      source: records {"premise", "hypothesis", "label", "explanation_1"}, such as of the TFDS builder `esnli`.

    Reference: Camburu et al. 2018, https://arxiv.org/abs/1812.01193.
    """

    def __getitem__(self, index: int) -> Record:
        record = self.source[index]
        question = f"{record['premise']} </s> {record['hypothesis']}"
        return {"question": question, "rationale": record["explanation_1"], "label": RELATIONS[record["label"]]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "inferences")
