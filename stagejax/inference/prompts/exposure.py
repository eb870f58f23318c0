"""Exposure bias: how much worse the rest of an answer is foretold behind a model's own tokens than behind gold ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Array, Float

from stagejax.inference.frozen import Frozen, apply
from stagejax.inference.prompts.drafting import AT_ONCE, Pairs, decoded
from stagejax.inference.prompts.self_generated import Gold, mixed
from stagejax.objectives.loss import cross_entropy


def token_losses(model: Any, rows: Any) -> Float[Array, "N T"]:
    """-log p of every target of some rows, in nats; 0 where it has no weight."""
    losses_NT, _ = cross_entropy(model(rows["tokens"]), rows["targets"])
    return losses_NT * rows["weights"]


def excess_losses(
    net: Frozen, pairs: Pairs, keys_N: Any, cuts: tuple[int, ...], temperature: float = 1.0
) -> Float[np.ndarray, " cuts"]:
    """Nats by which a token of y_>t is less likely behind own tokens: mean of L(y_>t | x, y'_<=t) - L(y_>t | x, y_<=t).

    The t own tokens y'_<=t are drawn one behind the other; the reference goes on at its place t + 1. Answers that have
    no token behind t are left out.

    Args:
      cuts: lengths t of the prefix, rising.
      temperature: of the own tokens.

    Reference: Ranzato et al. 2015, https://arxiv.org/abs/1511.06732, section 1; He et al. 2019 (its measures),
    https://arxiv.org/abs/1905.10617.

    >>> # excess_losses(Frozen.of(result), pairs, keys(0, np.arange(256)), (2, 4, 8))
    """
    own = decoded(net, pairs, keys_N, temperature=temperature, limit_N=pairs.sizes_N - 1, special=()).tokens_NL
    columns = np.arange(own.shape[1])
    gold_NT = apply(token_losses, net, _inputs(Gold()(net, pairs, keys_N)), AT_ONCE)
    found = []
    for cut in cuts:
        prefix = np.where(columns < cut, own, pairs.answers_NL)
        own_NT = apply(token_losses, net, _inputs(mixed(pairs, prefix, True)), AT_ONCE)
        # the target of input place i stands at i + 1: those behind the prefix begin at input length + cut - 1
        rest_NT = np.arange(gold_NT.shape[1]) >= pairs.lengths_N[:, None] + cut - 1
        counted = np.maximum(pairs.sizes_N - cut, 0).sum()
        found.append(((own_NT - gold_NT) * rest_NT).sum() / max(counted, 1))
    return np.array(found)


def slope(cuts: tuple[int, ...], excess: Any) -> float:
    """Nats by which the excess rises with each token more of the prefix: the least-squares line through the curve.

    >>> round(slope((2, 4, 6), (0.25, 0.5, 0.75)), 4)
    0.125
    """
    return float(np.polyfit(cuts, np.asarray(excess, float), 1)[0])


def _inputs(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: rows[name] for name in ("tokens", "targets", "weights")}


__all__ = ["excess_losses", "slope", "token_losses"]
