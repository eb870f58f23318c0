"""LiGO: maps between two models that are learned, through the frozen small model, before they are applied once.

vec(θ') = M vec(θ) with M factorised by axes: W'_l = Σ_k w_lk B W_k Aᵀ. Every width axis has one matrix [I; b], of which
b is free, and by which it is written and read alike; every kind of stacked parameter has its own depth weights w.
`stagejax.steps.learned` trains them. LiGO, Wang et al. 2023 (arXiv 2303.00980), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.axes import Axes, family, layers_dim, param, path_name
from stagejax.growth.depth import DepthRule, stack_modulo, stacks
from stagejax.growth.fpi import WIDTH
from stagejax.growth.linear import Dense
from stagejax.growth.maps import Map
from stagejax.growth.operator import Growth, GrowthError, Operator, Sizes, Tree, by_path, changed, describe
from stagejax.growth.term import Term, by_weight, grow_leaf


@dataclass(frozen=True)
class LiGO(Operator):
    """The learned maps as an operator.

    Does not keep the function: what it keeps of it is what was learned. Has no dual worth the name, so moments are
    reset.
    """

    maps: Tree = field(repr=False, compare=False, metadata={"declared": False})  # parameters of `LearnedMaps`
    learned: str = ""  # fingerprint of the stage that trained them, which stands for their values

    @classmethod
    def of(cls, result: Any) -> LiGO:
        """What a stage of `stagejax.steps.learned.learning_stage` has learned; a plan knows only its shapes."""
        return cls(jax.tree.map(_value, result.state()["maps"].params), result.fingerprint)

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term for what is not stacked, and one for each kind of what is."""
        width = {axis: _free(self.maps["width"][axis]) for axis in changed(old, new, WIDTH)}
        deeper = {axis for axis in stacks(old) if old[axis] != new[axis]}
        kinds = {kind: _mixing(weights) for kind, weights in self.maps.get("depth", {}).items()}
        single = [Term("small", width, leaves=Single(tuple(sorted(deeper))))]
        return single + [Term("small", {**width, _stack_of(kind): m}, leaves=OfKind(kind)) for kind, m in kinds.items()]

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """None.

        Raises:
          GrowthError: always.
        """
        raise GrowthError(f"{self} learned how parameters move, not how gradients do: use moments='reset'")

    def __str__(self) -> str:
        return f"LiGO(learned={self.learned!r})"


@dataclass(frozen=True)
class LearnedMaps:
    """The configuration of the maps from one model to another, as a model whose parameters they are.

    Width begins at rows of length 1, depth at the rows of `depth` plus uniform noise, normalised.
    """

    old: Any  # configurations of the two models
    new: Any
    depth: DepthRule = stack_modulo
    noise: float = 0.03

    def sizes(self) -> dict[str, int]:
        """The maps have no axes of a model."""
        return {}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `Maps`.

        Raises:
          GrowthError: axes change that LiGO has no maps for.
        """
        return Maps(self, rngs)


class Maps(nnx.Module):
    """`width`: for each axis the free rows (new - old, old). `depth`: for each kind of parameter (new, old) weights."""

    def __init__(self, config: LearnedMaps, rngs: nnx.Rngs) -> None:
        self.config = config
        old, new = config.old.sizes(), config.new.sizes()
        self.width, self.depth = nnx.Module(), nnx.Module()
        for axis in changed(old, new, WIDTH):
            rows = jax.random.normal(rngs.params(), (new[axis] - old[axis], old[axis]))
            rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
            setattr(self.width, axis, param(rows, reads=("small",), writes=("large",)))
        for kind in sorted({kind_of(axes) for axes, _ in describe(config.new).values()} - {None}):
            before, after = old[_stack_of(kind)], new[_stack_of(kind)]
            if before != after:
                weights = np.eye(before)[config.depth(before, after)]
                weights = weights + config.noise * jax.random.uniform(rngs.params(), weights.shape)
                weights = weights / weights.sum(1, keepdims=True)
                setattr(self.depth, kind, param(weights, reads=("small",), writes=("large",)))

    def network(self, params: Tree) -> nnx.Module:
        """The large model that the maps make of the small one's parameters; gradients flow through.

        Raises:
          GrowthError: axes change that LiGO has no maps for, or the model has variables beside its parameters.
        """
        config = self.config
        growth = Growth(LiGO(nnx.to_pure_dict(nnx.state(self, nnx.Param))), config.old, config.new)
        graphdef, like, rest = nnx.split(nnx.eval_shape(lambda: config.new.build(nnx.Rngs(0))), nnx.Param, ...)
        if jax.tree.leaves(rest):
            raise GrowthError(
                f"LiGO: {type(config.new).__name__} has variables beside its parameters, which none learns"
            )
        sources = by_path(params)

        def one(path: Any, _: Any) -> jax.Array:
            where = path_name(path)
            small = (sources[where], growth.source[where][0])
            return grow_leaf(growth.terms, {"small": small}, growth.target[where][0], by_weight)

        return nnx.merge(graphdef, jax.tree_util.tree_map_with_path(one, nnx.to_pure_dict(like)), rest)


@dataclass(frozen=True)
class OfKind:
    """Parameters of one kind."""

    kind: str

    def __call__(self, axes: Axes) -> bool:
        return kind_of(axes) == self.kind


@dataclass(frozen=True)
class Single:
    """Parameters that are not stacked along these axes."""

    stacks: tuple[str, ...]

    def __call__(self, axes: Axes) -> bool:
        return not set(self.stacks) & set(axes.names)


def kind_of(axes: Axes) -> str | None:
    """A name for stacked parameters that share their axes, and with them their depth weights; None if not stacked.

    >>> kind_of(Axes(("layers", "embed", "mlp"), ("stack", "read", "write")))
    'layers-embed-mlp-write'
    """
    return None if layers_dim(axes) is None else "-".join((*axes.names, axes.sides[-1]))


def _stack_of(kind: str) -> str:
    return next(name for name in kind.split("-") if family(name) == "layers")


def _free(rows: Any) -> Map:
    """The map [I; b] on every side."""
    return _everywhere(Dense(jnp.concatenate([jnp.eye(rows.shape[1], dtype=rows.dtype), rows])))


def _mixing(weights: Any) -> Map:
    return _everywhere(Dense(weights))


def _everywhere(matrix: Dense) -> Map:
    return Map(matrix, matrix, matrix, matrix, matrix, tied=np.ones(matrix.new))


def _value(leaf: Any) -> np.ndarray:
    return np.zeros(leaf.shape, leaf.dtype) if isinstance(leaf, jax.ShapeDtypeStruct) else np.asarray(leaf)
