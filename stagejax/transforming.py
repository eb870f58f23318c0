"""Another form of a model between two stages: adapters put on, merged or stacked, kernels pruned, factors multiplied.

config = Reparameterized(base, LoRA(rank=8))
adapted = run.transform("adapted", config.adapt, trained, to=config)
tuned = run.train(Stage("tuned", config, ..., trainable=adapters), adapted)
merged = run.transform("merged", config.merge, tuned, to=base)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax

from stagejax.axes import Rules, path_name
from stagejax.note import noted
from stagejax.program import abstract_state, part_of
from stagejax.result import Result
from stagejax.shapes import shape_text
from stagejax.state import TrainState, Tree

#: Parameters and other variables of a model, as nested dictionaries.
Variables = tuple[Tree, Tree]
#: (key, variables of each model that it starts from) -> variables of another model; pure.
Transform = Callable[..., Variables]


@dataclass(frozen=True)
class StateTransform:
    """A transform of what stages left behind; `like` is known without any array."""

    name: str
    function: Transform
    starts: Sequence[Result]
    to: Any  # config of the model that it makes
    key: jax.Array
    like: TrainState  # abstract, with shardings

    def check(self) -> None:
        """Whether the function makes the variables of `to`, on abstract values.

        Raises:
          ValueError: it does not; the error names the first leaf that differs.
        """
        given = [_variables(start.state()) for start in self.starts]
        with noted(f"in the transform {self.name!r}"):
            made = _shapes(jax.eval_shape(self.function, self.key, *given))
        wanted = _shapes(_variables(self.like))
        for where in sorted(set(made) | set(wanted)):
            if made.get(where) != wanted.get(where):
                raise ValueError(
                    f"transform {self.name!r} makes {where!r} {made.get(where, 'not at all')}, but "
                    f"{type(self.to).__name__} has it {wanted.get(where, 'not at all')}: give `to` the configuration "
                    "of the model that the function makes"
                )

    def apply(self) -> TrainState:
        """The state of the new model, made directly in its shardings; it has no moments and no average."""
        self.check()
        states = [start.state() for start in self.starts]
        shardings = jax.tree.map(lambda x: x.sharding, _variables(self.like))
        made = jax.jit(self.function, out_shardings=shardings)(self.key, *map(_variables, states))
        return replace(self.like, step=states[0].step, params=made[0], rest=made[1])


def transform_state(
    name: str, function: Transform, starts: Sequence[Result], to: Any, mesh: Any, rules: Rules
) -> StateTransform:
    """Prepare `function(key, (params, rest), ...)` on what stages left behind, for a model `to`.

    Raises:
      ValueError: a start is not one trained model.
    """
    for start in starts:
        if start.stage is None or isinstance(start.model, dict) or start.stage.seeds is not None:
            raise ValueError(
                f"transform {name!r}: {start.name!r} is not one trained model. Of several, give start.member(name)"
            )
    stage = starts[0].stage
    assert stage is not None
    part = part_of(replace(stage, model=to, optimizer=None, ema=None))
    key = jax.random.fold_in(jax.random.key(stage.seed), starts[0].generation + 1)
    return StateTransform(
        name, function, tuple(starts), to, key, replace(abstract_state(part, mesh, rules), opt_state=())
    )


def _variables(state: TrainState) -> Variables:
    return state.params, state.rest


def _shapes(variables: Variables) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return {path_name(path[1:]): shape_text(x) for path, x in leaves}
