"""How programs are compiled: with which of XLA's code generators for CPUs, and how well if they run once."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core as jex

from stagejax.host import EMITTERS

_CODE = (jex.ClosedJaxpr, jex.Jaxpr)
_SEVERAL = 4  # draws from which on the newer generator is the quicker one


def compiler(traced: Any) -> Callable[[], Any]:
    """What compiles a traced program."""
    options = generator_for(draws(traced.jaxpr.jaxpr)) if jax.default_backend() == "cpu" else None
    return functools.partial(traced.lower().compile, compiler_options=options)


def generator_for(places: int) -> dict[str, Any] | None:
    """Compiler options of a program that draws random numbers at so many places: where the older generator was chosen
    by `host.compile_quickly`, and the places are four or more, as with dropout, the newer one.

    Sixteen draws take the older one 11 seconds to compile, the newer one 1.2 (jaxlib 0.10, one core).
    """
    chosen = os.environ.get("STAGEJAX_QUICK_COMPILE") == "1"
    return {EMITTERS: True} if chosen and places >= _SEVERAL else None


def draws(jaxpr: Any) -> int:
    """Places of a program at which random numbers are drawn.

    >>> draws(jax.make_jaxpr(jax.random.normal)(jax.random.key(0)).jaxpr)
    1
    """
    inner = jax.tree.leaves([eqn.params for eqn in jaxpr.eqns], is_leaf=lambda x: isinstance(x, _CODE))
    inner = [getattr(x, "jaxpr", x) for x in inner if isinstance(x, _CODE)]
    return sum(eqn.primitive.name == "random_bits" for eqn in jaxpr.eqns) + sum(map(draws, inner))


def once_only() -> dict[str, Any] | None:
    """Compiler options for a program that runs once: on a CPU, optimizing it takes longer than running it."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
