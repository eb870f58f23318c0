"""Exchanges: every turn but the first is answered once, behind the turns before it and behind none that follow."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from stagejax.data.dialogue.drawn_dialogues import NOUNS, SPLITS, DrawnDialogues
from stagejax.data.dialogue.exchanges import ANSWERS, Exchanges
from stagejax.data.from_json import FromJson
from stagejax.data.sources import Record, Source

DRAWN = DrawnDialogues("film", 3)


@dataclass(frozen=True)
class Stored(Source):
    """Dialogues as JSON text."""

    split: str = "train"
    dialogues: tuple[tuple[str, ...], ...] = (("a", "b", "c"), ("alone",), ("d", "e"))

    def __len__(self) -> int:
        return len(self.dialogues)

    def __getitem__(self, index: int) -> Record:
        return {"json": json.dumps({"turns": [{"text": text} for text in self.dialogues[index]]})}

    def digest(self) -> str:
        return str(self)


def test_every_turn_but_the_first_is_answered_behind_those_before_it() -> None:
    every = Exchanges(DRAWN, turns=None, context=10_000, response=10_000)
    assert len(every) == 3 * 6
    for index in range(len(every)):
        dialogue, turn = divmod(index, 6)
        texts = [own["text"] for own in DRAWN[dialogue]["turns"]]
        expected = {
            "question": " ".join(texts[: turn + 1]) + ANSWERS,
            "solution": texts[turn + 1],
            "dialogue": dialogue,
        }
        assert every[index] == expected
        two = replace(every, turns=2)[index]
        assert two["question"] == " ".join(texts[max(0, turn - 1) : turn + 1]) + ANSWERS


def test_contexts_are_cut_from_the_left_and_responses_from_the_right() -> None:
    every, cut = Exchanges(DRAWN, context=10_000, response=10_000), Exchanges(DRAWN, context=9, response=5)
    for index in range(len(every)):
        assert cut[index]["question"] == every[index]["question"][-9:]
        assert cut[index]["solution"] == every[index]["solution"][:5]
    for fields in ({"turns": 0}, {"context": 1}, {"response": 0}):
        with pytest.raises(ValueError, match="at least 1, 2 and 1"):
            Exchanges(DRAWN, **fields)


def test_a_dialogue_of_one_turn_has_no_exchange() -> None:
    pairs = Exchanges(FromJson(Stored()), turns=1)
    assert [(pairs[i]["question"], pairs[i]["solution"]) for i in range(len(pairs))] == [
        ("a\n", "b"), ("b\n", "c"), ("d\n", "e"),
    ]  # fmt: skip
    assert pairs.of_split("test").source.source.split == "test"


def test_made_up_dialogues_say_the_same_and_name_nothing_of_another_split() -> None:
    names = {}
    for split in SPLITS:
        drawn = DrawnDialogues("park", 50, split)
        facts = [fact for i in range(50) for turn in drawn[i]["turns"] for fact in turn["facts"]]
        names[split] = {name for fact in facts for name in (fact[0], fact[2]) if name.isalpha()}
        for i in range(50):
            for turn in drawn[i]["turns"]:
                assert all(value in turn["text"] for _, _, value in turn["facts"])
    assert (
        not names["train"] & names["test"] | names["train"] & names["validation"] | names["test"] & names["validation"]
    )
    nouns = {
        own: {w for i in range(30) for t in DrawnDialogues(own, 30)[i]["turns"] for w in t["text"].split()}
        for own in NOUNS
    }
    assert all((set(NOUNS[a]) <= nouns[b]) == (a == b) for a in NOUNS for b in NOUNS)
    for fields in ({"domain": "news"}, {"domain": "park", "split": "dev"}):
        with pytest.raises(ValueError, match="choose of"):
            DrawnDialogues(count=1, **fields)
