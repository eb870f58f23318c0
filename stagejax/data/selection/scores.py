"""How hard, uncertain or often forgotten each record is, from what a network says of it: what coresets are chosen by.

Larger is harder, more uncertain, more often forgotten, farther from its class. Letters: N records, C classes, E
features, T passes over the same records, in the order of training.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import softmax

Logits = Float[np.ndarray, "N C"]
Labels = Int[np.ndarray, " N"]
Scores = Float[np.ndarray, " N"]


def el2n(logits: Logits, labels: Labels) -> Scores:
    """The length of the error: ||softmax(logits) - onehot(label)||. Its mean over early checkpoints is the EL2N score.

    Reference: Paul et al. 2021, https://arxiv.org/abs/2107.07075, definition 2.3.

    >>> el2n(np.array([[0.0, 0.0], [50.0, 0.0]]), np.array([0, 0])).round(4).tolist()
    [0.7071, 0.0]
    """
    error = softmax(logits, axis=1)
    error[np.arange(len(labels)), labels] -= 1
    return np.linalg.norm(error, axis=1)


def grand_of_head(logits: Logits, features: Float[np.ndarray, "N E"], labels: Labels) -> Scores:
    """The norm of a record's gradient by the kernel and bias of a linear head: el2n · √(1 + ||features||²).

    GraNd takes the gradient by all parameters; that by the head is what selection benchmarks compute of it, and needs
    no backward pass.

    Reference: Paul et al. 2021, https://arxiv.org/abs/2107.07075, definition 2.1; Guo et al. 2022 (DeepCore),
    https://arxiv.org/abs/2204.08499.

    >>> grand_of_head(np.zeros((1, 2)), np.array([[2.0, 2.0]]), np.array([1])).round(4).tolist()
    [2.1213]
    """
    return el2n(logits, labels) * np.sqrt(1 + np.square(features).sum(1))


def margin(logits: Logits) -> Scores:
    """One less the difference of the two largest probabilities: 1 where they are equal.

    >>> margin(np.log(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]))).round(4).tolist()
    [0.8, 1.0]
    """
    second, first = np.sort(softmax(logits, axis=1), axis=1)[:, -2:].T
    return 1 - (first - second)


def entropy(logits: Logits) -> Scores:
    """The entropy of the probabilities, in nats.

    >>> entropy(np.zeros((1, 4))).round(4).tolist()
    [1.3863]
    """
    p = softmax(logits, axis=1)
    return -np.sum(p * np.log(np.maximum(p, np.finfo(p.dtype).tiny)), axis=1)


def least_confidence(logits: Logits) -> Scores:
    """One less the largest probability.

    >>> least_confidence(np.log(np.array([[0.5, 0.3, 0.2]]))).round(4).tolist()
    [0.5]
    """
    return 1 - softmax(logits, axis=1).max(1)


def forgetting(correct: Bool[np.ndarray, "T N"]) -> Scores:
    """How often a record that was classified correctly was not so the next time. Never learnt is never forgotten.

    Reference: Toneva et al. 2018, https://arxiv.org/abs/1812.05159, which counts records that were never learnt apart.

    >>> forgetting(np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 1, 1]]) == 1).tolist()
    [2.0, 0.0, 0.0]
    """
    return (correct[:-1] & ~correct[1:]).sum(0).astype(np.float64)


def distance_to_prototype(features: Float[np.ndarray, "N E"], labels: Labels) -> Scores:
    """The distance of the features from the mean of those of the same label.

    Reference: after Sorscher et al. 2022, https://arxiv.org/abs/2206.14486, with classes in place of clusters.

    >>> distance_to_prototype(np.array([[0.0], [2.0], [7.0]]), np.array([0, 0, 1])).tolist()
    [1.0, 1.0, 0.0]
    """
    found = np.empty(len(labels))
    for c in np.unique(labels):
        own = features[labels == c].astype(np.float64)
        found[labels == c] = np.linalg.norm(own - own.mean(0), axis=1)
    return found
