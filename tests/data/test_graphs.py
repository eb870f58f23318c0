"""Graphs: no label and no link of the test leaks into training, and the area under the curve is what it says."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.knowledge.graphs import Links, NamedGraph, NodeLabels, RandomTree
from stagejax.data.named import MissingDataset
from stagejax.objectives.graphs import link_prediction, node_classification, roc_auc

TREE = RandomTree(nodes=41)


def test_every_node_belongs_to_one_split() -> None:
    weights = [
        NodeLabels(graph=TREE, split=s).take(np.arange(1))["weights"][0] for s in ("train", "validation", "test")
    ]
    np.testing.assert_array_equal(sum(weights), np.ones(41))
    assert [int(w.sum()) for w in weights] == [29, 6, 6]


def test_messages_run_along_training_links_only() -> None:
    parts = {s: Links(graph=TREE, split=s).take(np.arange(2)) for s in ("train", "validation", "test")}
    pairs = {s: [tuple(p) for p in b["pairs"][0][b["label"][0] == 1].tolist()] for s, b in parts.items()}
    assert sorted(pair for own in pairs.values() for pair in own) == sorted(map(tuple, TREE.read().edges.tolist()))
    for batch in parts.values():
        arrows = set(zip(batch["senders"][0].tolist(), batch["receivers"][0].tolist(), strict=True))
        assert arrows == {p for a, b in pairs["train"] for p in ((a, b), (b, a))} | {(i, i) for i in range(41)}
    negative = parts["train"]["pairs"][:, len(pairs["train"]) :]
    assert not np.array_equal(negative[0], negative[1])  # new ones in every batch
    validation, test = (parts[s]["pairs"][:, len(pairs[s]) :] for s in ("validation", "test"))
    for one, other in ((negative, validation), (negative, test), (validation, test)):  # and in every split
        least = min(one.shape[1], other.shape[1])
        assert not np.array_equal(one[:, :least], other[:, :least])


def test_the_area_under_the_curve_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 5, 30).astype(np.float32), rng.integers(0, 2, 30)
    p, n = scores[labels == 1][:, None], scores[labels == 0][None]
    np.testing.assert_allclose(
        roc_auc(jnp.asarray(scores), jnp.asarray(labels)), ((p > n) + (p == n) / 2).mean(), rtol=1e-5
    )


def first(data: Any) -> Any:
    return jax.tree.map(jnp.asarray, data.take(np.arange(1)))


class Fixed:
    """A network that knows the answer."""

    def __call__(self, features: jax.Array, senders: jax.Array, receivers: jax.Array, key: None) -> jax.Array:
        return features

    def logits(self, x: jax.Array) -> jax.Array:
        return 50 * jax.nn.one_hot(jnp.asarray(TREE.read().labels), 3)

    def links(self, x: jax.Array, pairs: jax.Array) -> jax.Array:
        parents = (pairs[:, 1] - 1) // 3 == pairs[:, 0]
        return jnp.where(parents, 10.0, -10.0)


@pytest.mark.slow
def test_objectives_score_the_nodes_and_pairs_of_the_split() -> None:
    loss, metrics = node_classification(Fixed(), first(NodeLabels(graph=TREE, split="test")), None)
    assert float(loss) < 1e-6
    assert [float(x) for x in metrics["accuracy"]] == [6.0, 6.0]
    batch = first(Links(graph=TREE, split="test"))
    _, metrics = link_prediction(Fixed(), batch, None)
    real = np.isin(np.asarray(batch["pairs"][0]) @ [100, 1], TREE.read().edges @ [100, 1])
    expected = roc_auc(jnp.where(jnp.asarray(real), 1.0, 0.0), batch["label"][0])
    np.testing.assert_allclose(metrics["auc"][0] / metrics["auc"][1], expected, rtol=1e-6)


def test_a_missing_or_unknown_graph_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGEJAX_DATA", raising=False)
    with pytest.raises(MissingDataset, match=r"graphs/cora\.npz"):
        NamedGraph("cora").read()
    with pytest.raises(ValueError, match="choose one of cora, airport, disease_lp"):
        NamedGraph("karate")
