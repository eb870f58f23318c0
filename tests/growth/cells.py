"""Every operator on every kind of model it applies to: what becomes of the function, or why it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pairs import CONV, ENCODER_DECODER, IMAGE, PLAIN, POST, RESIDUAL, RMS, ROTARY, SMALL

from stagejax.growth import (
    AKI,
    FPI,
    LEMON,
    MSG,
    AddExperts,
    AddRows,
    BlockDiagonal,
    CopyExperts,
    Decoalesce,
    Deepen,
    DirectCopy,
    GranularUpcycle,
    HeadSize,
    IdentityBlocks,
    Isometric,
    Net2Net,
    Operator,
    Upcycle,
    ZeroInit,
    balanced,
    cyclic,
)
from stagejax.growth.fpi import WIDTH
from stagejax.growth.inherit import InheritWithMomentum
from stagejax.models.vision.cnn import ConvLayer

TWICE = {"embed": 16, "heads": 4, "mlp": 24}
#: Every kind of model, and the same twice as wide. Without an eps, which some operators would make another one.
WIDER: dict[str, tuple[Any, Any]] = {
    name: (small := replace(model, norm_eps=0.0), replace(small, **changes))
    for name, model, changes in (
        ("gpt", SMALL, TWICE),
        ("bert", POST, TWICE),
        ("llama", ROTARY, TWICE | {"heads": 8, "kv_heads": 4}),
        ("mixture", replace(RMS, experts=3, top_k=2, dispatch="dense"), TWICE),
        ("t5", ENCODER_DECODER, TWICE),
        ("vit", IMAGE, TWICE),
        ("convnet", CONV, {"channels": (8, 12)}),
        ("resnet", RESIDUAL, {"channels": (8, 12)}),
        ("cnn", PLAIN, {"convolutions": (ConvLayer(8, pool=True),), "hidden": (10,), "heads": (("label", (8, 3)),)}),
    )
}
DEEPER = {  # else one layer more
    "t5": {"encoder_layers": 3, "decoder_layers": 3},
    "convnet": {"channels": (4, 6, 6)},
    "resnet": {"blocks": (2, 2)},
    "cnn": {"hidden": (5, 5)},
}
#: Heads of another size: one that rotary positions keep, and T5's of any, whose products are not scaled.
LONGER = {"t5": 7} | dict.fromkeys(("gpt", "bert", "llama", "mixture", "vit"), 8)
RMS_NORMS, CONVOLUTIONAL = ("llama", "mixture", "t5"), ("convnet", "resnet", "cnn")

KEPT, CHANGED = "kept", "changed"
MEAN = "change the mean that LayerNorm takes. Use LEMON"
POST_NORM = "a post-norm block cannot be: its norm acts on the stream itself"
CROSS = "attention to the encoder's output gives a mean of its values"
TRANSFORM = "a transform before its head, whose GELU does not keep a scaled stream"
NO_RULE = "has no rule for axis"
UNSTACKED = "no counterpart in the model before the growth, .* blocks are not stacked: use MSG"
ANOTHER = "no counterpart in the model before the growth, .* only sizes may differ.$"
NO_GATE = "changes what the blocks behind it read, so that no gate keeps the function"
ROTATED = "copies entries of 'head_dim'"


def lemon(name: str) -> Operator:
    return LEMON(norm="rms" if name in RMS_NORMS else "layer", asymmetry=0.9)


Row = tuple[Operator | Callable[[str], Operator], str, dict[str, str]]
#: What becomes of the function in width: the same for all models but those named.
IN_WIDTH: list[Row] = [
    (FPI(), KEPT, {}),
    (Net2Net(axes=WIDTH, draw=cyclic), KEPT, {}),
    (Isometric(), KEPT, {"bert": TRANSFORM}),
    (lemon, KEPT, {}),
    (BlockDiagonal(), KEPT, {}),
    (ZeroInit(), KEPT, {"gpt": MEAN, "bert": MEAN, "vit": MEAN}),
    (Decoalesce(), KEPT, {}),
    (AKI(), CHANGED, dict.fromkeys(CONVOLUTIONAL, KEPT)),  # no stack to take channels from: FPI
    (DirectCopy(), CHANGED, {}),
    (InheritWithMomentum(0.8), CHANGED, {}),
    (MSG(), CHANGED, {}),  # but for its masks: test_growth_masked.py
]

#: Networks of convolutions have no stack of layers. Blocks of a residual stage can be born behind a gate; any other
#: deeper one is another architecture.
ALONE = {"convnet": ANOTHER, "resnet": UNSTACKED, "cnn": ANOTHER}
#: And in depth.
IN_DEPTH: list[Row] = [
    (IdentityBlocks(), KEPT, {"bert": POST_NORM, **ALONE}),
    (IdentityBlocks(by="gain", fresh=True), KEPT, {"bert": POST_NORM, "t5": CROSS, **ALONE}),
    (Net2Net(), KEPT, {"bert": POST_NORM, **ALONE}),
    (lemon, KEPT, {"bert": POST_NORM, **ALONE}),
    (BlockDiagonal(), KEPT, {"bert": POST_NORM, "t5": CROSS, **ALONE}),
    (BlockDiagonal(by="output"), KEPT, {"bert": POST_NORM, **ALONE}),
    (ZeroInit(), KEPT, {"bert": POST_NORM, **ALONE}),
    (Deepen(), CHANGED, ALONE),
    (AKI(), CHANGED, ALONE),
    (DirectCopy(), CHANGED, ALONE),
    (InheritWithMomentum(0.8), CHANGED, ALONE),
    (MSG(), CHANGED, {"convnet": NO_GATE, "cnn": ANOTHER}),
    (Decoalesce(), CHANGED, ALONE),
]

#: In the size of heads: by another operator than in width, because products are scaled and rotated.
IN_HEADS: list[Row] = [
    (HeadSize(), KEPT, {}),
    (HeadSize(copies=True, draw=balanced), KEPT, {"llama": ROTATED}),
    (ZeroInit(), KEPT, {}),
    (DirectCopy(), CHANGED, {}),
    (MSG(), NO_RULE, {"t5": CHANGED}),  # a mask over what is scaled by its size keeps nothing
    *((operator, NO_RULE, {}) for operator in (FPI(), AKI(), Net2Net(), Isometric(), BlockDiagonal(), Decoalesce())),
    (lemon, NO_RULE, {}),
]

#: In the rows of tables and the classes of heads; the function is that of the old ones.
IN_ROWS: list[Row] = [
    (AddRows(), KEPT, {}),
    (AddRows(fill="fresh"), KEPT, {}),
    (DirectCopy(), KEPT, {}),
    (MSG(), KEPT, {}),
    *((operator, NO_RULE, {}) for operator in (FPI(), AKI(), Net2Net(), Isometric(), BlockDiagonal(), Decoalesce())),
    (lemon, NO_RULE, {}),
    (ZeroInit(), NO_RULE, {}),
]

#: In experts, of models that have a feed-forward network to make them of, or have some.
EXPERTS: dict[str, list[tuple[Operator, dict[str, Any], str]]] = {
    **{
        name: [
            (Upcycle(), {"experts": 4, "top_k": 2}, KEPT),
            (GranularUpcycle(2), {"experts": 4, "top_k": 2, "mlp": 6}, KEPT),
            (CopyExperts(), {"experts": 4, "top_k": 2}, "Use Upcycle for a dense model"),
        ]
        for name in ("gpt", "bert", "llama")
    },
    "mixture": [
        (CopyExperts(), {"experts": 6, "top_k": 4}, KEPT),
        (AddExperts(), {"experts": 5}, CHANGED),  # but for its masks: test_growth_experts.py
        (Upcycle(), {"experts": 6}, "Use CopyExperts or AddExperts"),
        *((operator, {"experts": 6}, NO_RULE) for operator in (FPI(), ZeroInit(), Decoalesce(), MSG(), DirectCopy())),
    ],
}


@dataclass(frozen=True)
class Cell:
    """One operator between two models, and what becomes of the function: KEPT, CHANGED, or the error's words."""

    operator: Operator
    small: Any
    large: Any
    wanted: str


def in_size(name: str) -> Iterator[Cell]:
    """Width and depth."""
    small, wide = WIDER[name]
    yield from _cells(name, IN_WIDTH, wide)
    yield from _cells(name, IN_DEPTH, replace(small, **DEEPER.get(name, {"layers": 3})))


def in_parts(name: str) -> Iterator[Cell]:
    """Size of heads, rows, experts."""
    small, _ = WIDER[name]
    if name in LONGER:
        yield from _cells(name, IN_HEADS, replace(small, head_dim=LONGER[name]))
    rows = {"heads": (("label", (4, 5)),)} if name == "cnn" else {"vocab" if hasattr(small, "vocab") else "classes": 17}
    yield from _cells(name, IN_ROWS, replace(small, **rows))
    for operator, changes, wanted in EXPERTS.get(name, []):
        yield Cell(operator, small, replace(small, **changes), wanted)


def _cells(name: str, rows: list[Row], large: Any) -> Iterator[Cell]:
    for make, usually, other in rows:
        operator = make if isinstance(make, Operator) else make(name)
        yield Cell(operator, WIDER[name][0], large, other.get(name, usually))
