"""A model put together from parts of others, by a map of names; the rest of it is drawn afresh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx


@dataclass(frozen=True)
class Transplant:
    """The variables of `to`, with parts of given models in their places. It is the `function` of a `run.transform`.

    Parameters are moved, and with them what else belongs to them, such as batch statistics.

    Args:
      to: config of the model that is made.
      parts: (number of the given model, path there, path in `to`); a path is names with slashes between them, and empty
        for a whole model.
      seed: of what is drawn afresh, beside the key.

    Raises:
      KeyError: there is no such part.

    >>> from stagejax.models import gpt
    >>> small, large = gpt(layers=1, vocab=16, embed=8, heads=2), gpt(layers=3, vocab=16, embed=8, heads=2)
    >>> given = nnx.to_pure_dict(nnx.state(small.build(nnx.Rngs(0)))), {}
    >>> params, _ = Transplant(large, ((0, "tokens/table", "tokens/table"),))(jax.random.key(1), given)
    >>> bool((params["tokens"]["table"] == given[0]["tokens"]["table"]).all()), params["norm"]["gain"].shape
    (True, (8,))
    """

    to: Any
    parts: tuple[tuple[int, str, str], ...]
    seed: int = 0

    def __call__(self, key: jax.Array, *sources: Any) -> Any:
        """Parameters and other variables."""
        model = self.to.build(nnx.Rngs(params=jax.random.fold_in(key, self.seed)))
        made = tuple(nnx.to_pure_dict(state) for state in nnx.split(model, nnx.Param, ...)[1:])
        for number, there, here in self.parts:
            found = [_at(tree, there) for tree in sources[number]]
            if found[0] is None:
                raise KeyError(f"given model {number} has no part {there!r}")
            made = tuple(
                old if new is None else _put(old, tuple(filter(None, here.split("/"))), new)
                for old, new in zip(made, found, strict=True)
            )
        return made


def _at(tree: Any, path: str) -> Any:
    """What is at a path; None: nothing."""
    for name in filter(None, path.split("/")):
        if not isinstance(tree, Mapping) or name not in tree:
            return None
        tree = tree[name]
    return tree


def _put(tree: Any, path: tuple[str, ...], new: Any) -> Any:
    """The tree with `new` at a path; what is there and not in `new` stays."""
    if path:
        return {**tree, path[0]: _put(tree.get(path[0], {}), path[1:], new)}
    if not isinstance(new, Mapping):
        return new
    return {**tree, **{name: _put(tree.get(name, {}), (), value) for name, value in new.items()}}
