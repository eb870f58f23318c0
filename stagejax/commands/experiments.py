"""What each command does. Each takes the parsed options and what is left of the line, and returns the exit code."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stagejax.cli import parser
from stagejax.commands.compare import command_compare
from stagejax.commands.grow import command_grow
from stagejax.commands.new import command_new
from stagejax.commands.prepare import command_prepare
from stagejax.commands.table import mebibytes, receipt_rows, table


def config_of(experiment: Any, preset: str | None, fields: Sequence[str], command: str) -> Any:
    """The preset's config with the fields given on the command line.

    Leaves with exit code 2, and a message that names the field, if one is unknown or of another type.
    """
    import tyro

    default = experiment.config(preset or experiment.default)
    return tyro.cli(type(default), args=list(fields), default=default, prog=f"stagejax {command} {experiment.name}")


def named(options: argparse.Namespace, rest: list[str]) -> Any:
    """The experiment that a command names; shows help and leaves if it was asked for."""
    from stagejax.experiment import find

    command = command_parser(options.command)
    if options.help:
        command.print_help()
        if options.name:
            print(f"\nfields of {options.name}:")
            config_of(find(options.name), options.preset, ["--help"], options.command)
        sys.exit(0)
    if not options.name:
        command.error("the following arguments are required: name; `stagejax list` shows those there are")
    return find(options.name)


def command_parser(name: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    return parser()._subparsers._group_actions[0].choices[name]  # type: ignore[union-attr,return-value,index]


def command_list(options: argparse.Namespace, rest: list[str]) -> int:
    from stagejax.committed import last_results
    from stagejax.experiment import glance, modules

    results = last_results()
    rows = []
    for name in modules():
        said = glance(name)
        row = {field: said[field] for field in ("name", "paper", "title", "family", "presets")}
        rows.append(row | {"last_result": results.get(name)})
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    table("experiments", ("name", "paper", "title", "family", "presets", "last result"), [_listed(row) for row in rows])
    return 0


def _listed(row: dict[str, Any]) -> tuple[str, ...]:
    result = row["last_result"]
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in result["verdicts"].items()) if result else "none"
    return (row["name"], str(row["paper"] or ""), row["title"], row["family"], " ".join(row["presets"]), verdicts)


def command_show(options: argparse.Namespace, rest: list[str]) -> int:
    from stagejax.committed import last_results
    from stagejax.experiment import glance

    print(glance(options.name)["doc"])
    result = last_results().get(options.name)
    if result is None:
        print("No committed result.")
        return 0
    print(f"Last committed result: preset {result['preset']}, commit {result['commit']}")
    table("claims", ("claim", "paper", "ours", "verdict"), [
        (c["statement"], c["paper"], c["shown"], c["verdict"]) for c in result["claims"]
    ])  # fmt: skip
    return 0


def command_run(options: argparse.Namespace, rest: list[str]) -> int:
    experiment = named(options, rest)
    config = config_of(experiment, options.preset, rest, "run")
    preset = options.preset or experiment.default
    workdir = options.workdir or Path("runs") / f"{experiment.name}-{preset}"
    track = trackers(options.tensorboard, options.wandb)
    return _run(experiment, preset, config, rest, workdir, options.mesh, options.store, options.source, track)


def command_fork(options: argparse.Namespace, rest: list[str]) -> int:
    from stagejax.checkpoint import read_json
    from stagejax.experiment import find
    from stagejax.run import Fork

    if options.help:
        command_parser("fork").print_help()
        return 0
    if not options.workdir:
        command_parser("fork").error("the following arguments are required: WORKDIR/STAGE@STEP, workdir (a new folder)")
    source = Fork.parse(options.source).workdir
    page = source / "command.json"
    if not page.exists():
        raise FileNotFoundError(
            f"{source} was not made by `stagejax run`: it has no command.json. Use run --from instead."
        )
    command = read_json(page)
    experiment = find(command["experiment"])
    fields = [*command["fields"], *rest]
    config = config_of(experiment, command["preset"], fields, "fork")
    return _run(experiment, command["preset"], config, fields, options.workdir, options.mesh, None, options.source)


def trackers(tensorboard: bool, wandb: str | None) -> tuple[Any, ...]:
    """What receives metrics beside the lines in metrics.jsonl."""
    from stagejax.report.metrics import TensorBoardWriter, WandbWriter

    def to_tensorboard(workdir: Path, stage: str, step: int) -> Any:
        return TensorBoardWriter(workdir / "tensorboard" / stage, resume_at=step)

    def to_wandb(workdir: Path, stage: str, step: int) -> Any:
        return WandbWriter(workdir / "wandb" / stage, str(wandb), f"{workdir.name}/{stage}")

    return (*([to_tensorboard] if tensorboard else []), *([to_wandb] if wandb else []))


@contextlib.contextmanager
def remembered(page: Path, command: dict[str, Any]) -> Iterator[None]:
    """The command by which a workdir's results can be asked for again; one that the workdir refuses is not kept."""
    import jax

    from stagejax.checkpoint import read_json, write_json
    from stagejax.workdir import WorkdirError

    before = read_json(page) if page.exists() else command
    if jax.process_index() == 0:
        write_json(page, command)
    try:
        yield
    except WorkdirError:
        if jax.process_index() == 0:
            write_json(page, before)
        raise


def _run(
    experiment: Any,
    preset: str,
    config: Any,
    fields: list[str],
    workdir: Path,
    mesh: str | None,
    store: Any,
    source: str | None,
    track: tuple[Any, ...] = (),
) -> int:
    from stagejax.host import compile_quickly, use_compilation_cache

    compile_quickly()
    from stagejax.mesh import start_processes

    start_processes()
    import jax
    from rich.console import Console

    from stagejax.declare import declare
    from stagejax.run import Fork, running

    use_compilation_cache()
    fork = Fork.parse(source) if source else None
    command = {"experiment": experiment.name, "preset": preset, "fields": fields, "from": fork and str(fork)}
    with running(workdir, experiment.name, mesh=mesh, store=store, fork=fork, track=track) as run:
        look_ahead(run, experiment, config)
        with remembered(run.workdir.path / "command.json", command):
            report = replace(experiment.pipeline(run, config), preset=preset)
        begun = ["--from", source] if source else []
        commands = [shlex.join(["stagejax", "run", experiment.name, "--preset", preset, *begun, *fields])]
        page = report.write(workdir, stages=run.results, commands=commands, config=declare(config))
    if jax.process_index() == 0:
        report.render(Console())
        print(f"report: {page} and {page.with_suffix('.json').name}")
    return 0


def look_ahead(run: Any, experiment: Any, config: Any) -> None:
    """Walk the pipeline on abstract values first, where devices would wait for it; a plan takes seconds.

    So a late stage whose batch the mesh cannot split is refused before the first one trains.
    """
    from stagejax.note import noted
    from stagejax.plan import Plan
    from stagejax.report.waiting import waiting

    if run.mesh.size > 1:
        with waiting("plan"), noted("in the plan, before anything was trained"):
            experiment.pipeline(Plan(run.mesh.abstract_mesh, run.rules, price=False), config)


def command_plan(options: argparse.Namespace, rest: list[str]) -> int:
    from stagejax.plan import Plan

    experiment = named(options, rest)
    plan = Plan.on(options.mesh)
    experiment.pipeline(plan, config_of(experiment, options.preset, rest, "plan"))
    if options.json:
        print(json.dumps(plan.to_json(), indent=1))
        return 0
    header = (
        "stage",
        "kind",
        "parameters",
        "trained",
        "steps",
        "FLOPs",
        "tokens",
        "params",
        "gradients",
        "moments",
        "activations*",
    )
    rows = [
        (
            s.name,
            s.kind,
            f"{s.parameters:,}",
            f"{s.trained:,}" if s.trained else "",
            f"{s.steps:,}" if s.steps else "",
            f"{s.flops:.3g}" if s.flops else "",
            f"{s.tokens:.3g}" if s.tokens else "",
            *(
                mebibytes(getattr(s.bytes_per_device, n))
                for n in ("params", "gradients", "moments", "activations_estimated")
            ),
        )
        for s in plan.stages
    ]
    table(f"plan of {experiment.name} on {options.mesh}, MiB per device", header, rows)
    print("* estimated: the most that a step holds at once beside all else, before XLA fuses it. All else is exact.")
    for stage in plan.stages:
        if stage.handover:
            table(f"hand-over to {stage.name}", ("part", "leaves", "numbers", "action", "note"), stage.handover)
        if stage.receipt:
            table(f"growth {stage.name}", ("what", "before", "after"), receipt_rows(stage.receipt))
    total = plan.to_json()["total"]
    most = mebibytes(total["bytes_per_device"])
    print(f"in all: {total['flops']:.3g} FLOPs, {total['tokens']:.3g} tokens, at most {most} MiB a device")
    return 0


def command_report(options: argparse.Namespace, rest: list[str]) -> int:
    from stagejax.checkpoint import read_json

    if options.atlas:
        from stagejax.report import write_atlas

        print(write_atlas())
        return 0
    page = (options.workdir or Path()) / "report.json"
    if options.workdir is None or not page.exists():
        raise FileNotFoundError(f"there is no {page}: give the workdir of a finished run, or --atlas")
    report = read_json(page)
    print(f"{report['experiment']}, preset {report['preset']}, commit {report['commit']}")
    table("claims", ("claim", "paper", "ours", "margin", "verdict"), [
        tuple(c[k] for k in ("statement", "paper", "shown", "margin", "verdict")) for c in report["claims"]
    ])  # fmt: skip
    print(f"report: {options.workdir / 'report.html'}")
    return 0


def command_audit(options: argparse.Namespace, rest: list[str]) -> int:
    from stagejax.audit import audit
    from stagejax.checkpoint import read_json, write_json
    from stagejax.experiment import find
    from stagejax.interrupt import Interrupted
    from stagejax.run import Fork, running

    page = options.workdir / "command.json"
    if not page.exists():
        raise FileNotFoundError(f"{options.workdir} was not made by `stagejax run`: it has no command.json")
    command = read_json(page)
    experiment = find(command["experiment"])
    config = config_of(experiment, command["preset"], command["fields"], "audit")
    fork = Fork.parse(command["from"]) if command.get("from") else None
    with running(options.workdir, experiment.name, mesh=options.mesh, fork=fork) as run:
        run.stop.set()  # what is finished is loaded, and nothing is computed
        try:
            experiment.pipeline(run, config)
        except Interrupted:
            print(f"unfinished: only the first {len(run.results)} results are there to audit")
        found = [audit(result) for result in run.results if result.grown is not None]
    write_json(options.workdir / "audit.json", [each.to_json() for each in found])
    rows = []
    for each in found:
        way = f"{each.recovers:.1e}" if each.recovers is not None else each.no_way_back
        worst = max(each.differing, key=lambda name: each.differing[name], default="")
        same = f"{len(each.differing)} differ, most {worst} by {each.differing[worst]:.2e}" if worst else "same bits"
        same = f"{same}; {each.maps}" if each.maps else same
        rows.append((each.name, each.operator, str(each.leaves), same, way))
    table("growths, done again from what is stored", ("growth", "operator", "leaves", "stored", "way back"), rows)
    return 0 if all(each.holds for each in found) else 1


def command_params(options: argparse.Namespace, rest: list[str]) -> int:
    from stagejax.experiment import UnknownName
    from stagejax.parameters import parameter_rows, parameter_text
    from stagejax.plan import Plan
    from stagejax.program import build

    experiment = named(options, rest)
    plan = Plan.on(options.mesh, price=False)
    experiment.pipeline(plan, config_of(experiment, options.preset, rest, "params"))
    stages = {result.name: result.stage for result in plan.results if result.kind == "train"}
    name = options.stage or list(stages)[-1]
    if name not in stages:
        raise UnknownName("stage", name, stages)
    print(f"stage {name} on {options.mesh}; sides: # stack, < reads, > writes, * gain, + shift\n")
    print(parameter_text(parameter_rows(build(stages[name], plan.mesh, plan.rules))), end="")
    return 0


COMMANDS = {
    "list": command_list,
    "show": command_show,
    "run": command_run,
    "plan": command_plan,
    "fork": command_fork,
    "report": command_report,
    "compare": command_compare,
    "params": command_params,
    "grow": command_grow,
    "audit": command_audit,
    "prepare": command_prepare,
    "new": command_new,
}
