"""LT-SFT as two stages and the transforms between them: what is left is a model and a sparse difference from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flax import nnx

from stagejax.axes import Axes
from stagejax.stage import Stage
from stagejax.transforms.lottery import Ticket, density, draw, strays
from stagejax.transforms.reparameterize import Reparameterized, Variables


@dataclass(frozen=True)
class Sparse:
    """One sparse fine-tuning: its two stages, and `counted`: "density", the share of entries that may move, and
    "strays", how many others did."""

    full: Any
    sparse: Any
    counted: Any

    @property
    def results(self) -> tuple[Any, Any]:
        return self.full, self.sparse


@dataclass(frozen=True)
class Opened:
    """A model in the form of `Ticket`, of which all entries learn; the attribute `fresh` is drawn anew.

    For `run.transform(name, Opened(form, seed, "head"), start, to=form)`.
    """

    form: Reparameterized
    seed: int
    fresh: str

    def __call__(self, key: Any, start: Variables) -> Variables:
        (params, rest), new = self.form.adapt(key, start), self.form.base.build(nnx.Rngs(self.seed))
        return params | {self.fresh: nnx.to_pure_dict(nnx.state(new, nnx.Param))[self.fresh]}, rest


def with_tickets(model: Any, chosen: Callable[[str, Axes], bool]) -> Reparameterized:
    """The form in which the chosen parameters of a model may be fine-tuned sparsely."""
    return Reparameterized(model, Ticket(), chosen)


def lt_sft(
    run: Any, stage: Stage, steps: tuple[int, int], density: float, start: Any, *, fresh: str, teacher: Any = None
) -> Sparse:
    """Train all entries, draw the ticket, reset, train its entries alone.

    Args:
      stage: of a model in the form `with_tickets`, or of such a "student" beside a frozen "teacher". Its optimizer must
        not decay parameters.
      steps: of training all entries, and of training those of the ticket.
      density: share of the entries with a ticket, over all parameters together.
      start: a plain model.
      fresh: attribute that is drawn anew by the stage's seed, learns densely and is not reset, such as "head".
      teacher: the model beside.

    Reference: Ansell et al. 2022, https://arxiv.org/abs/2110.07560, section 3.
    """

    def train(part: str, model: Any, steps: int) -> Any:
        models = model if teacher is None else {"student": model, "teacher": teacher}
        return run.train(replace(stage, name=f"{stage.name}/{part}", steps=steps), models)

    form = stage.model if teacher is None else stage.model["student"]
    opened = run.transform(f"{stage.name}/open", Opened(form, stage.seed, fresh), start, to=form)
    full = train("full", opened, steps[0])
    ticket = run.transform(f"{stage.name}/ticket", draw(density), opened, learner(full), to=form)
    sparse = train("sparse", ticket, steps[1])
    return Sparse(full, sparse, run.make(f"{stage.name}/counted", counted, ticket, learner(sparse)))


def learner(result: Any) -> Any:
    """The student of a stage, or its only model."""
    return result.member("student") if isinstance(result.model, dict) else result


def merged(run: Any, result: Any) -> Any:
    """The plain model that a stage of a model with tickets left."""
    own = learner(result)
    return run.transform(f"{result.name}/merged", own.model.merge, own, to=own.model.base)


def counted(ticket: Any, sparse: Any) -> dict[str, float]:
    """Which share of the entries may move, and how many others did."""
    before, after = (result.state() for result in (ticket, sparse))
    moved = strays((before.params, before.rest), (after.params, after.rest))
    return {"density": density(after.rest), "strays": float(moved)}
