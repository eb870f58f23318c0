"""Growth of a whole train state between two stages: parameters, moments and averages, with the receipt."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import NamedSharding

from stagejax.axes import DEFAULT_RULES, Rules, axes_of, is_axes, partition_spec
from stagejax.growth import Growth, GrowthError, Receipt, grow, receipt_of, verify_growth
from stagejax.growth.moments import Rule, grow_moments
from stagejax.mesh import replicated
from stagejax.result import Result
from stagejax.stage import Batch, Stage, variables
from stagejax.state import TrainState, Tree, cast, select, split


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
    before, after = _Kind.of(growth.old, stage), _Kind.of(growth.config, stage)
    keep_moments = moments != "reset" and after.tx is not None
    like = after.state(mesh, rules, moments=keep_moments, average=stage.ema is not None)
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


@dataclass(frozen=True)
class _Kind:
    """A model config as a stage would train it."""

    config: Any
    axes: Tree
    params: Tree  # abstract
    rest: Tree  # abstract
    selection: Tree
    tx: Any

    @classmethod
    def of(cls, config: Any, stage: Stage) -> _Kind:
        module = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
        axes = axes_of(module)
        params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
        params = jax.eval_shape(lambda p: cast(p, stage.precision.params), params)
        selection = select(stage.trainable, axes, params)  # type: ignore[arg-type]
        trained = jax.tree.map(lambda a, chosen: a if chosen is not False else None, axes, selection, is_leaf=is_axes)
        tx = stage.optimizer(stage.steps, trained) if stage.optimizer is not None else None
        return cls(config, axes, params, variables(module), selection, tx)

    def state(self, mesh: Any, rules: Rules, *, moments: bool, average: bool) -> TrainState:
        """The abstract train state, with shardings."""
        every = replicated(mesh)

        def placed(leaf: Any, sharding: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

        spec = {**DEFAULT_RULES, **rules}
        where = jax.tree.map(
            lambda a, x: NamedSharding(mesh, partition_spec(a, x.shape, mesh, spec)),
            self.axes,
            self.params,
            is_leaf=is_axes,
        )
        params = jax.tree.map(placed, self.params, where)
        opt_state: Tree = ()
        if moments:
            shapes = jax.eval_shape(lambda p: self.tx.init(split(p, self.selection)[0]), self.params)
            trained = jax.tree.map(lambda s, chosen: None if chosen is False else s, where, self.selection)
            marks = optax.tree_map_params(
                self.tx, lambda _, s: s, shapes, trained, transform_non_params=lambda _: every
            )
            opt_state = jax.tree.map(placed, shapes, marks)
        rest = jax.tree.map(lambda x: placed(x, every), self.rest)
        step = placed(jnp.zeros((), jnp.int32), every)
        return TrainState(step, params, rest, opt_state, params if average else None)


def _probe(stage: Stage) -> tuple[Any, list[Batch]]:
    """The objective, and the batches on which a growth is measured: up to eight held-out ones if the stage has such."""
    data, count = (stage.data, 1) if stage.evaluate is None else (stage.evaluate.data, min(8, stage.evaluate.batches))
    batches = data.batches(None, (0, 1))
    try:
        return stage.objective, [dict(batch) for batch in itertools.islice(batches, count)]
    finally:
        batches.close()


def _same_rest(start: Result, before: _Kind, after: _Kind) -> None:
    old = jax.tree.map(lambda x: x.shape, before.rest)
    if old != jax.tree.map(lambda x: x.shape, after.rest):
        raise GrowthError(
            f"{start.name!r} has variables beside its parameters (batch statistics) that change size; they cannot be "
            "grown yet"
        )
