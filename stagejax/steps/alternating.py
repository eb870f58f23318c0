"""Several models that learn against each other, turn by turn: a step of a stage is one round of moves.

A move is a step of one model's optimizer on an objective that sees the other models as they are by then. A move that is
made in every n-th round only is how a penalty is taken lazily, or how one player learns more often than another.

>>> # Stage(model={"generator": g, "discriminator": d}, ema={"generator": 0.999},
>>> #       objective={"generator": non_saturating, "discriminator": logistic}, optimizer={...}, data=images,
>>> #       step=Alternate((Move("discriminator"), Move("discriminator", R1(10.0, every=16), every=16),
>>> #                       Move("generator"))))
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.identity import once_a_program
from stagejax.ledger import count_flops
from stagejax.program import build
from stagejax.stage import Batch, Metrics, Part, Stage, gradient_step
from stagejax.state import TrainState, cast


@dataclass(frozen=True)
class Move:
    """One optimizer step of a model.

    Args:
      model: its name in the stage.
      objective: (model, batch, key, others) -> (loss, metrics), where `others` are the stage's other models by name;
        None: that of the stage.
      every: it is made in rounds 0, every, 2 · every, ...
    """

    model: str
    objective: Any = None
    every: int = 1


@dataclass(frozen=True)
class Alternate:
    """A round of moves, one after the other; models without a move stand still. A stage's `step`.

    The metrics of a move are those of `gradient_step`, under `<model>_<name>`; where several moves of a model have one
    of a name, it is the first one's. `loss` and `grad_norm` are those of the last move that is made in every round, of
    which there is to be one. A state's step counts rounds; the optimizer's own counts and schedule count its moves.
    """

    moves: tuple[Move, ...]

    def __call__(
        self, parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
    ) -> tuple[dict[str, TrainState], Metrics]:
        """The states after the round."""
        now, metrics, whole = dict(states), {}, {}
        at = states[self.moves[0].model].step
        for i, move in enumerate(self.moves):
            make = functools.partial(_make, move, parts, now, batch, jax.random.fold_in(key, i))
            if move.every == 1:
                after, found = make()
                whole = {name: found[name] for name in ("loss", "grad_norm")}
            else:
                nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(make)[1])
                held = now[move.model]
                # Zeros stand for metrics of a move that is not made.
                after, found = jax.lax.cond(
                    at % move.every == 0, make, lambda held=held, nothing=nothing: (held, nothing)
                )
            now[move.model] = replace(after, step=at)
            metrics = {f"{move.model}_{name}": value for name, value in found.items()} | metrics
        return {name: replace(state, step=at + 1) for name, state in now.items()}, metrics | whole


def _make(
    move: Move, parts: dict[str, Part], states: dict[str, TrainState], batch: Batch, key: jax.Array
) -> tuple[TrainState, Metrics]:
    part, state = parts[move.model], states[move.model]
    others = {name: _module(parts[name], states[name]) for name in parts if name != move.model}
    objective = functools.partial(move.objective or part.objective, others=others)
    return gradient_step(replace(part, objective=objective), state, batch, key)


def _module(part: Part, state: TrainState) -> nnx.Module:
    return nnx.merge(part.graphdef, cast(state.params, part.precision.compute), state.rest)


@dataclass(frozen=True)
class RoundFlops:
    """FLOPs of rounds: those of the moves of every round, and of each other one in the rounds in which it is made."""

    always: float
    sometimes: tuple[tuple[int, float], ...]  # every how many rounds, FLOPs

    def __call__(self, rounds: np.ndarray) -> np.ndarray:
        """FLOPs of rounds 0, 1, ...

        >>> RoundFlops(1.0, ((2, 5.0),))(np.arange(4)).tolist()
        [6.0, 1.0, 6.0, 1.0]
        """
        rounds = np.asarray(rounds)
        return self.always + sum(np.where(rounds % every == 0, flops, 0.0) for every, flops in self.sometimes)


def with_flops(stage: Stage) -> Stage:
    """The same stage, charged in each round for the moves that are made in it."""
    return replace(stage, step_flops=_round_flops(stage))


@once_a_program
def _round_flops(stage: Stage) -> RoundFlops:
    assert isinstance(stage.step, Alternate)
    program = build(replace(stage, evaluate=None), None)
    specs = (program.state, program.batch, program.key, program.numbers)
    states, batch, key, numbers = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), specs)
    whole = float(count_flops(program.step, states, batch, key, numbers))  # a round in which all moves are made
    rare = tuple(
        (move.every, float(count_flops(functools.partial(_make, move, program.parts), states, batch, key)))
        for move in stage.step.moves
        if move.every > 1
    )
    return RoundFlops(whole - sum(flops for _, flops in rare), rare)


__all__ = ["Alternate", "Move", "RoundFlops", "with_flops"]
