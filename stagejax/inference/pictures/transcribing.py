"""Lines read from the symbols that were spotted in them, and how wrong that is.

Letters: A symbols, X columns of pixels, n spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from stagejax.data.pictures.scenes import NO_BOX
from stagejax.data.sources import Source
from stagejax.decode.similarity import errors, read, similarity
from stagejax.inference.frozen import Frozen, apply
from stagejax.inference.pictures.spotting import Found
from stagejax.objectives.sound.recognition import collapsed, columns_of
from stagejax.result import Result


@dataclass(frozen=True)
class Reading:
    """How detections become a transcript; lengths are in columns of pixels.

    Args:
      classes: symbols of the alphabet.
      least: the score above which a detection counts.
      run, gap, sure: of `decode.similarity.read`; every symbol is read, and once more with marks for what is below
        `sure`.
    """

    classes: int
    least: float = 0.4
    run: int = 22
    gap: int = 20
    sure: float = 0.6


def truth(lines: Source) -> list[list[int]]:
    """The transcripts of lines with records as those of `Lines`."""
    labels = [lines[i]["labels"] for i in range(len(lines))]
    return [own[own != NO_BOX].tolist() for own in labels]


def matrices(how: Reading, found: Found, count: int, columns: int) -> list[Float[np.ndarray, "A X"]]:
    """The similarity matrix of every line."""
    left, right = (np.rint(found[name] * columns).astype(np.int64) for name in ("left", "right"))
    rows = [found["line"] == line for line in range(count)]
    size = how.classes, columns
    return [similarity(found["symbol"][r], left[r], right[r], found["score"][r], size, how.least) for r in rows]


def symbol_error_rates(how: Reading, found: Found, lines: Source) -> dict[str, float]:
    """Edits of all lines over their symbols: "ser", where every symbol is read.

    And where unsure ones are marked: "raw", in which a mark is an error, "adjusted", in which it is none, and "unsure",
    marks over symbols.
    """
    wanted, columns = truth(lines), lines[0]["image"].shape[1]
    seen = matrices(how, found, len(lines), columns)

    def total(sure: float) -> dict[str, int]:
        said = [read(own, run=how.run, gap=how.gap, sure=sure) for own in seen]
        rows = [errors(*pair) for pair in zip(said, wanted, strict=True)]
        return {name: sum(row[name] for row in rows) for name in rows[0]}

    every, marked = total(0.0), total(how.sure)
    symbols = every["symbols"]
    return {
        "ser": every["edits"] / symbols,
        "raw": marked["edits"] / symbols,
        "adjusted": (marked["edits"] - marked["unsure"]) / symbols,
        "unsure": marked["unsure"] / symbols,
    }


def _words(model: Any, images: Any) -> Any:
    """The likeliest path of a recogniser on the columns of lines."""
    frames = columns_of(images)
    return collapsed(*model(frames, jnp.ones(frames.shape[:2], bool)))


def recogniser_errors(result: Result, lines: Source) -> dict[str, float]:
    """Edits of all lines over their symbols, of a recogniser trained by `columns_ctc`: "ser"."""
    wanted, images = truth(lines), np.stack([np.asarray(lines[i]["image"]) for i in range(len(lines))])
    said = apply(_words, Frozen.of(result), images, len(images))
    rows = [errors((own[own > 0] - 1).tolist(), true) for own, true in zip(said, wanted, strict=True)]
    return {"ser": sum(row["edits"] for row in rows) / sum(row["symbols"] for row in rows)}


def precision(labels: dict[str, np.ndarray], lines: Source, first: int = 0) -> dict[str, float]:
    """How many pseudo-labels there are ("count"), and how many are right: over a true box of their symbol by half.

    The right ones are counted as a share of the labels ("precision") and of all symbols of the lines ("coverage").

    Args:
      labels: as `Progressive` makes them.
      lines: with records as those of `Lines`.
      first: the number that the labels give to the first of these lines.
    """
    hits = []
    for line, symbol, left, right in labels["positive"][labels["pseudo"]]:
        record = lines[int(line) - first]
        true = record["boxes"][record["labels"] == symbol][:, [1, 3]]
        shared = np.minimum(right, true[:, 1]) - np.maximum(left, true[:, 0])
        reach = np.maximum(right, true[:, 1]) - np.minimum(left, true[:, 0])
        hits.append(bool((shared >= 0.5 * reach).any()))
    symbols, count = sum(map(len, truth(lines))), len(hits)
    share = sum(hits) / count if count else float("nan")
    return {"count": float(count), "precision": share, "coverage": sum(hits) / symbols}
