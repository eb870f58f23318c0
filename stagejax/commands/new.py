"""`stagejax new`: the module of a new experiment, which runs at once, and its test."""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path

EXAMPLES = """stagejax new my_system --family transfer
stagejax run my_system --preset smoke"""

TEST = '''"""{name}: say here what these tests check of the method."""

from typing import Any

from smoke import smoke_run

from experiments.{family}.{name} import EXPERIMENT, preset
from stagejax import Plan

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_arms_train_for_equally_many_steps(finished: Any) -> None:
    results, _, _ = finished
    steps = {{name: result.steps for name, result in results.items()}}
    assert steps["first/0"] + steps["second/0"] == steps["plain/0"]


def test_the_second_stage_begins_where_the_first_one_ended(finished: Any) -> None:
    results, _, _ = finished
    first, second = (results[f"{{name}}/0"].history for name in ("first", "second"))
    assert abs(second.train["loss"][0] - first.train["loss"][-1]) < 1.0


def test_the_papers_scale_is_planned() -> None:
    EXPERIMENT.pipeline(Plan.on("data=16,fsdp=16", price=False), preset("pod"))
'''


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("name", help="of the module, such as my_system")
    command.add_argument("--family", default="growth", help="folder of experiments/ that it goes to; default: growth")
    command.add_argument("--root", type=Path, help="folder that holds experiments/; default: where it is imported from")


def command_new(options: argparse.Namespace, rest: list[str]) -> int:
    """Write the module and its test, and say what comes next."""
    written = write_experiment(options.name, options.family, options.root)
    for path in written:
        print(f"wrote {path}")
    found = "" if options.root is None else f"PYTHONPATH={options.root.absolute()} "
    print(f"\nIt runs as it is:  {found}stagejax run {options.name} --preset smoke")
    if any(path.name == f"test_{options.name}.py" for path in written):
        print(
            "Then write down claim and criterion, replace the stages, and store what its presets are:\n"
            f"                   STAGEJAX_RENEW=1 pytest tests/test_golden.py -m '' -k {options.name}"
        )
    print("A walk through a finished one: experiments/README.md")
    return 0


def write_experiment(name: str, family: str, root: Path | None = None) -> list[Path]:
    """Copy `experiments/template.py` under a new name; beside a folder tests/experiments, a test as well.

    Elsewhere than where experiments are imported from, the folders become packages, to be found by PYTHONPATH=root.

    Raises:
      ValueError: a name that no module can have, or that an experiment has already.
    """
    from stagejax.experiment import home, modules

    for what, word in (("name", name), ("family", family)):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", word) or keyword.iskeyword(word):
            raise ValueError(f"{what} {word!r}: write it as a module's name, lower case with underscores: my_system")
    if name in modules() or name == "template":
        raise ValueError(f"there is an experiment {name!r} already: take another name")
    top = home() if root is None else root / "experiments"
    packages = (top / "__init__.py", top / family / "__init__.py")
    written = {page: "" for page in packages if not page.exists()}
    text = (home() / "template.py").read_text(encoding="utf-8")
    written[top / family / f"{name}.py"] = re.sub(r"\btemplate\b", name, text)
    if (top.parent / "tests" / "experiments").is_dir():
        test = top.parent / "tests" / "experiments" / f"test_{name}.py"
        written[test] = TEST.format(name=name, family=family)
    there = [str(path) for path in written if path.exists()]
    if there:
        raise ValueError(f"{', '.join(there)} is there already: remove it, or take another name")
    for path, content in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return list(written)
