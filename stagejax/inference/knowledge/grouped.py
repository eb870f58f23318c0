"""Where a model has texts of several groups: hidden states in two dimensions, and how far groups are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stagejax.data import CLS
from stagejax.data.tokenizers import Codec
from stagejax.inference.choosing import mean_features
from stagejax.inference.frozen import Frozen


def grouped_states(net: Any, code: Codec, texts: Mapping[str, Sequence[str]], *, length: int) -> dict[str, np.ndarray]:
    """Hidden states of texts, averaged over tokens: by t-SNE in the plane, and the silhouette of each group.

    Args:
      net: the result of a stage.
      texts: as many of each group; at most `length` tokens of [CLS, text] are read.

    Returns "points" (groups, texts, 2) and, of the states themselves, the mean "silhouette" (groups,): 1 where a
    group is far from all others, 0 where it lies among them.

    Reference: van der Maaten and Hinton 2008 (t-SNE); Rousseeuw 1987 (silhouettes).

    >>> # made = grouped_states(result, code, {"code": [...], "math": [...]}, length=64)
    """
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_samples

    rows = [np.concatenate([[CLS], ids]) for own in texts.values() for ids in code.encode(list(own))]
    each = len(rows) // len(texts)
    states = mean_features(Frozen.of(net), rows, length=length)
    points = TSNE(perplexity=min(20, each), init="pca", random_state=0).fit_transform(states)
    apart = silhouette_samples(states, np.repeat(np.arange(len(texts)), each))
    return {"points": points.reshape(len(texts), each, 2), "silhouette": apart.reshape(len(texts), each).mean(1)}
