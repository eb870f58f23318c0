"""`stagejax grow` on models of `transformers`: what it writes loads there, and computes what the receipt says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
from reference import loaded, logits_of, saved
from test_interop import bert, distilled, llama, qwen2, t5

from stagejax.cli import parser
from stagejax.commands.grow import command_grow
from stagejax.interop import open_checkpoint
from stagejax.interop.layerwise import Probe, probe_of

GROWTHS = [  # model, sizes, operator, whether it keeps the function
    (bert, "layers=4,embed=24,heads=6,mlp=40", "aki", False),
    (bert, "embed=24,heads=6,mlp=33", "fpi", True),
    (llama, "layers=3,embed=16,heads=8,head_dim=2,mlp=32", "aki", False),
    (qwen2, "layers=3", "identityblocks", True),
    pytest.param(
        t5, "encoder_layers=3,decoder_layers=4,embed=18,heads=4,mlp=30", "lemon", True, marks=pytest.mark.slow
    ),
    pytest.param(distilled, "layers=3,embed=20,heads=5,mlp=32", "lemon", True, marks=pytest.mark.slow),
]


def theirs(model: Any, probe: Probe) -> np.ndarray:
    """What `transformers` computes for a probe."""
    if hasattr(model.config, "image_size"):
        return logits_of(model, pixel_values=probe.inputs[0].transpose(0, 3, 1, 2))
    return logits_of(model, **dict(zip(("input_ids", "decoder_input_ids"), probe.inputs, strict=False)))


@pytest.mark.parametrize(("make", "to", "operator", "exact"), GROWTHS)
def test_what_is_grown_computes_what_the_receipt_says(
    make: Callable[..., Any], to: str, operator: str, exact: bool, tmp_path: Path
) -> None:
    model = make()
    source, out = saved(model, tmp_path / "small"), tmp_path / "large"
    command = ["grow", "--from", str(source), "--to", to, "--operator", operator, "--out", str(out)]
    command += ["--set", "norm=rms"] if (make, operator) == (t5, "lemon") else []
    assert command_grow(parser().parse_args(command), []) == 0
    receipt = json.loads((out / "receipt.json").read_text())
    probe = probe_of(open_checkpoint(source))
    grown = loaded(type(model), out)
    before, after = theirs(model, probe), theirs(grown, probe)
    scale = np.abs(before).max()
    assert np.abs(after - before).max() / scale == pytest.approx(receipt["logit_change_relative"], rel=1e-3, abs=2e-5)
    assert (receipt["logit_change_relative"] < 1e-5) == exact
    assert grown.num_parameters() == pytest.approx(receipt["parameters_after"], rel=0.01)
    if probe.targets is not None:
        assert probe.loss(after) == pytest.approx(receipt["loss_after"], abs=1e-4)
