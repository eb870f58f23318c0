"""`stagejax new`: what it writes runs at once and passes its own test."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from stagejax.commands.new import command_new, write_experiment

ROOT = Path(__file__).parents[1]


@pytest.mark.slow  # runs pytest in a process of its own
def test_a_new_experiment_runs_and_passes_its_tests(tmp_path: Path) -> None:
    (tmp_path / "tests" / "experiments").mkdir(parents=True)
    written = write_experiment("my_system", "own", root=tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in written]
    assert names == [
        "experiments/__init__.py",
        "experiments/own/__init__.py",
        "experiments/own/my_system.py",
        "tests/experiments/test_my_system.py",
    ]
    assert "template" not in written[2].read_text()
    path = os.pathsep.join(map(str, [tmp_path, ROOT, ROOT / "tests" / "experiments"]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", str(written[-1])],
        env=os.environ | {"PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "family", "says"),
    [
        ("bert2bert", "growth", "already"),
        ("My System", "growth", "lower case"),
        ("class", "growth", "lower case"),
        ("fine", "not fine", "family 'not fine'"),
    ],
)
def test_a_bad_name_is_refused(name: str, family: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        write_experiment(name, family, root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    write_experiment("mine", "own", root=tmp_path)
    with pytest.raises(ValueError, match="is there already"):
        write_experiment("mine", "own", root=tmp_path)


def test_what_is_written_elsewhere_is_found_by_the_command_that_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_new(Namespace(name="mine", family="own", root=tmp_path), []) == 0
    shown = capsys.readouterr().out
    assert f"PYTHONPATH={tmp_path} stagejax run mine --preset smoke" in shown
    assert "test_golden" not in shown
    done = subprocess.run(
        [sys.executable, "-m", "stagejax.cli", "show", "mine"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert "mine: one sentence that says what the system does" in done.stdout, done.stderr
