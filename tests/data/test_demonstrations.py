"""Questions behind demonstrations: what is read and said, what is refused; texts with spans to fill in; halves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stagejax.data import Bytes, Source, Stdlib, codec
from stagejax.data.language.infilling import InfilledText, Infilling
from stagejax.data.prompts.question_suites import drawn_questions, part_of
from stagejax.data.prompts.question_tasks import Asked, AskedOfTables, Operations
from stagejax.data.retrieval.demonstrations import Demonstrated, InTemplate, behind, inputs_of, pieces_of, reader
from stagejax.data.retrieval.halves import Halves
from stagejax.data.tasks.text_tasks import synonym_tasks
from stagejax.data.together import Together
from stagejax.data.tokenizers import CLS, MASK, SEP


@dataclass(frozen=True)
class Facts(Source):
    """What has which colour; record 2 asks what record 0 asks, with other spaces."""

    split: str = "train"
    colours: tuple[str, ...] = ("red", "green", "red", "blue")

    def __len__(self) -> int:
        return len(self.colours)

    def __getitem__(self, index: int) -> Any:
        thing = ("a  fox", "a leaf", "a fox", "the sea")[index % 4]
        return {"question": "which?", "context": thing, "answer": self.colours[index]}

    def digest(self) -> str:
        return f"{self.split}{self.colours}"


PLAIN = Demonstrated(source=Facts(), tokenizer=Bytes(), learned_from=Stdlib(), batch=2, shown=52, asked=50, said=34)
FOUND = {"places": np.array([[1, 3], [0, 3], [3, 1], [0, 1]]), "scores": np.arange(8, dtype=np.float32).reshape(4, 2)}
BOTH = behind(PLAIN, Facts(), SimpleNamespace(fingerprint="a1", value=FOUND), 2)
ROWS = np.arange(4)


def text(ids: Any) -> str:
    """With marks for special tokens."""
    names = {CLS: "[C]", SEP: "[S]", MASK: "[M]", 0: ""}
    return "".join(names.get(int(i)) or Bytes().decode([i]) for i in ids)


def test_a_question_has_a_mask_for_its_answer_and_each_demonstration_stands_alone_before_it() -> None:
    batch, asked = BOTH.take_records(ROWS), "question: which?\nanswer:[M]\ncontext: a leaf"
    shown = [
        f"question: which?\nanswer: {colour}\ncontext: {thing}"
        for colour, thing in (("red", "a  fox"), ("blue", "the sea"))
    ]
    assert [text(row) for row in batch["inputs"][1]] == [f"[C]{own}[S]{asked}" for own in shown]
    assert (batch["mask"] == (batch["inputs"] > 0)).all()
    assert batch["scores"].tolist() == FOUND["scores"].tolist()
    assert text(PLAIN.take_records(ROWS)["inputs"][1, 0]) == f"[C]{asked}"


def test_a_batch_encodes_its_own_records_only() -> None:
    @dataclass(frozen=True)
    class Long(Facts):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index if index < 2 else 1 // 0)  # later ones cannot be read

    data = replace(PLAIN, source=Long())
    assert np.array_equal(data.take_records(ROWS[:2])["inputs"], PLAIN.take_records(ROWS[:2])["inputs"])
    whole, one = pieces_of(Facts(), Bytes(), Stdlib()), reader(Facts(), Bytes(), Stdlib())
    assert [own.shown() for own in whole] == [one(row).shown() for row in ROWS]


def test_the_decoder_repeats_the_question_and_fills_in_the_answer() -> None:
    batch = PLAIN.take_records(ROWS)
    assert text(batch["targets"][1]) == "question: which?\nanswer: green[S]"
    assert text(batch["tokens"][1]) == "[C]question: which?\nanswer: green"
    assert text(batch["targets"][1][batch["answers"][1] > 0]) == " green[S]"
    assert ((batch["targets"] > 0) == (batch["weights"] > 0)).all()


def test_what_is_asked_never_holds_the_answer() -> None:
    """Only the answer differs, so all that the encoder reads without demonstrations is the same."""
    other = replace(PLAIN, source=Facts(colours=("blue", "red", "green", "green")))
    np.testing.assert_array_equal(PLAIN.take_records(ROWS)["inputs"], other.take_records(ROWS)["inputs"])
    assert inputs_of(Facts()).tolist() == inputs_of(other.source).tolist()
    assert len({*inputs_of(Facts()).tolist()}) == 3


@pytest.mark.parametrize("place", [0, 2])
def test_a_record_is_not_shown_to_itself_nor_is_its_copy(place: int) -> None:
    places = FOUND["places"].copy()
    places[0, 1] = place
    with pytest.raises(ValueError, match="itself, or a copy of it"):
        replace(BOTH, found={**FOUND, "places": places}).take_records(ROWS)


def test_an_artifact_has_the_demonstrations_of_every_record() -> None:
    with pytest.raises(ValueError, match="holds nothing as places and scores"):
        replace(BOTH, found=None).take_records(ROWS)
    with pytest.raises(ValueError, match=r"holds places \[4, 2\], scores \[4, 2\] as .* \[4, 3\] are needed"):
        replace(BOTH, demonstrations=3).take_records(ROWS)
    with pytest.raises(TypeError, match="an artifact of theirs"):
        BOTH.held_out(2)
    with pytest.raises(ValueError, match=r"record 0 .* raise `said`=20"):
        replace(PLAIN, said=20).take_records(ROWS)


def test_contexts_are_cut_and_answers_are_not() -> None:
    batch = replace(BOTH, shown=40, asked=40).take_records(ROWS)
    assert text(batch["inputs"][1, 0]).startswith("[C]question: which?\nanswer: red\ncontext: a [S]question")
    assert batch["inputs"].shape == (4, 2, 82)
    assert replace(BOTH, shown=40, asked=40).inputs == 82
    assert (BOTH.tokens, PLAIN.tokens) == (2 * 2 * (104 + 34), 2 * (51 + 34))


def test_samples_follow_their_number_and_a_spec_reads_nothing() -> None:
    spec, batch = BOTH.sample_spec(), BOTH.take(np.arange(8))
    assert {name: (x.shape, x.dtype) for name, x in spec.items()} == {
        n: (x.shape[1:], x.dtype) for n, x in batch.items()
    }
    np.testing.assert_array_equal(BOTH.take(np.array([5]))["inputs"][0], batch["inputs"][5])
    assert sorted(BOTH.records(np.arange(4)).tolist()) == [0, 1, 2, 3]
    assert replace(BOTH, of="b2").digest() != BOTH.digest() != PLAIN.digest()


def test_tasks_as_questions() -> None:
    same = synonym_tasks(40)[2]
    with pytest.raises(ValueError, match="same has 2 classes"):
        Asked(same, "alike?", ("no",))
    with pytest.raises(ValueError, match="a name for each"):
        Asked(same, "alike?", ("no", "no"))
    task = Asked(same, "alike?", ("no", "yes"))
    for index in range(40):
        assert task[index]["answer"] == ("no", "yes")[same.source[index]["same"]]
    suite = drawn_questions(40)
    tables = suite.others[1]
    assert isinstance(tables, AskedOfTables)
    assert all(record["answer"] in record["context"] for record in (tables[i] for i in range(len(tables))))
    few, rest = part_of(suite.targets[0], 0, 0.25), part_of(suite.targets[0], 0.25)
    assert (len(few), len(rest)) == (10, 30)
    assert InTemplate(suite.targets[0])[0]["text"].startswith("question: who?\nanswer: ")
    assert len(inputs_of(Together((few, rest)))) == 40


@dataclass(frozen=True)
class Problems(Facts):
    def __getitem__(self, index: int) -> Any:
        equation = ("+ number0 number1", "* number0 number1", "- + number0 number1 4", "/ 4 number0")[index]
        return {"question_masked": f"problem {index}", "equation": equation}


def test_operations_are_those_of_problems_of_one_step() -> None:
    found = Operations(Problems())
    assert [(own["text"][-1], own["label"]) for own in (found[i] for i in range(len(found)))] == [
        ("0", 0),
        ("1", 2),
        ("3", 3),
    ]


# --- texts without labels ---


def test_spans_are_masked_one_mask_each_and_the_rest_stays_in_order() -> None:
    ids, spans = np.arange(4, 204, dtype=np.int32), []
    for seed in range(50):
        masked = Infilling()(ids, np.random.default_rng(seed))
        kept = masked[masked != MASK]
        assert len(kept) == 140
        assert (np.diff(kept) > 0).all()
        spans.append((masked == MASK).sum())
    assert 17 < np.mean(spans) < 23  # 60 tokens in spans of 3
    with pytest.raises(ValueError, match="a share below 1"):
        Infilling(rate=1.0)


def test_the_whole_text_is_restored_from_what_is_left_of_it() -> None:
    data = InfilledText(source=Stdlib(limit=100_000), tokenizer=Bytes(), learned_from=Stdlib(), batch=4, length=40)
    batch = data.take(np.arange(4))
    for row, record in enumerate(data.records(np.arange(4))):
        whole = codec(Bytes(), Stdlib()).encode([data.source[int(record)]["text"]])[0][:40]
        assert batch["targets"][row].tolist() == [*whole, SEP]
        assert batch["tokens"][row].tolist() == [CLS, *whole]
        assert batch["inputs"][row, 0] == CLS
    assert not np.array_equal(data.take(np.arange(data.size(), data.size() + 4))["inputs"], batch["inputs"])
    np.testing.assert_array_equal(data.take(np.array([2]))["inputs"][0], batch["inputs"][2])


def test_halves_are_those_of_one_text_in_either_order() -> None:
    data = Halves(source=Facts2(), tokenizer=Bytes(), learned_from=Facts2(), batch=4, length=40)
    batch, firsts = data.take(np.arange(64)), 0
    for row, record in enumerate(data.records(np.arange(64))):
        query, item = (Bytes().decode(ids) for ids in (batch["query"][row], batch["items"][row, 0]))
        whole = Facts2()[int(record)]["text"]
        assert whole in (query + item, item + query)
        assert len(whole) // 3 - 1 <= len(query) <= 2 * len(whole) // 3 + 1
        firsts += whole == query + item
    assert 16 < firsts < 48
    assert (batch["query"][:, 0] == CLS).all()
    assert data.spec()["items"].shape == (4, 1, 40)


@dataclass(frozen=True)
class Facts2(Facts):
    def __getitem__(self, index: int) -> Any:
        return {"text": f"{index} is a number that comes behind {index - 1}"[: 20 + 5 * index]}
