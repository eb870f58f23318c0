"""Whole words, few shots and prompts: exactness, and which tokens stand where."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import BPE, Bytes, Digits, Stdlib
from stagejax.data.selection.few_shot import Binarised, FewShot
from stagejax.data.tasks.labelled_text import relabel
from stagejax.data.tasks.templates import MaskedPrompts, PromptedTask, Template, prompted
from stagejax.data.tasks.text_tasks import synonym_tasks
from stagejax.data.tokenizers import MASK, PAD, codec
from stagejax.data.vocabulary.whole_words import WholeWords

TEXT = Stdlib(limit=100_000)
PAIR = Template("{0} {label} , {1}", ("No", "Yes"))
WORDS = WholeWords(Bytes(), (*PAIR.pieces, "Human", " great", " greater"))
DATA = PromptedTask(task=synonym_tasks()[2], template=PAIR, tokenizer=WORDS, learned_from=TEXT, batch=8, length=100)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([" great", "Human", " No", " ,", "greater", "é", " ", "_", "x", "1"]), max_size=12))
def test_text_comes_back_whatever_words_are_in_it(parts: list[str]) -> None:
    for tokenizer in (WORDS, replace(WORDS, tokenizer=BPE(300))):
        code = codec(tokenizer, TEXT)
        assert code.decode(code.encode(["".join(parts)])[0]) == "".join(parts)


def test_a_word_is_one_piece_where_nothing_goes_on() -> None:
    code, great = codec(WORDS, TEXT), WORDS.id(" great")
    found = {text: great in code.encode([text])[0] for text in (" great", "a great.", " greatest", "great", " great1")}
    assert found == {" great": True, "a great.": True, " greatest": False, "great": False, " great1": False}
    assert code.encode([" greater"])[0].tolist() == [WORDS.id(" greater")]
    with pytest.raises(ValueError, match="none of the whole words"):
        WORDS.id("great")
    with pytest.raises(ValueError, match="once"):
        WholeWords(Bytes(), ("a", "a"))


def test_few_shots_of_every_class_that_change_with_the_seed() -> None:
    one, other = FewShot(Digits(), 5, 1), FewShot(Digits(), 5, 2)
    for few in (one, other):
        assert np.bincount([record["label"] for record in few]).tolist() == [5] * 10
        assert len(set(few.places.tolist())) == 50
    assert set(one.places) != set(other.places)
    assert one.digest() != other.digest()
    assert len(FewShot(Digits(), 10_000)) == len(Digits())


def test_a_number_as_two_classes_with_nothing_between() -> None:
    both, clear = Binarised(Digits(), "label", 5.0), Binarised(Digits(), "label", 7.0, 2.0)
    assert [record["label"] for record in both] == [int(record["label"] >= 5) for record in Digits()]
    assert [record["label"] for record in clear] == [int(r["label"] >= 7) for r in Digits() if not 2 < r["label"] < 7]
    assert len(clear.of_split("test")) < len(Digits("test"))
    with pytest.raises(ValueError, match="not below"):
        Binarised(Digits(), "label", 2.0, 2.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [("{1} {label}", ("a", "b")), ("{0} {0}", ()), ("{0}", ("a", "b")), ("{0} {label}", ("a",)),
     ("{0} {label}", ("a", "a"))],
)  # fmt: skip
def test_templates_that_are_none(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="template"):
        Template(text, words)


def test_forms_of_a_template() -> None:
    assert PAIR.without_label() == Template("{0} , {1}")
    assert PAIR.bare() == Template("{0} {1}")
    assert PAIR.pieces == (" No", " Yes", " ,")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(6, 60))
def test_only_texts_are_cut(first: int, second: int, length: int) -> None:
    found = prompted(PAIR, WORDS, TEXT, [("a" * first, "b" * second)], length)
    row = found.tokens[0]
    assert (row == MASK).sum() == 1
    assert row[found.place[0]] == MASK
    assert (row == WORDS.id(" ,")).sum() == 1
    assert found.template[0].sum() == 2
    assert (row != PAD).sum() == min(length, first + second + 1 + 4)  # a space joins the second text


def test_prompts_that_leave_no_room() -> None:
    with pytest.raises(ValueError, match="raise `length`"):
        prompted(PAIR, WORDS, TEXT, [("a", "b")], 5)


def test_a_filled_prompt_reads_as_a_sentence_with_the_label_that_was_found() -> None:
    found = {"rows": np.arange(6), "label": np.array([1, 0, 1, 1, 0, 0]), "weight": np.ones(6)}
    told = relabel(DATA, SimpleNamespace(fingerprint="a", value=found))
    batch = MaskedPrompts(data=told, vocab=WORDS.vocab).take(np.arange(6))
    code, rows = codec(WORDS, TEXT), told.records(np.arange(6))
    for row, target in zip(rows, batch["targets"], strict=True):
        first, second = DATA.task.texts(int(row))
        word = ("No", "Yes")[found["label"][row]]
        assert code.decode(target) == f"{first} {word} , {second}"


def test_label_words_are_masked_as_any_other_token_and_nothing_else_changes() -> None:
    data = MaskedPrompts(data=DATA, vocab=WORDS.vocab, rate=0.3)
    batch = data.take(np.arange(400))
    labels = np.isin(batch["targets"], DATA.words) & (batch["template"] > 0)
    assert (labels.sum(1) == 1).all()
    assert 0.2 < batch["weights"][labels].mean() < 0.4
    same = batch["weights"] == 0
    np.testing.assert_array_equal(batch["tokens"][same], batch["targets"][same])
    assert not batch["weights"][~batch["mask"]].any()
    assert {name: leaf.shape[1:] for name, leaf in batch.items()} == {
        name: leaf.shape for name, leaf in data.sample_spec().items()
    }


def test_soft_words_are_ids_of_their_own_in_the_template_alone() -> None:
    hard, soft = DATA.take_records(np.arange(5)), replace(DATA, soft=True).take_records(np.arange(5))
    apart = len(WORDS.words)
    own = (hard["template"] > 0) & (hard["tokens"] != MASK)
    np.testing.assert_array_equal(soft["tokens"], hard["tokens"] + apart * own)
    np.testing.assert_array_equal(soft["words"], hard["words"] + apart)
    assert soft["words"].max() < WORDS.vocab + apart


def test_bare_texts_have_no_place_to_answer() -> None:
    bare = replace(DATA, template=PAIR.bare())
    assert not {"place", "words"} & set(bare.sample_spec())
    batch = MaskedPrompts(data=bare, vocab=WORDS.vocab).take(np.arange(3))
    assert not batch["template"].any()
    assert codec(WORDS, TEXT).decode(batch["targets"][0]) == " ".join(
        DATA.task.texts(int(bare.records(np.arange(1))[0]))
    )
