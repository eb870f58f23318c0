"""Objectives of language models: predict what was masked, or what comes next.

An objective is a function `(model, batch, key) -> (loss, metrics)`; `key` draws dropout and is None in evaluation. Fix
its options by `functools.partial`, which can be declared: `partial(causal_lm, z_loss=1e-4)` and, to train a sub-model,
`partial(masked_lm, depth=2, stop_below=1)`: options that are not its own go to the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics, weighted

Batch = Mapping[str, Any]

#: What of a batch goes to the model beside its tokens, where the batch has it.
CONTEXT = ("segments", "positions", "types", "mask", "prefix")


def masked_lm(
    model: Callable[..., Array], batch: Batch, key: Array | None, *, z_loss: float = 0.0, **options: Any
) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the masked tokens, in nats.

    Args:
      model: `model(tokens, key=key, ...)` gives logits (B, T, vocab).
      batch: `tokens` with masks and `targets` without, both (B, T); `weights` (B, T), 1 at the masked places and 0
        elsewhere. `segments`, `positions`, `types` and `mask` go to the model where present.
      key: draws dropout; None in evaluation.
      z_loss: weight of `(log Z)^2`.
      options: go to the model, such as `depth` and `stop_below`.

    Returns:
      The loss, and the pairs (sum, number of targets) `loss` and `accuracy`.

    Reference: Devlin et al. 2018, https://arxiv.org/abs/1810.04805.

    >>> import jax.numpy as jnp
    >>> model = lambda tokens, key: jnp.zeros((*tokens.shape, 10))
    >>> tokens = jnp.array([[1, 2, 3]])
    >>> batch = {"tokens": tokens, "targets": tokens, "weights": jnp.array([[0.0, 1.0, 0.0]])}
    >>> loss, metrics = masked_lm(model, batch, None)
    >>> round(float(loss), 4), float(metrics["loss"][1])
    (2.3026, 1.0)
    """
    logits_BTV = model(batch["tokens"], key=key, **_context(batch), **options)
    return weighted(logits_BTV, batch["targets"], batch["weights"], z_loss=z_loss)


def causal_lm(
    model: Callable[..., Array], batch: Batch, key: Array | None, *, z_loss: float = 0.0, **options: Any
) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of each next token, in nats.

    Args:
      model: `model(tokens, key=key, ...)` gives logits (B, T, vocab).
      batch: `tokens` and `targets` (B, T), and `weights` (B, T) where some targets do not count; or `tokens` (B, T + 1)
        alone, which are their own targets. `segments`, `positions`, `types`, `mask`, `prefix`, each for the T inputs,
        go to the model where present; with `prefix`, and weights on what follows it, this is a prefix LM.
      key, z_loss, options: as in `masked_lm`.

    Returns:
      The loss, and the pairs (sum, number of targets) `loss` and `accuracy`.

    >>> import jax.numpy as jnp
    >>> model = lambda tokens, key: jnp.zeros((*tokens.shape, 10))
    >>> loss, metrics = causal_lm(model, {"tokens": jnp.array([[1, 2, 3]])}, None)
    >>> round(float(loss), 4), float(metrics["loss"][1])
    (2.3026, 2.0)
    """
    tokens, targets = batch["tokens"], batch.get("targets")
    if targets is None:
        tokens, targets = tokens[:, :-1], tokens[:, 1:]
    logits_BTV = model(tokens, key=key, **_context(batch), **options)
    return weighted(logits_BTV, targets, batch.get("weights"), z_loss=z_loss)


def as_decoder(model: Callable[..., Array], batch: Batch, key: Array | None, **options: Any) -> tuple[Array, Metrics]:
    """`causal_lm` of a model that was made to see both ways: no token sees a later one, by a mask.

    Args:
      model, batch, key, options: as in `causal_lm`; the batch has no `mask` of its own.

    Reference: Rothe et al. 2020 (BERT2RND and its kind), https://arxiv.org/abs/1907.12461, section 2.

    >>> from flax import nnx
    >>> from stagejax.models import bert
    >>> model = bert(layers=1, embed=16, heads=2).build(nnx.Rngs(0))
    >>> batch = {"tokens": jnp.array([[5, 6, 7, 8]]), "weights": jnp.array([[1.0, 0.0, 0.0]])}
    >>> loss, other = (as_decoder(model, batch | {"tokens": jnp.array([[5, 6, x, x]])}, None)[0] for x in (7, 9))
    >>> bool(loss == other)
    True
    """
    length = batch["tokens"].shape[1] - ("targets" not in batch)
    mask_1TT = jnp.tril(jnp.ones((1, length, length), bool))
    return causal_lm(model, {**batch, "mask": mask_1TT}, key, **options)


def seq2seq(
    model: Callable[..., Array], batch: Batch, key: Array | None, *, z_loss: float = 0.0, **options: Any
) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the tokens that a decoder has to say of what an encoder reads, in nats.

    Args:
      model: `model(inputs, tokens, mask=mask, key=key)` gives logits (B, T, vocab).
      batch: `inputs` and `mask` (B, S), `tokens`, `targets` and `weights` (B, T); of rows that are packed also
        `input_segments` (B, S) and `segments` (B, T), which go to the model as `segments`.
      key, z_loss, options: as in `masked_lm`.

    Returns:
      The loss; the pairs (sum, number of targets) `loss` and `accuracy`, and (sum, number of rows) `exact`: rows whose
      targets are all the most likely ones, which are those that greedy decoding gives.

    Reference: Raffel et al. 2020 (T5), https://arxiv.org/abs/1910.10683.

    >>> import jax.numpy as jnp
    >>> model = lambda inputs, tokens, mask, key: jnp.zeros((*tokens.shape, 10))
    >>> tokens = jnp.array([[1, 2, 3]])
    >>> batch = {"inputs": tokens, "mask": tokens > 0, "tokens": tokens, "targets": tokens}
    >>> loss, metrics = seq2seq(model, batch | {"weights": jnp.array([[1.0, 1.0, 0.0]])}, None)
    >>> round(float(loss), 4), float(metrics["loss"][1]), float(metrics["exact"][0])
    (2.3026, 2.0, 0.0)
    """
    if "input_segments" in batch:
        options["segments"] = batch["input_segments"], batch["segments"]
    logits_BTV = model(batch["inputs"], batch["tokens"], mask=batch["mask"], key=key, **options)
    loss, metrics = weighted(logits_BTV, batch["targets"], batch["weights"], z_loss=z_loss)
    return loss, metrics | {"exact": exact_rows(logits_BTV, batch)}


def exact_rows(logits_BTV: Float[Array, "B T V"], batch: Batch) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The number of rows whose targets of any weight are all the most likely ones, and the number of rows."""
    right_BT = (logits_BTV.argmax(-1) == batch["targets"]) | (batch["weights"] == 0)
    return right_BT.all(-1).sum().astype(jnp.float32), jnp.float32(len(right_BT))


def _context(batch: Batch) -> dict[str, Any]:
    return {name: batch[name] for name in CONTEXT if name in batch}
