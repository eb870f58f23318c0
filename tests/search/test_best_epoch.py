"""The best epoch is the one with the lowest held-out loss, and a rate is searched with the first seed alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from stagejax import Handover, Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.search.best_epoch import Epochs, SearchedEpochs, best_epochs, epoch_by_epoch


def epoch(loss: float, diverged: bool = False) -> Any:
    return SimpleNamespace(diverged=diverged, history=SimpleNamespace(last=lambda name: loss))


STAGE = Stage(
    "tuned", gpt(), causal_lm, adamw(0.5), CausalText(source=Stdlib(), tokenizer=Bytes(), batch=2, length=8), 40
)


def test_the_lowest_loss_counts_and_what_diverged_does_not() -> None:
    run = Epochs((epoch(3.0), epoch(2.0), epoch(2.5), epoch(2.0)), 1e-3)
    assert run.best is run.results[1]
    assert Epochs((epoch(3.0), epoch(1.0, True)), 1e-3).losses == [3.0, float("inf")]
    assert Epochs((epoch(float("nan")),), 1e-3).losses == [0.0]  # in a plan


def test_epochs_follow_each_other_and_end_where_one_diverges() -> None:
    seen, carry = [], Handover(moments="carry", schedule="carry", data="carry")

    def train(stage: Stage, start: Any, may_diverge: bool) -> Any:
        seen.append((stage.name, stage.handover, start))
        return epoch(1.0, diverged=len(seen) == 3)

    found = epoch_by_epoch(SimpleNamespace(train=train), STAGE, 5, carry, "base")
    assert [name for name, _, _ in seen] == ["tuned/0", "tuned/1", "tuned/2"]
    assert [handed for _, handed, _ in seen] == [Handover(), carry, carry]
    assert seen[0][2] == "base"
    assert seen[1][2] is found.results[0]
    assert found.peak == 0.5


def test_a_rate_is_searched_with_the_first_seed_and_the_search_is_owed() -> None:
    asked = []

    def train(peak: float, seed: int) -> Epochs:
        asked.append((peak, seed))
        return Epochs((epoch(5.0), epoch(peak)), peak)

    found = best_epochs(train, (3.0, 2.0, 4.0), (7, 8))
    assert asked == [(3.0, 7), (2.0, 7), (4.0, 7), (2.0, 8)]
    assert found.runs[7] is found.tried[1]
    assert [len(found.owed(seed)) for seed in (7, 8)] == [4, 6]
    again = best_epochs(train, (), (7, 9), found.tried)
    assert isinstance(again, SearchedEpochs)
    assert asked[-1] == (2.0, 9)
