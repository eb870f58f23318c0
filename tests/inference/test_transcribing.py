"""Error rates of lines read from detections, and which pseudo-labels are right."""

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.handwriting.lines import Hand, Lines
from stagejax.inference.pictures.transcribing import Reading, matrices, precision, symbol_error_rates, truth

LINES = Lines(Digits(), 3, shape=(16, 80), side=12, symbols_of_a_line=(3, 5), hand=Hand(gap=(1, 4)))
HOW = Reading(10, run=1, gap=30, sure=0.6)


def detected(wrong: float = 0.0, score: float = 0.9) -> dict[str, np.ndarray]:
    """All true boxes; the scores rise from left to right, so that equal neighbours are apart. Some are of no symbol."""
    rows = [
        (i, label, box[1], box[3], score + place / 1000)
        for i in range(3)
        for place, (label, box) in enumerate(zip(LINES[i]["labels"], LINES[i]["boxes"], strict=True))
        if label >= 0
    ]
    found = dict(zip(("line", "symbol", "left", "right", "score"), np.array(rows, float).T, strict=True))
    found |= {name: found[name].astype(int) for name in ("line", "symbol")}
    found["symbol"][: round(wrong * len(rows))] += 1
    found["symbol"] %= 10
    return found


def test_true_boxes_are_read_without_an_error() -> None:
    assert symbol_error_rates(HOW, detected(), LINES) == {"ser": 0, "raw": 0, "adjusted": 0, "unsure": 0}


def test_each_wrong_symbol_is_an_edit_and_a_mark_is_one_until_it_is_taken_off() -> None:
    symbols = sum(map(len, truth(LINES)))
    rates = symbol_error_rates(HOW, detected(wrong=2 / symbols), LINES)
    assert rates["ser"] == pytest.approx(2 / symbols)
    unsure = symbol_error_rates(HOW, detected(score=0.5), LINES)
    assert unsure == {"ser": 0, "raw": 1, "adjusted": 0, "unsure": 1}
    nothing = symbol_error_rates(HOW, detected(score=0.3), LINES)
    assert nothing["ser"] == nothing["adjusted"] == 1


def test_a_matrix_has_the_detections_of_its_line() -> None:
    found = {"line": [0, 1], "symbol": [3, 4], "left": [0.0, 0.5], "right": [0.25, 1.0], "score": [0.9, 0.8]}
    first, second = matrices(HOW, {name: np.array(column) for name, column in found.items()}, 2, 64)
    assert first.sum() == pytest.approx(16 * 0.9)
    assert second[4, 32:].min() == 0.8


def test_pseudo_labels_are_right_over_a_true_box_of_their_symbol() -> None:
    label, (_, left, _, end) = LINES[1]["labels"][0], LINES[1]["boxes"][0]
    rows = [(8, label, left, end), (8, (label + 1) % 10, left, end), (0, 3, 0.1, 0.2)]
    labels = {"positive": np.array(rows, float), "pseudo": np.array([True, True, False])}
    symbols = sum(map(len, truth(LINES)))
    assert precision(labels, LINES, first=7) == {"count": 2, "precision": 0.5, "coverage": 1 / symbols}
    none = precision({"positive": np.zeros((0, 4)), "pseudo": np.zeros(0, bool)}, LINES)
    assert none["count"] == 0
    assert np.isnan(none["precision"])
