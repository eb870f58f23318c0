"""Questions whose answer is a span of a text, out of texts without any: by the kind of what is asked for.

Two rules: of a real question with a sentence that answers it, the answer is the one span of the kind that the question
asks for; and of a sentence, a span is taken out and asked for by the rest (a cloze with a question word in front).
Records are {"question", "context", "start", "end"}, places in characters.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stagejax.data.language.articles import sentences
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record, Source

_WORD = r"[A-Z][\w'’-]+"  # noqa: RUF001
_SAID = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|half|million"
#: What spans of a kind look like.
KINDS: dict[str, re.Pattern[str]] = {
    "year": re.compile(r"(?<![\w.,])(?:1[0-9]\d\d|20\d\d)(?![\w.,]\d|\w)"),
    "number": re.compile(rf"(?<![\w.,])\d(?:[\d,.]*\d)?%?(?!\w)|\b(?:{_SAID})\b"),
    "acronym": re.compile(r"\b[A-Z][A-Z0-9]+\b"),
    "name": re.compile(rf"(?<!\w){_WORD}(?:\s(?:(?:of|the|de|von|and)\s)?{_WORD})*"),
}
_THINGS = (
    "city country company state person president king university school band river language team group empire war "
    "album song island region continent artist author church name organization agency party player"
).replace(" ", "|")
_ASKS = {
    "year": re.compile(r"\bwhen\b|\b(?:what|which) (?:year|date)\b"),
    "number": re.compile(r"\bhow (?:many|much|old|long|large|far|high|tall)\b|\bwhat (?:percent|number)"),
    "name": re.compile(rf"\bwh(?:o|om|ose|ere)\b|\b(?:what|which) (?:{_THINGS})\b|\bname of\b"),
}
#: What a cloze is asked with, drawn evenly.
_FRONTS = {
    "year": ("when", "what year", "in which year"),
    "number": ("how many", "how much", "what number"),
    "acronym": ("what", "which", "what organization"),
    "name": ("who", "what", "which", "what name"),
}


def asked_kind(question: str) -> str | None:
    """The kind of span that a question asks for, by its words; None where they do not tell.

    >>> [asked_kind(said) for said in ("When was it built?", "How many died?", "Who won?", "Why did it fail?")]
    ['year', 'number', 'name', None]
    """
    return next((kind for kind, asks in _ASKS.items() if asks.search(question.lower())), None)


def spans_of(kind: str, text: str) -> list[tuple[int, int]]:
    """Where spans of a kind stand in a text; a single capitalised word at its beginning is no name.

    >>> text = "In 1923 Anna Freud saw two films of MGM."
    >>> [[text[a:b] for a, b in spans_of(kind, text)] for kind in KINDS]
    [['1923'], ['1923', 'two'], ['MGM'], ['Anna Freud', 'MGM']]
    """
    found = [match.span() for match in KINDS[kind].finditer(text)]
    return [(a, b) for a, b in found if kind != "name" or a or " " in text[a:b]]


@dataclass(frozen=True)
class AnsweredSpans(Derived):
    """Real questions, where exactly one span of the kind they ask for stands in the sentence that answers them.

    A span that shares a word with the question does not count. The context is the sentence among `others` sentences of
    other questions, at a place drawn by a hash.

    Args:
      source: records {"question", "sentence", "label"}: 1 where the sentence answers.

    >>> # rows = AnsweredSpans(Dataset("qnli"))
    """

    others: int = 0

    def __len__(self) -> int:
        return len(_answered(self.source, self.others))

    def __getitem__(self, index: int) -> Record:
        return _answered(self.source, self.others)[index]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"answered spans {self.others}")


@functools.lru_cache(maxsize=8)
def _answered(source: Source, others: int) -> tuple[Record, ...]:
    rows, found = [source[index] for index in range(len(source))], []
    for number, row in enumerate(rows):
        kind = asked_kind(row["question"]) if row["label"] == 1 else None
        asked, sentence = set(_lower_words(row["question"])), row["sentence"]
        places = spans_of(kind, sentence) if kind else []
        places = [(a, b) for a, b in places if not asked & set(_lower_words(sentence[a:b]))]
        if len(places) == 1:
            rng = _rng(row["question"])
            apart = rng.integers(1, len(rows), size=others)
            beside = [rows[(number + int(step)) % len(rows)]["sentence"] for step in apart]
            at = int(rng.integers(others + 1))
            before = "".join(f"{said} " for said in beside[:at])
            context = " ".join((*beside[:at], sentence, *beside[at:]))
            start, end = (len(before) + place for place in places[0])
            found.append({"question": row["question"], "context": context, "start": start, "end": end})
    return tuple(found)


@dataclass(frozen=True)
class ClozeSpans(Derived):
    """Sentences that ask for one of their own spans: `<question word> <rest of the clause>?`, with words left out.

    A text is cut into contexts of whole sentences, up to `words` words (a longer sentence is left out). In each, one
    span that some kind finds is drawn; the question is up to `reach` words before and behind it in its sentence, each
    left out with probability `drop`.

    Args:
      source: records {"text"}.

    Reference: Lewis et al. 2019, Unsupervised question answering by cloze translation,
    https://arxiv.org/abs/1906.04980: the noisy clozes of section 2.3, without their shuffling.

    >>> from stagejax.data import Stdlib
    >>> row = ClozeSpans(Stdlib(limit=100_000))[0]
    >>> row["context"][row["start"] : row["end"]] in row["question"]
    False
    """

    words: int = 45
    reach: int = 7
    drop: float = 0.15

    def __len__(self) -> int:
        return len(_clozes(self))

    def __getitem__(self, index: int) -> Record:
        return _clozes(self)[index]

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"clozes {self.words} {self.reach} {self.drop}")


@functools.lru_cache(maxsize=8)
def _clozes(own: ClozeSpans) -> tuple[Record, ...]:
    texts = (own.source[index]["text"] for index in range(len(own.source)))
    contexts = dict.fromkeys(each for text in texts for line in text.split("\n") for each in _contexts(line, own.words))
    return tuple(row for context in contexts for row in _cloze(own, context))


def _contexts(line: str, words: int) -> Iterator[str]:
    """Runs of whole sentences of at most so many words."""
    held: list[str] = []
    for sentence in sentences(line):
        size = len(sentence.split())
        if held and sum(len(one.split()) for one in held) + size > words:
            yield " ".join(held)
            held = []
        if size <= words:
            held.append(sentence)
    if held:
        yield " ".join(held)


def _cloze(own: ClozeSpans, context: str) -> Iterator[Record]:
    rng, bounds, at = _rng(context), [], 0
    for sentence in sentences(context):
        at = context.index(sentence, at)
        bounds.append((at, at + len(sentence)))
        at += len(sentence)
    found = [(kind, a + s, b + s, s, e) for kind in KINDS for s, e in bounds for a, b in spans_of(kind, context[s:e])]
    if not found:
        return
    kinds = sorted({kind for kind, *_ in found})
    kind = kinds[int(rng.integers(len(kinds)))]
    same = [each for each in found if each[0] == kind]
    _, start, end, first, last = same[int(rng.integers(len(same)))]
    before, behind = context[first:start].split()[-own.reach :], context[end:last].split()[: own.reach]
    rest = [word for word in (*before, *behind) if rng.random() >= own.drop]
    if len(rest) < 3 or context[start:end] in " ".join(rest):
        return
    front = _FRONTS[kind][int(rng.integers(len(_FRONTS[kind])))]
    asked = " ".join((front, *rest)).rstrip(" .!?")
    yield {"question": f"{asked} ?", "context": context, "start": start, "end": end}


@dataclass(frozen=True)
class PublishedSpans(Derived):
    """Questions as SQuAD has them: the first answer of each; one without any has the places -1.

    Args:
      source: records {"question", "context", "answers": {"text", "answer_start"}}, such as `TFDS("squad/v2.0")`.

    Reference: Rajpurkar et al. 2018, https://arxiv.org/abs/1806.03822.

    >>> # rows = PublishedSpans(TFDS("squad/v2.0", test="validation"))
    """

    def __getitem__(self, index: int) -> Record:
        row = self.source[index]
        texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
        start, size = (int(starts[0]), len(_plain(texts[0]))) if len(texts) else (-1, 0)
        return {"question": row["question"], "context": row["context"], "start": start, "end": start + size}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "published spans")


def _plain(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text


def _lower_words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _rng(text: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
