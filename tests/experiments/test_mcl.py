"""MCL at smoke size: equal FLOPs, the arms that it is compared with, soups, and what tasks take over."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.objective.mcl import (
    COURSES,
    ELECTRA,
    EXPERIMENT,
    FULL,
    GREEDY,
    LABELS,
    MEMBERS,
    MLM,
    NO_ITD,
    NO_STD,
    NONE,
    SAME_TOKENS,
    SOUP,
    downstream,
    encoder_only,
    preset,
    pretraining,
)
from stagejax import Plan
from stagejax.axes import Axes
from stagejax.budget import step_flops
from stagejax.objectives.text.corruption import count, mask
from stagejax.objectives.text.courses import Courses

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def electra() -> Courses:
    return Courses(restored=(mask,), inserted=(), corrected=False)


def arms_of(report: Any) -> dict[str, Any]:
    return {arm.group: arm for arm in report.arms}


def pretrained(arm: Any) -> list[Any]:
    return [result for result in arm.results[:-1] if result.kind == "train"]


def spent(arm: Any) -> float:
    return float(sum(result.cost.flops for result in pretrained(arm)))


@pytest.mark.slow
def test_a_step_of_mcl_costs_several_of_electra() -> None:
    full, plain = (step_flops(pretraining(SMOKE, "any", objective, 0)) for objective in (Courses(), electra()))
    assert full > 4 * plain  # five passes of the detector in place of one, and five of the generator


def test_tasks_take_over_the_encoder_and_nothing_else() -> None:
    rules = {path: encoder_only(path, Axes((), ())) for path in ("encoder/tokens/table", "head/bias", "generator/x")}
    assert list(rules.values()) == ["carry", "reset", "drop"]


@pytest.mark.slow
def test_arms_spend_the_flops_of_mcl(finished: Any) -> None:
    _, report, _ = finished
    arms = arms_of(report)
    assert list(arms) == list(LABELS)
    budget = spent(arms[FULL])
    for label in (MLM, ELECTRA, COURSES, NO_ITD, NO_STD):
        *_, last = pretrained(arms[label])
        assert abs(spent(arms[label]) - budget) <= 0.51 * float(last.cost.flops) / last.steps, label
    assert [one.steps for one in pretrained(arms[SAME_TOKENS])] == [SMOKE.steps]
    assert pretrained(arms[ELECTRA])[0].steps > 4 * SMOKE.steps
    assert sum(one.steps for one in pretrained(arms[FULL])) == SMOKE.steps
    assert not pretrained(arms[NONE])


@pytest.mark.slow
def test_a_soup_is_the_mean_of_its_members_and_pays_for_them_all(finished: Any) -> None:
    results, report, _ = finished
    arms = arms_of(report)
    own = [arms[label].results[-2] for label in MEMBERS]
    params = [flat(one) for one in own]
    for path, leaf in flat(results["0/uniform-soup"]).items():
        np.testing.assert_allclose(leaf, np.mean([one[path] for one in params], 0), rtol=1e-5, atol=1e-7)
    charged = {result.name for result in (*arms[SOUP].results, *arms[SOUP].charged)}
    assert {"0/start", *(one.name for one in own)} <= charged
    assert all(one.position != arms[FULL].results[0].position for one in own)  # they go on in the data
    kept, losses = (results["0/search"].value[key] for key in ("kept", "losses"))
    assert losses[kept[0]] == min(losses)
    assert results["0/search"] in arms[GREEDY].charged


@pytest.mark.slow
def test_every_encoder_is_probed_as_it_is_and_tuned_by_one_recipe(finished: Any) -> None:
    _, report, _ = finished
    arms = arms_of(report)
    steps, data = (
        {arm.results[-1].steps for arm in arms.values()},
        {str(a.results[-1].stage.data) for a in arms.values()},
    )
    assert (len(steps), len(data)) == (1, 1)
    for label in (MLM, FULL, SOUP):
        start, tasks = flat(arms[label].results[-2]), arms[label].results[-1].state()
        for name in tasks:
            now = flat(arms[label].results[-1].member(name))
            moved = {path: not np.array_equal(now[path], start[path]) for path in now if path.startswith("encoder")}
            assert any(moved.values()) == name.startswith("tuned"), (label, name)
    assert not np.array_equal(
        *(flat(arms[label].results[-1].member("probe-who"))["encoder/tokens/table"] for label in (NONE, FULL))
    )


@pytest.mark.slow
def test_inserted_tokens_have_a_fixed_share_and_the_notebook_has_every_token(finished: Any) -> None:
    _, report, folder = finished
    for result in pretrained(arms_of(report)[FULL]):
        for row in result.history.evals:
            assert row["insert_altered"] == pytest.approx(count(SMOKE.length, SMOKE.rate) / SMOKE.length, abs=1e-7)
            for course in ("mask", "swap"):
                assert sum(row[f"{course}_pos{k}"] for k in (1, 2, 3, 4)) == pytest.approx(SMOKE.length)
                assert row[f"{course}_altered"] <= row["insert_altered"] + 1e-7  # some samples are right
    page = json.loads((folder / "report.json").read_text())
    assert [claim["verdict"] in ("holds", "does not hold") for claim in page["claims"]] == [True] * 3


@pytest.mark.slow
def test_training_costs_what_the_plan_said_and_a_plan_tests_no_claim(finished: Any) -> None:
    results, _, _ = finished
    plan = Plan.on("data=1")
    report = EXPERIMENT.pipeline(plan, SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
    for planned in plan.results:
        if planned.kind == "train" and planned.name in results:
            assert float(planned.cost.flops) == float(results[planned.name].cost.flops), planned.name


def test_tasks_share_no_rows_and_no_head() -> None:
    stage = downstream(replace(SMOKE, rows=2), "tasks", 0)
    assert sorted(stage.model) == sorted(f"{way}-{task}" for way in ("tuned", "probe") for task in ("who", "pos"))
    assert {name.partition("/")[0] for name in stage.data.spec()} == {"who", "pos"}
