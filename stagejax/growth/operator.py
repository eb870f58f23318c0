"""Growth operators, and a growth: one operator between two model configurations.

An operator is a frozen dataclass that says, from the sizes of the named axes before and after, which terms make up the
new parameters. It never sees a parameter's path. A `Growth` finds and checks everything that needs no arrays.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np
from flax import nnx

from stagejax.axes import Axes, axes_of, family, is_axes, layers_dim, path_name
from stagejax.growth.term import Term, base

Tree = Any
Sizes = Mapping[str, int]


class GrowthError(ValueError):
    """A growth that cannot be done; the message names operator, axis, leaf and both sizes, and the fix."""


@dataclass(frozen=True)
class Operator:
    """What every growth operator is: terms from sizes. Subclasses declare their settings as fields."""

    #: Whether axes may become smaller.
    shrinks: ClassVar[bool] = False

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The terms of every new parameter, from the sizes of the named axes before and after."""
        raise NotImplementedError(f"{type(self).__name__} does not say its terms")

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The terms whose dual maps move the optimizer's moments: those of the parameters, unless overridden."""
        return self.terms(old, new)

    def born(self, axes: Axes) -> bool:
        """Whether a parameter with these axes that the old model lacks may be drawn: a term of `init` makes it."""
        return False

    def check(self, old_config: Any, new_config: Any) -> None:
        """Raise a `GrowthError` where the sizes are fine but this operator cannot grow such models."""

    def grown(self, old_config: Any, new_config: Any) -> Any:
        """The configuration of the grown model: the one asked for, with the norm eps that the maps require."""
        factor = eps_factor(self.terms(plain(old_config.sizes()), plain(new_config.sizes())))
        if factor == 1:
            return new_config
        if not hasattr(new_config, "norm_eps"):
            raise GrowthError(
                f"{self} multiplies the norms' eps by {factor:g}, but {type(new_config).__name__} has no field norm_eps"
            )
        return dataclasses.replace(new_config, norm_eps=new_config.norm_eps * factor)

    def __str__(self) -> str:
        settings = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default
        }
        shown = ", ".join(f"{name}={getattr(value, '__name__', value)}" for name, value in settings.items())
        return f"{type(self).__name__}({shown})"


@dataclass(frozen=True)
class Growth:
    """An operator between two model configurations.

    Axes, shapes and terms are found and checked at first use, on abstract values.
    """

    operator: Operator
    old: Any  # model configurations: build(rngs) -> nnx.Module, sizes() -> {axis: size}
    new: Any

    @functools.cached_property
    def config(self) -> Any:
        """The configuration of the grown model: `new`, but for its norm eps where the operator needs another.

        Raises:
          GrowthError: see `terms`.
        """
        _ = self.terms
        return self.operator.grown(self.old, self.new)

    @functools.cached_property
    def source(self) -> dict[str, tuple[Axes, tuple[int, ...]]]:
        """Axes and shape of every parameter before, by path."""
        return describe(self.old)

    @functools.cached_property
    def target(self) -> dict[str, tuple[Axes, tuple[int, ...]]]:
        """Axes and shape of every parameter after, by path."""
        return describe(self.new)

    @functools.cached_property
    def born(self) -> frozenset[str]:
        """The parameters, by path, that the old model lacks and the operator draws."""
        return frozenset(w for w, (axes, _) in self.target.items() if w not in self.source and self.operator.born(axes))

    @functools.cached_property
    def terms(self) -> Sequence[Term]:
        """The operator's terms, checked against every leaf.

        Raises:
          GrowthError: an axis shrinks under an operator that grows, an axis changes size without a rule, a map has
            another size than its axis, or a leaf is only in one of the models.
        """
        return self._checked(self.operator.terms)

    @functools.cached_property
    def moment_terms(self) -> Sequence[Term]:
        """The terms whose duals move the moments, checked likewise."""
        return self._checked(self.operator.moment_terms)

    @property
    def sizes(self) -> tuple[Sizes, Sizes]:
        """The sizes of the named axes before and after."""
        return plain(self.old.sizes()), plain(self.new.sizes())

    def _checked(self, terms_of: Callable[[Sizes, Sizes], list[Term]]) -> list[Term]:
        self.operator.check(self.old, self.new)
        self._check_leaves()
        try:
            terms = terms_of(*self.sizes)
        except ValueError as error:
            if isinstance(error, GrowthError):
                raise
            old, new = self.sizes
            wanted = ", ".join(
                f"{axis} {old[axis]} -> {new[axis]}" for axis in new if old.get(axis, new[axis]) != new[axis]
            )
            raise GrowthError(f"{self.operator} cannot grow {wanted}: {error}") from error
        except KeyError as error:
            known = " and ".join(
                f"{type(config).__name__} ({', '.join(sizes)})"
                for config, sizes in zip((self.old, self.new), self.sizes, strict=True)
            )
            raise GrowthError(f"{self.operator} asks for the size of axis {error}; the models are {known}") from error
        for where, (axes, shape) in self.target.items():
            for name, size in zip(axes.names, shape, strict=True):
                self._check_axis(terms, where, name, size)
        return terms

    def _check_leaves(self) -> None:
        same_depths = getattr(self.old, "depths", None) == getattr(self.new, "depths", None)
        for where in [*self.target, *self.source]:
            if where not in self.born and (where not in self.source or where not in self.target):
                side, other = ("before", self.old) if where not in self.source else ("after", self.new)
                fix = "" if same_depths else ", as blocks are not stacked: use MSG(), which draws those that are new"
                raise GrowthError(
                    f"{self.operator}: parameter {where!r} has no counterpart in the model {side} the growth, a "
                    f"{type(other).__name__}. Give both configurations the same architecture; only sizes may differ"
                    f"{fix}."
                )
        for where, (axes, shape) in self.target.items():
            for name, size in zip(axes.names, shape, strict=True):
                was = self.size_before(where, name)
                if size < was and not self.operator.shrinks:
                    fix = f"Ask for at least {name}={was} in the new configuration, or use an operator that shrinks."
                    if family(name) == "q_per_kv":
                        fix = (
                            "Copied query heads would cross the groups that share a key. Ask for heads of at least "
                            f"{was} times kv_heads."
                        )
                    raise GrowthError(
                        f"{self.operator} grows, but axis {name!r} of {where!r} shrinks: {was} -> {size}. {fix}"
                    )

    def _check_axis(self, terms: Sequence[Term], where: str, name: str, size: int) -> None:
        axes, was = self.target[where][0], self.size_before(where, name)
        terms = [term for term in self.terms_of(where, terms) if term.concerns(axes)]
        if where in self.born and not terms:
            raise GrowthError(f"{self.operator} has no term of init for {where!r}, which the old model lacks")
        if size != was and not any(base(name) in term.maps for term in terms if term.source == "small"):
            rules = " and ".join(f"{', '.join(term.maps) or 'nothing'} of {term.source!r}" for term in terms)
            raise GrowthError(
                f"{self.operator} has no rule for axis {name!r} of {where!r}, which changes size: {was} -> {size}. "
                f"Keep {name}={was} in the new configuration, or use an operator that grows it. Terms of this one map "
                f"{rules or 'nothing'}."
            )
        for term in terms:
            rule, mask = term.maps.get(base(name)), (term.region or {}).get(base(name))
            begin = {"small": was, "init": size}.get(term.source, rule.old if rule else size)
            if (rule and (rule.old, rule.new) != (begin, size)) or (not rule and begin != size):
                maps = f"maps axis {name!r} {rule.old} -> {rule.new}" if rule else f"has a term without axis {name!r}"
                raise GrowthError(
                    f"{self.operator} {maps}, but {where!r} takes it {begin} -> {size}. Give that term a map of these "
                    "sizes."
                )
            layers = rule.write.layers if rule else None
            stack = layers_dim(axes)
            if layers and (stack is None or layers != self.size_before(where, axes.names[stack])):
                raise GrowthError(
                    f"{self.operator} has another map of axis {name!r} for each of {layers} layers, but {where!r} has "
                    f"the axes {axes}. Use one map for all layers."
                )
            if mask is not None and mask.shape != (size,):
                raise GrowthError(
                    f"{self.operator} marks a region of {mask.shape[0]} entries on axis {name!r}, but {where!r} has "
                    f"{size}."
                )

    def size_before(self, where: str, name: str) -> int:
        """The size of an axis of a leaf before; 1 if the leaf lacks it, as after if the leaf is only born."""
        axes, shape = self.target[where] if where in self.born else self.source[where]
        return dict(zip(axes.names, shape, strict=True)).get(name, 1)

    def terms_of(self, where: str, terms: Sequence[Term]) -> Sequence[Term]:
        """Those terms that can concern the leaf at `where`: the old model has nothing for one that it lacks."""
        if where in self.born:
            return [term for term in terms if term.source != "small"]
        return [term for term in terms if not term.born]


@functools.lru_cache(maxsize=64)
def describe(config: Any) -> dict[str, tuple[Axes, tuple[int, ...]]]:
    """Axes and shape of every parameter of a model, by path, without allocating it."""
    module = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    axes = jax.tree_util.tree_leaves_with_path(axes_of(module), is_leaf=is_axes)
    shapes = by_path(nnx.to_pure_dict(nnx.state(module, nnx.Param)))
    return {path_name(path): (leaf, tuple(shapes[path_name(path)].shape)) for path, leaf in axes}


def by_path(tree: Tree) -> dict[str, Any]:
    """The leaves of a tree by their paths."""
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def plain(sizes: Sizes) -> dict[str, int]:
    """Sizes of the axes that have a map of their own, without the `_out` names that follow another."""
    return {name: size for name, size in sizes.items() if base(name) == name}


def changed(old: Sizes, new: Sizes, axes: Sequence[str]) -> list[str]:
    """Which axes of these families change size.

    >>> changed({"mlp": 4, "embed.image": 2}, {"mlp": 4, "embed.image": 3}, ("embed", "mlp"))
    ['embed.image']
    """
    both = [name for name in plain(old) if name in new and old[name] != new[name]]
    return [name for kind in axes for name in both if kind in (name, family(name))]


def grown_entries(old: int, new: int) -> np.ndarray:
    """Which of the entries after are new, when the old ones stay first.

    >>> grown_entries(2, 4)
    array([False, False,  True,  True])
    """
    return np.arange(new) >= old


def eps_factor(terms: Sequence[Term]) -> float:
    """The eps factor of the maps of the growing tree.

    Raises:
      GrowthError: two axes need different ones, but a model has one norm eps.
    """
    factors = {m.eps for term in terms if term.source == "small" for m in term.maps.values()} - {1.0}
    if len(factors) > 1:
        raise GrowthError(
            f"the norms' eps would have to be multiplied by {sorted(factors)}, one for each axis, but a model has only "
            "one norm_eps. Grow these axes by the same factor."
        )
    return factors.pop() if factors else 1.0
