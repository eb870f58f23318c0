"""PCP at smoke size: where stages begin, what they read, what decides a class, equal steps, costs charged."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.objective.pcp import (
    ARMS,
    CLAIMED,
    CLS,
    CONTINUED,
    EXPERIMENT,
    PCP,
    PCP_SOFT,
    PROMPT,
    RANDOM,
    SELF,
    SOFT,
    TAPT,
    preset,
)
from stagejax import Plan
from stagejax.data.tasks.labelled_text import Relabelled
from stagejax.data.tasks.templates import MaskedPrompts
from stagejax.names import slug
from stagejax.objectives.text.prompting import prompt_classification

SMOKE = preset("smoke")
TASK = SMOKE.tasks[0]
finished = smoke_run(EXPERIMENT, SMOKE)


def named(results: dict[str, Any], label: str, ending: str, seed: int = 0) -> Any:
    return results[f"{TASK.name}/{seed}/{slug(label)}/{ending}"]


@pytest.mark.slow
def test_stage_three_begins_at_stage_zero_and_not_at_the_labeller(finished: Any) -> None:
    results, _, _ = finished
    encoder = results["encoder"]
    for label in CONTINUED:
        masked, tuned = named(results, label, "masked"), named(results, label, "tuned")
        assert masked.generation == encoder.generation + 1, label  # the labeller is one stage further
        assert tuned.generation == encoder.generation + 2, label
        assert {row[3] for row in masked.handover if row[0] == "params"} == {"carry"}
    assert named(results, PROMPT, "tuned").generation == encoder.generation + 1
    for r in range(SMOKE.rounds):
        assert named(results, SELF, f"{r}/tuned").generation == encoder.generation + 1


@pytest.mark.slow
def test_all_arms_have_equal_steps_and_one_recipe(finished: Any) -> None:
    results, _, _ = finished
    masked = [named(results, label, "masked") for label in CONTINUED]
    assert {(r.steps, r.cost.flops, r.stage.optimizer, r.stage.objective) for r in masked} == {
        (SMOKE.continued[0], masked[0].cost.flops, masked[0].stage.optimizer, masked[0].stage.objective)
    }
    tuned = [named(results, label, "tuned") for label in ARMS if label != SELF]
    assert {(r.steps, r.stage.optimizer) for r in tuned} == {(SMOKE.tuned[0], tuned[0].stage.optimizer)}
    rounds = sum(named(results, SELF, f"{r}/tuned").cost.flops for r in range(SMOKE.rounds))
    step = rounds / sum(named(results, SELF, f"{r}/tuned").steps for r in range(SMOKE.rounds))
    ours = named(results, PCP, "masked").cost.flops + named(results, PCP, "tuned").cost.flops
    assert abs(rounds - ours) <= SMOKE.rounds * step


@pytest.mark.slow
def test_prompts_are_filled_with_what_the_labeller_said_and_no_true_label_is_read(finished: Any) -> None:
    results, _, _ = finished
    said = results[f"{TASK.name}/0/pool/said"].value
    data = named(results, PCP, "masked").stage.data
    assert isinstance(data, MaskedPrompts)
    assert isinstance(data.data, Relabelled)
    batch, rows = data.take(np.arange(60)), data.data.records(np.arange(60))
    at = data.data.data.take_records(rows)["place"]
    words = data.data.data.words
    np.testing.assert_array_equal(batch["targets"][np.arange(60), at], words[said["label"][rows]])
    true = data.data.data.take_records(np.arange(200))["label"]
    assert said["right"][0] == (said["label"] == true).mean() < 1
    assert len(said["label"]) == 200  # no text is left out
    drawn = results[f"{TASK.name}/0/pool/drawn"].value["label"]
    assert abs((drawn == true).mean() - 0.5) < 0.15


@pytest.mark.slow
def test_only_texts_of_the_pool_are_learnt_from(finished: Any) -> None:
    results, _, _ = finished
    pool = {record["s1"] for record in TASK.records("pool")}
    assert {record["s1"] for record in TASK.few(SMOKE.shots, 0)} <= pool
    for label in CONTINUED:
        data = named(results, label, "masked").stage.data
        source = (data.data.data if isinstance(data.data, Relabelled) else data.data).source
        assert source.digest() == TASK.records("pool").digest(), label
        assert source.split == "train"
    for label in (*CONTINUED, PROMPT, CLS):
        assert named(results, label, "tuned").stage.evaluate.data.task.source.split == "test"


@pytest.mark.slow
def test_prompt_based_arms_have_no_head_but_that_of_the_language_model(finished: Any) -> None:
    results, _, _ = finished
    paths = set(flat(results["encoder"]))
    for label in (PROMPT, *CONTINUED):
        tuned = named(results, label, "tuned")
        assert tuned.stage.objective is prompt_classification
        assert set(flat(tuned)) == paths
    before, after = flat(named(results, PCP, "masked")), flat(named(results, PCP, "tuned"))
    assert all(np.abs(after[path] - before[path]).max() > 0 for path in paths if path != "head/bias")
    before, after = flat(named(results, CLS, "head")), flat(named(results, CLS, "tuned"))
    assert all(np.array_equal(after[path], before[path]) for path in before if path.startswith("encoder/head"))
    assert np.abs(after["head/kernel"] - before["head/kernel"]).max() > 0


@pytest.mark.slow
def test_soft_words_begin_as_words_of_their_own_stage_and_are_trained_apart(finished: Any) -> None:
    results, _, _ = finished
    added, words = len(SMOKE.tokenizer.words), [SMOKE.tokenizer.id(word) for word in TASK.template.labels]
    for label, start in ((SOFT, results["encoder"]), (PCP_SOFT, named(results, PCP, "masked"))):
        old, new = flat(start)["tokens/table"], flat(named(results, label, "words"))["tokens/table"]
        np.testing.assert_array_equal(new, np.concatenate([old, old[-added:]]))
        tuned = flat(named(results, label, "tuned"))["tokens/table"]
        assert all(np.abs(tuned[word + added] - tuned[word]).max() > 1e-4 for word in words)


@pytest.mark.slow
def test_labels_differ_with_the_seed_and_what_was_needed_is_charged(finished: Any) -> None:
    results, report, _ = finished
    few = [TASK.few(SMOKE.shots, seed).places.tolist() for seed in SMOKE.seeds]
    assert few[0] != few[1]
    arms = {arm.name: {result.name for result in arm.charged} for arm in report.arms}
    at = f"{TASK.name}/0"
    assert arms[PROMPT] == {"encoder"}
    assert arms[TAPT] == {"encoder", f"{at}/tapt/masked"}
    needed = {"encoder", f"{at}/prompt-ft/tuned", f"{at}/pool/said", f"{at}/pcp/masked"}
    assert arms[PCP] == needed
    assert arms[PCP_SOFT] == needed | {f"{at}/pcp-soft-prompt-ft/words"}
    assert {name for name in arms[SELF] if name.endswith("said")} == {f"{at}/pool/said", f"{at}/self-training/1/said"}
    assert results[f"{at}/pool/said"].cost.flops > 0
    assert {f"{label}, seed 1" for label in (PROMPT, *CLAIMED)} == {name for name in arms if name.endswith("seed 1")}


@pytest.mark.slow
def test_report_judges_each_claim(finished: Any) -> None:
    _, report, folder = finished
    assert [claim.verdict != "not tested" for claim in report.claims] == [True] * 4
    rows = {row[0]: row for row in report.tables[2].cells()}
    assert rows[TAPT][1] == "\N{EN DASH}"
    assert float(rows[RANDOM][1].split()[0]) > 0
    assert "Masked language modelling at the end of stage 3" in (folder / "report.html").read_text()


def test_a_plan_tests_no_claim() -> None:
    laptop = preset("laptop")
    report = EXPERIMENT.pipeline(
        Plan.on("data=2", price=False), replace(laptop, tasks=laptop.tasks[:1], seeds=laptop.seeds[:2])
    )
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_words_of_prompts_are_single_pieces_in_every_preset() -> None:
    for name in EXPERIMENT.presets:
        cfg = preset(name)
        for task in cfg.tasks:
            assert len(task.template.words) == task.text.classes
            for form in (task.template, task.template.without_label(), task.template.bare()):
                assert all(cfg.encoder.vocab <= cfg.tokenizer.id(word) < cfg.model.vocab for word in form.pieces)
