"""Sound in a report: clips to be heard, each under a picture of its frames. The page stays one file."""

from __future__ import annotations

import base64
import html
import io
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np

from stagejax.report.figures import Figure, svg_of


def wav(signal: np.ndarray, rate: int) -> bytes:
    """A signal (samples,) from -1 to 1 as a WAV file of 16 bits.

    >>> wav(np.zeros(8), 8000)[:4], len(wav(np.zeros(8), 8000))
    (b'RIFF', 60)
    """
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(32767 * np.clip(signal, -1, 1)).astype("<i2").tobytes())
    return out.getvalue()


def recordings(title: str, clips: Sequence[tuple[str, np.ndarray, np.ndarray]], rate: int, caption: str = "") -> Figure:
    """Clips side by side: what each is, its frames as a picture (time to the right, pitch upwards), and a player.

    Args:
      clips: (name, frames (T, M), signal (samples,)); signals are made equally loud.
      rate: samples a second.

    >>> figure = recordings("Said", [("three", np.zeros((4, 8)), np.zeros(80))], 8000)
    >>> figure.svg.count("<audio"), figure.svg.count("<svg")
    (1, 1)
    """

    def shown(frames: np.ndarray) -> Any:
        def paint(canvas: Any) -> None:
            axes = canvas.add_axes((0, 0, 1, 1))
            axes.imshow(np.asarray(frames).T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest")
            axes.set_axis_off()

        return paint

    parts = []
    for name, frames, signal in clips:
        loud = signal / max(float(np.abs(signal).max(initial=0)), 1e-9) * 0.8
        data = base64.b64encode(wav(loud, rate)).decode()
        drawn = svg_of(shown(frames), (1.8, 1.0), f"{title}: {name}", salt=f"{title} {name}")
        parts.append(
            f'<div style="width:11rem"><div>{html.escape(name)}</div>{drawn}<audio controls preload="none" '
            f'style="width:100%" aria-label="{html.escape(name)}" src="data:audio/wav;base64,{data}"></audio></div>'
        )
    return Figure(title, f'<div style="display:flex;flex-wrap:wrap;gap:1rem">{"".join(parts)}</div>', caption)
