"""Depth that keeps the function: new blocks that add nothing to the residual stream yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from stagejax.axes import Axes
from stagejax.growth.depth import DepthRule, adjacent, layers_map, stacks
from stagejax.growth.maps import Map
from stagejax.growth.operator import GrowthError, Operator, Sizes
from stagejax.growth.regions import both, empty, having
from stagejax.growth.term import Term

By = Literal["output", "gain"]


@dataclass(frozen=True)
class IdentityBlocks(Operator):
    """Blocks added to pre-norm stacks so that each is the identity: x + 0.

    By zero "output": what a new block writes to the stream is zero, and the rest a copy of the layer that the rule
    names, or drawn freshly. By zero "gain": the gains of its norms and all its biases are zero instead. Keeps the
    function. Zero output: Gesmundo and Maile 2023 (arXiv 2308.06103), section 3.6, and LEMON (arXiv 2310.07999); zero
    gain: Shen et al. 2022 (arXiv 2203.06211), section 4.

    >>> IdentityBlocks().terms({"layers": 2}, {"layers": 4})[-1].region["layers"]
    array([False,  True, False,  True])
    """

    depth: DepthRule = adjacent  # where the new blocks go, and what they copy
    by: By = "output"
    fresh: bool = False

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Copies of layers, then what is fresh and what is zero in the new ones."""
        return [Term("small", layers_map(self.depth, old, new)), *identity_terms(self, old, new)]

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Moments of layers that go on; those of new layers begin at zero."""
        return [Term("small", layers_map(self.depth, old, new)), *unmoved_terms(self.depth, old, new)]

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse post-norm blocks."""
        check_identity(self, old_config, new_config)


def identity_terms(operator: Any, old: Sizes, new: Sizes, maps: Mapping[str, Map] | None = None) -> list[Term]:
    """What makes the new layers of every stack the identity, for an operator with `depth`, `by` and `fresh`.

    Args:
      maps: those of the other axes that grow.

    Raises:
      GrowthError: the rule loses an old layer, or changes their order.
    """
    terms = []
    whole = {**(maps or {}), **layers_map(operator.depth, old, new)}
    for name, added in added_layers(operator.depth, old, new).items():
        if operator.fresh:
            terms.append(Term("init", region={name: added}))
        leaves = both(having(name, "stack"), _output if operator.by == "output" else _norm_or_bias)
        terms.append(empty(whole, name, added, leaves))
    return terms


def unmoved_terms(rule: DepthRule, old: Sizes, new: Sizes, maps: Mapping[str, Map] | None = None) -> list[Term]:
    """The terms by which the moments of new layers are zero."""
    whole = {**(maps or {}), **layers_map(rule, old, new)}
    every = lambda axes: True  # noqa: E731
    return [empty(whole, name, added, every) for name, added in added_layers(rule, old, new).items()]


def added_layers(rule: DepthRule, old: Sizes, new: Sizes) -> dict[str, np.ndarray]:
    """For every stack that deepens, which of its layers are new: all but the first copy of each old one.

    Raises:
      GrowthError: the rule loses an old layer, or changes their order.
    """
    found = {}
    for name in stacks(old):
        if new[name] != old[name]:
            index = np.asarray(rule(old[name], new[name]))
            values, first = np.unique(index, return_index=True)
            if len(values) != old[name] or np.any(np.diff(first) < 0):
                raise GrowthError(
                    f"the depth rule {getattr(rule, '__name__', rule)} takes {name} {old[name]} -> {new[name]} as "
                    f"{index.tolist()}, which loses layers or changes their order, so new layers that do nothing would "
                    "not keep the function. Use adjacent, stack or interpolate."
                )
            found[name] = ~np.isin(np.arange(new[name]), first)
    return found


def check_identity(operator: Operator, old_config: Any, new_config: Any) -> None:
    """Whether a block of this kind of model can be the identity.

    Raises:
      GrowthError: `by` is unknown; layers are added to post-norm blocks, which normalise the stream even where they
        add nothing, or by zero gains to blocks that attend to an encoder, whose values no norm of theirs scales.
    """
    old, new, by = old_config.sizes(), new_config.sizes(), getattr(operator, "by", "output")
    if by not in get_args(By):
        raise GrowthError(f"{operator}: by={by!r} is unknown: choose one of {get_args(By)}")
    crossing = getattr(old_config, "cross_attention", None)  # the stack whose blocks attend to another one's output
    if crossing and new[crossing] != old[crossing] and by == "gain":
        raise GrowthError(
            f"{operator} adds {crossing} {old[crossing]} -> {new[crossing]} by zero gains, but their attention to the "
            "encoder's output gives a mean of its values even where the queries are zero. Use by='output'."
        )
    if getattr(old_config, "norm_position", "pre") == "post" and any(new[name] != old[name] for name in stacks(old)):
        raise GrowthError(
            f"{operator} adds layers that are the identity, which a post-norm block cannot be: its norm acts on the "
            "stream itself. Grow the depth by copies (Deepen), or by masks (MSG)."
        )


def _output(axes: Axes) -> bool:
    return having("embed", "write")(axes)


def _norm_or_bias(axes: Axes) -> bool:
    return "read" not in axes.sides
