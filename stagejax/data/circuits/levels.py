"""Order in a directed graph without circles: levels, parts that keep the order, and a schedule of padded steps.

Letters: P nodes, E and A edges (sender, receiver).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int32

Edges = Int[np.ndarray, "E 2"]


def levels_of(nodes: int, edges: Edges) -> Int32[np.ndarray, " P"]:
    """For each node the number of edges of the longest path that ends there.

    Raises:
      ValueError: the edges run in a circle.

    >>> levels_of(4, np.array([[0, 1], [1, 2], [0, 2], [2, 3]])).tolist()
    [0, 1, 2, 3]
    """
    level = np.zeros(nodes, np.int32)
    missing = np.bincount(edges[:, 1], minlength=nodes)
    order = np.argsort(edges[:, 0], kind="stable")
    receivers, begins = edges[order, 1], np.searchsorted(edges[order, 0], np.arange(nodes + 1))
    front, done, depth = np.flatnonzero(missing == 0), 0, 0
    while len(front):
        level[front], done = depth, done + len(front)
        reached = np.concatenate([receivers[begins[node] : begins[node + 1]] for node in front])
        np.subtract.at(missing, reached, 1)
        front, depth = np.unique(reached[missing[reached] == 0]), depth + 1
    if done < nodes:
        raise ValueError(f"{nodes - done} of {nodes} nodes lie on or behind a circle of edges: there are no levels")
    return level


class Part(NamedTuple):
    """A piece of a graph that one trains on."""

    nodes: Int[np.ndarray, " n"]  # in the order of their numbers
    own: Bool[np.ndarray, " n"]  # on which the loss looks; the others pad


def parts_in_order(level: Int32[np.ndarray, " P"], size: int, padding: int = 4) -> list[Part]:
    """Parts of consecutive levels: the order-preserving partition. Each node is in one part's own.

    A block grows by two levels at a time until it has `size` nodes; the next one begins where it ends. A part is a
    block and `padding` levels before and after it.

    Reference: Zhong et al. 2024, PreRoutGNN, https://arxiv.org/abs/2403.00012.

    >>> [part.own.astype(int).tolist() for part in parts_in_order(np.arange(6, dtype=np.int32), 3, padding=1)]
    [[1, 1, 1, 1, 0], [0, 1, 1]]
    """
    counts = np.bincount(level)
    parts, begin = [], 0
    while begin < len(counts):
        end = begin + 2
        while counts[begin:end].sum() < size and end < len(counts):
            end += 2
        nodes = np.flatnonzero((level >= begin - padding) & (level < end + padding))
        parts.append(Part(nodes, (level[nodes] >= begin) & (level[nodes] < end)))
        begin = end
    return parts


def parts_at_random(group: Int[np.ndarray, " P"], size: int, seed: int = 0) -> list[Part]:
    """As many parts as nodes / `size`, rounded up; groups of nodes are dealt out at random and stay whole.

    >>> parts = parts_at_random(np.repeat(np.arange(5), 2), 4)
    >>> sorted(np.concatenate([part.nodes for part in parts]).tolist()) == list(range(10)), len(parts)
    (True, 3)
    """
    count = -(-len(group) // size)
    dealt = np.random.default_rng(seed).permutation(int(group.max()) + 1) % count
    nodes = [np.flatnonzero(dealt[group] == i) for i in range(count)]
    return [Part(own, np.ones(len(own), bool)) for own in nodes if len(own)]


class Schedule(NamedTuple):
    """In which step an edge is taken: of each kind a table (steps, width) of edges, -1 where a step has no more."""

    nets: Int32[np.ndarray, "steps W"]
    arcs: Int32[np.ndarray, "steps V"]


def schedule(
    nets: Int[np.ndarray, "E 2"], arcs: Int[np.ndarray, "A 2"], level: Int32[np.ndarray, " P"], widths: tuple[int, int]
) -> Schedule:
    """Steps that take nets first and then arcs, in the order of levels, each when all that its sender needs is done.

    A level that is wider than a step takes several; arcs with the same receiver are taken together.

    Args:
      level: from `levels_of`, with receivers of nets at odd ones and of arcs at even ones.
      widths: most nets and arcs of a step.

    Raises:
      ValueError: a node receives more arcs than a step takes.

    >>> nets, arcs = np.array([[0, 1], [2, 3]]), np.array([[1, 2]])
    >>> [table.tolist() for table in schedule(nets, arcs, np.arange(4, dtype=np.int32), (2, 1))]
    [[[0, -1], [1, -1]], [[0], [-1]]]
    """
    step = np.zeros(len(level), np.int64)  # in which a node is done; those that receive nothing before the first
    tables: list[dict[int, list[int]]] = [{}, {}]
    for depth in range(1, int(level.max(initial=0)) + 1):
        kind, edges = (0, nets) if depth % 2 else (1, arcs)
        here = np.flatnonzero(level[edges[:, 1]] == depth)
        receivers, which = np.unique(edges[here, 1], return_inverse=True)
        ready = np.zeros(len(receivers), np.int64)
        np.maximum.at(ready, which, step[edges[here, 0]] + (kind == 0))
        for node in np.argsort(ready, kind="stable"):
            own = here[which == node].tolist()
            if len(own) > widths[kind]:
                raise ValueError(f"{len(own)} arcs end at one node, but a step takes {widths[kind]}: widen it")
            at = int(ready[node])
            while len(tables[kind].get(at, ())) + len(own) > widths[kind]:
                at += 1
            tables[kind].setdefault(at, []).extend(own)
            step[receivers[node]] = at
    steps = max((max(table) for table in tables if table), default=0)
    made = [np.full((steps, width), -1, np.int32) for width in widths]
    for own, table in zip(tables, made, strict=True):
        for at, taken in own.items():
            table[at - 1, : len(taken)] = taken
    return Schedule(*made)
