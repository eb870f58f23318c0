"""Self-Lengthen: what is tested was never read, arms have equal steps, what is kept is longer; rules of claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.self_training.self_lengthen_generator_extender import (
    ARMS,
    EXPERIMENT,
    FIXED,
    FORCED,
    GOLD,
    IN_TURN,
    JOINED,
    ONCE,
    OWN,
    RAW,
    SEED,
    WHOLE,
    Found,
    final_rows,
    judged,
    preset,
)
from stagejax import Plan
from stagejax.data.tables.line_reports import line_report_tokenizer, lines_of, records_of, report, told
from stagejax.inference.prompts.length_tests import LongTests
from stagejax.inference.prompts.lengthening import accepted
from stagejax.names import slug
from stagejax.result import Result

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def of(texts: list[str]) -> Result:
    return Result("", "make", "", 1, value={"texts": texts})


def filled(valid: dict[str, int], free: dict[str, list[int]], wrong: int = 0) -> Found:
    """What would be found if the texts of an arm had so many valid lines, and `wrong` ones behind them."""
    cfg = replace(preset("laptop"), tests=LongTests("test", 12, (12, 16, 20)), seeds=(0, 1))
    found = Found(cfg)
    bad = " ".join(["points-rank usual ."] * wrong)
    for seed in cfg.seeds:
        for arm, size in valid.items():
            texts = [f"{report(facts, range(size + seed))} {bad if arm == OWN else ''}" for facts in cfg.tests.facts]
            found.tested[arm, seed] = of(texts)
        for arm, sizes in free.items():
            found.free[arm, seed] = [of([report(facts, range(size)) for facts in cfg.free.facts]) for size in sizes]
    return found


GOOD = {SEED: 4, FORCED: 6, OWN: 13, WHOLE: 9, FIXED: 8, RAW: 8, ONCE: 7, JOINED: 5, GOLD: 14}
GROWN = {SEED: [4], OWN: [6, 10, 16], WHOLE: [5, 6, 7]}


def test_claims_hold_where_valid_lines_grow_and_not_where_arms_are_alike() -> None:
    assert [own.verdict for own in judged(filled(GOOD, GROWN))] == ["holds"] * 6
    alike = judged(filled(dict.fromkeys(GOOD, 8), {SEED: [4], OWN: [5, 6, 7], WHOLE: [5, 6, 7]}, wrong=1))
    assert [own.verdict for own in alike] == ["does not hold"] * 6
    wrong = judged(filled(GOOD, GROWN, wrong=2))
    assert [own.verdict for own in wrong][2] == "does not hold"


def test_rows_of_the_final_stage_are_longer_than_what_the_seed_has_read() -> None:
    cfg, facts = preset("laptop"), records_of("train")[3][:8]
    asked, texts = f"report {told(facts)}", [report(facts, range(size)) for size in (3, 8, 9, 24)]
    made = Result(
        "", "make", "", 1, value={"to": [asked] * 2, "initial": texts[:2], "asked": [asked] * 2, "extended": texts[2:]}
    )
    rows, code = final_rows(cfg, 0, made), line_report_tokenizer()
    parts = np.split(rows["tokens"], rows["starts"][1:-1])
    assert [len(lines_of(code.decode(part).split(" : ")[1])) for part in parts] == [9, 24]
    assert cfg.least > cfg.texts.longest


@pytest.mark.slow  # it plans a run
def test_a_plan_has_every_stage_and_tests_no_claim() -> None:
    plan, cfg = Plan.on("data=1", price=False), replace(preset("laptop"), seeds=(0,), rates=(1e-3,), arms=ARMS)
    report = EXPERIMENT.pipeline(plan, cfg)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
    stages = {own.name: own.stage for own in plan.results if own.kind == "train"}
    assert {own.steps for name, own in stages.items() if "/final/" in name} == {cfg.final}
    extenders = [name for name in stages if name.endswith("/extender")]
    assert len(extenders) == 2 * len([arm for arm in IN_TURN if arm != FIXED])
    assert not any(slug(FIXED) in name for name in extenders)


@pytest.mark.slow
def test_smoke_run_keeps_what_the_paper_keeps(finished: tuple[dict[str, Any], Any, Any]) -> None:
    results, report, _ = finished
    losses = results["base"].history.train["loss"]
    assert losses[0] > losses[-1]
    texts = [own.value for name, own in results.items() if name.endswith("/texts") and "extended" in own.value]
    assert texts
    for made in texts:
        assert len(made["asked"]) == len(made["drafts"]) == len(made["extended"])
        for draft, text in zip(made["drafts"], made["extended"], strict=True):
            assert len(text.split()) > SMOKE.how.ratio * len(draft.split())
    checks = [own for name, own in results.items() if name.endswith("/texts") and slug(RAW) not in name]
    assert all(accepted(text) for own in checks for text in own.value["initial"] + own.value["extended"])
    shunned = {own for own, _ in (*SMOKE.tests.asked, *SMOKE.valid.asked)}
    asked = [own.value["instructions"] for name, own in results.items() if name.startswith("instructions")]
    assert all(asked)
    assert not shunned & {text for own in asked for text in own}
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold", "not tested"}
    table = next(own for own in report.tables if own.title == "Tests with lengths")
    assert [row[0] for row in table.rows][: 2 + len(ARMS)] == [SEED, FORCED, *ARMS]
