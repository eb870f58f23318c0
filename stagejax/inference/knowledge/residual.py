"""What passes through a decoder, block by block: read it early, or put there what another input left.

`lens` and `causal_trace` are functions for `apply`: of a causal `LanguageModel`, and of rows that are arrays by name.

Letters: S states (what the first block reads, then what each block leaves: layers + 1), B rows, T tokens, E embed, V
vocabulary, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.models.stack import run_stack


def residual_stream(
    model: Any, tokens_BT: Int[Array, "B T"], add_LBTE: Float[Array, "L B T E"] | None = None
) -> Float[Array, "S B T E"]:
    """The residual stream of a causal `LanguageModel`: state 0 is the embeddings, state l what l blocks make of them.

    Args:
      add_LBTE: added to what each of the L blocks leaves, and so read by the blocks above.

    >>> from flax import nnx
    >>> from stagejax.models import gpt
    >>> model, tokens = gpt(layers=2).build(nnx.Rngs(0)), jnp.array([[5, 6, 7]])
    >>> states = residual_stream(model, tokens)
    >>> states.shape, bool(jnp.allclose(logit_lens(model, states)[-1], model(tokens), atol=1e-5))
    ((3, 1, 3, 64), True)
    """
    x_BTE = model.embed(tokens_BT, jnp.arange(tokens_BT.shape[1])[None], None)
    states = jnp.zeros((model.config.layers + 1, *x_BTE.shape), x_BTE.dtype).at[0].set(x_BTE)
    return _run(model, states, 0, add_LBTE)


def logit_lens(model: Any, states: Float[Array, "*states E"]) -> Float[Array, "*states V"]:
    """Logits of states anywhere in the stream, as if no block came after them: the final norm, then the head.

    Reference: nostalgebraist 2020, Interpreting GPT: the logit lens.
    """
    flat = states.reshape(-1, *states.shape[-2:])
    logits = model.logits(flat if model.norm is None else model.norm(flat))
    return logits.reshape(*states.shape[:-1], logits.shape[-1])


def resumed(model: Any, states_BTE: Float[Array, "B T E"], start: int) -> Float[Array, "B T V"]:
    """Logits after the blocks from number `start` on, given what the blocks before them left: state `start`."""
    states = jnp.zeros((model.config.layers + 1, *states_BTE.shape), states_BTE.dtype).at[start].set(states_BTE)
    return logit_lens(model, _run(model, states, start)[-1])


def read_by_attention(model: Any, tokens_BT: Int[Array, "B T"]) -> Float[Array, "L B T E"]:
    """What query, key and value of each of the L blocks of a pre-norm decoder read: the normalised stream.

    Raises:
      ValueError: the model is no pre-norm decoder.

    >>> from flax import nnx
    >>> from stagejax.models import gpt
    >>> model = gpt(layers=2).build(nnx.Rngs(0))
    >>> read = read_by_attention(model, jnp.array([[5, 6, 7]]))
    >>> read.shape, bool(jnp.allclose(read.mean(-1), 0, atol=1e-5))
    ((2, 1, 3, 64), True)
    """
    c, states = model.config, residual_stream(model, tokens_BT)
    if c.norm_position != "pre":
        raise ValueError(f"norm_position={c.norm_position!r}: the attention of a post-norm model reads no norm")

    def call(block: Any, layer: Any, read: Array) -> Array:
        return read.at[layer].set(block.attention_norm(states[layer]))

    return run_stack(model.blocks, call, jnp.zeros_like(states[1:]), start=0, stop=c.layers, scan=c.scan)


def _run(model: Any, states: Array, start: int, add: Array | None = None) -> Array:
    """The states from number `start` on, each made by a block from the one before."""
    c, T = model.config, states.shape[-2]
    if not c.causal:
        raise ValueError("causal=False: the residual stream is traced in decoders; set causal=True")
    angles = model.angles(jnp.arange(T)[None], states)

    def call(block: Any, layer: Any, states: Array) -> Array:
        left = block(states[layer], causal=True, angles_BTh=angles)
        return states.at[layer + 1].set(left if add is None else left + add[layer])

    return run_stack(model.blocks, call, states, start=start, stop=c.layers, scan=c.scan)


def reciprocal_ranks(logits: Float[Array, "*states V"], tokens: Int[Array, "*#states"]) -> Float[Array, "*states"]:
    """1 / (1 + how many tokens have a larger logit): 1 where a token is the likeliest.

    >>> reciprocal_ranks(jnp.array([[0.0, 2.0, 1.0]]), jnp.array([2]))
    Array([0.5], dtype=float32)
    """
    tokens = jnp.broadcast_to(tokens, logits.shape[:-1])
    own = jnp.take_along_axis(logits, tokens[..., None], axis=-1)
    return jnp.reciprocal((1 + (logits > own).sum(-1)).astype(jnp.float32))


def lens(model: Any, rows: Mapping[str, Array]) -> Float[Array, "B W S T"]:
    """The logit lens: reciprocal ranks of the tokens that are `wanted`, in every state of every token.

    Args:
      rows: `tokens` (B, T), and `wanted` (B, W), tokens to look for.

    >>> # apply(lens, Frozen.of(run.train(stage)), {"tokens": tokens, "wanted": tokens[:, -1:]}).mean(0)
    """
    logits = logit_lens(model, residual_stream(model, rows["tokens"]))
    ranks = [reciprocal_ranks(logits, wanted_B[:, None]) for wanted_B in rows["wanted"].T]  # each (S, B, T)
    return jnp.stack(ranks).transpose(2, 0, 1, 3)


def causal_trace(model: Any, rows: Mapping[str, Array]) -> Float[Array, "B S T"]:
    """The probability of answers behind a changed input, when one state is put back as it was in the clean run.

    In entry (b, s, t) the first s blocks read `changed`; of what they leave, the state of token t alone is made that
    of `clean`; the other blocks go on from there. So (b, layers, T - 1) is the probability behind the clean input, and
    (b, layers, t) for earlier t that behind the changed one.

    Args:
      rows: `clean` and `changed` (B, T), and `answer` (B,), which should follow the last token.

    Reference: Meng et al. 2022 (ROME), https://arxiv.org/abs/2202.05262, section 2.1; here the changed run reads
    another input, where theirs has noise in its embeddings.

    >>> from flax import nnx
    >>> from stagejax.models import gpt
    >>> rows = {"clean": jnp.array([[5, 6, 7]]), "changed": jnp.array([[5, 9, 7]]), "answer": jnp.array([8])}
    >>> causal_trace(gpt(layers=2).build(nnx.Rngs(0)), rows).shape
    (1, 3, 3)
    """
    (B, T), found = rows["clean"].shape, []
    clean, changed = (residual_stream(model, rows[name]) for name in ("clean", "changed"))
    own = jnp.eye(T, dtype=bool)[:, None, :, None]  # of copy t of all rows, the token t
    for start in range(model.config.layers + 1):
        mixed = jnp.where(own, clean[start], changed[start])  # (T copies, B, T, E)
        chances = jax.nn.softmax(resumed(model, mixed.reshape(T * B, T, -1), start)[:, -1])
        found.append(chances.reshape(T, B, -1)[:, jnp.arange(B), rows["answer"]])
    return jnp.stack(found).transpose(2, 0, 1)
