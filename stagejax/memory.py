"""The memory of a program: the most bytes of values on the way from its arguments to its results that it holds at once.

Read from the traced program (its jaxpr), so it needs no device, no arrays and no compilation. It is an estimate: the
program as it is written and in its order, before XLA fuses and moves anything.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend import core as jex

#: Bytes that an abstract value takes on one device.
Size = Callable[[Any], int]

#: Equations whose inner programs do not simply stand in their place.
APART = ("scan", "while", "cond", "shard_map", "pallas_call")


def bytes_of(aval: Any) -> int:
    """Bytes of a whole array; 0 of what is no array of numbers.

    >>> bytes_of(jax.ShapeDtypeStruct((2, 3), "bfloat16"))
    12
    """
    return math.prod(aval.shape) * aval.dtype.itemsize if hasattr(getattr(aval, "dtype", None), "itemsize") else 0


def stored_bytes(tree: Any) -> int:
    """Bytes that the arrays of a tree take.

    >>> import jax.numpy as jnp
    >>> stored_bytes({"a": jnp.zeros(3, jnp.int8), "b": jnp.zeros(2)})
    11
    """
    return sum(map(bytes_of, jax.tree.leaves(tree)))


def peak_bytes(jaxpr: Any, size: Size = bytes_of) -> int:
    """The most bytes that a program holds at once, beside its arguments and results.

    A value is held from the equation that makes it to the last one that reads it. It takes the place of an operand of
    its size that ends there. Calls and rematerialised blocks are opened where they stand. A loop adds what one turn of
    its body holds beside what it carries, a conditional what its largest branch holds. A Pallas kernel adds nothing.

    Args:
      jaxpr: of a traced program, `jax.make_jaxpr(fn)(*specs).jaxpr`.
      size: of a value; by default that of the whole array.

    >>> x = jax.ShapeDtypeStruct((100,), "float32")
    >>> def peak(fn):
    ...     return peak_bytes(jax.make_jaxpr(fn)(x).jaxpr)
    >>> peak(lambda x: jax.numpy.sin(jax.numpy.cos(x)))  # cos(x), whose place the result could take
    400
    >>> peak(lambda x: jax.numpy.cos(x) @ jax.numpy.sin(x))
    800
    >>> peak(lambda x: jax.lax.fori_loop(0, 9, lambda i, y: jax.numpy.sin(y), x).sum())
    400
    """
    return _peak(jaxpr, size, None)


@dataclass(eq=False, slots=True)
class _Value:
    aval: Any
    elsewhere: bool = False  # an argument or a result of the program: not counted
    last: int = -1  # the equation that reads it last; -1: none does


_Equation = tuple[Any, list[_Value], list[_Value]]  # with what it reads, each once, and what it makes


def _peak(jaxpr: Any, size: Size, carried: Sequence[Any] | None) -> int:
    """`peak_bytes`; of the body of a loop, what it holds beside the carried ones of its arguments."""
    env = {v: _Value(v.aval, True) for v in (*jaxpr.invars, *jaxpr.constvars)}
    for v in carried or ():
        env[v].elsewhere = False
    equations: list[_Equation] = []
    _open(jaxpr, env, equations)
    end = len(equations)
    for v in jaxpr.outvars:
        if not isinstance(v, jex.Literal) and env[v] is not None:
            env[v].last, env[v].elsewhere = end, env[v].elsewhere or carried is None
    for i, (eqn, reads, makes) in reversed(list(enumerate(equations))):
        if eqn.effects or any(value.last >= 0 for value in makes):
            for value in reads:
                value.last = max(value.last, i)

    def held(value: _Value) -> int:
        return 0 if value.elsewhere or value.last < 0 else size(value.aval)

    start = most = now = sum(held(env[v]) for v in carried or ())
    for i, (eqn, reads, makes) in enumerate(equations):
        if eqn.effects or any(value.last >= 0 for value in makes):
            new, ending = Counter(map(held, makes)), Counter(held(value) for value in reads if value.last == i)
            most = max(most, now + sum((new - ending).elements()) + _inside(eqn, size))
            now += sum(new.elements()) - sum(ending.elements())
    return most - start


def _open(jaxpr: Any, env: dict[Any, Any], found: list[_Equation]) -> None:
    """Append the equations of a jaxpr, those of what it calls in their place; `env` has the value of each variable."""

    def read(v: Any) -> _Value | None:
        return None if isinstance(v, jex.Literal) else env[v]

    for eqn in jaxpr.eqns:
        inner = list(jex.jaxprs_in_params(eqn.params))
        reads = [read(v) for v in eqn.invars]
        called = inner[0] if len(inner) == 1 and eqn.primitive.name not in APART else None
        if called and len(called.invars) == len(reads) and len(called.outvars) == len(eqn.outvars):
            own = {v: _Value(v.aval, True) for v in called.constvars} | dict(zip(called.invars, reads, strict=True))
            _open(called, own, found)
            for v, result in zip(eqn.outvars, called.outvars, strict=True):
                env[v] = None if isinstance(result, jex.Literal) else own[result]
        else:
            makes = [_Value(v.aval) for v in eqn.outvars]
            env |= zip(eqn.outvars, makes, strict=True)
            found.append((eqn, [value for value in dict.fromkeys(reads) if value is not None], makes))


def _inside(eqn: Any, size: Size) -> int:
    """What an equation holds while it runs, beside its operands and results."""
    inner, name = list(jex.jaxprs_in_params(eqn.params)), eqn.primitive.name
    if name == "pallas_call":
        return 0
    if name == "while":
        body = eqn.params["body_jaxpr"].jaxpr
        return _peak(body, size, body.invars[len(body.invars) - len(body.outvars) :])
    if name == "scan":  # inputs are constants, carries, slices, of which only slices lose an axis; outputs alike
        (body,) = inner
        slices = sum(a.aval.ndim != b.aval.ndim for a, b in zip(eqn.invars, body.invars, strict=True))
        carries = sum(a.aval.ndim == b.aval.ndim for a, b in zip(eqn.outvars, body.outvars, strict=True))
        first = len(body.invars) - slices - carries
        return _peak(body, size, body.invars[first : first + carries])
    size = bytes_of if name == "shard_map" else size  # the shapes of one device's part
    return max((_peak(each, size, None) for each in inner), default=0)
