"""The command line as people use it: output and exit codes, of two real processes and of calls to the entry point."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from spine import stage
from toy import Numbers, Toy

from stagejax.cli import explained, main
from stagejax.commands.experiments import remembered
from stagejax.committed import results_folder
from stagejax.experiment import CALLED, Experiment, find, glance, modules
from stagejax.growth import DirectCopy
from stagejax.note import noted
from stagejax.report import Report
from stagejax.workdir import WorkdirError


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def stagejax(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The command inside this process, in an empty folder: another process takes seconds to import JAX."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os._exit", sys.exit)  # by which a failure leaves, whatever still compiles

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert isinstance(stopped.value.code, int)
        return Done(stopped.value.code, *capsys.readouterr())

    return call


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "stagejax.cli", *arguments], capture_output=True, text=True)


def test_as_a_process_it_prints_and_leaves_with_its_code(tmp_path: Path) -> None:
    shown = process("show", "bert2bert")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "arXiv 2110.07143" in shown.stdout
    failed = process("report", str(tmp_path))
    assert failed.returncode == 1
    assert "report.json" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("list",), ("show", "bert2bert"), ("run", "bert2brt"), ("lisst",)])
def test_what_needs_no_jax_does_not_wait_for_it(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code = """import atexit, os, sys
os._exit = sys.exit  # by which a failure leaves
atexit.register(lambda: print("jax" in sys.modules, "numpy" in sys.modules))
from stagejax.cli import explained, main
from stagejax.commands.experiments import remembered
from stagejax.committed import results_folder
main()"""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == (2 if arguments[-1] in ("bert2brt", "lisst") else 0), done.stderr
    assert done.stdout.splitlines()[-1] == "False False"


def test_a_glance_says_what_the_module_says() -> None:
    for name in modules():
        said, experiment = glance(name), find(name)
        assert said.pop("doc") == importlib.import_module(experiment.module).__doc__
        assert said == {field: value for field, value in vars(experiment).items() if field not in CALLED}


def test_an_experiment_that_is_not_made_of_constants_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        '"""Doc."""\nfrom stagejax import Experiment\nTITLE = "computed"\n'
        'EXPERIMENT = Experiment(name="odd", title=TITLE, reference="r", pipeline=print, preset=print)\n'
    )
    (tmp_path / "odd_family").mkdir()
    (tmp_path / "odd_family" / "odd.py").write_text(source)
    monkeypatch.setattr("experiments.__path__", [str(tmp_path)])
    monkeypatch.setattr("stagejax.experiment.home", lambda: tmp_path)
    monkeypatch.setattr("stagejax.experiment.modules", lambda: {"odd": "experiments.odd_family.odd"})
    assert glance("odd")["title"] == "computed"


def test_list_is_for_people_and_machines(stagejax: Callable[..., Done]) -> None:
    rows = json.loads(stagejax("list", "--json").stdout)
    row = next(row for row in rows if row["name"] == "bert2bert")
    assert row["paper"] == 22
    assert row["family"] == "growth"
    assert row["presets"] == ["smoke", "laptop", "pod"]
    assert "bert2bert" in stagejax("list").stdout


@pytest.mark.parametrize(
    "command", ["list", "show", "run", "plan", "fork", "report", "compare", "params", "grow", "audit", "new"]
)
def test_every_command_explains_itself_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"stagejax {command}" in capsys.readouterr().out.split("examples:")[1]


def test_help_of_an_experiment_lists_its_fields(stagejax: Callable[..., Done]) -> None:
    shown = stagejax("run", "bert2bert", "--help")
    assert shown.returncode == 0
    assert "--large.embed" in shown.stdout


def test_a_run_is_compared_with_the_committed_result_of_its_preset(
    stagejax: Callable[..., Done], tmp_path: Path
) -> None:
    committed = json.loads((results_folder() / "bert2bert-laptop.json").read_text(encoding="utf-8"))
    (tmp_path / "report.json").write_text(json.dumps(committed))
    same = stagejax("compare", str(tmp_path))
    assert same.returncode == 0
    assert f"0 of {len(committed['claims'])} verdicts turned" in same.stdout
    committed["claims"][0]["verdict"] = "does not hold"
    (tmp_path / "report.json").write_text(json.dumps(committed))
    turned = stagejax("compare", str(tmp_path))
    assert turned.returncode == 1
    assert "holds → does not hold" in turned.stdout
    assert "1 of" in turned.stdout
    committed["claims"][0]["statement"] = "said otherwise"
    (tmp_path / "report.json").write_text(json.dumps(committed))
    assert "absent → does not hold" in stagejax("compare", str(tmp_path)).stdout
    (tmp_path / "report.json").write_text(json.dumps({**committed, "preset": "mine"}))
    assert "no committed result of preset 'mine'" in stagejax("compare", str(tmp_path)).stderr
    (tmp_path / "other.json").write_text("[]")
    assert "other.json is no report.json" in stagejax("compare", str(tmp_path / "other.json")).stderr
    for name in ("bert2bert-laptop", "bert2bert-laptop-gpt"):  # of one preset: the one with the same settings is found
        own = stagejax("compare", str(results_folder() / f"{name}.json"))
        assert own.returncode == 0
        assert "settings that differ" not in own.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "bert2brt"), "Did you mean 'bert2bert'?"),
        (("show", "bert"), "Did you mean 'bert2bert'?"),
        (("run", "bert2bert", "--preset", "labtop"), "Did you mean 'laptop'?"),
        (("run", "bert2bert", "--preset", "smoke", "--stepps", "3"), "--steps"),
        (("run", "bert2bert", "--preset", "smoke", "--steps", "many"), "many"),
        (("params", "bert2bert", "--preset", "smoke", "--stage", "scrtch/0"), "Did you mean 'scratch/0'?"),
    ],
)
def test_wrong_names_are_refused_with_a_hint(
    stagejax: Callable[..., Done], arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = stagejax(*arguments)
    assert done.returncode == 2
    assert says in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run",), "required: name; `stagejax list` shows those there are"),
        (("plan", "--preset", "smoke"), "required: name"),
        (("fork", "runs/one/scratch/0@200"), "required: WORKDIR/STAGE@STEP, workdir (a new folder)"),
        (("show",), "required: name"),
    ],
)
def test_what_is_missing_is_named(stagejax: Callable[..., Done], arguments: tuple[str, ...], says: str) -> None:
    done = stagejax(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_an_error_says_where_in_the_pipeline_it_was_raised() -> None:
    with pytest.raises(ValueError, match="rows") as raised, noted("in the step of stage 'small'"):
        raise ValueError("rows do not fit")
    assert explained(raised.value).splitlines() == [
        "ValueError: rows do not fit",
        "  in the step of stage 'small'",
        "  STAGEJAX_TRACEBACK=1 shows the line of code",
    ]
    assert explained(ValueError("a name is missing")) == "ValueError: a name is missing"


def test_a_command_that_its_workdir_refuses_is_not_remembered(tmp_path: Path) -> None:
    """Else `audit` and `fork` would ask for results that are not there."""
    page, first, second = tmp_path / "command.json", {"fields": ["--steps", "8"]}, {"fields": ["--steps", "9"]}
    with remembered(page, first):
        assert json.loads(page.read_text()) == first
    with pytest.raises(WorkdirError), remembered(page, second):
        raise WorkdirError("was run under another declaration")
    assert json.loads(page.read_text()) == first
    with pytest.raises(KeyboardInterrupt), remembered(page, second):
        raise KeyboardInterrupt
    assert json.loads(page.read_text()) == second  # one that was stopped goes on


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (("--large.heads", "3"), "heads"),  # 32 wide, 3 heads
        (("--large.embed", "8", "--large.heads", "1"), "shrink"),
        (("--steps", "0"), "steps"),
        (("--batch", "7", "--mesh", "data=2"), "mesh"),
    ],
)
def test_impossible_configs_are_refused_with_the_field(
    stagejax: Callable[..., Done], fields: tuple[str, ...], says: str
) -> None:
    done = stagejax("plan", "bert2bert", "--preset", "smoke", *fields)
    assert done.returncode == 1, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_plan_prices_a_mesh_that_is_not_here(stagejax: Callable[..., Done]) -> None:
    done = stagejax("plan", "bert2bert", "--preset", "pod", "--mesh", "data=16,fsdp=16", "--json")
    plan = json.loads(done.stdout)
    scratch = next(stage for stage in plan["stages"] if stage["name"] == "scratch/0")
    assert plan["mesh"] == {"data": 16, "fsdp": 16}
    assert scratch["parameters"] > 1e8
    assert 7e19 < scratch["flops"] < 7.5e19
    assert set(scratch["bytes_per_device"]) >= {"params", "gradients", "moments", "activations_estimated", "total"}


def test_params_show_every_side(stagejax: Callable[..., Done]) -> None:
    shown = stagejax("params", "bert2bert", "--preset", "smoke", "--mesh", "data=2,fsdp=2").stdout
    line = next(line for line in shown.splitlines() if line.startswith("blocks/attention/query/kernel"))
    assert "#layers <embed >kv_heads >q_per_kv >head_dim" in line
    assert "fsdp" in line
    assert line.endswith("yes")


def test_prepare_reads_all_data_and_stores_the_corpora(
    stagejax: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGEJAX_CORPORA", str(tmp_path / "corpora"))
    small = ("prepare", "bert2bert", "--preset", "smoke", "--source.limit", "150000")
    done = stagejax(*small)
    assert done.returncode == 0
    assert "MaskedText of source/0, held out" in done.stdout
    stored = sorted((tmp_path / "corpora").iterdir())
    assert len(stored) == 2  # train and test
    assert stagejax(*small).stdout.count("MaskedText") == 2
    assert sorted((tmp_path / "corpora").iterdir()) == stored


def test_prepare_says_what_is_missing(
    stagejax: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    done = stagejax("prepare", "bert2bert", "--preset", "pod")
    assert done.returncode == 1
    assert "tfds build wikipedia/20230601.en" in done.stderr
    assert "MissingDataset" in done.stdout


@dataclass(frozen=True)
class Settings:
    seed: int = 0


def grown(run: Any, config: Settings) -> Report:
    start = run.train(stage("small", seed=config.seed))
    run.grow("grown", start, to=Toy(embed=16), operator=DirectCopy())
    return TINY.report(())


TINY = Experiment("tiny", "Tiny", "none", grown, lambda preset: Settings(), default="smoke")


def test_what_made_a_run_is_known_after_another_command_was_refused(
    stagejax: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a fork: an audit of it begins where it began."""
    monkeypatch.setattr("stagejax.experiment.find", lambda name: TINY)
    monkeypatch.setenv("STAGEJAX_CACHE", "")
    run = ("run", "tiny", "--mesh", "data=1", "--workdir")
    assert stagejax(*run, "own").returncode == 0
    refused = stagejax(*run, "own", "--seed", "1")
    assert (refused.returncode, "stage.seed: 0 -> 1" in refused.stderr) == (1, True)
    assert json.loads((tmp_path / "own" / "command.json").read_text())["fields"] == []
    assert stagejax("audit", "own", "--mesh", "data=1").returncode == 0
    assert stagejax("fork", "own/small@4", "forked", "--mesh", "data=1").returncode == 0
    monkeypatch.chdir("/")
    assert stagejax("audit", str(tmp_path / "forked"), "--mesh", "data=1").returncode == 0


def uneven(run: Any, config: Settings) -> Report:
    run.train(stage("even"))
    run.train(stage("odd", data=Numbers(samples=3)))
    return TINY.report(())


def test_a_run_on_several_devices_is_planned_before_it_trains(
    stagejax: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagejax.experiment.find", lambda name: replace(TINY, pipeline=uneven))
    monkeypatch.setenv("STAGEJAX_CACHE", "")
    refused = stagejax("run", "tiny", "--mesh", "data=2", "--workdir", "own")
    assert refused.returncode == 1
    assert "stage 'odd': a batch of 3 cannot be split evenly over 2 devices" in refused.stderr
    assert "in the plan, before anything was trained" in refused.stderr
    assert not list((tmp_path / "own" / "stages").glob("even*"))
