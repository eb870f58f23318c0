"""Tests of a language model by likelihood: which of several endings it finds likeliest, and what its features tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stagejax.inference.frozen import Frozen, apply
from stagejax.objectives.probing import probe_accuracy
from stagejax.objectives.rewards.preference import answer_logprobs

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
        if begin < 1 or end > length + 1:
            raise ValueError(f"row {row}: {begin} tokens and {end - begin} more, but it holds 1 to {length + 1}")
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


@dataclass(frozen=True, eq=False)
class Endings:
    """Questions, one an item: which of several endings follows a text, of some source, that breaks off.

    Attributes:
      owners: the source of each item.
      strangers: another source.
      texts: (items, size), whole.
      options: (items, 7, ending): the true ending, three of other sources, three of other texts of its own.
    """

    owners: Int[np.ndarray, " items"]
    strangers: Int[np.ndarray, " items"]
    texts: Int[np.ndarray, "items size"]
    options: Int[np.ndarray, "items 7 ending"]


def draw_endings(
    pools: Sequence[Int[np.ndarray, "_ size"]], known: Sequence[int], *, context: int, each: int, seed: int = 0
) -> Endings:
    """The first `each` texts of every source, to be continued behind `context` tokens.

    The other options are drawn at random: of three other sources, a text of each; and three texts of its own. So is the
    stranger, among the `known` sources.

    Raises:
      ValueError: there are less than four sources, four texts of a source, or two known sources.

    >>> pools = [np.full((5, 4), place) for place in range(4)]
    >>> made = draw_endings(pools, range(4), context=3, each=2)
    >>> made.options[0, :, 0].tolist()[0], sorted(made.options[0, 1:4, 0].tolist()), made.options[0, 4:, 0].tolist()
    (0, [1, 2, 3], [0, 0, 0])
    """
    if len(pools) < 4 or min(map(len, pools)) < 4 or len(set(known)) < 2:
        raise ValueError(
            f"sources of {[len(pool) for pool in pools]} texts, {len(set(known))} known: 4 sources of 4 texts or more "
            "are needed, 2 of them known"
        )
    rng, items = np.random.default_rng(seed), []
    for owner, pool in enumerate(pools):
        for i in range(min(len(pool), each)):
            others = rng.permutation(np.delete(np.arange(len(pools)), owner))[:3]
            own = pool[rng.permutation(np.delete(np.arange(len(pool)), i))[:3]]
            options = np.stack([pool[i], *(rng.choice(pools[other]) for other in others), *own])[:, context:]
            items.append((owner, rng.choice([place for place in known if place != owner]), pool[i], options))
    return Endings(*(np.array(column) for column in zip(*items, strict=True)))


def probe_texts(
    net: Frozen,
    texts: Sequence[Tokens],
    labels: Sequence[int],
    parts: Sequence[str],
    *,
    length: int,
    decays: Sequence[float] = (1e-3, 1e-2, 1e-1),
) -> float:
    """The test accuracy of a linear classifier on the mean features of texts.

    Args:
      texts: as the model's documents begin; `length` tokens of each are read.
      labels: 0, 1, ...
      parts: "train", "valid" (which chooses the weight decay) or "test", one a text.

    >>> # accuracy = probe_texts(Frozen.of(result), texts, labels, parts, length=64)
    """
    features, own, part = mean_features(net, texts, length=length), np.array(labels, np.int32), np.array(parts)
    chosen = [part == name for name in ("train", "valid", "test")]
    return probe_accuracy([features[c] for c in chosen], [own[c] for c in chosen], decays, classes=int(own.max()) + 1)


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
