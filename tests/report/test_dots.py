"""Dots: one for each seed of each arm, and the same bytes for the same numbers."""

from stagejax.report import draw_dots

PANELS = {"text": {"scratch": [3.0, 3.2], "FPI": [2.9], "AKI": [2.5, float("nan")]}, "images": {"scratch": [0.5]}}


def test_arms_stand_in_the_order_of_the_first_panel() -> None:
    svg = draw_dots(PANELS, baseline="scratch", xlabel="held-out loss")
    assert svg == draw_dots(PANELS, baseline="scratch", xlabel="held-out loss")
    assert svg.index(">AKI<") < svg.index(">FPI<") < svg.index(">scratch<")
    assert 'aria-label="held-out loss by arm: text, images"' in svg


def test_an_arm_without_a_value_has_no_dot() -> None:
    more = draw_dots({**PANELS, "images": {"scratch": [0.5], "FPI": [0.4]}}, baseline="scratch", xlabel="loss")
    less = draw_dots(PANELS, baseline="scratch", xlabel="loss")
    assert more.count("<use") > less.count("<use")
