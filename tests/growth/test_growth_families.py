"""Which operator keeps the function of which kind of model, all of them on all, and why not where it does not.

Parameters are grown in numpy, by the definition of the operator's terms: that `grow` makes the same of them is for
test_growth_contract.py to say. So each model is compiled once, whatever grew it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from pairs import CONV, ENCODER_DECODER, IMAGE, POST, RESIDUAL, RMS, ROTARY, SMALL, by_matrices, logits, random_params

from stagejax.axes import path_name
from stagejax.growth import (
    AKI,
    FPI,
    LEMON,
    MSG,
    BlockDiagonal,
    Decoalesce,
    Deepen,
    DirectCopy,
    Growth,
    GrowthError,
    HeadSize,
    IdentityBlocks,
    Isometric,
    Net2Net,
    Operator,
    ZeroInit,
    balanced,
    by_weight,
    cyclic,
)
from stagejax.growth.fpi import WIDTH

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
    )
}
DEEPER = {"t5": {"encoder_layers": 3, "decoder_layers": 3}}  # else one layer more
RMS_NORMS, CONVOLUTIONAL = ("llama", "mixture", "t5"), ("convnet", "resnet")

KEPT, CHANGED = "kept", "changed"
MEAN = "change the mean that LayerNorm takes. Use LEMON"
POST_NORM = "a post-norm block cannot be: its norm acts on the stream itself"
CROSS = "attention to the encoder's output gives a mean of its values"
TRANSFORM = "a transform before its head, whose GELU does not keep a scaled stream"


def lemon(name: str) -> Operator:
    return LEMON(norm="rms" if name in RMS_NORMS else "layer", asymmetry=0.9)


#: What becomes of the function in width: the same for all models but those named.
IN_WIDTH: list[tuple[Operator | Callable[[str], Operator], str, dict[str, str]]] = [
    (FPI(), KEPT, {}),
    (Net2Net(axes=WIDTH, draw=cyclic), KEPT, {}),
    (Isometric(), KEPT, {"bert": TRANSFORM}),
    (lemon, KEPT, {}),
    (BlockDiagonal(), KEPT, {}),
    (ZeroInit(), KEPT, {"gpt": MEAN, "bert": MEAN, "vit": MEAN}),
    (Decoalesce(), KEPT, {}),
    (AKI(), CHANGED, dict.fromkeys(CONVOLUTIONAL, KEPT)),  # no stack to take channels from: FPI
    (DirectCopy(), CHANGED, {}),
    (MSG(), CHANGED, {}),  # but for its masks: test_growth_masked.py
]

#: And in depth. Networks of convolutions have no stack of layers: a deeper one is another architecture.
IN_DEPTH: list[tuple[Operator | Callable[[str], Operator], str, dict[str, str]]] = [
    (IdentityBlocks(), KEPT, {"bert": POST_NORM}),
    (IdentityBlocks(by="gain", fresh=True), KEPT, {"bert": POST_NORM, "t5": CROSS}),
    (Net2Net(), KEPT, {"bert": POST_NORM}),
    (lemon, KEPT, {"bert": POST_NORM}),
    (BlockDiagonal(), KEPT, {"bert": POST_NORM, "t5": CROSS}),
    (BlockDiagonal(by="output"), KEPT, {"bert": POST_NORM}),
    (ZeroInit(), KEPT, {"bert": POST_NORM}),
    (Deepen(), CHANGED, {}),
    (AKI(), CHANGED, {}),
    (DirectCopy(), CHANGED, {}),
    (MSG(), CHANGED, {}),
    (Decoalesce(), CHANGED, {}),
]


#: And in the size of heads, of which T5 has a kind of its own.
LONGER = replace(WIDER["t5"][0], head_dim=7)
IN_HEADS: list[tuple[Operator, str, dict[str, str]]] = [
    (HeadSize(), KEPT, {}),
    (HeadSize(copies=True, draw=balanced), KEPT, {}),
]


@pytest.mark.parametrize("name", WIDER)
def test_what_keeps_the_function_of_which_model(name: str) -> None:
    small, wide = WIDER[name]
    cases = [(*row, wide) for row in IN_WIDTH]
    if name not in CONVOLUTIONAL:
        deep = replace(small, **DEEPER.get(name, {"layers": 3}))
        cases += [(*row, deep) for row in IN_DEPTH]
    if name == "t5":
        cases += [(*row, LONGER) for row in IN_HEADS]
    for make, usually, other, large in cases:
        operator, wanted = make if isinstance(make, Operator) else make(name), other.get(name, usually)
        if wanted not in (KEPT, CHANGED):
            with pytest.raises(GrowthError, match=wanted):
                _ = Growth(operator, small, large).terms
            continue
        found = change(operator, small, large)
        assert found < 1e-10 if wanted == KEPT else found > 1e-2, (str(operator), found)


def test_keys_grow_only_where_their_products_are_scaled() -> None:
    """By the root of the ratio of sizes; T5's products are not scaled."""
    scaled = Growth(HeadSize(), SMALL, replace(SMALL, head_dim=16))
    plain = Growth(HeadSize(), WIDER["t5"][0], LONGER)
    assert scaled.terms[1].maps["head_dim"].write.weight.max() == 2
    assert plain.terms[1].maps["key_dim"].write.weight.max() == 1


def change(operator: Operator, small: Any, large: Any) -> float:
    """The largest change of an output, relative to the largest output; in float64."""
    with jax.enable_x64(True):
        growth, params, like = Growth(operator, small, large), random_params(small), random_params(large, 1)
        made = by_matrices(growth, {"small": params, "init": like}, growth.terms, by_weight)
        grown = jax.tree_util.tree_map_with_path(lambda path, _: made[path_name(path)], like)
        before, after = logits(small, params), logits(growth.config, grown)
        return float(np.abs(after - before).max() / np.abs(before).max())
