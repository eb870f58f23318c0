"""What lists of steps are measured by, on lists whose numbers can be worked out by hand."""

import pytest

from stagejax.inference.multimodal.step_lists import step_scores

WANTED = [["take the boot", "paint the boot green", "turn the boot"], ["take the bag", "dim the bag"]]
LINKS = [[1, 2, 3], [1, 0]]


def test_right_lists_have_all_there_is() -> None:
    found = step_scores(WANTED, WANTED, LINKS)
    for name in ("f1", "precision", "recall", "rouge", "tau", "coverage", "whole"):
        assert found[name] == 1.0
    assert found["off"] == 0
    assert found["bleu"] == pytest.approx(100)
    assert 0.9 < found["near"] < found["meteor"] < 1


def test_steps_that_changed_places_lose_order_and_keep_coverage() -> None:
    turned = [[own[0], *own[:0:-1]] for own in WANTED]
    found = step_scores(turned, WANTED, LINKS)
    assert found["coverage"] == 1.0
    assert found["f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["tau"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["whole"] == 0.5


def test_colours_are_part_of_a_step_and_near_ones_count_by_meteor() -> None:
    said = [["take the boot", "paint the boot red", "turn the boot"], ["take the bag", "dim the bag"]]
    found = step_scores(said, WANTED, LINKS)
    assert found["f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["near"] > found["f1"]
    assert found["coverage"] == pytest.approx((2 / 3 + 1) / 2)


def test_steps_of_no_guideline_do_not_count_for_coverage() -> None:
    found = step_scores([WANTED[0], ["take the bag"]], WANTED, LINKS)
    assert found["coverage"] == 1.0
    assert found["off"] == 0.5
    assert found["recall"] == 0.75


def test_nothing_said_is_worth_nothing() -> None:
    found = step_scores([[], []], WANTED, LINKS)
    assert all(found[name] == 0 for name in ("f1", "near", "meteor", "rouge", "cider", "bleu", "coverage", "tau"))
    assert found["off"] == 2.5
