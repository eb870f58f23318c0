"""Interval bound propagation: what a function may give on a box of inputs, by a walk through its program.

The function is traced, and every primitive is replaced by its rule on intervals: so any model is bounded as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

#: Primitives that do not fall in any operand (sums, selections and monotone functions): bounds go to bounds.
_MONOTONE = frozenset(
    (
        "add",
        "add_any",
        "max",
        "min",
        "tanh",
        "exp",
        "log",
        "logistic",
        "sqrt",
        "erf",
        "floor",
        "ceil",
        "reshape",
        "transpose",
        "broadcast_in_dim",
        "squeeze",
        "slice",
        "dynamic_slice",
        "concatenate",
        "pad",
        "rev",
        "convert_element_type",
        "copy",
        "reduce_sum",
        "reduce_max",
        "reduce_min",
        "cumsum",
    )
)
#: Primitives that are linear in each of two operands.
_BILINEAR = frozenset({"mul", "dot_general", "conv_general_dilated"})


class Interval(NamedTuple):
    """All arrays between two, elementwise."""

    lower: Any
    upper: Any

    @property
    def centre(self) -> Any:
        """(l + u) / 2."""
        return (self.lower + self.upper) / 2

    @property
    def radius(self) -> Any:
        """Half of the width."""
        return (self.upper - self.lower) / 2


def propagate(function: Callable[[Array], Array], box: Interval) -> tuple[Interval, list[Interval]]:
    """Bounds of `function` on a box, and of the inputs of its ReLUs in order.

    With centre m and radius d: a linear map W gives W m and |W| d; a monotone function gives its values at the bounds.
    Each step is exact for its own inputs, the whole is an outer bound. It is differentiable in all that `function`
    closes over.

    Raises:
      NotImplementedError: a primitive has no rule, such as a product of two things that both depend on the box.

    Reference: Gowal et al. 2018, https://arxiv.org/abs/1810.12715, section 3.2.

    >>> kernel = jnp.array([[1.0, -1.0], [2.0, 0.5]])
    >>> out, relus = propagate(lambda x: jax.nn.relu(x @ kernel) - 1, Interval(jnp.zeros(2), jnp.ones(2)))
    >>> out.lower.tolist(), out.upper.tolist(), len(relus)
    ([-1.0, -1.0], [2.0, -0.5], 1)
    """
    closed = jax.make_jaxpr(function)(box.lower)
    relus: list[Interval] = []
    (out,) = _walk(closed.jaxpr, closed.consts, [box], relus)
    return (out if isinstance(out, Interval) else Interval(out, out)), relus


def _walk(jaxpr: Any, consts: Any, values: list[Any], relus: list[Interval]) -> list[Any]:
    """The outputs of a program on arrays and intervals."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *values], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else known[atom]

    for eqn in jaxpr.eqns:
        operands = [read(atom) for atom in eqn.invars]
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        if inner is not None:
            results = _walk(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), operands, relus)
        else:
            found = _apply(eqn, operands, relus)
            results = found if eqn.primitive.multiple_results else [found]
        known |= dict(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(eqn: Any, operands: list[Any], relus: list[Interval]) -> Any:
    """One primitive."""
    name, where = eqn.primitive.name, [i for i, x in enumerate(operands) if isinstance(x, Interval)]

    def bind(*values: Any) -> Any:
        return eqn.primitive.bind(*values, **eqn.params)

    def at(bound: str) -> list[Any]:
        return [getattr(x, bound) if isinstance(x, Interval) else x for x in operands]

    if not where:
        return bind(*operands)
    if name in _MONOTONE:
        if name == "max" and len(where) == 1:
            relus.append(operands[where[0]])
        return Interval(bind(*at("lower")), bind(*at("upper")))
    if name == "neg":
        return Interval(-operands[0].upper, -operands[0].lower)
    if name == "sub":
        (low, low_right), (high, high_right) = at("lower"), at("upper")
        return Interval(bind(low, high_right), bind(high, low_right))
    if (name in _BILINEAR and len(where) == 1) or (name == "div" and where == [0]):
        plain = [x if i in where else jnp.abs(x) for i, x in enumerate(operands)]
        centre = bind(*(x.centre if isinstance(x, Interval) else x for x in operands))
        radius = bind(*(x.radius if isinstance(x, Interval) else x for x in plain))
        return Interval(centre - radius, centre + radius)
    raise NotImplementedError(
        f"no interval rule for {name!r} with {len(where)} operands that depend on the box: bound the function up to "
        "it, or write it by primitives that have one"
    )


def margins(
    box: Interval, kernel_DC: Float[Array, "D C"], bias_C: Float[Array, " C"], labels_B: Int[Array, " B"]
) -> Float[Array, "B C"]:
    """Lower bounds of z_y - z_j for all classes j of logits z = x kernel + bias, x in the box (B, D); 0 at j = y.

    The difference is merged into the kernel before it is bounded: this is tighter than the difference of two bounds.
    Reference: Gowal et al. 2018, https://arxiv.org/abs/1810.12715, section 3.3.

    >>> box = Interval(-jnp.ones((1, 1)), jnp.ones((1, 1)))
    >>> margins(box, jnp.array([[2.0, 2.0]]), jnp.array([1.0, 0.0]), jnp.array([0])).tolist()
    [[0.0, 1.0]]
    """
    difference_BDC = kernel_DC.T[labels_B][:, :, None] - kernel_DC
    shift_BC = bias_C[labels_B][:, None] - bias_C
    reach_BC = jnp.einsum("bd,bdc->bc", box.radius, jnp.abs(difference_BDC))
    return jnp.einsum("bd,bdc->bc", box.centre, difference_BDC) + shift_BC - reach_BC
