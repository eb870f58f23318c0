"""The command line: one parser for all commands. `stagejax --help` lists them; what each does is in `commands`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stagejax.commands import compare, grow, new, prepare

#: Exit codes beside 0 (done) and 1 (an error inside a run).
USAGE, STOPPED = 2, 143

EXAMPLES = {
    "list": "stagejax list\nstagejax list --json",
    "show": "stagejax show bert2bert",
    "run": "stagejax run bert2bert\nstagejax run bert2bert --preset smoke --workdir runs/try\n"
    "stagejax run bert2bert --steps 300 --large.embed 96 --large.heads 6",
    "plan": "stagejax plan bert2bert --preset pod --mesh data=16,fsdp=16",
    "fork": "stagejax fork runs/bert2bert-laptop/scratch/0@200 runs/other --peak 1e-3",
    "report": "stagejax report runs/bert2bert-laptop\nstagejax report --atlas",
    "compare": compare.EXAMPLES,
    "params": "stagejax params bert2bert --preset pod --mesh data=16,fsdp=16",
    "grow": grow.EXAMPLES,
    "audit": "stagejax audit runs/bert2bert-laptop",
    "prepare": prepare.EXAMPLES,
    "new": new.EXAMPLES,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `stagejax` command; exits with 0 only if all went well."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = parser().parse_known_args(arguments)
    takes_fields = options.command in ("run", "plan", "fork", "params", "prepare")
    if rest and not takes_fields:
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    from stagejax.commands import experiments
    from stagejax.experiment import UnknownName

    try:
        code = experiments.COMMANDS[options.command](options, rest)
    except UnknownName as error:
        fail(str(error), USAGE)
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except EXPECTED() as error:
        stopped = type(error).__name__ == "Interrupted"
        fail(explained(error), STOPPED if stopped else 1)
    sys.stdout.flush()
    sys.exit(code)


def run_module(name: str) -> None:
    """`python -m experiments.<family>.<name>`: the same as `stagejax run <name>`, with the same arguments."""
    main(["run", name, *sys.argv[1:]])


def EXPECTED() -> tuple[type[BaseException], ...]:
    """Errors that explain themselves: shown without a traceback, unless STAGEJAX_TRACEBACK is set."""
    from stagejax.checkpoint import CheckpointError
    from stagejax.declare import NotDeclarable
    from stagejax.interrupt import Interrupted
    from stagejax.loop import Diverged
    from stagejax.workdir import WorkdirError

    if os.environ.get("STAGEJAX_TRACEBACK"):
        return (Interrupted,)
    return (
        CheckpointError,
        Interrupted,
        Diverged,
        WorkdirError,
        NotDeclarable,
        ValueError,
        FileExistsError,
        FileNotFoundError,
        ImportError,
    )


def explained(error: BaseException) -> str:
    """What an error says, and where in the pipeline it was raised; then its line of code says more than it."""
    from stagejax.note import notes_of

    notes = notes_of(error)
    hint = ["STAGEJAX_TRACEBACK=1 shows the line of code"] if notes else []
    return "\n  ".join([f"{type(error).__name__}: {error}", *notes, *hint])


def fail(message: str, code: int) -> None:
    """Say why on standard error, and leave at once: threads that compile cannot be joined."""
    sys.stdout.flush()
    print(f"stagejax: {message}", file=sys.stderr, flush=True)
    os._exit(code)


def parser() -> argparse.ArgumentParser:
    """The arguments of every command; those of a config's fields are added by tyro."""
    top = argparse.ArgumentParser(
        prog="stagejax",
        description="Staged training in JAX.",
        epilog="Each command explains itself: stagejax run --help",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, fields: bool = False) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"examples:\n{EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=not fields,
            allow_abbrev=False,
        )
        if fields:
            added.add_argument("-h", "--help", action="store_true", help="show this, and the fields of the config")
        return added

    listing = command("list", "All experiments, with their last committed result.")
    listing.add_argument("--json", action="store_true", help="for machines")
    command("show", "What an experiment is, and what it found.").add_argument("name")

    run = command(
        "run", "Run an experiment, or continue it: python -m experiments.<family>.<name> does the same.", fields=True
    )
    run.add_argument("name", nargs="?")
    run.add_argument("--preset", help="smoke, laptop (default) or pod")
    run.add_argument("--workdir", type=Path, help="folder of the run; default runs/<name>-<preset>")
    run.add_argument("--mesh", help="such as data=4,fsdp=2; default: all devices along data")
    run.add_argument(
        "--store", type=Path, default=os.environ.get("STAGEJAX_STORE"), help="folder of results shared between runs"
    )
    run.add_argument(
        "--from", dest="source", metavar="WORKDIR/STAGE@STEP", help="begin that stage from another run's save"
    )

    run.add_argument("--tensorboard", action="store_true", help="metrics for TensorBoard too, in WORKDIR/tensorboard")
    run.add_argument("--wandb", metavar="PROJECT", help="metrics for Weights & Biases too")

    plan = command(
        "plan", "Check and price an experiment on a mesh that need not exist; nothing is trained.", fields=True
    )
    plan.add_argument("name", nargs="?")
    plan.add_argument("--preset")
    plan.add_argument("--mesh", default="data=1", help="such as data=16,fsdp=16")
    plan.add_argument("--json", action="store_true", help="for machines")

    fork = command("fork", "Begin a new run of the same experiment from a save of an old one.", fields=True)
    fork.add_argument("source", metavar="WORKDIR/STAGE@STEP", nargs="?")
    fork.add_argument("workdir", type=Path, nargs="?")
    fork.add_argument("--mesh")

    report = command("report", "Show the report of a run, or renew the atlas of committed results.")
    report.add_argument("workdir", type=Path, nargs="?")
    report.add_argument("--atlas", action="store_true", help="renew the atlas in experiments/results")

    compare.add_arguments(
        command("compare", "A run beside the committed result, or another: verdicts that turned, numbers that moved.")
    )

    params = command(
        "params", "Every parameter: path, shape, axes with sides, dtype, sharding, bytes, trainable.", fields=True
    )
    params.add_argument("name", nargs="?")
    params.add_argument("--preset")
    params.add_argument("--mesh", default="data=1")
    params.add_argument("--stage", help="of which stage; default: the last that trains")

    grow.add_arguments(command("grow", "Grow a checkpoint in Hugging Face layout into a larger one."))

    audit = command("audit", "Do every growth of a run again from what is stored, and compare bit by bit.")
    audit.add_argument("workdir", type=Path)
    audit.add_argument("--mesh", help="that of the run; default: all devices along data")

    prepare.add_arguments(
        command("prepare", "Read all data of an experiment once, before a pod waits for it.", fields=True)
    )
    new.add_arguments(command("new", "Write the module of a new experiment, which runs at once, and its test."))
    return top


if __name__ == "__main__":
    main()
