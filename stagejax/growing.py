"""Growth of a whole train state between two stages: parameters, moments and averages, with the receipt."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax

from stagejax.axes import Rules
from stagejax.growth import Growth, GrowthError, Receipt, grow, receipt_of, verify_growth
from stagejax.growth.moments import Rule, grow_moments
from stagejax.program import fresh, part_of, state_shardings
from stagejax.result import Result
from stagejax.stage import Batch, Part, Stage
from stagejax.state import TrainState, Tree


@dataclass(frozen=True)
class StateGrowth:
    """A growth that is checked and ready: `like` and `receipt` are known without any array, `apply` does it."""

    config: Any  # of the grown model
    like: TrainState  # abstract, with shardings
    receipt: Receipt  # its static part
    apply: Callable[[], tuple[TrainState, Receipt]]


def grow_state(start: Result, to: Any, operator: Any, moments: Rule, mesh: Any, rules: Rules) -> StateGrowth:
    """Prepare the growth of what `start` left behind to the model `to`.

    Raises:
      GrowthError: the operator cannot make this model, or what should be grown is not there.
    """
    stage = start.stage
    if stage is None or isinstance(start.model, dict) or stage.seeds is not None:
        raise GrowthError(
            f"{start.name!r} is not one trained model: grow the models of a stage, or its replicas, one by one"
        )
    growth = Growth(operator, start.model, to)
    before, after = (part_of(replace(stage, model=config)) for config in (growth.old, growth.config))
    keep_moments = moments != "reset" and stage.optimizer is not None
    like = _like(after, mesh, rules, keep_moments)
    _same_rest(start, before, after)

    def apply() -> tuple[TrainState, Receipt]:
        state = start.state()
        key = jax.random.fold_in(jax.random.key(stage.seed), start.generation + 1)
        where = jax.tree.map(lambda x: x.sharding, like)

        def grown(tree: Tree) -> Tree:
            return grow(growth, tree, key=key, shardings=where.params)

        params = grown(state.params)
        opt_state: Tree = ()
        if keep_moments:
            opt_state = grow_moments(growth, before.tx, state.opt_state, moments, shardings=where.opt_state)
        ema = grown(state.ema) if like.ema is not None else None
        new = TrainState(state.step, params, state.rest, opt_state, ema)
        return new, verify_growth(growth, state.params, params, moments, *_probe(stage), rest=state.rest)

    return StateGrowth(growth.config, like, receipt_of(growth, moments), apply)


def _like(part: Part, mesh: Any, rules: Rules, moments: bool) -> TrainState:
    """The abstract state of a model as a stage would train it, with shardings; without moments where none are kept."""
    shapes = jax.eval_shape(lambda: fresh(part, jax.random.key(0)))
    where = state_shardings(part, shapes, mesh=mesh, rules=rules)
    like = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, where)
    return like if moments else replace(like, opt_state=())


def _probe(stage: Stage) -> tuple[Any, list[Batch]]:
    """The objective, and the batches on which a growth is measured: up to eight held-out ones if the stage has such."""
    data, count = (stage.data, 1) if stage.evaluate is None else (stage.evaluate.data, min(8, stage.evaluate.batches))
    batches = data.batches(None, (0, 1))
    try:
        return stage.objective, [dict(batch) for batch in itertools.islice(batches, count)]
    finally:
        batches.close()


def _same_rest(start: Result, before: Part, after: Part) -> None:
    old = jax.tree.map(lambda x: x.shape, before.rest)
    if old != jax.tree.map(lambda x: x.shape, after.rest):
        raise GrowthError(
            f"{start.name!r} has variables beside its parameters (batch statistics) that change size; they cannot be "
            "grown yet"
        )
