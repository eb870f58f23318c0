"""Lists of steps that a captioner of videos says: decoded in batches of one size, and measured against wanted ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from stagejax.data.video.guidelines import steps_of
from stagejax.data.vocabulary.words import Words
from stagejax.decode import bleu
from stagejax.decode.cider import cider
from stagejax.decode.meteor import meteor
from stagejax.decode.ordered_lists import in_any_order, list_score, order_tau, similarities
from stagejax.decode.overlap import rouge_l
from stagejax.inference.frozen import Frozen, flops_of_one
from stagejax.inference.tasks.translating import Decoding, generated, said_of

Steps = Sequence[str]


def lists_said(net: Frozen, inputs: Mapping[str, np.ndarray], words: Words, length: int, batch: int) -> list[list[str]]:
    """The likeliest list of every sample, token by token, as its steps.

    Args:
      inputs: {"inputs", "rows"}, as of `GuidedClips` and `Summaries`.
      length: tokens of what is said at most, SEP counted.
      batch: samples at once; the last batch is filled up, so that one program serves all.

    >>> # steps = lists_said(Frozen.of(result), captioned(videos, [0, 8], ["", ""], 28), videos.words, 32, 64)
    """
    count, found = len(inputs["rows"]), []
    for start in range(0, count, batch):
        places = np.arange(start, start + batch) % count
        given = {"inputs": inputs["inputs"][places], "mask": inputs["rows"][places]}
        texts, _ = generated(net, given, words, Decoding(True, 1, length + 1))
        found += [steps_of(own[0]) for own in texts]
    return found[:count]


def list_flops(config: Any, spec: Mapping[str, jax.ShapeDtypeStruct], length: int) -> float:
    """FLOPs of one such list, as if it had all tokens that it may have."""
    row = {"inputs": spec["inputs"], "mask": spec["rows"]}
    return float(flops_of_one(said_of, config, row, True, 1, length + 1, while_trips=length + 1))


def step_scores(said: Sequence[Steps], wanted: Sequence[Steps], links: Sequence[Sequence[int]]) -> dict[str, float]:
    """Means over lists of what captions are measured by, all from 0 to 1 but for CIDEr-D (0 to 10), BLEU-4 (0 to 100,
    of the corpus), tau (-1 to 1) and the number of steps.

    "f1", "precision", "recall": of equal steps, matched in order. "near": F1 with METEOR as the similarity of steps.
    "tau": Kendall's, of equal steps, where there are two. "coverage": share of the guideline's steps of whose steps in
    the video one is said, at any place. "off": |steps said - steps wanted|.

    Args:
      links: of every wanted step the number of the guideline's step, 0: none.

    >>> found = step_scores([["take the boot", "box the boot"]], [["take the boot", "dim the boot"]], [[1, 2]])
    >>> found["f1"], found["coverage"], found["off"], 0.5 < found["near"] < 1
    (0.5, 0.5, 0.0, True)
    """
    texts, right = [" ".join(own) for own in said], [" ".join(own) for own in wanted]
    pairs = list(zip(said, wanted, strict=True))
    exact = [list_score(*pair) for pair in pairs]
    taus = [tau for tau in (order_tau(*pair) for pair in pairs) if not math.isnan(tau)]
    means = {
        "f1": [own.f1 for own in exact],
        "precision": [own.precision for own in exact],
        "recall": [own.recall for own in exact],
        "near": [list_score(*pair, like=meteor).f1 for pair in pairs],
        "meteor": [meteor(*pair) for pair in zip(texts, right, strict=True)],
        "rouge": [rouge_l(*pair) for pair in zip(texts, right, strict=True)],
        "tau": taus or [0.0],
        "off": [abs(len(own) - len(other)) for own, other in pairs],
        "coverage": [_covered(pair, own) for pair, own in zip(pairs, links, strict=True)],
        "whole": [list(own) == list(other) for own, other in pairs],
    }
    found = {name: float(np.mean(values)) for name, values in means.items()}
    return found | {"cider": cider(texts, [[text] for text in right]), "bleu": bleu(texts, right)}


def _covered(pair: tuple[Steps, Steps], links: Sequence[int]) -> float:
    said, wanted = pair
    found = {links[g] for _, g in in_any_order(similarities(said, wanted))} - {0}
    return len(found) / max(1, len(set(links) - {0}))
