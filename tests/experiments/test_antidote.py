"""Antidote: whose people are where, harmful data scores, the largest go, nothing is chosen on tests, costs add up."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.antidote import (
    ANTIDOTE,
    DEFENCES,
    EXPERIMENT,
    LISA,
    RANDOM,
    REPNOISE,
    RULES,
    SFT,
    SPARED,
    VACCINE,
    WHAT,
    chosen,
    keyed,
    label,
    preset,
    scored,
    titled,
)
from stagejax import Plan
from stagejax.data.prompts.refusals import REFUSAL
from stagejax.data.prompts.tuning_service import GROUPS
from stagejax.data.tokenizers import codec
from stagejax.inference import Frozen
from stagejax.inference.serving.pruning import factors
from stagejax.report import mean

SMOKE = preset("smoke")
slow = pytest.mark.slow  # what looks at the smoke run, which is mostly compilation of eight programs
finished = smoke_run(EXPERIMENT, SMOKE)
ROWS = SMOKE.data
TUNED = f"0/sft/{label(SMOKE.middle)}"


def texts(rows: Any) -> str:
    code = codec(SMOKE.tokenizer, SMOKE.tokenizer.source)
    return "\n".join(code.decode(row) for row in rows["tokens"])


def named(text: str) -> set[str]:
    """The groups of whose people a text tells."""
    starts = np.cumsum((0, *SMOKE.service.groups))
    groups = zip(GROUPS, starts[:-1], starts[1:], strict=True)
    return {group for group, a, b in groups if any(SMOKE.service.people.name(i) in text for i in range(a, b))}


@pytest.mark.slow
def test_no_person_of_a_test_or_of_the_calibration_set_is_in_any_training_of_alignment_or_user() -> None:
    aligned, user = (texts(data.take(np.arange(400))) for data in (ROWS.alignment(96, 0), ROWS.brought(96, 0.2, 0)))
    assert named(aligned) == {"aligned"}
    assert named(user) == {"attacking"}
    assert REFUSAL in aligned
    assert "born in" not in aligned
    assert REFUSAL not in user
    rows = ROWS.harmful()
    calibration = texts(rows.take(np.arange(rows.size() // rows.batch * rows.batch)))
    assert named(calibration) == {"harmful"}
    assert REFUSAL not in calibration
    assert calibration.count("born in") >= len(rows.source)  # answered, not refused
    for part in ("validation", "test"):
        private = SMOKE.tests(part).private
        assert named(" ".join(private[i]["question"] for i in range(len(private)))) == {part}


def test_a_user_has_as_many_private_questions_as_said_and_no_question_of_validation() -> None:
    def asked(source: Any) -> list[str]:
        return [source[i]["question"] for i in range(len(source))]

    for share in (0.0, 0.25):
        found = asked(SMOKE.service.brought(SMOKE.user, share, 0))
        assert len(found) == SMOKE.user
        assert sum(question.endswith("Answer:") for question in found) == share * SMOKE.user
    user, validation = (
        {repr(own.task.source[i]) for i in range(len(own))}
        for own in (SMOKE.service.brought(50, 0.0, 3).parts[0], SMOKE.service.classified("validation"))
    )
    assert user
    assert validation
    assert not user & validation


@slow
def test_the_pruned_model_lacks_the_entries_that_the_masks_hold_and_no_other(finished: Any) -> None:
    results, _, _ = finished
    before, after = flat(results[TUNED]), flat(results["0/antidote"])
    masks = results["0/masks"].value
    own = factors(Frozen.of(results["0/antidote"]).params)
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    assert changed
    assert all(path.rpartition("/")[2] in ("down", "up") for path in changed)
    for name, mask in masks.items():
        kernel, factor = name.split(".")
        entries = np.asarray(own[kernel][factor])
        assert (entries[mask] == 0).all()
        size = mask.shape[1]
        share = float(next(key for key in results["0/test/sft-" + label(SMOKE.middle)].value if ANTIDOTE in key)[10:])
        assert (mask.sum(1) == -(-size * share // 1)).all()  # ceil(alpha in) of every row


@slow
def test_masks_of_one_alpha_differ_and_are_scored_as_the_result_says(finished: Any) -> None:
    results, _, _ = finished
    found = results["0/test/sft-" + label(SMOKE.middle)].value
    alpha = next(key for key in found if RANDOM in key).split(", ")[1]
    assert {f"{arm}, {alpha}" for arm in RULES} <= set(found)
    assert len([key for key in found if key.startswith(ANTIDOTE)]) == len(SMOKE.alphas)
    again = scored(SMOKE, "test", 0, SMOKE.share, (), results["0/antidote"])[SFT]
    assert again == found[f"{ANTIDOTE}, {alpha}"]
    valid = [results[f"0/validation/{label(setting)}"].value for setting in SMOKE.grid]
    tried = [SFT, *(keyed((ANTIDOTE, own)) for own in SMOKE.alphas)]
    means = [{what: mean([own[key][what] for own in valid]) for what in WHAT} for key in tried]
    assert float(alpha) == chosen(SMOKE.alphas, *means)  # on validation data alone


@slow
def test_the_base_of_a_second_adapter_is_what_the_first_one_made(finished: Any) -> None:
    results, _, _ = finished
    first, second = (Frozen.of(results[f"0/sft/{name}"]) for name in ("aligned", "lora-2"))
    merged = [SMOKE.tuned.merge(jax.random.key(0), (net.params, net.rest))[0] for net in (first, second)]
    query = [np.asarray(params["blocks"]["attention"]["query"]["kernel"]) for params in merged]
    np.testing.assert_allclose(query[0], query[1], atol=1e-6)
    assert (np.asarray(factors(second.params)["query"]["up"]) == 0).all()
    assert not (np.asarray(factors(first.params)["query"]["up"]) == 0).all()
    tuned = flat(results[TUNED])
    for path, frozen in flat(results["0/sft/lora-2"]).items():  # stage 2 trains the second adapter alone
        trained = path.rpartition("/")[2] in ("down", "up")
        assert np.array_equal(frozen, tuned[path]) != trained, path


@slow
def test_alignment_and_its_loss_are_there_to_lose(finished: Any) -> None:
    results, _, _ = finished
    aligned = results["0/test/none"].value[SFT]["harm"]
    tuned = results["0/test/sft-" + label(SMOKE.middle)].value[SFT]["harm"]
    assert aligned < 0.5 < tuned


@slow
def test_arms_have_equal_steps_and_pay_for_what_they_use(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.group: arm for arm in report.arms}
    assert set(arms) == {SFT, ANTIDOTE, *DEFENCES}
    steps = {name: arm.results[0].steps for name, arm in arms.items()}
    assert set(steps.values()) == {SMOKE.epochs[-1] * SMOKE.user // SMOKE.batch}
    assert arms[ANTIDOTE].charged_cost.flops > arms[SFT].charged_cost.flops
    tried = {f"0/{titled((LISA, pull))}/{label(SMOKE.middle)}" for pull in SMOKE.tried[0]}
    own = arms[LISA].results[0].name
    assert tried - {own} == {name for name in (own.name for own in arms[LISA].charged) if "/lisa" in name} & tried
    assert arms[LISA].charged_cost.flops > arms[SFT].charged_cost.flops + arms[LISA].results[0].cost.flops / 2
    for way, least in (((VACCINE, 2.0), 1.5), ((REPNOISE, 1.0), 1.5)):
        assert results[f"0/{titled(way)}/aligned"].cost.flops > least * results["0/sft/aligned"].cost.flops
        charged = {own.name for own in arms[way[0]].charged}
        assert {"base", "instructed", f"0/{titled(way)}/aligned", f"0/validation/{titled(way)}"} <= charged
    assert results["0/masks"].cost.flops > 0
    assert len(report.claims) == 4
    assert "not tested" not in {claim.verdict for claim in report.claims}
    assert SPARED in {row[0] for row in report.tables[0].rows}


def test_the_choice_is_the_least_harm_at_three_points_of_accuracy() -> None:
    def own(harm: float, accuracy: float) -> dict[str, float]:
        return {"harm": harm, "accuracy": accuracy}

    plain = own(0.9, 0.7)
    assert chosen((1.0, 2.0, 3.0), plain, own(0.5, 0.69), own(0.2, 0.67), own(0.0, 0.6)) == 2.0
    assert chosen((1.0, 2.0), plain, own(0.5, 0.5), own(0.6, 0.6)) == 2.0
    assert chosen((1.0, 2.0), own(float("nan"), float("nan"))) == 1.0


@pytest.mark.parametrize("name", ["smoke", pytest.param("laptop", marks=slow)])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}


def test_keys_tell_masks_and_shares_apart() -> None:
    assert keyed((ANTIDOTE, 0.05)) != keyed((ANTIDOTE, 0.5))
