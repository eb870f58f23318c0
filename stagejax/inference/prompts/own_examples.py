"""Examples of a word task that a language model writes itself, from an instruction and a few demonstrations.

First inputs, then several outputs to each, then what is kept of both: the steps of SELF-GUIDE. `pool` and `answered`
are functions for `run.make`.

Reference: Zhao et al. 2024 (SELF-GUIDE), https://arxiv.org/abs/2407.12874, section 3, and its published code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stagejax.data.prompts.answers import answer_row
from stagejax.data.prompts.pair_filters import balanced, clean, known_label, most_frequent, of_usual_length
from stagejax.data.prompts.word_tasks import (
    END,
    OUTPUT,
    SIZE,
    WordTask,
    prompt_for_answer,
    prompt_for_input,
    word_task_tokenizer,
)
from stagejax.data.tokenizers import CLS
from stagejax.inference.continuing import GREEDY, Sampling
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts.inventing import Drawing, Inventing, drawn, invented
from stagejax.result import Result

ANSWER = SIZE + 1  # tokens of an output with its end
END_TOKEN = int(word_task_tokenizer().encode([END])[0][0])
MARKS = (OUTPUT, END, "invent", "turn", "name", "letters", "letter")  # words of prompts, that inputs must not have
Pair = tuple[str, str]  # input and output


@dataclass(frozen=True)
class Given:
    """A task as a user gives it: its instruction and demonstrations; and the words that it is tested on.

    The latter are in no prompt, and pairs that have one of them by chance are dropped.
    """

    task: WordTask
    shown: tuple[Pair, ...]
    tested: tuple[str, ...] = ()
    seed: int = 0  # of all draws

    def prompt(self, word: str) -> str:
        """Instruction, demonstrations and an input."""
        return prompt_for_answer(self.task, self.shown, word)

    def invite(self, examples: Sequence[Pair], label: str | None) -> str:
        """A prompt for one more input, perhaps one of a label."""
        return prompt_for_input(self.task, [text for text, _ in examples], [said for _, said in examples], label)

    def usual_input(self, text: str) -> bool:
        """The filter of inputs: no words of prompts; where outputs are labels, as long as demonstrations are."""
        usual = not self.task.labels or of_usual_length(text, [word for word, _ in self.shown])
        return clean(text, MARKS) and usual

    def usual_output(self, text: str) -> bool:
        """The filter of outputs: no words of prompts; where outputs are words, as long as demonstrated ones."""
        usual = bool(self.task.labels) or of_usual_length(text, [said for _, said in self.shown])
        return clean(text, MARKS) and usual


@dataclass(frozen=True)
class Writing:
    """How examples are written.

    >>> Writing().outputs(n=1).how.temperature
    0.2
    """

    rounds: int = 20  # of 10 prompts for inputs
    earlier: int = 4  # most invented inputs in such a prompt
    temperatures: tuple[float, float] = (0.7, 0.2)  # of inputs and outputs
    cuts: tuple[int, int] = (40, 10)  # top-k of both
    n: int = 10  # outputs drawn to each input
    frequency: float = 0.3  # least share of the most frequent one
    prompts: tuple[int, int] = (68, 51)  # tokens that prompts for inputs and for outputs are padded to

    def inputs(self, labels: tuple[str, ...] = ()) -> Inventing:
        """How inputs are invented."""
        how = Sampling(temperature=self.temperatures[0], top_k=self.cuts[0])
        drawing = Drawing(prompt=self.prompts[0], limit=SIZE + 2, stop=END_TOKEN, how=how)
        return Inventing(drawing, self.rounds, self.earlier, labels)

    def outputs(self, n: int | None = None, greedy: bool = False) -> Drawing:
        """How `n` outputs are drawn."""
        how = GREEDY if greedy else Sampling(temperature=self.temperatures[1], top_k=self.cuts[1])
        sizes = {"prompt": self.prompts[1], "limit": ANSWER, "stop": END_TOKEN, "batch": 32}
        return Drawing(n=self.n if n is None else n, how=how, **sizes)

    def flops(self, config: Any) -> tuple[float, float]:
        """FLOPs of all inputs of a task, and of the outputs to as many."""
        inputs = self.inputs()
        return inputs.flops(config), self.rounds * inputs.drawing.batch * self.outputs().flops(config)


def pool(base: Result, writing: Writing, given: Given, told: bool) -> dict[str, Any]:
    """Invented "inputs", the "labels" that they were to have, whether they passed the filter, "kept"; and "outputs".

    Args:
      told: whether each prompt for an input asks for a label of the task's.
    """
    net, how = Frozen.of(base), writing.inputs(given.task.labels if told else ())
    found = invented(net, word_task_tokenizer(), how, given.invite, given.shown, given.usual_input, given.seed)
    texts, labels, kept = ([getattr(one, name) for one in found] for name in ("text", "label", "kept"))
    return {"inputs": texts, "labels": labels, "kept": kept, "outputs": _outputs(net, writing, given, texts)}


def answered(base: Result, writing: Writing, given: Given, other: Result) -> dict[str, Any]:
    """The inputs of another task that passed the filter, in the form of `pool`, with outputs for this task."""
    texts = [text for text, kept in zip(other.value["inputs"], other.value["kept"], strict=True) if kept]
    said = _outputs(Frozen.of(base), writing, given, texts)
    return {"inputs": texts, "labels": [], "kept": [True] * len(texts), "outputs": said}


def _outputs(net: Frozen, writing: Writing, given: Given, texts: Sequence[str]) -> list[list[str]]:
    prompts = [given.prompt(text) for text in texts]
    return drawn(net, word_task_tokenizer(), prompts, writing.outputs(), given.seed)


def drawn_tokens(value: Mapping[str, Any]) -> int:
    """Tokens of the outputs of `pool` with their ends, and of its inputs.

    >>> drawn_tokens({"inputs": ["a b c d"], "labels": ["red"], "outputs": [["red", "red"]]})
    9
    """
    texts = [one for said in value["outputs"] for one in said] + (value["inputs"] if value["labels"] else [])
    return sum(len(text.split()) + 1 for text in texts)


def kept_pairs(
    writing: Writing, given: Given, value: Mapping[str, Any], vote: bool = True, filtered: bool = True
) -> list[Pair]:
    """The pairs that are learned: filters of form, self-consistency, known labels, classes of one size; no test words.

    Args:
      value: of `pool`.
      vote: take the most frequent output if it is frequent enough, or the first one drawn.
      filtered: by length and by words that are not to be there.

    >>> given = Given(WordTask("plain", "reversed", "same"), (("a b c d", "d c b a"),))
    >>> value = {"inputs": ["a a b b", "a b a b"], "kept": [True, True]}
    >>> value["outputs"] = [["b a a a", "b b a a", "b b a a"], ["b a", "b a", "b a b a"]]
    >>> kept_pairs(Writing(n=3), given, value), kept_pairs(Writing(n=3), given, value, vote=False)
    ([('a a b b', 'b b a a'), ('a b a b', 'b a b a')], [('a a b b', 'b a a a')])
    """
    labels, pairs = given.task.labels, []
    for text, kept, said in zip(value["inputs"], value["kept"], value["outputs"], strict=True):
        good = [one if not filtered or given.usual_output(one) else "" for one in said]
        output, share = most_frequent(good) if vote else (good[0], 1.0)
        last = known_label(output, labels) if labels else output
        if (kept or not filtered) and text not in given.tested and share >= writing.frequency - 1e-9 and last:
            pairs.append((text, last))
    return balanced(pairs, np.random.default_rng([9, given.seed])) if labels else pairs


def rows_of(given: Given, pairs: Sequence[Pair], length: int) -> dict[str, np.ndarray]:
    """Rows [CLS, prompt, output, end], of which output and end are learned: "tokens", "targets" and "weights".

    Without pairs: the demonstrations in turn, each behind the others, so that no answer stands in its own prompt.

    Args:
      length: tokens in a row.

    >>> given = Given(WordTask("plain", "first", "hue"), (("a b c d", "red"), ("b a c d", "green")))
    >>> rows_of(given, [], 32)["weights"].sum(1).tolist()
    [2.0, 2.0]
    """
    code, rows = word_task_tokenizer(), []
    spared = [(Given(given.task, tuple(own for own in given.shown if own != one)), one) for one in given.shown]
    for own, (text, output) in [(given, pair) for pair in pairs] or spared:
        prompt, answer = code.encode([own.prompt(text), f"{output} {END}"])
        rows.append(answer_row(np.concatenate([np.int32([CLS]), prompt]), answer, length))
    tokens, weights = (np.stack(part) for part in zip(*rows, strict=True))
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": weights}
