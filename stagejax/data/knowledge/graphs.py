"""Graphs: the compact files of `$STAGEJAX_DATA/graphs`, a generated tree, and what one learns on them.

A batch is one whole graph, so `batch` is 1. Labels are hidden by weights, links by leaving them out of the messages.
"""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float32, Int32, Int64

from stagejax.data.named import MissingDataset, read_npz
from stagejax.data.order import random_words
from stagejax.data.pipeline import Batch, Data


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph in memory: every undirected edge once, no loops."""

    features: Float32[np.ndarray, "nodes features"]
    edges: Int32[np.ndarray, "edges 2"]
    labels: Int32[np.ndarray, " nodes"]

    def digest(self) -> str:
        """The sha256 of its arrays."""
        parts = (self.features, self.edges, self.labels)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


@runtime_checkable
class GraphSource(Protocol):
    """The declaration of a graph: a frozen dataclass that knows its sizes before anything is read."""

    @property
    def nodes(self) -> int: ...

    @property
    def links(self) -> int: ...

    @property
    def features(self) -> int: ...

    @property
    def classes(self) -> int: ...

    def read(self) -> Graph:
        """The graph, read or made once in a process."""
        ...


#: (nodes, edges, features, classes) of the files.
SIZES = {"cora": (2708, 5278, 1433, 7), "airport": (3188, 18630, 4, 4), "disease_lp": (2665, 2664, 11, 2)}


@dataclass(frozen=True)
class NamedGraph:
    """A graph of `$STAGEJAX_DATA/graphs/NAME.npz`: cora, airport or disease_lp. Features are scaled as in HGCN.

    cora's rows sum to one (bags of words); other columns have mean 0 and variance 1.

    >>> NamedGraph("cora").nodes, NamedGraph("airport").classes
    (2708, 4)
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in SIZES:
            raise ValueError(f"NamedGraph({self.name!r}) is unknown: choose one of {', '.join(SIZES)}")

    @property
    def nodes(self) -> int:
        return SIZES[self.name][0]

    @property
    def links(self) -> int:
        return SIZES[self.name][1]

    @property
    def features(self) -> int:
        return SIZES[self.name][2]

    @property
    def classes(self) -> int:
        return SIZES[self.name][3]

    def read(self) -> Graph:
        """Read the file.

        Raises:
          MissingDataset: it is not there.
        """
        return _read_graph(self.name, os.environ.get("STAGEJAX_DATA", ""))


@functools.lru_cache(maxsize=4)
def _read_graph(name: str, root: str) -> Graph:
    path = Path(root, "graphs", f"{name}.npz")
    if not root or not path.is_file():
        raise MissingDataset(
            f"the graph {name!r} is looked for in $STAGEJAX_DATA/graphs/{name}.npz, which is not there"
        )
    found = read_npz(path)
    if "feat_row" in found:
        features = np.zeros((int(found["num_nodes"][0]), int(found["feat_dim"][0])), np.float32)
        features[found["feat_row"], found["feat_col"]] = 1
        features /= np.maximum(features.sum(1, keepdims=True), 1)
    else:
        features = found["features"].astype(np.float32)
        features = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    return Graph(features.astype(np.float32), found["edges"].astype(np.int32), found["labels"].astype(np.int32))


@dataclass(frozen=True)
class RandomTree:
    """A generated tree: a node's label is which child of the root it descends from, its features a noisy sign of it.

    Node i hangs under node (i - 1) // branches. Feature j is 1 for the own label's place, plus normal noise.

    >>> RandomTree(nodes=13, branches=3).read().labels.tolist()
    [0, 0, 1, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    """

    nodes: int = 121
    branches: int = 3
    noise: float = 1.0  # standard deviation
    seed: int = 0

    @property
    def links(self) -> int:
        return self.nodes - 1

    @property
    def features(self) -> int:
        return 2 * self.branches

    @property
    def classes(self) -> int:
        return self.branches

    def read(self) -> Graph:
        """Make the tree."""
        child = np.arange(1, self.nodes, dtype=np.int32)
        parent = (child - 1) // self.branches
        labels = np.zeros(self.nodes, np.int32)
        for node in child:
            labels[node] = node - 1 if node <= self.branches else labels[(node - 1) // self.branches]
        features = np.eye(self.features, dtype=np.float32)[labels]
        noise = np.random.default_rng(self.seed).normal(size=features.shape) * self.noise
        return Graph((features + noise).astype(np.float32), np.stack([parent, child], 1), labels)


def messages(
    edges: Int32[np.ndarray, "edges 2"], nodes: int
) -> tuple[Int32[np.ndarray, " messages"], Int32[np.ndarray, " messages"]]:
    """Senders and receivers: every edge both ways, and every node to itself.

    >>> [part.tolist() for part in messages(np.array([[0, 1]], np.int32), 2)]
    [[0, 1, 0, 1], [1, 0, 0, 1]]
    """
    loops = np.arange(nodes, dtype=np.int32)
    senders = np.concatenate([edges[:, 0], edges[:, 1], loops])
    return senders, np.concatenate([edges[:, 1], edges[:, 0], loops])


def _parts(count: int, shares: tuple[float, float], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random division of `count` things into those for training, validation and test."""
    order = np.argsort(random_words(seed, np.arange(count, dtype=np.int64), 1)[:, 0])
    held = [round(share * count) for share in shares]
    return order[sum(held) :], order[: held[0]], order[held[0] : sum(held)]


_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class NodeLabels(Data):
    """Classes of nodes: the whole graph in each batch, with weight 1 at the nodes of the split.

    A batch is {"features", "senders", "receivers", "label", "weights"}, all with a leading 1.

    Args:
      graph: which one.
      split: of the nodes: train, validation or test.
      shares: of validation and test.
      seed: of the division.

    >>> data = NodeLabels(graph=RandomTree(nodes=40))
    >>> with data.batches() as batches:
    ...     batch = next(batches)
    >>> batch["features"].shape, int(batch["weights"].sum())
    ((1, 40, 6), 28)
    """

    graph: GraphSource = field(default_factory=RandomTree)
    split: str = "train"
    shares: tuple[float, float] = (0.15, 0.15)
    seed: int = 0
    batch: int = 1
    count: int | None = None

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        g = self.graph
        arrows = 2 * g.links + g.nodes
        return {
            "features": jax.ShapeDtypeStruct((g.nodes, g.features), np.float32),
            "senders": jax.ShapeDtypeStruct((arrows,), np.int32),
            "receivers": jax.ShapeDtypeStruct((arrows,), np.int32),
            "label": jax.ShapeDtypeStruct((g.nodes,), np.int32),
            "weights": jax.ShapeDtypeStruct((g.nodes,), np.float32),
        }

    def size(self) -> int:
        return 1

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        graph = self.graph.read()
        senders, receivers = messages(graph.edges, self.graph.nodes)
        weights = np.zeros(self.graph.nodes, np.float32)
        weights[_parts(self.graph.nodes, self.shares, self.seed)[_SPLITS.index(self.split)]] = 1
        one = {
            "features": graph.features, "senders": senders, "receivers": receivers, "label": graph.labels,
            "weights": weights,
        }  # fmt: skip
        return {name: np.broadcast_to(leaf, (len(numbers), *leaf.shape)) for name, leaf in one.items()}

    def digest(self) -> str:
        return self.graph.read().digest()


@dataclass(frozen=True, kw_only=True)
class Links(Data):
    """Links of a graph against pairs drawn at random: messages run along training links only.

    A batch is {"features", "senders", "receivers", "pairs", "label"}: pairs (2 k, 2), of which the first k are links of
    the split (label 1) and the others random pairs of nodes (label 0), new ones in every batch and split.

    Args:
      graph, split, seed: as in `NodeLabels`.
      shares: of validation and test among the links.

    >>> data = Links(graph=RandomTree(nodes=41))
    >>> data.sample_spec()["pairs"].shape, Links(graph=RandomTree(nodes=41), split="test").sample_spec()["pairs"].shape
    ((68, 2), (8, 2))
    """

    graph: GraphSource = field(default_factory=RandomTree)
    split: str = "train"
    shares: tuple[float, float] = (0.05, 0.1)
    seed: int = 0
    batch: int = 1
    count: int | None = None

    def _counts(self) -> list[int]:
        held = [round(share * self.graph.links) for share in self.shares]
        return [self.graph.links - sum(held), *held]

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        g, (trained, *_) = self.graph, self._counts()
        pairs = 2 * self._counts()[_SPLITS.index(self.split)]
        arrows = 2 * trained + g.nodes
        return {
            "features": jax.ShapeDtypeStruct((g.nodes, g.features), np.float32),
            "senders": jax.ShapeDtypeStruct((arrows,), np.int32),
            "receivers": jax.ShapeDtypeStruct((arrows,), np.int32),
            "pairs": jax.ShapeDtypeStruct((pairs, 2), np.int32),
            "label": jax.ShapeDtypeStruct((pairs,), np.int32),
        }

    def size(self) -> int:
        return 1

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        graph, n = self.graph.read(), len(numbers)
        parts = _parts(self.graph.links, self.shares, self.seed)
        senders, receivers = messages(graph.edges[parts[0]], self.graph.nodes)
        links = graph.edges[parts[_SPLITS.index(self.split)]]
        own = self.seed + 1 + _SPLITS.index(self.split)  # no split has another's pairs
        words = random_words(own, numbers, 2 * len(links)).reshape(n, len(links), 2)
        others = (words % np.uint64(self.graph.nodes)).astype(np.int32)
        pairs = np.concatenate([np.broadcast_to(links, others.shape), others], axis=1)
        label = np.repeat(np.array([1, 0], np.int32), len(links))
        same = {"features": graph.features, "senders": senders, "receivers": receivers, "label": label}
        return {name: np.broadcast_to(leaf, (n, *leaf.shape)) for name, leaf in same.items()} | {"pairs": pairs}

    def digest(self) -> str:
        return self.graph.read().digest()
