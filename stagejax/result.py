"""What a stage leaves behind: a small value that knows where its arrays are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from flax import nnx

from stagejax.declare import Json
from stagejax.growth.operator import Growth
from stagejax.ledger import Cost
from stagejax.loop import History
from stagejax.stage import Stage


@dataclass(frozen=True)
class Grown:
    """What makes a growth auditable: what it was, from what, and how to do it again from what is stored."""

    growth: Growth
    start: Result
    replay: Callable[[Growth], Any]
    maps: Callable[[], dict[str, np.ndarray]]  # those that were stored (see `growth.record`)


@dataclass(frozen=True)
class Result:
    """A finished stage, growth or artifact. Its arrays are read from disk when `state()` is called, and not kept.

    Args:
      name: as given to the run.
      kind: "train", "grow", "transform" or "make".
      fingerprint: of its declaration.
      generation: how many stages of training lie behind it.
      model: config of the model, or of each.
      stage: the last stage that trained it.
      steps: optimizer steps done.
      cost: FLOPs, tokens and seconds.
      history: every metric of every step and evaluation.
      digest: sha256 of the final parameters.
      parameters: how many numbers they are.
      position: in the data.
      handover: rows of the hand-over table.
      receipt: of a growth.
      value: of an artifact; None in a plan.
      grows: whether its policy (`train(until=...)`) said that it is time; a plan assumes so.
      diverged: which number was not finite, and when: a stage that may diverge, and did.
      load: reads the arrays; use `state()`.
      grown: how to do a growth again.
    """

    name: str
    kind: str
    fingerprint: str
    generation: int
    model: Any = None
    stage: Stage | None = None
    steps: int = 0
    cost: Cost = Cost()
    history: History = History()
    digest: str = ""
    parameters: int = 0
    position: dict[str, Any] | None = None
    handover: tuple[tuple[str, ...], ...] = ()
    receipt: Json = None
    value: Any = None
    grows: bool | None = None
    diverged: str | None = None
    load: Callable[[], Any] | None = field(default=None, repr=False, compare=False)
    grown: Grown | None = field(default=None, repr=False, compare=False)

    def state(self) -> Any:
        """The train state (or dictionary of them), read from disk and checked against its digest.

        Raises:
          CheckpointError: it is damaged, or its parameters are not those that were saved.
          ValueError: there is none: the stage diverged, or this is an artifact.
        """
        if self.diverged:
            raise ValueError(f"stage {self.name!r} diverged ({self.diverged}), so nothing can start from it")
        if self.load is None:
            raise ValueError(f"{self.kind} {self.name!r} has no train state")
        return self.load()

    def member(self, name: str) -> Result:
        """One of several models that were trained together, to start another stage from.

        Raises:
          KeyError: there is none of that name.
        """
        if not isinstance(self.model, dict) or name not in self.model:
            known = ", ".join(self.model) if isinstance(self.model, dict) else "only one"
            raise KeyError(f"{self.kind} {self.name!r} has no model {name!r}; it has {known}")
        return replace(
            self,
            fingerprint=f"{self.fingerprint}/{name}",
            model=self.model[name],
            stage=self.stage and self.stage.member(name),
            load=lambda: self.state()[name],
        )

    def averaged(self) -> Result:
        """The same model with its averaged parameters in place of the last ones, to start another stage from.

        Raises:
          ValueError: nothing was averaged; when its state is read.
        """

        def load() -> Any:
            state = self.state()
            if isinstance(state, dict) or state.ema is None:
                raise ValueError(f"{self.kind} {self.name!r} holds no average: give its stage ema=decay")
            return replace(state, params=state.ema)

        return replace(self, fingerprint=f"{self.fingerprint}/average", load=load)

    def module(self) -> nnx.Module:
        """The trained model, ready to be called.

        Raises:
          ValueError, CheckpointError: see `state`.
        """
        state = self.state()
        graphdef, _, _ = nnx.split(nnx.eval_shape(lambda: self.model.build(nnx.Rngs(0))), nnx.Param, ...)
        return nnx.merge(graphdef, state.params, state.rest)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from stagejax.report.notebook import result_html

        return result_html(self)
