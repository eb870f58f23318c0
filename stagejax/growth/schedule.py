"""Schedules of growing depth: lists of (depth, steps), each phase a stage of its own."""

from __future__ import annotations

from collections.abc import Sequence

Phases = list[tuple[int, int]]


def proportional(depths: Sequence[int], steps: int, power: float = 1.0) -> Phases:
    """Phase i of k has steps in proportion to i^power: 0 is even, 1 and 2 the schedules of MIDAS.

    Reference: Saunshi et al. 2024, https://arxiv.org/abs/2409.19044, section 3.

    >>> proportional([3, 6, 9, 12], steps=1000)
    [(3, 100), (6, 200), (9, 300), (12, 400)]
    """
    if steps < len(depths) or list(depths) != sorted(set(depths)):
        raise ValueError(f"depths={list(depths)} over steps={steps}: give growing depths, and a step for each at least")
    shares = [(i + 1) ** power for i in range(len(depths))]
    ends = [round(steps * sum(shares[: i + 1]) / sum(shares)) for i in range(len(depths))]
    return [(d, max(1, end - start)) for d, start, end in zip(depths, [0, *ends], ends, strict=False)]


def gradual_stacking(layers: int, block: int, steps: int, power: float = 1.0) -> Phases:
    """`block` more layers in every phase, up to `layers`. With `middle` as the depth rule this is MIDAS.

    Reference: Reddi et al. 2023, Efficient training of language models using few-shot learning, section 4.

    >>> gradual_stacking(6, 2, steps=12)
    [(2, 2), (4, 4), (6, 6)]
    """
    if layers % block:
        raise ValueError(f"block={block} does not divide layers={layers}: each phase adds one whole block")
    return proportional(range(block, layers + 1, block), steps, power)


def multi_stage_layerwise(layers: int, phases: int, steps: int, joint: float = 0.2) -> list[tuple[int, int, int]]:
    """MSLT: (depth, layers below that stay frozen, steps) of every phase; the last one trains all layers together.

    Phase k has k/phases of the layers, of which only the newest are trained, as copies of those below. `joint` is the
    last phase's share of the steps. Give the frozen depth to the objective as `stop_below`.

    Reference: Yang et al. 2020, Progressively stacking 2.0, https://arxiv.org/abs/2011.13635, section 3.

    >>> multi_stage_layerwise(12, 3, steps=100)
    [(4, 0, 27), (8, 4, 26), (12, 8, 27), (12, 0, 20)]
    """
    if layers % phases or not 0 <= joint < 1:
        raise ValueError(f"phases={phases} do not divide layers={layers}, or joint={joint} is no share below 1")
    together = round(steps * joint)
    ends = [round((steps - together) * k / phases) for k in range(phases + 1)]
    top = layers // phases
    grown = [(top * k, top * (k - 1), ends[k] - ends[k - 1]) for k in range(1, phases + 1)]
    return [*grown, (layers, 0, together)] if together else grown
