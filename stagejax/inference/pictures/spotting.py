"""Symbols spotted in lines by a matching detector, and pseudo-labels chosen among them, the surest first.

Letters: n detections, m chosen ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Bool, Float

from stagejax.apart import take_apart
from stagejax.data.handwriting.lines import glyph, query
from stagejax.data.pictures.scenes import NO_BOX
from stagejax.data.sources import Source
from stagejax.inference.frozen import Frozen, compiled
from stagejax.ledger import count_flops
from stagejax.objectives.pictures.matching_detection import Regions, queried, spotted

#: What `spot` finds: "line", "symbol" and "shot" (integers), "left" and "right" (shares of the line), "score".
Found = dict[str, np.ndarray]


@dataclass(frozen=True)
class Spotter:
    """How symbols are looked for: every shot of every symbol in every line.

    Args:
      shots: records with "image" and "label": the symbols of the alphabet.
      side: of a query's symbol in pixels.
      regions: of a pair of line and query.
      least: the lowest score of a detection.
      chunk: lines of a call.
    """

    shots: Source
    side: int = 28
    regions: Regions = field(default_factory=Regions)
    least: float = 0.2
    chunk: int = 10

    def queries(self, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images, boxes and symbols of all shots."""
        seen = [glyph(self.shots, row) for row in range(len(self.shots))]
        images, boxes = zip(*(query(ink, self.side, height) for ink, _ in seen), strict=True)
        return np.stack(images), np.stack(boxes), np.array([label for _, label in seen])


def spot(spotter: Spotter, lines: Source, net: Frozen) -> Found:
    """All detections of a network in all lines, line by line."""
    count = len(lines)
    images = np.stack([np.asarray(lines[i]["image"], np.float32) for i in range(count)])
    shots, boxes, symbols = spotter.queries(images.shape[1])
    queries = compiled(queried, net.config)(net.params, net.rest, shots, boxes)
    find, parts = compiled(spotted, net.config, spotter.regions), []
    for start in range(0, count, spotter.chunk):
        rows = np.arange(start, start + spotter.chunk).clip(max=count - 1)
        parts.append(np.asarray(find(net.params, net.rest, images[rows], queries))[: count - start])
    found = np.concatenate(parts)
    line, shot, place = np.nonzero(found[..., 4] >= spotter.least)
    _, left, _, right, score = found[line, shot, place].T
    return {"line": line, "symbol": symbols[shot], "shot": shot, "left": left, "right": right, "score": score}


def flops_of_spotting(spotter: Spotter, config: object, lines: int, shape: tuple[int, int], shots: int) -> float:
    """The matmul FLOPs of `spot` in so many lines of a height and width, with so many shots."""
    _, _, params, rest = take_apart(config)
    height, width = shape
    images = jax.ShapeDtypeStruct((shots, height, height, 1), np.float32)
    boxes = jax.ShapeDtypeStruct((shots, 4), np.float32)
    asked = compiled(queried, config)
    queries = jax.eval_shape(asked, params, rest, images, boxes)
    line = jax.ShapeDtypeStruct((1, height, width, 1), np.float32)
    once = count_flops(compiled(spotted, config, spotter.regions), params, rest, line, queries)
    return float(count_flops(asked, params, rest, images, boxes) + lines * once)


def same_box(left: float, right: float, spans_n2: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    """Whether spans are the same as others, by the authors' rule.

    The one that begins later begins inside the other, and from there to the other's end is more than 70 % of what lies
    between the other's beginning and its own end. So a span well inside another is the same as that.

    >>> same_box(0.0, 1.0, np.array([[0.1, 1.0], [0.4, 1.0], [0.2, 0.5]])).tolist()
    [True, False, True]
    """
    own, others = np.broadcast_to([left, right], spans_n2.shape), spans_n2
    later = (own[:, 0] >= others[:, 0])[:, None]
    second, first = np.where(later, own, others), np.where(later, others, own)
    inside = second[:, 0] < first[:, 1]
    return inside & (first[:, 1] - second[:, 0] > 0.7 * (second[:, 1] - first[:, 0]))


def merged(found: Found) -> Found:
    """Detections of a line's symbol by several shots as one, if they are the same box: that of the highest score."""
    order = np.argsort(-found["score"], kind="stable")
    kept: dict[tuple[int, int], list[tuple[float, float]]] = {}
    stay = []
    for i in order:
        own = kept.setdefault((int(found["line"][i]), int(found["symbol"][i])), [])
        span = float(found["left"][i]), float(found["right"][i])
        if not (own and same_box(*span, np.array(own)).any()):
            own.append(span)
            stay.append(i)
    return {name: column[np.array(stay, int)] for name, column in found.items()}


@dataclass(frozen=True)
class Progressive:
    """Adds the surest detections to pseudo-labels, up to a quota.

    Detections are walked by descending score. One above `sure` becomes a positive box of its symbol unless it is the
    same box as a positive one of its line, of whatever symbol, until `quota` are added. The negative boxes of a pair of
    line and symbol are the line's other detections, without those that are the same as a detection of the symbol, as
    they were when the pair got its first positive; later positives are taken out of them. What was added stays.

    Args:
      sure: the score that a positive box needs.
      first: boxes that are added to no pseudo-labels; None adds all.
      more: boxes that are added later, as a share of all positives.

    Reference: `select_new_labels`, `add_label` and `add_negatives` in the code of Souibgui et al. 2021.

    >>> found = {"line": [0, 0, 0], "symbol": [0, 1, 1], "left": [0.0, 0.0, 0.5], "right": [0.2, 0.2, 0.7]}
    >>> found = {name: np.array(column) for name, column in found.items()} | {"score": np.array([0.9, 0.8, 0.7])}
    >>> Progressive(first=2)(found, {})["positive"].tolist()
    [[0.0, 0.0, 0.0, 0.2], [0.0, 1.0, 0.5, 0.7]]
    """

    sure: float = 0.4
    first: int | None = 300
    more: float = 0.2

    def __call__(self, found: Found, before: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Labels with the new ones behind those `before`: "positive" and "negative" (m, 4), "pseudo" and "score" (m,).

        Args:
          before: what this returned, or `starting`; empty: nothing.
        """
        positive = before.get("positive", np.zeros((0, 4)))
        negative = before.get("negative", np.zeros((0, 4)))
        pseudo, score = before.get("pseudo", np.zeros(0, bool)), before.get("score", np.zeros(0))
        quota = self.first if not pseudo.any() else round(self.more * len(positive))
        found = merged(found)
        rows = np.stack([found[name] for name in ("line", "symbol", "left", "right")], 1).astype(np.float64)
        added = 0
        for row, own in zip(rows, found["score"], strict=True):
            if own <= self.sure or (quota is not None and added >= quota):
                break
            if same_box(row[2], row[3], positive[positive[:, 0] == row[0], 2:]).any():
                continue
            known = (positive[:, :2] == row[:2]).all(1).any()
            positive = np.concatenate([positive, row[None]])
            pseudo, score = np.append(pseudo, True), np.append(score, own)
            added += 1
            if known:
                mine = (negative[:, :2] == row[:2]).all(1)
                negative = negative[~(mine & same_box(row[2], row[3], negative[:, 2:]))]
            else:
                negative = np.concatenate([negative, _negatives(row, rows)])
        return {"positive": positive, "negative": negative, "pseudo": pseudo, "score": score.astype(np.float64)}


def _negatives(row: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The other boxes of a line, each once, without those that its symbol was found in."""
    line = rows[rows[:, 0] == row[0]]
    own, kept = line[line[:, 1] == row[1], 2:], np.zeros((0, 2))
    for left, right in line[:, 2:]:
        if not same_box(left, right, own).any() and not same_box(left, right, kept).any():
            kept = np.concatenate([kept, [[left, right]]])
    return np.concatenate([np.broadcast_to(row[:2], (len(kept), 2)), kept], 1)


def starting(lines: Source) -> dict[str, np.ndarray]:
    """The labels of lines whose boxes are known: every box is positive for its symbol and negative for all others.

    >>> from stagejax.data import Digits
    >>> from stagejax.data.handwriting.lines import Lines
    >>> labels = starting(Lines(Digits(), 3, shape=(24, 96), side=20, symbols_of_a_line=(3, 5)))
    >>> labels["positive"].shape[1], bool(labels["pseudo"].any())
    (4, False)
    """
    positive, negative = [], []
    for i in range(len(lines)):
        record = lines[i]
        there = record["labels"] != NO_BOX
        boxes, symbols = record["boxes"][there][:, [1, 3]], record["labels"][there]
        for symbol in np.unique(symbols):
            same = symbols == symbol
            positive += [(i, symbol, *box) for box in boxes[same]]
            negative += [(i, symbol, *box) for box in boxes[~same]]
    known = np.array(positive, np.float64).reshape(-1, 4)
    others = np.array(negative, np.float64).reshape(-1, 4)
    return {"positive": known, "negative": others, "pseudo": np.zeros(len(known), bool), "score": np.ones(len(known))}
