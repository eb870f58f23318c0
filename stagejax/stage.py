"""A stage: what is trained, on what, by which step. And the step that most stages use.

A stage is a value. `program.build` turns it into a pure function of (state, batch, key), `loop.train` runs that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from stagejax.handover import Handover
from stagejax.note import kind_of
from stagejax.objectives.loss import Macro
from stagejax.state import Trainable, TrainState, Tree, cast, everything, join, split

Batch = Mapping[str, Any]
#: Named scalars; a pair (total, count) is averaged as total / count over batches, a `Macro` is the mean of several.
#: A step that decodes says by the metric `sampled_tokens` how many tokens it drew; the stage's cost has their sum.
Metrics = dict[str, Any]
#: (model, batch, key) -> (loss, metrics). In evaluation the key is None.
Objective = Callable[[Any, Batch, Any], tuple[jax.Array, Metrics]]

UNDECLARED = {"declared": False}

#: What the backward pass may keep: policies of `jax.checkpoint_policies`.
REMAT = (
    "nothing_saveable",
    "everything_saveable",
    "dots_saveable",
    "dots_with_no_batch_dims_saveable",
    "checkpoint_dots",
    "checkpoint_dots_with_no_batch_dims",
)


@runtime_checkable
class ModelConfig(Protocol):
    """What a stage needs of a model: how to build it, and the sizes of its named axes."""

    def build(self, rngs: nnx.Rngs) -> nnx.Module: ...

    def sizes(self) -> dict[str, int]: ...


@runtime_checkable
class BatchIterator(Protocol):
    """Batches in order; `position` says where the next one is."""

    position: dict[str, Any]

    def __iter__(self) -> Iterator[Batch]: ...

    def __next__(self) -> Batch: ...

    def close(self) -> None: ...


@runtime_checkable
class Data(Protocol):
    """Batches by position: batch k is a pure function of the declaration and k."""

    @property
    def samples(self) -> int: ...

    @property
    def tokens(self) -> int: ...

    def spec(self) -> dict[str, jax.ShapeDtypeStruct]: ...

    def batches(self, position: dict[str, Any] | None, shard: tuple[int, int] = (0, 1)) -> BatchIterator: ...


@dataclass(frozen=True)
class Evaluation:
    """Which held-out batches are scored, and when. The stage's last state is always scored.

    Args:
      data: such as `stage.data.held_out(8)`.
      batches: how many of its batches, always the first ones.
      every: steps between two evaluations; None: only at the end.
      objective: whose metrics are measured; None: the stage's own.
      ema: score the averaged parameters.
      flops: of scoring a batch, where its program does not say, as when it samples; None: counted.
    """

    data: Data
    batches: int
    every: int | None = None
    objective: Objective | None = None
    ema: bool = False
    flops: float | None = None


@dataclass(frozen=True)
class Precision:
    """Dtypes by name, such as `bfloat16`; None leaves the dtype as it is.

    Args:
      params: of the stored parameters.
      compute: of the parameters that the objective sees.
      gradients: of the gradients that the optimizer sees; moments have the wider of this and `params`.

    Raises:
      ValueError: it is the name of no floating dtype.
    """

    params: str | None = None
    compute: str | None = None
    gradients: str | None = None

    def __post_init__(self) -> None:
        for name, dtype in vars(self).items():
            try:
                floating = dtype is None or jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
            except TypeError:
                floating = False
            if not floating:
                raise ValueError(f"Precision({name}={dtype!r}): give a floating dtype by name, such as 'bfloat16'")


@dataclass(frozen=True)
class Part:
    """One model of a stage, with all that is static about it while it trains."""

    config: Any
    graphdef: Any
    axes: Tree
    params: Tree  # abstract
    rest: Tree  # abstract
    selection: Tree
    tx: optax.GradientTransformation
    objective: Any
    gradients: Any
    precision: Precision
    ema: float | None
    accumulate: int
    remat: str | None
    steps: Any = 1  # the stage's length; in a compiled step a traced number, so that stages of any length share it

    def progress(self, step: Any) -> jax.Array:
        """How much of the stage lies before a step, from 0 to 1: what objectives that change on the way look at."""
        return jnp.clip(step / self.steps, 0.0, 1.0)


def gradient_step(part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
    """One optimizer step on the objective: gradient, update, average. The step of a stage unless it names another."""
    key = jax.random.fold_in(key, state.step)
    trained, frozen = split(state.params, part.selection)
    (metrics, rest), grads = part.gradients(part, trained, frozen, state.rest, batch, key)
    grads = cast(grads, part.precision.gradients)
    updates, opt_state = part.tx.update(grads, state.opt_state, trained)
    opt_state = jax.tree.map(_in_dtype, opt_state, state.opt_state)
    params = join(optax.apply_updates(trained, updates), frozen, part.selection)
    ema = average(state.ema, params, part.ema)
    metrics = ratios(metrics) | {"grad_norm": optax.tree.norm(grads)}
    return TrainState(state.step + 1, params, rest, opt_state, ema), metrics


def whole_gradients(
    part: Part, trained: Tree, frozen: Tree, rest: Tree, batch: Batch, key: jax.Array
) -> tuple[Any, Tree]:
    """Metrics, new variables and gradient of the objective on the whole batch."""

    def loss(trained: Tree) -> tuple[jax.Array, tuple[Metrics, Tree]]:
        params = cast(join(trained, frozen, part.selection), part.precision.compute)
        model = nnx.merge(part.graphdef, params, rest)
        value, metrics = checked(part.objective(model, batch, key))
        return value, ({"loss": value} | metrics, jax.tree.map(_in_dtype, variables(model), rest))

    if part.remat is not None:
        loss = jax.checkpoint(loss, policy=getattr(jax.checkpoint_policies, part.remat))
    (_, aside), grads = jax.value_and_grad(loss, has_aux=True)(trained)
    return aside, grads


def checked(outcome: Any) -> tuple[jax.Array, Metrics]:
    """What an objective returned, if a gradient can be taken of it.

    Raises:
      ValueError: it is no pair of a floating scalar and a dict.
    """
    if not isinstance(outcome, tuple | list) or len(outcome) != 2 or not isinstance(outcome[1], Mapping):
        raise ValueError(f"the objective returns {type(outcome).__name__}; it returns (loss, metrics), metrics a dict")
    loss = jnp.asarray(outcome[0])
    if loss.ndim or not jnp.issubdtype(loss.dtype, jnp.floating):
        raise ValueError(f"the objective's loss is {loss.dtype}{list(loss.shape)}; it is a floating scalar, a mean say")
    return loss, dict(outcome[1])


def accumulated_gradients(
    part: Part, trained: Tree, frozen: Tree, rest: Tree, batch: Batch, key: jax.Array
) -> tuple[Any, Tree]:
    """The same over `part.accumulate` equal parts of the batch, one after the other, summed in float32.

    Where the objective's loss is a pair (total, count), each part weighs by its count, so the result is that of the
    whole batch. Part i holds every `accumulate`-th row, which moves no row between devices.
    """
    pieces = jax.tree.map(lambda x: x.reshape(-1, part.accumulate, *x.shape[1:]).swapaxes(0, 1), dict(batch))
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(part.accumulate))

    def one(carry: Any, piece: Any) -> tuple[Any, Metrics]:
        total, weight, rest = carry
        (metrics, rest), grads = whole_gradients(part, trained, frozen, rest, piece[0], piece[1])
        own = jnp.asarray(metrics["loss"][1] if isinstance(metrics["loss"], tuple) else 1, jnp.float32)
        total = jax.tree.map(lambda t, g: t + jnp.where(own > 0, own.astype(t.dtype) * g, 0), total, grads)
        return (total, weight + own, rest), metrics

    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.promote_types(x.dtype, jnp.float32)), trained)
    (total, weight, rest), metrics = jax.lax.scan(one, (zero, jnp.zeros((), jnp.float32), rest), (pieces, keys))
    summed = {k: jax.tree.map(lambda x: x.sum(0), v) if isinstance(v, tuple) else v.mean(0) for k, v in metrics.items()}
    return (summed, rest), jax.tree.map(lambda t, x: (t / weight.astype(t.dtype)).astype(x.dtype), total, trained)


def variables(model: nnx.Module) -> Tree:
    """Everything in a model that is not a parameter, such as batch statistics, as plain dictionaries."""
    return nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.Param)))


def _in_dtype(new: jax.Array, old: jax.Array) -> jax.Array:
    """A variable as it was stored, also where the model computed it in another precision."""
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def average(ema: Tree, params: Tree, decay: float | None) -> Tree:
    """ema <- decay * ema + (1 - decay) * params; None stays None."""
    return None if decay is None else jax.tree.map(lambda a, p: a * decay + p * (1 - decay), ema, params)


def ratios(metrics: Metrics) -> Metrics:
    """Pairs (total, count) as total / count, which is 0 where nothing was counted; macro averages as their value."""

    def number(value: Any) -> Any:
        if isinstance(value, Macro):
            return value.value()
        return value[0] / jnp.maximum(value[1], 1e-9) if isinstance(value, tuple) else value

    return {name: number(value) for name, value in metrics.items()}


@dataclass(frozen=True)
class Stage:
    """A named piece of training: from a state to a state.

    `model`, `objective`, `optimizer` and `trainable` may be dictionaries over several models that train together;
    `step` then works on dictionaries of parts and states. Fields that do not change the result (`name`, `save_every`,
    `keep`) are no part of what a stage *is*: stages that differ only there share their result.

    Args:
      name: words joined by single slashes, such as large/fpi; also its folder.
      model: a config that builds the module, such as `gpt(...)`.
      objective: (model, batch, key) -> (loss, metrics). None where the step has its own.
      optimizer: (steps, axes) -> optax chain, such as `adamw(3e-4)`. None for a model that stays as it is.
      data: its batches.
      steps: optimizer steps.
      step: (part, state, batch, key) -> (state, metrics), pure.
      trainable: (path, axes) -> whether a parameter is trained, or which of its layers, as a slice.
      handover: what passes from the stage before.
      evaluate: what is scored meanwhile.
      seed: of initial values and step keys.
      seeds: train this many replicas in one program, of the seeds seed, seed + 1, ...
      accumulate: parts into which each batch is cut, one after the other.
      precision: dtypes of parameters, computation and gradients.
      remat: what the backward pass may keep, one of `REMAT`; None: all.
      ema: decay of the averaged parameters, of all models or of the named; None: no average.
      step_flops: of steps 0, 1, ... (an array), where the cost varies; None: counted from the program.
      save_every: steps between two saves; None: by the clock.
      keep: how many saves are kept; None: all.

    Raises:
      ValueError: a field of another kind, or out of range; the error names stage and field.

    >>> from dataclasses import replace
    >>> # large = Stage("large", gpt(...), causal_lm, adamw(3e-4), CausalText(...), steps=400)
    >>> # run.train(replace(large, name="large/warm"), start)
    """

    name: str = field(metadata=UNDECLARED)
    model: Any
    objective: Objective | Mapping[str, Objective] | None
    optimizer: Any
    data: Data
    steps: int
    step: Callable[..., Any] = gradient_step
    trainable: Trainable | Mapping[str, Trainable] = everything
    handover: Handover = Handover()
    evaluate: Evaluation | None = None
    seed: int = 0
    seeds: int | None = None
    accumulate: int = 1
    precision: Precision = Precision()
    remat: str | None = None
    ema: float | Mapping[str, float] | None = None
    step_flops: Callable[[Any], Any] | None = None
    save_every: int | None = field(default=None, metadata=UNDECLARED)
    keep: int | None = field(default=2, metadata=UNDECLARED)

    def __post_init__(self) -> None:
        where = f"stage {self.name!r}"
        check_name(self.name)
        self._check_kinds(where)
        for field_name in ("steps", "seeds", "save_every", "keep"):
            number = getattr(self, field_name)
            if number is not None and number < 1:
                raise ValueError(f"{where}: {field_name} is {number}; it is at least 1")
        if self.accumulate < 1 or self.data.samples % self.accumulate:
            raise ValueError(
                f"{where}: accumulate={self.accumulate} does not divide the batch of {self.data.samples}; change "
                "accumulate or data.batch"
            )
        for decay in self.ema.values() if isinstance(self.ema, Mapping) else (self.ema,):
            if decay is not None and not 0 < decay < 1:
                raise ValueError(f"{where}: ema is a decay between 0 and 1, not {decay}")
        if self.remat is not None and self.remat not in REMAT:
            raise ValueError(f"{where}: remat={self.remat!r} is none of {', '.join(REMAT)}")
        if isinstance(self.model, dict):
            if self.step is gradient_step:
                raise ValueError(
                    f"{where} trains several models: give it its own step=(parts, states, batch, key) -> ..."
                )
            for field_name in ("optimizer", "objective", "trainable"):
                value = getattr(self, field_name)
                if isinstance(value, dict) and set(value) != set(self.model):
                    raise ValueError(
                        f"{where}: {field_name} is of {', '.join(value)}, but the models are {', '.join(self.model)}"
                    )
        elif self.step is gradient_step and self.objective is None:
            raise ValueError(f"{where}: objective is None; only a stage with a step of its own needs none")
        evaluation = self.evaluate
        if evaluation is not None:
            if evaluation.batches < 1 or (evaluation.every is not None and evaluation.every < 1):
                raise ValueError(
                    f"{where}: evaluate has batches={evaluation.batches}, every={evaluation.every}; at least 1 each"
                )
            if evaluation.ema and self.ema is None:
                raise ValueError(f"{where}: evaluate.ema needs ema=decay on the stage")
            if evaluation.objective is None and (isinstance(self.model, dict) or self.objective is None):
                raise ValueError(
                    f"{where}: evaluate.objective is None, and the stage has no single objective to stand in"
                )

    def _check_kinds(self, where: str) -> None:
        """Whether every field is the kind of thing that it should be, such as a config and not the module of one."""
        for field_name in ("steps", "seed", "seeds", "accumulate", "save_every", "keep"):
            number, optional = getattr(self, field_name), field_name in ("seeds", "save_every", "keep")
            if not isinstance(number, int | np.integer) and not (optional and number is None):
                raise ValueError(f"{where}: {field_name} is {number!r}; it is a whole number")
        for field_name in ("objective", "optimizer", "trainable"):
            value = getattr(self, field_name)
            if isinstance(value, dict) and not isinstance(self.model, dict):
                raise ValueError(f"{where}: {field_name} is of {', '.join(value)}, but there is one model, not a dict")
        for field_name, method, wanted in (
            ("model", "build", "a config that builds the module, such as gpt(...)"),
            ("optimizer", "__call__", "a declaration such as adamw(1e-3), or a function (steps, axes) -> optax chain"),
            ("objective", "__call__", "a function (model, batch, key) -> (loss, metrics)"),
            ("trainable", "__call__", "a function (path, axes) -> bool, such as parts('head')"),
            ("data", "batches", "a Data, such as Images(batch=32)"),
            ("evaluate", "every", "an Evaluation(data, batches=8)"),
        ):
            value = getattr(self, field_name)
            for thing in value.values() if isinstance(value, dict) else (value,):
                absent = thing is None and field_name in ("optimizer", "objective", "evaluate")
                if isinstance(thing, type) or not (absent or hasattr(thing, method)):
                    raise ValueError(f"{where}: {field_name} is {kind_of(thing)}; give {wanted}")

    def member(self, name: str) -> Stage:
        """What this stage says of one of its models; such a stage describes the model, and cannot be trained."""

        def of(field: Any) -> Any:
            return field.get(name) if isinstance(field, dict) else field

        fields = ("model", "objective", "optimizer", "trainable", "ema")
        return replace(self, **{field: of(getattr(self, field)) for field in fields})


def check_name(name: str) -> None:
    """A stage's name is also its path in the workdir.

    Raises:
      ValueError: it could not be one.
    """
    if not re.fullmatch(r"[\w.+=@ -]+(/[\w.+=@ -]+)*", name) or any(part.strip(" .") == "" for part in name.split("/")):
        raise ValueError(f"stage {name!r}: a name is words joined by single slashes, such as large/fpi")
