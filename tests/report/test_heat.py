"""Heat maps: every number and name is in the drawing."""

import numpy as np
import pytest

from stagejax.report.heat import heat_map


def test_every_cell_shows_its_number() -> None:
    values = np.array([[0.12, -1.5, 0.333], [2.0, 0.0, 0.71]])
    drawn = heat_map("Scales", ("first", "second"), ("a", "b", "c"), values, "caption")
    for text in ("0.12", "1.50", "0.33", "2.00", "0.71", "first", "second"):
        assert f">{text}<" in drawn.svg or f"−{text}<" in drawn.svg or f"-{text}<" in drawn.svg, text  # noqa: RUF001
    assert drawn.svg == heat_map("Scales", ("first", "second"), ("a", "b", "c"), values).svg
    with pytest.raises(ValueError, match="shape"):
        heat_map("Scales", ("first",), ("a",), values)
