"""Objects of a predicate guessed by rules, from the rows that others are tuned on: what a reader has to be better than.

A guess is `(training rows, asked rows) -> answers`; rows are those of `data.knowledge.object_spans`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from stagejax.data.knowledge.object_spans import category, is_kept, whole_word
from stagejax.data.prompts.span_questions import words_of
from stagejax.data.sources import Record

Rows = Sequence[Record]


def frequent_object(known: Rows, asked: Rows) -> list[str]:
    """The predicate's most frequent object among those that stand in the context; "" where none does.

    >>> row = {"predicate": "raises", "context": "It raises KeyError.", "start": 10, "end": 18}
    >>> frequent_object([row], [{**row, "context": "A keyerror."}, {**row, "context": "None."}])
    ['keyerror', '']
    """
    counts = _objects(known, asked)
    found = []
    for row in asked:
        places = (whole_word(said, row["context"]) for said, _ in counts[row["predicate"]].most_common())
        place = next((place for place in places if place), (0, 0))
        found.append(row["context"][slice(*place)])
    return found


def first_of_type(known: Rows, asked: Rows) -> list[str]:
    """The first word of the context of the category that most objects of the predicate have.

    >>> row = {"predicate": "raises", "context": "It raises KeyError.", "start": 10, "end": 18}
    >>> first_of_type([row], [{**row, "context": "The module has a ValueError."}])
    ['ValueError']
    """
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for row in known:
        kinds[row["predicate"]][category(_object(row))] += 1
    every = sum(kinds.values(), Counter())
    found = []
    for row in asked:
        kind = (kinds[row["predicate"]] or every).most_common(1)[0][0]
        said = (row["context"][a:b] for a, b in words_of(row["context"]))
        found.append(
            next((word for word in said if is_kept(word) and word.isidentifier() and category(word) == kind), "")
        )
    return found


def likeliest_word(known: Rows, asked: Rows) -> list[str]:
    """The word of the context that is the likeliest object: by itself, its neighbours and its category.

    Naive Bayes, for each predicate: sum over features of log (n_object + λ p) / (N_object + λ) - log p, with p the
    share of the feature among all words of the training contexts (one added) and λ = 1. Predicates without a training
    row have the counts of all.

    >>> row = {"predicate": "raises", "context": "It raises KeyError.", "start": 10, "end": 18}
    >>> likeliest_word([row], [{**row, "context": "The module raises ValueError."}])
    ['ValueError']
    """
    own: dict[str, Counter[str]] = defaultdict(Counter)
    every: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for row in known:
        sizes[row["predicate"]] += 1
        for place, features in _features(row["context"]):
            every.update(features)
            if place[0] == row["start"]:
                own[row["predicate"]].update(features)
    total, words = sum(own.values(), Counter()), max(every.total() / 4, 1)

    def odds(feature: str, predicate: str) -> float:
        counts, size = (own[predicate], sizes[predicate]) if sizes[predicate] else (total, sizes.total())
        p = (every[feature] + 1) / (words + 1)
        return math.log((counts[feature] + p) / (size + 1)) - math.log(p)

    found = []
    for row in asked:
        options = [
            (sum(odds(each, row["predicate"]) for each in own_), place) for place, own_ in _features(row["context"])
        ]
        found.append(row["context"][slice(*max(options, key=lambda option: option[0])[1])] if options else "")
    return found


GUESSES: dict[str, Callable[[Rows, Rows], list[str]]] = {
    "the most frequent object there": frequent_object,
    "the first word of its type": first_of_type,
    "the likeliest word by counts": likeliest_word,
}


def _object(row: Record) -> str:
    return row["context"][row["start"] : row["end"]]


def _objects(rows: Rows, asked: Rows) -> dict[str, Counter[str]]:
    """How often each predicate has which object, in lower case; one without any row has the objects of all."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row["predicate"]][_object(row).lower()] += 1
    every = sum(counts.values(), Counter())
    return {**{row["predicate"]: every for row in asked}, **counts}


def _features(context: str) -> Iterator[tuple[tuple[int, int], tuple[str, ...]]]:
    """Words that may be objects, with what tells of each: itself, its category, the word before and the one behind."""
    places = words_of(context)
    said = [context[a:b].lower() for a, b in places]
    for at, (a, b) in enumerate(places):
        if is_kept(said[at]) and said[at].isidentifier():
            before, behind = said[at - 1] if at else "", said[at + 1] if at + 1 < len(said) else ""
            yield (a, b), (f"= {said[at]}", f"is {category(context[a:b])}", f"< {before}", f"> {behind}")
