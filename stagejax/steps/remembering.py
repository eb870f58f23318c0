"""The step of models with a queue of features: an average of the encoder says what is remembered."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
from flax import nnx

from stagejax.stage import Batch, Metrics, Part, gradient_step, variables
from stagejax.state import TrainState, cast
from stagejax.steps.self_training import StudentStep, absorb


@dataclass(frozen=True)
class Remembering:
    """The averaged encoder absorbs the encoder and sees the batch, the encoder steps, and the queue gets the batch.

    Only the average moves slowly enough for old features to be compared with new ones (`Stage.ema` is its decay). It
    sees "view" where the batch has one, and "image" otherwise, with batch statistics, which move no running ones; what
    it makes of them is the batch's "remembered" (B, D) in the objective, and enters the queue behind the step.

    Args:
      step: of the encoder.

    Reference: He et al. 2019 (MoCo), https://arxiv.org/abs/1911.05722, algorithm 1; the average begins as the plain
    mean (see `absorb`), so that it forgets the initial values.
    """

    step: StudentStep = gradient_step

    def __call__(self, part: Part, state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        state = absorb(part, state, state.params)
        slow = nnx.merge(part.graphdef, cast(state.ema, part.precision.compute), state.rest)
        seen = slow(batch.get("view", batch["image"]), key=jax.random.fold_in(key, state.step))
        student = replace(part, ema=None)
        new, metrics = self.step(student, replace(state, ema=None), {**batch, "remembered": seen}, key)
        model = nnx.merge(part.graphdef, new.params, new.rest)
        model.queue.push(seen, batch["label"], batch["record"])
        return replace(new, ema=state.ema, rest=variables(model)), metrics
