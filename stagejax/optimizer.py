"""Optimizers as declarations: `adamw(3e-4, warmup=100)` is a value; called with a stage's length it is an optax chain.

With `follow`, a growth, every leaf gets the learning rate and eps by which the grown model takes exactly the steps that
the small one would have taken (see `growth.factors`). That is where a grown run may begin, not where it should stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import jax
import jax.numpy as jnp
import optax

from stagejax.axes import Axes, family, is_axes, path_name
from stagejax.growth.factors import Factors, factors
from stagejax.growth.operator import Growth
from stagejax.schedule import Decay, Schedule

Tree = Any


def multiplies(axes: Axes) -> bool:
    """Kernels between hidden axes; tables and heads, whose rows stand for tokens, positions or classes, do not."""
    outer = {"vocab", "position", "types", "classes"} & {family(name) for name in axes.names}
    return {"read", "write"} <= set(axes.sides) and not outer


def reads_an_axis(axes: Axes) -> bool:
    """Kernels and tables, which read something; norms and biases do not."""
    return "read" in axes.sides


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers declare: the learning rate over a stage, and clipping.

    learning rate(t) = peak · min(1, (t + 1) / warmup), then from peak to `end`: by a half `cosine`, `linear`-ly, as
    (1 + 10x)^-0.75 (`inverse`), not at all (`constant`), or over the last `cooldown` share of the stage only (`wsd`:
    warm up, stay, decay).

    Raises:
      ValueError: a field out of range; the error names it.
    """

    peak: float  # learning rate
    warmup: int | float = 0  # steps; a fraction such as 0.1 is a share of the stage
    decay: Decay = "cosine"
    end: float = 0.0  # learning rate
    cooldown: float = 0.2  # share of the stage; of wsd
    clip: float | None = None  # largest global norm of the gradient
    follow: Growth | None = None  # take the steps of the model before this growth
    horizon: int | None = None  # steps of the schedule, where stages are segments of one run; None: the stage's

    def __post_init__(self) -> None:
        if self.decay not in get_args(Decay):
            raise ValueError(f"decay={self.decay!r} is unknown: choose one of {get_args(Decay)}")
        if not self.peak > 0 or not self.end >= 0 or self.warmup < 0:
            raise ValueError(
                f"peak={self.peak}, end={self.end}, warmup={self.warmup}: peak must be positive, the others at least 0"
            )
        if not 0 < self.cooldown <= 1:
            raise ValueError(f"cooldown={self.cooldown} must be a share of the stage, in (0, 1]")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip={self.clip} must be positive, or None")

    def schedule(self, steps: int) -> Schedule:
        """The numbers of the learning rate over a stage of `steps` steps, or over the whole `horizon`.

        With a horizon, a stage takes over the step of the one before it: `Handover(moments="carry", schedule="carry")`.

        Raises:
          ValueError: the stage is over before the warm-up is, or is longer than the horizon.
        """
        if self.horizon is not None and steps > self.horizon:
            raise ValueError(f"a stage of {steps} steps is no segment of horizon={self.horizon}: raise it")
        steps = self.horizon or steps
        warmup = round(self.warmup * steps) if isinstance(self.warmup, float) and self.warmup < 1 else int(self.warmup)
        after = steps - warmup
        falling = round(self.cooldown * steps) if self.decay == "wsd" else after
        if steps < 1 or after < 0 or falling > after:
            cooldown = f" and cooldown={self.cooldown}" if self.decay == "wsd" else ""
            raise ValueError(
                f"warmup={self.warmup}{cooldown} do not fit into a stage of {steps} steps: make them shorter"
            )
        return Schedule(self.peak, self.end, float(warmup), float(steps), float(falling))

    def learning_rate(self, steps: int) -> optax.Schedule:
        """The learning rate of every step of a stage of `steps` steps.

        Raises:
          ValueError: the stage is over before the warm-up is.

        >>> rate = adamw(1.0, warmup=2, decay="linear").learning_rate(steps=6)
        >>> [round(float(rate(step)), 2) for step in range(6)]
        [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
        """
        schedule = self.schedule(steps)
        return lambda step: schedule.rate(step, self.decay)

    def __call__(self, steps: int, axes: Tree) -> optax.GradientTransformation:
        """The optax chain for a stage of `steps` steps.

        Args:
          steps: the stage's length.
          axes: the `Axes` of every trained parameter, as a tree.
        """
        return self.chain(self.schedule(steps), axes)

    def chain(self, schedule: Schedule, axes: Tree) -> optax.GradientTransformation:
        """The optax chain for a schedule, whose numbers may be traced: a compiled step takes them as arguments."""
        known = None if self.follow is None else factors(self.follow, axes)
        clip = [] if self.clip is None else [_clip(self.clip, known)]
        rate = optax.scale_by_learning_rate(lambda step: schedule.rate(step, self.decay))
        return optax.chain(*clip, *self.parts(axes, known), rate)

    def unscheduled(self) -> Optimizer:
        """The same optimizer without the numbers of its schedule: what its compiled step depends on."""
        return replace(self, peak=1.0, end=0.0, warmup=0, cooldown=1.0, horizon=None)

    def parts(self, axes: Tree, known: Factors | None) -> list[optax.GradientTransformation]:
        """What lies between clipping and the learning rate."""
        raise NotImplementedError(f"{type(self).__name__} does not say its update")


@dataclass(frozen=True)
class adamw(Optimizer):
    """Adam with decoupled weight decay: update = lr · (m̂ / (√v̂ + eps) + weight_decay · parameter).

    Following a growth: lr · (|A| · m̂ / (√v̂ + |D| · eps) + weight_decay · parameter).

    >>> from stagejax.axes import Axes
    >>> tx = adamw(1e-3, warmup=10)(steps=100, axes={"kernel": Axes(("embed", "mlp"), ("read", "write"))})
    >>> sorted(tx.init({"kernel": jnp.zeros((2, 3))})[0].mu)
    ['kernel']
    """

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01
    decayed: Callable[[Axes], bool] = reads_an_axis  # which leaves decay

    def parts(self, axes: Tree, known: Factors | None) -> list[optax.GradientTransformation]:
        """Adam and the decay."""
        adam = _adam(self.b1, self.b2, self.eps, known)
        return [_scaled(adam, known and known.lr)] + (
            [_decay(self.weight_decay, self.decayed, axes)] if self.weight_decay else []
        )


@dataclass(frozen=True)
class adam(adamw):
    """Adam without weight decay."""

    weight_decay: float = 0.0


@dataclass(frozen=True)
class unequal(adam):
    """Adam in which some parts of the model have a learning rate of their own: `peak` times a factor.

    Raises:
      ValueError: on use, where the model has no part of such a name.

    >>> unequal(1e-4, factors=(("text", 0.1),)).factors
    (('text', 0.1),)
    """

    factors: tuple[tuple[str, float], ...] = ()

    def parts(self, axes: Any, known: Any) -> list[optax.GradientTransformation]:
        """Adam, and the factors."""
        own = dict(self.factors)
        names = jax.tree_util.tree_map_with_path(
            lambda path, _: path_name(path).partition("/")[0], axes, is_leaf=is_axes
        )
        if missing := sorted(set(own) - set(jax.tree.leaves(names))):
            raise ValueError(f"factors of {missing}: the parts of this model are {sorted(set(jax.tree.leaves(names)))}")
        return [*super().parts(axes, known), _scaled(optax.identity(), jax.tree.map(lambda x: own.get(x, 1.0), names))]


@dataclass(frozen=True)
class lion(Optimizer):
    """Lion: the sign of a moving average, with decoupled weight decay. Chen et al. 2023 (arXiv 2302.06675)."""

    b1: float = 0.9
    b2: float = 0.99
    weight_decay: float = 0.01
    decayed: Callable[[Axes], bool] = reads_an_axis  # which leaves decay

    def parts(self, axes: Tree, known: Factors | None) -> list[optax.GradientTransformation]:
        """The sign and the decay."""
        sign = optax.scale_by_lion(self.b1, self.b2)
        return [_scaled(sign, known and known.lr)] + (
            [_decay(self.weight_decay, self.decayed, axes)] if self.weight_decay else []
        )


@dataclass(frozen=True)
class adafactor(Optimizer):
    """Adafactor: second moments as means over rows and over columns, updates clipped leaf by leaf.

    Shazeer and Stern 2018 (arXiv 1804.04235), with decoupled weight decay. With `relative`, the step of a leaf is in
    units of its root mean square.
    """

    power: float = 0.8  # of the step in the second moments' decay, 1 - t^-power
    factored_from: int = 128  # size of the second largest dimension from which on moments are factored
    largest: float | None = 1.0  # root mean square of a leaf's update
    relative: bool = False
    weight_decay: float = 0.0
    decayed: Callable[[Axes], bool] = reads_an_axis  # which leaves decay

    def parts(self, axes: Tree, known: Factors | None) -> list[optax.GradientTransformation]:
        """The scaling, the clipping and the decay."""
        _cannot_follow(self, known)
        parts = [optax.scale_by_factored_rms(True, self.power, 0, self.factored_from)]
        parts += [] if self.largest is None else [optax.clip_by_block_rms(self.largest)]
        parts += [optax.scale_by_param_block_rms()] if self.relative else []
        return parts + ([_decay(self.weight_decay, self.decayed, axes)] if self.weight_decay else [])


@dataclass(frozen=True)
class muon(Optimizer):
    """Muon: the orthogonal factor of the momentum of every kernel; Adam for all else, at the same learning rate.

    A kernel is the matrix from the axes that it reads to those that it writes, whatever their number; stacked blocks
    are matrices of their own. Jordan et al. 2024; with `rms`, updates have the root mean square of Adam's (Liu et al.
    2025, arXiv 2502.16982).
    """

    beta: float = 0.95
    nesterov: bool = True
    rms: float | None = 0.2  # of an update; None: √max(1, written / read)
    b1: float = 0.9  # of Adam
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01
    decayed: Callable[[Axes], bool] = reads_an_axis  # which leaves decay

    def parts(self, axes: Tree, known: Factors | None) -> list[optax.GradientTransformation]:
        """Muon and Adam side by side, and the decay."""
        _cannot_follow(self, known)
        labels = jax.tree.map(lambda a: "muon" if multiplies(a) else "adam", axes, is_leaf=is_axes)
        matrix = jax.tree.map(lambda a: _matrix(a) if multiplies(a) else optax.MaskedNode(), axes, is_leaf=is_axes)
        turned = optax.chain(
            optax.contrib.scale_by_muon(beta=self.beta, nesterov=self.nesterov, weight_dimension_numbers=matrix),
            _shaped(matrix, self.rms),
        )
        both = optax.partition({"muon": turned, "adam": optax.scale_by_adam(self.b1, self.b2, self.eps)}, labels)
        return [both] + ([_decay(self.weight_decay, self.decayed, axes)] if self.weight_decay else [])


@dataclass(frozen=True)
class sgd(Optimizer):
    """Stochastic gradient descent, with momentum or without. Following a growth, lr is multiplied by |A| / |D|."""

    momentum: float | None = 0.9
    nesterov: bool = False

    def parts(self, axes: Tree, known: Factors | None) -> list[optax.GradientTransformation]:
        """The momentum."""
        trace = optax.identity() if self.momentum is None else optax.trace(self.momentum, self.nesterov)
        return [_scaled(trace, known and jax.tree.map(lambda a, d: a / d, known.lr, known.eps))]


@dataclass(frozen=True)
class decayed_sgd(sgd):
    """SGD on the loss plus weight_decay / 2 · |parameters|²: the decay is part of the gradient, behind its clipping.

    It passes through the momentum, and is of all parameters, as in the recipes of image classifiers.
    """

    weight_decay: float = 1e-4

    def parts(self, axes: Tree, known: Factors | None) -> list[optax.GradientTransformation]:
        """The decay, then the momentum."""
        _cannot_follow(self, known)
        return [optax.add_decayed_weights(self.weight_decay), *super().parts(axes, known)]


def _cannot_follow(optimizer: Optimizer, known: Factors | None) -> None:
    if known is not None:
        raise ValueError(
            f"{type(optimizer).__name__} has no rule by which a grown model takes the steps of the small one: leave "
            "follow=None, or use adamw, lion or sgd"
        )


def _matrix(axes: Axes) -> optax.contrib.MuonDimensionNumbers:
    """The dimensions that a kernel reads and those that it writes."""
    read, written = ([d for d, own in enumerate(axes.sides) if own == side] for side in ("read", "write"))
    return optax.contrib.MuonDimensionNumbers(tuple(read), tuple(written))


def _shaped(matrix: Tree, rms: float | None) -> optax.GradientTransformation:
    """Orthogonal factors in the scale of their shape: of root mean square `rms`, or times √max(1, written / read)."""

    def scaled(update: jax.Array, dims: optax.contrib.MuonDimensionNumbers) -> jax.Array:
        read, written = (math.prod(update.shape[d] for d in own) for own in dims)
        factor = rms * max(read, written) ** 0.5 if rms is not None else max(1.0, written / read) ** 0.5
        return update * jnp.asarray(factor, update.dtype)

    return optax.stateless(lambda updates, _: jax.tree.map(scaled, updates, matrix))


def _adam(b1: float, b2: float, eps: float, known: Factors | None) -> optax.GradientTransformation:
    """`optax.scale_by_adam`, in which the eps of each leaf may have a factor."""
    adam = optax.scale_by_adam(b1, b2, eps)
    if known is None:
        return adam

    def update(updates: Tree, state: Any, params: Tree = None) -> tuple[Tree, Any]:
        _, after = adam.update(updates, state, params)
        mean = optax.tree.bias_correction(after.mu, b1, after.count)
        square = optax.tree.bias_correction(after.nu, b2, after.count)
        scaled = _with(
            lambda m, v, d: m / (jnp.sqrt(v) + jnp.asarray(d * eps, v.dtype)), mean, square, factor=known.eps
        )
        return scaled, after

    return optax.GradientTransformation(adam.init, update)


def _scaled(tx: optax.GradientTransformation, factor: Tree) -> optax.GradientTransformation:
    """A transformation, then every leaf times its factor; the state is the same with factors and without."""
    if factor is None:
        return tx

    def update(updates: Tree, state: Any, params: Tree = None) -> tuple[Tree, Any]:
        updates, state = tx.update(updates, state, params)
        return _with(lambda x, f: x * jnp.asarray(f, x.dtype), updates, factor=factor), state

    return optax.GradientTransformation(tx.init, update)


def _decay(rate: float, decayed: Callable[[Axes], bool], axes: Tree) -> optax.GradientTransformation:
    mask = jax.tree.map(decayed, axes, is_leaf=is_axes)
    return optax.add_decayed_weights(rate, mask)


def _clip(largest: float, known: Factors | None) -> optax.GradientTransformation:
    """Clipping by global norm; following a growth, by the norm of the small model's gradient, Σ |A|/|D| g²."""
    if known is None:
        return optax.clip_by_global_norm(largest)

    def clip(updates: Tree, _: Tree) -> Tree:
        ratio = jax.tree.map(lambda a, d: a / d, known.lr, known.eps)
        squares = _with(lambda g, r: jnp.sum(jnp.asarray(r, g.dtype) * g**2), updates, factor=ratio)
        norm = jnp.sqrt(sum(jax.tree.leaves(squares)))
        return jax.tree.map(lambda g: jnp.where(norm < largest, g, g / norm.astype(g.dtype) * largest), updates)

    return optax.stateless(clip)


def _with(function: Callable[..., Any], *trees: Tree, factor: Tree) -> Tree:
    """A function of the leaves at the same path of some trees and of the factors, which may have more leaves."""
    own = {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(factor)}
    return jax.tree_util.tree_map_with_path(lambda path, *leaves: function(*leaves, own[path_name(path)]), *trees)
