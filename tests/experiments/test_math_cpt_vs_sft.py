"""JiuZhang: CPT and SFT see the same problems equally often, in their own ways; operators differ in texts alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.curriculum.math_cpt_vs_sft import (
    AGAIN,
    EXPERIMENT,
    OPERATORS,
    SFT,
    SPOILED,
    TUTOR,
    UNMASKED,
    Found,
    answers,
    asked,
    by,
    mixture,
    preset,
    problems,
    reading,
    records,
    rows,
    seeds,
    tuning,
    was_read,
    with_problems,
)
from stagejax.data.reasoning.kinds_of_problems import Lot
from stagejax.data.reasoning.synthesis import STUDENT, Solved, solved
from stagejax.data.tokenizers import codec

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def programs(source: Any) -> set[str]:
    return {source[i]["program"] for i in range(len(source))}


@pytest.mark.slow
def test_no_test_program_is_trained_on() -> None:
    test = {own["program"] for own in records(SMOKE, "test")}
    assert not test & programs(problems(SMOKE, Lot(), 0))
    assert not test & programs(seeds(SMOKE, 0))
    about = asked(SMOKE)
    dev = {own["program"] for own in records(SMOKE, "dev")}
    known = [own["program"] in dev for own in records(SMOKE, "test")]
    assert about["fresh"].tolist() == [not each for each in known]


@pytest.mark.slow
def test_cpt_learns_every_token_of_packed_documents_and_sft_the_solution_alone() -> None:
    packed = rows(SMOKE, Solved(problems(SMOKE, Lot(), 0)), 0).take(np.arange(4))
    assert ((packed["segments"] > 0) == (packed["weights"] > 0)).all()
    assert packed["segments"].max() > 1
    own = answers(SMOKE, problems(SMOKE, Lot(), 0), 0)
    row, code = own.take(np.arange(1)), codec(SMOKE.words, SMOKE.text)
    learned = code.decode(row["targets"][0][row["weights"][0] > 0])
    assert learned.rpartition("ans ")[2].isdigit()
    assert "?" not in learned
    assert "=>" not in learned
    whole = answers(SMOKE, problems(SMOKE, Lot(), 0), 0, prompts=True).take(np.arange(1))
    assert (whole["tokens"] == row["tokens"]).all()
    assert whole["weights"].sum() > row["weights"].sum()


def test_the_longest_problem_fits_into_a_row() -> None:
    own = answers(SMOKE, Lot(steps=(5,)).problems(40, largest=9), 0)
    assert (own.take(np.arange(40))["tokens"] > 0).sum(1).max() <= SMOKE.row


@pytest.mark.slow
def test_problems_are_read_as_often_in_cpt_as_in_sft() -> None:
    cpt, sft, whole = (was_read(SMOKE, label) for label in (with_problems(0.5), SFT, UNMASKED))
    assert abs(cpt[2] - sft[2]) < 0.03 * cpt[2]
    assert abs(cpt[3] - sft[3]) < 0.03 * cpt[3]
    assert cpt[4] == pytest.approx(cpt[3])
    assert sft[4] < 0.7 * sft[3]
    assert whole[4] == pytest.approx(sft[3])
    for lot in (Lot(), *SMOKE.lots):
        packed, own = rows(SMOKE, Solved(problems(SMOKE, lot, 0)), 0), tuning(SMOKE, "x", lot, 0)
        turns = SMOKE.steps * SMOKE.batch[0] * 0.4 / packed.size()
        assert own.steps == round(turns * own.data.size() / SMOKE.batch[1])


def test_shares_trade_prose_for_problems_at_equal_rows() -> None:
    none, half = (reading(SMOKE, Lot(), share, 0) for share in (0.0, 0.5))
    assert (none.steps, none.data.spec()) == (half.steps, half.data.spec())
    assert np.allclose(np.divide(half.data.weights, sum(half.data.weights)), (0.2, 0.4, 0.4))
    assert np.allclose(none.data.weights, (0.2, 0.8))
    first, again = (half.data.parts[k].source for k in (1, 2)), mixture(SMOKE, Lot(), 0.5, 0, half.data.parts[2])
    assert [part.source for part in again.parts[1:3]] == list(first)
    assert np.allclose(again.weights, (0.2, 0.4, 0.4, 1.0))


def test_operators_write_of_the_same_problems_and_the_control_keeps_right_attempts() -> None:
    rng = np.random.default_rng(0)
    source = seeds(SMOKE, 0)
    for record in (source[i] for i in range(20)):
        for label in (*OPERATORS, AGAIN, SPOILED):
            for text in by(SMOKE, label, record, "1 + 1 = 3 ; ans 3", rng).texts:
                assert text.count("?") == 1
        assert by(SMOKE, AGAIN, record, "", rng).texts == (solved(record["question"], record["solution"]),)
        right = record["solution"]
        assert by(SMOKE, SPOILED, record, right, rng) == by(SMOKE, TUTOR, record, right, rng)
        wrong = "ans x"
        assert by(SMOKE, SPOILED, record, wrong, rng).texts != by(SMOKE, TUTOR, record, wrong, rng).texts
        assert f"{STUDENT} : ans x" in by(SMOKE, TUTOR, record, wrong, rng).texts[0]


class Made:
    """What answers are, without a run."""

    def __init__(self, right: np.ndarray) -> None:
        self.value = {"right": right.astype(int).tolist()}


def found_with(shares: dict[str, tuple[float, float]]) -> Found:
    """Arms that are right on the first of the questions of up to three steps, and of more, in such shares."""
    long = asked(SMOKE)["steps"] > 3
    scores = {}
    for label, (few, many) in shares.items():
        right = np.zeros(len(long))
        for mask, share in ((~long, few), (long, many)):
            own = np.flatnonzero(mask & asked(SMOKE)["fresh"])
            right[own[: round(share * len(own))]] = 1
        scores[label, 0] = Made(right)
    return Found(SMOKE, None, {}, {}, scores, {})


@pytest.mark.slow
def test_shares_by_steps() -> None:
    found = found_with({SFT: (1.0, 0.0), TUTOR: (1.0, 1.0)})
    assert found.right(SFT, "1-2 steps") == found.right(SFT, "3 steps") == [1.0]
    assert found.right(SFT, "4-5 steps") == [0.0]
    assert found.apart(TUTOR, SFT, "4-5 steps") == [1.0]
    assert 0 < found.right(SFT)[0] < 1


@pytest.mark.slow
def test_smoke_run(finished: Any) -> None:
    results, found, folder = finished
    losses = results["0/all/cpt-50"].history.train["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    evals = {name: own.history.last("loss") for name, own in results.items() if own.kind == "train"}
    assert evals["0/text-sft"] < evals["0/all/cpt-0"]
    assert evals["0/all/cpt-50"] < evals["0/all/cpt-0"]
    written = {label: results[f"0/{label}/texts"].value for label in ("tutorship", "retrospection")}
    assert written["tutorship"]["counts"][:2].tolist() == [SMOKE.seeded, SMOKE.seeded]
    assert written["retrospection"]["counts"][1] < SMOKE.seeded
    assert results["0/attempts"].cost.sampled_tokens > SMOKE.seeded
    arms = {arm.name: arm for arm in found.arms}
    assert {results["0/attempts"].digest} <= {own.digest for own in arms[TUTOR].charged}
    tables = {table.title: table for table in found.tables}
    assert len(tables["Right answers"].rows) == len(arms)
    assert (folder / "report.html").exists()
    assert all(c.verdict != "not tested" for c in found.claims)


def test_the_tuning_of_a_lot_has_its_problems() -> None:
    own = tuning(SMOKE, "x", SMOKE.lots[0], 0).data.source
    assert all(own[i]["question"].endswith("how much ? =>") for i in range(len(own)))
