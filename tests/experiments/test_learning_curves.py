"""Learning curves at smoke size: nested sets learned from scratch, no look at what comes, asymptotes never clipped."""

import os
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.analysis.learning_curves import (
    ARMS,
    EXPERIMENT,
    FIRST,
    LAST,
    LAW,
    TURKISH,
    Config,
    accuracies,
    estimated,
    preset,
    softmax,
)
from stagejax import Plan, running
from stagejax.inference.tasks.tagging import hidden_markov, most_frequent, perceptron
from stagejax.report.patterns import POWER, fit

SMOKE = preset("smoke")
TASK = SMOKE.tasks[0]
finished = smoke_run(EXPERIMENT, SMOKE)


class Seen:
    """A result with accuracies of our own."""

    kind = "make"

    def __init__(self, accuracy: np.ndarray) -> None:
        self.value = {"accuracy": accuracy}


@pytest.mark.slow
def test_every_learner_is_observed_at_every_level_and_learns(finished: Any) -> None:
    results, _, _ = finished
    for fold in SMOKE.folds:
        for name in ("frequency", "hmm", "perceptron", "softmax"):
            seen = accuracies(results[f"drawn/{fold}/{name}"])
            assert seen.shape == (SMOKE.levels,)
            assert seen[0] < seen[-1], name
            assert 0.7 < seen[-1] < 1, name
        assert results[f"drawn/{fold}/perceptron"].cost.flops > 0
        assert results[f"drawn/{fold}/softmax"].cost.tokens == 0
        assert results[f"drawn/{fold}/softmax"].cost.flops > 0


@pytest.mark.parametrize(
    ("tagger", "option"),
    [(most_frequent, {"endings": 2}), (hidden_markov, {"endings": 2}), (perceptron, {"buckets": 1024})],
)
def test_a_growing_pass_leaves_what_training_from_scratch_leaves(tagger: Any, option: dict[str, int]) -> None:
    training, test = TASK.text.training(0), TASK.text.test(0).first(SMOKE.test)
    ends = [training.end(int(size)) for size in SMOKE.sizes(TASK)[:3]]
    growing = list(tagger(TASK.text, training, ends, test, **option))
    (scratch,) = tagger(TASK.text, training.first(int(SMOKE.sizes(TASK)[2])), ends[2:], test, **option)
    np.testing.assert_array_equal(growing[2], scratch)


@pytest.mark.slow
def test_the_softmax_too(finished: Any, tmp_path: Any) -> None:
    results, _, _ = finished
    short = softmax(SMOKE.__class__(**{**vars(SMOKE), "levels": 5}), TASK, 0, "short")
    with running(tmp_path, EXPERIMENT.name, mesh="data=1") as run:
        alone = accuracies(run.train(short))
    np.testing.assert_array_equal(alone, accuracies(results["drawn/0/softmax"])[:5])


@pytest.mark.slow
def test_estimates_come_from_the_observations_before_them(finished: Any) -> None:
    results, _, _ = finished
    seen = [accuracies(results[f"drawn/{fold}/{name}"]) for fold in SMOKE.folds for name in ("hmm", "softmax")]
    cut = 9
    both = [
        estimated(SMOKE, TASK, *map(Seen, own)) for own in (seen, [np.append(x[:cut], x[cut:] - 0.3) for x in seen])
    ]
    np.testing.assert_array_equal(both[0]["said"][..., :cut], both[1]["said"][..., :cut])
    stops = [own["stops"] for own in both]
    np.testing.assert_array_equal(np.where(stops[0] <= cut, stops[0], 0), np.where(stops[1] <= cut, stops[1], 0))


@pytest.mark.slow
def test_arms_say_what_they_are_called(finished: Any) -> None:
    results, _, _ = finished
    found, x = results["drawn/estimates"].value, SMOKE.sizes(TASK)
    said, seen = dict(zip(ARMS, found["said"], strict=True)), found["observed"]
    np.testing.assert_array_equal(said[LAST], seen)
    level = 8
    np.testing.assert_allclose(said[LAW][..., level - 1], fit(POWER, x[:level], seen[..., :level])(x[-1]))
    np.testing.assert_allclose(said[FIRST][..., level - 1], fit(POWER, x[:3], seen[..., :3])(x[-1]))
    np.testing.assert_allclose(seen[-1], seen[:-1].mean(0))


@pytest.mark.slow
def test_trust_waits_for_what_it_needs_and_no_asymptote_is_clipped(finished: Any) -> None:
    results, _, _ = finished
    found = results["drawn/estimates"].value
    asymptotes, trusted = found["trace"][2], found["trusted"][..., 0]
    assert (asymptotes[..., 2:] > 1).any(), "no curve of the drawn text begins above 1: the test says nothing"
    for place, level in np.ndenumerate(trusted):
        if level <= SMOKE.levels:
            assert asymptotes[place][level - 1] <= 1
            assert (found["stops"][(slice(None), *place, 0)] >= min(level, SMOKE.levels)).all()
    rising = 0.3 + 0.15 * np.log(1 + SMOKE.sizes(TASK) / 200)
    never = estimated(SMOKE, TASK, *[Seen(rising)] * 2)
    assert (never["trusted"] == SMOKE.levels + 1).all()
    assert (never["stops"] == SMOKE.levels + 1).all()


@pytest.mark.slow
def test_report_judges_four_criteria(finished: Any) -> None:
    _, report, folder = finished
    assert len(report.claims) == 4
    assert all(claim.verdict != "not tested" for claim in report.claims)
    titles = [table.title for table in report.tables]
    assert titles[:2] == ["Where training stops", "Errors of the last accuracy"]
    rows = {row[0]: row[1:] for row in report.tables[1].cells()}
    assert set(rows) == set(ARMS)
    assert "Asymptotes, drawn" in (folder / "report.html").read_text()


def test_batches_end_where_levels_end() -> None:
    for task in Config().tasks:
        assert task.step % Config().updates == 0
    assert TURKISH.text is not None


@pytest.mark.slow
@pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")
def test_every_fold_has_the_tokens_that_are_asked_for() -> None:
    cfg = preset("laptop")
    for task in cfg.tasks:
        for fold in cfg.folds:
            assert len(task.text.test(fold).first(cfg.test).places) == cfg.test
            assert len(task.text.training(fold).places) >= cfg.sizes(task)[-1]


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
