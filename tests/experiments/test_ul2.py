"""UL2: what each arm reads, equal tokens, probes of every family under every first token, a model that goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from smoke import flat, smoke_run

from experiments.objective.ul2 import (
    ARMS,
    CLM,
    EXPERIMENT,
    FULL,
    MAIN,
    NO_S,
    NO_TOKENS,
    NO_X,
    NONE,
    PLM,
    SC,
    Probes,
    denoising,
    firsts_of,
    logits_of,
    preset,
    pretraining,
    probing,
    slug,
    tuning,
)
from stagejax import Plan
from stagejax.data import CLS, SEP, Bytes
from stagejax.data.language.denoising import MODES, UL2, Denoising
from stagejax.inference.tasks.speaking import likeliest
from stagejax.objectives.loss import cross_entropy

pytestmark = pytest.mark.slow
SMOKE = preset("smoke")
BOTH, ALONE, TOGETHER = SMOKE.studies
finished = smoke_run(EXPERIMENT, SMOKE)


def rows_of(label: str, count: int = 300) -> tuple[Denoising, dict[str, np.ndarray]]:
    data = denoising(SMOKE, BOTH, label, 0)
    return data, data.take(np.arange(count))


@pytest.mark.parametrize("label", ARMS)
def test_the_first_token_names_the_family_in_arms_with_modes_and_is_one_in_the_others(label: str) -> None:
    data, batch = rows_of(label)
    families = [data.denoisers[which].mode for which in batch["denoiser"]]
    expected = [data.first(family) if ARMS[label][1] else CLS for family in families]
    assert batch["inputs"][:, 0].tolist() == expected
    assert set(families) == {SC: {"R"}, PLM: {"S"}, NO_X: {"R", "S"}, NO_S: {"R", "X"}}.get(
        label, {"S"} if label == "causal LM" else set(MODES)
    )
    assert (batch["inputs"][:, 1:] < data.first("R")).all()  # no mode is anywhere else
    assert (batch["targets"] < data.first("R")).all()


def test_seven_denoisers_each_as_often_and_shares_of_text_as_declared() -> None:
    data, batch = rows_of(FULL, 1400)
    counts = np.bincount(batch["denoiser"], minlength=7)
    assert abs(counts - 200).max() < 50
    for which, denoiser in enumerate(UL2):
        corrupted, spans = denoiser.spans(SMOKE.length)
        assert corrupted == round(denoiser.rate * SMOKE.length)
        for targets, weights in zip(
            batch["targets"][batch["denoiser"] == which][:20],
            batch["weights"][batch["denoiser"] == which][:20],
            strict=True,
        ):
            said = targets[weights > 0]
            sentinels = int((said >= data.tokenizer.vocab).sum())
            assert said[-1] == SEP
            assert sentinels == (0 if denoiser.mode == "S" else spans)
            assert len(said) - sentinels - 1 == corrupted


def test_a_sequential_row_asks_for_the_end_of_the_text() -> None:
    data, batch = rows_of(FULL)
    at = int(np.flatnonzero(batch["denoiser"] == 2)[0])
    kept, asked = int(batch["mask"][at].sum()) - 1, int(batch["weights"][at].sum()) - 1
    assert (kept, asked) == (24, 8)
    text = [*batch["inputs"][at, 1 : 1 + kept].tolist(), *batch["targets"][at, :asked].tolist()]
    ids = data._corpus().ids
    rows = ids[: len(ids) // 32 * 32].reshape(-1, 32)
    assert (rows == np.array(text)).all(-1).any()  # a whole row of the text, cut in two


def test_rows_are_the_same_wherever_a_run_begins() -> None:
    stage = pretraining(SMOKE, BOTH, FULL, "any", 3)
    with stage.data.batches() as whole, stage.data.batches({"step": 5}) as later:
        batches = [next(whole) for _ in range(7)]
        for batch in batches[5:]:
            again = next(later)
            for name, leaf in batch.items():
                np.testing.assert_array_equal(again[name], leaf)


def test_a_decoder_reads_the_same_rows_with_a_prefix_and_targets_alone_weigh() -> None:
    both, one = (pretraining(SMOKE, study, FULL, "any", 0).data for study in (BOTH, ALONE))
    encoder, decoder = both.take(np.arange(16)), one.take(np.arange(16))
    np.testing.assert_array_equal(encoder["mask"].sum(1), decoder["prefix"].sum(1))
    np.testing.assert_array_equal(encoder["weights"].sum(1), decoder["weights"].sum(1))
    assert not (decoder["weights"] * decoder["prefix"]).any()
    assert both.tokens == one.tokens


@pytest.mark.parametrize("label", ARMS)
def test_a_causal_model_is_causal_in_training_tests_and_tasks_and_no_other_decoder_is(label: str) -> None:
    """Bidirectional inputs would be strange to a causal LM, which has never seen any."""
    start = pretraining(SMOKE, ALONE, label, "any", 0)
    tuned = tuning(SMOKE, ALONE, label, "any", SMOKE.tasks[0], 0)
    for data in (start.data, start.evaluate.data, tuned.data, tuned.evaluate.data):
        batch = data.take(np.arange(8))
        assert (batch["prefix"].sum(1) == (0 if label == CLM else (batch["weights"] > 0).argmax(1))).all()


def test_all_arms_process_equal_tokens_by_one_recipe(finished: Any) -> None:
    results, _, _ = finished
    for study in SMOKE.studies:
        own = {label: results[f"{slug(study.name)}/{slug(label)}/0"] for label in study.arms}
        for label, result in own.items():
            data = result.stage.data
            batch = data.take(np.arange(result.steps * data.batch))
            inputs = batch["mask"] if "mask" in batch else batch["prefix"]
            near = pytest.approx(study.budget, rel=0.1 if study.packed else 0.05)
            assert inputs.sum() + batch["weights"].sum() == near, label
            assert result.cost.tokens == pytest.approx(study.budget, rel=0.1 if study.packed else 0.02), (
                label,
                study.name,
            )
        assert len({(r.stage.optimizer, r.stage.model, r.stage.seed) for r in own.values()}) == 1
        starts = {r.digest for r in own.values()}
        assert len(starts) == len(own)


def test_every_arm_is_tested_on_the_same_rows_of_every_family() -> None:
    tests = {label: probing(SMOKE, BOTH, label).take(np.arange(60)) for label in ARMS}
    reference = tests[FULL]
    families = np.array([MODES.index(d.mode) for d in UL2])[reference["denoiser"]]
    assert np.bincount(families, minlength=3).min() >= 10
    for label, batch in tests.items():
        np.testing.assert_array_equal(batch["inputs"][:, 1:], reference["inputs"][:, 1:])
        np.testing.assert_array_equal(batch["targets"], reference["targets"])
        same = np.array_equal(batch["inputs"][:, 0], reference["inputs"][:, 0])
        assert same == ARMS[label][1]  # but for the first token, which is the arm's own


@pytest.mark.parametrize("study", [BOTH, ALONE], ids=lambda study: study.name)
def test_probes_match_one_loss_after_the_other(study: Any) -> None:
    data = denoising(SMOKE, study, FULL, 0)
    model = replace(study.net, vocab=data.vocab).build(nnx.Rngs(0))
    batch = {name: jnp.asarray(leaf) for name, leaf in probing(SMOKE, study, FULL).take(np.arange(12)).items()}
    place = "inputs" if "inputs" in batch else "tokens"
    firsts = dict(firsts_of(data))

    @jax.jit
    def losses(batch: Any) -> Any:
        return cross_entropy(logits_of(model, batch), batch["targets"])[0] * batch["weights"]

    _, metrics = jax.jit(lambda batch: Probes(firsts_of(data))(model, batch, None))(batch)
    total, count = metrics["loss"]
    assert float(total) == pytest.approx(float(losses(batch).sum()), rel=1e-5)
    assert float(count) == float(batch["weights"].sum())
    for probe, first in (("S", "R"), ("R", "R"), ("X", NONE)):
        mine = np.array([UL2[which].mode == probe for which in batch["denoiser"]])
        under = losses(batch | {place: batch[place].at[:, 0].set(firsts[first])})
        total, count = metrics[f"{probe}_{first}"]
        assert float(total) == pytest.approx(float(np.asarray(under)[mine].sum()), rel=1e-5)
        assert float(count) == float(np.asarray(batch["weights"])[mine].sum())


def test_tasks_begin_where_pre_training_ended_with_the_arms_own_token(finished: Any) -> None:
    results, _, _ = finished
    for label, first in ((FULL, "S"), (SC, NONE), (NO_TOKENS, NONE)):
        start, tuned = (results[f"encoder-decoder/{slug(label)}/0{part}"] for part in ("", "/docstring"))
        assert tuned.stage.data.first == dict(firsts_of(start.stage.data))[first]
        before, after = flat(start), flat(tuned)
        moved = [np.abs(after[path] - leaf).max() for path, leaf in before.items()]
        assert 0 < max(moved) < 2
        assert tuned.stage.evaluate.data.source.split == "test"


def test_the_report_has_every_arm_on_every_measure(finished: Any) -> None:
    results, report, _ = finished
    rows = [f"{study.name}: {label}" for study in SMOKE.studies for label in study.arms]
    assert [row[0] for row in report.tables[0].rows] == rows
    assert not any("–" in str(cell) for row in report.tables[0].rows for cell in row)  # noqa: RUF001
    last = results["encoder-decoder/ul2/0"].history.evals[-1]
    assert {f"{probe}_{first}" for probe in MODES for first in (*MODES, NONE)} <= set(last)
    assert "not tested" not in {claim.verdict for claim in report.claims}
    assert set(MAIN) <= set(BOTH.arms)
    history = results["encoder-decoder/ul2/0"].history.train["loss"]
    assert np.mean(history[-5:]) < np.mean(history[:5]) - 0.3


def test_docstrings_are_said_by_the_cache_as_the_model_would_without(finished: Any) -> None:
    """Greedy answers of both networks are the likeliest tokens of the model that reads them back."""
    results, report, _ = finished
    for study in (BOTH, ALONE):
        at = f"{slug(study.name)}/ul2/0/docstring"
        tuned, said = results[at], results[f"{at}/said"].value
        assert len(said["said"]) == len(said["wanted"]) == 4
        assert 0 <= said["rougeL"] <= said["rouge1"] <= 1
        assert results[f"{at}/said"].cost.sampled_tokens == said["tokens"] > 0
        with tuned.stage.evaluate.data.batches() as batches:
            batch = next(batches)
        state, width = tuned.state(), batch["targets"].shape[1]
        graph = nnx.split(nnx.eval_shape(lambda net=tuned.model: net.build(nnx.Rngs(0))), nnx.Param, ...)[0]
        model = nnx.merge(graph, state.params, state.rest)
        tokens, begins, ends = jax.jit(lambda b, m=model: likeliest(m, b, 16, 260))(batch)
        assert [Bytes().decode(np.asarray(t[b:e])) for t, b, e in zip(tokens, begins, ends, strict=True)] == said[
            "said"
        ]
        logits = np.asarray(jax.jit(lambda b, m=model: logits_of(m, b))(batch | {"tokens": tokens[:, :width]}))[
            ..., :260
        ]
        for row, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            stop = min(int(end), width)
            assert tokens[row, begin:stop].tolist() == logits[row, begin - 1 : stop - 1].argmax(-1).tolist()
    rows = {row[0]: row for row in report.tables[0].rows}
    assert set(rows) >= {"decoder: UL2", "packed: UL2"}


def test_a_packed_arm_reads_several_texts_a_row(finished: Any) -> None:
    results, _, _ = finished
    data = results["packed/ul2/0"].stage.data
    batch = data.take(np.arange(8))
    assert (batch["segments"].max(1) >= 1).all()
    assert batch["segments"].max() > 1
    assert data.data == denoising(SMOKE, TOGETHER, FULL, 0)


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
