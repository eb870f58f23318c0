"""Objectives of taggers: by gold tags, and by what a teacher computes of the same sentences.

A batch is {"tokens", "targets", "weights"}, each (B, T): a weight is 1 at the first token of a word, which has its tag,
and 0 elsewhere; token 0 is padding. A model gives `observed(tokens)`, with `states` (L + 1, B, T, E) and `attentions`
(L, B, N, T, T), and `head(states)`, the logits of tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.distillation import kl_divergence, soft_cross_entropy, soft_targets
from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.matching import attention_mse, state_mse
from stagejax.objectives.text.chain import chain_loss, likeliest_chain

Batch = Mapping[str, Any]


def tagging(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean cross entropy of the words' tags, in nats, by `model.tags(tokens, key=key)`; `loss` and `accuracy`."""
    return weighted(model.tags(batch["tokens"], key=key), batch["targets"], batch["weights"])


def chain_tagging(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """-log p(tags | sentence) under a linear chain, in nats a word; `accuracy` is that of the likeliest chain.

    Args:
      model: gives `tags(tokens, key=key)`, the scores of tags, and `moves[...]`, those of a tag after a tag.

    Reference: Lafferty et al., Conditional random fields, ICML 2001.
    """
    scores_BTK, moves_KK = model.tags(batch["tokens"], key=key), model.moves[...]
    total = chain_loss(scores_BTK, moves_KK, batch["targets"], batch["weights"]).sum()
    said_BT, count = likeliest_chain(scores_BTK, moves_KK, batch["weights"]), batch["weights"].sum()
    right = ((said_BT == batch["targets"]) * batch["weights"]).sum()
    return total / jnp.maximum(count, 1), {"loss": (total, count), "accuracy": (right, count)}


def tags_by_logits(model: Any, batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """The mean over words of KL(softmax(l_T) || softmax(l_S)), in nats, l_T a teacher's: "logits" (B, T, K).

    The batch's targets are looked at by the metric `accuracy` alone.
    """
    own_BTK, weights_BT = model.tags(batch["tokens"], key=key), batch["weights"]
    losses_BT = kl_divergence(own_BTK, soft_targets((batch["logits"],)))
    total, count = (losses_BT * weights_BT).sum(), weights_BT.sum()
    right = ((own_BTK.argmax(-1) == batch["targets"]) * weights_BT).sum()
    return total / jnp.maximum(count, 1), {"loss": (total, count), "accuracy": (right, count)}


def student_tagging(models: Mapping[str, Any], batch: Batch, key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """`tagging` by the student alone."""
    return tagging(models["student"], batch, key)


def by_states(
    models: Mapping[str, Any], batch: Batch, key: Array | None, *, teachers: tuple[str, ...]
) -> tuple[Float[Array, ""], Metrics]:
    """`attention_mse` + `state_mse` of the student against a teacher; no logits and no targets.

    Args:
      models: "student", and the teachers by name.
      batch: with several teachers also `part` (B,), which is one number in all rows: the teacher's place (`OneOf`).
      teachers: one for every part, or one for all.

    Returns:
      The sum of both, and each as a metric.

    Reference: Ansell et al. 2023, https://arxiv.org/abs/2306.01709, section 3.1.
    """
    looks = [models[name].observed for name in teachers]
    seen = looks[0](batch["tokens"]) if len(looks) == 1 else jax.lax.switch(batch["part"][0], looks, batch["tokens"])
    found = _unlike(models["student"].observed(batch["tokens"]), seen, batch["tokens"])
    return found["attention"] + found["states"], found


def by_teacher(
    models: Mapping[str, Any], batch: Batch, key: Array | None, *, temperature: float
) -> tuple[Float[Array, ""], Metrics]:
    """`by_states` plus the mean over words of -Σ softmax(z_T / τ) log softmax(z_S / τ), each of weight 1.

    The batch's targets are not looked at. There is no factor τ².

    Args:
      models: "student" and "teacher".
      temperature: τ.

    Reference: Ansell et al. 2023, https://arxiv.org/abs/2306.01709, section 3.2.
    """
    student, teacher = models["student"], models["teacher"]
    own, seen = (model.observed(batch["tokens"]) for model in (student, teacher))
    said_BTC = soft_targets((teacher.head(seen.states[-1]),), temperature)
    losses_BT = soft_cross_entropy(student.head(own.states[-1]) / temperature, said_BTC)
    labels = (losses_BT * batch["weights"]).sum() / jnp.maximum(batch["weights"].sum(), 1)
    found = _unlike(own, seen, batch["tokens"])
    return found["attention"] + found["states"] + labels, found | {"labels": labels}


def _unlike(own: Any, seen: Any, tokens_BT: Array) -> dict[str, Array]:
    real_BT = (tokens_BT != 0).astype(jnp.float32)
    states = state_mse(own.states, seen.states, real_BT)
    return {"attention": attention_mse(own.attentions, seen.attentions), "states": states}
