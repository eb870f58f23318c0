"""One epoch: what arms read and how often, who chooses by what, the baseline's best, and what is counted as faster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum.one_epoch import (
    ARMS,
    EXPERIMENT,
    OFTEN,
    ONCE,
    ONCE_DROPOUT,
    TENFOLD,
    Recipe,
    preset,
    slug,
    text,
    training,
    validation,
)
from stagejax import Plan
from stagejax.data import BPE, Bytes
from stagejax.data.tokenizers import codec

pytestmark = pytest.mark.slow  # a smoke run of a quarter of a minute
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
SAMPLES = SMOKE.steps * SMOKE.batch


def losses(result: Any) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in result.history.evals}


def table(report: Any, title: str) -> Any:
    return next(own for own in report.tables if own.title == title)


def test_all_arms_take_the_same_iterations_tokens_and_flops(finished: Any) -> None:
    results, _, _ = finished
    own = [results[f"{slug(label)}/{seed}"] for label in ARMS for seed in SMOKE.seeds_of(label)]
    assert {(r.steps, r.cost.tokens, r.cost.flops) for r in own} == {(80, SAMPLES * 16, own[0].cost.flops)}
    for r in own:  # the same shape of the schedule: up over a tenth, and down to zero at I
        rate = r.stage.optimizer.learning_rate(r.steps)
        assert float(rate(7)) == pytest.approx(r.stage.optimizer.peak)
        assert float(rate(r.steps)) == 0.0


def test_one_epoch_reads_every_window_once_and_arms_are_nested(finished: Any) -> None:
    results, report, _ = finished
    read = {label: results[f"{slug(label)}/0"].stage.data for label in ARMS}
    once = read[ONCE].take(np.arange(SAMPLES))["tokens"]
    assert len(set(read[ONCE].places(np.arange(SAMPLES)).tolist())) == SAMPLES
    for label, recipe in ARMS.items():
        rows = SAMPLES // recipe.epochs
        tokens = read[label].take(np.arange(SAMPLES))["tokens"]
        np.testing.assert_array_equal(tokens[:rows], once[:rows])
        assert np.bincount(read[label].places(np.arange(SAMPLES))).tolist() == [recipe.epochs] * rows
    counted = {row[0]: row[1:4] for row in table(report, "What was read").rows}
    assert counted["E = 10"] == (SAMPLES, SAMPLES // 10, 10)
    assert counted[ONCE] == (SAMPLES, SAMPLES, 1)
    orders = [results[f"e-1/{seed}"].stage.data.take(np.arange(8))["tokens"] for seed in (0, 1)]
    assert not np.array_equal(*orders)


def test_arms_are_alike_until_one_of_them_begins_again(finished: Any) -> None:
    results, _, _ = finished
    ten, forty = (results[name].history.train["loss"] for name in ("e-10/0", "e-40/0"))
    assert ten[:2] == forty[:2]
    assert ten[3] != forty[3]  # of two batches; the first that is read again is the third
    assert np.mean(forty[-8:]) < np.mean(ten[-8:])


def test_regularisation_is_what_it_is_called(finished: Any) -> None:
    results, _, _ = finished
    for label, recipe in ARMS.items():
        stage = results[f"{slug(label)}/0"].stage
        assert (stage.model.dropout, stage.optimizer.weight_decay) == (recipe.dropout, recipe.decay)
    assert {ARMS[label] for label in TENFOLD} == {
        Recipe(10), Recipe(10, 0.1), Recipe(10, 0.3), Recipe(10, 0.0, 1.0),
    }  # fmt: skip
    plain, decayed = (np.concatenate([x.ravel() for x in flat(results[f"{n}/0"]).values()])
                      for n in ("e-10", "e-10-weight-decay"))  # fmt: skip
    assert np.abs(decayed).mean() < 0.9 * np.abs(plain).mean()
    ends = [results[f"{slug(label)}/0"].history.train["loss"][0] for label in (ONCE, ONCE_DROPOUT)]
    assert ends[0] != ends[1]  # dropout is drawn in training


def test_no_held_out_document_is_trained_on_nor_chosen_by_and_scored() -> None:
    names = {
        kind: {source[i]["name"] for i in range(len(source))}
        for kind, source in (
            ("train", SMOKE.source), ("held", SMOKE.source.of_split("test")), ("choice", SMOKE.choice.of_split("test")),
        )
    }  # fmt: skip
    assert all(names.values())
    assert not names["train"] & (names["held"] | names["choice"])
    assert not names["held"] & names["choice"]
    tokenizers = [codec(BPE(300), source) for source in (SMOKE.source, SMOKE.choice, SMOKE.source.of_split("test"))]
    assert len({own.digest() for own in tokenizers}) == 1  # learned from training documents alone


def test_rates_are_chosen_on_other_documents_and_charged(finished: Any) -> None:
    results, report, _ = finished
    pilots = {name: r for name, r in results.items() if name.startswith("pilots/")}
    assert len(pilots) == 2 * (2 + len(SMOKE.nets))
    assert {r.stage.evaluate.data.source for r in pilots.values()} == {SMOKE.choice.of_split("test")}
    assert {r.stage.seed for r in pilots.values()} == {1000}
    for label in (ONCE, OFTEN):
        tried = {peak: min(losses(results[f"pilots/{slug(label)}/{peak:g}"]).values()) for peak in SMOKE.rates}
        best = min(tried, key=tried.get)
        arms = [own for own in ARMS if (ARMS[own].epochs == 1) == (label == ONCE)]
        assert {results[f"{slug(own)}/0"].stage.optimizer.peak for own in arms} == {best}
    for arm in report.arms:
        assert len(arm.charged) == len(SMOKE.rates)
        assert arm.charged_cost.flops > 0


def test_the_speed_up_is_against_the_best_regularised_and_earliest_best(finished: Any) -> None:
    results, report, _ = finished
    rows = {row[0]: row for row in table(report, "Speed-up of one epoch").rows}
    for seed in SMOKE.seeds:
        best = min((loss, k) for label in TENFOLD for k, loss in losses(results[f"{slug(label)}/{seed}"]).items())
        once = losses(results[f"e-1/{seed}"])
        first = next(k for k, loss in once.items() if loss <= best[0])
        assert rows[seed][2:4] == best
        assert first - 5 < rows[seed][4] <= first  # interpolated within one interval of evaluations
        assert rows[seed][7] == pytest.approx(best[1] / rows[seed][4])
        assert rows[seed][5] / rows[seed][6] == pytest.approx(rows[seed][7])  # FLOPs say the same


def test_ends_are_scored_without_dropout_on_more_of_the_same_documents(finished: Any) -> None:
    results, report, _ = finished
    net = results["e-1-dropout-0.1/0"].module()
    data = validation(SMOKE, SMOKE.last)
    batch = data.take(np.arange(SMOKE.last * SMOKE.batch))
    logits = np.asarray(net(jnp.asarray(batch["tokens"])), np.float64)
    nats = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, batch["targets"][..., None], -1)[..., 0]
    assert results["e-1-dropout-0.1/0/end"].value == pytest.approx(nats.mean(), rel=1e-5)
    gaps = [results[f"e-1/{s}/end"].value - np.mean(results[f"e-1/{s}"].history.train["loss"][72:]) for s in (0, 1)]
    assert report.claims[2].measured == pytest.approx(np.mean(gaps))


def test_sizes_have_equal_flops_and_one_epoch(finished: Any) -> None:
    results, report, _ = finished
    main = results["e-1/0"].cost.flops
    rows = table(report, "Sizes at equal FLOPs").rows
    for row in rows:
        own = results[f"{slug(row[0])}/0"]
        assert own.cost.flops == pytest.approx(0.5 * main, rel=0.04)  # whole steps
        assert own.stage.data.rows == own.steps * SMOKE.batch
        assert row[4] == pytest.approx(own.cost.tokens / own.parameters)
    assert rows[0][4] > 5 * rows[-1][4]  # tokens to parameters


def test_report_judges_each_claim(finished: Any) -> None:
    _, report, folder = finished
    assert len(report.claims) == 5
    assert "not tested" not in {claim.verdict for claim in report.claims}
    assert (folder / "report.html").exists()


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    cfg = replace(preset(name), seeds=(0,))
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), cfg)
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_so_many_steps_need_so_much_text() -> None:
    stage = training(SMOKE, "long", SMOKE.net, Recipe(), 10_000)
    with pytest.raises(ValueError, match="would read some samples twice"):
        stage.data.batches()
    assert text(SMOKE, 0).tokenizer == Bytes()
