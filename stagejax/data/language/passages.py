"""Long texts cut into passages that say where they are from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from stagejax.data.named import Dataset
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source
from stagejax.data.together import Together


@dataclass(frozen=True)
class Passages(Derived):
    """Records {"url", "text"}: the texts of a source, cut into passages of at most `size` characters.

    A passage is as many whole lines as fit; a longer line is cut behind its last space that fits, or at `size`.
    Together they are the text, but for those without a word, which are left out.

    Args:
      source: records with "text".
      url: of a record, where it is from.
      size: characters in a passage at most.

    >>> from stagejax.data import Stdlib
    >>> made = Passages(Stdlib(limit=100_000), name_of, size=400)
    >>> max(len(made[i]["text"]) for i in range(len(made))) <= 400, made[0]["url"] == Stdlib(limit=100_000)[0]["name"]
    (True, True)
    """

    url: Callable[[Record], str] = field(repr=False)  # its repr differs from process to process
    size: int = 512

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size={self.size}: a passage has at least 1 character")

    def __len__(self) -> int:
        return len(_passages(self))

    def __getitem__(self, index: int) -> Record:
        url, text = _passages(self)[index]
        return {"url": url, "text": text}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), str(self.size), self.url.__qualname__)


def name_of(record: Record) -> str:
    """The record's name is where it is from, as the path of a file."""
    return record["name"]


def collected(library: Source, size: int = 384) -> Together:
    """Files of a `library`, encyclopedia, news and plays in passages, whose URLs say which file, class or work.

    The first part of a URL is a package or module, `wikipedia`, `world.news` and three others, or `shakespeare`.

    >>> from stagejax.data import Stdlib
    >>> [part.url.__name__ for part in collected(Stdlib()).parts]
    ['name_of', 'wikipedia', 'news', 'shakespeare']
    """
    parts = ((library, name_of), (Dataset("wikitext2"), wikipedia), (Dataset("agnews"), news))
    return Together(tuple(Passages(*part, size) for part in (*parts, (Dataset("tinyshakespeare"), shakespeare))))


def wikipedia(record: Record) -> str:
    """Articles are one text, from one place."""
    return "wikipedia/"


def news(record: Record) -> str:
    """The class of an article of AG News, as a sub-domain."""
    return f"{('world', 'sports', 'business', 'science')[record['label']]}.news/"


def shakespeare(record: Record) -> str:
    """Plays are one text, from one place."""
    return "shakespeare/"


def cut(text: str, size: int) -> Iterator[str]:
    """The passages of a text.

    >>> list(cut("a b\\nc\\nlong line\\n", 6))
    ['a b\\nc\\n', 'long ', 'line\\n']
    """
    held = ""
    for line in text.splitlines(keepends=True):
        if len(held) + len(line) > size and held:
            yield held
            held = ""
        while len(line) > size:
            at = line.rfind(" ", 0, size) + 1 or size
            yield line[:at]
            line = line[at:]
        held += line
    if held:
        yield held


@functools.lru_cache(maxsize=16)
def _passages(made: Passages) -> tuple[tuple[str, str], ...]:
    records = (made.source[index] for index in range(len(made.source)))
    return tuple((made.url(r), part) for r in records for part in cut(r["text"], made.size) if part.strip())
