"""Which committed versions of a result count as one made again."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from experiments.benchmarks import repetitions


@pytest.fixture
def committed(tmp_path: Path) -> Any:
    """Commits a page as the next version of a result, in a repository of its own."""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    path = tmp_path / "e-laptop.json"

    def commit(cpu: str | None, score: str, verdict: str, steps: int = 3) -> Path:
        page = {
            "experiment": "e",
            "preset": "laptop",
            "seeds": [0, 1],
            "commit": score,
            "environment": {"cpu": cpu},
            "config": {"steps": steps},
            "claims": [{"statement": "a wins", "shown": score, "verdict": verdict}],
            "tables": [{"title": "T", "columns": ["arm", "score"], "rows": [["a", score]]}],
        }
        path.write_text(json.dumps(page))
        git("add", path.name)
        git("commit", "-m", score)
        return path

    return commit


def test_only_another_cpu_with_the_same_settings_counts(committed: Any) -> None:
    committed(None, "1.0 ± 1.0", "holds")  # on a CPU that nobody named
    committed("one", "2.0 ± 1.0", "holds")
    committed("one", "3.0 ± 1.0", "holds")  # on the same one
    committed("two", "5.0 ± 1.0", "does not hold")
    path = committed("one", "9.0 ± 1.0", "holds", steps=4)  # with other settings
    (row,) = repetitions.repetitions(path)
    assert row["commits"] == ["3.0 ± 1.0", "5.0 ± 1.0"]
    assert (row["judged"], row["turned"], row["moved"]) == (1, ("a wins",), 2.0)


def test_a_history_without_repetitions_is_said_to_be_shallow(
    committed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed("one", "2.0 ± 1.0", "holds")
    monkeypatch.setattr(repetitions, "results_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="shallow"):
        repetitions.main(repetitions.Config(tmp_path / "out.txt"))


def test_what_is_stored_counts_all_rows(
    committed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    committed("one", "2.0 ± 1.0", "holds")
    committed("two", "2.5 ± 1.0", "holds")
    monkeypatch.setattr(repetitions, "results_folder", lambda: tmp_path)
    repetitions.main(repetitions.Config(tmp_path / "out.txt"))
    page = json.loads((tmp_path / "out.txt").read_text())
    assert (page["results"], page["judged"], page["turned"], page["moved"]) == (1, 1, 0, 0.5)
    assert "0 of 1 verdicts turned" in capsys.readouterr().out
