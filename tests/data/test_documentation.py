"""Documents and labelled docstrings share no text, whatever stands twice; ranges of documents do not overlap."""

from typing import Any

import pytest

from stagejax.data import EmptySource, Stdlib
from stagejax.data.language.articles import articles, sentences
from stagejax.data.language.documentation import Documentation, DocumentedPackages, paragraphs

FILES = Stdlib(limit=2_000_000)
TASK = DocumentedPackages(("email", "asyncio", "importlib"), FILES)


def texts(source: Any) -> list[str]:
    return [source[i]["text"] for i in range(len(source))]


def test_no_text_is_in_two_of_documents_training_and_test() -> None:
    train, test = texts(TASK), texts(TASK.of_split("test"))
    assert len(set(train + test)) == len(train) + len(test) > 50
    whole = "\n".join(["", *texts(Documentation(FILES)), ""])
    assert whole.count("\n") > 500
    assert not [text for text in train + test if f"\n{text}\n" in whole]


def test_labels_are_the_packages_and_texts_are_long_enough() -> None:
    assert {TASK[i]["label"] for i in range(len(TASK))} == {0, 1, 2}
    assert min(len(text.split()) for text in texts(TASK)) >= 8
    with pytest.raises(ValueError, match="each name once"):
        DocumentedPackages(("email", "email"))
    with pytest.raises(ValueError, match="split='dev'"):
        TASK.of_split("dev")


def test_a_package_without_text_is_named() -> None:
    with pytest.raises(EmptySource, match="no text of tkinterest"):
        len(DocumentedPackages(("email", "tkinterest"), FILES))


def test_ranges_of_words_are_whole_documents_that_do_not_overlap() -> None:
    whole, first, rest = (Documentation(FILES, a, b) for a, b in ((0, None), (0, 9000), (9000, None)))
    names = [source[i]["name"] for source in (first, rest) for i in range(len(source))]
    assert len(names) == len(set(names)) >= len(whole) - 1  # the document across the border is in neither
    assert 8000 < sum(len(text.split()) for text in texts(first)) <= 9000
    assert len({source.digest() for source in (whole, first, rest)}) == 3


def test_a_paragraph_is_one_line() -> None:
    assert paragraphs("  A\n  b.\n   \n\n c") == "A b.\nc"
    assert paragraphs("\n") == ""


def test_articles_have_titles_and_no_headings() -> None:
    text = "before\n = One = \n \n First 1 @,@ 000 . \n = = Part = = \n More @-@ over <unk> . \n = Two = \n End . \n"
    assert articles(text) == [("One", "First 1,000 .\nMore-over unk ."), ("Two", "End .")]


def test_sentences_are_cut_at_stops_before_a_capital_and_at_line_ends() -> None:
    said = sentences('He left . " Why ? " she said .\n\nH. americanus is 3.5 long. It')
    assert said == ["He left .", '" Why ? " she said .', "H. americanus is 3.5 long.", "It"]
    assert sentences(" \n ") == []
