"""Plan mode: the same pipeline on abstract values. Every shape, sharding and hand-over is checked; nothing is trained.

A `Plan` has the methods of a `Run`. It allocates no array of a model's size and needs no device of the planned mesh.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import jax
import numpy as np
from jax.extend import core as jex

from stagejax.axes import Rules
from stagejax.declare import Json, fingerprint
from stagejax.growth.timing import Policy
from stagejax.handover import cross, table
from stagejax.identity import (
    check_result,
    check_start,
    check_until,
    declare_grow,
    declare_train,
    declare_transform,
    generation_of,
    program_of,
)
from stagejax.ledger import Cost
from stagejax.memory import bytes_of, peak_bytes
from stagejax.mesh import BATCH_AXES, abstract_mesh, batch_ways, check_axes
from stagejax.note import noted
from stagejax.program import Program, bytes_per_device
from stagejax.result import Result
from stagejax.stage import Part, Stage, check_name
from stagejax.state import Tree, count, split


@dataclass(frozen=True)
class Bytes:
    """Bytes on one device.

    Activations are an estimate: the most that a step holds at once beside all else, as it is written, before XLA fuses
    anything (`memory.peak_bytes`), where the batch stays split. Together with the gradients they are 0.7 to 1.5 of
    XLA's temporaries (tests/test_memory.py).
    """

    params: int = 0
    gradients: int = 0
    moments: int = 0
    ema: int = 0
    activations_estimated: int = 0

    @property
    def total(self) -> int:
        return self.params + self.gradients + self.moments + self.ema + self.activations_estimated


@dataclass(frozen=True)
class Planned:
    """One stage of a plan."""

    name: str
    kind: str
    parameters: int = 0
    trained: int = 0  # numbers that the optimizer updates
    steps: int = 0
    flops: float = 0.0  # of training the whole stage, over all devices
    eval_flops: float = 0.0
    tokens: int = 0
    bytes_per_device: Bytes = Bytes()
    handover: tuple[tuple[str, ...], ...] = ()
    receipt: Json = None

    def to_json(self) -> Json:
        return asdict(self) | {
            "bytes_per_device": asdict(self.bytes_per_device) | {"total": self.bytes_per_device.total}
        }


@dataclass
class Plan:
    """A run that only looks ahead; `stages` fills as the pipeline calls it. Make it by `Plan.on`.

    Args:
      mesh: abstract: its devices need not exist.
      rules: where named axes live on the mesh, beside `axes.DEFAULT_RULES`.
      price: count FLOPs and activations, which takes most of the time.
      stages: what is planned so far, a row each.
      results: what the pipeline was given for them.
    """

    mesh: Any
    rules: Rules = field(default_factory=dict)
    price: bool = True
    stages: list[Planned] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    _programs: dict[str, Program] = field(default_factory=dict)

    @classmethod
    def on(cls, mesh: str, rules: Rules | None = None, price: bool = True) -> Plan:
        """A plan for a mesh given as text, such as `data=16,fsdp=16`.

        Raises:
          ValueError: the text is no mesh, or has an axis that no rule names.
        """
        planned = abstract_mesh(mesh)
        check_axes(planned, rules)
        return cls(planned, rules or {}, price)

    def train(
        self,
        stage: Stage,
        start: Result | dict[str, Result] | None = None,
        *,
        until: Policy | None = None,
        may_diverge: bool = False,
    ) -> Result:
        """Check and price a stage of training, to its full length; see `Run.train`."""
        self._new_name(stage.name)
        check_start(stage, start)
        check_until(stage, until)
        program = program_of(self._programs, stage, self.mesh, self.rules)
        old = {n: r.state() for n, r in start.items()} if isinstance(start, dict) else start and start.state()
        rows = table(cross(stage, program.parts, program.state, old)[1])
        parts = program.parts if isinstance(program.parts, dict) else {"": program.parts}
        states = program.state if isinstance(program.state, dict) else {"": program.state}
        flops, eval_flops, activations = _price(program) if self.price else (0.0, 0.0, 0)
        planned = Planned(
            stage.name,
            "train",
            parameters=sum(count(s.params) for s in states.values()),
            trained=(stage.seeds or 1) * sum(count(_trained(part)) for part in parts.values()),
            steps=stage.steps,
            flops=flops,
            eval_flops=eval_flops,
            tokens=stage.steps * stage.data.tokens,
            bytes_per_device=Bytes(
                params=bytes_per_device([s.params for s in states.values()]),
                gradients=sum(_gradient_bytes(parts[n], states[n].params) for n in parts),
                moments=bytes_per_device([s.opt_state for s in states.values()]),
                ema=bytes_per_device([s.ema for s in states.values()]),
                activations_estimated=activations,
            ),
            handover=tuple(map(tuple, rows)),
        )
        self.stages.append(planned)
        cost = Cost(flops=planned.flops, eval_flops=planned.eval_flops, tokens=planned.tokens, steps=stage.steps)
        return self._done(
            Result(
                stage.name,
                "train",
                fingerprint(declare_train(stage, start, until)),
                generation_of(start) + 1,
                stage.model,
                stage,
                stage.steps,
                cost,
                grows=until and True,
                parameters=planned.parameters,
                handover=planned.handover,
                load=lambda: program.state,
            )
        )

    def grow(
        self,
        name: str,
        start: Result,
        *,
        to: Any,
        operator: Any,
        moments: str = "reset",
        others: Mapping[str, Result] | None = None,
    ) -> Result:
        """Check a growth on abstract arrays, and print the static part of its receipt; see `Run.grow`."""
        from stagejax.growing import grow_state

        self._new_name(name)
        for one in (start, *(others or {}).values()):
            check_result(name, one)
        with noted(f"in the growth {name!r}"):
            growth = grow_state(start, to, operator, moments, self.mesh, self.rules, others)
        size = count(growth.like.params)
        used = Bytes(params=bytes_per_device(growth.like.params), moments=bytes_per_device(growth.like.opt_state))
        self.stages.append(
            Planned(name, "grow", parameters=size, bytes_per_device=used, receipt=growth.receipt.to_json())
        )
        return self._done(
            Result(
                name,
                "grow",
                fingerprint(declare_grow(start, to, operator, moments, others)),
                max(r.generation for r in (start, *(others or {}).values())),
                growth.config,
                start.stage,
                parameters=size,
                receipt=growth.receipt.to_json(),
                load=lambda: growth.like,
            )
        )

    def transform(self, name: str, function: Callable[..., Any], *starts: Result, to: Any, flops: float = 0) -> Result:
        """Check a transform on abstract arrays; see `Run.transform`."""
        from stagejax.transforming import transform_state

        self._new_name(name)
        for start in starts:
            check_result(name, start)
        transform = transform_state(name, function, starts, to, self.mesh, self.rules)
        transform.check()
        size, used = count(transform.like.params), Bytes(params=bytes_per_device(transform.like.params))
        self.stages.append(Planned(name, "transform", parameters=size, bytes_per_device=used))
        return self._done(
            Result(
                name,
                "transform",
                fingerprint(declare_transform(name, function, starts, to)),
                max(start.generation for start in starts),
                to,
                starts[0].stage,
                parameters=size,
                load=lambda: transform.like,
            )
        )

    def make(
        self,
        name: str,
        function: Callable[..., Any],
        *inputs: Any,
        flops: float = 0,
        sampled_tokens: Callable[[Any], int] | None = None,
    ) -> Result:
        """An artifact is not computed in a plan: its value is None."""
        self._new_name(name)
        self.stages.append(Planned(name, "make", flops=float(flops)))
        generation = max([i.generation for i in inputs if isinstance(i, Result)], default=0)
        return self._done(Result(name, "make", fingerprint(name), generation, cost=Cost(flops=flops)))

    def to_json(self) -> Json:
        """The plan for machines."""
        return {
            "mesh": {name: int(size) for name, size in self.mesh.shape.items()},
            "stages": [stage.to_json() for stage in self.stages],
            "total": {
                "flops": sum(s.flops for s in self.stages),
                "tokens": sum(s.tokens for s in self.stages),
                "bytes_per_device": max((s.bytes_per_device.total for s in self.stages), default=0),
            },
        }

    def _new_name(self, name: str) -> None:
        check_name(name)
        if any(stage.name == name for stage in self.stages):
            raise ValueError(f"two stages of this pipeline are named {name!r}; give each its own name")

    def _done(self, result: Result) -> Result:
        self.results.append(result)
        return result


def _price(program: Program) -> tuple[float, float, int]:
    """FLOPs of training a stage and of its evaluations, and the bytes of its activations.

    Raises:
      Exception: the step or the evaluation cannot be traced, or does not tell its FLOPs; a note names the stage.
    """
    stage, evaluation = program.stage, program.stage.evaluate
    with noted(f"in the plan of stage {stage.name!r}"):
        flops = float(program.every_step_flops().sum())
        activations = program.once("activation bytes", lambda: _activation_bytes(program))
        if evaluation is None:
            return flops, 0.0, activations
        times = 1 + (0 if evaluation.every is None else -(-stage.steps // evaluation.every))
        return flops, float(times * evaluation.batches * program.score_flops()), activations


def _trained(part: Part) -> Tree:
    return jax.eval_shape(lambda p: split(p, part.selection)[0], part.params)


def _gradient_bytes(part: Part, params: Tree) -> int:
    """Gradients lie where their parameters lie; of a leaf trained in some rows, in proportion."""
    dtype = part.precision.gradients

    def size(chosen: Any, leaf: Any, one: Any) -> int:
        numbers = int(np.prod(leaf.sharding.shard_shape(leaf.shape)))
        width = np.dtype(dtype).itemsize if dtype else leaf.dtype.itemsize
        if isinstance(chosen, slice):
            numbers = numbers * (chosen.stop - chosen.start) // one.shape[0]
        return numbers * width if chosen is not False else 0

    sizes = jax.tree.map(size, part.selection, params, part.params, is_leaf=lambda x: isinstance(x, bool | slice))
    return sum(jax.tree.leaves(sizes))


def _activation_bytes(program: Program) -> int:
    """The most bytes of one device's that a step holds at once, beside what `Bytes` counts apart.

    That is, beside values of the shape and dtype of a parameter: gradients, updates, averages. What else has the shape
    of a parameter, such as one in the precision of the computation, lies where it lies; also one of three or more
    dimensions behind axes in front, as those of several clients. All other values are split as the batch is; those with
    a dimension that the program itself splits further, such as that of tokens along `sequence`, by that as well.
    """
    jaxpr = program.traced_step().jaxpr.jaxpr
    further, rows = _further_ways(jaxpr), batch_ways(program.mesh)
    states = program.state.values() if isinstance(program.state, dict) else (program.state,)
    params = [leaf for state in states for leaf in jax.tree.leaves(state.params)]
    apart = {(leaf.shape, leaf.dtype) for leaf in params}
    laid = {leaf.shape: math.prod(leaf.shape) // math.prod(leaf.sharding.shard_shape(leaf.shape)) for leaf in params}

    def size(value: Any) -> int:
        whole = bytes_of(value)
        if not whole or (value.shape, value.dtype) in apart:
            return 0
        ends = [value.shape, *(value.shape[i:] for i in range(1, len(value.shape) - 2))]
        own = next((laid[shape] for shape in ends if shape in laid), None)
        return whole // (own or rows * max((further.get(n, 1) for n in value.shape), default=1))

    return peak_bytes(jaxpr, size)


def _further_ways(jaxpr: Any) -> dict[int, int]:
    """Lengths of dimensions that a program constrains to mesh axes other than the batch's, and in how many parts."""
    found: dict[int, int] = {}
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "sharding_constraint":
            where, shape = eqn.params["sharding"], eqn.outvars[0].aval.shape
            for size, axes in zip(shape, where.spec, strict=False):
                axes = (axes,) if isinstance(axes, str) else axes if isinstance(axes, tuple) else ()  # or UNCONSTRAINED
                ways = math.prod(where.mesh.shape[axis] for axis in axes if axis not in BATCH_AXES)
                found |= {size: ways} if ways > 1 else {}
        for inner in jex.jaxprs_in_params(eqn.params):
            found |= _further_ways(inner)
    return found
