"""Thoughts in hidden states: a slot that tells its thought from others, and answers behind filled slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stagejax.objectives.contrastive import info_nce
from stagejax.objectives.loss import Metrics, weighted


def thought_in_slot(
    model: Any,
    batch: Mapping[str, Any],
    key: Array | None,
    *,
    contrast: float = 1.0,
    temperature: float = 0.1,
    wrong: bool = False,
) -> tuple[Float[Array, ""], Metrics]:
    """Next-token cross entropy of a thought behind its slot + `contrast` * the symmetric InfoNCE of slot and thought.

    With c the summary of the slot behind the prefix, which is all that there is before the thought is said, and g that
    of a slot behind the thought alone: 1/2 [CE(c G^T / τ) + CE(g C^T / τ)] over the batch. Other rows with the same
    thought are no negatives.

    Args:
      model: `model.hidden(tokens, key=key)` (B, T, F), `model.logits(states)`, and `model.summarised(tokens, states)`,
        unit vectors (B, D).
      batch: `tokens`, `targets`, `weights` (B, T) of [prefix, slot, thought]; `thought` (B, U), [thought, slot] as
        tokens, padded with 0; with `wrong` also `wrong` (B, U), a thought of the same prefix with wrong values.
      key: draws dropout; None in evaluation.
      temperature: τ.
      wrong: whether the wrong thoughts of all rows are negatives of every slot too.

    Returns:
      The loss; `loss` and `accuracy` of the cross entropy, `contrast` in nats, and `rows` and `columns` of `info_nce`.

    Reference: Liu et al. 2024 (HCoT), https://arxiv.org/abs/2409.08561; which state stands for the thought is ours.
    """
    tokens_BT = batch["tokens"]
    states_BTF = model.hidden(tokens_BT, key=key)
    loss, metrics = weighted(model.logits(states_BTF), batch["targets"], batch["weights"])
    c_BD = model.summarised(tokens_BT, states_BTF)
    g_BD = model.summarised(batch["thought"], model.hidden(batch["thought"], key=key))
    logits_BB = jnp.where(same_rows(batch["thought"]), -jnp.inf, c_BD @ g_BD.T / temperature)
    others = None
    if wrong:
        others = c_BD @ model.summarised(batch["wrong"], model.hidden(batch["wrong"], key=key)).T / temperature
    contrastive, found = info_nce(logits_BB, others)
    metrics |= {"contrast": found["loss"], "rows": found["rows"], "columns": found["columns"]}
    return loss + contrast * contrastive, metrics


def same_rows(tokens_BU: Int[Array, "B U"]) -> Bool[Array, "B B"]:
    """True where two different rows hold the same tokens.

    >>> same_rows(jnp.array([[1, 2], [1, 3], [1, 2]])).astype(int).tolist()
    [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    """
    same_BB = (tokens_BU[:, None] == tokens_BU[None]).all(-1)
    return same_BB & ~jnp.eye(len(tokens_BU), dtype=bool)


def answer_behind_slot(
    models: Mapping[str, Any], batch: Mapping[str, Any], key: Array | None
) -> tuple[Float[Array, ""], Metrics]:
    """Next-token cross entropy of what "hcot" says behind slots that are filled with the states of "cot", which stays.

    Args:
      models: "cot" with `hidden(tokens)` (B, T, F), through which no gradient flows, and "hcot" with
        `hcot(tokens, states=states, key=key)` (B, T, V).
      batch: `tokens`, `targets`, `weights` (B, T) of [prefix, slot, content]: the model "cot" reads no thought, and
        what stands behind a slot does not reach it.
      key: draws dropout; None in evaluation.

    Reference: Liu et al. 2024 (HCoT), https://arxiv.org/abs/2409.08561.
    """
    states_BTF = jax.lax.stop_gradient(models["cot"].hidden(batch["tokens"]))
    logits_BTV = models["hcot"](batch["tokens"], states=states_BTF, key=key)
    return weighted(logits_BTV, batch["targets"], batch["weights"])
