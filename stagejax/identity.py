"""What a stage, a growth or an artifact *is*: the declarations that fingerprints are made of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import jax

from stagejax.axes import Rules
from stagejax.code import used
from stagejax.declare import Json, declare, fingerprint
from stagejax.handover import Action, HandoverError
from stagejax.note import kind_of
from stagejax.optimizer import Optimizer
from stagejax.program import Program, build
from stagejax.result import Result
from stagejax.shapes import shape_text
from stagejax.stage import Stage
from stagejax.workdir import WorkdirError

#: Settings of JAX that change numbers, each with its usual value: a declaration tells of another one.
USUAL = {
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_default_matmul_precision": None,
}

#: Part of every fingerprint: raised when the meaning of a declaration changes.
MEANING = 1

Counted = TypeVar("Counted")


def digest_of(data: Any) -> str | None:
    """The sha256 of what a stage reads, where its data can tell."""
    return data.digest() if hasattr(data, "digest") else None


def check_data(stage: Stage, noted: str | None, place: Path) -> None:
    """Whether a stage's data is that on which it was trained. Where it is not at hand, a finished stage is one still.

    Raises:
      WorkdirError: it has changed under the same declaration.
    """
    try:
        found = digest_of(stage.data)
    except OSError:
        return
    if found != noted:
        raise WorkdirError(
            f"stage {stage.name!r}: its data changed since it was trained (another sha256). Restore it, or delete "
            f"{place} to train it anew, with all that followed."
        )


def program_key(stage: Stage) -> str:
    """Stages with the same key run the same compiled code: same models and steps on batches of the same shape."""

    def shapes(data: Any) -> Json:
        return {name: shape_text(x) for name, x in data.spec().items()}

    optimizers = stage.optimizer if isinstance(stage.optimizer, dict) else {"": stage.optimizer}
    scheduled = all(isinstance(optimizer, Optimizer | None) for optimizer in optimizers.values())
    page = declare(stage, stage.name) | {"data": shapes(stage.data), "handover": None, "seed": None, "step_flops": None}
    page["optimizer"] = declare({n: x.unscheduled() if isinstance(x, Optimizer) else x for n, x in optimizers.items()})
    page["steps"] = None if scheduled else stage.steps
    if stage.evaluate is not None:
        page["evaluate"] |= {"data": shapes(stage.evaluate.data), "every": None, "batches": None}
    return fingerprint(page | _around(stage))


def once_a_program(count: Callable[[Stage], Counted]) -> Callable[[Stage], Counted]:
    """The same function of a stage, called once for all with one `program_key`: what a step costs is the same there."""
    known: dict[str, Counted] = {}

    @functools.wraps(count)
    def remembered(stage: Stage) -> Counted:
        mark = program_key(stage)
        if mark not in known:
            known[mark] = count(stage)
        return known[mark]

    return remembered


def program_of(programs: dict[str, Program], stage: Stage, mesh: Any, rules: Rules) -> Program:
    """The stage's program, from `programs` or new in it.

    Stages with the same `program_key` share all compiled code, those that differ in how they are evaluated the step.
    """
    mark, alike = program_key(stage), program_key(replace(stage, evaluate=None))
    if mark not in programs:
        program = build(stage, mesh, rules)
        same = programs.setdefault(alike, replace(program, stage=replace(stage, evaluate=None), score=None))
        programs[mark] = replace(program, cache=same.cache)
    return programs[mark].of(stage)


def declare_train(stage: Stage, start: Any, until: Any = None) -> Json:
    """What a training stage is: its declaration, what it starts from, when it ends, and the process's precision."""
    several = isinstance(start, dict)
    parents = {n: r.fingerprint for n, r in start.items()} if several else start.fingerprint if start else None
    x64 = bool(jax.config.jax_enable_x64)
    page = {"kind": "train", "meaning": MEANING, "stage": declare(stage, stage.name), "start": parents, "x64": x64}
    page |= {} if until is None else {"until": declare(until, f"{stage.name}.until")}
    return page | _around(stage, until)


def _around(*values: Any) -> Json:
    """What a declaration says beside its values: the user's own code that they lead to, and unusual settings of JAX."""
    code = used(*values)
    settings = {name: value for name, usual in USUAL.items() if (value := getattr(jax.config, name)) != usual}
    return ({"code": code} if code else {}) | ({"settings": settings} if settings else {})


def declare_grow(
    start: Result, to: Any, operator: Any, moments: str, others: Mapping[str, Result] | None = None
) -> Json:
    """What a growth is."""
    parents = {name: result.fingerprint for name, result in (others or {}).items()}
    return (
        ({"others": parents} if parents else {})
        | _around(to, operator)
        | {
            "kind": "grow",
            "meaning": MEANING,
            "start": start.fingerprint,
            "to": declare(to, "to"),
            "operator": declare(operator, "operator"),
            "moments": moments,
        }
    )


def generation_of(start: Any) -> int:
    """How many stages of training lie behind a start; -1 of nothing."""
    if start is None:
        return -1
    return max(r.generation for r in start.values()) if isinstance(start, dict) else start.generation


def check_result(name: str, start: Any) -> None:
    """Whether something of that name can start from this: what `train`, `grow` or `transform` returned.

    Raises:
      HandoverError: it is something else, or an artifact, which has no train state.
    """
    if not isinstance(start, Result):
        raise HandoverError(
            f"{name!r} starts from {kind_of(start)}; give it what run.train, run.grow or run.transform returned"
        )
    if start.kind == "make":
        raise HandoverError(f"{name!r} starts from the artifact {start.name!r}, which has no train state")


def check_start(stage: Stage, start: Any) -> None:
    """Whether a stage can start from this at all.

    Raises:
      HandoverError: it is no train state; a data position is to be carried, and the start has none, or several.
    """
    for one in start.values() if isinstance(start, dict) else () if start is None else (start,):
        check_result(stage.name, one)
    if start is not None and stage.handover.data == Action.CARRY and isinstance(start, dict):
        raise HandoverError(f"stage {stage.name!r}: Handover(data='carry') from several results: which one's position?")


def check_until(stage: Stage, until: Any) -> None:
    """Whether a stage can end by a policy.

    Raises:
      ValueError: it is not evaluated on its way, or trains replicas.
    """
    if until is not None and (stage.evaluate is None or stage.evaluate.every is None or stage.seeds is not None):
        raise ValueError(
            f"stage {stage.name!r}: until={until} looks at evaluations of one model: give evaluate=Evaluation(..., "
            "every=steps), and no seeds"
        )


def declare_transform(name: str, function: Callable[..., Any], starts: tuple[Result, ...], to: Any) -> Json:
    """What another form of models is."""
    return {
        "kind": "transform",
        "meaning": MEANING,
        "starts": [start.fingerprint for start in starts],
        "to": declare(to, "to"),
        "function": declare(function, f"{name}.function"),
    } | _around(to, function)


def declare_make(name: str, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Json:
    """What an artifact is."""
    return {
        "kind": "make",
        "meaning": MEANING,
        "function": declare(function, f"{name}.function"),
        "inputs": [
            {"result": i.fingerprint} if isinstance(i, Result) else declare(i, f"{name}.inputs") for i in inputs
        ],
    } | _around(function, *(i for i in inputs if not isinstance(i, Result)))
