"""Queries and items scored by trained encoders: all pairs by a cross-encoder, cosines and hard negatives by a dual one.

Letters: N queries, M items, Q and I tokens, E embed.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stagejax.inference.frozen import Frozen, apply, compiled, flops_of_one
from stagejax.inference.retrieval.reranking import best
from stagejax.result import Result

Tokens = Int[np.ndarray, "_ _"]


def exact_scores(
    net: Frozen, queries_NQ: Int[np.ndarray, "N Q"], items_MI: Int[np.ndarray, "M I"], pairs: int = 1024
) -> Float[np.ndarray, "N M"]:
    """The score of every query with every item, by blocks of at most `pairs` pairs, all of one size.

    Args:
      net: of a model with `scores(queries (n, Q), items (n, m, I)) -> (n, m)`.

    >>> # S = exact_scores(Frozen.of(cross_encoder), queries, items)
    """
    across = min(len(items_MI), pairs)
    down = max(1, pairs // across)
    run = compiled(_block, net.config)
    found = np.zeros((-(-len(queries_NQ) // down) * down, -(-len(items_MI) // across) * across), np.float32)
    for row in range(0, len(queries_NQ), down):
        for column in range(0, len(items_MI), across):
            block = _filled(queries_NQ[row : row + down], down), _filled(items_MI[column : column + across], across)
            found[row : row + down, column : column + across] = run(net.params, net.rest, *block)
    return found[: len(queries_NQ), : len(items_MI)]


def _block(model: Any, queries_NQ: Any, items_MI: Any) -> Any:
    return model.scores(queries_NQ, jnp.broadcast_to(items_MI, (len(queries_NQ), *items_MI.shape)))


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([rows, np.repeat(rows[:1], size - len(rows), 0)])


def pair_flops(config: Any) -> float:
    """The matmul FLOPs of one exact score.

    >>> from stagejax.models import bert
    >>> from stagejax.models.text.cross_encoder import CrossEncoder
    >>> pair_flops(CrossEncoder(bert(layers=1, embed=8, heads=1, mlp=8, length=16, types=2), 6, 6)) > 1000
    True
    """
    return float(flops_of_one(_of_pair, config, jax.ShapeDtypeStruct((config.query + config.item,), "int32")))


def _of_pair(model: Any, tokens: Any) -> Any:
    return model(tokens[:, : model.config.query], tokens[:, model.config.query :])


def cosines(dual: Result, queries: Tokens, items: Tokens) -> Float[np.ndarray, "N M"]:
    """The cosine of every query and item by a dual encoder, whose model gives unit vectors of texts."""
    net = Frozen.of(dual)
    return apply(_vectors, net, queries) @ apply(_vectors, net, items).T


def _vectors(model: Any, tokens: Any) -> Any:
    return model(tokens)


def hard_negatives(dual: Result, texts: Result, count: int) -> dict[str, np.ndarray]:
    """What `candidate_texts` made, but as `pool` what a dual encoder takes for the answer; for `run.make`.

    Reference: Wu et al. 2020 (BLINK), https://arxiv.org/abs/1911.03814, section 5.

    >>> # mined = run.make("mined", hard_negatives, dual, texts, 64)
    """
    scores = cosines(dual, texts.value["queries"], texts.value["items"])
    np.put_along_axis(scores, texts.value["always"], -np.inf, axis=1)
    return texts.value | {"pool": best(scores, count)}
