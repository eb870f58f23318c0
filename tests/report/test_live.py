"""Metrics and progress while a stage runs."""

from __future__ import annotations

import io
import sys
import types

import jax
import numpy as np
import pytest
from rich.console import Console

from stagejax.report.metrics import JsonlWriter, TensorBoardWriter, WandbWriter, read_jsonl
from stagejax.report.progress import Progress


def write(path, steps, **options):
    writer = JsonlWriter(path, **options)
    for step in steps:
        writer.write(step, {"loss": 10.0 - step})
    writer.close()


def test_jsonl_resumed_equals_uninterrupted(tmp_path):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "sub" / "cut.jsonl"
    write(whole, range(1, 9))
    write(cut, range(1, 7))
    with cut.open("a") as file:
        file.write('{"step": 7, "lo')  # killed while writing
    write(cut, range(5, 9), resume_at=4)
    assert cut.read_bytes() == whole.read_bytes()
    assert [row["step"] for row in read_jsonl(cut)] == list(range(1, 9))


def test_jsonl_keeps_an_evaluation_at_the_resumed_step_and_drops_a_torn_line(tmp_path):
    path = tmp_path / "m.jsonl"
    writer = JsonlWriter(path)
    writer.write(2, {"loss": 1.0})
    writer.write(2, {"eval/loss": 2.0})
    writer.close()
    with path.open("a") as file:
        file.write('{"step": 3, "loss": 1.0}')  # whole JSON, but its line did not end
    JsonlWriter(path, resume_at=3).close()
    assert [set(row) - {"step"} for row in read_jsonl(path)] == [{"loss"}, {"eval/loss"}]
    JsonlWriter(path).close()  # the stage begins again
    assert path.read_text() == ""


def test_jsonl_is_strict_json_and_readable_while_open(tmp_path):
    writer = JsonlWriter(tmp_path / "m.jsonl")
    writer.write(1, {"loss": float("nan"), "norm": np.float32(2.0), "seeds": np.array([1.0, np.inf])})
    assert read_jsonl(tmp_path / "m.jsonl") == [{"step": 1, "loss": None, "norm": 2.0, "seeds": [1.0, None]}]
    writer.close()
    writer.close()


def test_only_the_first_process_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    write(tmp_path / "m.jsonl", range(3))
    assert not (tmp_path / "m.jsonl").exists()
    with Progress(3, title="quiet") as progress:
        progress.update(3, {"loss": 1.0})
    assert capsys.readouterr().out == ""


def test_missing_extras_name_their_install_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"pip install 'stagejax\[tensorboard\]'"):
        TensorBoardWriter(tmp_path)
    with pytest.raises(ImportError, match=r"pip install 'stagejax\[wandb\]'"):
        WandbWriter(tmp_path, "project", "name")


class Recorder:
    """Stands in for a TensorBoard writer and for a W&B run."""

    def __init__(self, **options):
        self.options, self.rows, self.closed = options, [], False

    def add_scalar(self, name, value, global_step):
        self.rows.append((global_step, name, value))

    def log(self, values, step):
        self.rows.append((step, values))

    def close(self):
        self.closed = True

    finish = close


def test_tensorboard_purges_on_resume(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=Recorder))
    writer = TensorBoardWriter(tmp_path, resume_at=4)
    writer.write(5, {"loss": [1.0, 2.0], "norm": 3})
    writer.close()
    assert writer._writer.options == {"logdir": str(tmp_path), "purge_step": 5}
    assert writer._writer.rows == [(5, "loss/0", 1.0), (5, "loss/1", 2.0), (5, "norm", 3.0)]
    assert writer._writer.closed


def test_tensorboard_writes_events(tmp_path):
    pytest.importorskip("tensorboardX")
    writer = TensorBoardWriter(tmp_path)
    writer.write(1, {"loss": 1.0})
    writer.close()
    assert list(tmp_path.glob("events.*"))


def test_wandb_continues_its_run(tmp_path, monkeypatch):
    ids = iter(["first", "second"])
    fake = types.SimpleNamespace(init=Recorder, util=types.SimpleNamespace(generate_id=lambda: next(ids)))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    runs = [WandbWriter(tmp_path / "run", "growth", "fpi", {"lr": 1e-3}) for _ in range(2)]
    assert [run._run.options["id"] for run in runs] == ["first", "first"]
    assert runs[0]._run.options["resume"] == "allow"
    runs[0].write(3, {"loss": 1.0})
    assert runs[0]._run.rows == [(3, {"loss": 1.0})]


def test_plain_progress(capsys):
    with Progress(6, start=2, title="large/fpi", unit_tokens=1024, line_seconds=0.0) as progress:
        for step in (3, 4, 5, 6):
            progress.update(step, {"loss": [2.0, 3.0]})
        progress.update(6, {"eval/loss": 2.25})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "large/fpi  2/6"
    assert all(line.startswith("large/fpi  ") for line in lines)
    assert "loss 2.500" in lines[1]
    assert "steps/s" in lines[1]
    assert "tokens/s" in lines[1]
    assert "left" in lines[1]
    assert "6/6" in lines[-1]
    assert "eval/loss 2.250" in lines[-1]
    assert "left" not in lines[-1]
    assert "\x1b" not in "".join(lines)


def test_plain_progress_is_sparing_and_tells_what_stopped_it(capsys):
    def train():
        with Progress(1000, title="small") as progress:
            for step in range(1, 501):
                progress.update(step, {"loss": 1.0})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[-1].startswith("small  500/1000")
    assert lines[-1].endswith("stopped by KeyboardInterrupt")


def test_a_stage_with_nothing_left_to_do(capsys):
    with Progress(5, start=5, title="done"):
        pass
    assert capsys.readouterr().out.splitlines() == ["done  5/5", "done  5/5"]


def test_a_terminal_gets_a_bar():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, legacy_windows=False, _environ={"TERM": "xterm"})
    with Progress(4, title="[large]", unit_tokens=8, console=console) as progress:
        for step in (1, 2, 3, 4):
            progress.update(step, {"loss": 2.0})
    text = out.getvalue()
    assert "[large]" in text
    assert "4/4" in text
    assert "loss 2.000" in text
