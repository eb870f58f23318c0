"""Which records a language model answers rightly, in the order of the source."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax import axes
from stagejax.data import Bytes
from stagejax.data.prompts.answers import Answers
from stagejax.data.sources import Record, Source
from stagejax.inference.likelihood import right_records, rows_right
from stagejax.result import Result
from stagejax.state import TrainState


@dataclass(frozen=True)
class Letters(Source):
    """Ten records: a letter and the next one, of which the odd ones have another answer."""

    split: str = "train"

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Record:
        return {"question": chr(97 + index), "solution": chr(98 + index) if index % 2 == 0 else "z"}

    def digest(self) -> str:
        return "letters"


class Successor(nnx.Module):
    """Says the letter after the one that it reads, and the end behind the answer of two letters."""

    def __init__(self) -> None:
        self.scale = axes.param(jnp.ones(()))

    def __call__(self, tokens_BT: jax.Array) -> jax.Array:
        after = jnp.where(jnp.arange(tokens_BT.shape[1]) == 1, tokens_BT + 1, 2)  # the second token is the question's
        return self.scale[...] * jax.nn.one_hot(after, 260)


@dataclass(frozen=True)
class Config:
    def build(self, rngs: nnx.Rngs) -> Successor:
        return Successor()

    def sizes(self) -> dict[str, int]:
        return {}


def test_records_come_in_the_order_of_the_source_whatever_that_of_the_rows() -> None:
    data = Answers(source=Letters(), tokenizer=Bytes(), batch=4, length=5, seed=3)
    state = TrainState(jnp.int32(0), {"scale": jnp.ones(())}, {}, None, None)
    found = right_records(Result("net", "train", "", 1, Config(), load=lambda: state), data)
    assert found["right"].tolist() == [True, False] * 5


def test_what_does_not_count_may_be_wrong() -> None:
    logits = jnp.eye(4)[jnp.array([[1, 2], [1, 2]])]
    rows = {"tokens": jnp.zeros((2, 2), int), "targets": jnp.array([[1, 3], [1, 3]]), "weights": np.ones((2, 2))}
    assert rows_right(lambda tokens: logits, rows).tolist() == [False, False]
    assert rows_right(lambda tokens: logits, rows | {"weights": np.array([[1, 0], [0, 1]])}).tolist() == [True, False]
