"""TF-IDF: texts as bags of tokens in which rare ones weigh more."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from stagejax.data.tokenizers import SPECIAL


def tf_idf(
    texts_NT: Int[np.ndarray, "N T"], collection_MT: Int[np.ndarray, "M _"], vocab: int
) -> Float[np.ndarray, "N vocab"]:
    """Unit vectors of texts: `(1 + ln count) · (ln((1 + M) / (1 + texts with the token)) + 1)` for each token.

    Products of two such vectors are cosines. Special tokens, such as padding, do not count.

    Args:
      texts_NT: token ids.
      collection_MT: the texts that say how rare a token is.
      vocab: number of ids.

    Reference: Salton and Buckley, Term-weighting approaches in automatic text retrieval, 1988; smoothed as in
    scikit-learn, with sublinear counts.

    >>> texts = np.array([[4, 5, 0], [4, 6, 6]])
    >>> a, b = tf_idf(texts, texts, 7)
    >>> bool(a[5] > a[4]), round(float(a @ a), 6), bool(a @ b < 0.5)
    (True, 1.0, True)
    """

    def counted(texts: np.ndarray) -> np.ndarray:
        found = np.zeros((len(texts), vocab))
        np.add.at(found, (np.arange(len(texts))[:, None], texts), 1.0)
        found[:, :SPECIAL] = 0
        return found

    counts_NV, rarity_V = (
        counted(texts_NT),
        1 + np.log((1 + len(collection_MT)) / (1 + (counted(collection_MT) > 0).sum(0))),
    )
    weights_NV = np.where(counts_NV > 0, 1 + np.log(np.maximum(counts_NV, 1)), 0) * rarity_V
    return weights_NV / np.maximum(np.linalg.norm(weights_NV, axis=1, keepdims=True), 1e-12)
