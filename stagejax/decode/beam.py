"""Beam search with a cache: one program for prompts and hypotheses of all lengths up to a maximum.

Letters: B prompts, K beams of each, S tokens of a row at most, V vocabulary, C candidates of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from stagejax.decode.prompts import Prompts
from stagejax.decode.sample import Allowed, mask_of, stop_sizes


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Beams:
    """The best hypotheses of each prompt, best first; each row from 0 and padded with 0 behind its end."""

    tokens_BKS: Any  # integers
    starts_BK: Any  # where the hypothesis begins: the length of the prompt
    ends_BK: Any  # behind its last token, which may be that of a stop string
    stop_sizes_BK: Any  # tokens of the stop string that ended it; 0: the limit did
    logprobs_BK: Any  # of all its tokens; -inf where there are fewer hypotheses than beams
    scores_BK: Any  # what they are ordered by


class _Loop(NamedTuple):
    tokens_BKS: Array  # of live beams
    logprobs_BK: Array  # -inf: no beam
    new: Array  # tokens that every live beam has
    cache: Any
    done_B: Array
    best: Beams


def beam_search(
    model: Any,
    prompts: Prompts,
    *,
    length: int,
    beams: int,
    stops: Sequence[tuple[int, ...]],
    limit: int | Int[Array, " B"] | None = None,
    penalty: float | Array = 0.0,
    allowed: Bool[Array, "..."] | Bool[np.ndarray, "..."] | Allowed | None = None,
) -> Beams:
    """The hypotheses y with the largest log p(y | x) / ((5 + |y|) / 6)^penalty that the search comes across.

    In each step every live beam is continued by every token. Of the continuations the likeliest `beams` that end in no
    stop string live on; those that do end compete with all that ended before. A prompt is done when no live beam can
    become better than its worst hypothesis any more. What reaches the limit ends there.

    Args:
      model, prompts, length, stops, limit, allowed: as in `sample`; for one program, pass numbers as arrays.
      beams: K; with 1 and no penalty, greedy decoding up to the first stop string.
      penalty: 0: the likeliest sequences, of which short ones have more; more than 0 favours long ones.

    Returns:
      `Beams`. Log-probabilities are the model's own, also where `allowed` leaves tokens out.

    Raises:
      ValueError: as `sample`; or `beams` is below 1.

    Reference: Wu et al. 2016, https://arxiv.org/abs/1609.08144, equation 14 (without coverage).

    >>> from stagejax.decode import Recomputed, padded_prompts
    >>> table = jnp.log(jnp.array([[1.0, 0, 0], [0, 0.6, 0.4], [0, 0.1, 0.9]]) + 1e-9)
    >>> model = Recomputed(lambda tokens, _: table[tokens])
    >>> found = beam_search(model, padded_prompts([[1]], 1), length=4, beams=2, stops=())
    >>> found.tokens_BKS[0].tolist()  # 0.4 * 0.9 * 0.9 is more than 0.6 * 0.6 * 0.6
    [[1, 2, 2, 2], [1, 1, 1, 1]]
    """
    (B, P), K = prompts.tokens_BP.shape, beams
    if length < P or not all(stops) or K < 1:
        raise ValueError(
            f"beams={K} from prompts of {P} tokens, length={length}, stops={stops!r}: need beams >= 1, length >= the "
            "prompts', and no empty stop string"
        )
    starts_B = jnp.asarray(prompts.lengths_B)
    limits_B = jnp.minimum(length - starts_B, length if limit is None else limit)
    starts_R, may = jnp.repeat(starts_B, K), mask_of(allowed, B, K)
    row_R, row_B1 = jnp.arange(B * K), jnp.arange(B)[:, None]
    tokens_BP, cache = prompts.read(model, length)
    cache = cache.rows(row_R // K)
    tokens_BKS = jnp.pad(jnp.repeat(tokens_BP[:, None], K, axis=1), ((0, 0), (0, 0), (0, length - P)))
    one = jax.eval_shape(lambda: model.step(tokens_BKS.reshape(B * K, -1)[:, :1], cache, starts_R)[0])
    dtype, V = jnp.promote_types(one.dtype, jnp.float32), one.shape[-1]
    C = min(K * (1 + len({stop[-1] for stop in stops})), K * V)  # so that K of them end in no stop string

    def normal(new: Array) -> Array:
        return ((5.0 + new) / 6.0) ** jnp.asarray(penalty, dtype)

    def more(now: _Loop) -> Array:
        return ~now.done_B.all()

    def body(now: _Loop) -> _Loop:
        tokens_RS, lengths_R = now.tokens_BKS.reshape(B * K, -1), starts_R + now.new
        live_BK = jnp.where(now.done_B[:, None], -jnp.inf, now.logprobs_BK)
        last_R1 = tokens_RS[row_R, jnp.minimum(lengths_R, length) - 1][:, None]
        logits_R1V, cache = model.step(last_R1, now.cache, jnp.repeat(~now.done_B, K).astype(jnp.int32))
        logp_RV = jax.nn.log_softmax(logits_R1V[:, 0].astype(dtype))
        if may is not None:
            logp_RV = jnp.where(may(tokens_RS, lengths_R, starts_R), logp_RV, -jnp.inf)
        all_BKV = jnp.where(jnp.isneginf(live_BK)[..., None], -jnp.inf, live_BK[..., None] + logp_RV.reshape(B, K, V))
        logp_BC, choice_BC = jax.lax.top_k(all_BKV.reshape(B, -1), C)
        parent_BC, token_BC = choice_BC // V, (choice_BC % V).astype(tokens_BKS.dtype)
        at_B1 = (starts_B + now.new)[:, None]
        tokens_BCS = now.tokens_BKS[row_B1, parent_BC]
        tokens_BCS = tokens_BCS.at[row_B1, jnp.arange(C)[None], at_B1].set(token_BC, mode="drop")

        ends_BC, new = jnp.broadcast_to(at_B1 + 1, (B, C)), now.new + 1
        starts_BC = jnp.broadcast_to(starts_B[:, None], (B, C))
        flat = (leaf.reshape(B * C, *leaf.shape[2:]) for leaf in (tokens_BCS, ends_BC, starts_BC))
        sizes_BC = stop_sizes(*flat, stops).reshape(B, C)
        over_BC = (sizes_BC > 0) | (new >= limits_B)[:, None]
        ended_BC = jnp.where(over_BC, logp_BC, -jnp.inf)
        newest = Beams(tokens_BCS, starts_BC, ends_BC, sizes_BC, ended_BC, ended_BC / normal(new))
        best = _best(now.best, newest, K)

        kept_BK, at_BK = jax.lax.top_k(jnp.where(over_BC, -jnp.inf, logp_BC), K)
        rows_R = (row_B1 * K + parent_BC[row_B1, at_BK]).reshape(-1)
        hope_B = kept_BK[:, 0] / normal(jnp.maximum(new, jnp.where(jnp.asarray(penalty) > 0, limits_B, new)))
        done_B = now.done_B | jnp.isneginf(kept_BK[:, 0]) | (hope_B <= best.scores_BK[:, -1])
        return _Loop(tokens_BCS[row_B1, at_BK], kept_BK, new, cache.rows(rows_R), done_B, best)

    empty_BK = jnp.full((B, K), -jnp.inf, dtype)
    starts_BK, none_BK = starts_R.reshape(B, K), jnp.zeros((B, K), jnp.int32)
    first_BK = empty_BK.at[:, 0].set(0.0)
    none_yet = Beams(tokens_BKS, starts_BK, starts_BK, none_BK, empty_BK, empty_BK)
    begin = _Loop(tokens_BKS, first_BK, jnp.int32(0), cache, limits_B <= 0, none_yet)
    return jax.lax.while_loop(more, body, begin).best


def _best(old: Beams, new: Beams, K: int) -> Beams:
    """The K hypotheses of the largest scores."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), old, new)
    _, at_BK = jax.lax.top_k(both.scores_BK, K)
    return jax.tree.map(lambda leaf: leaf[jnp.arange(leaf.shape[0])[:, None], at_BK], both)
