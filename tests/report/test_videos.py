"""Videos in a report: the animation that is embedded holds every frame."""

import base64
import io
import re

import numpy as np
import pytest

from stagejax.report.videos import animation, gif, strip


def test_the_gif_holds_every_frame() -> None:
    from PIL import Image

    clip = np.random.default_rng(0).integers(0, 256, (5, 6, 7)) / 255
    with Image.open(io.BytesIO(gif(clip, 80))) as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (5, (7, 6), 80)
        for number in range(5):
            image.seek(number)
            np.testing.assert_array_equal(np.asarray(image.convert("L")), np.round(255 * clip[number]))


def test_the_figure_shows_rows_and_columns_that_move() -> None:
    from PIL import Image

    clips = [[np.full((3, 4, 4), 0.5), np.zeros((3, 4, 4))]]
    figure = animation("Clips", ("real", "drawn & made"), clips, names=("seven",))
    assert "drawn &amp; made" in figure.svg
    assert ">seven<" in figure.svg
    with Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", figure.svg).group(1)))) as image:
        pixels = np.asarray(image.convert("L"))
        assert image.size == (2 * 62, 62)
    assert (pixels[:60, :60] == 128).all()
    assert (pixels[:60, 62:122] == 0).all()
    assert (pixels[:60, 60:62] == 255).all()
    with pytest.raises(ValueError, match="one for each column"):
        animation("Clips", ("real",), clips)


def test_a_strip_is_frames_side_by_side() -> None:
    clip = np.arange(3.0)[:, None, None] * np.ones((3, 2, 2))
    np.testing.assert_array_equal(strip(clip)[0], [0, 0, 1, 1, 1, 1, 2, 2])
