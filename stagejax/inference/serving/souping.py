"""Greedy soups of trained models: which of them to average, by a loss on held-out rows."""

from __future__ import annotations

from typing import Any

import jax

from stagejax.apart import take_apart
from stagejax.inference.frozen import compiled
from stagejax.ledger import count_flops
from stagejax.result import Result
from stagejax.transforms.soup import greedy, uniform


def search_soup(objective: Any, data: Any, *members: Result) -> dict[str, Any]:
    """Which members a greedy soup keeps, the best one first, and the mean loss of each alone.

    Args:
      objective: (model, batch, None) -> (loss, metrics), hashable.
      data: some held-out batches.

    >>> # search = run.make("search", search_soup, objective, data.held_out(4), *members)
    >>> # run.transform("soup", uniform, *(members[k] for k in search.value["kept"]), to=members[0].model)
    """
    states = [(state.params, state.rest) for state in (member.state() for member in members)]
    loss = compiled(_loss, members[0].model, objective)
    with data.batches() as batches:
        rows = list(batches)

    def score(chosen: tuple[int, ...]) -> float:
        mixed = uniform(None, *(states[k] for k in chosen))
        return -sum(float(loss(*mixed, batch)) for batch in rows) / len(rows)

    kept, alone = greedy(len(members), score)
    return {"kept": list(kept), "losses": [-value for value in alone]}


def search_flops(objective: Any, data: Any, config: Any, members: int) -> float:
    """What a search costs: every member alone, and one try for each but the best."""
    batch = count_flops(compiled(_loss, config, objective), *take_apart(config)[2:], data.spec())
    return float((2 * members - 1) * data.count * batch)


def _loss(model: Any, batch: Any, objective: Any) -> jax.Array:
    return objective(model, batch, None)[0]
