"""An experiment: one published system as a module with a config, presets and a pipeline; and how they are found."""

from __future__ import annotations

import ast
import difflib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

#: Fields of an experiment that are code.
CALLED = ("pipeline", "preset")


@dataclass(frozen=True)
class Experiment:
    """What `stagejax list` shows of a module, and what `stagejax run` calls.

    Args:
      name: of the module.
      title: in a few words.
      reference: the paper.
      pipeline: (run, config) -> Report.
      preset: preset name -> config, a frozen dataclass.
      paper: number of its dossier.
      presets: the names that `preset` knows.
      default: the one that is taken where none is named.
      family: the folder it lies in, filled in when it is found; `module` likewise.
    """

    name: str
    title: str
    reference: str
    pipeline: Callable[..., Any]
    preset: Callable[[str], Any]
    paper: int | None = None
    presets: tuple[str, ...] = ("smoke", "laptop", "pod")
    default: str = "laptop"
    family: str = ""
    module: str = ""

    def config(self, preset: str) -> Any:
        """The config of a preset.

        Raises:
          UnknownName: there is no such preset; the error suggests the nearest.
        """
        if preset not in self.presets:
            raise UnknownName("preset", preset, self.presets)
        return self.preset(preset)

    def report(self, claims: tuple[Any, ...], **parts: Any) -> Any:
        """A `stagejax.report.Report` of this experiment, under its name, title and paper."""
        from stagejax.report import Report

        number = f"{self.paper:03d}" if self.paper else ""
        return Report(self.name, self.title, self.reference, claims, number=number, **parts)


class UnknownName(ValueError):
    """A name that nothing bears, with the nearest one that something does."""

    def __init__(self, kind: str, name: str, known: Any) -> None:
        near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}")


def home() -> Path:
    """The folder of the package `experiments`.

    Raises:
      FileNotFoundError: the package is not installed.
    """
    spec = importlib.util.find_spec("experiments")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("no package `experiments`: install stagejax, or run in its checkout")
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def modules() -> dict[str, str]:
    """Experiment modules by name, found in the package `experiments` without importing any of them."""
    files = (path for path in home().glob("*/[!_]*.py") if path.parent.name not in ("benchmarks", "results"))
    return {path.stem: f"experiments.{path.parent.name}.{path.stem}" for path in sorted(files, key=lambda p: p.stem)}


def module_of(name: str) -> str:
    """The module of the experiment of that name.

    Raises:
      UnknownName: there is none; the error suggests the nearest.
    """
    if name not in modules():
        raise UnknownName("experiment", name, modules())
    return modules()[name]


def find(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
      UnknownName: there is none; the error suggests the nearest.

    >>> find("bert2bert").paper
    22
    """
    module = module_of(name)
    return replace(importlib.import_module(module).EXPERIMENT, module=module, family=module.split(".")[1])


def glance(name: str) -> dict[str, Any]:
    """What an experiment says of itself, with its module's docstring as `doc`: all of `find` but what it calls.

    It is read from the source, in milliseconds; only a module whose `EXPERIMENT = Experiment(...)` is not made of
    constants is imported.

    Raises:
      UnknownName: there is none; the error suggests the nearest.

    >>> glance("bert2bert")["presets"]
    ('smoke', 'laptop', 'pod')
    """
    module = module_of(name)
    _, family, _ = module.split(".")
    page = ast.parse((home() / family / f"{name}.py").read_text(encoding="utf-8"))
    assigned = {ast.unparse(node.targets[0]): node.value for node in page.body if isinstance(node, ast.Assign)}
    try:
        keywords = assigned["EXPERIMENT"].keywords  # type: ignore[attr-defined]
        said = {word.arg: ast.literal_eval(word.value) for word in keywords if word.arg not in CALLED}
    except (AttributeError, KeyError, ValueError):
        said = {field: value for field, value in vars(find(name)).items() if field not in CALLED}
    usual = {field.name: field.default for field in fields(Experiment) if field.name not in CALLED}
    return usual | said | {"family": family, "module": module, "doc": ast.get_docstring(page, clean=False)}
