"""Videos in a report: rows of clips that move, and strips of their frames side by side."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np

from stagejax.report.figures import Figure


def animation(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[np.ndarray]],
    caption: str = "",
    names: Sequence[str] = (),
    *,
    milliseconds: int = 160,
) -> Figure:
    """A grid of grey clips (F, Y, X) from 0 to 1 that play together, one column a kind, as one animated GIF in an SVG.

    Raises:
      ValueError: clips of unequal shapes, or a number of titles or names that does not fit.

    >>> animation("Clips", ("one",), [[np.zeros((2, 4, 4))]]).svg[:4]
    '<svg'
    """
    clips = [[np.asarray(clip) for clip in row] for row in rows]
    shapes = {clip.shape for row in clips for clip in row}
    if len(shapes) != 1 or {len(row) for row in clips} != {len(columns)} or len(names) not in (0, len(rows)):
        raise ValueError(
            f"{len(rows)} rows of clips of shapes {sorted(shapes)} under {len(columns)} columns with {len(names)} "
            "names: give clips of one shape, one for each column, and a name for each row or none"
        )
    _, tall, wide = shapes.pop()
    gap, scale = 2, max(1, 60 // wide)
    height, width = scale * tall + gap, scale * wide + gap
    left, top = (9 * max(map(len, names)) + 8 if names else 0), 18
    moving = np.concatenate([np.concatenate([_framed(clip, scale, gap) for clip in row], 2) for row in clips], 1)
    across, down = left + width * len(columns), top + height * len(rows)
    image = base64.b64encode(gif(moving, milliseconds)).decode()
    texts = [(left + (j + 0.5) * width, 12, "middle", text) for j, text in enumerate(columns)]
    texts += [(left - 6, top + (i + 0.55) * height, "end", text) for i, text in enumerate(names)]
    drawn = "".join(
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="10" fill="currentColor">'
        f"{html.escape(text)}</text>"
        for x, y, anchor, text in texts
    )
    svg = (
        f'<svg viewBox="0 0 {across} {down}" role="img" aria-label="{html.escape(title)}"><image x="{left}" y="{top}" '
        f'width="{across - left}" height="{down - top}" style="image-rendering:pixelated" '
        f'href="data:image/gif;base64,{image}"/>{drawn}</svg>'
    )
    return Figure(title, svg, caption)


def gif(clip: np.ndarray, milliseconds: int = 160) -> bytes:
    """A grey clip (F, Y, X) from 0 to 1 as an animated GIF that repeats.

    >>> gif(np.zeros((2, 4, 4)))[:6]
    b'GIF89a'
    """
    from PIL import Image

    frames = [Image.fromarray(frame) for frame in np.round(255 * np.clip(clip, 0, 1)).astype(np.uint8)]
    out = io.BytesIO()
    how = {"save_all": True, "append_images": frames[1:], "duration": milliseconds, "loop": 0, "optimize": False}
    frames[0].save(out, format="GIF", **how)
    return out.getvalue()


def strip(clip: np.ndarray, every: int = 1) -> np.ndarray:
    """Frames of a clip (F, Y, X) side by side, for `pictures`.

    >>> strip(np.zeros((9, 4, 5)), every=4).shape
    (4, 17)
    """
    framed = [np.pad(frame, ((0, 0), (0, 1)), constant_values=1.0) for frame in clip[::every]]
    return np.concatenate(framed, axis=1)[:, :-1]


def _framed(clip: np.ndarray, scale: int, gap: int) -> np.ndarray:
    """A clip whose pixels are `scale` ones, with a white border behind it."""
    large = clip.repeat(scale, axis=1).repeat(scale, axis=2)
    return np.pad(large, ((0, 0), (0, gap), (0, gap)), constant_values=1.0)
