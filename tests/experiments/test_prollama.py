"""ProLLaMA: adapters are merged between stages, all else is frozen, answers alone are learned, no LM is the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.prollama import (
    EXPERIMENT,
    FULL,
    MIXED,
    ONE,
    SCRATCH,
    TWO,
    judge_of,
    pairs,
    preset,
    sequence_of,
    windows,
)
from stagejax import Plan
from stagejax.data import SEP, Bytes
from stagejax.data.molecules.protein_tasks import of_fold
from stagejax.inference.likelihood import row_losses
from stagejax.inference.molecules.kmers import kmers
from stagejax.names import slug

pytestmark = pytest.mark.slow  # a smoke run of half a minute, most of it compilation
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def at(arm: str, what: str) -> str:
    return f"0/{slug(arm)}/{what}"


def test_the_adapter_is_merged_and_a_fresh_one_begins(finished: Any) -> None:
    results, _, _ = finished
    base, tuned, merged, begun = (
        flat(results[name])
        for name in ("base", *(at(TWO, f"sequences{end}") for end in ("", "/merged")), at(TWO, "instructions/begun"))
    )
    kernels = {path.removesuffix("/frozen") for path in tuned if path.endswith("/frozen")}
    assert len(kernels) == 7  # q, k, v, o, gate, up, down
    for path in kernels:
        np.testing.assert_array_equal(tuned[f"{path}/frozen"], base[path])
        np.testing.assert_array_equal(begun[f"{path}/frozen"], merged[path])
        assert not np.allclose(merged[path], base[path], atol=1e-4)
        assert not begun[f"{path}/up"].any()
        assert begun[f"{path}/down"].any()
        change = (merged[path] - base[path]).reshape(len(merged[path]), np.shape(tuned[f"{path}/down"])[1], -1)
        assert np.linalg.matrix_rank(change[0], tol=1e-4) <= SMOKE.ranks[0]


def test_stage_1_trains_factors_table_and_head_and_stage_2_factors_alone(finished: Any) -> None:
    results, _, _ = finished

    def changed(name: str) -> set[str]:
        before, after = flat(results[f"{name}/begun"]), flat(results[name])
        return {path for path in before if not np.array_equal(before[path], after[path])}

    def whole(paths: set[str]) -> set[str]:
        return {path for path in paths if path.rpartition("/")[2] not in ("down", "up")}

    first, second = changed(at(TWO, "sequences")), changed(at(TWO, "instructions"))
    assert whole(first) == {"tokens/table", "head/output/kernel"}
    assert not whole(second)
    assert len(second) == 14
    assert changed(at(ONE, "instructions")) == second


def test_merging_changes_no_answer(finished: Any) -> None:
    results, _, _ = finished
    batch = pairs(SMOKE, 0).take(np.arange(4))
    apart, merged = (results[at(TWO, f"instructions{end}")].module() for end in ("", "/merged"))
    np.testing.assert_allclose(row_losses(apart, batch), row_losses(merged, batch), rtol=1e-4)


def test_prompts_are_not_learned() -> None:
    batch = pairs(SMOKE, 0).take(np.arange(8))
    for tokens, targets, weights in zip(batch["tokens"], batch["targets"], batch["weights"], strict=True):
        learned = targets[weights > 0]
        assert learned[-1] == SEP
        said, shown = Bytes().decode(learned), Bytes().decode(tokens)
        assert said.startswith(("Seq=<", "Family=<"))
        assert said.endswith(">")
        assert shown.startswith(("[Determine family] Seq=<", "[Generate by family] Family=<"))
        assert (targets[weights == 0][: shown.index("]")] != SEP).all()


def test_no_form_of_a_held_out_protein_is_trained_on(finished: Any) -> None:
    results, _, _ = finished
    for result in results.values():
        if result.kind == "train" and result.name != "base":
            data, fold = result.stage.data, int(result.name.split("/")[0])
            tested = of_fold(SMOKE.proteins, SMOKE.folds, fold, "test")
            for part in getattr(data, "parts", (data,)):
                texts = " ".join(" ".join(map(str, part.source[i].values())) for i in range(len(part.source)))
                assert not any(protein.sequence in texts for protein in tested)
    names = {protein.parent for protein in of_fold(SMOKE.proteins, SMOKE.folds, 0, "test")}
    assert not names & {protein.parent for protein in of_fold(SMOKE.proteins, SMOKE.folds, 0, "train")}


def test_the_judge_sees_real_training_windows_alone() -> None:
    judge, held = judge_of(SMOKE, 0), windows(SMOKE, 0, "test")
    trained = {record["sequence"] for record in windows(SMOKE, 0, "train")}
    assert not trained & {record["sequence"] for record in held}
    assert set(judge[0].get_feature_names_out()) == {piece for sequence in trained for piece in kmers(sequence, 3)}
    assert judge.score([r["sequence"] for r in held], [r["family"] for r in held]) > 0.7  # half is chance


def test_a_broken_sequence_is_none() -> None:
    assert sequence_of("Seq=<ACDEF>") == "ACDEF"
    assert not any(map(sequence_of, ("Seq=<ACDEF", "ACDEF>", "Seq=<ACxEF>", "Seq=<AC>", "Seq=<ACDEF> A")))


def test_arms_differ_in_what_they_say_they_do(finished: Any) -> None:
    results, report, _ = finished
    tokens = {arm.group: float(arm.cost.tokens) for arm in report.arms}
    assert max(tokens.values()) == min(tokens.values())
    charged = {arm.group: [r.name for r in arm.charged if not r.name.startswith("3/")] for arm in report.arms}
    assert charged == {arm: [] if arm == SCRATCH else ["base"] for arm in SMOKE.arms_of(0)}
    assert results[at(FULL, "instructions")].stage.model == SMOKE.net
    assert results[at(MIXED, "instructions")].stage.steps == sum(SMOKE.steps[1:])
    assert len(results[at(ONE, "instructions")].handover) > 0
    share = {row[:2]: row[3] for row in next(t for t in report.tables if t.title == "Trained weights").rows}
    assert share[TWO, "instructions"] < 0.25 < share[TWO, "sequences"] < 1 == share[FULL, "instructions"]


def test_the_rate_behind_stage_1_is_searched_on_a_fold_of_no_seed_and_charged(finished: Any) -> None:
    results, report, _ = finished
    pilots = {name: result for name, result in results.items() if name.startswith("3/two-stages/instructions/0.")}
    losses = {
        result.stage.optimizer.peak: min(row["loss"] for row in result.history.evals) for result in pilots.values()
    }
    assert set(SMOKE.behind_rates) <= set(losses)
    assert results[at(TWO, "instructions")].stage.optimizer.peak == min(losses, key=lambda rate: losses[rate])
    assert {result.stage.data.source.fold for result in pilots.values()} == {3}
    assert 3 not in preset("laptop").seeds
    owed = {arm.group: {r.name for r in arm.charged} for arm in report.arms}
    assert owed[TWO] == {"base", "3/two-stages/sequences", *pilots}


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
