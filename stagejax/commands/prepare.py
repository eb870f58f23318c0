"""`stagejax prepare`: read all that the stages of an experiment read, before a pod waits for it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

from stagejax.commands.table import table

EXAMPLES = """stagejax prepare bert2bert --preset smoke
STAGEJAX_CORPORA=/shared/corpora stagejax prepare bert2bert --preset pod"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command, beside the config's fields."""
    command.add_argument("name", nargs="?")
    command.add_argument("--preset", help="smoke, laptop (default) or pod")


def command_prepare(options: argparse.Namespace, rest: list[str]) -> int:
    """Read every stage's data and held-out data once, and say what is there; 1 if something is missing.

    Text becomes token ids on the way: with STAGEJAX_CORPORA they are stored, and no process tokenizes it again.
    """
    from stagejax.commands.experiments import config_of, named
    from stagejax.plan import Plan

    experiment = named(options, rest)
    plan = Plan.on("data=1", price=False)
    experiment.pipeline(plan, config_of(experiment, options.preset, rest, "prepare"))
    rows, wrong = [], {}  # an error has its text once, whatever it keeps from being read
    for data, stages in _declared(plan.results).items():
        print(f"{type(data).__name__} of {stages[0]} ...", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            said, digest = f"{data.size():,}", data.digest()[:12]
        except (OSError, ValueError) as error:
            said, digest = type(error).__name__, ""
            wrong[f"{type(error).__name__}: {error}"] = None
        others = f" and {len(stages) - 1} more" if len(stages) > 1 else ""
        rows.append((f"{type(data).__name__} of {stages[0]}{others}", said, digest, f"{time.monotonic() - began:.1f}"))
    table(f"data of {experiment.name}", ("data", "samples an epoch", "sha256", "seconds"), rows)
    stored = os.environ.get("STAGEJAX_CORPORA")
    print(f"corpora are stored in {stored}" if stored else "token ids are not stored: STAGEJAX_CORPORA names no folder")
    for error in wrong:
        print(f"\n{error}", file=sys.stderr)
    return 1 if wrong else 0


def _declared(results: list[Any]) -> dict[Any, list[str]]:
    """Every declaration of data, with the names of the stages that read it."""
    found: dict[Any, list[str]] = {}
    for result in results:
        if result.kind == "train":
            found.setdefault(result.stage.data, []).append(result.name)
            if result.stage.evaluate is not None:
                found.setdefault(result.stage.evaluate.data, []).append(f"{result.name}, held out")
    return found
