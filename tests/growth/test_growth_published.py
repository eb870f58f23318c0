"""Patterns that papers report of their operators, on a small source that was trained first."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagejax import Evaluation, Stage, running
from stagejax.data import Bytes, MaskedText, Stdlib
from stagejax.growth import AKI, FPI
from stagejax.models import bert
from stagejax.objectives import masked_lm
from stagejax.optimizer import adamw

pytestmark = pytest.mark.slow  # trains its source
SOURCE = bert(vocab=260, embed=16, layers=2, heads=2, mlp=32, length=32, types=2, scan=True)
DATA = MaskedText(source=Stdlib(limit=200_000), tokenizer=Bytes(), batch=16, length=32)


def times(factor: float) -> Any:
    """The source at this many times its width, heads of the same size."""
    return replace(SOURCE, **{name: int(getattr(SOURCE, name) * factor) for name in ("embed", "heads", "mlp")})


GROWTHS = {
    "fpi x2": (FPI(), times(2)),
    "fpi x1.5": (FPI(), times(1.5)),
    "aki x2": (AKI(), times(2)),
}


@pytest.fixture(scope="module")
def receipts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("published")
    with running(folder, "published", mesh="data=1") as run:
        source = run.train(
            Stage("source", SOURCE, masked_lm, adamw(1e-2), DATA, 150, evaluate=Evaluation(DATA.held_out(4), 4))
        )
        assert source.history.last("loss") < 4.5  # learnt something: 5.6 is guessing
        return {
            name: run.grow(name.replace(" ", "-"), source, to=to, operator=operator).receipt
            for name, (operator, to) in GROWTHS.items()
        }


def change(receipt: Any) -> float:
    """Of the loss, relative."""
    return (receipt["loss_after"] - receipt["loss_before"]) / receipt["loss_before"]


def test_bert2bert_keeps_the_loss_at_whole_multiples_and_nearly_so_between(receipts: dict[str, Any]) -> None:
    """Table of the paper: 1.89 -> 1.89 for 384 -> 768, 1.67 -> 1.70 for 512 -> 768; AKI gives more up."""
    assert abs(change(receipts["fpi x2"])) < 1e-5
    assert 1e-4 < change(receipts["fpi x1.5"]) < 0.2
    assert change(receipts["aki x2"]) > 1e-4


def test_receipts_count_the_units_that_cannot_learn_apart(receipts: dict[str, Any]) -> None:
    for axis, symmetry in receipts["fpi x2"]["symmetry"].items():
        assert symmetry["same"] == symmetry["new"] > 0, axis
    mixed = receipts["aki x2"]["symmetry"]
    assert mixed["mlp"]["same"] < mixed["mlp"]["new"] == SOURCE.mlp
