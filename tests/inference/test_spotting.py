"""Pseudo-labels: surest first, no two at one place, quotas, and what is negative; spotting sees every line and shot."""

import numpy as np
import pytest
from flax import nnx

from stagejax.data import Digits
from stagejax.data.handwriting.lines import Hand, Lines
from stagejax.data.selection.few_shot import FewShot
from stagejax.inference.frozen import Frozen
from stagejax.inference.pictures.spotting import Progressive, Spotter, flops_of_spotting, merged, spot, starting
from stagejax.models.vision.matching_detector import MatchingDetector
from stagejax.objectives.pictures.matching_detection import Regions


def detections(*rows: tuple[int, int, float, float, float]) -> dict[str, np.ndarray]:
    """Of rows (line, symbol, left, right, score)."""
    names = ("line", "symbol", "left", "right", "score")
    columns = dict(zip(names, np.array(rows, float).T, strict=True))
    return columns | {name: columns[name].astype(int) for name in ("line", "symbol")}


FOUND = detections(
    (0, 0, 0.10, 0.20, 0.95),
    (0, 1, 0.11, 0.20, 0.90),  # the same place, another symbol
    (0, 1, 0.50, 0.60, 0.85),
    (1, 1, 0.10, 0.20, 0.80),
    (0, 0, 0.10, 0.21, 0.70),  # the first one, by another shot
    (1, 2, 0.30, 0.40, 0.45),
    (1, 0, 0.60, 0.70, 0.40),  # not above the threshold
)


def test_shots_that_find_the_same_box_count_once_with_their_highest_score() -> None:
    own = merged(FOUND)
    assert own["score"].tolist() == [0.95, 0.90, 0.85, 0.80, 0.45, 0.40]


def test_the_surest_are_added_up_to_the_quota_and_none_where_one_is() -> None:
    labels = Progressive(first=2)(FOUND, {})
    assert labels["positive"].tolist() == [[0, 0, 0.10, 0.20], [0, 1, 0.50, 0.60]]
    assert labels["score"].tolist() == [0.95, 0.85]
    everything = Progressive(first=None)(FOUND, {})
    assert everything["positive"][:, :2].tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]


def test_later_quotas_are_a_share_of_all_positives_and_what_was_added_stays() -> None:
    rule = Progressive(first=2, more=0.5)
    first = rule(FOUND, {})
    second = rule(FOUND, first)
    assert second["positive"][:2].tolist() == first["positive"].tolist()
    assert len(second["positive"]) == 3
    third = rule(detections((1, 2, 0.11, 0.20, 0.99)), second)  # surer, but where one is
    assert third["positive"].tolist() == second["positive"].tolist()


def test_negatives_are_the_lines_other_detections() -> None:
    labels = Progressive(first=1)(FOUND, {})
    # of line 0: what symbol 1 was found in apart from the place of symbol 0 itself
    assert labels["negative"].tolist() == [[0, 0, 0.50, 0.60]]


def test_a_new_positive_is_no_negative_of_its_symbol_any_more() -> None:
    before = {
        "positive": np.array([[0.0, 0, 0.1, 0.2]]),
        "negative": np.array([[0, 0, 0.5, 0.6], [0, 0, 0.8, 0.9]]),
        "pseudo": np.array([True]),
        "score": np.array([0.9]),
    }
    labels = Progressive(more=1.0)(detections((0, 0, 0.5, 0.6, 0.9)), before)
    assert labels["negative"].tolist() == [[0, 0, 0.8, 0.9]]


LINES = Lines(
    Digits(), 3, shape=(16, 64), side=12, symbols_of_a_line=(3, 5), hand=Hand(gap=(1, 3), lines=(0, 0), noise=0.0)
)


def test_starting_lines_have_every_box_for_its_symbol_and_against_all_others() -> None:
    labels = starting(LINES)
    for i in range(3):
        symbols = LINES[i]["labels"][LINES[i]["labels"] >= 0]
        mine = labels["positive"][labels["positive"][:, 0] == i]
        assert sorted(mine[:, 1].tolist()) == sorted(symbols.tolist())
        others = labels["negative"][labels["negative"][:, 0] == i]
        assert len(others) == sum((symbols != c).sum() for c in np.unique(symbols))
    assert not labels["pseudo"].any()


@pytest.mark.slow
def test_every_shot_is_looked_for_in_every_line() -> None:
    config = MatchingDetector(((4,), (4,)), ((2, 2),), ((16, 8),), None, (2, 3), 6, groups=2)
    params, rest = nnx.split(config.build(nnx.Rngs(0)), nnx.Param, ...)[1:]
    net = Frozen(config, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))
    spotter = Spotter(FewShot(Digits(), 1), side=12, regions=Regions(6, 3), least=0.0, chunk=2)
    found = spot(spotter, LINES, net)
    assert set(found["line"].tolist()) == {0, 1, 2}
    assert set(found["symbol"].tolist()) == set(range(10))
    assert len(found["line"]) == 3 * 10 * 3  # with no least score, every region of every pair
    once = spot(Spotter(FewShot(Digits(), 1), side=12, regions=Regions(6, 3), least=0.0, chunk=3), LINES, net)
    for name in found:
        np.testing.assert_allclose(found[name], once[name], atol=1e-5)
    one, three = (flops_of_spotting(spotter, config, lines, (16, 64), 10) for lines in (1, 3))
    more = flops_of_spotting(spotter, config, 5, (16, 64), 10)
    assert more - three == three - one > 0
