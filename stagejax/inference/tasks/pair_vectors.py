"""Sentence pairs as a frozen encoder has them: the vectors of their tokens, made once."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.prompts.answers import Row
from stagejax.data.tasks.text_tasks import TextTask, encoded
from stagejax.data.tokenizers import PAD, Tokenizer, codec
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.result import Result


def pair_rows(length: int, embed: int) -> tuple[Row, ...]:
    """What `pair_vectors` makes of a pair, for `MadeRows`.

    >>> [row.name for row in pair_rows(40, 64)]
    ['vectors', 'length', 'label']
    """
    return (Row("vectors", (2, length, embed), "float16"), Row("length", (2,), "int32"), Row("label", (), "int32"))


def pair_vectors(
    encoder: Result, task: TextTask, positive: tuple[float, float], words: Tokenizer, length: int
) -> dict[str, np.ndarray]:
    """`vectors` (pairs, 2, length, E) in half precision, `length` (pairs, 2), how many are real, and `label`, 1 where
    that of the task is within `positive`, its least and its largest value.

    Args:
      encoder: a trained language model without causal masks.
      task: of pairs of texts.
      words: with a source of its own, such as `LearnedFrom`.

    >>> # made = run.make("vectors", pair_vectors, encoder, task, (1.0, np.inf), LearnedFrom(BPE(2048), text), 40)
    """
    pairs, code = [task.texts(index) for index in range(len(task.source))], codec(words, task.source)
    tokens = np.stack([encoded(code, [(pair[side],) for pair in pairs], length) for side in (0, 1)], 1)
    found = apply(token_vectors, Frozen.of(encoder), tokens.reshape(-1, length))
    labels = np.array([float(task.source[index][task.label]) for index in range(len(pairs))])
    return {
        "vectors": found.reshape(len(pairs), 2, length, -1),
        "length": (tokens != PAD).sum(-1).astype(np.int32),
        "label": ((positive[0] <= labels) & (labels <= positive[1])).astype(np.int32),
    }


def pair_flops(encoder: Any, length: int) -> int:
    """The matmul FLOPs of `pair_vectors` for one pair.

    >>> from stagejax.models import bert
    >>> pair_flops(bert(layers=1, embed=8, heads=2, mlp=16), 16) > 10**4
    True
    """
    return 2 * flops_of_one(token_vectors, encoder, jax.ShapeDtypeStruct((length,), np.int32))


def token_vectors(model: Any, tokens_NT: jax.Array) -> jax.Array:
    """The last hidden states (N, T, E) of an encoder, in half precision; padding is not seen."""
    return model.hidden(tokens_NT, mask=tokens_NT != PAD).astype(jnp.float16)


def thinned(made: Result, rare: int) -> dict[str, np.ndarray]:
    """Of such pairs all negatives, and one positive for `rare` of them, taken at even distances. Their order stays, so
    that positives are as rare among the first rows as in the whole.

    Raises:
      ValueError: there are fewer positives than that.
    """
    label = made.value["label"]
    negative, positive = np.flatnonzero(label == 0), np.flatnonzero(label == 1)
    count = len(negative) // rare
    if count > len(positive):
        raise ValueError(f"1 positive for {rare} negatives are {count}, and there are {len(positive)}: raise `rare`")
    kept = np.sort(np.concatenate([negative, positive[np.arange(count) * len(positive) // max(count, 1)]]))
    return {name: array[kept] for name, array in made.value.items()}
