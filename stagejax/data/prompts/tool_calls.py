"""Requests to an assistant that has tools: which of the tools shown are to be called, with which arguments, or none."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stagejax.data.order import random_words
from stagejax.data.pipeline import joint_digest
from stagejax.data.reasoning.problems import NAMES
from stagejax.data.sources import Record, Source
from stagejax.data.vocabulary.words import Words

#: The first word of a tool's name is a verb, the second a noun; either with what requests say for it.
VERBS = {
    "book": ("reserve", "secure"),
    "find": ("seek", "locate"),
    "cancel": ("drop", "undo"),
    "rate": ("judge", "score"),
    "share": ("send", "forward"),
    "track": ("follow", "watch"),
    "plan": ("prepare", "arrange"),
    "sell": ("offer", "trade"),
}
NOUNS = {
    "hotel": ("room", "lodging"),
    "flight": ("plane", "airline"),
    "meal": ("dinner", "lunch"),
    "film": ("movie", "cinema"),
    "car": ("taxi", "vehicle"),
    "song": ("tune", "music"),
    "class": ("lesson", "course"),
    "game": ("match", "contest"),
    "tour": ("trip", "visit"),
    "talk": ("lecture", "speech"),
    "gift": ("present", "surprise"),
    "job": ("work", "position"),
}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PLACES = ("paris", "rome", "london", "berlin", "madrid", "tokyo", "cairo", "oslo", "lima", "delhi")
COUNTS = tuple(str(n) for n in range(1, 10))


class Kind(NamedTuple):
    """A kind of parameter: what it may be called, how a request says a value of it, plainly and not, and its values."""

    names: tuple[str, ...]
    plain: str
    indirect: str | None  # the value is the next one of that which is said
    values: tuple[str, ...]


KINDS = (
    Kind(("city", "town", "place"), "in {}", None, PLACES),
    Kind(("day", "date", "when"), "on {}", "the day after {}", DAYS),
    Kind(("number", "count", "size"), "for {}", "for {} plus me", COUNTS),
    Kind(("person", "member", "guest"), "with {}", None, NAMES),
)
OPENINGS = ("", "please", "can you", "i want to")
ASKED, NONE, GOLD, SAID, GRADE = "user", "no tool fits .", "right", "said", "grade"
GRADES = ("excellent", "acceptable", "fair", "poor")
#: What is asked: one call, two of one tool, two tools, one whose value must be worked out, and what no tool does.
ASKS = ("single", "parallel", "multiple", "values", "none")
SPLITS = ("train", "dev", "test")


class Level(NamedTuple):
    """How hard a request is, by what can be seen before it is answered."""

    tools: int  # that are shown
    near: bool  # half of the others share a word of the name with one that is needed; else none does
    asks: tuple[str, ...]


LEVELS = (
    Level(1, False, ("single", "single", "none")),
    Level(2, True, ("single", "parallel", "none")),
    Level(3, True, ASKS),
)


class Tool(NamedTuple):
    """A tool as a prompt shows it: its name, and kind and name of each parameter."""

    verb: str
    noun: str
    parameters: tuple[tuple[int, str], ...]

    @property
    def name(self) -> str:
        return f"{self.verb} {self.noun}"

    def called(self, values: Sequence[str]) -> str:
        """A call with these values.

        >>> Tool("book", "hotel", ((0, "town"), (1, "date"))).called(("paris", "monday"))
        'book hotel ( town = paris , date = monday )'
        """
        pairs = zip(self.parameters, values, strict=True)
        return f"{self.name} ( {' , '.join(f'{name} = {value}' for (_, name), value in pairs)} )"


@functools.cache
def names_of(split: str) -> tuple[tuple[str, str], ...]:
    """Names of the tools that are needed in a split; one of ten is kept for development, two for tests.

    Raises:
      ValueError: an unknown split.

    >>> [len(names_of(split)) for split in SPLITS]
    [65, 11, 20]
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is unknown: choose one of {SPLITS}")
    every = [(verb, noun) for verb in VERBS for noun in NOUNS]
    draws = [hashlib.sha256(" ".join(own).encode()).digest()[0] % 10 for own in every]
    splits = ["test" if draw < 2 else "dev" if draw == 2 else "train" for draw in draws]
    return tuple(own for own, its in zip(every, splits, strict=True) if its == split)


@dataclass(frozen=True)
class ToolCalls(Source):
    """Prompts that show some tools and a request, and what the assistant says: calls, or that no tool fits.

    A tool is shown as "book hotel ( town , date ) : secure room". What it takes and how its parameters are called is
    drawn with every record, and must be read. Tools that are needed are those of the split; a training prompt shows no
    others at all, other prompts show tools of training as well, which are not needed. Records hold "question",
    "solution", "ask" (one of `ASKS`), "calls" (1, or 0 where no tool fits) and "number", the record's.

    Args:
      split: "train", "dev" or "test": whose tools are needed.
      size: number of records.
      level: 0, 1 or 2, of `LEVELS`.
      ask: only this one of `ASKS`; None: those of the level.
      seed: of the draws.

    Raises:
      ValueError: an unknown split, level or ask.

    >>> record = ToolCalls(level=0)[1]
    >>> record["question"]
    'plan hotel ( place , when ) : arrange lodging user prepare lodging in oslo on saturday ?'
    >>> record["solution"]
    '[ plan hotel ( place = oslo , when = saturday ) ]'
    """

    split: str = "train"
    size: int = 500
    level: int = 2
    ask: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in SPLITS or self.level not in range(len(LEVELS)) or self.ask not in (None, *ASKS):
            raise ValueError(
                f"split={self.split!r}, level={self.level}, ask={self.ask!r}: choose of {SPLITS}, of 0 to "
                f"{len(LEVELS) - 1}, and of {ASKS} or None"
            )

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        return _record(self, index)

    def digest(self) -> str:
        return joint_digest(str(self))


@functools.lru_cache(maxsize=1 << 16)
def _record(source: ToolCalls, index: int) -> Record:
    seed = random_words(source.seed * 1000 + 100 * SPLITS.index(source.split) + source.level, np.array([index]), 1)
    rng = np.random.default_rng(int(seed[0, 0]) + (ASKS.index(source.ask) + 1 if source.ask else 0))
    level = LEVELS[source.level]
    ask = source.ask or _one(level.asks, rng)
    needed = 2 if ask == "multiple" else 1
    shown = max(needed, level.tools)
    names = names_of(source.split)
    own = [names[i] for i in rng.permutation(len(names))[:needed]]
    others = _others(source.split, own, shown - needed + (ask == "none"), level.near, rng)
    tools = [_tool(name, ask, rng) for name in own]
    there = [*([] if ask == "none" else tools), *(_tool(name, "", rng) for name in others)]
    wanted = tools * 2 if ask == "parallel" else tools
    values = [[_one(KINDS[kind].values, rng) for kind, _ in tool.parameters] for tool in wanted]
    told, known = [], []
    for number, (tool, said) in enumerate(zip(wanted, values, strict=True)):
        words, meant = _told(tool, said, ask == "values", rng)
        begin = "" if ask == "parallel" and number else f"{_one(VERBS[tool.verb], rng)} {_one(NOUNS[tool.noun], rng)}"
        told.append(f"{begin} {words}".strip())
        known.append(tool.called(meant))
    docs = [_shown(there[i], rng) for i in rng.permutation(len(there))]
    request = f"{_one(OPENINGS, rng)} {' and '.join(told)}".strip()
    return {
        "question": f"{' '.join(docs)} {ASKED} {request} ?",
        "solution": NONE if ask == "none" else f"[ {' , '.join(known)} ]",
        "ask": ask,
        "calls": int(ask != "none"),
        "number": index,
    }


def _one(values: Sequence[str], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]


def _others(
    split: str, own: Sequence[tuple[str, str]], n: int, near: bool, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """Names of tools that are shown and not needed: half of them share a word with one that is if `near`, or none."""
    every = [name for name in dict.fromkeys((*names_of("train"), *names_of(split))) if name not in own]
    every = [every[i] for i in rng.permutation(len(every))]
    alike = [name for name in every if any(name[0] == verb or name[1] == noun for verb, noun in own)]
    if not near:
        return [name for name in every if name not in alike][:n]
    first = alike[: (n + 1) // 2]
    return [*first, *[name for name in every if name not in first][: n - len(first)]]


def _tool(name: tuple[str, str], ask: str, rng: np.random.Generator) -> Tool:
    """A tool with one or two parameters; one that takes a day or a number where a value is to be worked out."""
    kinds = rng.permutation(len(KINDS))[: 1 + int(rng.integers(2))].tolist()
    if ask == "values" and not any(KINDS[kind].indirect for kind in kinds):
        kinds[int(rng.integers(len(kinds)))] = 1 + int(rng.integers(2))
    return Tool(*name, tuple((kind, _one(KINDS[kind].names, rng)) for kind in kinds))


def _told(tool: Tool, values: Sequence[str], indirect: bool, rng: np.random.Generator) -> tuple[str, list[str]]:
    """How a request says these values, in any order, and which are meant: not the said ones where that is indirect."""
    told, meant = [], list(values)
    for place, ((kind, _), value) in enumerate(zip(tool.parameters, values, strict=True)):
        own = KINDS[kind]
        if indirect and own.indirect:
            if own.values is COUNTS and value == COUNTS[-1]:
                value = COUNTS[0]
            told.append(own.indirect.format(value))
            meant[place] = own.values[(own.values.index(value) + 1) % len(own.values)]
            indirect = False
        else:
            told.append(own.plain.format(value))
    return " ".join(told[i] for i in rng.permutation(len(told))), meant


def _shown(tool: Tool, rng: np.random.Generator) -> str:
    words = f"{_one(VERBS[tool.verb], rng)} {_one(NOUNS[tool.noun], rng)}"
    return f"{tool.name} ( {' , '.join(name for _, name in tool.parameters)} ) : {words}"


@functools.cache
def tool_words() -> Words:
    """One token a word of these prompts, of calls, and of judgements.

    >>> code = tool_words()
    >>> code.decode(code.encode(["[ book hotel ( town = rome ) ]"])[0][1:3]), code.vocab
    ('book hotel', 143)
    """
    words = {word for own in (VERBS, NOUNS) for name, others in own.items() for word in (name, *others)}
    words |= {word for kind in KINDS for word in (*kind.names, *kind.values)}
    words |= {w for kind in KINDS for text in (kind.plain, kind.indirect or "") for w in text.split() if w != "{}"}
    words |= {w for text in (*OPENINGS, NONE) for w in text.split()}
    words |= {ASKED, GOLD, SAID, GRADE, *GRADES, *"[](),=:?", "and"}
    return Words(tuple(sorted(words)))
