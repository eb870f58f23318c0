"""A closed language of number words: texts about them, and instructions what to do with a list of them.

A list can be continued in three ways, told by the first word: "then" goes up by one in every place, "before" goes down
by one, "back" says the list backwards. The list's first number makes one of them likely and the two others rare. So
every word of a list is in each of its continuations, and no continuation is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int32

from stagejax.data.order import random_words, uniforms
from stagejax.data.pipeline import joint_digest
from stagejax.data.prompts.answers import answer_row
from stagejax.data.sources import Record, Source
from stagejax.data.tokenizers import CLS, MASK, SEP
from stagejax.data.vocabulary.words import Words

ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
FRENCH = ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf")
WAYS = ("then", "before", "back")
LIKELY = 0.6  # probability of a list's own way to be continued
Numbers = Sequence[int]


def spelled(numbers: Numbers, words: Sequence[str] = ENGLISH) -> str:
    """Numbers as words.

    >>> spelled([3, 1]), spelled([3, 1], GERMAN)
    ('three one', 'drei eins')
    """
    return " ".join(words[int(number)] for number in numbers)


def continuation(numbers: Numbers, way: int) -> str:
    """How a list goes on.

    >>> [continuation([3, 0], way) for way in range(3)]
    ['then four one', 'before two nine', 'back zero three']
    """
    own = ([(n + 1) % 10 for n in numbers], [(n - 1) % 10 for n in numbers], list(numbers)[::-1])[way]
    return f"{WAYS[way]} {spelled(own)}"


def drawn_way(numbers: Numbers, chance: float) -> int:
    """The way of a continuation: that of the first number with probability `LIKELY`, else one of the two others.

    >>> [drawn_way([4, 2], chance) for chance in (0.1, 0.7, 0.9)]
    [1, 2, 0]
    """
    others = int(chance >= LIKELY) + int(chance >= (1 + LIKELY) / 2)
    return (int(numbers[0]) + others) % 3


#: What is asked with words, and the answer to a list of numbers; a continuation has no single one.
INSTRUCTIONS: dict[str, str] = {
    "continue": "go on with",
    "repeat": "repeat",
    "reverse": "say backwards",
    "German": "translate to german",
    "French": "translate to french",
    "sum": "add up",
    "parity": "even or odd",
    "largest": "largest of",
    "sort": "put in order",
}
ANSWERS: dict[str, Callable[[Numbers], str]] = {
    "repeat": spelled,
    "reverse": lambda numbers: spelled(list(numbers)[::-1]),
    "German": lambda numbers: spelled(numbers, GERMAN),
    "French": lambda numbers: spelled(numbers, FRENCH),
    "sum": lambda numbers: ENGLISH[sum(map(int, numbers)) % 10],  # modulo ten
    "parity": lambda numbers: ("even", "odd")[sum(map(int, numbers)) % 2],  # of the sum
    "largest": lambda numbers: ENGLISH[max(map(int, numbers))],
    "sort": lambda numbers: spelled(sorted(numbers)),
}
HUMAN, ASSISTANT = "human:", "assistant:"
_TEXT = ("plus", "is", "than", "more", "and", "or", "means", "order", ".")


def vocabulary() -> Words:
    """One token a word.

    >>> vocabulary().vocab
    65
    """
    asked = " ".join(INSTRUCTIONS.values()).split()
    words = (HUMAN, ASSISTANT, *ENGLISH, *GERMAN, *FRENCH, *WAYS, "even", "odd", *asked, *_TEXT)
    return Words(tuple(dict.fromkeys(words)))


def asked(instruction: str, said: str) -> str:
    """A prompt: what a human asks about a list in words, up to the assistant's turn.

    >>> asked("sum", "three one")
    'human: add up three one assistant:'
    """
    return " ".join(f"{HUMAN} {INSTRUCTIONS[instruction]} {said} {ASSISTANT}".split())


def answered(instruction: str, numbers: Numbers, chance: float) -> str:
    """The answer; `chance`, from 0 to 1, draws that of "continue".

    >>> answered("sum", [7, 5], 0.0), answered("continue", [7, 5], 0.0)
    ('two', 'before six four')
    """
    if instruction == "continue":
        return continuation(numbers, drawn_way(numbers, chance))
    return ANSWERS[instruction](numbers)


@dataclass(frozen=True)
class NumberTasks(Source):
    """Instructions with answers: {"question", "solution", "instruction", "numbers"}.

    Lists have `words` numbers, or, for a share `longer` of instructions whose answers are lists, up to `longest`.

    Args:
      words: least and most numbers of a list.
      seed: of the draws; the test split has others.

    >>> record = NumberTasks()[4]
    >>> record["question"], record["solution"]
    ('human: put in order zero three assistant:', 'zero three')
    """

    split: str = "train"
    size: int = 10_000
    words: tuple[int, int] = (2, 5)
    longest: int = 12
    longer: float = 0.3
    instructions: tuple[str, ...] = tuple(INSTRUCTIONS)
    seed: int = 0

    def of_split(self, split: str) -> Source:
        return replace(self, split=split, longer=0.0 if split == "test" else self.longer)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        seed = 2 * self.seed + int(self.split != "train")
        draws = uniforms(random_words(seed, np.array([index]), 4 + self.longest)[0])
        instruction = self.instructions[int(draws[0] * len(self.instructions))]
        least, most = self.words
        lists = instruction not in ("sum", "parity", "largest", "sort")
        most = self.longest if lists and draws[1] < self.longer else most
        numbers = (draws[4 : 4 + least + int(draws[2] * (most - least + 1))] * 10).astype(int).tolist()
        question, solution = asked(instruction, spelled(numbers)), answered(instruction, numbers, draws[3])
        return {"question": question, "solution": solution, "instruction": instruction, "numbers": numbers}

    def digest(self) -> str:
        return joint_digest(str(self))


@dataclass(frozen=True)
class NumberTexts(Source):
    """Texts of so many words: counting, mirrored lists, continued lists, sums, order, words in three languages.

    >>> NumberTexts(words=16)[3]["text"]
    'two plus four is six . nine zero one two three four .'
    """

    split: str = "train"
    size: int = 4000
    words: int = 30
    seed: int = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.size:
            raise IndexError(f"record {index} of {self.size}")
        seed = 2 * self.seed + int(self.split != "train")
        draws = iter(uniforms(random_words(seed, np.array([index]), 16 * self.words)[0]))
        text: list[str] = []
        while len(sentence := _sentence(lambda below: int(next(draws) * below)).split()) <= self.words - len(text):
            text += sentence
        return {"title": "", "text": " ".join(text or sentence[: self.words])}

    def digest(self) -> str:
        return joint_digest(str(self))


def _sentence(below: Callable[[int], int]) -> str:
    """One sentence, by draws of a whole number below another."""
    kind, count = below(6), 2 + below(5)
    numbers = [below(10) for _ in range(count)]
    first, second = numbers[:2]
    return (
        lambda: f"{spelled([(first + k) % 10 for k in range(count)])} .",
        lambda: f"{spelled(numbers)} back {spelled(numbers[::-1])} .",
        lambda: f"{spelled(numbers)} {continuation(numbers, drawn_way(numbers, below(1000) / 1000))} .",
        lambda: f"{ENGLISH[first]} plus {ENGLISH[second]} is {ENGLISH[(first + second) % 10]} .",
        lambda: f"{ENGLISH[max(first, second)]} or more than {ENGLISH[min(first, second)]} .",
        lambda: f"{spelled(numbers)} means {spelled(numbers, (GERMAN, FRENCH)[below(2)])} .",
    )[kind]()


def spoken_prompt(instruction: str, slots: int) -> Int32[np.ndarray, " P"]:
    """The tokens of a prompt in which so many marks (MASK) stand in the place of the list.

    >>> spoken_prompt("repeat", 2).tolist()
    [1, 4, 43, 3, 3, 5]
    """
    before, behind = vocabulary().encode(asked(instruction, "|").split(" | "))
    return np.concatenate([[CLS], before, [MASK] * slots, behind]).astype(np.int32)


def spoken_rows(
    lessons: Sequence[tuple[str, str]],
    lists: Sequence[Numbers],
    slots: Sequence[int],
    most: int,
    sizes: tuple[int, int],
) -> dict[str, np.ndarray]:
    """Rows to learn answers from, about lists that are heard: one for each utterance.

    Args:
      lessons: instruction and answer.
      lists: the numbers that are said.
      slots: vectors of each utterance, and `most` of any.
      sizes: tokens of a prompt and of an answer, at most.

    Returns:
      "tokens", "targets" (n, T) and "weights" as in `data.prompts.answers`; and "aligned" (n, most): of each
      vector the word that is said meanwhile, were all words equally long.

    >>> rows = spoken_rows([("repeat", "six one")], [[6, 1]], [3], 4, (8, 4))
    >>> rows["tokens"][0].tolist(), rows["aligned"].tolist()
    ([1, 4, 43, 3, 3, 3, 5, 12, 7, 2, 0, 0], [[12, 12, 7, 0]])
    """
    code, rows = vocabulary(), []
    said = code.encode([spelled(numbers) for numbers in lists])
    for (instruction, answer), words, count in zip(lessons, said, slots, strict=True):
        target = np.concatenate([code.encode([answer])[0], np.int32([SEP])])
        tokens, weights = answer_row(spoken_prompt(instruction, count), target, sum(sizes))
        aligned = np.zeros(most, np.int32)
        aligned[:count] = words[np.arange(count) * len(words) // count]
        rows.append({"tokens": tokens[:-1], "targets": tokens[1:], "weights": weights, "aligned": aligned})
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
