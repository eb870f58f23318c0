"""Two kinds of word problems in few words, about money and about rates, and one vocabulary for all that is said."""

from __future__ import annotations

from dataclasses import dataclass

from stagejax.data.reasoning.expository import WORDS
from stagejax.data.reasoning.problems import ITEMS, NAMES, Problems, Wording
from stagejax.data.reasoning.synthesis import MARKS
from stagejax.data.together import Together
from stagejax.data.vocabulary.common_words import CommonWords

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


@dataclass(frozen=True)
class Lot:
    """Which problems there are: those of some kinds and numbers of steps.

    >>> rates = Lot("rates", ("rates",), (1,)).problems(8, largest=9)
    >>> len(rates), rates[2]["question"]
    (8, 'ben makes 9 . over 3 . how many ?')
    """

    name: str = "all"
    kinds: tuple[str, ...] = tuple(KINDS)
    steps: tuple[int, ...] = (1, 2, 3, 4, 5)

    def problems(self, size: int, *, largest: int, seed: int = 0, split: str = "train") -> Together:
        """As many of each kind and number of steps, `size` of all; splits share no program.

        `Problems` of several numbers of steps have fewer of many steps, as more of those leave the range.
        """
        each = size // len(self.kinds) // len(self.steps)
        how = {"size": each, "largest": largest, "seed": seed, "split": split}
        return Together(
            tuple(Problems(wording=KINDS[kind], steps=(n,), **how) for kind in self.kinds for n in self.steps)
        )


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
