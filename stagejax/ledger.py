"""What training costs: the matmul FLOPs of a program, and sums of costs over stages and arms.

FLOPs are read from the traced program (its jaxpr), so they need no device, no arrays and no compilation: plan mode and
a run on a pod charge the same number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import jax
import numpy as np
from jax.extend import core as jex

Number = int | float


@dataclass(frozen=True)
class Cost:
    """The cost of a stage, or of several added together.

    Args:
      flops: matmul FLOPs of training: forward, backward, recomputation.
      eval_flops: matmul FLOPs of evaluation; never part of an equal-budget comparison.
      tokens: positions trained on.
      samples: rows of batches trained on.
      sampled_tokens: tokens drawn from a model by decoding.
      steps: optimizer steps.
      seconds: wall-clock time.

    >>> small, large = Cost(flops=1e9, tokens=100, steps=2), Cost(flops=4e9, tokens=100, steps=2)
    >>> small + large.scale(3)
    Cost(flops=13000000000.0, eval_flops=0, tokens=400, samples=0, sampled_tokens=0, steps=8, seconds=0)
    """

    flops: Number = 0
    eval_flops: Number = 0
    tokens: int = 0
    samples: int = 0
    sampled_tokens: int = 0
    steps: int = 0
    seconds: Number = 0

    def __add__(self, other: Cost) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        return Cost(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)})

    @staticmethod
    def zero() -> Cost:
        """The cost of nothing."""
        return Cost()

    def scale(self, times: int) -> Cost:
        """The cost of doing this `times` times over."""
        return Cost(**{f.name: getattr(self, f.name) * times for f in fields(Cost)})

    def to_json(self) -> dict[str, Number]:
        """The fields by name."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Number]) -> Cost:
        """The inverse of `to_json`.

        Raises:
          ValueError: a field is unknown.
        """
        unknown = sorted(set(data) - {f.name for f in fields(Cost)})
        if unknown:
            raise ValueError(f"a cost has the fields {[f.name for f in fields(Cost)]}, not {unknown}")
        return Cost(**data)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs; zero for none.

    >>> total([Cost(steps=2), Cost(steps=3)]).steps
    5
    """
    return sum(costs, Cost())


def count_flops(fn: Callable[..., Any], *specs: Any, while_trips: int | None = None) -> int:
    """The matmul FLOPs of `fn(*specs)`: 2*m*n*k for every matrix product that its results depend on.

    `dot_general`, `conv_general_dilated` and `ragged_dot` count; element-wise operations, norms and softmax do not, as
    in the papers' accounts. A scan counts its body times its length, a conditional its dearest branch, a rematerialised
    block its recomputation. A convolution counts the products with real inputs only, neither padding nor the holes of a
    dilation, so each of its two gradients costs what the convolution costs. A Pallas kernel counts its declared
    `cost_estimate`. Products whose results are not used (gradients of frozen leaves) do not count.

    Args:
      fn: any traceable function; it is traced, never run.
      specs: its arguments, arrays or `jax.ShapeDtypeStruct`, in any pytree.
      while_trips: how often the body of a `while_loop` runs, which a program does not say.

    Returns:
      FLOPs of one call, over all devices together.

    Raises:
      ValueError: a `while_loop` multiplies matrices and `while_trips` is not given, or a Pallas kernel has no
        `cost_estimate`.

    >>> x_BD, w_DF = jax.ShapeDtypeStruct((8, 16), "float32"), jax.ShapeDtypeStruct((16, 32), "float32")
    >>> count_flops(lambda x, w: x @ w, x_BD, w_DF) == 2 * 8 * 16 * 32
    True
    >>> both = jax.grad(lambda w, x: (x @ w).sum(), argnums=(0, 1))
    >>> count_flops(lambda x, w: both(w, x), x_BD, w_DF) == 2 * (2 * 8 * 16 * 32)
    True
    >>> count_flops(lambda x, w: both(w, x)[0], x_BD, w_DF) == 2 * 8 * 16 * 32
    True
    """
    return flops_of(jax.make_jaxpr(fn)(*specs), while_trips)


def flops_of(traced: Any, while_trips: int | None = None) -> int:
    """`count_flops` of a program that is traced already: a closed jaxpr."""
    return _walk(traced.jaxpr, [True] * len(traced.jaxpr.outvars), while_trips)[0]


def _walk(jaxpr: Any, live_out: Sequence[bool], trips: int | None) -> tuple[int, list[bool]]:
    """FLOPs of a jaxpr of whose outputs only the live ones are wanted, and which of its inputs they need."""
    live = {v for v, wanted in zip(jaxpr.outvars, live_out, strict=True) if wanted and not isinstance(v, jex.Literal)}
    flops = 0
    for eqn in reversed(jaxpr.eqns):
        wanted = [v in live for v in eqn.outvars]
        if not any(wanted) and not eqn.effects:
            continue
        cost, needed = _equation(eqn, wanted, trips)
        flops += cost
        live.update(v for v, n in zip(eqn.invars, needed, strict=True) if n and not isinstance(v, jex.Literal))
    return flops, [v in live for v in jaxpr.invars]


def _equation(eqn: Any, wanted: list[bool], trips: int | None) -> tuple[int, list[bool]]:
    """FLOPs of one equation and which of its inputs its wanted outputs need."""
    name, params, every = eqn.primitive.name, eqn.params, [True] * len(eqn.invars)
    if name in _PRODUCTS:
        return _PRODUCTS[name](eqn), every
    if name == "scan":
        return _scan(eqn, wanted, trips)
    if name == "cond":
        walks = [_walk(_open(branch), wanted, trips) for branch in params["branches"]]
        return max(f for f, _ in walks), [True, *(any(needs) for needs in zip(*(n for _, n in walks), strict=True))]
    if name == "pallas_call":
        if params.get("cost_estimate") is None:
            raise ValueError(
                "a Pallas kernel does not tell its FLOPs: give pallas_call(cost_estimate=pl.CostEstimate(...))"
            )
        return int(params["cost_estimate"].flops), every
    inner = [_open(j) for value in params.values() for j in (value if isinstance(value, tuple) else (value,))]
    inner = [j for j in inner if isinstance(j, jex.Jaxpr)]
    if name == "while":
        once = sum(_walk(j, [True] * len(j.outvars), trips)[0] for j in inner)
        if once and trips is None:
            raise ValueError(
                f"a while_loop multiplies matrices ({once} FLOPs a trip) but how many is not in the program: "
                "use jax.lax.scan or a fori_loop with fixed bounds, or say count_flops(..., while_trips=k)"
            )
        return once * (trips or 0), every
    devices = math.prod(params["mesh"].shape[a] for a in params["newly_manual_axes"]) if name == "shard_map" else 1
    if len(inner) == 1 and len(inner[0].invars) == len(every) and len(inner[0].outvars) == len(wanted):
        flops, needed = _walk(inner[0], wanted, trips)  # jit, remat, custom_jvp, custom_vjp, closed_call, shard_map
        return flops * devices, needed
    return sum(_walk(j, [True] * len(j.outvars), trips)[0] for j in inner) * devices, every


def _scan(eqn: Any, wanted: list[bool], trips: int | None) -> tuple[int, list[bool]]:
    """A carry is live if it is wanted at the end or if the body needs it for something live: a fixed point."""
    body = _open(eqn.params["jaxpr"])
    # Inputs are constants, carries, slices; outputs carries, slices. Only slices gain the leading axis of the scan.
    carries = sum(a.aval.ndim == b.aval.ndim for a, b in zip(eqn.outvars, body.outvars, strict=True))
    slices = sum(a.aval.ndim != b.aval.ndim for a, b in zip(eqn.invars, body.invars, strict=True))
    consts = len(body.invars) - carries - slices
    carry, outs = wanted[:carries], wanted[carries:]
    while True:
        flops, needed = _walk(body, [*carry, *outs], trips)
        grown = [a or b for a, b in zip(carry, needed[consts : consts + carries], strict=True)]
        if grown == carry:
            return flops * eqn.params["length"], [*needed[:consts], *carry, *needed[consts + carries :]]
        carry = grown


def _open(jaxpr: Any) -> Any:
    return jaxpr.jaxpr if isinstance(jaxpr, jex.ClosedJaxpr) else jaxpr


def _dot(eqn: Any) -> int:
    (_, rhs_contract), (_, rhs_batch) = eqn.params["dimension_numbers"]
    return _product(eqn, {*rhs_contract, *rhs_batch})


def _ragged_dot(eqn: Any) -> int:
    numbers = eqn.params["ragged_dot_dimension_numbers"]
    (_, rhs_contract), (_, rhs_batch) = numbers.dot_dimension_numbers
    return _product(eqn, {*rhs_contract, *rhs_batch, *numbers.rhs_group_dimensions})


def _product(eqn: Any, shared: set[int]) -> int:
    """2 * (elements of the left side) * (the right side's own dimensions)."""
    lhs, rhs = (v.aval.shape for v in eqn.invars[:2])
    return 2 * math.prod(lhs) * math.prod(size for axis, size in enumerate(rhs) if axis not in shared)


def _conv(eqn: Any) -> int:
    """2 * batch * output features * input features of a group * (output position, tap) pairs that meet a real input."""
    p = eqn.params
    lhs, rhs, out = (v.aval.shape for v in (*eqn.invars[:2], eqn.outvars[0]))
    numbers = p["dimension_numbers"]
    pairs = 1
    for i, (low, _) in enumerate(p["padding"]):
        size, dilation = lhs[numbers.lhs_spec[2 + i]], p["lhs_dilation"][i]
        outputs = np.arange(out[numbers.out_spec[2 + i]])[:, None] * p["window_strides"][i]
        taps = np.arange(rhs[numbers.rhs_spec[2 + i]])[None] * p["rhs_dilation"][i]
        at = outputs + taps - low
        pairs *= int(((at >= 0) & (at <= (size - 1) * dilation) & (at % dilation == 0)).sum())
    return 2 * out[numbers.out_spec[0]] * out[numbers.out_spec[1]] * rhs[numbers.rhs_spec[1]] * pairs


_PRODUCTS: dict[str, Callable[[Any], int]] = {
    "dot_general": _dot,
    "conv_general_dilated": _conv,
    "ragged_dot_general": _ragged_dot,
}
