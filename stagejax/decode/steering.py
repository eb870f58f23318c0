"""Decoding from several models at once: a base, steered by what fine-tuning changed in other models.

Letters: B rows, T new tokens, V vocabulary, J fine-tuned models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.decode.distribution import restricted


def steered(
    base: Float[Array, "*rows V"],
    reference: Float[Array, "*rows V"],
    tuned: Sequence[Float[Array, "*rows V"]],
    weights: Any = (1.0,),
    *,
    clip: float = 20.0,
    top_p: float | None = None,
) -> Float[Array, "*rows V"]:
    """log π̃ = log p_base + Σ_j w_j (log p_tuned,j - log p_reference) - log Z, normalised for each token.

    The reference is what the tuned models were before they were tuned; their difference is taken over by the base,
    which may be larger (up-scaling) or smaller (down-scaling). Weights may be traced, so that a sweep is one program.

    Args:
      base, reference, tuned: logits over one vocabulary; -inf for a token that a model does not have, which then has
        no probability.
      weights: J numbers. (1.0,) is emulated fine-tuning; (λ, 1 - λ) mixes two of them.
      clip: bound of each difference, in nats.
      top_p: leaves only tokens in the nucleus of a tuned model, before it is normalised: the difference says little
        where both models find a token unlikely. None: all tokens.

    Returns:
      Log-probabilities, float32 or wider.

    Raises:
      ValueError: another number of weights than of tuned models.

    Reference: Mitchell et al. 2024, An emulator for fine-tuning large language models using small language models,
    https://arxiv.org/abs/2310.12962, sections 3.2 and 4.3; with one weight also proxy-tuning, Liu et al. 2024,
    https://arxiv.org/abs/2401.08565.

    >>> base, before, after = (jnp.log(jnp.array(p)) for p in ([0.5, 0.5], [0.8, 0.2], [0.4, 0.6]))
    >>> [round(p, 3) for p in jnp.exp(steered(base, before, [after])).tolist()]  # 0.5 * 0.4 / 0.8 to 0.5 * 0.6 / 0.2
    [0.143, 0.857]
    """
    count = weights.shape[0] if hasattr(weights, "shape") else len(weights)
    if count != len(tuned) or not count:
        raise ValueError(f"{count} weights for {len(tuned)} tuned models: give one for each, and at least one")
    dtype = jnp.promote_types(base.dtype, jnp.float32)
    own, before, *after = (jax.nn.log_softmax(logits.astype(dtype)) for logits in (base, reference, *tuned))
    absent = jnp.stack([jnp.isneginf(logp) for logp in (own, before, *after)]).any(0)
    for j, logp in enumerate(after):
        own = own + weights[j] * jnp.clip(jnp.where(absent, 0, logp - before), -clip, clip)
    if top_p is not None:
        flat = [jnp.where(absent, -jnp.inf, logp).reshape(-1, logp.shape[-1]) for logp in after]
        likely = jnp.stack([jnp.isfinite(restricted(logp, top_p=top_p)) for logp in flat]).any(0)
        absent = absent | ~likely.reshape(absent.shape)
    return jax.nn.log_softmax(jnp.where(absent, -jnp.inf, own))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Caches:
    """The caches of several models that have read the same tokens."""

    each: tuple[Any, ...]

    @property
    def lengths_B(self) -> Int[Array, " B"]:
        """How many tokens each row has."""
        return self.each[0].lengths_B

    def rows(self, rows_R: Int[Array, " R"]) -> Caches:
        """Sequences chosen by number."""
        return Caches(tuple(cache.rows(rows_R) for cache in self.each))

    def moved(self, by_B: Int[Array, " B"]) -> Caches:
        """With tokens more or fewer in each row, of those that are written."""
        return Caches(tuple(cache.moved(by_B) for cache in self.each))


@dataclass(frozen=True, eq=False)
class Together:
    """Several causal models whose caches advance in lock-step; a step gives the logits of each, as a tuple.

    >>> from stagejax.decode import Recomputed
    >>> both = Together((Recomputed(lambda t, _: jax.nn.one_hot(t, 4)), Recomputed(lambda t, _: jax.nn.one_hot(t, 5))))
    >>> logits, caches = both.step(jnp.array([[3]]), both.init_cache(1, 6))
    >>> [x.shape for x in logits], caches.lengths_B.tolist()
    ([(1, 1, 4), (1, 1, 5)], [1])
    """

    models: tuple[Any, ...]

    def init_cache(self, batch: int, length: int) -> Caches:
        """An empty cache of each."""
        return Caches(tuple(model.init_cache(batch, length) for model in self.models))

    def step(self, tokens_BT: Any, cache: Caches, counts_B: Any = None, **options: Any) -> tuple[Any, Caches]:
        """As `CausalModel.step` of each."""
        both = (m.step(tokens_BT, c, counts_B, **options) for m, c in zip(self.models, cache.each, strict=True))
        logits, caches = zip(*both, strict=True)
        return logits, Caches(caches)


@dataclass(frozen=True, eq=False)
class Steered:
    """A `CausalModel` of `steered`: what samples, searches or scores one model does so with this as well.

    >>> from stagejax.decode import Recomputed, padded_prompts, sample
    >>> flat = Recomputed(lambda tokens, _: jnp.zeros((*tokens.shape, 9)))
    >>> counting = Recomputed(lambda tokens, _: 15.0 * jax.nn.one_hot(tokens + 1, 9))
    >>> emulated = Steered(base=flat, reference=flat, tuned=(counting,))
    >>> sample(emulated, padded_prompts([[1]], 1), jax.random.key(0), length=4).tokens_BNS.tolist()
    [[[1, 2, 3, 4]]]
    """

    base: Any
    reference: Any
    tuned: tuple[Any, ...]
    weights: Any = (1.0,)
    clip: float = 20.0
    top_p: float | None = None

    @property
    def _together(self) -> Together:
        return Together((self.base, self.reference, *self.tuned))

    def init_cache(self, batch: int, length: int) -> Caches:
        """An empty cache of each model."""
        return self._together.init_cache(batch, length)

    def step(self, tokens_BT: Any, cache: Caches, counts_B: Any = None, **options: Any) -> tuple[Any, Caches]:
        """Log-probabilities (B, T, V), and the longer caches."""
        (base, reference, *tuned), cache = self._together.step(tokens_BT, cache, counts_B, **options)
        return steered(base, reference, tuned, self.weights, clip=self.clip, top_p=self.top_p), cache
