"""The objective of exact answers: it agrees with what is said, text by text."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from stagejax.data.prompts.answers import PromptedText
from stagejax.data.prompts.word_tasks import WordTask, WordTaskPrompts, word_task_tokenizer
from stagejax.decode import Recomputed
from stagejax.inference.prompts.own_examples import END_TOKEN
from stagejax.inference.prompts.word_answers import exact

CODE = word_task_tokenizer()
WORDS = ("a b c d", "d c b a", "e e f f", "l a l a")


def batch_of(task: WordTask) -> dict[str, np.ndarray]:
    source = WordTaskPrompts(task, (), WORDS)
    return PromptedText(source=source, tokenizer=CODE, batch=4, length=24, beside=source.gold, count=1).take(
        np.arange(4)
    )


def saying(*texts: str) -> Recomputed:
    """A model that says one text behind the first "=" of a prompt, by its place in the batch, whatever it reads."""
    told = np.zeros((len(texts), 6), np.int32)
    for row, text in zip(told, texts, strict=True):
        (ids,) = CODE.encode([text])
        row[: len(ids)] = ids
    (equals,) = CODE.encode(["="])[0]

    def logits(tokens: jax.Array, _: object) -> jax.Array:
        said = (tokens == equals).cumsum(1)
        place = jax.numpy.clip(said.cumsum(1) - 1, 0, 5)  # how many tokens behind the mark
        return 50 * jax.nn.one_hot(jax.numpy.take_along_axis(jax.numpy.asarray(told), place, axis=1), CODE.vocab)

    return Recomputed(logits)


@pytest.mark.parametrize("task", [WordTask("plain", "reversed", "same"), WordTask("plain", "first", "hue")])
def test_an_output_is_right_word_for_word_and_with_its_end(task: WordTask) -> None:
    batch = batch_of(task)
    answers = [f"{CODE.decode([batch[name][row] for name in WordTaskPrompts.gold])}" for row in range(4)]
    loss, metrics = exact(saying(*answers), batch, None)
    assert float(loss) == 0
    assert metrics["accuracy"] == (4, 4)
    wrong = [*answers[:2], answers[2].replace(" ;", " a ;"), "same ;"]  # one goes on, one is another word
    loss, metrics = exact(saying(*wrong), batch, None)
    assert float(loss) == 0.5
    words = sum(int((batch[name] > 0).sum()) for name in WordTaskPrompts.gold) - 4
    right = words - len(answers[3].split()) + 1
    assert (int(metrics["letters"][0]), int(metrics["letters"][1])) == (right, words)
    assert END_TOKEN in batch["gold1"] or END_TOKEN in batch["gold4"]
