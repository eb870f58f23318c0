"""How many tokens a second decoders draw: with a cache or without, with a draft model, with weights of few bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from stagejax.decode import Prompts, Recomputed, sample, speculative_sample
from stagejax.inference.frozen import Frozen
from stagejax.inference.several import compiled_together
from stagejax.memory import stored_bytes
from stagejax.stage import Batch
from stagejax.steps.windows import interleaved, temporary_bytes


@dataclass(frozen=True)
class Rates:
    """What is drawn and how it is timed: rows are filled up to `length` at temperature 1, none ends before."""

    length: int  # tokens of a row, prompt and continuation
    block: int = 4  # tokens that a draft model drafts in a round
    windows: int = 5
    each: int = 1  # batches in a window


def cached(models: Sequence[Any], batch: Batch, rates: Rates) -> dict[str, Any]:
    """Continuations by a model with its cache."""
    return {"tokens": _drawn(models[0], batch, rates)}


def recomputed(models: Sequence[Any], batch: Batch, rates: Rates) -> dict[str, Any]:
    """The same, the whole padded row read anew for each token."""
    return {"tokens": _drawn(Recomputed(lambda tokens, _: models[0](tokens)), batch, rates)}


def _drawn(model: Any, batch: Batch, rates: Rates) -> Any:
    prompts = Prompts(batch["tokens"], batch["lengths"])
    return sample(model, prompts, batch["key"], length=rates.length).tokens_BNS[:, 0]


def drafted(models: Sequence[Any], batch: Batch, rates: Rates) -> dict[str, Any]:
    """Continuations by the first model, most of whose tokens the second drafts; and how that went."""
    prompts = Prompts(batch["tokens"], batch["lengths"])
    found = speculative_sample(*models, prompts, batch["key"], length=rates.length, block=rates.block)
    counts = {"rounds": found.rounds_B, "judged": found.judged_B, "accepted": found.accepted_B}
    return {"tokens": found.samples.tokens_BNS[:, 0], **{name: own.sum() for name, own in counts.items()}}


WAYS = {"cached": cached, "recomputed": recomputed, "drafted": drafted}


def token_rates(
    rows: Mapping[str, tuple[str, Sequence[Frozen]]], tokens_BP: Int[np.ndarray, "B P"], rates: Rates
) -> dict[str, dict[str, Any]]:
    """Each row of the table, timed in turn with the others.

    Args:
      rows: by name: one of `WAYS`, and the network, for "drafted" also the draft.
      tokens_BP: prompts, all of one length.

    Returns:
      By name: "seconds" of a batch in each window, "tokens" that it draws, "stored" bytes of parameters and integers,
      "temporary" bytes of the program beside them, and what the way counts.

    >>> # found = token_rates({"plain": ("cached", (net,)), "draft": ("drafted", (net, small))}, prompts, Rates(128))
    """
    B, P = tokens_BP.shape
    batch = {"tokens": tokens_BP, "lengths": np.full(B, P, np.int32), "key": jax.random.key(0)}
    calls, found = {}, {}
    for name, (way, nets) in rows.items():
        variables = [(net.params, net.rest) for net in nets]
        program = compiled_together(WAYS[way], tuple(net.config for net in nets), rates)
        code = program.lower(variables, batch).compile()
        calls[name] = lambda code=code, variables=variables: code(variables, batch)
        found[name] = {
            "tokens": B * (rates.length - P),
            "stored": stored_bytes(variables),
            "temporary": temporary_bytes(code),
            **{key: int(own) for key, own in calls[name]().items() if key != "tokens"},
        }
    seconds = interleaved(calls, rates.windows, rates.each)
    return {name: own | {"seconds": seconds[name]} for name, own in found.items()}
