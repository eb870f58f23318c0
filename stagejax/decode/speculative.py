"""Speculative sampling: a small model drafts some tokens, a large one scores them in one pass and keeps the first ones.

Letters: B prompts, S tokens of a row at most, K tokens drafted in a round, T = K + 1 scored, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from stagejax.decode.distribution import Number, restricted
from stagejax.decode.prompts import Prompts
from stagejax.decode.sample import Samples, row_keys, stop_sizes


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Speculated:
    """What was sampled, and how it went."""

    samples: Samples  # one of each prompt
    rounds_B: Any  # passes of the target
    judged_B: Any  # drafted tokens that were judged: those up to the first rejected one, or the end
    accepted_B: Any  # of those


class _Loop(NamedTuple):
    tokens_BS: Array
    lengths_B: Array
    target: Any  # caches
    draft: Any
    logprobs_BS: Array
    drawn_BS: Array
    stop_sizes_B: Array
    done_B: Array
    rounds: Array
    counts_3B: Array  # as in `Speculated`


def speculative_sample(
    target: Any,
    draft: Any,
    prompts: Prompts,
    key: Key[Array, "..."],
    *,
    length: int,
    block: int = 4,
    limit: Number | Int[Array, " B"] | None = None,
    temperature: Number | Float[Array, " B"] = 1.0,
    stops: Sequence[tuple[int, ...]] = (),
    score: Callable[[Any, Array], Array] | None = None,
) -> Speculated:
    """Samples of the target p, most of whose tokens a draft q draws: distributed exactly as those of `sample`.

    A round drafts x_1 ... x_K from q, one after the other, and scores all of them in one pass of the target. Token x_t
    is kept with probability min(1, p(x_t) / q(x_t)); in place of the first that is not, one is drawn from the positive
    part of p - q, normalised; where all are kept, one more is drawn from p. So a round gives 1 to K + 1 tokens.
    At temperature 0 those are the target's greedy ones.

    Args:
      target, draft: `CausalModel`s with one vocabulary, whose caches are `Rewindable`.
      prompts, key, length, limit, temperature, stops: as in `sample`, which draws other tokens from the same key. The
        temperature is that of both.
      block: K.
      score: (what the target's step gives, the draft's logits (B, T, V)) -> logits (B, T, V), where the draft is part
        of the target and shall not run twice: with `Together((base, reference))` as target,
        `lambda pair, drafted: steered(*pair, [drafted])` samples from the emulated model.

    Raises:
      ValueError: `block` below 1, or as in `sample`.

    Reference: Leviathan et al. 2023, https://arxiv.org/abs/2211.17192, algorithm 1; Chen et al. 2023,
    https://arxiv.org/abs/2302.01318.

    >>> from stagejax.decode import Recomputed, padded_prompts
    >>> counting = Recomputed(lambda tokens, _: 50 * jax.nn.one_hot(tokens + 1, 9))
    >>> doubtful = Recomputed(lambda tokens, _: 50 * jax.nn.one_hot(jnp.where(tokens == 3, 0, tokens + 1), 9))
    >>> found = speculative_sample(counting, doubtful, padded_prompts([[1]], 1), jax.random.key(0), length=8, block=3)
    >>> found.samples.tokens_BNS.tolist(), found.rounds_B.tolist(), found.judged_B.tolist(), found.accepted_B.tolist()
    ([[[1, 2, 3, 4, 5, 6, 7, 8]]], [2], [6], [5])
    """
    (B, P), K, row_B = prompts.tokens_BP.shape, block, jnp.arange(len(prompts.tokens_BP))
    if length < P or K < 1 or not all(stops):
        raise ValueError(
            f"length={length} for prompts of {P} tokens, block={K}, stops={stops!r}: need length >= the prompts', "
            "block >= 1, and no empty stop string"
        )
    starts_B = jnp.asarray(prompts.lengths_B)
    ends_B = jnp.minimum(length, starts_B + jnp.asarray(length if limit is None else limit))
    heat_B = jnp.broadcast_to(jnp.asarray(temperature), (B,))
    keys_B = row_keys(key, B, 1)
    score = score or (lambda own, drafted: own)
    tokens_BP, target_cache = prompts.read(target, length)
    _, draft_cache = prompts.read(draft, length)
    tokens_BS = jnp.pad(tokens_BP, ((0, 0), (0, length - P)))

    def tempered(logits_BTV: Array) -> Array:
        """Log-probabilities of what is drawn from."""
        V = logits_BTV.shape[-1]
        return restricted(logits_BTV.reshape(-1, V), jnp.repeat(heat_B, K + 1)).reshape(B, K + 1, V)

    def drafted(last_B: Array, cache: Any, live_B: Array, keys_B: Array) -> tuple[Array, Array, Any]:
        """K tokens and one to spare (B, T), the logits that each was drawn from, and the cache with all but that."""

        def one(carry: Any, at: Array) -> Any:
            token_B, cache = carry
            logits_B1V, cache = draft.step(token_B[:, None], cache, live_B.astype(jnp.int32))
            logp_BV = restricted(logits_B1V[:, 0], heat_B)
            token_B = _drawn(keys_B, at, logp_BV).astype(token_B.dtype)
            return (token_B, cache), (token_B, logits_B1V[:, 0])

        (_, cache), (tokens_TB, logits_TBV) = jax.lax.scan(one, (last_B, cache), jnp.arange(K + 1))
        return tokens_TB.swapaxes(0, 1), logits_TBV.swapaxes(0, 1), cache

    def body(now: _Loop) -> _Loop:
        live_B, at_T = ~now.done_B, jnp.arange(K + 1)
        round_B = jax.vmap(jax.random.fold_in, (0, None))(keys_B, now.rounds)
        draw_B, keep_B, more_B = (jax.vmap(jax.random.fold_in, (0, None))(round_B, i) for i in range(3))
        last_B = now.tokens_BS[row_B, now.lengths_B - 1]
        draft_BT, logits_BTV, draft_cache = drafted(last_B, now.draft, live_B, draw_B)
        asked_BT = jnp.concatenate([last_B[:, None], draft_BT[:, :K]], axis=1)
        own, target_cache = target.step(asked_BT, now.target, jnp.zeros(B, jnp.int32))
        scored_BTV = score(own, logits_BTV)
        p_BTV, q_BTV = tempered(scored_BTV), tempered(logits_BTV)

        ratio_BT = _of(p_BTV, draft_BT) - _of(q_BTV, draft_BT)
        luck_BT = jax.vmap(lambda key: jax.random.uniform(key, (K + 1,), ratio_BT.dtype))(keep_B)
        kept_BK = (jnp.log(luck_BT) < ratio_BT)[:, :K]
        kept_B = jnp.cumprod(kept_BK, axis=1).sum(1)  # the first so many are
        p_BV, q_BV = p_BTV[row_B, kept_B], q_BTV[row_B, kept_B]
        more_BV = jnp.where((kept_B < K)[:, None], _positive_part(p_BV, q_BV), p_BV)
        new_B = _drawn(more_B, jnp.int32(0), more_BV).astype(draft_BT.dtype)
        new_BT = jnp.where(at_T == kept_B[:, None], new_B[:, None], draft_BT)

        own_BT, drawn_BT = _of(jax.nn.log_softmax(scored_BTV.astype(p_BTV.dtype)), new_BT), _of(p_BTV, new_BT)
        state = (now.tokens_BS, now.logprobs_BS, now.drawn_BS, now.lengths_B, now.stop_sizes_B, now.done_B)
        for t in range(K + 1):
            tokens_BS, logprobs_BS, drawn_BS, lengths_B, sizes_B, done_B = state
            takes_B = ~done_B & (t <= kept_B)
            at = (row_B, jnp.where(takes_B, lengths_B, length))
            tokens_BS = tokens_BS.at[at].set(new_BT[:, t], mode="drop")
            logprobs_BS = logprobs_BS.at[at].set(own_BT[:, t], mode="drop")
            drawn_BS = drawn_BS.at[at].set(drawn_BT[:, t], mode="drop")
            lengths_B = lengths_B + takes_B
            sizes_B = jnp.where(takes_B, stop_sizes(tokens_BS, lengths_B, starts_B, stops), sizes_B)
            done_B = done_B | (sizes_B > 0) | (lengths_B >= ends_B)
            state = (tokens_BS, logprobs_BS, drawn_BS, lengths_B, sizes_B, done_B)
        tokens_BS, logprobs_BS, drawn_BS, lengths_B, sizes_B, done_B = state
        taken_B = lengths_B - now.lengths_B
        counts = jnp.stack([live_B, jnp.minimum(taken_B, K), jnp.minimum(taken_B, kept_B)])
        return _Loop(
            tokens_BS,
            lengths_B,
            target_cache.moved(taken_B),
            draft_cache.moved(taken_B - (K + 1) * live_B),
            logprobs_BS,
            drawn_BS,
            sizes_B,
            done_B,
            now.rounds + 1,
            now.counts_3B + counts,
        )

    empty_BS = jnp.zeros((B, length), jnp.float32)
    none_B, done_B = jnp.zeros(B, jnp.int32), starts_B >= ends_B
    begin = _Loop(
        tokens_BS, starts_B, target_cache, draft_cache, empty_BS, empty_BS, none_B, done_B, jnp.int32(0),
        jnp.zeros((3, B), jnp.int32),
    )  # fmt: skip
    end = jax.lax.while_loop(lambda now: ~now.done_B.all(), body, begin)
    found = (end.tokens_BS, starts_B, end.lengths_B, end.stop_sizes_B, end.logprobs_BS, end.drawn_BS)
    return Speculated(Samples(*(leaf[:, None] for leaf in found)), *end.counts_3B)


def _positive_part(p_BV: Array, q_BV: Array) -> Array:
    """log max(0, exp p - exp q), not normalised; p itself where rounding leaves nothing."""
    more_BV = jnp.maximum(jnp.exp(p_BV) - jnp.exp(q_BV), 0)
    return jnp.where(more_BV.sum(-1, keepdims=True) > 0, jnp.log(more_BV), p_BV)


def _of(logp_BTV: Array, tokens_BT: Array) -> Array:
    """The log-probability of each token."""
    return jnp.take_along_axis(logp_BTV, tokens_BT[..., None], axis=-1)[..., 0]


def _drawn(keys_B: Array, at: Array, logp_BV: Array) -> Array:
    keys_B = jax.vmap(jax.random.fold_in, (0, None))(keys_B, at)
    return jax.vmap(jax.random.categorical)(keys_B, logp_BV)
