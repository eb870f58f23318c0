"""What a linear classifier answers to the rows of `WordOrText`: of frozen states, or of bags of pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from stagejax.data.retrieval.tfidf import tf_idf
from stagejax.data.tasks.word_or_text import Rows, WordOrText
from stagejax.data.tokenizers import PAD
from stagejax.inference.frozen import Frozen, apply
from stagejax.objectives.probing import probe_accuracy

DECAYS = (1e-4, 1e-3, 1e-2)  # of a probe's weights, one of which is chosen on development rows


def probed(net: Any, train: WordOrText, held: WordOrText, classes: int) -> dict[str, float]:
    """`accuracy` on test rows of a softmax classifier on the states of a frozen `Readout`, for `run.make`.

    Args:
      net: the result of a stage.
      train: what the classifier learns from.
      held: its first source are development rows, which choose the weight decay; its second one is the test.

    >>> # run.make("probe", probed, pre_trained, rows, held, 17).value["accuracy"]
    """
    frozen, fit, tested = Frozen.of(net), train.rows(), held.rows()
    development, test = (_of_source(tested, number) for number in (0, 1))
    found = [_asked(frozen, rows, train.both) for rows in (fit, development, test)]
    features, labels = ([pair[side] for pair in found] for side in (0, 1))
    return {"accuracy": probe_accuracy(features, labels, DECAYS, classes=classes)}


def linear_of_pieces(train: WordOrText, held: WordOrText, vocab: int) -> dict[str, float]:
    """`accuracy` on test rows of logistic regression on pieces, without a network; for `run.make`.

    A text is its TF-IDF; a word is the sum of one-hot vectors of its pieces, beside those of the word before and of the
    word behind it. C of 1, 10, 100 is chosen on development rows.

    Args:
      train, held: as in `probed`.
      vocab: number of ids.
    """
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    fit, tested = train.rows(), held.rows()
    parts = [fit, *(_of_source(tested, number) for number in (0, 1))]
    texts = bool(fit.weights[:, -1].any())
    x = [csr_matrix(tf_idf(p.tokens, fit.tokens, vocab)) if texts else words_and_neighbours(p, vocab) for p in parts]
    y = [p.targets[p.weights > 0] for p in parts]
    models = [LogisticRegression(C=c, max_iter=200).fit(x[0], y[0]) for c in (1.0, 10.0, 100.0)]
    best = max(models, key=lambda model: model.score(x[1], y[1]))
    return {"accuracy": float(best.score(x[2], y[2]))}


def words_and_neighbours(rows: Rows, vocab: int) -> Any:
    """A sparse matrix (words, 3 · vocab): counts of the pieces of each word, of that before, and of that behind it.

    >>> tokens, ends = np.array([[1, 9, 8, 7, 2]]), np.array([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]])
    >>> made = words_and_neighbours(Rows(tokens, ends.astype(int), ends, np.zeros(1)), 10).toarray()
    >>> [np.flatnonzero(word).tolist() for word in made]
    [[8, 9, 27], [7, 18, 19]]
    """
    from scipy.sparse import coo_matrix

    at, column, count = [], [], 0
    for tokens, weights in zip(rows.tokens, rows.weights, strict=True):
        ends = np.flatnonzero(weights[:-1])
        pieces = [tokens[begin:end] for begin, end in zip([1, *(ends[:-1] + 1)], ends + 1, strict=False)]
        for word in range(len(pieces)):
            for part, other in enumerate((word, word - 1, word + 1)):
                if 0 <= other < len(pieces):
                    column += [part * vocab + int(piece) for piece in pieces[other]]
                    at += [count] * len(pieces[other])
            count += 1
    return coo_matrix((np.ones(len(at)), (at, column)), (count, 3 * vocab)).tocsr()


def _asked(
    frozen: Frozen, rows: Rows, both: bool
) -> tuple[Float[np.ndarray, "asked embed"], Int[np.ndarray, " asked"]]:
    """The features of all places that are asked for, and what is wanted there."""
    read = {"tokens": rows.tokens, "prefix": (rows.tokens != PAD) & both}
    return apply(_features, frozen, read, batch=128)[rows.weights > 0], rows.targets[rows.weights > 0]


def _features(model: Any, rows: dict[str, Any]) -> Any:
    return model.features(rows["tokens"], rows["prefix"])


def _of_source(rows: Rows, number: int) -> Rows:
    return Rows(*(leaf[rows.source == number] for leaf in rows))
