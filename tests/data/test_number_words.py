"""Number words: answers are right, each continuation has every word of its list, rows put marks where a list was."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stagejax.data import CLS, MASK, SEP
from stagejax.data.prompts.number_words import (
    ENGLISH,
    INSTRUCTIONS,
    LIKELY,
    NumberTasks,
    NumberTexts,
    answered,
    asked,
    continuation,
    drawn_way,
    spelled,
    spoken_prompt,
    spoken_rows,
    vocabulary,
)

LISTS = st.lists(st.integers(0, 9), min_size=1, max_size=6)


@given(LISTS, st.data())
def test_every_word_of_a_list_is_in_each_of_its_continuations(numbers: list[int], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(numbers) - 1))
    other = [*numbers]
    other[place] = (other[place] + data.draw(st.integers(1, 9))) % 10
    for way in range(3):
        assert continuation(numbers, way) != continuation(other, way)


def test_a_first_number_makes_one_way_likely() -> None:
    for first in range(10):
        ways = np.bincount([drawn_way([first, 0], u) for u in np.linspace(0, 1, 1000, endpoint=False)]) / 1000
        np.testing.assert_allclose(np.sort(ways), [0.2, 0.2, LIKELY], atol=2e-3)
        assert ways.argmax() == first % 3


@given(LISTS)
def test_answers_are_right(numbers: list[int]) -> None:
    back = {word: i for i, word in enumerate(ENGLISH)}

    def read(name: str) -> list[int]:
        return [back[word] for word in answered(name, numbers, 0.0).split()]

    assert read("repeat") == numbers
    assert read("reverse") == numbers[::-1]
    assert read("sort") == sorted(numbers)
    assert read("sum") == [sum(numbers) % 10]
    assert read("largest") == [max(numbers)]
    assert answered("parity", numbers, 0.0) == ("odd" if sum(numbers) % 2 else "even")
    assert len(answered("German", numbers, 0.0).split()) == len(numbers)


def test_tasks_and_texts_are_words_that_are_known() -> None:
    tasks, texts = NumberTasks(size=300), NumberTexts(size=50, words=20)
    records = [tasks[i] for i in range(300)]
    for record in records:
        assert record["question"] == asked(record["instruction"], spelled(record["numbers"]))
        vocabulary().encode([record["question"], record["solution"]])
    assert {record["instruction"] for record in records} == set(INSTRUCTIONS)
    assert max(len(record["numbers"]) for record in records) > 5
    held = tasks.of_split("test")
    assert max(len(held[i]["numbers"]) for i in range(300)) == 5
    assert all(0 < len(texts[i]["text"].split()) <= 20 for i in range(50))


def test_a_row_has_marks_in_the_place_of_the_list() -> None:
    code, numbers, answer = vocabulary(), [4, 0, 7], "then five one eight"
    rows = spoken_rows([("continue", answer)], [numbers], [5], 6, (12, 6))
    told = code.encode([asked("continue", spelled(numbers))])[0].tolist()
    at = told.index(code.encode(["four"])[0][0])
    prompt = [CLS, *told[:at], *[MASK] * 5, *told[at + 3 :]]
    assert spoken_prompt("continue", 5).tolist() == prompt
    learned = [*code.encode([answer])[0].tolist(), SEP]
    assert rows["tokens"][0][: len(prompt)].tolist() == prompt
    assert rows["targets"][0][rows["weights"][0] > 0].tolist() == learned
    assert code.decode(rows["aligned"][0]).split() == ["four", "four", "zero", "zero", "seven"]
