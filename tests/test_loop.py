"""The loop: what was interrupted anywhere and resumed ends with the same bits as what was not; NaN is never saved."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import pytest
from spine import Alarm, assert_outcome, cut_short, drive, flat, go, outcome, stage
from toy import Numbers, Stream, Toy, regression

from stagejax import checkpoint, interrupt, loop
from stagejax.handover import Handover
from stagejax.interrupt import Interrupted
from stagejax.loop import Diverged, History, Record
from stagejax.report import Report
from stagejax.stage import Evaluation

HELD_OUT = Evaluation(Numbers(seed=9), 2, every=3)


def pipeline(run: Any) -> tuple[Any, Any]:
    one = run.train(stage("one", steps=7, evaluate=HELD_OUT, save_every=2))
    carry = Handover(moments="carry", schedule="carry", ema="carry", data="carry")
    return one, run.train(stage("two", steps=5, evaluate=HELD_OUT, handover=carry, ema=0.9, save_every=3), one)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    return outcome(path, go(path, pipeline))


# Every batch that is placed on a device is a step or a part of an evaluation: 15 in stage one, 11 in stage two.
@pytest.mark.parametrize(
    ("how", "at"),
    [*(("stop", at) for at in (1, 4, 7, 14, 15, 16, 20, 25)), *(("kill", at) for at in (1, 6, 9, 15, 21, 26))],
)
def test_stopped_at_any_batch_it_ends_with_the_same_bits(tmp_path, monkeypatch, whole, at, how):
    cut_short(tmp_path, monkeypatch, pipeline, at, how)
    assert_outcome(outcome(tmp_path, go(tmp_path, pipeline)), whole)


@pytest.mark.parametrize(("how", "at"), [("stop", 1), ("stop", 4), ("stop", 5), ("kill", 2), ("kill", 4), ("kill", 6)])
def test_stopped_while_saving_it_ends_with_the_same_bits(tmp_path, monkeypatch, whole, at, how):
    cut_short(tmp_path, monkeypatch, pipeline, at, how, of=(checkpoint, "save"))
    assert_outcome(outcome(tmp_path, go(tmp_path, pipeline)), whole)


@pytest.mark.parametrize("at", [1, 3, 6])
def test_killed_while_a_json_page_is_written_it_ends_with_the_same_bits(tmp_path, monkeypatch, whole, at):
    cut_short(tmp_path, monkeypatch, pipeline, at, of=(checkpoint, "write_json"))
    assert_outcome(outcome(tmp_path, go(tmp_path, pipeline)), whole)


def test_stopped_again_and_again_it_ends_with_the_same_bits(tmp_path, monkeypatch, whole):
    results, times = None, 0
    while results is None:
        try:
            with monkeypatch.context() as patch:

                def body(run: Any) -> Any:
                    Alarm(patch, loop, "place", 3, run.stop.set)
                    return pipeline(run)

                results = go(tmp_path, body)
        except Interrupted:
            times += 1
    assert times > 5
    assert_outcome(outcome(tmp_path, results), whole)


def test_a_stop_between_stages_is_heard_at_the_next(tmp_path, whole):
    def body(run: Any) -> Any:
        one = run.train(stage("one", steps=7, evaluate=HELD_OUT, save_every=2))
        run.stop.set()
        assert run.make("made", sorted, [1]) is one

    with pytest.raises(Interrupted, match="between two stages"):
        go(tmp_path, body)
    assert_outcome(outcome(tmp_path, go(tmp_path, pipeline)), whole)


def test_what_a_history_holds(whole):
    history, metrics = whole[0][1], [json.loads(line) for line in whole[0][5].splitlines()]
    assert history.train_steps == [1, 2, 3, 4, 5, 6, 7]
    assert set(history.train) == {"loss", "grad_norm"}
    assert [row["step"] for row in history.evals] == [0, 3, 6, 7]
    assert [row["tokens"] for row in history.evals] == [0, 24, 48, 56]
    flops = [row["flops"] for row in history.evals]
    assert flops == [k * flops[-1] / 7 for k in (0, 3, 6, 7)]
    assert [row["step"] for row in metrics] == [0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 7]
    assert metrics[0]["eval/loss"] == history.evals[0]["loss"]
    assert history.last("loss") == history.evals[-1]["loss"]
    assert np.isnan(History().last("loss"))


def test_the_data_goes_on_with_the_exact_next_batch(whole):
    """The second stage carries the position: its batches are 7, 8, ... of the same stream."""
    assert whole[0][2] == {"step": 7}
    assert whole[1][2] == {"step": 12}


def test_a_record_survives_json():
    record = drive(stage(evaluate=Evaluation(Numbers(seed=9), 1)))[2]
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record


def varying(k: Any) -> Any:
    return 0.1 * (k + 1)


def test_varying_flops_add_up_to_the_same_bits_after_a_resume(tmp_path, monkeypatch):
    def body(run: Any) -> Any:
        return (run.train(stage("v", steps=9, step_flops=varying, save_every=4)),)

    wanted = outcome(tmp_path / "whole", go(tmp_path / "whole", body))
    cut_short(tmp_path / "cut", monkeypatch, body, 7)
    assert_outcome(outcome(tmp_path / "cut", go(tmp_path / "cut", body)), wanted)


# Bad numbers


def saves_of(path: Any, run_body: Any) -> list[int]:
    with pytest.raises(Diverged) as caught:
        go(path, run_body)
    saves_of.message = str(caught.value)
    (entry,) = (path / "store").iterdir()
    assert not (entry / "result.json").exists()
    return checkpoint.steps(entry / "steps")


@pytest.mark.parametrize("seeds", [None, 2])
def test_a_nan_loss_stops_at_its_step_and_keeps_the_saves_before_it(tmp_path, seeds):
    def body(run: Any) -> Any:
        return run.train(stage("nan", data=Numbers(nan_at=7), steps=20, save_every=2, keep=None, seeds=seeds))

    # Batch 7 is of step 8: metrics lag behind, and a save at step 8 would be due.
    assert saves_of(tmp_path, body) == [2, 4, 6]
    assert "stage 'nan': loss is" in saves_of.message
    assert "at step 8 of 20. The last save before it is intact. Lower the peak learning rate" in saves_of.message
    metrics = next(tmp_path.rglob("metrics.jsonl")).read_text()
    assert [json.loads(line)["step"] for line in metrics.splitlines()] == list(range(1, 8))
    with pytest.raises(Diverged, match="step 8 of 20"):
        go(tmp_path, body)


def explodes(steps: int, axes: Any) -> Any:
    import optax

    def rate(count: Any) -> Any:
        return jax.numpy.where(count == 5, jax.numpy.inf, 0.01)

    return optax.sgd(rate)


def test_parameters_that_blow_up_after_a_finite_loss_are_not_saved(tmp_path):
    def body(run: Any) -> Any:
        return run.train(stage("inf", optimizer=explodes, steps=6, save_every=1, keep=None))

    assert saves_of(tmp_path, body) == [1, 2, 3, 4, 5]
    assert "a parameter is not finite after step 6 of 6" in saves_of.message


def candidates(run: Any) -> Any:
    """A search of which the first candidate diverges at step 8."""
    broken = stage("broken", data=Numbers(nan_at=7), steps=20, save_every=2, evaluate=Evaluation(Numbers(seed=9), 1, 4))
    return run.train(broken, may_diverge=True), run.train(stage("sound", steps=6))


def test_a_stage_that_may_diverge_and_does_is_a_result(tmp_path):
    def again(run: Any) -> Any:
        return run.train(stage("next"), candidates(run)[0])

    broken, sound = go(tmp_path, candidates)
    assert (broken.diverged, sound.diverged) == ("loss is nan at step 8 of 20", None)
    assert (broken.steps, broken.cost.steps, broken.cost.tokens) == (8, 8, 64)
    assert broken.cost.flops == pytest.approx(8 / 6 * sound.cost.flops)
    assert broken.history.train_steps == list(range(1, 8))
    assert [row["step"] for row in broken.history.evals] == [0, 4]
    assert (broken, sound) == go(tmp_path, candidates)  # loaded: the same cost, seconds and all
    report = Report("toy", "Toy", "none", ()).to_json(stages=(broken, sound), environment={}, commands=(), config=None)
    assert [page.get("diverged") for page in report["stages"]] == ["loss is nan at step 8 of 20", None]
    with pytest.raises(ValueError, match=r"'broken' diverged \(loss is nan at step 8 of 20\), so nothing can start"):
        go(tmp_path, again)
    with pytest.raises(Diverged, match="'other': loss is nan at step 8 of 20"):
        go(tmp_path, lambda run: run.train(replace(broken.stage, name="other")))  # the same stage, which may not


def test_a_killed_stage_diverges_as_if_never_killed(tmp_path, monkeypatch):
    wanted = go(tmp_path / "whole", candidates)
    cut_short(tmp_path / "cut", monkeypatch, candidates, 6)
    found = go(tmp_path / "cut", candidates)

    def timeless(results: Any) -> list[Any]:
        return [replace(result, cost=replace(result.cost, seconds=0)) for result in results]

    assert timeless(found) == timeless(wanted)


# Data


class Counting(Stream):
    def __next__(self) -> dict[str, np.ndarray]:
        READ.append(self.data.seed)
        return super().__next__()

    def close(self) -> None:
        CLOSED.append(self.data.seed)


@dataclass(frozen=True)
class Counted(Numbers):
    def batches(self, position: Any, shard: Any = (0, 1)) -> Stream:
        return Counting(self, position["step"] if position else 0, shard)


READ: list[int] = []
CLOSED: list[int] = []


def test_held_out_batches_are_read_once_and_every_iterator_is_closed():
    READ.clear()
    CLOSED.clear()
    drive(stage(data=Counted(seed=1), evaluate=Evaluation(Counted(seed=2), 3, every=1)))
    assert (READ.count(1), READ.count(2)) == (4, 3)
    assert sorted(CLOSED) == [1, 2]


class Ending(Stream):
    def __next__(self) -> dict[str, np.ndarray]:
        if self.step == 3:
            raise StopIteration
        return super().__next__()


class Ends(Numbers):
    def batches(self, position: Any, shard: Any = (0, 1)) -> Stream:
        return Ending(self, 0, shard)


def test_data_that_end_before_the_stage_are_named():
    with pytest.raises(ValueError, match=r"stage 'a': its data ended after 3 of 4 batches"):
        drive(stage(data=Ends()))


@dataclass(frozen=True)
class Wrong(Numbers):
    way: str = "dtype"

    def batch(self, step: int) -> dict[str, np.ndarray]:
        batch = super().batch(step)
        if self.way == "dtype":
            return batch | {"y": batch["y"].astype(np.float64)}
        return batch | ({"z": batch["y"]} if self.way == "more" else {"y": batch["y"][:4]})


@pytest.mark.parametrize(
    ("way", "message"),
    [("dtype", r"'y' of a batch is \(\(8,\), 'float64'\), but Wrong.spec\(\) declares \(\(8,\), 'float32'\)"),
     ("more", "'z' of a batch is .* declares none"), ("shape", r"'y' of a batch is \(\(4,\)")],
)  # fmt: skip
def test_batches_that_are_not_as_declared_are_named(way, message):
    with pytest.raises(ValueError, match=message):
        drive(stage(data=Wrong(way=way)))


# Working side by side


def test_work_side_by_side_gives_results_in_order_and_passes_errors_on():
    stop = threading.Event()
    assert interrupt.together([lambda: 1, lambda: 2], stop, "adding") == [1, 2]
    assert interrupt.together([], stop, "nothing") == []
    with pytest.raises(ZeroDivisionError):
        interrupt.together([lambda: 1 / 0], stop, "dividing")


def test_a_stop_is_heard_while_other_threads_work():
    stop, done = threading.Event(), threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Interrupted, match="stopped while compiling; nothing was lost"):
        interrupt.together([done.wait], stop, "compiling")
    done.set()


def test_a_finished_stage_does_not_compile_its_step_again(tmp_path, monkeypatch, whole):
    """Killed after the last save of stage two, before its result was written."""
    go(tmp_path, pipeline)
    last = max((tmp_path / "store").glob("*/result.json"), key=lambda p: p.stat().st_mtime_ns)
    last.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(loop, "place", None)
        results = go(tmp_path, pipeline)
    assert_outcome(outcome(tmp_path, results), whole)


def test_toy_is_what_the_tests_say():
    assert flat({"n": Toy().sizes()["embed"]}) == {"n": 8}
    assert regression.__module__ == "toy"
