"""Objectives of an image among remembered ones: a vote of its nearest, of all, of its class, or of itself.

Letters: B batch, Q queue, K nearest. All take a model with unit features `z = model(images, key=key)` and a `queue` of
remembered ones u with labels and records (see `models.vision.projected`); an entry of the same record is left out,
whichever view of it was remembered. Similarities are s = z . u / temperature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stagejax.objectives.loss import Metrics

_NEVER = -1e9  # the similarity of what is left out


def vote_loss(
    similarity_BQ: Float[Array, "B Q"],
    same_BQ: Bool[Array, "B Q"],
    others_BQ: Bool[Array, "B Q"],
    k: Any = None,
    most: int | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """The leave-one-out error of a weighted vote of the k nearest, as cross entropy:

        L = - mean over B of log [Σ over N_k of the same class exp(s) / Σ over N_k exp(s)].

    The choice of N_k is not differentiated. Where no neighbour has the class, the nearest that has joins them; an image
    without any of its class in the queue counts for nothing.

    Args:
      similarity_BQ: s.
      same_BQ: whether an entry has the class of the image.
      others_BQ: whether it may vote.
      k: how many vote, which may be traced; None: all, and this is neighbourhood component analysis.
      most: the largest that k gets; None: k itself, a plain number then.

    Returns:
      The loss, and the pairs (sum, number of images) `loss`, `vote` (the probability of the class) and `joined` (how
      often the nearest of the class had to join).

    References: Fan et al. 2022 (LOOK), https://arxiv.org/abs/2110.06014; all entries: Goldberger et al. 2004, and with
    a memory Wu et al. 2018, https://arxiv.org/abs/1808.04699.

    >>> s, same = jnp.log(jnp.array([[3.0, 2.0, 1.0]])), jnp.array([[True, False, True]])
    >>> others = jnp.ones((1, 3), bool)
    >>> [round(float(jnp.exp(-vote_loss(s, same, others, k)[0])), 3) for k in (1, 2, None)]  # 3/3, 3/5, 4/6
    [1.0, 0.6, 0.667]
    """
    s_BQ = jnp.where(others_BQ, similarity_BQ, _NEVER)
    of_class_BQ = same_BQ & others_BQ
    nearest_same_B = jnp.where(of_class_BQ, s_BQ, _NEVER).max(1)
    if k is None:
        s_BK, votes_BK, own_BK = s_BQ, jnp.broadcast_to(others_BQ, s_BQ.shape), of_class_BQ
    else:
        _, places_BK = jax.lax.top_k(jax.lax.stop_gradient(s_BQ), min(most or int(k), s_BQ.shape[1]))
        s_BK = jnp.take_along_axis(s_BQ, places_BK, axis=1)
        votes_BK = (jnp.arange(s_BK.shape[1]) < k) & (s_BK > _NEVER / 2)
        own_BK = votes_BK & jnp.take_along_axis(of_class_BQ, places_BK, axis=1)
    alone_B = ~own_BK.any(1)
    all_B = jax.nn.logsumexp(jnp.where(votes_BK, s_BK, _NEVER), axis=1)
    own_B = jax.nn.logsumexp(jnp.where(own_BK, s_BK, _NEVER), axis=1)
    loss_B = jnp.where(alone_B, jnp.logaddexp(all_B, nearest_same_B) - nearest_same_B, all_B - own_B)
    return _mean_of(loss_B, of_class_BQ.any(1), vote=jnp.exp(-loss_B), joined=alone_B)


def class_loss(
    similarity_BQ: Float[Array, "B Q"], same_BQ: Bool[Array, "B Q"], others_BQ: Bool[Array, "B Q"]
) -> tuple[Float[Array, ""], Metrics]:
    """Supervised contrastive: L = - mean over B of the mean over entries of the class of log softmax(s).

    Reference: Khosla et al. 2020 (SupCon), https://arxiv.org/abs/2004.11362, equation 2.

    >>> s, same = jnp.log(jnp.array([[3.0, 2.0, 1.0]])), jnp.array([[True, False, True]])
    >>> others = jnp.ones((1, 3), bool)
    >>> round(float(class_loss(s, same, others)[0]), 3)  # - (log 3/6 + log 1/6) / 2
    1.242
    """
    s_BQ, of_class_BQ = jnp.where(others_BQ, similarity_BQ, _NEVER), same_BQ & others_BQ
    log_BQ = s_BQ - jax.nn.logsumexp(s_BQ, axis=1, keepdims=True)
    count_B = of_class_BQ.sum(1)
    loss_B = -jnp.where(of_class_BQ, log_BQ, 0.0).sum(1) / jnp.maximum(count_B, 1)
    return _mean_of(loss_B, count_B > 0)


def instance_loss(
    similarity_BQ: Float[Array, "B Q"], own_B: Float[Array, " B"], others_BQ: Bool[Array, "B Q"]
) -> tuple[Float[Array, ""], Metrics]:
    """Momentum contrast: L = - mean over B of log [exp(own) / (exp(own) + Σ over the others exp(s))], no label.

    Reference: He et al. 2019 (MoCo), https://arxiv.org/abs/1911.05722, equation 1.

    >>> float(instance_loss(jnp.zeros((1, 3)), jnp.zeros(1), jnp.ones((1, 3), bool))[0]) == float(jnp.log(4.0))
    True
    """
    s_BQ = jnp.where(others_BQ, similarity_BQ, _NEVER)
    loss_B = jnp.logaddexp(own_B, jax.nn.logsumexp(s_BQ, axis=1)) - own_B
    return _mean_of(loss_B, jnp.ones_like(own_B, bool))


def _mean_of(loss_B: Array, counted_B: Array, **others_B: Array) -> tuple[Array, Metrics]:
    number = counted_B.sum() / 1.0
    sums = {name: jnp.where(counted_B, x, 0.0).sum() for name, x in {"loss": loss_B, **others_B}.items()}
    return sums["loss"] / jnp.maximum(number, 1.0), {name: (x, number) for name, x in sums.items()}


def _seen(model: Any, batch: Mapping[str, Any], key: Any, temperature: float) -> tuple[Array, Array, Array, Array]:
    """Features, similarities, which entries have the class, which are others."""
    z_BD, queue = model(batch["image"], key=key), model.queue
    similarity_BQ = z_BD @ queue.features[...].T / temperature
    others_BQ = jnp.broadcast_to(queue.others(batch.get("record")), similarity_BQ.shape)
    return z_BD, similarity_BQ, queue.label[...] == batch["label"][:, None], others_BQ


@dataclass(frozen=True)
class NeighbourVote:
    """`vote_loss`: the k nearest of the queue vote on the class of an image (LOOK).

    >>> # Stage(..., model=Projected(net), objective=NeighbourVote(most=512), ema=0.99,
    >>> #       step=Remembering(partial(paced_step, options=Narrowing(50, 512))))

    Args:
      most: the largest that k gets; None: all vote, whatever k.
      temperature: of the similarities.
    """

    most: int | None = None
    temperature: float = 0.1

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Any, k: Any = None) -> tuple[Array, Metrics]:
        """With k=None, as in evaluation, `most` vote."""
        _, similarity, same, others = _seen(model, batch, key, self.temperature)
        k = self.most if k is None or self.most is None else k
        return vote_loss(similarity, same, others, k, self.most)


@dataclass(frozen=True)
class Narrowing:
    """Options by progress: k falls in equal steps from `first` to `last` within the first `share` of a stage.

    >>> [int(Narrowing(50, 500)(jnp.array(p))["k"]) for p in (0.0, 1 / 6, 1 / 3, 1.0)]
    [500, 275, 50, 50]
    """

    last: int
    first: int
    share: float = 1 / 3

    def __call__(self, progress: Array) -> dict[str, Array]:
        done = jnp.clip(progress / self.share, 0.0, 1.0)
        return {"k": jnp.round(self.first + (self.last - self.first) * done).astype(jnp.int32)}


@dataclass(frozen=True)
class ClassAmongMany:
    """`class_loss`: every entry of the class is a positive."""

    temperature: float = 0.1

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, Metrics]:
        _, similarity, same, others = _seen(model, batch, key, self.temperature)
        return class_loss(similarity, same, others)


@dataclass(frozen=True)
class ItselfAmongMany:
    """`instance_loss`: what the averaged encoder made of another view, `batch["remembered"]`, is the positive."""

    temperature: float = 0.1

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, Metrics]:
        z_BD, similarity, _, others = _seen(model, batch, key, self.temperature)
        return instance_loss(similarity, (z_BD * batch["remembered"]).sum(1) / self.temperature, others)


def accuracy_of_vote(
    model: Any, batch: Mapping[str, Any], key: Any, *, k: int, classes: int, temperature: float = 0.1
) -> tuple[Array, Metrics]:
    """1 - how often the k nearest entries of the queue give most weight to the class of an image: to be scored by.

    Each weighs exp(s), as in `neighbours.vote`.
    """
    _, similarity_BQ, _, others_BQ = _seen(model, batch, key, temperature)
    s_BK, places_BK = jax.lax.top_k(jnp.where(others_BQ, similarity_BQ, _NEVER), k)
    weights_BK = jnp.exp(s_BK - s_BK[:, :1])
    votes_BC = (weights_BK[..., None] * jax.nn.one_hot(model.queue.label[...][places_BK], classes)).sum(1)
    right_B = votes_BC.argmax(1) == batch["label"]
    return 1 - right_B.mean(), {"accuracy": (right_B.sum() / 1.0, right_B.size / 1.0)}
