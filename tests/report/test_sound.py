"""Sound in a page: the samples that were given, in a file that any reader of WAV understands."""

import base64
import io
import re
import wave

import numpy as np

from stagejax.report.audio import recordings, wav
from stagejax.report.html import figure


def test_samples_come_back() -> None:
    signal = np.sin(np.arange(400) / 5)
    with wave.open(io.BytesIO(wav(signal, 8000))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 400)
        samples = np.frombuffer(file.readframes(400), "<i2")
    np.testing.assert_allclose(samples / 32767, signal, atol=1e-4)


def test_every_clip_has_its_player_and_its_name() -> None:
    clips = [(name, np.random.RandomState(0).normal(size=(5, 8)), np.ones(40) * loud)
             for name, loud in (("three <b>", 0.1), ("five", 0.0))]  # fmt: skip
    page = figure(recordings("Said", clips, 8000, "By the model."))
    assert all((text in page) == there for text, there in (("three &lt;b&gt;", True), ("three <b>", False)))
    files = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    assert len(files) == 2
    with wave.open(io.BytesIO(base64.b64decode(files[0]))) as file:
        samples = np.frombuffer(file.readframes(40), "<i2")
    np.testing.assert_allclose(samples / 32767, 0.8, atol=1e-3)  # equally loud
