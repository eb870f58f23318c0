"""Growths that cannot be done: one clear error each, before any array is made."""

from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest
from pairs import IMAGE, POST, RESIDUAL, RMS, ROTARY, SMALL, random_params

from stagejax.growth import (
    AKI,
    FPI,
    LEMON,
    MSG,
    AddRows,
    BlockDiagonal,
    Coalesce,
    Deepen,
    DirectCopy,
    GranularUpcycle,
    Growth,
    GrowthError,
    HeadSize,
    IdentityBlocks,
    Isometric,
    Net2Net,
    Operator,
    Term,
    Undo,
    ZeroInit,
    copy_map,
    grow,
    middle,
)


@dataclass(frozen=True)
class Wrong(Operator):
    """Maps of wrong sizes."""

    kind: str = "size"

    def terms(self, old, new):
        maps = {
            "size": {"mlp": copy_map(np.arange(9) % 3, 3)},
            "layers": {"mlp": copy_map([np.arange(24) % 12] * 5, 12)},
            "table": {"mlp": copy_map(np.arange(24) % 12, 12), "embed": copy_map([np.arange(8)] * 2, 8)},
        }
        region = {"mlp": np.ones(5, bool)} if self.kind == "region" else None
        return [Term("small", maps.get(self.kind, {"mlp": copy_map(np.arange(24) % 12, 12)}), region=region)]


def unchecked(operator, **settings) -> Operator:
    """With settings that only the types refuse, which are checked in tests alone."""
    for name, value in settings.items():
        object.__setattr__(operator, name, value)
    return operator


@pytest.mark.parametrize(
    ("operator", "changes", "says"),
    [
        (FPI(), {"mlp": 8}, r"FPI\(.*axis 'mlp' of 'blocks/mlp/.*' shrinks: 12 -> 8. Ask for at least mlp=12"),
        (AKI(), {"layers": 1}, r"AKI\(.*axis 'layers' of 'blocks/.*' shrinks: 2 -> 1"),
        (FPI(), {"vocab": 20}, r"FPI\(.*no rule for axis 'vocab' of 'tokens/table'.*13 -> 20. Keep vocab=13"),
        (FPI(), {"embed": 16, "head_dim": 8}, r"no rule for axis 'head_dim' of 'blocks/attention/.*4 -> 8"),
        (
            Coalesce(),
            {"embed": 16},
            r"makes models smaller, but 'embed' goes 8 -> 16. Ask for at most embed=8",
        ),
        (Undo(FPI()), {"mlp": 24}, r"Undo.* makes models smaller, but 'mlp' goes 12 -> 24"),
        (
            unchecked(IdentityBlocks(), by="gains"),
            {"layers": 3},
            r"by='gains' is unknown: choose one of \('output', 'gain'\)",
        ),
        (LEMON(asymmetry=1.5), {"mlp": 24}, r"uniform in 1 ± 1.5 may sum to 0: set it between 0 and 1"),
        (unchecked(AddRows(), fill="means"), {"vocab": 20}, r"fill='means' is unknown"),
        (GranularUpcycle(0), {"experts": 2}, r"shards=0 cut nothing; set at least 1"),
        (Deepen(), {"layers": 4, "mlp": 24}, r"Deepen\(\) has no rule for axis 'mlp'.*12 -> 24"),
        (FPI(), {"use_bias": False, "mlp": 24}, r"parameter '.*bias' has no counterpart in the model after"),
        (FPI(), {"tied": False, "mlp": 24}, r"parameter '.*kernel' has no counterpart in the model before"),
        (Wrong(), {"mlp": 24}, r"Wrong\(\) maps axis 'mlp' 3 -> 9, but 'blocks/mlp/.*' takes it 12 -> 24"),
        (Wrong("layers"), {"mlp": 24}, r"another map of axis 'mlp' for each of 5 layers, but 'blocks/mlp"),
        (Wrong("table"), {"mlp": 24}, r"another map of axis 'embed' for each of 2 layers, but '.*' has the axes"),
        (Wrong("region"), {"mlp": 24}, r"marks a region of 5 entries on axis 'mlp', but 'blocks/mlp/.*' has 24"),
    ],
)
def test_refused(operator, changes, says) -> None:
    with pytest.raises(GrowthError, match=says):
        _ = Growth(operator, SMALL, replace(SMALL, **changes)).terms


def lossy_layers(old: int, new: int) -> np.ndarray:
    return np.zeros(new, int)


def lossy(old: int, new: int, seed: object) -> np.ndarray:
    return np.arange(new) % (old - 1)


@pytest.mark.parametrize(
    ("operator", "small", "changes", "says"),
    [
        *(
            (operator, RMS, {"mlp": 8}, r"axis 'mlp' of 'blocks/mlp/.*' shrinks: 12 -> 8. Ask for at least mlp=12")
            for operator in (Net2Net(), LEMON(norm="rms"), ZeroInit(), MSG(), BlockDiagonal(), HeadSize())
        ),
        (
            FPI(draw=lossy),
            SMALL,
            {"mlp": 24},
            r"FPI\(draw=lossy\) cannot grow mlp 12 -> 24: .*\[11\] of 12 appear nowhere",
        ),
        (HeadSize(copies=True, draw=lossy), SMALL, {"head_dim": 6}, r"head_dim 4 -> 6.*\[3\] of 4 appear nowhere"),
        (
            FPI(),
            ROTARY,
            {"kv_heads": 4},
            r"'q_per_kv' of .* shrinks: 2 -> 1. Copied query heads would cross the groups",
        ),
        (
            ZeroInit(),
            ROTARY,
            {"heads": 6, "kv_heads": 6},
            r"shrinks: 2 -> 1. .* Ask for heads of at least 2 times kv_heads",
        ),
        (HeadSize(), ROTARY, {"head_dim": 6}, r"under rotary positions 'head_dim' cannot go 4 -> 6.* Use head_dim=8"),
        (ZeroInit(), ROTARY, {"head_dim": 10}, r"ZeroInit\(\): under rotary .* 4 -> 10"),
        (
            HeadSize(copies=True),
            ROTARY,
            {"head_dim": 8},
            r"copies entries of 'head_dim' \(4 -> 8\), .* Use copies=False",
        ),
        (LEMON(), POST, {"embed": 12}, r"'embed' cannot go 8 -> 12 in a post-norm model .* Use embed=16, or MSG\(\)"),
        (
            LEMON(),
            replace(SMALL, causal=False),
            {"embed": 12},
            r"8 -> 12 in an encoder with a transform before its head with LayerNorm, .* Use embed=16",
        ),
        (Isometric(), SMALL, {"embed": 12}, r"'embed' cannot go 8 -> 12 with LayerNorm by unequal .* Use LEMON\(\)"),
        (
            ZeroInit(),
            replace(RESIDUAL, bottleneck=2),
            {"channels": (8, 12)},
            r"reads and writes 'channels.1.inner' \(2 -> 4\), .* Use FPI\(\), Net2Net\(\) or LEMON\(\)",
        ),
        (LEMON(), RMS, {"embed": 12}, r"is for norm='layer', but the model has norm='rms': use norm='rms'"),
        (ZeroInit(), SMALL, {"embed": 12}, r"zeros into new entries of 'embed', which change the mean.* Use LEMON\(\)"),
        *(
            (
                operator,
                POST,
                {"layers": 3},
                r"identity, which a post-norm block cannot be.*\(Deepen\), or by masks \(MSG\)",
            )
            for operator in (IdentityBlocks(), Net2Net(), LEMON(), BlockDiagonal(), ZeroInit())
        ),
        (
            IdentityBlocks(depth=middle),
            SMALL,
            {"layers": 5},
            r"middle repeats 3 of 2 layers: grow layers 2 -> 4 or less",
        ),
        (IdentityBlocks(depth=lossy_layers), SMALL, {"layers": 3}, r"lossy_layers takes layers 2 -> 3 as \[0, 0, 0\]"),
        (BlockDiagonal(), SMALL, {"mlp": 36}, r"BlockDiagonal\(\) doubles, but 'mlp' goes 12 -> 36: ask for mlp=24"),
        (BlockDiagonal(), ROTARY, {"heads": 16, "kv_heads": 4}, r"kv_heads and q_per_kv both grow: keep one of them"),
        (MSG(), SMALL, {"head_dim": 6}, r"MSG\(\) has no rule for axis 'head_dim'.*4 -> 6. Keep head_dim=4"),
        (FPI(axes=("mlp",)), IMAGE, {"image": 6}, r"no rule for axis 'position'.*4 -> 9"),
    ],
)
def test_what_would_not_be_exact_is_refused(operator, small, changes, says) -> None:
    with pytest.raises(GrowthError, match=says):
        _ = Growth(operator, small, replace(small, **changes)).terms


def test_missing_sources_and_leaves_are_named() -> None:
    large, params = replace(SMALL, mlp=24), random_params(SMALL)
    with pytest.raises(GrowthError, match=r"DirectCopy.*needs \['init'\] too: pass key= for init"):
        grow(Growth(DirectCopy(), SMALL, large), params)
    growth = Growth(FPI(), SMALL, large)
    with pytest.raises(GrowthError, match="lacks 'norm/gain'"):
        grow(growth, {**params, "norm": {"shift": params["norm"]["shift"]}})
    with pytest.raises(GrowthError, match=r"'blocks/mlp/down/kernel' is \(2, 24, 8\) .* but \(2, 12, 8\)"):
        grow(growth, random_params(large))
    with pytest.raises(GrowthError, match=r"DirectCopy\(\) needs 'blocks/.*' also from \['init'\]"):
        grow(Growth(DirectCopy(), SMALL, replace(SMALL, embed=16)), params, others={"init": {}})


def test_a_model_without_norm_eps_cannot_be_grown_isometrically() -> None:
    @dataclass(frozen=True)
    class Bare:
        embed: int

        def sizes(self) -> dict[str, int]:
            return {"embed": self.embed}

    with pytest.raises(GrowthError, match="Bare has no field norm_eps"):
        Isometric().grown(Bare(4), Bare(6))


def test_depth_without_layers() -> None:
    with pytest.raises(GrowthError, match="no axis 'layers'"):
        AKI().terms({"mlp": 2}, {"mlp": 4})
    assert FPI().terms({"mlp": 2}, {"mlp": 4})[0].maps["mlp"].new == 4
    with pytest.raises(NotImplementedError, match="Operator"):
        Operator().terms({}, {})
    assert jax.tree.leaves(Growth(FPI(), SMALL, SMALL).terms[0].maps) == []
