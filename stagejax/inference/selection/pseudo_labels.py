"""Which of its own predictions a classifier is to learn from: five selectors of pseudo labels, and their weights.

Each is a value, called with what the classifier says of unlabelled items and of the labelled ones; it never sees an
unlabelled item's own label. Letters: N unlabelled items, L labelled ones, M accepted, C classes, E embed, K neighbours,
P passes with dropout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from stagejax.objectives.retrieval.neighbours import nearest


@dataclass(frozen=True, eq=False)
class Said:
    """What a classifier says of items, and what else a selector asks for."""

    embeddings_NE: np.ndarray  # the vectors that its head reads
    probabilities_NC: np.ndarray
    neighbours_NK: np.ndarray | None = None  # other items of the same, nearest first, by number
    passes_PNC: np.ndarray | None = None  # probabilities with dropout
    again_NC: np.ndarray | None = None  # probabilities of a second classifier, trained on the same labels

    @property
    def predicted_N(self) -> np.ndarray:
        """The likeliest class of every item."""
        return self.probabilities_NC.argmax(1)

    def of(self, items: np.ndarray) -> Said:
        """The same of some of the items, without neighbours."""
        passes, again = self.passes_PNC, self.again_NC
        return Said(
            self.embeddings_NE[items],
            self.probabilities_NC[items],
            None,
            None if passes is None else passes[:, items],
            None if again is None else again[items],
        )


@dataclass(frozen=True, eq=False)
class Pseudo:
    """The accepted items by number, their labels, their weights, and the weights of the labelled examples."""

    items_M: np.ndarray
    labels_M: np.ndarray
    weights_M: np.ndarray
    known_L: np.ndarray

    def weights(self) -> Float[np.ndarray, " L_and_M"]:
        """The weights of labelled and accepted examples, in this order, divided by their mean.

        A mean over examples of weight times loss is then the sum over w_i / sum(w) times loss.

        >>> Pseudo(np.array([7, 9]), np.array([0, 1]), np.array([0.5, 0.5]), np.ones(2)).weights().tolist()
        [1.3333333333333333, 1.3333333333333333, 0.6666666666666666, 0.6666666666666666]
        """
        both = np.concatenate([self.known_L, self.weights_M])
        return both / both.mean()


#: (of the unlabelled items, of the labelled ones, draws) -> what to learn from.
Selector = Callable[[Said, Said, np.random.Generator], Pseudo]


def agreement(
    neighbours_MK: Int[np.ndarray, "M K"], predicted_N: Int[np.ndarray, " N"], classes: int
) -> tuple[Int[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """The class that most neighbours of each of M items are predicted to have, and their share; of equals the lowest.

    >>> agreement(np.array([[1, 2, 3]]), np.array([0, 1, 1, 0]), 2)
    (array([1]), array([0.66666667]))
    """
    shares_MC = (predicted_N[neighbours_MK][..., None] == np.arange(classes)).mean(1)
    return shares_MC.argmax(1), shares_MC.max(1)


def class_weights(labels_M: Int[np.ndarray, " M"], classes: int) -> Float[np.ndarray, " M"]:
    """10 sigmoid((m - n_c) / n_c) for a label c of which there are n_c, where m = floor(M / classes).

    A class of the mean size weighs 5, rarer ones up to 10, others less.

    >>> class_weights(np.array([0, 0, 0, 1]), 2).round(3).tolist()
    [4.174, 4.174, 4.174, 7.311]
    """
    counts_M = np.bincount(labels_M, minlength=classes)[labels_M]
    return 10 / (1 + np.exp(-(len(labels_M) // classes - counts_M) / np.maximum(counts_M, 1)))


@dataclass(frozen=True)
class HAST:
    """Accept what most neighbours are predicted to be as well: hard-label neighbourhood-regularised self-training.

    An item is accepted if its likeliest class is that of the vote of its k - 1 nearest other unlabelled items, the
    vote's share is above `agreement`, and its own probability above `confidence`. Weights are 1 for labelled examples
    and beta alpha_c for pseudo labels, with alpha_c of `class_weights` or 1.

    Reference: Schröder and Heyer 2024, https://arxiv.org/abs/2406.09206, section 3.
    """

    k: int = 15  # neighbours, the item itself counted
    agreement: float | None = 0.5  # None: neighbours are not asked
    confidence: float = 0.5
    balanced: bool = False  # class weights
    beta: float = 1.0

    def __call__(self, pool: Said, known: Said, rng: np.random.Generator) -> Pseudo:
        predicted, classes = pool.predicted_N, pool.probabilities_NC.shape[1]
        kept = pool.probabilities_NC.max(1) > self.confidence
        if self.agreement is not None:
            assert pool.neighbours_NK is not None
            vote, share = agreement(pool.neighbours_NK[:, : self.k - 1], predicted, classes)
            kept &= (vote == predicted) & (share > self.agreement)
        items = np.flatnonzero(kept)
        alpha = class_weights(predicted[items], classes) if self.balanced else np.ones(len(items))
        return Pseudo(items, predicted[items], self.beta * alpha, np.ones(len(known.probabilities_NC)))


@dataclass(frozen=True)
class UST:
    """As many of every predicted class, drawn by how much passes with dropout agree, and weighed by their variance.

    An item is drawn in proportion to 1 - BALD, the mutual information of prediction and dropout in bits, at least 0.
    Labelled and drawn examples weigh max(a log(1 / (variance + 1e-8)), a / .25), where the variance over the passes is
    that of the probability of the predicted class.

    Reference: Mukherjee and Awadallah 2020, https://arxiv.org/abs/2006.15315.
    """

    each: int = 30  # of every class, where so many are predicted
    a: float = 0.1

    def __call__(self, pool: Said, known: Said, rng: np.random.Generator) -> Pseudo:
        assert pool.passes_PNC is not None
        assert known.passes_PNC is not None
        predicted, classes = pool.passes_PNC.mean(0).argmax(1), pool.probabilities_NC.shape[1]
        score, items = np.maximum(1 - bald(pool.passes_PNC), 1e-9), []
        for c in range(classes):
            mine = np.flatnonzero(predicted == c)
            if len(mine):
                share = score[mine] / score[mine].sum()
                items.append(rng.choice(mine, min(self.each, len(mine)), replace=False, p=share))
        drawn = np.concatenate(items)
        theirs = self._weights(known.passes_PNC, known.passes_PNC.mean(0).argmax(1))
        return Pseudo(drawn, predicted[drawn], self._weights(pool.passes_PNC, predicted)[drawn], theirs)

    def _weights(self, passes_PNC: np.ndarray, predicted_N: np.ndarray) -> np.ndarray:
        variance_N = passes_PNC.var(0)[np.arange(len(predicted_N)), predicted_N]
        return np.maximum(self.a * np.log(1 / (variance_N + 1e-8)), self.a / 0.25)


def bald(passes_PNC: Float[np.ndarray, "P N C"]) -> Float[np.ndarray, " N"]:
    """The entropy of the mean prediction less the mean entropy of the predictions, in bits.

    Reference: Houlsby et al. 2011, https://arxiv.org/abs/1112.5745.

    >>> bald(np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])).round(3).tolist()
    [1.0, 0.0]
    """
    return (entropy(passes_PNC.mean(0)) - entropy(passes_PNC).mean(0)) / np.log(2)


def entropy(p: Float[np.ndarray, "*batch C"]) -> Float[np.ndarray, "*batch"]:
    """-sum p log p, in nats, where 0 log 0 = 0.

    >>> entropy(np.array([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]])).round(4).tolist()
    [1.3863, 0.6931]
    """
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(-1))


@dataclass(frozen=True)
class VERIPS:
    """Accept what is certain, 1 - entropy / log C at least `certainty`, and said again by a second classifier.

    Reference: Gilhuber et al. 2022, https://epub.ub.uni-muenchen.de/109958, as in https://arxiv.org/abs/2406.09206.
    """

    certainty: float = 0.9

    def __call__(self, pool: Said, known: Said, rng: np.random.Generator) -> Pseudo:
        assert pool.again_NC is not None
        certain = 1 - entropy(pool.probabilities_NC) / np.log(pool.probabilities_NC.shape[1])
        items = np.flatnonzero((certain >= self.certainty) & (pool.again_NC.argmax(1) == pool.predicted_N))
        return Pseudo(items, pool.predicted_N[items], np.ones(len(items)), np.ones(len(known.probabilities_NC)))


@dataclass(frozen=True)
class NeST:
    """Accept, of a fixed number of items least at odds with their nearest labelled ones, those that are confident.

    The score is the mean over the k nearest labelled items j of KL(p_i | p_j), and beta times the mean of KL(p_j | p_l)
    over pairs of these; the lowest `each` times L are taken, and of these what is above `confidence`.

    Reference: Xu et al. 2023, https://arxiv.org/abs/2301.03726.
    """

    k: int = 7
    beta: float = 0.1
    each: int = 10  # items for every labelled one
    confidence: float = 0.9
    weight: float = 0.5  # of a labelled example; a pseudo label has the rest of 1

    def __call__(self, pool: Said, known: Said, rng: np.random.Generator) -> Pseudo:
        k = min(self.k, len(known.embeddings_NE))
        near_NK = nearest(pool.embeddings_NE, known.embeddings_NE, k, block=512)[0]
        logs_LC = np.log(np.maximum(known.probabilities_NC, 1e-12))
        theirs_NKC, own_N = logs_LC[near_NK], -entropy(pool.probabilities_NC)
        to_them_N = (own_N[:, None] - (pool.probabilities_NC[:, None] * theirs_NKC).sum(-1)).mean(-1)
        pairs_LL = -entropy(known.probabilities_NC)[:, None] - known.probabilities_NC @ logs_LC.T
        first, second = np.triu_indices(k, 1)
        among_N = pairs_LL[near_NK[:, first], near_NK[:, second]].mean(-1) if k > 1 else 0.0
        lowest = np.argsort(to_them_N + self.beta * among_N, kind="stable")[: self.each * len(logs_LC)]
        items = np.sort(lowest[pool.probabilities_NC[lowest].max(1) > self.confidence])
        own, theirs = np.full(len(items), 1 - self.weight), np.full(len(logs_LC), self.weight)
        return Pseudo(items, pool.predicted_N[items], own, theirs)


@dataclass(frozen=True)
class AcTune:
    """Accept the surest items of the surest regions: clusters in which uncertain items count more.

    Confident items are clustered by k-means weighed by their entropy / log C. A region's uncertainty is the mean of
    these plus beta times the entropy of its predicted classes; of each of the lowest `sampled` regions the surest
    `each` items are taken, and what one lacks from the next. All labelled examples weigh 1, as do all others together.

    Reference: Yu et al. 2022, https://arxiv.org/abs/2112.08787.
    """

    regions: int = 10
    sampled: int = 5
    each: int = 5
    beta: float = 0.5
    confidence: float = 0.6

    def __call__(self, pool: Said, known: Said, rng: np.random.Generator) -> Pseudo:
        predicted, classes = pool.predicted_N, pool.probabilities_NC.shape[1]
        uncertain_N = entropy(pool.probabilities_NC) / np.log(classes)
        items = np.flatnonzero(pool.probabilities_NC.max(1) > self.confidence)
        if len(items) >= self.regions:
            region = self._regions(pool.embeddings_NE[items], uncertain_N[items], rng)
            owned = [items[region == r] for r in range(self.regions) if (region == r).any()]
            kinds = [np.bincount(predicted[own], minlength=classes) / len(own) for own in owned]
            scores = [
                uncertain_N[own].mean() + self.beta * entropy(kind) for own, kind in zip(owned, kinds, strict=True)
            ]
            taken, lacking = [], 0
            for r in np.argsort(scores, kind="stable")[: self.sampled]:
                best = owned[r][np.argsort(uncertain_N[owned[r]], kind="stable")][: self.each + lacking]
                lacking += self.each - len(best)
                taken.append(best)
            items = np.concatenate(taken)
        count = len(known.probabilities_NC)
        own, theirs = np.full(len(items), 1 / max(1, len(items))), np.full(count, 1 / count)
        return Pseudo(items, predicted[items], own, theirs)

    def _regions(self, embeddings: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        from sklearn.cluster import KMeans

        seed, weights = int(rng.integers(2**31)), np.maximum(weights, 1e-6)
        return KMeans(self.regions, n_init=1, random_state=seed).fit_predict(embeddings, sample_weight=weights)
