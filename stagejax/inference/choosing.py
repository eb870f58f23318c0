"""Tests of a language model by likelihood: which of several endings it finds likeliest, and what its features tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stagejax.inference.frozen import Frozen, apply
from stagejax.objectives.preference import answer_logprobs

Tokens = Int[np.ndarray, " _"]


def padded(
    prompts: Sequence[Tokens], endings: Sequence[Tokens], length: int
) -> dict[str, Int[np.ndarray, "n _"] | Float[np.ndarray, "n _"]]:
    """Rows of a prompt and its ending: "tokens" (n, length + 1), and "weights" (n, length), 1 at the ending's targets.

    Raises:
      ValueError: a row is longer than `length` + 1, or a prompt is empty.

    >>> padded([np.array([1, 7])], [np.array([8, 9])], 4)["weights"].tolist()
    [[0.0, 1.0, 1.0, 0.0]]
    """
    rows = {
        "tokens": np.zeros((len(prompts), length + 1), np.int32),
        "weights": np.zeros((len(prompts), length), np.float32),
    }
    for row, (prompt, ending) in enumerate(zip(prompts, endings, strict=True)):
        begin, end = len(prompt), len(prompt) + len(ending)
        if not 0 < begin or end > length + 1:
            raise ValueError(f"row {row}: {begin} tokens and {end - begin} more; a row holds 1 and more, {length + 1}")
        rows["tokens"][row, :end] = [*prompt, *ending]
        rows["weights"][row, begin - 1 : end - 1] = 1
    return rows


def ending_losses(
    net: Frozen, prompts: Sequence[Tokens], endings: Sequence[Tokens], *, length: int, batch: int = 128
) -> Float[np.ndarray, " n"]:
    """The mean loss in nats of the tokens of each ending behind its prompt, which begins as the model's documents do.

    Rows are padded to `length`, so that tests of one length share a program.

    >>> # losses = ending_losses(Frozen.of(result), [np.array([CLS, 9])], [np.array([8, 7])], length=64)
    """
    rows = padded(prompts, endings, length)
    return -apply(_logprobs, net, rows, batch) / rows["weights"].sum(-1)


def first_is_least(losses_NK: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Whether the first of k options has the lowest loss: 1, or 1 / m where m options share it; else 0.

    >>> first_is_least(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0]])).tolist()
    [1.0, 0.0, 0.5]
    """
    least_NK = losses_NK == losses_NK.min(1, keepdims=True)
    return least_NK[:, 0] / least_NK.sum(1)


def mean_features(net: Frozen, texts: Sequence[Tokens], *, length: int, batch: int = 128) -> Float[np.ndarray, "n d"]:
    """What the head reads, averaged over the tokens of each text; of `length` tokens at most.

    >>> # features = mean_features(Frozen.of(result), [np.array([CLS, 9, 8])], length=64)
    """
    tokens = np.zeros((len(texts), length), np.int32)
    mask = np.zeros((len(texts), length), bool)
    for row, text in enumerate(texts):
        tokens[row, : len(text)], mask[row, : len(text)] = text[:length], True
    return apply(_means, net, {"tokens": tokens, "mask": mask}, batch)


def _logprobs(model: Any, rows: dict[str, jax.Array]) -> jax.Array:
    return answer_logprobs(model, rows["tokens"], rows["weights"])


def _means(model: Any, rows: dict[str, jax.Array]) -> jax.Array:
    hidden_BTE, mask_BT1 = model.hidden(rows["tokens"]), rows["mask"][..., None]
    return jnp.sum(jnp.where(mask_BT1, hidden_BTE, 0), 1) / jnp.maximum(mask_BT1.sum(1), 1)
