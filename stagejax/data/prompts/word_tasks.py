"""Tasks on short words, told by an instruction in words: change the word, or say what one of its letters is like.

A task is a kind of words and a rule of two parts, such as "turn one early word reversed into next letters" or "name
the hue of the last letter of one twin word". Rules are compositions, so some of them can be held out for a model that
has seen both of their parts, each with others. Every letter is a word of the language, as the markers are.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.tokenizers import CLS
from stagejax.data.vocabulary.words import Words

SIZE = 4  # letters of a word
LETTERS = tuple(string.ascii_lowercase[:12])
CAPITALS = tuple(string.ascii_uppercase[:12])
OUTPUT, END = "=", ";"
Word = tuple[int, ...]  # numbers of letters
_EARLY, _LATE, _ANY = range(6), range(6, 12), range(12)

#: Of which letters a word of each kind is, place by place; the two in the middle of a twin are equal.
KINDS = {
    "plain": (_ANY,) * 4,
    "early": (_EARLY,) * 4,
    "late": (_LATE,) * 4,
    "twin": (_ANY,) * 4,
    "rising": (_EARLY, _EARLY, _LATE, _LATE),
}
#: Where the letters of a word go.
ORDERS: dict[str, tuple[int, ...]] = {
    "unchanged": (0, 1, 2, 3),
    "reversed": (3, 2, 1, 0),
    "rotated": (1, 2, 3, 0),
    "swapped": (1, 0, 3, 2),
    "crossed": (2, 3, 0, 1),
}
#: What becomes of each letter: small ones are 0 to 11, capitals 12 to 23.
LETTERINGS: dict[str, Callable[[int], int]] = {
    "same": lambda letter: letter,
    "next": lambda letter: (letter + 1) % 12,
    "opposite": lambda letter: 11 - letter,
    "capital": lambda letter: letter + 12,
}
#: Which letter of a word is asked about.
PLACES = {"first": 0, "second": 1, "third": 2, "last": 3}
#: Four names for letters, and which one a letter has.
QUALITIES: dict[str, tuple[tuple[str, ...], Callable[[int], int]]] = {
    "hue": (("red", "green", "blue", "white"), lambda letter: letter % 4),
    "shape": (("round", "square", "flat", "pointed"), lambda letter: letter // 3),
    "taste": (("sweet", "sour", "salty", "bitter"), lambda letter: (letter // 2 + letter) % 4),
}
_TURN, _NAME, _INVENT = (
    "turn one {0} word {1} into {2} letters",
    "name the {2} of the {1} letter of one {0} word",
    "invent",
)


@dataclass(frozen=True)
class WordTask:
    """A kind of words and a rule: an order and a lettering, or a place and a quality.

    Raises:
      ValueError: an unknown kind, or parts that are no rule.

    >>> task = WordTask("plain", "reversed", "next")
    >>> task.instruction, task.answer("a b c l"), task.labels
    ('turn one plain word reversed into next letters', 'a d c b', ())
    >>> WordTask("early", "last", "hue").answer("a b c f")
    'green'
    """

    kind: str
    first: str
    second: str

    def __post_init__(self) -> None:
        turns, names = self.first in ORDERS and self.second in LETTERINGS, self.first in PLACES
        if self.kind not in KINDS or not (turns or (names and self.second in QUALITIES)):
            raise ValueError(
                f"{self}: give a kind of {sorted(KINDS)}, and an order of {sorted(ORDERS)} with a lettering of "
                f"{sorted(LETTERINGS)}, or a place of {sorted(PLACES)} with a quality of {sorted(QUALITIES)}"
            )

    @property
    def rule(self) -> tuple[str, str]:
        """Both parts."""
        return self.first, self.second

    @property
    def name(self) -> str:
        """Rule and kind in one word.

        >>> WordTask("early", "first", "hue").name
        'first-hue-early'
        """
        return "-".join((*self.rule, self.kind))

    @property
    def labels(self) -> tuple[str, ...]:
        """What can be answered, if that is one of a few names; empty if the answer is a word."""
        return QUALITIES[self.second][0] if self.first in PLACES else ()

    @property
    def instruction(self) -> str:
        """What is to be done, in words."""
        return (_NAME if self.labels else _TURN).format(self.kind, *self.rule)

    def answer(self, word: str) -> str | None:
        """The true answer; None for what is no word."""
        if not all(letter in LETTERS for letter in word.split()) or len(word.split()) != SIZE:
            return None
        letters = [LETTERS.index(letter) for letter in word.split()]
        if self.labels:
            return self.labels[QUALITIES[self.second][1](letters[PLACES[self.first]])]
        both = (*LETTERS, *CAPITALS)
        return " ".join(both[LETTERINGS[self.second](letters[place])] for place in ORDERS[self.first])

    def pairs(self, words: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Words with their true answers."""
        return tuple((word, self.answer(word) or "") for word in words)

    def fits(self, word: str) -> bool:
        """Whether a text is a word of the task's kind."""
        letters = [LETTERS.index(letter) if letter in LETTERS else -1 for letter in word.split()]
        return (
            len(letters) == SIZE
            and all(letter in some for letter, some in zip(letters, KINDS[self.kind], strict=True))
            and (self.kind != "twin" or letters[1] == letters[2])
        )

    def drawn(self, count: int, draws: np.random.Generator) -> list[str]:
        """Words of its kind, which may be equal."""
        found = []
        for _ in range(count):
            letters = [int(draws.choice(some)) for some in KINDS[self.kind]]
            if self.kind == "twin":
                letters[2] = letters[1]
            found.append(" ".join(LETTERS[letter] for letter in letters))
        return found


def all_rules() -> tuple[tuple[str, str], ...]:
    """Every rule that does something: 19 of changing words, 12 of naming letters.

    >>> len(all_rules())
    31
    """
    turns = [rule for rule in itertools.product(ORDERS, LETTERINGS) if rule != ("unchanged", "same")]
    return (*turns, *itertools.product(PLACES, QUALITIES))


def word_task_tokenizer() -> Words:
    """One token for each word of instructions, letter, label and marker."""
    told = f"{_TURN} {_NAME} {_INVENT}".split()
    names = [label for labels, _ in QUALITIES.values() for label in labels]
    words = (*(w for w in told if "{" not in w), *KINDS, *ORDERS, *LETTERINGS, *PLACES, *QUALITIES, *names)
    return Words(tuple(dict.fromkeys((OUTPUT, END, *LETTERS, *CAPITALS, *words))))


def prompt_for_answer(task: WordTask, shown: Sequence[tuple[str, str]], word: str) -> str:
    """The instruction, demonstrations and an input whose output is to be said.

    >>> prompt_for_answer(WordTask("plain", "reversed", "same"), [("a b c d", "d c b a")], "d e f g")
    'turn one plain word reversed into same letters ; a b c d = d c b a ; d e f g ='
    """
    told = [f"{one} {OUTPUT} {said} {END}" for one, said in shown]
    return " ".join([task.instruction, END, *told, word, OUTPUT])


def prompt_for_input(task: WordTask, shown: Sequence[str], labels: Sequence[str] = (), label: str | None = None) -> str:
    """The instruction and inputs; another one is to be invented, perhaps one whose output is `label`.

    >>> task = WordTask("plain", "first", "hue")
    >>> prompt_for_input(task, ["a b c d"])
    'invent name the hue of the first letter of one plain word ; a b c d ;'
    >>> prompt_for_input(task, ["a b c d"], ["red"], "blue")
    'invent name the hue of the first letter of one plain word ; red = a b c d ; blue ='
    """
    told = [f"{word} {END}" for word in shown]
    if label is not None:
        told = [f"{own} {OUTPUT} {word}" for own, word in zip(labels, told, strict=True)] + [f"{label} {OUTPUT}"]
    return " ".join([_INVENT, task.instruction, END, *told])


@dataclass(frozen=True)
class WordTaskPrompts(Source):
    """Inputs of a task behind demonstrations: {"question": the prompt, "solution": the true answer, "gold0", ...}.

    Integers "gold0" to "gold4" are the tokens of the answer and its end, 0 behind them.

    Args:
      shown: demonstrations, (input, output) each.
      words: the inputs.

    Raises:
      ValueError: an input that is no word, which has no true answer.

    >>> source = WordTaskPrompts(WordTask("plain", "first", "hue"), (), ("a b c d",))
    >>> source[0]["solution"], [source[0][name] for name in source.gold]
    ('red', [61, 5, 0, 0, 0])
    """

    task: WordTask
    shown: tuple[tuple[str, str], ...]
    words: tuple[str, ...]
    split: str = "test"
    gold: ClassVar[tuple[str, ...]] = tuple(f"gold{place}" for place in range(SIZE + 1))

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int) -> Record:
        answer = self.task.answer(self.words[index])
        if answer is None:
            raise ValueError(f"{self.words[index]!r} is no word of {SIZE} letters: it has no answer")
        (ids,) = word_task_tokenizer().encode([f"{answer} {END}"])
        prompt = prompt_for_answer(self.task, self.shown, self.words[index])
        padded = np.pad(ids, (0, SIZE + 1 - len(ids))).tolist()
        return {"question": prompt, "solution": answer, **dict(zip(self.gold, padded, strict=True))}

    def digest(self) -> str:
        return joint_digest(str(self))


@dataclass(frozen=True, kw_only=True)
class WordTaskRows(Data):
    """Rows of many tasks in the forms of both prompts, each row one task: for pre-training.

    A row begins with CLS and the instruction, and has as many examples as fit. In `answered` of all rows outputs are
    learned; in the others inputs, half of those of tasks with labels behind their outputs. A batch has "tokens" and
    "targets", int32 (batch, length), and "weights", 0 on what is not learned. Rows are endless, and row n is a function
    of the declaration and n.

    Args:
      rules: of the tasks; every kind of words goes with each.
      length: tokens in a row.
      answered: share of the rows.

    >>> data = WordTaskRows(rules=(("reversed", "next"),), batch=2, length=40)
    >>> row = data.take(np.arange(1))
    >>> word_task_tokenizer().decode(row["tokens"][0])[-39:]
    'b e j l = a k f c ; d d l k = l a e e ;'
    """

    rules: tuple[tuple[str, str], ...]
    batch: int
    length: int
    answered: float = 0.75
    seed: int = 0
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        kinds = {"tokens": "int32", "targets": "int32", "weights": "float32"}
        return {name: jax.ShapeDtypeStruct((self.length,), np.dtype(kind)) for name, kind in kinds.items()}

    def size(self) -> int:
        return 1 << 40

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        tokens = np.zeros((len(numbers), self.length + 1), np.int32)
        weights = np.zeros((len(numbers), self.length), np.float32)
        for row, number in enumerate(numbers.tolist()):
            self._fill(np.random.default_rng([self.seed, number]), tokens[row], weights[row])
        return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}

    def digest(self) -> str:
        return joint_digest(str(self), word_task_tokenizer().digest())

    def _fill(self, draws: np.random.Generator, tokens: np.ndarray, weights: np.ndarray) -> None:
        """One row, written into `tokens` (length + 1) and `weights` (length)."""
        kind = list(KINDS)[int(draws.integers(len(KINDS)))]
        task, code = WordTask(kind, *self.rules[int(draws.integers(len(self.rules)))]), word_task_tokenizer()
        answered, told = draws.random() < self.answered, bool(draws.integers(2)) and bool(task.labels)
        begun = prompt_for_answer(task, (), "") if answered else prompt_for_input(task, ())
        head = begun.split()[: begun.split().index(END) + 1]
        (ids,) = code.encode([" ".join(head)])
        tokens[0], tokens[1 : len(ids) + 1], at = CLS, ids, len(ids) + 1
        while True:
            (word,) = task.drawn(1, draws)
            said = task.answer(word) or ""
            parts = [f"{word} {OUTPUT}", f"{said} {END}"]
            if not answered:
                parts = [f"{said} {OUTPUT}" if told else "", f"{word} {END}"]
            given, learned = code.encode(parts)
            end = at + len(given) + len(learned)
            if end > len(tokens):
                return
            tokens[at:end] = np.concatenate([given, learned])
            weights[at + len(given) - 1 : end - 1] = 1
            at = end
