"""From detections of single symbols to a transcript: the similarity matrix of a line, and how it is read.

Letters: n detections, A symbols, X columns of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer

from stagejax.decode.edits import edit_distance

SPACE, UNSURE = -1, -2


def similarity(
    symbol_n: Integer[np.ndarray, " n"],
    left_n: Integer[np.ndarray, " n"],
    right_n: Integer[np.ndarray, " n"],
    score_n: Float[np.ndarray, " n"],
    size: tuple[int, int],
    least: float = 0.4,
) -> Float[np.ndarray, "A X"]:
    """`P[a, x]`: the highest score above `least` of a detection of symbol a that covers column x, or 0.

    Args:
      left_n, right_n: the first column of a detection, and the one behind its last.
      size: A and X.

    Reference: Souibgui et al. 2021, https://arxiv.org/abs/2107.10064, section 3.2, and its code.

    >>> spans = np.array([[1, 0, 2], [0, 1, 3]])
    >>> similarity(spans[:, 0], spans[:, 1], spans[:, 2], np.array([0.5, 0.8]), (2, 4)).tolist()
    [[0.0, 0.8, 0.8, 0.0], [0.5, 0.5, 0.0, 0.0]]
    """
    found_AX = np.zeros(size)
    for symbol, left, right, score in zip(symbol_n, left_n, right_n, score_n, strict=True):
        if score > least:
            own = found_AX[symbol, left:right]
            np.maximum(own, score, out=own)
    return found_AX


def read(found_AX: Float[np.ndarray, "A X"], *, run: int = 22, gap: int = 20, sure: float = 0.4) -> list[int]:
    """The symbols of a line, with `SPACE` between words and `UNSURE` for what is not sure.

    Columns are walked from left to right. Where one symbol has the highest score alone, a column goes on with the run
    before it if symbol and score are the same, and begins a run otherwise; a column where several share it is passed
    over. A run that goes on for more than `run` columns behind its first is a symbol, or `UNSURE` if its score is below
    `sure`. Where the next `gap` columns are empty, the run ends with a space; there is none at either end of a line,
    and none in its last `gap` columns.

    Reference: `read_sp_char` in the code of Souibgui et al. 2021, with 22 and 20 columns for lines of 105 rows.

    >>> line = np.zeros((2, 12))
    >>> line[0, :3], line[1, 3:6], line[0, 9:12] = 0.9, 0.5, 0.9
    >>> read(line, run=1, gap=2, sure=0.6)
    [0, -2, -1, 0]
    """
    best_X, which_X = found_AX.max(0), found_AX.argmax(0)
    alone_X = (found_AX == best_X).sum(0) == 1
    empty_X = best_X == 0
    said: list[int] = []
    symbol, score, length = 0, 0.0, 0

    def end() -> None:
        if length > run:
            said.append(symbol if score >= sure else UNSURE)

    for x in range(found_AX.shape[1]):
        if x < found_AX.shape[1] - gap - 1 and empty_X[x : x + gap].all():
            end()
            symbol, score, length = SPACE, 0.0, 0
            if said and said[-1] != SPACE:
                said.append(SPACE)
        if alone_X[x]:
            if which_X[x] == symbol and best_X[x] == score:
                length += 1
            else:
                end()
                symbol, score, length = int(which_X[x]), float(best_X[x]), 0
    end()
    return said[:-1] if said and said[-1] == SPACE else said


def errors(said: Sequence[int], wanted: Sequence[int]) -> dict[str, int]:
    """Edits from what was read to what is written, spaces left out, and how many of them are `UNSURE` marks.

    An unsure mark is an edit as well; the authors take the marks off the edits: `edits - unsure`.

    >>> errors([0, UNSURE, SPACE, 2], [0, 1, 2, 3])
    {'edits': 2, 'unsure': 1, 'symbols': 4}
    """
    kept = [symbol for symbol in said if symbol != SPACE]
    edits = edit_distance([str(symbol) for symbol in kept], [str(symbol) for symbol in wanted])
    return {"edits": edits, "unsure": kept.count(UNSURE), "symbols": len(wanted)}
