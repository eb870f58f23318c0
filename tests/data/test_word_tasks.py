"""Word tasks: answers by the rules of their parts, words of their kinds, prompts that rows of pre-training are of."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from stagejax.data.prompts.word_tasks import (
    END,
    KINDS,
    LETTERS,
    ORDERS,
    OUTPUT,
    PLACES,
    QUALITIES,
    WordTask,
    WordTaskPrompts,
    WordTaskRows,
    all_rules,
    prompt_for_answer,
    prompt_for_input,
    word_task_tokenizer,
)

CODE = word_task_tokenizer()


@pytest.mark.parametrize(
    ("order", "lettering", "said"),
    [
        ("reversed", "same", "l c b a"),
        ("rotated", "next", "c d a b"),
        ("swapped", "opposite", "k l a j"),
        ("crossed", "capital", "C L A B"),
        ("unchanged", "opposite", "l k j a"),
    ],
)
def test_a_word_is_changed_by_both_parts(order: str, lettering: str, said: str) -> None:
    assert WordTask("plain", order, lettering).answer("a b c l") == said


def test_letters_are_named_and_every_name_is_that_of_some_letter() -> None:
    for place, quality in itertools.product(PLACES, QUALITIES):
        task = WordTask("plain", place, quality)
        assert {task.answer(" ".join([letter] * 4)) for letter in LETTERS} == set(task.labels)
    assert WordTask("plain", "third", "hue").answer("b b a b") == "red"


@pytest.mark.parametrize("text", ["a b c", "a b c d e", "a b c =", "", "A B C D"])
def test_what_is_no_word_has_no_answer_and_is_of_no_kind(text: str) -> None:
    task = WordTask("plain", "reversed", "next")
    assert task.answer(text) is None
    assert not task.fits(text)
    with pytest.raises(ValueError, match="is no word of 4 letters"):
        WordTaskPrompts(task, (), (text,))[0]


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_words_are_of_their_kind(kind: str) -> None:
    task = WordTask(kind, "reversed", "next")
    words = task.drawn(200, np.random.default_rng(0))
    assert all(task.fits(word) for word in words)
    assert len(set(words)) > 100
    assert task.fits("a b b l") == (kind in ("plain", "twin"))


@pytest.mark.parametrize(
    "parts", [("odd", "reversed", "next"), ("plain", "reversed", "hue"), ("plain", "last", "next")]
)
def test_parts_that_are_no_rule_are_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="give a kind of"):
        WordTask(*parts)


def test_gold_is_the_answer_and_its_end() -> None:
    source = WordTaskPrompts(WordTask("late", "crossed", "capital"), (("g h i j", "I J G H"),), ("l k j i",))
    record = source[0]
    assert record["question"] == "turn one late word crossed into capital letters ; g h i j = I J G H ; l k j i ="
    assert CODE.decode([record[name] for name in source.gold]) == f"{record['solution']} {END}"
    assert source.digest() != replace(source, words=("l k j j",)).digest()


def test_rows_are_the_prompts_that_are_asked_later() -> None:
    rules = (("reversed", "next"), ("last", "hue"))
    data = WordTaskRows(rules=rules, batch=4, length=64, answered=0.5)
    batch, forms = data.take(np.arange(200)), Counter()
    for tokens, targets, weights in zip(batch["tokens"], batch["targets"], batch["weights"], strict=True):
        words = CODE.decode([*tokens, targets[-1]]).split()
        learned = CODE.decode(targets[weights > 0]).split()
        head, *examples = " ".join(words).split(f" {END}")[:-1]
        parts = head.removeprefix("invent ").split()
        kind = next(own for own in KINDS if own in parts)
        task = WordTask(kind, *next(rule for rule in rules if set(rule) <= set(parts)))
        pairs = [[side.strip() for side in example.split(OUTPUT)] for example in examples]
        if not head.startswith("invent"):
            forms["answers"] += 1
            said = prompt_for_answer(task, [(one, two) for one, two in pairs[:-1]], pairs[-1][0])
            assert all(task.answer(word) == output and task.fits(word) for word, output in pairs)
            assert learned == " ".join(f"{output} {END}" for _, output in pairs).split()
        elif len(pairs[0]) == 1:
            forms["inputs"] += 1
            said = prompt_for_input(task, [word for (word,) in pairs[:-1]])
            assert learned == " ".join(f"{word} {END}" for (word,) in pairs).split()
        else:
            forms["inputs behind labels"] += 1
            labels, shown = [label for label, _ in pairs], [word for _, word in pairs]
            said = prompt_for_input(task, shown[:-1], labels[:-1], labels[-1])
            assert all(task.answer(word) == label for label, word in pairs)
            assert learned == " ".join(f"{word} {END}" for word in shown).split()
        assert " ".join(words).startswith(said)
    assert len(forms) == 3
    assert min(forms.values()) > 15


def test_a_row_is_a_function_of_its_number() -> None:
    data = WordTaskRows(rules=all_rules(), batch=4, length=40)
    both, later = data.take(np.array([3, 9])), data.take(np.array([9]))
    assert all(np.array_equal(both[name][1], later[name][0]) for name in both)
    assert not np.array_equal(replace(data, seed=1).take(np.array([9]))["tokens"], later["tokens"])
    assert {name: (leaf.shape[1:], leaf.dtype) for name, leaf in both.items()} == {
        name: (leaf.shape, leaf.dtype) for name, leaf in data.sample_spec().items()
    }


def test_all_rules_are_different_in_what_they_do() -> None:
    words = WordTask("plain", "reversed", "same").drawn(40, np.random.default_rng(1))
    done = {tuple(WordTask("plain", *rule).answer(word) for word in words) for rule in all_rules()}
    assert len(done) == len(all_rules()) == 31
    assert all(sorted(order) == [0, 1, 2, 3] for order in ORDERS.values())
