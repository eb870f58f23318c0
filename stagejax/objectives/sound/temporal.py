"""Temporal contrast: a clip against its time-reversed captions, and tests of whether order is understood.

Letters: B items, R = 2 B rows (those of all items, then those of their second halves), N events, J joint space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.retrieval.retrieval import zero_shot

_NEVER = -1e9  # a logit that no softmax sees


def tnce(
    logits_RR: Float[Array, "R R"],
    *,
    same: float = 1.0,
    cross: float = 1.0,
    reversed_weight: float = 1.0,
    present_R: Bool[Array, " R"] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """Temporal noise-contrastive estimation, in nats: InfoNCE in both directions with weighted reversed negatives.

    Row r < B is clip u with caption t, row r + B its time reversal T(u) with T(t). Of a row of the first half

        -log e^s(u, t) / (sum_t' e^s(u, t') + same e^s(u, T(t)) + cross sum_{t' != t} e^s(u, T(t')))

    with t' over all captions of the half, and alike for captions and for the second half.

    Args:
      logits_RR: similarities over temperature of all clips (rows) and captions (columns).
      same, cross: weights of what is reversed as negatives: of the pair itself, of the others. 0 takes them away.
      reversed_weight: beta, the weight of rows of the second half.
      present_R: False of rows that there are not: neither do they count, nor are they a negative.

    Returns:
      The mean of both directions, and the pairs (sum, weight) `loss` and `accuracy`.

    Reference: Bagad et al. 2023 (Test of Time), https://arxiv.org/abs/2301.02074, equations 3 and 4.

    >>> loss, _ = tnce(jnp.zeros((6, 6)), same=2.0, cross=0.5)
    >>> bool(jnp.allclose(loss, jnp.log(3 + 2 + 2 * 0.5)))
    True
    """
    rows = logits_RR.shape[0]
    if rows % 2:
        raise ValueError(f"{rows} rows are no items and their reversals: there must be as many of each")
    half = np.arange(rows) // (rows // 2)
    apart = half[:, None] != half[None, :]
    own = np.arange(rows)[:, None] % (rows // 2) == np.arange(rows)[None, :] % (rows // 2)
    with np.errstate(divide="ignore"):
        weights = np.maximum(np.log(np.where(apart, np.where(own, same, cross), 1.0)), _NEVER)
    logits_RR = logits_RR + jnp.asarray(weights, logits_RR.dtype)
    weights_R = jnp.where(jnp.asarray(half) == 1, reversed_weight, 1.0)
    if present_R is not None:
        weights_R = weights_R * present_R
        away_RR = ~(present_R[:, None] & present_R[None, :]) & ~jnp.eye(rows, dtype=bool)
        logits_RR = jnp.where(away_RR, _NEVER, logits_RR)
    targets = jnp.arange(rows)
    (_, by_clip), (_, by_text) = (weighted(logits, targets, weights_R) for logits in (logits_RR, logits_RR.T))
    both = {name: ((by_clip[name][0] + by_text[name][0]) / 2, by_clip[name][1]) for name in ("loss", "accuracy")}
    total, count = both["loss"]
    return total / jnp.maximum(count, 1e-9), both


@dataclass(frozen=True)
class TemporalContrast:
    """`tnce` of items of two rows: {"frames": (B, 2, T, M), "tokens": (B, 2, L), "present": bool (B, 2)}.

    The model is a dual encoder: `model(frames, tokens)` gives similarities over temperature.
    """

    same: float = 1.0
    cross: float = 1.0
    reversed_weight: float = 1.0

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        frames, tokens, present = (_halves(batch[name]) for name in ("frames", "tokens", "present"))
        how = {"same": self.same, "cross": self.cross, "reversed_weight": self.reversed_weight}
        return tnce(model(frames, tokens, key=key), **how, present_R=present)


def _halves(x: Float[Array, "B 2 ..."] | Int[Array, "B 2 ..."] | Bool[Array, "B 2 ..."]) -> Any:
    """All first rows, then all second ones."""
    return jnp.concatenate([x[:, 0], x[:, 1]])


@dataclass(frozen=True)
class OrderExam:
    """A battery of zero-shot tests on clips of one event and of two, of which no caption is seen.

    A batch has, under `single/`, `seen/`, `held/` and `while/`, the fields of items: two single clips each; clips of
    two events in a row, and reversed, of pairs of events that were seen together in training or not; one clip each of
    two events at a time.

    Metrics, each (right, asked), for the clips of `seen` and of `held`; Q is the mean of "before" and "after":

        single           which of N events is heard, by prompts
        first, second    of all ordered pairs, does the best by Q have the event that is first, second
        both             has it both, and in order
        order            is the true order more like the clip than the reversed one, with "before" and with "after"
        then, followed   the same with words that no caption of training had
        while            of all pairs, which is it that is heard at a time ("while")
        relation         of i before j, j before i, i while j: which is it; over clips in a row and at a time

    Args:
      captions: gives token ids: "single" (prompts, N, L), and "before", "after", "while", "then", "followed"
        (N, N, L), whose entry (i, j) names i, then the word, then j.
    """

    captions: Callable[[], Mapping[str, np.ndarray]]

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        said = self._encoded(model)
        clips = {name: model.encode_audio(_halves(batch[f"{name}/frames"])) for name in ("single", "seen", "held")}
        events = {name: batch[f"{name}/events"] for name in (*clips, "while")}
        right = {"single": zero_shot(clips["single"], said["single"].swapaxes(0, 1), _halves(events["single"]))}
        for name in ("seen", "held"):
            first, second = (jnp.concatenate([events[name][:, k], events[name][:, 1 - k]]) for k in (0, 1))
            right |= {f"{test}_{name}": _share(found) for test, found in in_a_row(clips[name], said, first, second)}
        at_a_time, i, j = model.encode_audio(batch["while/frames"][:, 0]), *events["while"].T
        best_first, best_second = _best(_scores(at_a_time, said["while"] + said["while"].swapaxes(0, 1)))
        right["while"] = _share(((best_first == i) & (best_second == j)) | ((best_first == j) & (best_second == i)))
        right["relation_while"] = _share(_relation(at_a_time, said, i, j) == 2)
        loss = 1 - right["order_held"][0] / right["order_held"][1]
        return loss, right

    def _encoded(self, model: Any) -> dict[str, Float[Array, "... J"]]:
        """Unit vectors of all captions, in one pass."""
        ids = {name: jnp.asarray(table) for name, table in self.captions().items()}
        flat = [table.reshape(-1, table.shape[-1]) for table in ids.values()]
        found = jnp.split(model.encode_text(jnp.concatenate(flat)), np.cumsum([len(table) for table in flat])[:-1])
        return {name: rows.reshape(*ids[name].shape[:-1], -1) for name, rows in zip(ids, found, strict=True)}


def in_a_row(
    clips_BJ: Float[Array, "B J"], said: Mapping[str, Array], first_B: Int[Array, " B"], second_B: Int[Array, " B"]
) -> list[tuple[str, Array]]:
    """The tests of clips of two events in a row: (name, which are passed, (B, times asked))."""
    either = said["before"] + said["after"].swapaxes(0, 1)  # (i, j): i is first, said in both ways
    best_first, best_second = _best(_scores(clips_BJ, either))

    def ordered(word: str, first: Array, second: Array) -> Array:
        """Is "first word second" more like the clip than "second word first"?"""
        true, false = (
            jnp.einsum("bj,bj->b", clips_BJ, said[word][a, b]) for a, b in ((first, second), (second, first))
        )
        return true > false

    return [
        ("first", best_first == first_B),
        ("second", best_second == second_B),
        ("both", (best_first == first_B) & (best_second == second_B)),
        ("order", jnp.stack([ordered("before", first_B, second_B), ordered("after", second_B, first_B)], 1)),
        ("then", ordered("then", first_B, second_B)),
        ("followed", ordered("followed", first_B, second_B)),
        ("relation", _relation(clips_BJ, said, first_B, second_B) == 0),
    ]


def _relation(clips_BJ: Array, said: Mapping[str, Array], i: Array, j: Array) -> Array:
    """0 for "i before j", 1 for "j before i", 2 for "i while j": what is most like the clip."""
    three = jnp.stack([said["before"][i, j], said["before"][j, i], said["while"][i, j]], axis=1)
    return jnp.einsum("bj,bkj->bk", clips_BJ, three).argmax(1)


def _scores(clips_BJ: Array, pairs_NNJ: Array) -> Float[Array, "B N N"]:
    """Cosines with the directions of all pairs of two events."""
    unit = pairs_NNJ / jnp.maximum(jnp.linalg.norm(pairs_NNJ, axis=-1, keepdims=True), 1e-6)
    return jnp.where(jnp.eye(len(unit), dtype=bool), -jnp.inf, jnp.einsum("bj,mnj->bmn", clips_BJ, unit))


def _best(scores_BNN: Float[Array, "B N N"]) -> tuple[Int[Array, " B"], Int[Array, " B"]]:
    """The pair with the largest score."""
    N = scores_BNN.shape[1]
    at_B = scores_BNN.reshape(len(scores_BNN), -1).argmax(1)
    return at_B // N, at_B % N


def _share(passed: Bool[Array, "..."]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    return passed.sum().astype(jnp.float32), jnp.asarray(passed.size, jnp.float32)
