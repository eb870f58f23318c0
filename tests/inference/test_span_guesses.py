"""What rules guess, on rows where the right answer follows from one thing alone."""

from __future__ import annotations

from stagejax.data.sources import Record
from stagejax.inference.prompts.span_guesses import GUESSES, first_of_type, frequent_object, likeliest_word


def row(predicate: str, context: str, said: str) -> Record:
    start = context.index(said)
    return {"predicate": predicate, "context": context, "start": start, "end": start + len(said)}


KNOWN = [
    row("raises", "The method raises KeyError here.", "KeyError"),
    row("raises", "Then this raises ValueError too.", "ValueError"),
    row("raises", "It raises KeyError.", "KeyError"),
    row("argument", "Write the file_name to disk.", "file_name"),
]


def test_the_most_frequent_object_that_is_there() -> None:
    asked = [row("raises", "A valueerror or a keyerror.", "keyerror"), row("raises", "An OSError.", "OSError")]
    assert frequent_object(KNOWN, asked) == ["keyerror", ""]


def test_the_first_word_of_the_type() -> None:
    asked = [
        row("raises", "The path has OtherThing or OSError.", "OSError"),
        row("argument", "Any old_name.", "old_name"),
    ]
    assert first_of_type(KNOWN, asked) == ["OtherThing", "old_name"]


def test_the_likeliest_word_follows_its_neighbour() -> None:
    asked = [row("raises", "OtherThing of it raises MyError now.", "MyError")]
    assert likeliest_word(KNOWN, asked) == ["MyError"]


def test_a_predicate_without_rows_is_guessed_by_all_of_them() -> None:
    asked = [row("unknown", "Some KeyError is.", "KeyError")]
    assert frequent_object(KNOWN, asked) == ["KeyError"]
    assert likeliest_word(KNOWN, asked) == ["KeyError"]
    assert all(len(guess(KNOWN, asked)) == 1 for guess in GUESSES.values())
