"""Runs: finished stages are loaded, equal ones shared, changed ones refused; artifacts; folders."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from spine import assert_close, assert_outcome, assert_same, cut_short, flat, go, outcome, stage
from test_handover import own_step
from toy import Numbers, Toy, adam

from stagejax import checkpoint, loop
from stagejax.checkpoint import CheckpointError
from stagejax.handover import Handover, HandoverError
from stagejax.identity import program_of
from stagejax.mesh import make_mesh
from stagejax.run import running
from stagejax.stage import Evaluation
from stagejax.workdir import WorkdirError, locked

HELD_OUT = Evaluation(Numbers(seed=9), 1, every=4)


def first(**fields: Any) -> Any:
    return stage("first", **{"steps": 8, "save_every": 2, "keep": None, "evaluate": HELD_OUT, **fields})


def pipeline(run: Any, **fields: Any) -> tuple[Any, Any]:
    one = run.train(first(**fields))
    return one, run.train(stage("second", steps=4, handover=Handover(moments="carry", data="carry")), one)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run: its folder and outcome."""
    path = tmp_path_factory.mktemp("done")
    return path, outcome(path, go(path, pipeline))


@contextlib.contextmanager
def steps_counted(monkeypatch):
    taken: list[str] = []
    inner = loop.place

    def counted(batch: Any, program: Any) -> Any:
        taken.append(program.stage.name)
        return inner(batch, program)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "place", counted)
        yield taken


# Finished and unfinished


def test_a_finished_stage_is_loaded_not_repeated(done, monkeypatch):
    path, wanted = done
    with steps_counted(monkeypatch) as taken:
        assert_outcome(outcome(path, go(path, pipeline)), wanted)
    assert taken == []


def test_only_what_is_missing_is_computed(tmp_path, monkeypatch):
    go(tmp_path, lambda run: run.train(first()))
    with steps_counted(monkeypatch) as taken:
        go(tmp_path, pipeline)
    assert taken == ["second"] * 4


def test_a_loaded_stage_knows_what_the_trained_one_knew(tmp_path):
    one, again = go(tmp_path, lambda run: run.train(first())), go(tmp_path, lambda run: run.train(first()))
    assert one == again  # functions aside, every field: cost with seconds, history, digest, table
    assert_same(one.state(), again.state())
    assert (one.kind, one.steps, one.parameters, one.generation) == ("train", 8, 160, 0)


def test_a_run_goes_on_on_another_mesh(tmp_path, monkeypatch, done):
    def cut(run: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(loop, "_due", lambda *args: run.stop.set() if args[1] == 4 else False)
            return run.train(first())

    with pytest.raises(loop.Interrupted):
        go(tmp_path, cut)
    two = go(tmp_path, pipeline, mesh="data=2,fsdp=2")
    assert_close(
        flat(two[1].state().params),
        {k[7:]: v for k, v in done[1][1][-1].items() if k.startswith("params/")},
        rtol=1e-4,
        atol=1e-6,
    )


def test_saves_are_kept_as_declared(tmp_path):
    def kept(**fields: Any) -> list[int]:
        result = go(tmp_path, lambda run: run.train(first(seed=len(list(tmp_path.rglob("result.json"))), **fields)))
        return checkpoint.steps(tmp_path / "store" / result.fingerprint / "steps")

    (tmp_path / "store").mkdir()
    (tmp_path / "run.json").write_text('{"experiment": "toy", "store": null}')
    assert kept() == [2, 4, 6, 8]
    (tmp_path / "stages" / "first.json").unlink()
    assert kept(keep=2) == [6, 8]
    (tmp_path / "stages" / "first.json").unlink()
    assert kept(keep=1, save_every=None) == [8]


# Sharing


def test_the_same_declaration_under_another_name_shares_its_result(tmp_path, monkeypatch):
    def body(run: Any) -> Any:
        one = run.train(first())
        return one, run.train(stage("other/name", steps=8, save_every=3, evaluate=HELD_OUT))

    with steps_counted(monkeypatch) as taken:
        one, other = go(tmp_path, body)
    assert set(taken) == {"first"}
    assert (one.digest, one.fingerprint, other.name) == (other.digest, other.fingerprint, "other/name")


def test_stages_that_differ_in_their_evaluation_share_their_step():
    programs: dict[str, Any] = {}
    wider = Evaluation(Numbers(samples=16), 1)
    stages = [stage("a", evaluate=HELD_OUT), stage("b"), stage("c", evaluate=wider), stage("d", evaluate=HELD_OUT)]
    a, b, c, d = (program_of(programs, each, make_mesh("data=1"), {}) for each in stages)
    assert a.cache is b.cache is c.cache is d.cache
    assert a.scores is d.scores
    assert (a.score_flops(), b.score_flops(), c.score_flops()) == (a.score_flops(), 0, 2 * a.score_flops())
    other = program_of(programs, stage("e", model=Toy(embed=12)), make_mesh("data=1"), {})
    assert other.cache is not a.cache


def test_runs_share_a_store(tmp_path, monkeypatch):
    store = tmp_path / "store"
    wanted = go(tmp_path / "a", pipeline, store=store)
    with steps_counted(monkeypatch) as taken:
        found = go(tmp_path / "b", pipeline, store=store)
        assert go(tmp_path / "a", pipeline)[1].digest == wanted[1].digest  # the workdir remembers its store
    assert taken == []
    assert [r.digest for r in found] == [r.digest for r in wanted]
    with pytest.raises(WorkdirError, match=r"keeps its results in .*store, not in .*elsewhere"):
        go(tmp_path / "a", pipeline, store=tmp_path / "elsewhere")


def test_two_runs_do_not_compute_one_result_at_once(tmp_path):
    def body(run: Any) -> Any:
        entry = run.workdir.claim("x", "train", {"a": 1})
        with locked(entry.path), pytest.raises(WorkdirError, match=r"in use by another process"):
            run._page(entry, dict)

    go(tmp_path, body)


# Changes


def changed_adam(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.adamw(optax.linear_schedule(2e-2, 0.0, steps))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"steps": 9}, r"stage\.steps: 8 -> 9"),
        ({"seed": 1}, r"stage\.seed: 0 -> 1"),
        ({"model": Toy(noise=0.2)}, r"stage\.model\.noise: 0\.1 -> 0\.2"),
        ({"data": Numbers(seed=3)}, r"stage\.data\.seed: 0 -> 3"),
        ({"optimizer": changed_adam}, r"stage\.optimizer\.function: .*toy:adam.* -> .*test_run:changed_adam"),
        ({"handover": Handover(params="reset")}, r'stage\.handover\.params: "carry" -> "reset"'),
    ],
)
def test_a_changed_declaration_is_refused_with_its_difference(done, fields, line):
    with pytest.raises(WorkdirError, match=line) as caught:
        go(done[0], lambda run: pipeline(run, **fields))
    assert "train 'first' in" in str(caught.value)
    assert "Use a new --workdir" in str(caught.value)


def test_what_does_not_change_the_result_may_change(done):
    assert go(done[0], lambda run: pipeline(run, save_every=5, keep=1))[1].digest == done[1][1][0]


@dataclass(frozen=True)
class OnDisk(Numbers):
    """Numbers that lie in a file."""

    path: str = ""

    def digest(self) -> str:
        return Path(self.path).read_text()


def test_data_that_changed_on_disk_are_refused(tmp_path, monkeypatch):
    """Also by a stage that is finished, where they are at hand; and by one that is not, whose batches they would be."""

    def body(run: Any) -> Any:
        return run.train(stage("one", steps=4, save_every=2, data=OnDisk(path=str(file))))

    file = tmp_path / "numbers"
    file.write_text("a")
    wanted = go(tmp_path / "run", body)
    cut_short(tmp_path / "cut", monkeypatch, body, 3)
    file.unlink()
    assert go(tmp_path / "run", body) == wanted
    file.write_text("b")
    for place in ("run", "cut"):
        with pytest.raises(WorkdirError, match=r"stage 'one': its data changed since it was trained"):
            go(tmp_path / place, body)
    file.write_text("a")
    assert go(tmp_path / "cut", body).digest == wanted.digest


def test_a_changed_parent_changes_its_child(tmp_path):
    def body(run: Any, seed: int) -> Any:
        return run.train(stage("two", steps=2), run.train(stage(f"one{seed}", seed=seed)))

    go(tmp_path, lambda run: body(run, 0))
    with pytest.raises(WorkdirError, match=r"start: "):
        go(tmp_path, lambda run: body(run, 1))


def test_a_stage_that_never_saved_anything_may_be_corrected(tmp_path):
    def body(run: Any, **fields: Any) -> Any:
        return run.train(stage("two", **fields), run.train(first()))

    with pytest.raises(HandoverError):
        go(tmp_path, lambda run: body(run, model=Toy(embed=4)))
    assert go(tmp_path, lambda run: body(run)).steps == 4


def test_names_are_unique_and_proper(tmp_path):
    with pytest.raises(ValueError, match=r"two stages of this pipeline are named 'first'"):
        go(tmp_path, lambda run: (run.train(first()), run.make("first", sorted, [1])))
    with pytest.raises(ValueError, match=r"words joined by single slashes"):
        go(tmp_path, lambda run: run.make("../out", sorted, [1]))


def test_a_lambda_in_the_configuration_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"bad\.objective holds .*lambda"):
        go(tmp_path, lambda run: run.train(stage("bad", objective=lambda model, batch, key: (0.0, {}))))
    assert not list(tmp_path.glob("stages/*"))


# Hand-over through the disk


def test_a_carried_position_needs_one(tmp_path):
    def body(run: Any) -> Any:
        one = run.train(first())
        fields = {"model": {"a": Toy()}, "step": own_step, "optimizer": {"a": adam}, "objective": None}
        return run.train(stage("two", handover=Handover(data="carry"), **fields), {"a": one})

    with pytest.raises(HandoverError, match=r"from several results"):
        go(tmp_path, body)


def test_models_that_trained_together_part_ways(tmp_path):
    def body(run: Any) -> Any:
        one = run.train(first())
        fields = {
            "model": {"a": Toy(), "b": Toy()},
            "step": own_step,
            "optimizer": {"a": adam, "b": None},
            "objective": None,
        }
        both = run.train(stage("both", steps=1, **fields), {"a": one})
        return one, both, run.train(stage("alone", steps=1), both.member("a"))

    one, both, alone = go(tmp_path, body)
    assert_same(both.state()["a"].params, one.state().params)
    assert ("params", "3", "160", "carry", "") in alone.handover
    assert alone.generation == 2
    with pytest.raises(KeyError, match=r"has no model 'c'; it has a, b"):
        both.member("c")
    with pytest.raises(KeyError, match=r"it has only one"):
        one.member("a")


def test_a_state_is_born_with_its_shardings(tmp_path):
    one, two = go(tmp_path, pipeline, mesh="data=2,fsdp=2")
    for result in (one, two):
        assert result.state().params["up"].sharding.spec == jax.P(None, "fsdp")


# Artifacts


def numbers(seed: int) -> dict[str, np.ndarray]:
    CALLS.append(seed)
    return {"a": np.arange(3) + seed, "b": np.ones((2, 2), np.float32)}


def table(result: Any, scale: float) -> dict[str, Any]:
    CALLS.append(result.name)
    return {"names": ("x", "y"), "scale": scale, "loss": result.history.last("loss")}


def unwritable() -> Any:
    return {"a": object()}


CALLS: list[Any] = []


def test_an_artifact_is_made_once_and_comes_back_the_same(tmp_path):
    def body(run: Any) -> Any:
        arrays = run.make("arrays", numbers, 4)
        return arrays, run.make("table", table, run.train(first()), 0.5)

    CALLS.clear()
    made, loaded = go(tmp_path, body), go(tmp_path, body)
    assert CALLS == [4, "first"]
    for arrays, page in (made, loaded):
        assert_same(arrays.value, numbers(4))
        assert page.value["names"] == ["x", "y"]
        assert page.generation == 0
    assert made[1].value == loaded[1].value
    with pytest.raises(WorkdirError, match=r"inputs\[0\]: 4 -> 5"):
        go(tmp_path, lambda run: run.make("arrays", numbers, 5))
    with pytest.raises(ValueError, match=r"make 'arrays' has no train state"):
        made[0].state()


def test_an_artifact_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(TypeError, match=r"an artifact is JSON or a dictionary of numpy arrays, but .*object"):
        go(tmp_path, lambda run: run.make("bad", unwritable))


@pytest.mark.parametrize("dtype", ["bfloat16", "object"])
def test_arrays_that_numpy_files_do_not_hold_are_named(tmp_path, dtype):
    with pytest.raises(TypeError, match=rf"array 'a' of an artifact is {dtype}"):
        go(tmp_path, lambda run: run.make("made", ones, dtype))


def test_an_array_may_have_any_name(tmp_path):
    assert go(tmp_path, lambda run: run.make("made", ones, "int8", "file")).value["file"].tolist() == [1, 1]


def ones(dtype: str, name: str = "a") -> dict[str, np.ndarray]:
    return {name: np.ones(2, jax.numpy.dtype(dtype))}


def test_a_damaged_artifact_is_not_used(tmp_path):
    result = go(tmp_path, lambda run: run.make("arrays", numbers, 4))
    page = tmp_path / "store" / result.fingerprint / "value.npz"
    with page.open("wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(CheckpointError, match=r"sha256 differs"):
        go(tmp_path, lambda run: run.make("arrays", numbers, 4))
    page.write_bytes(page.read_bytes()[:40])
    with pytest.raises(CheckpointError, match=r"value\.npz is damaged"):
        go(tmp_path, lambda run: run.make("arrays", numbers, 4))


# Folders


def test_a_run_whose_store_is_not_there_does_not_begin_anew(tmp_path, monkeypatch):
    def body(run: Any) -> Any:
        return run.make("arrays", numbers, 4)

    go(tmp_path / "run", body, store=tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "moved")
    with pytest.raises(WorkdirError, match=r"run keeps its results in .*store, which is not there. Put it back, or"):
        go(tmp_path / "run", body)
    (tmp_path / "moved").rename(tmp_path / "store")
    go(tmp_path / "run", body)
    go(tmp_path / "own", body, store=tmp_path / "own" / "store")
    (tmp_path / "own").rename(tmp_path / "elsewhere")
    CALLS.clear()
    assert go(tmp_path / "elsewhere", body).value["a"].tolist() == [4, 5, 6]
    assert CALLS == []


@pytest.mark.parametrize("text", ["", "{}", "null", "[1]"])
def test_a_damaged_run_page_says_what_to_write(tmp_path, text):
    go(tmp_path, lambda run: run.make("arrays", numbers, 4))
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(
        WorkdirError, match=r'run.json is damaged .*Write \{"experiment": NAME, "store": null\} into it'
    ):
        go(tmp_path, lambda run: None)
    (tmp_path / "run.json").write_text('{"experiment": "toy", "store": null}')
    CALLS.clear()
    go(tmp_path, lambda run: run.make("arrays", numbers, 4))
    assert CALLS == []


def test_a_folder_of_another_experiment_is_refused(done):
    with (
        pytest.raises(WorkdirError, match=r"is the workdir of experiment 'toy', not of 'other'"),
        running(done[0], "other"),
    ):
        pass


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(WorkdirError, match=r"holds files that are no run of stagejax"), running(tmp_path, "toy"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(WorkdirError, match=r"holds files that are no run"), running(tmp_path / "thesis.tex", "toy"):
        pass


def test_a_damaged_page_names_itself(tmp_path):
    go(tmp_path, lambda run: run.train(first()))
    page = tmp_path / "stages" / "first.json"
    page.write_text(page.read_text()[:30])
    with pytest.raises(CheckpointError, match=r"stages/first\.json is damaged"):
        go(tmp_path, lambda run: run.train(first()))


def test_a_second_process_is_refused(tmp_path):
    code = f"from stagejax.run import running\nwith running({str(tmp_path)!r}, 'toy'): pass\n"
    environment = {**os.environ, "XLA_FLAGS": ""}
    with running(tmp_path, "toy", mesh="data=1"):
        second = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert second.returncode == 1
    assert f"{tmp_path} is in use by another process (process {os.getpid()})" in second.stderr
    with running(tmp_path, "toy", mesh="data=1"):
        pass


def test_a_file_is_no_place_for_a_workdir():
    with pytest.raises(WorkdirError, match=r"cannot write to the workdir"), running(Path("/proc/none"), "toy"):
        pass
