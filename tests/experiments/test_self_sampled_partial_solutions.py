"""Self-sampling: what is kept was executed, arms have equal rows and steps, and samples are drawn on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.self_training.self_sampled_partial_solutions import (
    EXPERIMENT,
    FULL,
    HALF,
    MLE,
    PARTIAL,
    SAMPLED,
    SCRATCH,
    preset,
    problems,
    sampling,
    scored,
    tuned,
)
from stagejax import Plan
from stagejax.data.reasoning.solution_buffer import Known, states
from stagejax.data.reasoning.straight_line import answer_of, traced
from stagejax.data.tokenizers import codec
from stagejax.names import slug

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def kept(results: Any, arm: str) -> list[tuple[Any, list[Known]]]:
    """The records with what is known of them at the end, the reference first."""
    rest = results[f"0/{slug(arm)}"].member("buffer").state().rest
    code, found = codec(SMOKE.tokenizer, SMOKE.problems, "question"), []
    for index, (rows, full) in enumerate(zip(np.asarray(rest["tokens"]), np.asarray(rest["full"]), strict=True)):
        record = problems(SMOKE, SMOKE.batch, 0).source[index]
        own = [Known(code.decode(row).removesuffix(" ;"), bool(f)) for row, f in zip(rows, full, strict=True) if row[0]]
        found.append((record, [Known(record["program"], True), *own]))
    return found


@pytest.mark.slow  # a minute, most of it compilation
def test_full_programs_are_right_and_partial_ones_reach_a_known_state(finished: Any) -> None:
    results, _, _ = finished
    counts = {}
    for arm in (FULL, PARTIAL):
        counts[arm] = [0, 0]
        for record, known in kept(results, arm):
            numbers = record["numbers"]
            for each in known[1:]:
                counts[arm][each.full] += 1
                assert each.full == (answer_of(each.program, numbers) is not None)
                if each.full:
                    assert answer_of(each.program, numbers) == record["answer"]
                    assert len(traced(each.program, numbers)) <= len(traced(record["program"], numbers))
                else:
                    others = [other for other in known if other is not each]
                    reached, crowded = traced(each.program, numbers)[-1].state, len(known) > SMOKE.places
                    assert reached in states(others, numbers) or crowded
                    assert not any(f"{other.program} ;".startswith(f"{each.program} ;") for other in others)
    assert counts[FULL][0] == 0
    assert counts[PARTIAL][0] > 0


@pytest.mark.slow
def test_arms_have_equal_rows_and_steps_and_samples_are_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert set(arms) == {MLE, FULL, PARTIAL}
    assert len({arm.cost.steps for arm in arms.values()}) == 1
    assert arms[MLE].cost.sampled_tokens == 0
    for arm in (FULL, PARTIAL):
        result = results[f"0/{slug(arm)}"]
        drawn = result.history.train["sampled_tokens"]
        assert len(drawn) == SMOKE.steps
        assert min(drawn) > 0  # at every step, not once before
        assert arms[arm].cost.sampled_tokens == sum(drawn)
        assert arms[arm].cost.flops > arms[MLE].cost.flops
        assert max(result.history.train["answers"]) <= SMOKE.programs
    assert max(results[f"0/{slug(PARTIAL)}"].history.train["continued"]) > 0
    assert max(results[f"0/{slug(FULL)}"].history.train["continued"]) == 0
    scores = [result for name, result in results.items() if name.endswith("/scores")]
    assert len(scores) == 3
    assert all(result.cost.flops > 0 for result in scores)


@pytest.mark.slow
def test_the_learner_is_trained_on_what_it_found(finished: Any) -> None:
    results, _, _ = finished
    base, mle = (flat(results[name]) for name in ("pre-trained", f"0/{slug(MLE)}"))
    full, partial = (flat(results[f"0/{slug(arm)}"].member("learner")) for arm in (FULL, PARTIAL))
    for one, other in ((base, mle), (base, full), (mle, full), (full, partial)):
        assert any((one[name] != other[name]).any() for name in one)
    history = results[f"0/{slug(PARTIAL)}"].history
    assert history.last("nats") < 5
    made = scored(SMOKE, results[f"0/{slug(MLE)}"])
    for name, own in made.items():
        np.testing.assert_array_equal(own, results[f"0/{slug(MLE)}/scores"].value[name])


@pytest.mark.slow
def test_arms_differ_in_nothing_but_their_loss_and_what_they_keep() -> None:
    config = preset("laptop")
    plain = tuned(config, MLE, 0)
    for arm, (loss, partial, continued) in SAMPLED.items():
        stage = sampling(config, arm, 0)
        assert stage.steps == plain.steps
        assert stage.data.batch * config.programs == plain.data.batch
        assert stage.data == tuned(config, HALF, 0).data  # the same problems at each step
        assert stage.optimizer["learner"] == plain.optimizer
        assert (stage.objective["learner"].loss, stage.step.partial, stage.step.continued) == (loss, partial, continued)
        assert stage.step.temperature == 0.8
    assert SAMPLED[SCRATCH][1:] == (True, False)
    assert config.size % config.batch == config.size % plain.data.batch == 0


@pytest.mark.parametrize("name", ["smoke", pytest.param("laptop", marks=pytest.mark.slow)])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
