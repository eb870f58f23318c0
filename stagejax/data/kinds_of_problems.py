"""Two kinds of word problems in few words, about money and about rates, and one vocabulary for all that is said."""

from __future__ import annotations

from stagejax.data.common_words import CommonWords
from stagejax.data.expository import WORDS
from stagejax.data.problems import ITEMS, NAMES, Wording
from stagejax.data.synthesis import MARKS

MONEY = Wording(
    "{name} has {n} .",
    (("+", "earns {n} ."), ("+", "gets {n} ."), ("-", "pays {n} ."), ("-", "loses {n} .")),
    (),
    "how much ?",
)
RATES = Wording(
    "{name} makes {n} .",
    (("*", "times {n} ."), ("*", "fold {n} ."), ("/", "parts {n} ."), ("/", "over {n} ."), ("+", "plus {n} .")),
    (),
    "how many ?",
)
#: Sums and differences; products, quotients and sums.
KINDS = {"money": MONEY, "rates": RATES}


def kind_of(question: str) -> str:
    """The kind that a question is of, by its end.

    >>> kind_of("ann makes 4 . times 2 . how many ?")
    'rates'
    """
    return next(kind for kind, own in KINDS.items() if question.endswith(own.question))


def vocabulary(largest: int, common: int) -> CommonWords:
    """One token for every word of these problems, of texts about them and of prose, for every number from 0 to
    `largest`, and for the `common` most frequent words of a training text.

    >>> code = vocabulary(9, 0).train(iter(()))
    >>> code.decode(code.encode(["ann has 7 . pays 2 . how much ? => 7 - 2 = 5 ; ans 5"])[0])
    'ann has 7 . pays 2 . how much ? => 7 - 2 = 5 ; ans 5'
    """
    told = [s for own in KINDS.values() for s in (own.start, *(s for _, s in own.clauses), own.question)]
    words = {word for s in told for word in s.split() if not word.startswith("{")}
    words |= {*NAMES, *ITEMS, *MARKS, *WORDS, "ans", *";=+-*/"}
    return CommonWords(common, (*sorted(words), *map(str, range(largest + 1))))
