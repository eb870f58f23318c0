"""Growth of a whole train state between two stages: parameters, moments and averages, with the receipt."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax

from stagejax.axes import Rules
from stagejax.growth import Growth, GrowthError, Operator, Receipt, grow, receipt_of, verify_growth
from stagejax.growth.moments import Rule, grow_moments
from stagejax.growth.operator import describe
from stagejax.growth.rest import check_rest, grow_rest
from stagejax.growth.term import base
from stagejax.note import kind_of
from stagejax.program import abstract_state, part_of
from stagejax.result import Result
from stagejax.stage import Batch, Stage
from stagejax.state import TrainState, Tree


@dataclass(frozen=True)
class StateGrowth:
    """A growth that is checked and ready: `like` and `receipt` are known without any array, `apply` does it."""

    config: Any  # of the grown model
    like: TrainState  # abstract, with shardings
    receipt: Receipt  # its static part
    apply: Callable[[], tuple[TrainState, Receipt]]
    replay: Callable[[Growth], TrainState]  # the state again, by a growth of the same models, from the stored sources
    growth: Growth


def grow_state(
    start: Result,
    to: Any,
    operator: Any,
    moments: Rule,
    mesh: Any,
    rules: Rules,
    others: Mapping[str, Result] | None = None,
) -> StateGrowth:
    """Prepare the growth of what `start` left behind to the model `to`, with what `others` left behind as well.

    Raises:
      GrowthError: the operator cannot make this model, or what should be grown is not there.
    """
    if not isinstance(operator, Operator):
        raise GrowthError(f"operator is {kind_of(operator)}; give an operator with its settings, such as FPI()")
    stage = start.stage
    if stage is None or isinstance(start.model, dict) or stage.seeds is not None:
        raise GrowthError(
            f"{start.name!r} is not one trained model: grow the models of a stage, or its replicas, one by one"
        )
    growth = Growth(operator, start.model, to)
    before, after = (part_of(replace(stage, model=config)) for config in (growth.old, growth.config))
    keep_moments = moments != "reset" and stage.optimizer is not None
    like = abstract_state(after, mesh, rules)
    like = like if keep_moments else replace(like, opt_state=())
    check_rest(growth)
    _check_others(growth, others or {})

    def grown_from(state: TrainState, growth: Growth = growth) -> TrainState:
        beside = {name: result.state() for name, result in (others or {}).items()}
        key = jax.random.fold_in(jax.random.key(stage.seed), start.generation + 1)
        where = jax.tree.map(lambda x: x.sharding, like)

        def grown(part: str) -> Tree:
            trees = {n: s.params if s.ema is None else getattr(s, part) for n, s in beside.items()}
            return grow(growth, getattr(state, part), key=key, others=trees, shardings=where.params)

        params = grown("params")
        opt_state: Tree = ()
        if keep_moments:
            opt_state = grow_moments(growth, before.tx, state.opt_state, moments, shardings=where.opt_state)
        ema = grown("ema") if like.ema is not None else None
        rest = grow_rest(growth, state.rest, others={n: s.rest for n, s in beside.items()}, shardings=where.rest)
        return TrainState(state.step, params, rest, opt_state, ema)

    def apply() -> tuple[TrainState, Receipt]:
        state = start.state()
        new = grown_from(state)
        rests = {"rest": state.rest, "rest_after": new.rest}
        return new, verify_growth(growth, state.params, new.params, moments, *_probe(stage), **rests)

    receipt = receipt_of(growth, moments)
    return StateGrowth(growth.config, like, receipt, apply, lambda by: grown_from(start.state(), by), growth)


def _check_others(growth: Growth, others: Mapping[str, Result]) -> None:
    """Whether the further sources are models of the new sizes, and those that the operator's terms name."""
    wanted = {term.source for term in growth.terms} - {"small", "init"}
    if wanted != set(others):
        raise GrowthError(
            f"{growth.operator} takes {sorted(wanted) or 'nothing'} beside the model to grow, but is given "
            f"{sorted(others) or 'nothing'}: pass others={{name: result}}"
        )
    for name, result in others.items():
        found = {} if isinstance(result.model, dict) else {w: shape for w, (_, shape) in describe(result.model).items()}
        for where, shape in _shapes_of(growth, name).items():
            if found.get(where) != shape:
                raise GrowthError(
                    f"{growth.operator} mixes in {name}={result.name!r}, whose model is not of the sizes that it "
                    f"takes: {where!r} is {found.get(where, 'absent')} there, and should be {shape}"
                )


def _shapes_of(growth: Growth, source: str) -> dict[str, tuple[int, ...]]:
    """The shapes that a further source must have, by path, where a term uses it."""
    shapes = {}
    for where, (axes, shape) in growth.target.items():
        for term in growth.terms:
            if term.source == source and term.concerns(axes):
                maps = [term.maps.get(base(name)) for name in axes.names]
                shapes[where] = tuple(rule.old if rule else size for rule, size in zip(maps, shape, strict=True))
    return shapes


def _probe(stage: Stage) -> tuple[Any, list[Batch]]:
    """The objective, and the batches on which a growth is measured: up to eight held-out ones if the stage has such."""
    data, count = (stage.data, 1) if stage.evaluate is None else (stage.evaluate.data, min(8, stage.evaluate.batches))
    batches = data.batches(None, (0, 1))
    try:
        return stage.objective, [dict(batch) for batch in itertools.islice(batches, count)]
    finally:
        batches.close()
