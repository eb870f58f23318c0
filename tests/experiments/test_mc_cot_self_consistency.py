"""MC-CoT: logits vote and not losses, tests read what was said and not gold, and every arm has one recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.multimodal.mc_cot_self_consistency import (
    BLIND,
    COT,
    DRAWN,
    EQUAL,
    EXPERIMENT,
    GOLD,
    LOSSES,
    NO,
    OURS,
    RDROP,
    REASON,
    RELEASED,
    REPLY,
    preset,
    pretraining,
    texts,
    ways,
)
from stagejax.budget import step_flops
from stagejax.data.multimodal.scene_questions import CONTEXTS, PICTURE, SceneQuestions
from stagejax.data.tokenizers import SEP
from stagejax.names import slug
from stagejax.objectives.text.voting import Separate, Voted, released_vote

SMOKE, LAPTOP, FULL = preset("smoke"), preset("laptop"), preset("full")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # what looks at the smoke run, most of it compilation
ASKED, TOLD = ("asked", REASON), ("told", REPLY)


def stages_of(results: dict[str, Any], label: str, part: str) -> list[Any]:
    """The tries of a stage, one a rate."""
    own = f"0/{slug(label)}/{part}".rstrip("/")
    return [one for name, one in results.items() if (name + "/").startswith(own + "/") and one.kind == "train"]


@pytest.mark.slow
@pytest.mark.parametrize("cfg", [SMOKE, LAPTOP], ids=["smoke", "laptop"])
def test_nothing_is_cut_and_splits_differ(cfg: Any) -> None:
    words, form = cfg.scenes.words(), cfg.form
    assert cfg.net.vocab == words.vocab
    sizes = {"asked": form.asked - 1, "told": form.told - 1, REASON: form.rationale - 1, REPLY: form.answer - 1}
    parts = {part: cfg.questions(part) for part in ("train", "valid", "test")}
    for source in parts.values():
        records = [source[i] for i in range(0, len(source), 2)]
        for name, size in sizes.items():
            assert max(len(ids) for ids in words.encode([record[name] for record in records])) <= size
    told = {part: {source[i]["told"] for i in range(len(source))} for part, source in parts.items()}
    asked_with_text = [i for i in range(len(parts["test"])) if parts["test"][i]["context"] == 1]
    assert not told["train"] & {parts["test"][i]["told"] for i in asked_with_text}
    assert {source.noise for source in parts.values()} == {0.1}  # of which that of the training split alone is used


def test_the_checkpoint_sees_no_picture_and_no_question_of_the_arms() -> None:
    stage = pretraining(LAPTOP)
    assert stage.model.dropout == 0
    assert LAPTOP.net.dropout == 0.1
    for part in stage.data.parts:
        assert PICTURE not in part.source.turns
        assert (part.source.seed, part.source.split) == (LAPTOP.scenes.seed + 1, "train")
    assert {part.source.split for part in stage.evaluate.data.parts} == {"valid"}


def test_arms_differ_in_their_loss_alone() -> None:
    made = ways(FULL)
    assert made[OURS].objective.passes == made[LOSSES].objective.passes == 5
    assert made[COT].objective == made[EQUAL].objective == Voted(1)
    assert isinstance(made[LOSSES].objective, Separate)
    assert made[RELEASED].objective.vote is released_vote
    assert made[EQUAL].like == OURS
    assert list(ways(LAPTOP)) == [COT, OURS, EQUAL, LOSSES]


@slow
def test_every_arm_has_the_same_steps_rate_and_start(finished: Any) -> None:
    results, report, _ = finished
    best = {}
    for kind, own in {REASON: (COT, REASON), REPLY: (COT, REPLY), NO: (NO, "")}.items():
        tried = stages_of(results, *own)
        assert [one.stage.optimizer.peak for one in tried] == list(SMOKE.rates)
        best[kind] = max(tried, key=lambda one: one.history.last("exact")).stage.optimizer.peak
    for arm in report.arms:
        parts = [REASON, REPLY] if arm.name != NO else [NO]
        for own, part in zip(arm.results, parts, strict=True):
            assert own.stage.optimizer.peak == best[part]
            assert own.stage.data.batch == SMOKE.batch
            if arm.name not in (EQUAL, NO):
                assert own.stage.steps == SMOKE.steps[part == REPLY]
        names = [one.name for one in arm.charged]
        assert {"eyes", "base", "seen/train"} <= set(names)
        for tries, owes, has in (
            (f"{slug(COT)}/{REASON}", arm.name != NO, arm.name == COT),
            (f"{slug(COT)}/{REPLY}", arm.name != NO, arm.name == COT),
            (slug(NO), arm.name == NO, arm.name == NO),
        ):  # all tries of a kind's rate, but for the one that is the arm's own
            assert sum(name.startswith(f"0/{tries}/") for name in names) == len(SMOKE.rates) * owes - has


@slow
def test_costs_of_the_arms(finished: Any) -> None:
    results, _, _ = finished
    every = ways(replace(FULL, passes=SMOKE.passes))
    for part in (REASON, REPLY):
        cost = {label: stages_of(results, label, part)[0].cost.flops for label in ways(SMOKE)}
        for label in (RELEASED, RDROP):
            stage = stages_of(results, COT, part)[0].stage
            cost[label] = stage.steps * step_flops(replace(stage, objective=every[label].objective))
        assert cost[OURS] == pytest.approx(cost[LOSSES], rel=0.01)
        assert cost[OURS] == pytest.approx(cost[RELEASED], rel=0.01)
        assert cost[COT] < cost[RDROP] < cost[OURS]
        one = cost[EQUAL] / stages_of(results, EQUAL, part)[0].stage.steps
        assert abs(cost[EQUAL] - cost[OURS]) <= one / 2 + 1
    both = [stages_of(results, COT, part)[0].cost.flops for part in (REASON, REPLY)]
    own = stages_of(results, NO, "")[0]
    assert abs(own.cost.flops - sum(both)) <= own.cost.flops / own.stage.steps
    assert results[f"0/{slug(COT)}/test/said"].cost.sampled_tokens > 0
    assert results[f"0/{slug(COT)}/test/said"].cost.flops > 0


@slow
def test_passes_differ_and_their_mean_has_less_loss(finished: Any) -> None:
    results, _, _ = finished
    for label in (OURS, LOSSES):
        own = stages_of(results, label, REASON)[0].history.train
        assert min(own["spread"]) > 1e-3
        gap = np.array(own["alone"]) - np.array(own["loss"])
        assert (gap > 0).mean() > 0.9 if label == OURS else np.abs(gap).max() < 1e-5
    assert "spread" not in stages_of(results, COT, REASON)[0].history.train


@slow
def test_answers_at_test_read_what_the_first_model_said(finished: Any) -> None:
    results, _, _ = finished
    form, source = SMOKE.form, SMOKE.questions("test")
    rows = results[f"0/{slug(COT)}/test/told"].value
    said = results[f"0/{slug(COT)}/test/said"].value["said"]
    words = SMOKE.scenes.words()
    gold = texts(SMOKE, source, TOLD, 15).take_records(np.arange(len(source)))
    assert (rows["inputs"] != gold["inputs"]).any(1).mean() > 0.9  # rationales of a smoke run are wrong
    np.testing.assert_array_equal(rows["targets"], gold["targets"])
    np.testing.assert_array_equal(rows["tokens"], gold["tokens"])
    for at in range(10):
        prompt = words.encode([source[at]["asked"]])[0].tolist()
        whole = [1, *prompt, *said[at, 0][said[at, 0] > 0].tolist()]
        wanted = [*whole[: form.told - 1], form.ends]  # a rationale that never ended is cut
        assert rows["inputs"][at][rows["mask"][at]].tolist() == wanted
        seen = results["seen/test"].value["image"][at]
        np.testing.assert_array_equal(rows["image"][at], seen)
        assert bool(seen.any()) == (CONTEXTS[source[at]["context"]] == PICTURE)
    drawn = results[f"0/{slug(COT)}/{DRAWN}/told"].value["inputs"]
    assert len(drawn) == SMOKE.drawn[0] * len(source)
    np.testing.assert_array_equal(
        drawn[0, : len(source[0]["asked"].split())], drawn[1, : len(source[0]["asked"].split())]
    )


@slow
def test_rationales_are_the_likeliest_tokens_and_answers_are_judged_whole(finished: Any) -> None:
    results, report, _ = finished
    source, words = SMOKE.questions("test"), SMOKE.scenes.words()
    arm = next(arm for arm in report.arms if arm.name == OURS)
    net, made = arm.results[0].module(), results[f"0/{slug(OURS)}/test/said"].value["said"]
    for at in range(4):
        prompt = jnp.asarray([[1, *words.encode([source[at]["asked"]])[0].tolist()]])
        image, said = jnp.asarray(results["seen/test"].value["image"][at : at + 1]), [1]
        while len(said) <= SMOKE.form.rationale and said[-1] != SEP:
            padded = said + [0] * (1 + SMOKE.form.rationale - len(said))  # one shape: what comes after is not looked at
            said.append(int(net(prompt, jnp.array([padded]), image=image)[0, len(said) - 1].argmax()))
        own = [token for token in said[1:] if token != SEP]
        assert made[at, 0][: len(own)].tolist() == own
    answers = results[f"0/{slug(OURS)}/answers"].value
    for at in range(len(source)):
        told = words.decode(answers["said"][at])
        assert answers["right"][at] == (
            told == source[at]["answer"] and 0 not in answers["said"][at][: len(told.split())]
        )
    table = next(table for table in report.tables if table.title == "Right answers to test questions")
    shown = {row[0]: row[1] for row in table.rows}
    assert shown[OURS] == f"{100 * answers['right'].mean():.1f}"
    assert {f"{COT}, {GOLD}", f"{COT}, {DRAWN}", f"{NO}, {BLIND}"} <= shown.keys()


@slow
def test_sight_begins_anew_and_all_else_from_the_checkpoint(finished: Any) -> None:
    results, _, _ = finished
    base = flat(results["base"])
    for label in (COT, OURS):
        tuned = flat(stages_of(results, label, REASON)[0])
        assert {path for path in tuned if path not in base} == {path for path in tuned if path.startswith("sight/")}
        assert all((tuned[path] != leaf).any() for path, leaf in base.items() if "kernel" in path)
    assert results["base"].history.evals[-1]["loss"] < results["base"].history.evals[0]["loss"]
    losses = results["eyes"].history.train["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@slow
def test_claims_follow_the_rules(finished: Any) -> None:
    results, report, _ = finished
    right = {
        label: 100 * results[f"0/{slug(label)}/answers"].value["right"].mean() for label in (COT, OURS, EQUAL, LOSSES)
    }
    gold = 100 * results[f"0/{slug(COT)}/answers/{slug(GOLD)}"].value["right"].mean()
    for own, other in zip(report.claims, (EQUAL, COT, LOSSES), strict=False):
        assert f"answers {right[OURS] - right[other]:+.1f}" in own.shown
    assert (report.claims[2].verdict == "holds") == (right[OURS] > right[LOSSES])
    assert (report.claims[3].verdict == "holds") == (gold - right[COT] >= 5)
    assert isinstance(SMOKE.questions("test"), SceneQuestions)
