"""What a notebook shows: the numbers and tables of a result, a report in a frame that nothing gets out of."""

from html.parser import HTMLParser

import jax.numpy as jnp
import pytest

from stagejax.report import Arm, Report, Table
from stagejax.report.notebook import result_html


def text_of(page: str) -> str:
    class Reader(HTMLParser):
        found = ""

        def handle_data(self, data: str) -> None:
            self.found += data

    reader = Reader()
    reader.feed(page)
    return reader.found


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_a_result_shows_its_cost_its_hand_over_its_receipt_and_a_curve(fakes, metric):
    stage = fakes[1]("large", [3.0, 1.0], handover=(("params", "24", "229,888", "carry", "a <note>"),))
    for row in stage.history.evals:
        row[metric] = row.pop("loss")
    shown = text_of(result_html(stage))
    assert "large" in shown
    assert "229,888" in shown
    assert "a <note>" in shown
    assert f"held-out {metric}" in shown
    assert "<note>" not in result_html(stage)


def test_a_result_without_evaluations_shows_its_receipt(fakes):
    grown = fakes[0]("start", kind="grow", receipt={"logits": {"largest change": 3.1e-6}})
    page = result_html(grown)
    assert "3.1e-06" in text_of(page)
    assert "<svg" not in page


def test_a_report_is_one_frame_with_the_whole_page_inside(fakes):
    evil = '</iframe><script>alert("x")</script>'
    report = Report("mine", evil, "a paper", claims=(), arms=(Arm("scratch", (fakes[1]("scratch", [2.0, 1.0]),)),))
    page = report._repr_html_()
    assert page.startswith("<iframe")
    assert page.count("<iframe") == page.count("</iframe>") == 1
    assert "<script" not in page
    assert "&lt;!doctype html&gt;" in page


def test_a_table_shows_itself():
    table = Table("Widths", ("arm", "loss"), (("a < b", float(jnp.float32(1.5))),))
    assert "a &lt; b" in table._repr_html_()
