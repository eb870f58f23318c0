"""Own examples of a word task: which pairs are kept, and rows whose answers are not in their prompts."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flax import nnx

from stagejax.data.prompts.word_tasks import WordTask, word_task_tokenizer
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts import own_examples, word_answers
from stagejax.inference.prompts.own_examples import Given, Writing, answered, drawn_tokens, kept_pairs, pool, rows_of
from stagejax.inference.prompts.word_answers import asked
from stagejax.models import llama
from stagejax.result import Result

CODE = word_task_tokenizer()
TURN = Given(WordTask("plain", "reversed", "same"), (("a b c d", "d c b a"), ("b b c c", "c c b b")), ("k k l l",))
NAME = Given(WordTask("plain", "first", "hue"), (("a b c d", "red"), ("b b c c", "green")), ("k k l l",))
HOW = Writing(rounds=2, n=4, frequency=0.5)
NET = llama(vocab=CODE.vocab, embed=16, layers=1, heads=2, mlp=32, length=96, init_std=0.3)


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fresh network in the place of a trained one."""
    _, params, rest = nnx.split(NET.build(nnx.Rngs(0)), nnx.Param, ...)
    net = Frozen(NET, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))
    for module in (own_examples, word_answers):
        monkeypatch.setattr(module, "Frozen", SimpleNamespace(of=lambda result: net))
    return Result("base", "train", "", 1)


def test_words_are_kept_by_vote_length_and_marks() -> None:
    value = {
        "inputs": ["a a b b", "c c d d", "e e f f", "g g h h", "k k l l", "i = j k", "a b"],
        "kept": [True] * 5 + [False, True],
        "outputs": [
            ["b b a a", "b b a a", "a a b b", "a"],  # half: kept
            ["d d c c", "c d c d", "d c d c", "c c d d"],  # no output is frequent
            ["f f", "f f", "f f", "f f e e"],  # three are too short, one is left
            ["= h g g", "h h g g", "h h g g", "; h g g"],
            ["l l k k"] * 4,  # a word of the test
            ["k j = i"] * 4,
            ["b a"] * 4,
        ],
    }
    assert kept_pairs(HOW, TURN, value) == [("a a b b", "b b a a"), ("g g h h", "h h g g")]
    first = kept_pairs(HOW, TURN, value, vote=False)
    assert first == [("a a b b", "b b a a"), ("c c d d", "d d c c")]
    unfiltered = kept_pairs(HOW, TURN, value, filtered=False)
    assert [text for text, _ in unfiltered] == ["a a b b", "e e f f", "g g h h", "i = j k", "a b"]
    assert dict(unfiltered)["e e f f"] == "f f"


def test_labels_are_found_in_outputs_and_classes_are_cut_to_one_size() -> None:
    value = {
        "inputs": [f"{a} {b} c d" for a in "aeb" for b in "abc"] + ["d d d d"],
        "kept": [True] * 10,
        "outputs": [["red"] * 4] * 6 + [["so green", "green", "green", "green"]] * 3 + [["letter a"] * 4],
    }
    pairs = kept_pairs(HOW, NAME, value)
    assert Counter(label for _, label in pairs) == {"red": 3, "green": 3}


def test_filters_look_at_lengths_of_inputs_only_where_labels_are_said() -> None:
    assert TURN.usual_input("a b")
    assert not TURN.usual_output("a b")
    assert not NAME.usual_input("a b")
    assert NAME.usual_output("red red")
    assert not any(own.usual_input(text) for own in (TURN, NAME) for text in ("a b = d", "invent a b c", ""))


def test_rows_learn_outputs_alone_behind_all_demonstrations() -> None:
    rows = rows_of(TURN, [("e f g h", "h g f e"), ("a a a b", "b a a a")], 40)
    for tokens, targets, weights, (text, said) in zip(
        *(rows[name] for name in ("tokens", "targets", "weights")),
        [("e f g h", "h g f e"), ("a a a b", "b a a a")],
        strict=True,
    ):
        assert CODE.decode(targets[weights > 0]) == f"{said} ;"
        assert CODE.decode(tokens).startswith(TURN.prompt(text))
        assert np.array_equal(tokens[1:], targets[:-1])


def test_a_demonstration_is_learned_behind_the_others_and_not_behind_itself() -> None:
    rows = rows_of(TURN, [], 40)
    for tokens, weights, (text, said) in zip(rows["tokens"], rows["weights"], TURN.shown, strict=True):
        prompt = CODE.decode(tokens[: int(weights.argmax()) + 1])
        assert prompt.count(text) == 1
        assert said not in prompt
        assert prompt.endswith(f"{text} =")


@pytest.mark.slow  # it compiles what draws inputs and outputs
@pytest.mark.parametrize("given", [TURN, NAME])
def test_a_pool_has_outputs_to_all_inputs_and_is_answered_for_another_task(base: Any, given: Given) -> None:
    made = pool(base, HOW, given, told=True)
    assert len(made["inputs"]) == len(made["kept"]) == len(made["labels"]) == len(made["outputs"]) > 5
    assert all(len(own) == HOW.n for own in made["outputs"])
    assert made["kept"] == [given.usual_input(text) for text in made["inputs"]]
    assert set(made["labels"]) <= {*given.task.labels, ""}
    assert bool(given.task.labels) == any(made["labels"])
    made["kept"] = [place < 3 for place in range(len(made["inputs"]))]
    other = answered(base, HOW, NAME, Result("other", "make", "", 1, value=made))
    assert other["inputs"] == made["inputs"][:3]
    assert 3 * HOW.n <= drawn_tokens(other) < drawn_tokens(made)


def test_ways_of_asking_are_scored_by_the_true_answers(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[str] = []

    def said(net: Any, code: Any, asked: list[str], drawing: Any, seed: int) -> list[list[str]]:
        prompts.extend(asked)
        return [["red"] * (drawing.n - 1) + ["green"] if drawing.n > 1 else ["green"] for _ in asked]

    monkeypatch.setattr(word_answers, "drawn", said)
    own = Given(NAME.task, NAME.shown, ("a b c d", "e b c d", "b b c d", "c b c d"))
    found = asked(base, HOW, [own])
    assert found[word_answers.ICL] == found[word_answers.BARE] == [0.25]
    assert found[word_answers.VOTE] == found[word_answers.COMMON] == [0.5]
    turned = [prompt for prompt in prompts if "green ; a b c d = red ;" in prompt]
    assert len(turned) == 4
    assert sum(prompt.count("=") == 1 for prompt in prompts) == 4  # without demonstrations
