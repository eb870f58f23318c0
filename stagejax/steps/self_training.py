"""Self-training: a student learns from the labels that a teacher, the average of students, gives to unlabelled data.

The teacher is the averaged parameters of the train state (`Stage.ema` is their decay): plain state that is saved,
resumed and handed over like all else. A student's step reads it and leaves it alone; how it moves is said around that
step: by `mean_teacher`, or by virtual steps into the future.

>>> # Stage(..., self_training, step=lookahead_teacher(taught_step, ahead=3), ema=0.99)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.data.pictures.mixing import class_mask, colour_jitter, paste
from stagejax.handover import scheduled_as
from stagejax.objectives.pictures.segmentation import IGNORE, pseudo_labels, segmentation, weighted_pixels
from stagejax.stage import Batch, Metrics, Part, gradient_step
from stagejax.state import TrainState, Tree, cast

#: (part, state, batch, key) -> (state, metrics), which reads the teacher in `state.ema` and leaves it as it is.
StudentStep = Callable[[Part, TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]


def taught_step(part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
    """`gradient_step` on an objective that has one more argument, `teacher`: the model with the averaged parameters."""
    teacher = nnx.merge(part.graphdef, cast(state.ema, part.precision.compute), state.rest)
    student = replace(part, objective=partial(part.objective, teacher=teacher), ema=None)
    new, metrics = gradient_step(student, replace(state, ema=None), batch, key)
    return replace(new, ema=state.ema), metrics


def absorb(part: Part, state: TrainState, student: Tree) -> TrainState:
    """The teacher takes in a student: φ <- a φ + (1 - a) θ with a = min(1 - 1 / (t + 1), α), α the stage's `ema`.

    Until step t = 1 / (1 - α) this is the plain mean of the students. Reference: Tarvainen and Valpola 2017,
    https://arxiv.org/abs/1703.01780.
    """
    a = jnp.minimum(1 - 1 / (state.step + 1), part.ema)
    return replace(state, ema=jax.tree.map(lambda p, s: (a * p + (1 - a) * s).astype(p.dtype), state.ema, student))


@dataclass(frozen=True)
class mean_teacher:
    """The classic order: the teacher absorbs the student, then the student takes its step.

    Args:
      step: of the student.
      updates: how often the teacher absorbs the same student, which only lowers its decay to a^updates.
    """

    step: StudentStep
    updates: int = 1

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        for _ in range(self.updates):
            state = absorb(part, state, state.params)
        return self.step(part, state, batch, key)


@dataclass(frozen=True)
class lookahead_teacher:
    """FST-D: the teacher absorbs the student and K students of its future, then teaches the student of today.

    At step t, from θ_t: K times φ <- EMA(φ, θ), θ <- step(θ; φ) on the same batch with labels of the new φ; then
    φ <- EMA(φ, θ). The student is θ_t again and takes its step with this φ, which is not rolled back. All virtual steps
    have the learning rate of step t. The first step of a stage is an ordinary one. Costs K + 1 steps.

    Args:
      step: of the student.
      ahead: K; with 0 this is `mean_teacher`.
      virtual: what becomes of moments and other variables that virtual steps moved: "discard" them with the virtual
        students, or "carry" them on, as the authors' code does, which restores parameters only.

    Reference: Du et al. 2022 (FST), https://arxiv.org/abs/2209.06993, section 3.3.
    """

    step: StudentStep
    ahead: int = 1
    virtual: Literal["discard", "carry"] = "discard"

    def __post_init__(self) -> None:
        if self.ahead < 0 or self.virtual not in ("discard", "carry"):
            raise ValueError(f"ahead={self.ahead}, virtual={self.virtual!r}: 0 steps or more, 'discard' or 'carry'")

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        def into_the_future(now: TrainState, k: jax.Array) -> tuple[TrainState, None]:
            new, _ = self.step(part, absorb(part, now, now.params), batch, jax.random.fold_in(key, k))
            opt_state = scheduled_as(new.opt_state, state.opt_state, state.params)
            return replace(new, step=state.step, opt_state=opt_state), None

        def future() -> TrainState:
            return jax.lax.scan(into_the_future, state, jnp.arange(1, self.ahead + 1))[0]

        seen = jax.lax.cond(state.step == 0, lambda: state, future) if self.ahead else state
        seen = absorb(part, seen, seen.params)
        today = replace(seen, params=state.params) if self.virtual == "carry" else replace(state, ema=seen.ema)
        return self.step(part, today, batch, key)


@dataclass(frozen=True)
class wide_lookahead:
    """FST-W: the teacher absorbs the mean of N students, each one step ahead on a batch of its own.

    θ̄ = mean over i of step(θ_t; φ) on future batch i; φ <- EMA(φ, θ̄); then θ_t takes its step on the current batch
    with this φ, and φ <- EMA(φ, θ_{t+1}). The moments of the virtual students are discarded. Costs N + 1 steps.

    A batch of the stage holds N + 1 times the rows of a step: row 0, N + 1, ... are the current batch, row i,
    N + 1 + i, ... future batch i, which moves no row between devices.

    Reference: Du et al. 2022 (FST), https://arxiv.org/abs/2209.06993, section 3.3.
    """

    step: StudentStep
    branches: int = 3

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        current, *futures = apart(batch, self.branches + 1)
        future = jax.tree.map(lambda *x: jnp.stack(x), *futures)
        keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(1, self.branches + 1))
        students = jax.vmap(lambda piece, own: self.step(part, state, piece, own)[0].params)(future, keys)
        taught = absorb(part, state, jax.tree.map(lambda x: x.mean(0), students))
        new, metrics = self.step(part, taught, current, key)
        return replace(new, ema=absorb(part, taught, new.params).ema), metrics


def apart(batch: Batch, count: int) -> list[dict[str, Any]]:
    """`count` batches: row i, i + count, ... of each array are those of batch i.

    >>> [part["x"].tolist() for part in apart({"x": jnp.arange(4)}, 2)]
    [[0, 2], [1, 3]]
    """
    return [{name: x[i::count] for name, x in batch.items()} for i in range(count)]


def self_training(
    model: Any,
    batch: Mapping[str, Any],
    key: jax.Array,
    *,
    teacher: Any = None,
    threshold: float = 0.968,
    jitter: float = 0.2,
) -> tuple[jax.Array, Metrics]:
    """L_sup(labelled) + L_unsup(labelled pixels pasted onto unlabelled images, which the teacher labels).

    The teacher sees the unlabelled images as they are, in evaluation mode. Half of the classes of a labelled image are
    pasted onto one of these (ClassMix), and the colours of the result are changed. Its pasted pixels have weight 1, the
    others the share of the image's pixels of which the teacher is sure by `threshold` or more.

    Args:
      model, teacher: `model(images, key=key)` gives logits (B, Y, X, classes). Without a teacher the model is its own.
      batch: "image" and "label" of labelled rows, "target_image" of as many unlabelled ones. Where "hidden_label" is
        there, it scores the teacher (the metric `teacher_accuracy`), and nothing learns from it.

    Reference: Tranheden et al. 2021 (DACS), https://arxiv.org/abs/2007.08702, section 3.
    """
    keys = jax.random.split(key, 3)
    logits = (model if teacher is None else teacher)(batch["target_image"])
    said, share = jax.lax.stop_gradient(pseudo_labels(logits, threshold))
    mask = class_mask(keys[0], batch["label"], logits.shape[-1])
    mixed = colour_jitter(keys[1], paste(mask, batch["image"], batch["target_image"]), jitter)
    labels = paste(mask, batch["label"], said)
    weights = paste(mask, jnp.ones(()), share[:, None, None])
    supervised, metrics = segmentation(model, batch, keys[2])
    learned = weighted_pixels(model(mixed, key=keys[2]), labels, weights)
    metrics |= {"loss": supervised + learned, "unsupervised": learned, "share": share.mean()}
    if "hidden_label" in batch:
        known = batch["hidden_label"] != IGNORE
        metrics["teacher_accuracy"] = (((said == batch["hidden_label"]) & known).sum() / 1.0, known.sum() / 1.0)
    return supervised + learned, metrics
