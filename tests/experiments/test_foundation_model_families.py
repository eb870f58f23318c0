"""Foundation models by family: one program for all decoders, equal budgets, and what a run is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.objective.foundation_model_families import (
    CAUSAL,
    CRITERIA,
    EXPERIMENT,
    FRESH,
    FULL,
    MLM,
    PREFIX,
    SPANS,
    pairs,
    preset,
    pretraining,
    rows_of,
    translation,
    tuning,
)
from stagejax.identity import program_key
from stagejax.names import slug

SMOKE, LAPTOP = preset("smoke"), preset("laptop")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_criteria_of_decoders_are_one_model_and_one_objective() -> None:
    stages = [pretraining(LAPTOP, label, 0) for label in (CAUSAL, MLM, PREFIX)]
    for stage in stages[1:]:
        assert (stage.model, stage.objective) == (stages[0].model, stages[0].objective)
        assert stage.data.spec() == stages[0].data.spec()
    text = {stage.data.data.length * stage.data.data.batch for stage in stages}
    spans = pretraining(LAPTOP, SPANS, 0).data
    assert text == {spans.length_of(spans.denoisers[0]) * spans.batch} == {LAPTOP.length * LAPTOP.batch}


def test_tasks_are_read_both_ways_by_all_but_causal_models() -> None:
    for label in (*CRITERIA, *FRESH):
        train, held = rows_of(SMOKE, label, SMOKE.tasks[0], 0)
        assert train.both == held.both == (label not in (CAUSAL, "decoder from scratch"))


def test_other_labelled_rows_for_every_seed_and_the_same_for_every_criterion() -> None:
    def tokens(label: str, seed: int) -> np.ndarray:
        return rows_of(SMOKE, label, SMOKE.tasks[0], seed)[0].rows().tokens

    np.testing.assert_array_equal(tokens(CAUSAL, 0), tokens(SPANS, 0))
    assert (tokens(MLM, 0) != tokens(MLM, 1)).any()
    assert len(tokens(MLM, 0)) == SMOKE.labelled


def test_a_masked_network_translates_as_a_prefix_model_and_a_causal_one_as_a_causal_one() -> None:
    assert SMOKE.captions is not None
    made = {label: pairs(SMOKE, label, SMOKE.captions.train).take(np.arange(3)) for label in CRITERIA}
    np.testing.assert_array_equal(made[MLM]["prefix"], made[PREFIX]["prefix"])
    assert made[MLM]["prefix"].any()
    assert not made[CAUSAL]["prefix"].any()
    assert made[SPANS]["inputs"].shape == (3, 12)


@pytest.mark.slow
def test_one_program_trains_all_decoders_on_text_and_captions_and_one_tunes_them() -> None:
    assert LAPTOP.captions is not None
    decoders = (CAUSAL, MLM, PREFIX)
    text = {program_key(pretraining(LAPTOP, label, 0)) for label in decoders}
    said = {program_key(translation(LAPTOP, label, LAPTOP.captions, 0)) for label in decoders}
    assert len(text) == 1
    assert text == said
    tuned = {program_key(tuning(LAPTOP, k, task, FULL, 0)) for k in decoders for task in LAPTOP.tasks}
    assert len(tuned) == 1


@pytest.mark.slow
def test_equal_flops_of_pre_training_and_losses_that_fall(finished: tuple[dict[str, Any], Any, Path]) -> None:
    results = finished[0]
    costs = {label: results[f"pretrain/0/{slug(label)}"].cost.flops for label in CRITERIA}
    assert max(costs.values()) < 1.1 * min(costs.values())
    same = results["pretrain/0/span-corruption-equal-tokens"]
    assert same.steps == SMOKE.steps < results["pretrain/0/span-corruption"].steps
    for label in CRITERIA:
        losses = results[f"pretrain/0/{slug(label)}"].history.train["loss"]
        assert losses[-1] < losses[0]


@pytest.mark.slow
def test_adaptation_begins_with_what_was_pre_trained_and_lora_keeps_it(
    finished: tuple[dict[str, Any], Any, Path],
) -> None:
    results = finished[0]
    start = flat(results["pretrain/0/mlm"])
    name = next(name for name in results if name.startswith("mlm/who/lora/0"))
    adapted = flat(results[name])
    frozen = {path: leaf for path, leaf in adapted.items() if path.endswith("/frozen")}
    assert frozen
    for path, leaf in frozen.items():
        np.testing.assert_array_equal(leaf, start[path.removesuffix("/frozen")])
    np.testing.assert_array_equal(adapted["net/tokens/table"], start["net/tokens/table"])
    assert any(np.abs(leaf).max() > 0 for path, leaf in adapted.items() if path.endswith("/up"))


@pytest.mark.slow
def test_rates_are_chosen_by_the_loss_of_development_rows_over_two_seeds(
    finished: tuple[dict[str, Any], Any, Path],
) -> None:
    results, report, _ = finished
    table = next(table for table in report.tables if table.title == "Rates")
    (row,) = (row for row in table.rows if row[0] == f"{MLM}, {FULL}, who")
    nets = {name: net for name, net in results.items() if name.startswith("mlm/who/full-fine-tuning/")}
    losses = {}
    for rate in row[1].split(", "):
        both = [nets[f"mlm/who/full-fine-tuning/{seed}/{rate}"].history.last("loss_0") for seed in (0, 1)]
        losses[float(rate)] = np.mean(both)
    assert row[3] == min(losses, key=lambda rate: losses[rate])
    assert len(nets) == 2 * len(losses)
    for seed in (0, 1):  # what was tried is owed by all
        arm = next(arm for arm in report.arms if arm.name == (MLM if seed == 0 else f"{MLM}, seed {seed}"))
        assert {net.name for net in (*arm.results, *arm.charged)} == {*nets, "pretrain/0/mlm"}


@pytest.mark.slow
def test_the_report_has_all_arms_verdicts_and_what_was_said(finished: tuple[dict[str, Any], Any, Path]) -> None:
    results, report, _ = finished
    assert [claim.verdict for claim in report.claims].count("not tested") == 0
    said = results["span-corruption/captions/0/said"].value
    assert len(said["said"]) == len(said["wanted"]) == 16
    assert {"Full fine-tuning", "LoRA", "Pre-training", "Rates"} <= {table.title for table in report.tables}
    cloze = results["causal/who/cloze"].value
    assert 0 <= cloze["accuracy"] <= 1
    assert cloze["largest"] >= 1 / 5
