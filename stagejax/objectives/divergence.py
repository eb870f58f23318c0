"""How far two models are apart, token by token: divergences of whole next-token distributions, and their averages.

Letters: B rows, T tokens, V vocabulary; p is the teacher's distribution of the next token, q the student's.

References: Agarwal et al. 2024 (on-policy distillation), https://arxiv.org/abs/2306.13649; Tiapkin et al. 2025,
https://arxiv.org/abs/2502.02671.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics

#: (logits of the student (..., V), logits of the teacher (..., V)) -> nats (...).
Divergence = Callable[[Any, Any], Any]


def forward_kl(student: Float[Array, "*batch vocab"], teacher: Float[Array, "*batch vocab"]) -> Float[Array, "*batch"]:
    """KL(p || q) = Σ p (log p - log q): the student is to cover all that the teacher says.

    Of logits on both sides and in logarithms, so that a gradient may flow into either; `distillation.kl_divergence`
    takes the teacher's probabilities, and has no finite gradient in those that are 0.

    >>> round(float(forward_kl(jnp.zeros(2), jnp.log(jnp.array([0.75, 0.25])))), 4)
    0.1308
    """
    log_q, log_p = _logs(student, teacher)
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)


def reverse_kl(student: Float[Array, "*batch vocab"], teacher: Float[Array, "*batch vocab"]) -> Float[Array, "*batch"]:
    """KL(q || p): the student is to say nothing that the teacher does not.

    >>> round(float(reverse_kl(jnp.zeros(2), jnp.log(jnp.array([0.75, 0.25])))), 4)
    0.1438
    """
    return forward_kl(teacher, student)


def jensen_shannon(
    student: Float[Array, "*batch vocab"], teacher: Float[Array, "*batch vocab"]
) -> Float[Array, "*batch"]:
    """JS(p, q) = ½ KL(p || m) + ½ KL(q || m) with m = ½ (p + q): symmetric, and at most log 2.

    >>> round(float(jensen_shannon(jnp.array([99.0, 0.0]), jnp.array([0.0, 99.0]))), 4)
    0.6931
    """
    log_q, log_p = _logs(student, teacher)
    log_m = jnp.logaddexp(log_p, log_q) - jnp.log(2.0)
    return jnp.sum(jnp.exp(log_p) * (log_p - log_m) + jnp.exp(log_q) * (log_q - log_m), axis=-1) / 2


def _logs(*logits: Any) -> list[Any]:
    return [jax.nn.log_softmax(z.astype(jnp.float32)) for z in logits]


#: Those that `Distances` measures, by what is put behind the name of a distance.
KINDS: tuple[tuple[str, Divergence], ...] = (("", forward_kl), ("_reverse", reverse_kl), ("_js", jensen_shannon))


@dataclass(frozen=True)
class Distances:
    """How far the model "student" is from others, in nats a token.

    D̄(p, q) = E_x E_{y ~ p(.|x)} Σ_t D(p(.|x, y_<t), q(.|x, y_<t)), divided by the number of tokens. The responses y
    were drawn from the other model p; at each of their tokens the divergence is that of both whole distributions, so
    that the choice of responses is the only chance in it. For `Evaluation`, on prompts that nothing was trained on.

    Args:
      to: for each distance its name and whose it is.

    A batch has "inputs" and "mask" (B, S), and for each other model, such as "teacher", `teacher_tokens` (B, T) of its
    responses, with the start token first, and `teacher_weights` (B, T), 1 where a token was drawn behind these.

    Metrics are pairs (sum, number of tokens): for each name its KL(p || q), and `<name>_reverse` and `<name>_js`. The
    loss is the first one.

    >>> model = lambda inputs, tokens, mask: jnp.zeros((*tokens.shape, 8))
    >>> rows = {"teacher_tokens": jnp.ones((1, 3), int), "teacher_weights": jnp.ones((1, 3))}
    >>> batch = {"inputs": jnp.ones((1, 2), int), "mask": jnp.ones((1, 2), bool)} | rows
    >>> loss, metrics = Distances((("proxy", "teacher"),))({"student": model, "teacher": model}, batch, None)
    >>> float(loss), sorted(metrics), float(metrics["proxy"][1])
    (0.0, ['proxy', 'proxy_js', 'proxy_reverse'], 3.0)
    """

    to: tuple[tuple[str, str], ...] = (("proxy", "teacher"), ("golden", "oracle"))

    def __call__(
        self, models: Mapping[str, Any], batch: Mapping[str, Any], key: Any
    ) -> tuple[Float[Array, ""], Metrics]:
        """The distances of a batch; nothing is drawn."""
        metrics: Metrics = {}
        for name, other in self.to:
            tokens, weights = batch[f"{other}_tokens"], batch[f"{other}_weights"]
            own, theirs = (models[m](batch["inputs"], tokens, mask=batch["mask"]) for m in ("student", other))
            for suffix, divergence in KINDS:
                metrics[name + suffix] = jnp.sum(weights * divergence(own, theirs)), jnp.sum(weights)
        total, count = metrics[self.to[0][0]]
        return total / count, metrics
