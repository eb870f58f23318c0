"""What an encoder or decoder computes on its way: all states of the stream, and all attention distributions."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagejax.models.block import Block
from stagejax.models.language_model import LanguageModel
from stagejax.models.stack import run_stack


class Observed(NamedTuple):
    """Letters: L layers, B batch, T tokens (queries and keys), E embed, N heads.

    Attributes:
      states: what the first block reads, then the stream behind each block; the last one is what the head reads.
      attentions: over keys, the last axis; exactly 0 where a key may not be seen.
    """

    states: Float[Array, "L1 B T E"]
    attentions: Float[Array, "L B N T T"]


def observed(model: LanguageModel, tokens_BT: Int[Array, "B T"], mask_BT: Bool[Array, "B T"] | None = None) -> Observed:
    """States and attentions without dropout; the last state is `model.hidden(tokens, mask=mask)`.

    Args:
      mask_BT: True where a key may be seen (no padding).

    >>> from flax import nnx
    >>> from stagejax.models import bert
    >>> model, tokens = bert(layers=3, embed=16, heads=2).build(nnx.Rngs(0)), jnp.ones((2, 5), int)
    >>> found = observed(model, tokens)
    >>> found.states.shape, found.attentions.shape, bool(jnp.allclose(found.states[-1], model.hidden(tokens)))
    ((4, 2, 5, 16), (3, 2, 2, 5, 5), True)
    """
    c, positions = model.config, jnp.arange(tokens_BT.shape[1])[None]
    x_BTE = model.embed(tokens_BT, positions, None)
    context = {"causal": c.causal, "mask": mask_BT, "angles_BTh": model.angles(positions, x_BTE)}
    (B, T), dtype = tokens_BT.shape, x_BTE.dtype
    empty = jnp.zeros((c.layers, *x_BTE.shape), dtype), jnp.zeros((c.layers, B, c.heads, T, T), dtype)

    def call(block: Block, layer: Any, carry: Any) -> Any:
        x_BTE, (states, attentions) = carry
        weights_BNTT = block.attention_weights(x_BTE, **context).astype(dtype)
        x_BTE = block(x_BTE, **context)
        return x_BTE, (states.at[layer].set(x_BTE), attentions.at[layer].set(weights_BNTT))

    carry = x_BTE, empty
    last_BTE, (states, attentions) = run_stack(
        model.blocks, call, carry, start=0, stop=c.layers, scan=c.scan, remat=c.remat
    )
    last_BTE = last_BTE if model.norm is None else model.norm(last_BTE)
    return Observed(jnp.concatenate([x_BTE[None], states[:-1], last_BTE[None]]), attentions)
