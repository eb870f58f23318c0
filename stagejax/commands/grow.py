"""`stagejax grow`: what a checkpoint in Hugging Face layout is, and a larger one made of it."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from stagejax.commands.table import receipt_rows, table

DESCRIPTION = """Grow a checkpoint in Hugging Face layout (config.json and safetensors files) into a larger one.

With --from alone: its architecture, the sizes that can grow, and the operators. Without --out: what would happen,
with every check that needs no weights. With --out: a new folder that `transformers` loads, with receipt.json in it:
the operator, and by how much it changed the logits of a probe. Weights pass through memory a layer of a parameter at a
time, so the checkpoint may be much larger than memory."""

EXAMPLES = """stagejax grow --from bert-small
stagejax grow --from bert-small --to layers=12,embed=768,heads=12,mlp=3072 --operator aki --out bert-base
stagejax grow --from llama --to layers=32 --operator deepen --set depth=interpolate --probe some.txt --out deeper"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.description = DESCRIPTION
    command.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR", help="what to grow")
    command.add_argument("--to", metavar="NAME=SIZE,...", help="the sizes that change; all others stay as they are")
    command.add_argument("--operator", metavar="NAME", help="such as fpi, aki, deepen; listed by `grow --from DIR`")
    command.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="a setting of the operator; may be repeated"
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="the new checkpoint; must not exist, or be empty")
    command.add_argument("--seed", type=int, default=0, help="of freshly drawn parameters and of a random probe")
    command.add_argument("--probe", type=Path, metavar="TEXT", help="text on which both models are compared")
    command.add_argument("--file-gb", type=float, default=5.0, metavar="GB", help="the most that a file holds")


def command_grow(options: argparse.Namespace, rest: list[str]) -> int:
    """Inspect, check or grow, by what is asked for."""
    from stagejax.growth import Growth, receipt_of
    from stagejax.interop import open_checkpoint

    source = open_checkpoint(options.source)
    if not options.to and not options.operator:
        inspect_checkpoint(source)
        return 0
    if not options.to or not options.operator:
        raise ValueError("--to and --operator belong together: which sizes, and how")
    operator = operator_of(options.operator, options.set)
    growth = Growth(operator, source.config, resized(source.config, options.to))
    receipt = receipt_of(growth).to_json()
    source.architecture.fields(growth.config)  # refuses what the layout cannot express
    table(f"{source.architecture.name} by {operator}", ("what", "before", "after"), receipt_rows(receipt))
    if options.out is None:
        print("Checked; nothing is written without --out.")
        return 0
    grow_to(options, source, growth)
    return 0


def grow_to(options: argparse.Namespace, source: Any, growth: Any) -> None:
    """Do it, and say what came of it."""
    from stagejax.interop.grow import grow_checkpoint, return_memory_at_once
    from stagejax.interop.layerwise import probe_of

    return_memory_at_once()
    receipt = grow_checkpoint(
        source,
        growth.new,
        growth.operator,
        options.out,
        seed=options.seed,
        probe=probe_of(source, options.seed, options.probe),
        file_bytes=round(options.file_gb * 1e9),
        progress=Lines(),
    )
    change, relative = receipt.get("logit_change"), receipt.get("logit_change_relative")
    print(f"probe: {receipt['probe']}")
    if change is not None:
        print(f"largest change of a logit: {change:.3g} ({relative:.3g} of the largest logit)")
    if receipt["loss_before"] is not None:
        print(f"loss: {receipt['loss_before']:.4f} -> {receipt['loss_after']:.4f}")
    for name in receipt["dropped"][:3]:
        print(f"not carried over: {name}")
    print(f"{receipt['seconds']:.1f} s, {receipt['peak_memory_bytes'] / 2**30:.2f} GiB of memory at most")
    print(f"checkpoint: {options.out}, receipt: {options.out / 'receipt.json'}")


class Lines:
    """A line on standard error every few seconds."""

    def __init__(self, every: float = 5.0) -> None:
        self.every = every
        self.began = self.last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Say how far it is, if it is time to."""
        now = time.monotonic()
        if now - self.last >= self.every:
            self.last = now
            left = (now - self.began) * (total - done) / done
            print(f"grown {done:,} of {total:,} parameters, about {left:.0f} s left", file=sys.stderr, flush=True)


def inspect_checkpoint(source: Any) -> None:
    """Architecture, sizes and operators."""
    from rich.markup import escape

    from stagejax.growth.operator import describe

    c = source.config
    parameters = sum(int(_product(shape)) for _, shape in describe(c).values())
    files = len(set(source.tensors.files.values()))
    print(f"{source.architecture.name} in {source.folder}: {parameters:,} parameters of {source.dtype.name}, "
          f"{source.tensors.bytes / 1e9:.2f} GB in {files} file{'s' * (files > 1)}")  # fmt: skip
    if source.dropped:
        print(f"not carried over: {', '.join(source.dropped)}")
    comments = _comments(type(c))
    rows = [(name, str(value), comments.get(name, "")) for name, value in size_fields(c).items()]
    table("sizes, for --to", ("name", "size", "what"), rows)
    table("operators, for --operator and --set", ("name", "settings", "what"), [
        (name, ", ".join(f.name for f in dataclasses.fields(kind)), escape((inspect.getdoc(kind) or "").split("\n")[0]))
        for name, kind in operators().items()
    ])  # fmt: skip


def _product(shape: Sequence[int]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _comments(kind: type) -> dict[str, str]:
    """The comment behind each field of a dataclass."""
    lines = [line.strip() for line in inspect.getsource(kind).splitlines()]
    found = [line.partition("#") for line in lines if ":" in line.partition("#")[0]]
    return {field.split(":")[0]: comment.strip() for field, mark, comment in found if mark}


def size_fields(config: Any) -> dict[str, int | None]:
    """The fields of a model configuration that are sizes."""
    hints = {f.name: str(f.type) for f in dataclasses.fields(config)}
    return {name: getattr(config, name) for name, kind in hints.items() if kind in ("int", "int | None")}


def resized(config: Any, to: str) -> Any:
    """The configuration with the sizes in `name=size,name=size`.

    Raises:
      UnknownName: a name that is no size of it.
      ValueError: a value that is no whole number, or sizes that do not fit each other.
    """
    from stagejax.experiment import UnknownName

    known = size_fields(config)
    changes = {}
    for part in to.split(","):
        name, sign, value = (text.strip() for text in part.partition("="))
        if name not in known:
            raise UnknownName("size", name, known)
        if not sign or not value.isdigit():
            raise ValueError(f"--to {part!r}: write a name and a whole number, such as {name}=12")
        changes[name] = int(value)
    return dataclasses.replace(config, **changes)


def operators() -> dict[str, type]:
    """Every public growth operator, by its class name in lower case."""
    from stagejax import growth

    public = (getattr(growth, name) for name in growth.__all__)
    kinds = [kind for kind in public if isinstance(kind, type) and issubclass(kind, growth.Operator)]
    return {kind.__name__.lower(): kind for kind in kinds if kind is not growth.Operator}


def operator_of(name: str, settings: Sequence[str]) -> Any:
    """An operator by name, with settings `field=value`: numbers, words, comma-separated words, or public functions of
    `stagejax.growth` such as `interpolate`.

    Raises:
      UnknownName: no operator, setting, word or function of that name.
      ValueError: a value of another type, or settings that are not all.

    >>> print(operator_of("aki", ["depth=interpolate", "seed=3"]))
    AKI(depth=interpolate, seed=3)
    """
    from stagejax.experiment import UnknownName

    kinds = operators()
    if name.lower() not in kinds:
        raise UnknownName("operator", name, kinds)
    kind = kinds[name.lower()]
    hints, fields = get_type_hints(kind), {f.name for f in dataclasses.fields(kind)}
    values = {}
    for setting in settings:
        field, _, text = (part.strip() for part in setting.partition("="))
        if field not in fields:
            raise UnknownName(f"setting of {kind.__name__}", field, fields)
        values[field] = _value(field, hints[field], text)
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{kind.__name__} cannot be made from --set alone: {error}") from error


def _value(name: str, hint: Any, text: str) -> Any:
    """A setting's value from the command line, of the type that the operator declares."""
    kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in kinds:
        if get_origin(kind) is Literal:
            return _known(name, text, {str(choice): choice for choice in get_args(kind)})
        if get_origin(kind) is Callable and text != "None":
            return _known(name, text, _functions(*get_args(kind)))
        if kind == tuple[str, ...]:
            return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    allowed = tuple(get_origin(kind) or kind for kind in kinds if kind is not Any)
    if float in allowed and type(value) is int:
        return float(value)
    if allowed and not isinstance(value, allowed):
        wanted = hint.__name__ if isinstance(hint, type) else hint
        raise ValueError(f"--set {name}={text}: the setting is of type {wanted}")
    return value


def _known(name: str, text: str, values: Mapping[str, Any]) -> Any:
    from stagejax.experiment import UnknownName

    if text not in values:
        raise UnknownName(f"value of {name}", text, values)
    return values[text]


def _functions(takes: list[Any], gives: Any) -> dict[str, Callable[..., Any]]:
    """The public functions of `stagejax.growth` of this type."""
    from stagejax import growth

    found = {}
    for name in growth.__all__:
        if inspect.isfunction(f := getattr(growth, name)):
            hints, parameters = get_type_hints(f), list(inspect.signature(f).parameters.values())
            first, needed = parameters[: len(takes)], sum(p.default is p.empty for p in parameters)
            if hints["return"] is gives and [hints[p.name] for p in first] == takes and needed <= len(takes):
                found[name] = f
    return found
