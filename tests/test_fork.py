"""Forks: runs that depart from a save of another one, and from then on are their own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from spine import Alarm, assert_same, flat, go, outcome, stage
from test_run import changed_adam, pipeline, steps_counted
from toy import Toy

from stagejax import loop
from stagejax.checkpoint import CheckpointError
from stagejax.fork import forked
from stagejax.interrupt import Interrupted
from stagejax.run import Fork
from stagejax.workdir import WorkdirError


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run: its folder and outcome."""
    path = tmp_path_factory.mktemp("done")
    return path, outcome(path, go(path, pipeline))


def test_a_fork_of_the_same_declaration_ends_with_the_same_bits(tmp_path, done, monkeypatch):
    source, wanted = done
    with steps_counted(monkeypatch) as taken:
        results = go(tmp_path, pipeline, fork=Fork(source, "first", 4))
    assert taken.count("first") == 4 + 1  # steps 5 to 8, and the evaluation at 8; the one at 4 is inherited
    found = outcome(tmp_path, results)
    assert found[0][0] == wanted[0][0]
    assert found[0][1:6] == wanted[0][1:6]  # history, position, cost, table, metrics
    assert_same(found[0][-1], wanted[0][-1])
    assert found[1][0] == wanted[1][0]
    with steps_counted(monkeypatch) as taken:
        go(tmp_path, pipeline, fork=Fork(source, "first", 4))
    assert taken == []


def test_stages_before_the_fork_are_taken_from_its_source(tmp_path, done, monkeypatch):
    with steps_counted(monkeypatch) as taken:
        _, two = go(tmp_path, pipeline, fork=Fork(done[0], "second", 4))
    assert taken == []
    assert two.digest == done[1][1][0]


def test_a_fork_at_the_end_of_a_stage_hands_its_state_on(tmp_path, done):
    one, two = go(tmp_path, pipeline, fork=Fork(done[0], "first", 8))
    assert_same(flat(one.state()), done[1][0][-1])
    assert two.digest == done[1][1][0]


def test_a_fork_may_change_the_schedule(tmp_path, done):
    one, _ = go(tmp_path, lambda run: pipeline(run, optimizer=changed_adam), fork=Fork(done[0], "first", 4))
    assert one.digest != done[1][0][0]
    assert one.history.train["loss"][:5] == done[1][0][1].train["loss"][:5]  # the fifth is of the forked parameters
    assert one.history.train["loss"][6] != done[1][0][1].train["loss"][6]


def test_a_fork_goes_on_when_the_save_that_it_began_with_is_gone(tmp_path, done, monkeypatch):
    """A source that trains on keeps its last saves only. And a folder is that of where the run was started."""
    shutil.copytree(done[0], tmp_path / "source")
    fork = Fork(Path("source"), "first", 4)

    def elsewhere(run: Any) -> Any:
        Alarm(monkeypatch, loop, "place", 3, run.stop.set)
        monkeypatch.chdir("/")
        return pipeline(run)

    monkeypatch.chdir(tmp_path)
    with pytest.raises(Interrupted, match="step 7 of 8"):
        go(tmp_path / "own", elsewhere, fork=fork)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(forked(fork).steps / "4")
    assert go(tmp_path / "own", pipeline, fork=fork)[0].digest == done[1][0][0]
    with pytest.raises(ValueError, match=r"has no save at step 4; it has \[2, 6, 8\]"):
        go(tmp_path / "other", pipeline, fork=fork)


def test_a_fork_that_cannot_be_says_what_there_is(tmp_path, done):
    source = done[0]
    assert Fork.parse(f"{source}/first@4") == Fork(source, "first", 4)
    for text in ("first", "first@x", f"{source}/first"):
        with pytest.raises(ValueError, match=r"write it as WORKDIR/STAGE@STEP"):
            Fork.parse(text)
    with pytest.raises(ValueError, match=r"no folder along .* is the workdir of a run"):
        Fork.parse(f"{tmp_path}/first@4")
    with pytest.raises(WorkdirError, match=r"has no stage 'third'; it has: first, second"):
        go(tmp_path, pipeline, fork=Fork(source, "third", 4))
    with pytest.raises(ValueError, match=r"has no save at step 3; it has \[2, 4, 6, 8\]"):
        go(tmp_path, pipeline, fork=Fork(source, "first", 3))
    with pytest.raises(WorkdirError, match=r"is not the workdir of a run"):
        go(tmp_path, pipeline, fork=Fork(tmp_path, "first", 3))
    with pytest.raises(ValueError, match=r"has 3 steps, but is forked at step 4"):
        go(tmp_path, lambda run: run.train(stage("first", steps=3)), fork=Fork(source, "first", 4))
    with pytest.raises(ValueError, match=r"this pipeline has no stage 'first' to fork; it has: other"):
        go(tmp_path, lambda run: run.train(stage("other")), fork=Fork(source, "first", 4))


def test_a_fork_of_another_model_is_refused_leaf_by_leaf(tmp_path, done):
    with pytest.raises(
        CheckpointError, match=r"params/blocks: float32\[2, 8, 8\] in the checkpoint, float32\[3, 8, 8\] in the model"
    ):
        go(tmp_path, lambda run: pipeline(run, model=Toy(layers=3)), fork=Fork(done[0], "first", 4))
