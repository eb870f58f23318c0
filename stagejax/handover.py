"""The hand-over between two stages: for every part of the state, exactly one thing that happens to it, as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    """What a stage takes over from the stage before it. The defaults are those of most papers: weights, nothing else."""

    params: LeafRule = Action.CARRY  # carry or reset, for each leaf
    moments: Action | str = Action.RESET  # of the optimizer, with their own step counts
    schedule: Action | str = Action.RESET  # step counts of learning-rate schedules, and the state's step
    rest: Action | str = Action.CARRY  # batch statistics and the like
    ema: Action | str = Action.RESET  # averaged parameters: carry, or start again from the parameters
    data: Action | str = Action.RESET  # position in the data, where both stages read the same data

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

    Works on arrays and, for planning, on abstract arrays.

    Raises:
      HandoverError: shapes or trees differ where something is carried, or a leaf has no rule; the error names stage and leaf.
    """
    params, rows = _params(rule.params, fresh.params, old.params, axes, selection, name)
    opt_state, moment_rows = _optimizer(rule, fresh.opt_state, old.opt_state, name)
    if rule.rest == Action.CARRY:
        _same(fresh.rest, old.rest, name, "rest", "Handover(rest='reset')")
    rest = old.rest if rule.rest == Action.CARRY else fresh.rest
    step = old.step if rule.schedule == Action.CARRY else fresh.step
    carried_ema = rule.ema == Action.CARRY and old.ema is not None and fresh.ema is not None
    if carried_ema:
        _same(fresh.ema, old.ema, name, "ema", "Handover(ema='reset')")
    ema = fresh.ema if fresh.ema is None else (old.ema if carried_ema else jax.tree.map(_copy, params))
    ema_action = Action.DROP if fresh.ema is None else Action.CARRY if carried_ema else Action.RESET
    rows += moment_rows
    rows.append(Row("step", 1, 1, str(rule.schedule)))
    rows += [Row("rest", *_size(rest), str(rule.rest))] if jax.tree.leaves(rest) else []
    if fresh.ema is not None or old.ema is not None:
        rows.append(Row("ema", *_size(old.ema if ema is None else ema), str(ema_action)))
    return TrainState(step, params, rest, opt_state, ema), rows


def beginning(fresh: TrainState, selection: Tree) -> list[Row]:
    """The table of a stage that starts from nothing."""
    rows = [Row("params", *_size(fresh.params), "reset", "initial values")]
    rows += [Row("moments", *_size(fresh.opt_state), "reset", "zeros")] if jax.tree.leaves(fresh.opt_state) else []
    return rows + _frozen_rows(fresh.params, selection)


def _params(
    rule: LeafRule, fresh: Tree, old: Tree, axes: Tree, selection: Tree, name: str
) -> tuple[Tree, list[Row]]:
    _same(fresh, old, name, "params", "run.grow(..., to=the new model) before this stage, or the model of the stage before")
    chosen: dict[str, list[Any]] = {}

    def one(path: Any, leaf_axes: Axes, new: Any, was: Any) -> Any:
        where = path_name(path)
        action = rule(where, leaf_axes) if callable(rule) else rule
        if action not in (Action.CARRY, Action.RESET):
            raise HandoverError(
                f"stage {name!r}: params/{where} is met by no rule (got {action!r}). Make Handover.params return 'carry' or "
                "'reset' for every leaf."
            )
        chosen.setdefault(str(action), []).append(new)
        return was if action == Action.CARRY else new

    params = jax.tree_util.tree_map_with_path(one, axes, fresh, old, is_leaf=lambda x: isinstance(x, Axes))
    rows = [Row("params", *_size(leaves), action) for action, leaves in chosen.items()]
    return params, rows + _frozen_rows(params, selection)


def _frozen_rows(params: Tree, selection: Tree) -> list[Row]:
    from stagejax.state import split

    _, frozen = jax.eval_shape(lambda p: split(p, selection), params)
    return [Row("params", *_size(frozen), str(Action.FREEZE), "not trained here, no moments")] if count(frozen) else []


def _optimizer(rule: Handover, fresh: Tree, old: Tree, name: str) -> tuple[Tree, list[Row]]:
    """Moments with their own counts by one rule, the other counts (schedules) by another."""
    rows: dict[tuple[str, str], list[Any]] = {}
    carried = Action.CARRY in (rule.moments, rule.schedule)
    if rule.moments == Action.CARRY:
        _same(fresh, old, name, "opt_state", "Handover(moments='reset'), or run.grow(..., moments='dual')")
    elif carried and jax.tree.structure(fresh) != jax.tree.structure(old):
        raise HandoverError(
            f"stage {name!r}: the schedule's step count cannot be carried between different optimizers. Use "
            "Handover(schedule='reset') or the optimizer of the stage before."
        )

    def walk(node: Any, was: Any, moment: str | None) -> Any:
        if isinstance(node, tuple) and hasattr(node, "_fields"):
            own = any(isinstance(getattr(node, f), dict) for f in node._fields)
            label = [f if own else moment for f in node._fields]
            return type(node)(*(walk(n, w, m) for n, w, m in zip(node, was, label, strict=True)))
        if isinstance(node, tuple | list):
            return type(node)(walk(n, w, moment) for n, w in zip(node, was, strict=True))
        if isinstance(node, dict):
            return {k: walk(node[k], was[k], moment or "moments") for k in node}
        if node is None or not hasattr(node, "shape"):
            return node
        part, action = (f"moments {moment}", rule.moments) if moment else ("schedule", rule.schedule)
        rows.setdefault((part, str(action)), []).append(node)
        return was if action == Action.CARRY else node

    state = walk(fresh, old if carried else fresh, None)
    return state, [Row(part, *_size(leaves), action) for (part, action), leaves in rows.items()]


def _same(fresh: Tree, old: Tree, name: str, part: str, fix: str) -> None:
    new = {path_name(p): tuple(x.shape) for p, x in jax.tree_util.tree_leaves_with_path(fresh)}
    was = {path_name(p): tuple(x.shape) for p, x in jax.tree_util.tree_leaves_with_path(old)}
    for where in [*new, *was]:
        if new.get(where) != was.get(where):
            raise HandoverError(
                f"stage {name!r}: {part}/{where} is {was.get(where, 'absent')} in the stage before and "
                f"{new.get(where, 'absent')} here. Use {fix}."
            )


def _copy(leaf: Any) -> Any:
    return leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jnp.copy(leaf)


def _size(tree: Tree) -> tuple[int, int]:
    return len(jax.tree.leaves(tree)), count(tree)


def table(rows: list[Row]) -> list[tuple[str, str, str, str, str]]:
    """The rows as text, for the terminal and the report."""
    return [(r.part, f"{r.leaves:,}", f"{r.numbers:,}", r.action, r.note) for r in rows]
