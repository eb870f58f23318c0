"""The program of a stage: its models taken apart, its shardings resolved, its step and evaluation compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import NamedSharding

from stagejax.apart import take_apart
from stagejax.axes import DEFAULT_RULES, Rules, is_axes, partition_spec, path_name
from stagejax.compiling import compiler, once_only
from stagejax.declare import declare, fingerprint
from stagejax.handover import Row, cross
from stagejax.ledger import Number, count_flops, flops_of
from stagejax.mesh import abstract_mesh, batch_sharding, replicated
from stagejax.note import noted
from stagejax.optimizer import Optimizer
from stagejax.schedule import Schedule
from stagejax.shapes import batch_text, check_made, check_split
from stagejax.stage import Batch, Metrics, Part, Stage, accumulated_gradients, variables, whole_gradients
from stagejax.state import TrainState, Tree, cast, select, split

Mesh = Any
Parts = Any  # Part, or {name: Part}
States = Any  # TrainState, or {name: TrainState}


@dataclass(frozen=True)
class Program:
    """All that is needed to run a stage; `parts`, `state` and `shardings` have the same outer structure."""

    stage: Stage
    parts: Parts
    state: States  # abstract, with shardings
    mesh: Mesh
    init: Callable[[jax.Array], States]
    schedule: Any  # the numbers of the learning rates and the length: Schedule, or {name: Schedule}
    step: Callable[[States, Batch, jax.Array, Any], tuple[States, Metrics]]  # of state, batch, key and schedule
    score: Callable[[States, Batch], Metrics] | None
    cache: dict[str, Any] = field(default_factory=dict, compare=False)  # shared by programs of the same step
    scores: dict[str, Any] = field(default_factory=dict, compare=False)  # and those of the same evaluation

    def of(self, stage: Stage) -> Program:
        """The program of another stage with the same `identity.program_key`; the compiled code is shared.

        Raises:
          ValueError: the optimizer's schedule does not fit into the stage.
        """
        return replace(self, stage=stage, schedule=schedule_of(stage))

    @property
    def batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The abstract global batch, with its sharding."""
        return _batch_spec(self.stage.data.spec(), self.mesh)

    @property
    def key(self) -> Any:
        """The abstract key argument of the step."""
        keys = jax.eval_shape(lambda: step_keys(self.stage, 0))
        return jax.ShapeDtypeStruct(keys.shape, keys.dtype, sharding=replicated(self.mesh))

    @property
    def numbers(self) -> Any:
        """The abstract schedule."""
        dtype, everywhere = jax.dtypes.canonicalize_dtype(float), replicated(self.mesh)
        return jax.tree.map(lambda _: jax.ShapeDtypeStruct((), dtype, sharding=everywhere), self.schedule)

    def step_flops(self) -> int:
        """Matrix-multiplication FLOPs of a step, forward and backward, over all devices; recomputation not counted."""

        def number() -> int:
            if self.stage.remat is None:
                return flops_of(self.traced_step().jaxpr)
            plain = build(replace(self.stage, remat=None), None)
            return count_flops(plain.step, *map(_bare, (self.state, self.batch, self.key, self.numbers)))

        return _once(self.cache, "step_flops", number)

    def every_step_flops(self) -> np.ndarray:
        """FLOPs of each step of the stage in order, also where they vary."""
        varying, steps = self.stage.step_flops, self.stage.steps
        if varying is None:
            return np.full(steps, self.step_flops(), np.float64)
        return np.asarray(varying(np.arange(steps)), np.float64)

    def score_flops(self) -> Number:
        """FLOPs of scoring one evaluation batch."""
        score, evaluation = self.score, self.stage.evaluate
        if score is None or evaluation is None:
            return 0
        if evaluation.flops is not None:
            return evaluation.flops
        return _once(self.scores, "score_flops", lambda: flops_of(self.traced_score().jaxpr))

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, found once for all stages that share this step."""
        return _once(self.cache, name, make)

    def traced_step(self) -> Any:
        """The step, traced for this mesh; compiled, it takes over (donates) the state."""
        outs = (_shardings(self.state), replicated(self.mesh))
        jitted = jax.jit(self.step, donate_argnums=0, out_shardings=outs)

        def trace() -> Any:
            with noted(f"in the step of stage {self.stage.name!r}, on batches of {batch_text(self.batch)}"):
                return jitted.trace(self.state, self.batch, self.key, self.numbers)

        return _once(self.cache, "traced step", trace)

    def traced_score(self) -> Any:
        """The evaluation of one batch, traced for this mesh."""
        assert self.score is not None
        assert self.stage.evaluate is not None
        spec = _batch_spec(self.stage.evaluate.data.spec(), self.mesh)
        jitted = jax.jit(self.score, out_shardings=replicated(self.mesh))

        def trace() -> Any:
            with noted(f"in the evaluation of stage {self.stage.name!r}, on batches of {batch_text(spec)}"):
                return jitted.trace(self.state, spec)

        return _once(self.scores, "traced score", trace)

    def compiled_step(self) -> Callable[..., Any]:
        """The compiled step: (state, batch, key) -> (state, metrics). Batches may be numpy arrays."""
        compiled = _once(self.cache, "step", lambda: compiler(self.traced_step())())
        numbers = jax.tree.map(
            lambda x, spec: jax.device_put(np.asarray(x, spec.dtype), spec.sharding), self.schedule, self.numbers
        )
        return lambda state, batch, key: compiled(state, batch, key, numbers)

    def compiled_score(self) -> Callable[..., Any] | None:
        """The compiled evaluation of one batch: (state, batch) -> metrics; None without one."""
        if self.score is None:
            return None
        return _once(self.scores, "score", lambda: compiler(self.traced_score())())

    def compile(self, together: Callable[[list[Callable[[], Any]]], list[Any]], step: bool = True) -> None:
        """Compile what is not compiled yet. `together` runs several functions, side by side if it can."""
        wanted = [(self.cache, "step", self.traced_step)] if step else []
        wanted += [(self.scores, "score", self.traced_score)] if self.score is not None else []
        missing = [(cache, name, compiler(trace())) for cache, name, trace in wanted if name not in cache]
        for (cache, name, _), code in zip(missing, together([make for *_, make in missing]), strict=True):
            cache[name] = code

    def initial(self, generation: int) -> States:
        """Fresh parameters and optimizer state, born on their devices with their shardings."""
        return self.begin(generation, None)[0]

    def begin(self, generation: int, old: States | None) -> tuple[States, list[Row]]:
        """The first state of the stage, on its devices, and the table of what it took over from `old`.

        Raises:
          HandoverError: `old` does not fit.
        """
        rows = cross(self.stage, self.parts, self.state, old)[1]

        def first(keys: jax.Array, old: States | None) -> States:
            return cross(self.stage, self.parts, self.init(keys), old)[0]

        name = "begin" if old is None else f"begin {fingerprint(declare(self.stage.handover))}"
        jitted = _once(
            self.cache,
            name,
            lambda: jax.jit(first, out_shardings=_shardings(self.state), compiler_options=once_only()),
        )
        return jitted(init_keys(self.stage, generation), old), rows


def _once(cache: dict[str, Any], name: str, make: Callable[[], Any]) -> Any:
    if name not in cache:
        cache[name] = make()
    return cache[name]


def step_keys(stage: Stage, generation: int) -> jax.Array:
    """The key from which step k derives its own; one for each replica. Addressed by seed and generation, not name."""
    return _keys(_seeds(stage), generation, 1)


def init_keys(stage: Stage, generation: int) -> jax.Array:
    """The key of the initial values; one for each replica."""
    return _keys(_seeds(stage), generation, 0)


def _seeds(stage: Stage) -> np.ndarray:
    return np.asarray(stage.seed if stage.seeds is None else stage.seed + np.arange(stage.seeds), np.int64)


@jax.jit
def _keys(seeds: jax.Array, generation: jax.Array, purpose: jax.Array) -> jax.Array:
    keys = jax.random.key(seeds) if seeds.ndim == 0 else jax.vmap(jax.random.key)(seeds)
    fold = jax.random.fold_in if seeds.ndim == 0 else jax.vmap(jax.random.fold_in, (0, None))
    return fold(fold(keys, generation), purpose)


def build(stage: Stage, mesh: Mesh | None, rules: Rules | None = None) -> Program:
    """Take a stage's models apart and resolve names to shardings; nothing of a model's size is allocated.

    `mesh` may be abstract (planning) or None (only shapes and FLOPs are wanted).

    Raises:
      ValueError: the batch is not divisible by the mesh, or the data axis; a trainable rule that chooses nothing.
      MissingAxes: a parameter that names no axes.
    """
    mesh = abstract_mesh("data=1") if mesh is None else mesh
    check_split(stage, mesh)
    names = list(stage.model) if isinstance(stage.model, dict) else None
    parts = {name: part_of(stage, name) for name in names} if names else part_of(stage)

    def init(key: jax.Array) -> States:
        if not names:
            return fresh(parts, key)
        return {name: fresh(parts[name], jax.random.fold_in(key, i)) for i, name in enumerate(names)}

    def step(state: States, batch: Batch, key: jax.Array, schedule: Any) -> tuple[States, Metrics]:
        made = stage.step(_paced(stage, parts, schedule), state, batch, key)
        check_made(stage, state, made)
        return made

    score = functools.partial(_score, stage.evaluate, parts) if stage.evaluate is not None else None
    if stage.seeds is not None:
        init = jax.vmap(init)
        step = jax.vmap(step, in_axes=(0, None, 0, None))
        score = score and jax.vmap(score, in_axes=(0, None))
    shapes = jax.eval_shape(init, jax.eval_shape(lambda: init_keys(stage, 0)))
    lead = 0 if stage.seeds is None else 1
    where = functools.partial(state_shardings, mesh=mesh, rules=rules or {}, lead=lead)
    shardings = {n: where(parts[n], shapes[n]) for n in names} if names else where(parts, shapes)
    state = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings)
    return Program(stage, parts, state, mesh, init, schedule_of(stage), step, score)


def part_of(stage: Stage, name: str | None = None) -> Part:
    """One model of a stage (of several, the named one), taken apart on abstract values."""

    def of(thing: Any) -> Any:
        return _of(thing, name)

    config = of(stage.model)
    graphdef, axes, params, rest = take_apart(config)
    params = jax.eval_shape(lambda p: cast(p, stage.precision.params), params)
    optimizer = of(stage.optimizer)
    selection = jax.tree.map(lambda _: False, axes, is_leaf=is_axes)
    tx = optax.set_to_zero()
    if optimizer is not None:
        with noted(f"in stage {stage.name!r}"):
            selection = select(of(stage.trainable), axes, params)
            tx = optimizer(stage.steps, _trained_axes(axes, selection))
    return Part(
        config, graphdef, axes, params, rest, selection, tx, of(stage.objective),
        whole_gradients if stage.accumulate == 1 else accumulated_gradients,
        stage.precision, _average_of(stage, name), stage.accumulate, stage.remat, stage.steps,
    )  # fmt: skip


def _trained_axes(axes: Tree, selection: Tree) -> Tree:
    return jax.tree.map(lambda a, chosen: a if chosen is not False else None, axes, selection, is_leaf=is_axes)


def schedule_of(stage: Stage) -> Any:
    """The numbers of the learning rates of a stage; the length alone where the optimizer is no `Optimizer`, or None."""

    def of(optimizer: Any) -> Any:
        unknown = Schedule(peak=0.0, end=0.0, warmup=0.0, steps=float(stage.steps), falling=0.0)
        with noted(f"in stage {stage.name!r}"):
            return optimizer.schedule(stage.steps) if isinstance(optimizer, Optimizer) else unknown

    if isinstance(stage.model, dict):
        return {name: of(_of(stage.optimizer, name)) for name in stage.model}
    return of(stage.optimizer)


def _paced(stage: Stage, parts: Parts, schedule: Any) -> Parts:
    """The parts of a stage that take their learning rates and their length from `schedule`."""

    def of(optimizer: Any, part: Part, schedule: Schedule) -> Part:
        part = replace(part, steps=schedule.steps)
        if not isinstance(optimizer, Optimizer):
            return part
        return replace(part, tx=optimizer.chain(schedule, _trained_axes(part.axes, part.selection)))

    if isinstance(stage.model, dict):
        return {name: of(_of(stage.optimizer, name), parts[name], schedule[name]) for name in parts}
    return of(stage.optimizer, parts, schedule)


def _of(thing: Any, name: str | None) -> Any:
    """What a stage says of one of its models."""
    return thing[name] if isinstance(thing, dict) else thing


def _average_of(stage: Stage, name: str | None) -> float | None:
    return stage.ema.get(name) if isinstance(stage.ema, Mapping) else stage.ema


def abstract_state(part: Part, mesh: Any, rules: Rules) -> TrainState:
    """The initial state of one model without arrays, with its shardings."""
    shapes = jax.eval_shape(lambda: fresh(part, jax.random.key(0)))
    where = state_shardings(part, shapes, mesh=mesh, rules=rules)
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, where)


def fresh(part: Part, key: jax.Array) -> TrainState:
    """The initial state of one model."""
    module = part.config.build(nnx.Rngs(key))
    params = cast(nnx.to_pure_dict(nnx.state(module, nnx.Param)), part.precision.params)
    opt_state = part.tx.init(jax.tree.map(lambda x: x.astype(_moment_dtype(x, part)), split(params, part.selection)[0]))
    return TrainState(
        jnp.zeros((), "int32"), params, variables(module), opt_state, None if part.ema is None else params
    )


def _moment_dtype(leaf: Any, part: Part) -> Any:
    """The wider of what the parameter is stored in and what its gradient comes in."""
    gradients = part.precision.gradients
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    return jnp.promote_types(leaf.dtype, gradients) if gradients and floating else leaf.dtype


def _score(evaluation: Any, parts: Parts, state: States, batch: Batch) -> Metrics:
    """Metrics of one evaluation batch, with totals and counts still apart."""

    def module(part: Part, state: TrainState) -> nnx.Module:
        params = state.ema if evaluation.ema else state.params
        return nnx.merge(part.graphdef, cast(params, part.precision.compute), state.rest)

    several = isinstance(parts, dict)
    model = {n: module(parts[n], state[n]) for n in parts} if several else module(parts, state)
    objective = evaluation.objective or (None if several else parts.objective)
    loss, metrics = objective(model, batch, None)
    return {"loss": loss} | metrics


def state_shardings(part: Part, shapes: TrainState, *, mesh: Mesh, rules: Rules, lead: int = 0) -> TrainState:
    """Where the leaves of a state lie; `lead` dimensions before those of the model (replicas) are whole everywhere."""
    everywhere = replicated(mesh)

    def of(axes: Any, leaf: Any) -> NamedSharding:
        spec = partition_spec(axes, leaf.shape, mesh, {**DEFAULT_RULES, **rules})
        return NamedSharding(mesh, jax.P(*(None,) * lead, *spec))

    def of_moment(path: Any, moment: Any) -> NamedSharding:
        """That of the parameter whose path ends this one; a factored moment or a count is small, and everywhere."""
        names = path_name(path).split("/")
        for i in range(len(names)):
            sharding, shape = like.get("/".join(names[i:]), (everywhere, None))
            if moment.shape[lead:] == shape:
                return sharding
        return everywhere

    params = jax.tree.map(of, part.axes, part.params, is_leaf=is_axes)
    axes_at = {path_name(path): axes for path, axes in jax.tree_util.tree_leaves_with_path(part.axes, is_leaf=is_axes)}
    trained = jax.eval_shape(lambda p: split(p, part.selection)[0], part.params)
    leaves = {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(trained)}
    like = {where: (of(axes_at[where], leaf), leaf.shape) for where, leaf in leaves.items()}
    opt_state = jax.tree_util.tree_map_with_path(of_moment, shapes.opt_state)
    return TrainState(
        everywhere,
        params,
        jax.tree.map(lambda _: everywhere, shapes.rest),
        opt_state,
        params if part.ema is not None else None,
    )


def _batch_spec(spec: dict[str, Any], mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    sharding = batch_sharding(mesh)
    return {k: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding) for k, x in spec.items()}


def _shardings(tree: Tree) -> Tree:
    return jax.tree.map(lambda x: x.sharding, tree)


def _bare(tree: Tree) -> Tree:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def bytes_per_device(tree: Tree) -> int:
    """Bytes that the leaves of an abstract, sharded tree take on one device."""
    return sum(
        int(np.prod(x.sharding.shard_shape(x.shape))) * x.dtype.itemsize
        for x in jax.tree.leaves(tree)
        if hasattr(x.dtype, "itemsize")
    )
