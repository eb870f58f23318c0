"""Sampling with a cache: one program for prompts and continuations of all lengths up to a maximum.

Letters: B prompts, P their padded length, N samples of each, R = B N rows, S tokens of a row at most, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from stagejax.decode.distribution import Number, restricted, unrepeated
from stagejax.decode.prompts import Prompts

#: (tokens (R, S), their lengths (R,), where continuations begin (R,)) -> which tokens may come next, (R, V).
Allowed = Callable[[Array, Array, Array], Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Samples:
    """Prompts and their continuations, each row from 0 and padded with 0 behind its end."""

    tokens_BNS: Any  # integers
    starts_BN: Any  # where the continuation begins: the length of the prompt
    ends_BN: Any  # behind its last token, which may be that of a stop string
    stop_sizes_BN: Any  # tokens of the stop string that ended it; 0: the limit did
    logprobs_BNS: Any  # of each token drawn, under the model itself; 0 elsewhere
    drawn_logprobs_BNS: Any  # under the distribution it was drawn from: without repetition, tempered, cut, forced

    @property
    def drawn_BNS(self) -> Bool[np.ndarray | Array, "B N S"]:
        """True at the tokens that were drawn."""
        at_S = np.arange(self.tokens_BNS.shape[-1])
        return (at_S >= self.starts_BN[..., None]) & (at_S < self.ends_BN[..., None])


class _Loop(NamedTuple):
    tokens_RS: Array
    lengths_R: Array
    cache: Any
    logprobs_RS: Array
    drawn_RS: Array
    stop_sizes_R: Array
    done_R: Array


def sample(
    model: Any,
    prompts: Prompts,
    key: Key[Array, "..."],
    *,
    length: int,
    n: int = 1,
    limit: Number | Int[Array, " B"] | None = None,
    temperature: Number | Float[Array, " B"] = 1.0,
    top_k: Number | Int[Array, " B"] | None = None,
    top_p: Number | Float[Array, " B"] | None = None,
    repetition: Number | Float[Array, " B"] | None = None,
    stops: Sequence[tuple[int, ...]] = (),
    allowed: Bool[Array, "..."] | Bool[np.ndarray, "..."] | Allowed | None = None,
) -> Samples:
    """`n` continuations of each prompt, y_t ~ p(. | x, y_<t), token by token until a stop string or the limit.

    A pure function to be called under `jax.jit`. Shapes are those of `prompts`, `length` and `n` alone, so one program
    serves all lengths of prompts, limits, temperatures and cuts; the loop ends when every row has. The k-th sample of
    prompt i draws its t-th token with fold_in(fold_in(fold_in(key, i), k), t), whatever the other rows are.

    Args:
      model: a `CausalModel`, such as a `LanguageModel`, or an encoder-decoder that has read
        (`models.text.reading.Read`).
      prompts: the given tokens, at least one a row; how an answer is to begin is part of the prompt. A prefix LM reads
        its prefix in one pass, in both directions (`Prompts.prefixes_B`).
      key: one for all prompts, or one for each (B,), which then does not depend on the prompt's place in the batch.
      length: S, most tokens of prompt and continuation together.
      n: samples of each prompt. Prompts are read once, whatever `n` is.
      limit: most new tokens, for all or for each prompt; None: as many as fit.
      temperature, top_k, top_p: see `restricted`; for all prompts, or for each.
      repetition: penalty of the tokens that a row has, its prompt's among them (see `unrepeated`). None: none.
      stops: sequences of tokens that end a row as soon as its new tokens end in one of them.
      allowed: which tokens may be drawn: a mask that broadcasts to (B, new tokens, V), or a function of what is there
        (see `Allowed`). To force a token, allow it alone. Where none is allowed the log-probabilities are NaN.

    Returns:
      `Samples`.

    Raises:
      ValueError: the prompts are longer than `length`, a stop string is empty, the mask does not fit.

    >>> from stagejax.decode import Recomputed, padded_prompts
    >>> counting = Recomputed(lambda tokens, _: 50 * jax.nn.one_hot(tokens + 1, 9))
    >>> drawn = sample(counting, padded_prompts([[1, 2], [5]], 2), jax.random.key(0), length=6, stops=((7,),))
    >>> drawn.tokens_BNS[:, 0].tolist(), drawn.stop_sizes_BN[:, 0].tolist()
    ([[1, 2, 3, 4, 5, 6], [5, 6, 7, 0, 0, 0]], [0, 1])
    """
    B, P = prompts.tokens_BP.shape
    if length < P:
        raise ValueError(f"length={length} holds prompt and continuation, but the prompts have {P}: raise `length`")
    if not all(stops):
        raise ValueError(f"stops={stops!r}: an empty stop string would end every row before its first token")

    def rows(each: Any) -> Array:
        return jnp.repeat(jnp.broadcast_to(jnp.asarray(each), (B,)), n, axis=0)

    starts_B = jnp.asarray(prompts.lengths_B)
    starts_R, row_R = rows(starts_B), jnp.arange(B * n)
    keys_R = row_keys(key, B, n)
    temperature, top_k, top_p, repetition = (
        x if x is None else rows(x) for x in (temperature, top_k, top_p, repetition)
    )
    ends_R = jnp.minimum(length, starts_R + rows(length if limit is None else limit))
    may = mask_of(allowed, B, n)

    # The prompts without their last tokens: the loop begins with those, and no logits are needed before.
    tokens_BP, cache = prompts.read(model, length)
    cache = cache.rows(rows(jnp.arange(B)))
    tokens_RS = jnp.pad(jnp.repeat(tokens_BP, n, axis=0), ((0, 0), (0, length - P)))
    one = jax.eval_shape(lambda: model.step(tokens_RS[:, :1], cache, starts_R)[0])
    empty_RS = jnp.zeros((B * n, length), jnp.promote_types(one.dtype, jnp.float32))
    done_R = starts_R >= ends_R

    def more(now: _Loop) -> Array:
        return ~now.done_R.all()

    def body(now: _Loop) -> _Loop:
        last_R1 = now.tokens_RS[row_R, now.lengths_R - 1][:, None]
        logits_R1V, cache = model.step(last_R1, now.cache, (~now.done_R).astype(jnp.int32))
        logits_RV = logits_R1V[:, 0].astype(empty_RS.dtype)
        new_R = now.lengths_R - starts_R  # the number of the new token
        masked_RV = logits_RV
        if repetition is not None:
            there_RS = jnp.arange(length) < now.lengths_R[:, None]
            seen_RV = jnp.zeros(logits_RV.shape, bool).at[row_R[:, None], now.tokens_RS].max(there_RS)
            masked_RV = unrepeated(logits_RV, seen_RV, repetition)
        if may is not None:
            masked_RV = jnp.where(may(now.tokens_RS, now.lengths_R, starts_R), masked_RV, -jnp.inf)
        choice_RV = restricted(masked_RV, temperature, top_k, top_p)
        token_R = jax.vmap(jax.random.categorical)(jax.vmap(jax.random.fold_in)(keys_R, new_R), choice_RV)
        at = (row_R, jnp.where(now.done_R, length, now.lengths_R))
        token_R = token_R.astype(now.tokens_RS.dtype)
        tokens_RS = now.tokens_RS.at[at].set(token_R, mode="drop")
        own_R = jax.nn.log_softmax(logits_RV)[row_R, token_R]
        lengths_R = now.lengths_R + ~now.done_R
        stop_sizes_R = jnp.where(now.done_R, now.stop_sizes_R, stop_sizes(tokens_RS, lengths_R, starts_R, stops))
        return _Loop(
            tokens_RS,
            lengths_R,
            cache,
            now.logprobs_RS.at[at].set(own_R, mode="drop"),
            now.drawn_RS.at[at].set(choice_RV[row_R, token_R], mode="drop"),
            stop_sizes_R,
            now.done_R | (stop_sizes_R > 0) | (lengths_R >= ends_R),
        )

    begin = _Loop(tokens_RS, starts_R, cache, empty_RS, empty_RS, jnp.zeros(B * n, jnp.int32), done_R)
    end = jax.lax.while_loop(more, body, begin)
    found = (end.tokens_RS, starts_R, end.lengths_R, end.stop_sizes_R, end.logprobs_RS, end.drawn_RS)
    return Samples(*(leaf.reshape(B, n, *leaf.shape[1:]) for leaf in found))


def row_keys(key: Key[Array, "..."], B: int, n: int) -> Key[Array, "..."]:
    """A key for each row, from one for all prompts or one for each."""
    fold = jax.random.fold_in
    keys_B = jax.vmap(fold, (None, 0))(key, jnp.arange(B)) if key.ndim == 0 else key
    return jax.vmap(jax.vmap(fold, (None, 0)), (0, None))(keys_B, jnp.arange(n)).reshape(B * n)


def stop_sizes(tokens_RS: Array, lengths_R: Array, starts_R: Array, stops: Sequence[tuple[int, ...]]) -> Array:
    """The size of the longest stop string in which the new tokens of each row end; 0 without one."""
    found_R = jnp.zeros_like(lengths_R)
    for stop in sorted(stops, key=len):
        at_RM = lengths_R[:, None] - len(stop) + jnp.arange(len(stop))
        same_RM = jnp.take_along_axis(tokens_RS, at_RM, axis=1, mode="clip") == jnp.array(stop)
        found_R = jnp.where(same_RM.all(1) & (at_RM[:, 0] >= starts_R), len(stop), found_R)
    return found_R


def mask_of(allowed: Any, B: int, n: int) -> Allowed | None:
    """A mask over (B, new tokens, V) as a function of what is there; behind its last step it stays as it is there."""
    if allowed is None or callable(allowed):
        return allowed
    allowed = jnp.asarray(allowed)
    shape = (1,) * (3 - allowed.ndim) + allowed.shape
    if allowed.ndim > 3 or shape[0] not in (1, B):
        raise ValueError(
            f"allowed has shape {allowed.shape}: it must broadcast to ({B} prompts, new tokens, vocabulary)"
        )
    mask_RNV = jnp.repeat(jnp.broadcast_to(allowed.reshape(shape), (B, *shape[1:])), n, axis=0)

    def of_array(tokens_RS: Array, lengths_R: Array, starts_R: Array) -> Array:
        at_R = jnp.minimum(lengths_R - starts_R, shape[1] - 1)
        return mask_RNV[jnp.arange(B * n), at_R]

    return of_array
