"""Objects of triples as spans of a text: what is kept, of which category it is, and who is asked about it when."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Literal

from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

Part = Literal["train", "dev", "test"]
PARTS: tuple[Part, ...] = ("train", "dev", "test")

#: Categories by what a string looks like, the first that fits; what is none of them is a noun or an adjective.
CATEGORIES: dict[str, re.Pattern[str]] = {
    "url": re.compile(r"(?:https?://|www\.)\S+$"),
    "date": re.compile(r"(?:1[5-9]\d\d|20\d\d)s?$"),
    "number": re.compile(r"[-+]?\d[\d,.]*%?$"),
    "count or measurement": re.compile(r"\d[\d,.]*\s\S+$"),
    "constant": re.compile(r"(?:None|True|False)$"),
    "acronym": re.compile(r"[A-Z][A-Z0-9]{1,}s?$"),
    "class name": re.compile(r"(?:[A-Z][a-z0-9]+){2,}[A-Z]*$"),
    "identifier": re.compile(r"\w*_\w*$"),
    "name": re.compile(r"[A-Z][a-z]+(?:\s[A-Z][a-z]+)*$"),
    "sentence": re.compile(r"\S+(?:\s\S+){7,}$"),
    "phrase": re.compile(r"\S+(?:\s\S+)+$"),
    "word": re.compile(r""),
}


def category(text: str) -> str:
    """Which of `CATEGORIES` a string is.

    >>> [category(text) for text in ("1987", "12", "3 days", "HTTP", "ValueError", "file_name", "path")]
    ['date', 'number', 'count or measurement', 'acronym', 'class name', 'identifier', 'word']
    """
    return next(name for name, looks in CATEGORIES.items() if looks.match(text))


def is_kept(said: str) -> bool:
    """Whether an object is worth a question: 3 characters or more, and no whole number below 999.

    Reference: the code to arXiv 2305.12900.

    >>> [is_kept(said) for said in ("id", "998", "2023", "ResNet")]
    [False, False, True, True]
    """
    return len(said) >= 3 and not (said.isdigit() and int(said) < 999)


def whole_word(said: str, text: str) -> tuple[int, int] | None:
    """Where a string first stands in a text as whole words, in any case: (start, end), or None.

    >>> whole_word("error", "Errors: an error."), whole_word("rror", "an error")
    ((11, 16), None)
    """
    if said.lower() not in text.lower():
        return None
    found = re.search(rf"(?<!\w){re.escape(said)}(?!\w)", text, re.IGNORECASE)
    return found and found.span()


@dataclass(frozen=True)
class ObjectSpans(Source):
    """Records {"question", "context", "start", "end", "predicate", "category"}: where a text says a triple's object.

    Kept are objects that pass `is_kept` and stand in the text (`whole_word`), once for each text and predicate: the
    first one. Of a predicate at most `most` rows are kept, by a hash of the text. A hash of the text says also of which
    part it is: a share `tuned` is for training, of those a share `dev` for choices, the rest is the test, so that parts
    share no text. Predicates with fewer than `rare` rows go to training alone (what of them is in other texts is left
    out), those that are `unseen` to the test alone.

    Args:
      source: records {"text", "predicate", "object"}.
      split: "train", "dev" or "test".
      label: what a question begins with: "", "what", "which" or "how".
      share: of the training rows, the first ones by the hash.
      unseen: predicates that no training row has.
      lent: whether each row is asked with the predicate of another row of its part, drawn once: a control.

    Reference: arXiv 2305.12900, and its code: the filters, `<label> <predicate> ?`, 74 / 26, fewer than 10. There rows
    are dealt, and parts share texts; here texts are.

    Raises:
      ValueError: another split, or a share that is none.

    >>> from stagejax.data.knowledge.library_triples import LibraryTriples
    >>> from stagejax.data import Stdlib
    >>> rows = ObjectSpans(LibraryTriples(Stdlib(limit=100_000), 10), label="what")
    >>> row = rows[0]
    >>> row["question"].startswith("what "), len(row["context"][row["start"] : row["end"]]) >= 3
    (True, True)
    """

    source: Source
    split: str = "train"
    label: str = ""
    share: float = 1.0
    tuned: float = 0.74
    dev: float = 0.1
    rare: int = 10
    most: int = 100
    unseen: tuple[str, ...] = ()
    lent: bool = False

    def __post_init__(self) -> None:
        if self.split not in PARTS or not 0 < self.share <= 1 or not 0 < self.tuned < 1 or not 0 < self.dev < 1:
            raise ValueError(
                f"split={self.split!r}, share={self.share}, tuned={self.tuned}, dev={self.dev}: one of {PARTS}, and "
                "shares between 0 and 1"
            )

    def rows(self) -> tuple[Record, ...]:
        """All records, in the order of the hash."""
        return _rows(replace(self, label="")) if self.label else _rows(self)

    def objects(self) -> list[str]:
        """What each record asks for, as its text has it."""
        return [row["context"][row["start"] : row["end"]] for row in self.rows()]

    def __len__(self) -> int:
        return len(self.rows())

    def __getitem__(self, index: int) -> Record:
        row = self.rows()[index]
        return {**row, "question": f"{self.label} {row['question']} ?".strip()}

    def digest(self) -> str:
        said = "; ".join(f"{row['question']} {row['start']} {row['end']}" for row in self.rows())
        return joint_digest(self.source.digest(), hashlib.sha256(f"{said} {self.label}".encode()).hexdigest())


def _hashed(text: str) -> float:
    """A number in [0, 1) of a text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


@functools.lru_cache(maxsize=32)
def _kept(source: Source, most: int) -> dict[str, list[Record]]:
    """What is found of each predicate, by the hash of the text."""
    found: dict[tuple[str, str], Record] = {}
    for index in range(len(source)):
        row = source[index]
        key = row["predicate"], row["text"]
        if key not in found and is_kept(row["object"]) and (place := whole_word(row["object"], row["text"])):
            found[key] = dict(zip(("start", "end"), place, strict=True)) | {"category": category(row["object"])}
    kept = defaultdict(list)
    for (predicate, text), place in found.items():
        kept[predicate].append({"context": text, "predicate": predicate, **place})
    return {name: sorted(rows, key=lambda row: _hashed(row["context"]))[:most] for name, rows in sorted(kept.items())}


@functools.lru_cache(maxsize=32)
def _rows(own: ObjectSpans) -> tuple[Record, ...]:
    found = []
    for predicate, rows in _kept(own.source, own.most).items():
        for row in rows:
            place = _hashed(f"part {row['context']}")
            part = "test" if place >= own.tuned else "dev" if place < own.tuned * own.dev else "train"
            if predicate in own.unseen:
                part = "test" if part == "test" else ""
            elif len(rows) < own.rare:
                part = "train" if part != "test" else ""
            if part == own.split:
                found.append(row)
    found.sort(key=lambda row: _hashed(f"row {row['context']} {row['predicate']}"))
    if own.split == "train":
        found = found[: max(1, round(own.share * len(found)))]
    asked = [row["predicate"] for row in found]
    if own.lent:
        order = sorted(range(len(found)), key=lambda i: _hashed(f"lent {i} {found[i]['context']}"))
        asked = [found[i]["predicate"] for i in order]
    return tuple({**row, "question": name} for row, name in zip(found, asked, strict=True))


def counted(rows: tuple[Record, ...], field: str) -> dict[str, int]:
    """How many rows each value of a field has, most first."""
    return dict(Counter(row[field] for row in rows).most_common())
