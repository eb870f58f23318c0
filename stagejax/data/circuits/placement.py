"""Where cells stand, and what wires between them do: a made-up placement, and the Elmore delay of trunk trees.

Units: um, kOhm, pF, ns. Letters: n nets, F most sinks of a net, P pins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

#: A driver's sinks, padded.
Sinks = Float[np.ndarray, "n F"]


class Tree(NamedTuple):
    """What the wires of nets do."""

    delay: Sinks  # ns, to each sink; 0 where there is none
    load: Float[np.ndarray, " n"]  # pF, that the driver sees: wires and pins


def trunk_trees(
    dx: Sinks, dy: Sinks, pins: Sinks, there: Bool[np.ndarray, "n F"], resistance: float, capacitance: float
) -> Tree:
    """Elmore delay and load of nets routed as single-trunk Steiner trees.

    A horizontal trunk runs through the driver, and a branch from it to each sink. With x the distance along the trunk,
    X the trunk's length on that side, y the branch, C the pin, and r, c of a um of wire:

        delay_i = r [c (x_i X - x_i²/2) + sum_j min(x_i, x_j) (c y_j + C_j)] + r y_i (c y_i/2 + C_i)

    over sinks j on the same side.

    References: Elmore 1948; Rubinstein et al. 1983, Signal Delay in RC Tree Networks.

    Args:
      dx, dy: from the driver to each sink, um.
      pins: capacitance of each, pF.
      there: which exist.
      resistance, capacitance: of a um of wire.

    >>> tree = trunk_trees(*(np.array([[v]]) for v in (10.0, 0.0, 0.002, True)), 0.01, 0.001)
    >>> bool(np.isclose(tree.delay[0, 0], 0.01 * 10 * (0.001 * 10 / 2 + 0.002))), float(tree.load[0].round(4))
    (True, 0.012)
    """
    x, y, own = (np.where(there, np.abs(v), 0.0) for v in (dx, dy, pins))
    right = dx >= 0
    lengths = [np.where(right == side, x, 0.0).max(1, keepdims=True) for side in (False, True)]
    whole = np.where(right, lengths[1], lengths[0])
    shared = np.minimum(x[:, :, None], x[:, None]) * (right[:, :, None] == right[:, None])
    behind = np.einsum("nij,nj->ni", shared, np.where(there, capacitance * y + own, 0.0))
    trunk = resistance * (capacitance * (x * whole - x**2 / 2) + behind)
    delay = trunk + resistance * y * (capacitance * y / 2 + own)
    wire = (lengths[0] + lengths[1])[:, 0] + y.sum(1)
    return Tree(np.where(there, delay, 0.0), capacitance * wire + own.sum(1))


def place(
    level: Int[np.ndarray, " n"],
    reads: Int[np.ndarray, "n F"],
    area: Float[np.ndarray, " n"],
    *,
    jitter: float,
    seed: int,
) -> Float[np.ndarray, "n 2"]:
    """Positions of things by level from left to right, each near the height of what it reads; um.

    A level's things are spread over the height in the order of the mean height of what they read, and both coordinates
    are moved by normal noise.

    Args:
      level: of each thing; things come after those that they read.
      reads: which things a thing reads; -1 for none.
      area: of each, um2; the die is a square, filled to seven tenths.
      jitter: standard deviation of the noise, in shares of the die's side.
      seed: of the noise.

    >>> place(np.array([0, 1]), np.array([[-1], [0]]), np.ones(2), jitter=0.0, seed=0).round(3).tolist()
    [[0.423, 0.845], [1.268, 0.845]]
    """
    rng = np.random.default_rng(seed)
    height, depth = np.zeros(len(level)), int(level.max(initial=0)) + 1
    for own in range(depth):
        here = np.flatnonzero(level == own)
        known = reads[here] >= 0
        near = np.where(known, height[reads[here]], 0.0).sum(1) / np.maximum(known.sum(1), 1)
        order = np.argsort(np.argsort(near + (~known.any(1)) * rng.random(len(here)), kind="stable"))
        spread = (order + 0.5) / max(len(here), 1)
        height[here] = spread if own == 0 else 0.5 * (near + spread)
    at = np.stack([(level + 0.5) / depth, height], 1) + jitter * rng.normal(size=(len(level), 2))
    return np.clip(at, 0, 1) * np.sqrt(area.sum() / 0.7)


def congestion(
    low: Float[np.ndarray, "n 2"], high: Float[np.ndarray, "n 2"], side: float, bins: int = 8
) -> Float[np.ndarray, " n"]:
    """How crowded it is where each net runs: the mean demand of the bins that its box meets, over that of all bins.

    Every net puts the demand of its half perimeter evenly on the bins that its box meets.

    Args:
      low, high: corners of the nets' boxes, um.
      side: of the die, um.

    >>> congestion(np.zeros((3, 2)), np.array([[1.0, 1.0], [1, 1], [8, 8]]), 8.0)[0] > 1
    np.True_
    """
    first, last = (np.clip((v / side * bins).astype(int), 0, bins - 1) for v in (low, high))
    cells = np.arange(bins)
    inside = [(cells >= first[:, i, None]) & (cells <= last[:, i, None]) for i in (0, 1)]
    met = (inside[0][:, :, None] & inside[1][:, None]).reshape(len(low), -1)
    share = met / met.sum(1, keepdims=True)
    demand = (high - low).sum(1) @ share
    return share @ demand / max(float(demand.mean()), 1e-12)
