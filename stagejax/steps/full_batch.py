"""Training on all examples at once, by L-BFGS: for small networks on small tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree

from stagejax.ledger import count_flops
from stagejax.stage import Objective

Tree = Any


def lbfgs(
    config: Any, objective: Objective, batch: Mapping[str, Any], *, evaluations: int, decay: float = 0.0, seed: int = 0
) -> tuple[nnx.Module, Tree]:
    """The model and its parameters after so many evaluations of objective + decay/2 |parameters|² and its gradient.

    The solver is scipy's L-BFGS-B, on this host; the key of the objective is None.

    >>> from stagejax.models.shallow import Shallow
    >>> from stagejax.objectives.boosting import Squared
    >>> x = np.linspace(-2, 2, 30, dtype=np.float32)[:, None]
    >>> batch = {"x": x, "y": np.sin(x[:, 0])}
    >>> model, _ = lbfgs(Shallow(1, 8, 1), Squared().objective, batch, evaluations=200)
    >>> bool(Squared().score(np.asarray(model(jnp.asarray(x))), batch["y"]) > 0.99)
    True
    """
    from scipy.optimize import minimize

    graphdef, first = nnx.split(config.build(nnx.Rngs(seed)), nnx.Param)
    start, restore = ravel_pytree(nnx.to_pure_dict(first))
    held = {name: jnp.asarray(values) for name, values in batch.items()}

    @jax.jit
    def both(flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        def loss(flat: jax.Array) -> jax.Array:
            own = objective(nnx.merge(graphdef, restore(flat)), held, None)[0]
            return own + decay / 2 * jnp.sum(flat**2)

        return jax.value_and_grad(loss)(flat)

    def in_double(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = both(jnp.asarray(flat, start.dtype))
        return float(value), np.asarray(gradient, np.float64)

    options = {"maxfun": evaluations, "maxiter": evaluations}
    found = minimize(in_double, np.asarray(start, np.float64), jac=True, method="L-BFGS-B", options=options)
    params = restore(jnp.asarray(found.x, start.dtype))
    return nnx.merge(graphdef, params), params


def flops_of_gradient(config: Any, objective: Objective, batch: Mapping[str, jax.ShapeDtypeStruct]) -> int:
    """The matmul FLOPs of one evaluation of the objective and its gradient."""
    graphdef, params = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param)
    loss = lambda params, batch: objective(nnx.merge(graphdef, params), batch, None)[0]  # noqa: E731
    return count_flops(jax.value_and_grad(loss), params, dict(batch))
