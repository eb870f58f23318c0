"""An experiment: one published system as a module with a config, presets and a pipeline; and how they are found."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Experiment:
    """What `stagejax list` shows of a module, and what `stagejax run` calls."""

    name: str
    title: str
    reference: str  # the paper
    pipeline: Callable[..., Any]  # (run, config) -> Report
    preset: Callable[[str], Any]  # preset name -> config, a frozen dataclass
    paper: int | None = None  # number of its dossier
    presets: tuple[str, ...] = ("smoke", "laptop", "pod")
    default: str = "laptop"
    family: str = ""  # the folder it lies in
    module: str = ""

    def config(self, preset: str) -> Any:
        """The config of a preset.

        Raises:
          UnknownName: there is no such preset; the error suggests the nearest.
        """
        if preset not in self.presets:
            raise UnknownName("preset", preset, self.presets)
        return self.preset(preset)


class UnknownName(ValueError):
    """A name that nothing bears, with the nearest one that something does."""

    def __init__(self, kind: str, name: str, known: Any) -> None:
        near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}")


def home() -> Path:
    """The folder of the package `experiments`."""
    import experiments

    return Path(experiments.__path__[0])


@cache
def modules() -> dict[str, str]:
    """Experiment modules by name, found in the package `experiments` without importing any of them."""
    import experiments

    found = {}
    for family in pkgutil.iter_modules(experiments.__path__):
        if family.ispkg and family.name not in ("benchmarks", "results"):
            package = importlib.import_module(f"experiments.{family.name}")
            for entry in pkgutil.iter_modules(package.__path__):
                found[entry.name] = f"experiments.{family.name}.{entry.name}"
    return dict(sorted(found.items()))


def find(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
      UnknownName: there is none; the error suggests the nearest.

    >>> find("bert2bert").paper
    22
    """
    from dataclasses import replace

    known = modules()
    if name not in known:
        raise UnknownName("experiment", name, known)
    module = importlib.import_module(known[name])
    return replace(module.EXPERIMENT, module=known[name], family=known[name].split(".")[1])
