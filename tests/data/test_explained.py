"""Records with reasons: inferences as questions with a word for a label, and all that is said as one text."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data import Source
from stagejax.data.tasks.explained import Inferences, Whole


@dataclass(frozen=True)
class Told(Source):
    """A record of each relation."""

    split: str = "train"

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, object]:
        sentences = {"premise": "A dog runs .", "hypothesis": f"It is {index} ."}
        return sentences | {"label": index, "explanation_1": f"because {index}", "explanation_2": "of the test alone"}

    def digest(self) -> str:
        return "told"


def test_inferences_are_questions_with_a_word_for_a_label_and_the_first_explanation() -> None:
    own = Inferences(Told())
    assert [record["question"] for record in own] == [f"A dog runs . </s> It is {k} ." for k in range(3)]
    assert [record["label"] for record in own] == ["entailment", "neutral", "contradiction"]
    assert [record["rationale"] for record in own] == [f"because {k}" for k in range(3)]
    assert own.digest() != Whole(own).digest() != Whole(Told()).digest()


def test_a_vocabulary_is_learned_from_all_that_is_said() -> None:
    assert Whole(Inferences(Told()))[1]["text"] == "A dog runs . </s> It is 1 . because 1 neutral"
