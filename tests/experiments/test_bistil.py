"""BiStil: whose labels are read, what the ticket is, what the reset leaves, aligned vocabularies, equal budgets."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.distillation.bistil import ARMS, BISTIL, EXPERIMENT, MULTI, SCRATCH, WHOLE, Config, preset
from stagejax import Plan
from stagejax.data import SPECIAL
from stagejax.data.tasks.tagged_rows import TaggedRows
from stagejax.objectives.text.tagging import by_teacher, tagging

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
SOURCE, TARGET = SMOKE.pair("made1")
STUDENTS = ("bistil", "multilingually-distilled", "bistil-without-phase-1")
slow = pytest.mark.slow  # eight programs


def of(result: Any) -> Any:
    return result.member("student") if isinstance(result.model, dict) else result


def plain(result: Any) -> dict[str, np.ndarray]:
    """Parameters by path, with tickets or without."""
    return {path.removesuffix("/entries"): leaf for path, leaf in flat(of(result)).items()}


def tickets(result: Any) -> dict[str, np.ndarray]:
    rest = jax.tree_util.tree_leaves_with_path(of(result).state().rest)
    return {"/".join(key.key for key in path[:-1]): np.asarray(leaf) for path, leaf in rest}


@slow
def test_no_label_of_the_target_and_no_gold_label_in_phase_2(finished: Any) -> None:
    results, _, _ = finished
    stages = {name: result.stage for name, result in results.items() if result.kind == "train"}
    for name, stage in stages.items():
        if isinstance(stage.data, TaggedRows):
            assert stage.data.sources == (SOURCE.tagged,), name
            assert stage.evaluate.data.sources == (SMOKE.develop,), name
            gold = "task" in name or "scratch" in name
            assert (stage.objective is tagging) == gold, name
            assert gold or stage.objective.func is by_teacher, name
    assert sum(isinstance(stage.data, TaggedRows) for stage in stages.values()) == 10


@slow
@pytest.mark.parametrize("name", ["made1/made0", "made1/0/task", *(f"made1/0/{own}" for own in STUDENTS)])
def test_a_ticket_is_what_moved_most_and_all_else_is_as_it_began(finished: Any, name: str) -> None:
    results, _, _ = finished
    start, full, ticket, sparse = (plain(results[f"{name}/{part}"]) for part in ("open", "full", "ticket", "sparse"))
    learns = tickets(results[f"{name}/sparse"])
    assert not any("norm" in path or "head" in path for path in learns)
    change = {path: np.abs(full[path] - start[path]) for path in learns}
    chosen, moved = (np.concatenate([own[path].ravel() for path in learns]) for own in (learns, change))
    assert chosen.sum() == round(SMOKE.density * chosen.size)
    assert moved[chosen].min() >= moved[~chosen].max()
    for path, leaf in sparse.items():
        if path in learns:
            np.testing.assert_array_equal(ticket[path], start[path], err_msg=path)  # the reset
            np.testing.assert_array_equal(leaf[~learns[path]], start[path][~learns[path]], err_msg=path)
        elif not path.startswith("head"):
            np.testing.assert_array_equal(leaf, start[path], err_msg=path)  # norms, and the language head
    assert any((sparse[path] != start[path])[learns[path]].any() for path in learns)
    if "made0" not in name.rsplit("/", 1)[-1]:
        assert (sparse["head/kernel"] != start["head/kernel"]).any()
    count = results[f"{name}/counted"].value
    assert abs(count["density"] - 0.08) < 1e-3
    assert count["strays"] == 0


@slow
def test_trimmed_models_are_the_same_function_of_the_same_text(finished: Any) -> None:
    results, _, _ = finished
    kept = results["made1/vocabulary"].value["kept"]
    assert SPECIAL + 256 < len(kept) < SMOKE.encoder.vocab
    for whole, trimmed in (("multilingual", "made1/teacher"), ("0/multilingual", "made1/0/trimmed")):
        before, after = of(results[whole]).module(), results[trimmed].module()
        new = jnp.asarray(np.random.default_rng(0).integers(1, len(kept), (2, 9)))
        np.testing.assert_allclose(after.tags(new), before.tags(jnp.asarray(kept)[new]), atol=1e-5)
        np.testing.assert_allclose(after(new), before(jnp.asarray(kept)[new])[..., kept], atol=1e-5)
    data = results["made1/0/bistil/sparse"].stage.data
    assert data.tokenizer.vocab == len(kept)
    assert data.take(np.arange(100))["tokens"].max() < len(kept)


@slow
def test_the_student_begins_with_the_last_of_every_two_layers(finished: Any) -> None:
    results, _, _ = finished
    teacher, student = (flat(results[f"made1/{name}"]) for name in ("teacher", "student"))
    for path, leaf in student.items():
        np.testing.assert_array_equal(leaf, teacher[path][1::2] if path.startswith("encoder/blocks") else teacher[path])
    scratch, phase = (results[f"made1/0/{name}"] for name in ("scratch", "phase-1"))
    assert scratch.model == phase.model["student"]


@slow
def test_teachers_are_the_multilingual_model_with_sparse_differences(finished: Any) -> None:
    results, _, _ = finished
    base, source, target = (plain(results[f"made1/{n}"]) for n in ("teacher", "made0/sparse", "made1/sparse"))
    task, both = plain(results["made1/0/task/sparse/merged"]), plain(results["made1/0/zero-shot"])
    for path in both:
        np.testing.assert_allclose(both[path] - target[path], task[path] - source[path], atol=1e-6, err_msg=path)
    np.testing.assert_allclose(both["head/kernel"], task["head/kernel"], atol=1e-6)
    share = np.mean([(both[path] != base[path]).mean() for path in ("encoder/tokens/table",)])
    assert 0 < share < 3.5 * SMOKE.density
    phase = results["made1/0/phase-1"]
    for name, own in (("source", source), ("target", target)):
        member = flat(phase.member(name))
        assert all(np.array_equal(member[path], own[path]) for path in member)


@slow
def test_arms_have_equal_steps_and_pay_for_what_they_use(finished: Any) -> None:
    results, report, _ = finished
    phase, shared = results["made1/0/phase-1"], results["0/multilingual"]
    assert phase.steps == shared.steps == results["made1/0/scratch"].steps == SMOKE.bilingual
    assert len(phase.stage.data.parts) == 2
    assert len(shared.stage.data.parts) == len(SMOKE.languages)
    assert shared.model["student"].encoder.vocab == SMOKE.encoder.vocab
    assert results["made1/0/scratch"].stage.data == phase.stage.data
    assert [results[f"made1/0/{name}/{part}"].steps for name in STUDENTS for part in ("full", "sparse")] == [4, 4] * 3
    assert results["made1/0/dense"].steps == results["made1/0/scratch/tuned"].steps == sum(SMOKE.special)
    arms = {arm.name: arm for arm in report.arms}
    assert set(arms) == set(ARMS)
    languages = [results[f"made1/{own.name}/{part}"] for own in (SOURCE, TARGET) for part in ("full", "sparse")]
    task = [results[f"made1/0/task/{part}"] for part in ("full", "sparse")]
    flops = lambda made: sum(result.cost.flops for result in made)  # noqa: E731
    assert arms[BISTIL].charged_cost.flops == flops([results["multilingual"], *languages, *task])
    assert arms[MULTI].charged_cost.flops == flops([results["multilingual"], *languages[:2], *task])
    assert arms[WHOLE].charged_cost.flops == flops([results["multilingual"], *languages])
    assert arms[SCRATCH].charged_cost.flops == 0


@slow
def test_the_report_counts_the_words_of_both_languages(finished: Any) -> None:
    results, report, _ = finished
    scores, sizes = report.tables
    assert scores.columns[1:] == ("made0", "made1")
    value = results["made1/0/score/bistil"].value["accuracy"]
    row = next(row for row in scores.rows if row[0] == BISTIL)
    assert [float(cell) for cell in row[1:]] == pytest.approx(100 * value, abs=0.06)
    rows = {row[0]: row for row in sizes.rows}
    assert rows[BISTIL][3] < rows[MULTI][3] < rows[WHOLE][3]
    assert all(row[4] > 0 for row in sizes.rows)
    test = next(iter(report.claims))
    assert test.verdict == "not tested"  # one seed has no spread
    assert report.claims[3].verdict == "holds"


TWO = pytest.param(Config(targets=("de", "fr"), layers=1), marks=slow, id="two targets")


@pytest.mark.slow
@pytest.mark.parametrize("config", [pytest.param(SMOKE, id="smoke"), TWO])
def test_a_plan_tests_no_claim(config: Config) -> None:
    plan = Plan.on("data=1", price=False)
    report = EXPERIMENT.pipeline(plan, config)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
    assert len(report.tables) == 2 * len(config.targets)
