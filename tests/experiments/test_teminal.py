"""TeminAL at smoke size: what each arm hears, what is a negative of what, and what is held out of everything."""

from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.multimodal.teminal import (
    A_ONLY,
    B_ONLY,
    BAG,
    EXPERIMENT,
    FORWARD,
    LABELS,
    MIXED,
    PLAIN,
    TWO,
    bag,
    mixed,
    net,
    ordered,
    preset,
    several,
    zste,
)
from stagejax import Plan
from stagejax.data.sound.stitched import ExamCaptions, Ordered, Overlaid, Phrases, Several, Single, event_pairs
from stagejax.objectives.sound.temporal import TemporalContrast

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def arms_of(report: Any) -> dict[str, Any]:
    return {arm.group: arm for arm in report.arms}


def kinds(data: Any) -> set[type]:
    return {type(part) for part in getattr(data, "parts", (data,))}


@pytest.mark.slow
def test_every_arm_has_as_many_updates_at_one_price(finished: Any) -> None:
    _, report, _ = finished
    arms = arms_of(report)
    assert set(arms) == set(LABELS)
    assert {sum(result.steps for result in arm.results) for arm in arms.values()} == {sum(SMOKE.steps[1:])}
    assert {float(arm.cost.flops) for label, arm in arms.items() if label != BAG} == {float(arms[TWO].cost.flops)}
    for label, arm in arms.items():
        assert [start.name for start in arm.charged] == ["0/bag-clap" if label == BAG else "0/clap"]
        rates = {(result.stage.optimizer.peak, result.stage.data.batch) for result in arm.results}
        assert rates == {(SMOKE.peaks[1], SMOKE.items)}


@pytest.mark.slow
def test_stages_hear_what_the_paper_says(finished: Any) -> None:
    _, report, _ = finished
    b = {Ordered, Overlaid, Single}
    heard = {label: [kinds(result.stage.data) for result in arm.results] for label, arm in arms_of(report).items()}
    assert heard == {
        PLAIN: [{Single}], A_ONLY: [{Several}], B_ONLY: [b], MIXED: [b | {Several}],
        TWO: [{Several}, b], FORWARD: [{Several}, b], BAG: [{Several}, b],
    }  # fmt: skip
    owners = ordered(SMOKE, 0).owners(np.arange(1000))
    assert np.bincount(owners).tolist() == [500, 250, 250]
    shares = np.bincount(mixed(SMOKE, 0).owners(np.arange(1000))) / 1000
    np.testing.assert_allclose(shares, [0.4, 0.3, 0.15, 0.15], atol=2e-3)


@pytest.mark.slow
def test_arms_start_where_they_say(finished: Any) -> None:
    results, report, _ = finished
    arms = arms_of(report)
    first, control = arms[TWO].results[0], arms[FORWARD].results[0]
    for path, leaf in flat(first).items():
        np.testing.assert_array_equal(leaf, flat(control)[path])  # one stage A
    assert any(not np.array_equal(leaf, flat(results["0/clap"])[path]) for path, leaf in flat(first).items())
    assert arms[FORWARD].results[1].stage.objective == TemporalContrast(same=0.0, cross=0.0)
    assert arms[TWO].results[1].stage.objective == TemporalContrast()


@pytest.mark.slow
def test_pairs_and_recordings_of_the_tests_are_in_no_stage(finished: Any) -> None:
    _, report, _ = finished
    held = {tuple(pair) for pair in event_pairs(6, SMOKE.held, "held").tolist()}
    exam = zste(SMOKE).data
    members = dict(exam.members)
    assert {name: data.pairs for name, data in members.items()} == {
        "single": "seen", "seen": "seen", "held": "held", "while": "held",
    }  # fmt: skip
    assert all(source.split == "test" for data in members.values() for source in data.sources)
    asked = members["held"].take(np.arange(32))["events"].tolist()
    assert {tuple(pair) for pair in asked} <= held
    for arm in report.arms:
        for result in arm.results:
            data = result.stage.data
            pairs = {tuple(pair) for pair in data.take(np.arange(200))["events"].tolist()}
            assert not pairs & held
            for part in getattr(data, "parts", (data,)):
                assert {source.split for source in part.sources} == {"train"}


@pytest.mark.slow
def test_stage_a_tells_one_event_from_two_and_the_base_knows_its_events(finished: Any) -> None:
    results, report, _ = finished
    assert results["0/clap"].history.last("single") > 0.6  # of six
    first = arms_of(report)[TWO].results[0]
    assert first.history.train["loss"][-1] < first.history.train["loss"][0]
    batch = several(SMOKE, 0).take(np.arange(4))
    assert batch["frames"].shape[1] == batch["tokens"].shape[1] == 2


@pytest.mark.slow
def test_the_report_judges_and_a_plan_does_not(finished: Any) -> None:
    results, report, _ = finished
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}
    lead = results["0/a-then-b/b"].history.last("order_held") - results["0/b-only"].history.last("order_held")
    assert f"{100 * lead:+.1f}" == report.claims[0].shown.split()[0]
    assert [row[0] for row in report.tables[0].rows] == ["stage 0", *LABELS]
    plan = Plan.on("data=1", price=False)
    assert {claim.verdict for claim in EXPERIMENT.pipeline(plan, SMOKE).claims} == {"not tested"}


def test_the_bag_has_no_place_for_when() -> None:
    assert "position.audio" in net(SMOKE).sizes()
    assert "position.audio" not in bag(SMOKE).sizes()
    assert bag(SMOKE).pieces == 1


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_captions_fit_their_presets(name: str) -> None:
    cfg = preset(name)
    names = tuple(event for source in cfg.sources for event in source.names)
    tables = ExamCaptions(Phrases(names, cfg.net.length))()
    assert tables["followed"].shape == (len(names), len(names), cfg.net.length)
