"""The nearest of many vectors, exactly: compared block by block, so that memory stays bounded.

Letters: Q queries, N keys, D coordinates, K neighbours.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


def nearest(
    queries_QD: Float[Array, "Q D"] | np.ndarray,
    keys_ND: Float[Array, "N D"] | np.ndarray,
    k: int,
    *,
    by: str = "cosine",
    block: int = 4096,
) -> tuple[Int[np.ndarray, "Q K"], Float[np.ndarray, "Q K"]]:
    """Numbers and scores of the k nearest keys of each query, best first; of equals, the lower number first.

    Memory is that of `block` queries by `block` keys; all blocks share one compiled program.

    Args:
      by: "cosine" (similarity), "dot" (product), or "euclidean" (minus the squared distance).

    Raises:
      ValueError: more neighbours than keys, or an unknown measure.

    >>> keys = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)
    >>> nearest(np.array([[2.0, 0.1]], np.float32), keys, 2)[0]
    array([[0, 2]])
    """
    if by not in ("cosine", "dot", "euclidean"):
        raise ValueError(f"by={by!r}: take 'cosine', 'dot' or 'euclidean'")
    queries, keys = np.asarray(queries_QD, np.float32), np.asarray(keys_ND, np.float32)
    if not 0 < k <= len(keys):
        raise ValueError(f"{k} neighbours of {len(keys)} keys: take between 1 and {len(keys)}")
    if by == "cosine":
        queries, keys = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (queries, keys))
    rows, columns = min(block, len(queries)), max(k, min(block, len(keys)))
    parts = []
    for start in range(0, len(queries), rows):
        part = _padded(queries[start : start + rows], rows)
        best = np.full((rows, k), -np.inf, np.float32), np.zeros((rows, k), np.int32)
        for offset in range(0, len(keys), columns):
            piece = keys[offset : offset + columns]
            best = _merged(best, part, _padded(piece, columns), len(piece), offset, euclidean=by == "euclidean")
        parts.append(tuple(np.asarray(x)[: len(queries) - start] for x in best))
    scores, numbers = (np.concatenate(x) for x in zip(*parts, strict=True))
    return numbers.astype(np.int64), scores


@functools.partial(jax.jit, static_argnames=("euclidean",))
def _merged(best, queries, keys, count, offset, *, euclidean: bool):  # type: ignore[no-untyped-def]
    """The best of what was best so far and of one block of keys, of which `count` are real."""
    scores = queries @ keys.T
    if euclidean:
        scores = 2 * scores - (queries**2).sum(1)[:, None] - (keys**2).sum(1)
    number = jnp.arange(keys.shape[0])
    scores = jnp.where(number < count, scores, -jnp.inf)
    both = jnp.concatenate([best[0], scores], axis=1)
    numbers = jnp.concatenate([best[1], jnp.broadcast_to(number + offset, scores.shape).astype(jnp.int32)], axis=1)
    found, where = jax.lax.top_k(both, best[0].shape[1])  # stable: earlier columns first, and they are lower numbers
    return found, jnp.take_along_axis(numbers, where, axis=1)


def _padded(rows: np.ndarray, count: int) -> np.ndarray:
    return np.pad(rows, ((0, count - len(rows)), (0, 0)))


def vote(
    labels_QK: Int[np.ndarray, "Q K"], scores_QK: Float[np.ndarray, "Q K"], classes: int, temperature: float = 0.07
):
    """The class with most weight among the neighbours, each weighing exp(score / temperature).

    Reference: Wu et al. 2018, https://arxiv.org/abs/1805.01978, equation 10 (weighted k-NN).

    >>> vote(np.array([[0, 1, 1]]), np.array([[0.9, 0.5, 0.5]], np.float32), classes=2, temperature=1.0)
    array([1])
    """
    weights = np.exp((scores_QK - scores_QK.max(1, keepdims=True)) / temperature)
    votes = np.zeros((len(labels_QK), classes))
    np.add.at(votes, (np.arange(len(labels_QK))[:, None], labels_QK), weights)
    return votes.argmax(1)


def nearest_others(
    keys_ND: Float[np.ndarray, "N D"], k: int, *, by: str = "cosine", block: int = 4096
) -> Int[np.ndarray, "N K"]:
    """Numbers of the k nearest other keys of every key, best first: itself is left out, its equals are not.

    Raises:
      ValueError: there are not so many others.

    >>> nearest_others(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], np.float32), 2)
    array([[1, 2],
           [0, 2],
           [0, 1],
           [2, 0]])
    """
    found = nearest(keys_ND, keys_ND, k + 1, by=by, block=block)[0]
    return _first(found != np.arange(len(found))[:, None], found, k)


def among(graph_NK: Int[np.ndarray, "N K"], kept_N: Bool[np.ndarray, " N"], k: int) -> Int[np.ndarray, "M k"]:
    """The first k neighbours that are kept, of every kept key, renumbered among these M: the nearest of a part.

    It is exact where `graph_NK`, best first, has as many neighbours more than k as keys are not kept.

    Raises:
      ValueError: a key has fewer kept neighbours in the graph.

    >>> among(np.array([[1, 2], [0, 2], [1, 0], [0, 2]]), np.array([True, False, True, True]), 1)
    array([[1],
           [0],
           [0]])
    """
    own = graph_NK[kept_N]
    found = _first(kept_N[own], own, k)
    return (np.cumsum(kept_N) - 1)[found]


def _first(wanted_NK: np.ndarray, numbers_NK: np.ndarray, k: int) -> np.ndarray:
    """The first k wanted numbers of each row."""
    if (wanted_NK.sum(1) < k).any():
        raise ValueError(f"a row has {int(wanted_NK.sum(1).min())} of k={k} neighbours: look further, or take fewer")
    order = np.argsort(~wanted_NK, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(numbers_NK, order, axis=1)
