"""MeCo: one schedule over both stages, no loss on hosts, disjoint slices, equal tokens, tests without hosts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.curriculum.meco import (
    ARMS,
    BEHIND,
    CARRY,
    EXPERIMENT,
    HASHES,
    HOSTS,
    LONGER,
    MAIN,
    MEANS,
    MECO,
    NO_COOLDOWN,
    OTHERS,
    OWN,
    SOURCE,
    STANDARD,
    TASK,
    Task,
    documents,
    examined,
    paper,
    preset,
    recipe,
    slug,
    text_tokens,
)
from stagejax import Plan, running
from stagejax.data import CLS, Bytes, Source
from stagejax.data.language.metadata import host
from stagejax.inference import Frozen
from stagejax.inference.choosing import ending_losses

pytestmark = pytest.mark.slow
SMOKE = replace(preset("smoke"), arms=(*MAIN, "mixed", "hashes", "loss on hosts"))
finished = smoke_run(EXPERIMENT, SMOKE)


def both(results: dict[str, Any], label: str) -> list[Any]:
    return [results[f"{slug(label)}/0/{stage}"] for stage in ("first", "last")]


def first_documents(data: Any, count: int = 40) -> list[str]:
    """What stands before the text of the first rows' first documents, as far as it is no target."""
    batch = data.take(np.arange(count))
    counts = (batch["weights"] > 0).argmax(1)
    return [Bytes().decode(tokens[: count + 1]) for tokens, count in zip(batch["tokens"], counts, strict=True)]


@pytest.mark.parametrize("label", [STANDARD, MECO, NO_COOLDOWN, LONGER, "hashes", "loss on hosts"])
def test_the_cooldown_goes_on_with_moments_schedule_and_counter(finished: Any, label: str) -> None:
    results, _, _ = finished
    first, last = both(results, label)
    steps = round(SMOKE.steps * ARMS[label].steps)
    assert [int(result.state().step) for result in (first, last)] == [steps * 9 // 10, steps]
    assert {result.stage.optimizer.horizon for result in (first, last)} == {steps}
    actions = {row[0]: row[3] for row in last.handover}
    carried = {"params", "moments mu", "moments nu", "moments count", "schedule", "step"}
    assert {part for part, action in actions.items() if action == "carry"} == carried
    assert actions["data"] == "reset"


def test_the_learning_rate_is_one_curve_over_both_stages() -> None:
    """A fake would begin it anew at the cooldown."""
    plan = Plan.on("data=1", price=False)
    EXPERIMENT.pipeline(plan, replace(preset("laptop"), arms=(STANDARD, MECO), seeds=(0,)))
    steps, peak = preset("laptop").steps, preset("laptop").peak
    first, last = (r.stage for r in plan.results if r.kind == "train" and r.name.startswith("meco"))
    whole = replace(first.optimizer, horizon=None).learning_rate(steps)
    own = [stage.optimizer.learning_rate(stage.steps) for stage in (first, last)]
    rates = [float(own[step >= first.steps](step)) for step in range(steps)]
    np.testing.assert_allclose(rates, [float(whole(step)) for step in range(steps)])
    assert max(rates) == pytest.approx(peak)
    at = round(0.05 * steps)
    cosine = 0.1 * peak + 0.9 * peak * (1 + np.cos(np.pi * (np.arange(at, steps) - at) / (steps - at))) / 2
    np.testing.assert_allclose(rates[at:], cosine, rtol=1e-5)


def test_both_stages_are_one_run_when_their_data_is(tmp_path: Path) -> None:
    """Two segments of the same data end where one stage of all steps ends: nothing but the data is swapped."""
    cfg = replace(SMOKE, steps=6, tested=1)
    data = documents(cfg, cfg.source, HOSTS, 0)
    with running(tmp_path, EXPERIMENT.name, mesh="data=1") as run:
        whole = run.train(recipe(cfg, "whole", data, 6, 6, 0))
        first = run.train(recipe(cfg, "first", data, 4, 6, 0))
        rest = replace(recipe(cfg, "rest", data, 2, 6, 0), handover=replace(CARRY, data="carry"))
        jax.tree.map(np.testing.assert_array_equal, flat(run.train(rest, first)), flat(whole))


def test_hosts_are_read_before_documents_and_never_learned(finished: Any) -> None:
    results, _, _ = finished
    hosts = {host(SMOKE.source[i]["url"]) for i in range(len(SMOKE.source))}
    first, last = both(results, MECO)
    told = first_documents(first.stage.data)
    assert set(told) <= {f"URL: {name}\n\n" for name in hosts}
    assert set(first_documents(last.stage.data)) == {""}
    assert all(
        told[5:-2] not in hosts and len(told[5:-2]) == 8
        for told in first_documents(both(results, "hashes")[0].stage.data)
    )
    assert set(first_documents(both(results, NO_COOLDOWN)[1].stage.data)) <= {f"URL: {name}\n\n" for name in hosts}
    learned = both(results, "loss on hosts")[0].stage.data
    assert set(first_documents(learned)) == {""}
    np.testing.assert_array_equal(learned.take(np.arange(8))["tokens"], first.stage.data.take(np.arange(8))["tokens"])


def test_stages_read_disjoint_slices_and_arms_the_same_documents(finished: Any) -> None:
    results, _, _ = finished
    slices = [both(results, label) for label in (STANDARD, MECO, NO_COOLDOWN, LONGER)]
    assert len({own[0].stage.data.source for own in slices}) == 1
    assert len({own[1].stage.data.source for own in slices}) == 1
    early, late = (result.stage.data.source for result in slices[1])
    assert len(early) + len(late) == len(SMOKE.source)
    assert len(late) == pytest.approx(0.1 * len(SMOKE.source), abs=1)
    places = [early._range(), late._range()]
    assert places[0].stop == places[1].start
    assert early.seed == late.seed


def test_no_cooldown_shares_the_first_stage_of_meco_and_pays_for_it(finished: Any) -> None:
    results, report, _ = finished
    (meco, _), (shared, _) = both(results, MECO), both(results, NO_COOLDOWN)
    assert meco.fingerprint == shared.fingerprint
    cost = {arm.name: arm.cost for arm in report.arms}
    assert cost[NO_COOLDOWN].flops == cost[MECO].flops == cost[STANDARD].flops


def test_arms_have_equal_total_tokens_and_hosts_take_some_of_them(finished: Any) -> None:
    results, report, _ = finished
    cost = {arm.name: arm.cost for arm in report.arms}
    equal = set(cost) - {LONGER}
    assert {cost[name].tokens for name in equal} == {SMOKE.steps * SMOKE.batch * SMOKE.length}
    assert cost[LONGER].tokens == 1.5 * cost[STANDARD].tokens
    text = {label: sum(text_tokens(result) for result in both(results, label)) for label in (STANDARD, MECO)}
    assert 0.5 * text[STANDARD] < text[MECO] < 0.95 * text[STANDARD]
    assert f"{text[MECO] / text[STANDARD]:.1%}" in report.notes[-1]


def test_mixed_has_both_kinds_of_rows_from_its_first_batch(finished: Any) -> None:
    results, _, _ = finished
    data = results["mixed/0"].stage.data
    told = [words != "" for words in first_documents(data, 200)]
    assert sum(told) == pytest.approx(180, abs=2)
    assert int(results["mixed/0"].state().step) == SMOKE.steps


def test_all_arms_are_tested_without_hosts_on_the_same_held_out_text(finished: Any) -> None:
    """A fake would give MeCo its hosts, and the baseline none."""
    results, _, _ = finished
    trained = [result for result in results.values() if result.kind == "train"]
    assert len({result.stage.evaluate for result in trained}) == 1
    data = trained[0].stage.evaluate.data
    assert data.metadata is None
    assert data.source.split == "test"
    assert set(first_documents(data, 8)) == {""}


@pytest.mark.parametrize("label", [STANDARD, MECO, "hashes"])
def test_losses_of_the_exam_match_one_text_after_the_other(finished: Any, label: str) -> None:
    results, _, _ = finished
    asked, net = paper(SMOKE.exam, SMOKE.source, SMOKE.tokenizer), Frozen.of(both(results, label)[1])
    items, metadata = asked.endings, ARMS[label].first or HOSTS
    for behind, places in zip(BEHIND, (None, items.owners, items.strangers), strict=True):
        words = (
            ["" if places is None else metadata.words(asked.sources[place]) for place in places or items.owners]
            if places is None
            else [metadata.words(asked.sources[place]) for place in places]
        )
        starts = [np.array([CLS, *Bytes().encode([own])[0]], np.int32) for own in words]
        length = SMOKE.exam.words + SMOKE.exam.context + SMOKE.exam.ending
        losses = ending_losses(net, starts, list(items.texts), length=length)
        known = asked.share[items.owners] > 0
        value = results[f"{slug(label)}/0/exam"].value
        assert value[f"loss, {behind}"] == pytest.approx(float(losses[known].mean()), rel=1e-5)
    assert metadata == (HASHES if label == "hashes" else HOSTS)


def test_the_exam_asks_of_held_out_texts_of_sources_that_are_known_or_said_not_to_be() -> None:
    asked = paper(SMOKE.exam, SMOKE.source, SMOKE.tokenizer)
    held, size = SMOKE.source.of_split("test"), SMOKE.exam.context + SMOKE.exam.ending
    texts = {held[i]["text"].encode()[:size]: host(held[i]["url"]) for i in range(len(held))}
    for owner, stranger, text in zip(asked.endings.owners, asked.endings.strangers, asked.endings.texts, strict=True):
        assert Bytes().decode(text).encode() in texts
        assert stranger != owner
        assert asked.share[stranger] > 0
    trained = {host(SMOKE.source[i]["url"]) for i in range(len(SMOKE.source))}
    assert [share > 0 for share in asked.share] == [name in trained for name in asked.sources]
    texts, _, parts = asked.probes[SOURCE]
    assert set(parts) == {"train", "valid", "test"}


@dataclass(frozen=True)
class Letters(Source):
    """Texts of one letter or the other."""

    split: str = "train"

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"text": "ab"[index % 2] * (5 + index % 3), "kind": index % 2}

    def digest(self) -> str:
        return "letters"


def test_a_task_is_probed_on_its_own_test_split(finished: Any) -> None:
    results, _, _ = finished
    exam = replace(SMOKE.exam, task=Task(Letters(), "kind", 24))
    _, labels, parts = paper(exam, SMOKE.source, SMOKE.tokenizer).probes[TASK]
    assert [parts.count(part) for part in ("train", "valid", "test")] == [18, 6, 40]
    assert labels[:4] == (0, 1, 0, 1)
    found = examined(exam, SMOKE.source, SMOKE.tokenizer, HOSTS, *both(results, MECO))
    assert found[TASK] > 0.9
    assert found[OTHERS] == results[f"{slug(MECO)}/0/exam"].value[OTHERS]


def test_the_mean_is_of_all_measures_and_one_leaves_the_sources_out() -> None:
    """What hosts name in training must not be all that is tested."""
    assert MEANS == {"mean": (OTHERS, OWN, SOURCE, TASK), "mean but for sources": (OTHERS, OWN, TASK)}


def test_the_report_has_every_arm_and_judges_each_claim(finished: Any) -> None:
    _, report, _ = finished
    for table in report.tables:
        assert [row[0] for row in table.rows] == list(SMOKE.arms)
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}
    assert len(report.claims) == 5


@pytest.mark.parametrize("name", ["smoke", "laptop", "full"])
def test_a_plan_tests_no_claim(name: str) -> None:
    plan = Plan.on("data=1", price=False)
    report = EXPERIMENT.pipeline(plan, preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_the_pod_is_the_papers_model_and_budget() -> None:
    plan = Plan.on("data=16,fsdp=16", price=False)
    EXPERIMENT.pipeline(plan, replace(preset("pod"), arms=MAIN))
    first, last = (r for r in plan.results if r.name.startswith("meco/0/") and r.kind == "train")
    assert 1.6e9 < first.parameters < 1.7e9
    assert (first.stage.steps, last.stage.steps) == (36_000, 4000)
    assert first.stage.data.tokens == 512 * 8192
    assert first.stage.optimizer.schedule(36_000).steps == 40_000
