"""Encyclopedia articles out of the one text in which `wikitext2` has them, and sentences out of any text."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source

_TITLE = re.compile(r"^ = ([^=].*?) = $", re.MULTILINE)
_MARK = re.compile(r" @([-,.])@ ")
_SENTENCE = re.compile(r"\n+|(?<=[.!?])\s+(?=[\"'(\[]?\s?[A-Z0-9])")


@dataclass(frozen=True)
class Articles(Derived):
    """Records {"title", "text"}: the articles that a source has in the form of WikiText, by `articles`.

    Reference: Merity et al. 2016, https://arxiv.org/abs/1609.07843.
    """

    def __len__(self) -> int:
        return len(_found(self.source))

    def __getitem__(self, index: int) -> Record:
        title, text = _found(self.source)[index]
        return {"title": title, "text": text}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "articles")


@functools.lru_cache(maxsize=8)
def _found(source: Source) -> tuple[tuple[str, str], ...]:
    return tuple(pair for index in range(len(source)) for pair in articles(source[index]["text"]))


def articles(text: str) -> list[tuple[str, str]]:
    r"""Titles and texts: a paragraph a line, without headings. What stands before the first title is left out.

    Marks inside of numbers and compounds are taken back, and `<unk>` becomes the word unk.

    >>> articles(" \n = A tree = \n \n It is old @-@ fashioned . \n = = Use = = \n None . \n")
    [('A tree', 'It is old-fashioned .\nNone .')]
    """
    parts = _TITLE.split(text)
    return [(_plain(title), _plain(body)) for title, body in zip(parts[1::2], parts[2::2], strict=True)]


def _plain(text: str) -> str:
    lines = (line.strip() for line in _MARK.sub(r"\1", text).replace("<unk>", "unk").split("\n"))
    return "\n".join(line for line in lines if line and not line.startswith("= "))


def sentences(text: str) -> list[str]:
    """The sentences of a text: it is cut at line ends, and at spaces between a full stop and a capital or a digit.

    >>> sentences("It works . It does!\\nSee e.g. this.")
    ['It works .', 'It does!', 'See e.g. this.']
    """
    return [own for own in (part.strip() for part in _SENTENCE.split(text)) if own]
