"""Modulated steps: which encoder learns how fast, by the formula, and what it does to an update."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from spine import drive, stage
from toy import Numbers

from stagejax.axes import param
from stagejax.optimizer import sgd
from stagejax.stage import gradient_step
from stagejax.steps.modulated import InTurn, Modulation, modulated_step

NAMES = ("text", "audio", "video")


class Encoders(nnx.Module):
    """A vector for each modality, and one that all share."""

    def __init__(self, config: Two, rngs: nnx.Rngs) -> None:
        self.config = config
        self.encoders = nnx.Dict({
            name: param(jnp.linspace(-1, 1, 3) * i, reads=("features",)) for i, name in enumerate(("text", "audio"))
        })  # fmt: skip
        self.fusion = param(jnp.linspace(0, 1, 3), reads=("features",))


@dataclass(frozen=True)
class Two:
    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return Encoders(self, rngs)

    def sizes(self) -> dict[str, int]:
        return {"features": 3}


@dataclass(frozen=True)
class Half:
    """The text stands still, the audio goes half as far."""

    def __call__(self, metrics: Any, step: Any) -> dict[str, jax.Array]:
        return {"text": jnp.zeros(()), "audio": jnp.full((), 0.5)}


def regression(model: Any, batch: Any, key: Any) -> tuple[jax.Array, dict[str, Any]]:
    weights = model.fusion[...] + sum(own[...] for own in model.encoders.values())
    error = (batch["x"] @ weights - batch["y"]) ** 2
    return error.mean(), {"loss": (error.sum(), jnp.float32(len(error)))}


def test_the_scale_is_that_of_the_paper() -> None:
    own = np.array([0.9, 0.5, 0.55], np.float32)
    found = Modulation(NAMES, alpha=0.3)({f"confidence_{n}": s for n, s in zip(NAMES, own, strict=True)}, 0)
    for i, name in enumerate(NAMES):
        ratio = own[i] / np.delete(own, i).mean()
        expected = 1 - np.tanh(0.3 * ratio) if ratio > 1 else 1.0
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)
    assert float(found["text"]) < 1
    assert float(found["audio"]) == float(found["video"]) == 1.0


def test_one_learns_at_a_time_and_all_have_their_turn() -> None:
    scales = InTurn(NAMES, every=2)
    turns = [[float(s) for s in scales({}, jnp.asarray(step)).values()] for step in range(8)]
    assert [row.index(1.0) for row in turns] == [0, 0, 1, 1, 2, 2, 0, 0]
    assert {sum(row) for row in turns} == {1.0}


def test_updates_of_encoders_are_multiplied_and_others_are_those_of_a_plain_step() -> None:
    plain = stage(
        model=Two(), objective=regression, optimizer=sgd(0.1, decay="constant"), data=Numbers(), steps=1,
        step=gradient_step,
    )  # fmt: skip
    own = replace(plain, step=partial(modulated_step, scales=Half()))
    first = {"encoders/text": np.zeros(3), "encoders/audio": np.linspace(-1, 1, 3), "fusion": np.linspace(0, 1, 3)}
    moves = {}
    for name, made in (("plain", plain), ("own", own)):
        params = drive(made)[1].params
        now = {f"encoders/{n}": x for n, x in params["encoders"].items()} | {"fusion": params["fusion"]}
        moves[name] = {path: np.asarray(now[path]) - first[path] for path in first}
    assert all(np.abs(move).max() > 1e-3 for move in moves["plain"].values())
    for path, scale in {"encoders/text": 0.0, "encoders/audio": 0.5, "fusion": 1.0}.items():
        np.testing.assert_allclose(moves["own"][path], scale * moves["plain"][path], atol=1e-6)
