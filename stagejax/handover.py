"""The hand-over between two stages: for every part of the state, exactly one thing that happens to it, as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import jax
import jax.numpy as jnp

from stagejax.axes import Axes, path_name
from stagejax.state import TrainState, Tree, count


class Action(StrEnum):
    """What happens to a part of the state at a stage border."""

    CARRY = "carry"  # as it was
    RESET = "reset"  # as at the start of training
    GROW = "grow"  # through a growth operator
    FREEZE = "freeze"  # carried, and not trained in this stage
    DROP = "drop"  # gone


#: One action for all leaves of a part, or a function that decides leaf by leaf (None: no rule, which is an error).
LeafRule = Action | str | Callable[[str, Axes], Action | str | None]


@dataclass(frozen=True)
class Handover:
    """What a stage takes over from the stage before it. The defaults are those of most papers: only weights.

    Args:
      params: "carry" or "reset", or a function (path, axes) that says so of each leaf; "drop", of one that is not here
        any more.
      moments: of the optimizer, with their own step counts: "carry" or "reset", as in what follows.
      schedule: the state's step, and all else in the optimizer: step counts of schedules.
      rest: batch statistics and the like.
      ema: averaged parameters; reset, they start again from the parameters.
      data: position in the data, where both stages read the same data.

    Raises:
      ValueError: neither "carry" nor "reset"; the error names the field.

    >>> Handover(moments="carry", data="carry").params
    <Action.CARRY: 'carry'>
    """

    params: LeafRule = Action.CARRY
    moments: Action | str = Action.RESET
    schedule: Action | str = Action.RESET
    rest: Action | str = Action.CARRY
    ema: Action | str = Action.RESET
    data: Action | str = Action.RESET

    def __post_init__(self) -> None:
        for name in ("moments", "schedule", "rest", "ema", "data"):
            value = getattr(self, name)
            if value not in (Action.CARRY, Action.RESET):
                raise ValueError(f"Handover({name}={str(value)!r}): choose 'carry' or 'reset'")


@dataclass(frozen=True)
class Row:
    """One line of the table: this many leaves and numbers of a part of the state meet this fate."""

    part: str
    leaves: int
    numbers: int
    action: str
    note: str = ""


class HandoverError(ValueError):
    """A leaf that no rule covers, or a state that does not fit the rule it was given."""


def hand_over(
    rule: Handover, fresh: TrainState, old: TrainState, axes: Tree, selection: Tree, name: str
) -> tuple[TrainState, list[Row]]:
    """The first state of a stage, from its own `fresh` state and the `old` one of the stage before.

    What is carried takes on the dtype of the fresh state. Works on arrays, traced or not, and on abstract ones.

    Raises:
      HandoverError: something carried is not there or of another shape, or a leaf has no rule; the error names stage
        and leaf.
    """
    params, rows = _params(rule.params, fresh.params, old.params, axes, selection, name)
    opt_state, moment_rows = _optimizer(rule, fresh, old, name)
    rows += moment_rows
    step = _carried(fresh.step, old.step) if rule.schedule == Action.CARRY else fresh.step
    rows.append(Row("step", *_size(step), str(rule.schedule)))
    rest = fresh.rest
    if rule.rest == Action.CARRY:
        _same(fresh.rest, old.rest, name, "rest", "Handover(rest='reset')")
        rest = jax.tree.map(_carried, fresh.rest, old.rest)
    rows += [Row("rest", *_size(rest), str(rule.rest))] if jax.tree.leaves(rest) else []
    ema = fresh.ema if fresh.ema is None else jax.tree.map(_copy, params)
    if old.ema is not None and fresh.ema is None:
        rows.append(Row("ema", *_size(old.ema), str(Action.DROP), "this stage averages nothing"))
    elif fresh.ema is not None and old.ema is not None and rule.ema == Action.CARRY:
        _same(fresh.ema, old.ema, name, "ema", "Handover(ema='reset')")
        ema = jax.tree.map(_carried, fresh.ema, old.ema)
        rows.append(Row("ema", *_size(ema), str(Action.CARRY)))
    elif fresh.ema is not None:
        rows.append(Row("ema", *_size(ema), str(Action.RESET), "starts at the parameters"))
    return TrainState(step, params, rest, opt_state, ema), rows


#: Nothing passes: the rule of a stage that starts from fresh parameters.
NOTHING = Handover(params=Action.RESET, rest=Action.RESET)


def cross(stage: Any, parts: Any, fresh: Any, old: Any) -> tuple[Any, list[Row]]:
    """`hand_over` for a stage's one model or, where `fresh` is a dictionary, for each of its models.

    `old` is None where nothing lies before; of several models, those absent from `old` start fresh.

    Raises:
      HandoverError: see `hand_over`; or the one side has one model and the other several.
    """

    def one(part: Any, new: TrainState, was: TrainState | None) -> tuple[TrainState, list[Row]]:
        rule = NOTHING if was is None else stage.handover
        return hand_over(rule, new, new if was is None else was, part.axes, part.selection, stage.name)

    if not isinstance(parts, dict):
        if isinstance(old, dict):
            raise HandoverError(
                f"stage {stage.name!r} trains one model, but starts from several: {', '.join(old)}. Give it one of "
                f"them: start.member({next(iter(old))!r})."
            )
        state, rows = one(parts, fresh, old)
    else:
        if not isinstance(old, dict | None) or (old and set(old) - set(parts)):
            given = ", ".join(old) if isinstance(old, dict) else "a single one"
            raise HandoverError(f"stage {stage.name!r} trains the models {', '.join(parts)}, but starts from {given}")
        given = {n: one(parts[n], fresh[n], (old or {}).get(n)) for n in parts}
        state = {n: s for n, (s, _) in given.items()}
        rows = [replace(row, part=f"{n}: {row.part}") for n, (_, found) in given.items() for row in found]
    carried = old is not None and stage.handover.data == Action.CARRY
    note = "continues where the stage before stopped" if carried else "from its beginning"
    return state, [*rows, Row("data", 0, 0, str(Action.CARRY if carried else Action.RESET), note)]


def _params(rule: LeafRule, fresh: Tree, old: Tree, axes: Tree, selection: Tree, name: str) -> tuple[Tree, list[Row]]:
    """The parameters, and a row for each fate of the trained numbers and of the frozen ones.

    What is reset need not have been there before. Of what is not here any more the rule must say that it is dropped; it
    is asked with axes that name nothing.
    """
    fix = "run.grow(..., to=the new model) before this stage, or the model of the stage before"
    left = {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(old)}
    sizes: dict[tuple[Action, bool], list[int]] = {}

    def one(path: Any, leaf_axes: Axes, chosen: Any, new: Any) -> Any:
        where = path_name(path)
        was = left.pop(where, None)
        action = rule(where, leaf_axes) if callable(rule) else rule
        if action not in (Action.CARRY, Action.RESET):
            raise HandoverError(
                f"stage {name!r}: params/{where} is met by no rule (got {action!r}). Make Handover.params return "
                "'carry' or 'reset' for every leaf."
            )
        if action == Action.CARRY:
            _same_leaf(new, was, name, f"params/{where}", fix)
        layers = new.shape[new.ndim - len(leaf_axes.names)] if isinstance(chosen, slice) else 1
        trained = (chosen.stop - chosen.start if isinstance(chosen, slice) else int(chosen)) * new.size // layers
        for numbers, moving in ((trained, True), (new.size - trained, False)):
            if numbers:
                sizes.setdefault((Action(action), moving), []).append(numbers)
        return _carried(new, was) if action == Action.CARRY else new

    params = jax.tree_util.tree_map_with_path(one, axes, selection, fresh, is_leaf=lambda x: isinstance(x, Axes))
    for where, was in left.items():
        if (rule(where, Axes((), ())) if callable(rule) else rule) != Action.DROP:
            _same_leaf(None, was, name, f"params/{where}", fix)
    rows = []
    for (action, moving), numbers in sizes.items():
        shown = Action.FREEZE if action == Action.CARRY and not moving else action
        rows.append(
            Row("params", len(numbers), sum(numbers), str(shown), "" if moving else "not trained here, no moments")
        )
    rows += [Row("params", *_size(left), str(Action.DROP), "not here any more")] if left else []
    return params, rows


def _optimizer(rule: Handover, fresh: TrainState, old: TrainState, name: str) -> tuple[Tree, list[Row]]:
    """Moments with their own counts by one rule, the other counts (schedules) by another."""
    labels = jax.tree.leaves(_labels(fresh.opt_state, set(fresh.params), None))
    was = {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(old.opt_state)}
    was_labels = dict(zip(was, jax.tree.leaves(_labels(old.opt_state, set(old.params), None)), strict=True))
    rows: dict[tuple[str, Action], list[Any]] = {}
    leaves = []
    for label, (path, new) in zip(labels, jax.tree_util.tree_leaves_with_path(fresh.opt_state), strict=True):
        where, part = path_name(path), "schedule" if label == "schedule" else "moments"
        action = Action(getattr(rule, part))
        if action == Action.CARRY:
            _same_leaf(
                new,
                was.get(where),
                name,
                f"opt_state/{where}",
                f"Handover({part}='reset'), or the optimizer of the stage before",
            )
            new = _carried(new, was[where])
            was_labels.pop(where)
        rows.setdefault((label, action), []).append(new)
        leaves.append(new)
    if rule.moments == Action.CARRY:
        for where, label in was_labels.items():
            if label != "schedule":
                rows.setdefault((label, Action.DROP), []).append(was[where])
    state = jax.tree.unflatten(jax.tree.structure(fresh.opt_state), leaves)
    return state, [Row(label, *_size(found), str(action)) for (label, action), found in rows.items()]


def scheduled_as(opt_state: Tree, other: Tree, params: Tree) -> Tree:
    """An optimizer's state with the schedule's counts of another one; the moments and their counts stay its own."""
    labels = _labels(opt_state, set(params), None)
    return jax.tree.map(lambda label, own, at: at if label == "schedule" else own, labels, opt_state, other)


def _labels(node: Any, names: set[Any], label: str | None) -> Any:
    """For each leaf of an optimizer's state, whether it is of the moments (and which), or of a schedule.

    Moments are the trees with the parameters' names, and all numbers beside one in its tuple, such as Adam's count.
    """
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        fields = {field: getattr(node, field) for field in node._fields}
        own = any(_mirrors(value, names) for value in fields.values())
        return type(node)(
            *(_labels(value, names, f"moments {field}" if own else None) for field, value in fields.items())
        )
    if isinstance(node, tuple | list):
        return type(node)(_labels(value, names, None) for value in node)
    if isinstance(node, dict) and not _mirrors(node, names):
        return {key: _labels(value, names, None) for key, value in node.items()}
    return jax.tree.map(lambda _: label or "schedule", node)


def _mirrors(node: Any, names: set[Any]) -> bool:
    return isinstance(node, dict) and set(node) == names


def _same(fresh: Tree, old: Tree, name: str, part: str, fix: str) -> None:
    new = {path_name(p): x for p, x in jax.tree_util.tree_leaves_with_path(fresh)}
    was = {path_name(p): x for p, x in jax.tree_util.tree_leaves_with_path(old)}
    for where in [*new, *was]:
        _same_leaf(new.get(where), was.get(where), name, f"{part}/{where}", fix)


def _same_leaf(new: Any, was: Any, name: str, where: str, fix: str) -> None:
    here, before = ("absent" if x is None else tuple(x.shape) for x in (new, was))
    if here != before:
        raise HandoverError(f"stage {name!r}: {where} is {before} in the stage before and {here} here. Use {fix}.")


def _carried(new: Any, was: Any) -> Any:
    """The old leaf, in the dtype of the new one."""
    return new if isinstance(new, jax.ShapeDtypeStruct) else was if was.dtype == new.dtype else was.astype(new.dtype)


def _copy(leaf: Any) -> Any:
    return leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jnp.copy(leaf)


def _size(tree: Tree) -> tuple[int, int]:
    return len(jax.tree.leaves(tree)), count(tree)


def table(rows: list[Row]) -> list[tuple[str, str, str, str, str]]:
    """The rows as text, for the terminal and the report."""
    return [
        (r.part, f"{r.leaves:,}" if r.leaves else "", f"{r.numbers:,}" if r.leaves else "", r.action, r.note)
        for r in rows
    ]


def sentence(rows: Sequence[Sequence[str]]) -> str:
    """The table in one line: what happens, and to which parts.

    >>> sentence([("params", "3", "160", "carry", ""), ("step", "1", "1", "reset", ""), ("data", "", "", "reset", "")])
    'carry params; reset step, data'
    """
    parts: dict[str, list[str]] = {}
    for part, _, _, action, *_ in rows:
        parts.setdefault(action, []).append(part)
    return "; ".join(f"{action} {', '.join(found)}" for action, found in parts.items())
