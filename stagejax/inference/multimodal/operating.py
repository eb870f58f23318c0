"""Trained policies at work on devices, and rules in their place: which goals are reached, each with its own luck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.control.phone import Phone, Rule
from stagejax.data.control.phone_tasks import Goals
from stagejax.decode.episodes import operated
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen
from stagejax.result import Result
from stagejax.stage import Batch


def luck(numbers: Any) -> jax.Array:
    """The key of each goal of a stream: the same device and the same luck, whoever operates it."""
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(2024), numbers)


def reached(policy: Result, goals: Goals, phone: Phone) -> dict[str, np.ndarray]:
    """Actions are drawn on a device for each goal of all batches, as an artifact for `run.make`.

    Returns:
      One row a goal: "goal", its tokens; "right", whether it was reached; "actions", how many it took.

    >>> # tested = run.make("tests/sft", reached, sft, Goals(phone=phone, split="test", batch=256, count=2), phone)
    """
    net, rows = Frozen.of(policy), []
    for batch in goals.batches():
        right, actions = ask(_outcome, net, batch, phone)
        rows.append({"goal": batch["goal"], "right": right, "actions": actions})
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def reached_by(rules: Sequence[tuple[str, Rule]], goals: Goals, phone: Phone) -> dict[str, float]:
    """The share of goals that rules reach on the same devices, as an artifact for `run.make`.

    >>> phone = Phone(wrong=0.0, horizon=20)
    >>> rules = (("script", phone.demonstrated), ("random taps", phone.at_random))
    >>> found = reached_by(rules, Goals(phone=phone, batch=64, count=1), phone)
    >>> found["script"] > 0.95, found["random taps"] < 0.5
    (True, True)
    """
    found = {}
    for name, rule in rules:
        play = jax.jit(jax.vmap(lambda key, goal, rule=rule: phone.right(phone.played(key, goal, rule))))
        rows = [play(luck(batch["number"]), jnp.asarray(batch["goal"])) for batch in goals.batches()]
        found[name] = float(np.mean(rows))
    return found


def _outcome(model: Any, batch: Batch, phone: Phone) -> tuple[jax.Array, jax.Array]:
    found = operated(model, phone, batch["goal"], luck(batch["number"]))
    return found.right, found.lengths
