"""A two-layer network and an addressed stream of numbers: the smallest things a stage can be made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from stagejax.axes import param


class Net(nnx.Module):
    def __init__(self, config: Toy, rngs: nnx.Rngs) -> None:
        embed = config.embed
        shapes = {"up": (config.features, embed), "blocks": (config.layers, embed, embed), "down": (embed, 1)}
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
        drawn = jnp.split(jax.random.normal(rngs.params(), (ends[-1],)), ends[:-1])  # one draw compiles fastest
        values = {name: x.reshape(shape) for x, (name, shape) in zip(drawn, shapes.items(), strict=True)}
        self.up = param(0.5 * values["up"], reads=("features",), writes=("embed",))
        self.blocks = param(0.1 * values["blocks"], stack=("layers",), reads=("embed",), writes=("embed_out",))
        self.down = param(0.5 * values["down"], reads=("embed",), writes=("classes",))
        self.seen = nnx.BatchStat(jnp.zeros(()))
        self.noise = config.noise

    def __call__(self, x_BF: jax.Array, key: Any) -> jax.Array:
        if key is not None:
            x_BF = x_BF + self.noise * jax.random.normal(key, x_BF.shape, x_BF.dtype)
        h_BD = jnp.tanh(x_BF @ self.up[...])
        for layer in range(self.blocks.shape[0]):
            h_BD = h_BD + jnp.tanh(h_BD @ self.blocks[...][layer])
        self.seen[...] = self.seen[...] + x_BF.shape[0]
        return (h_BD @ self.down[...])[:, 0]


@dataclass(frozen=True)
class Toy:
    features: int = 3
    embed: int = 8
    layers: int = 2
    noise: float = 0.1

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return Net(self, rngs)

    def sizes(self) -> dict[str, int]:
        return {
            "features": self.features,
            "embed": self.embed,
            "embed_out": self.embed,
            "layers": self.layers,
            "classes": 1,
        }


def regression(model: Net, batch: Any, key: Any) -> tuple[jax.Array, dict[str, Any]]:
    error = (model(batch["x"], key) - batch["y"]) ** 2
    weight = batch["weight"]
    pair = ((error * weight).sum(), weight.sum())
    return pair[0] / pair[1], {"loss": pair}


class Stream:
    def __init__(self, data: Numbers, step: int, shard: tuple[int, int]) -> None:
        self.data, self.step, self.shard = data, step, shard

    @property
    def position(self) -> dict[str, Any]:
        return {"step": self.step}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        batch = self.data.batch(self.step)
        self.step += 1
        rows = self.data.samples // self.shard[1]
        return {k: v[self.shard[0] * rows : (self.shard[0] + 1) * rows] for k, v in batch.items()}

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Numbers:
    samples: int = 8
    seed: int = 0
    nan_at: int | None = None

    @property
    def tokens(self) -> int:
        return self.samples

    def spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (self.samples,)
        one = jax.ShapeDtypeStruct(shape, jnp.float32)
        return {"x": jax.ShapeDtypeStruct((*shape, 3), jnp.float32), "y": one, "weight": one}

    def batch(self, step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.seed, step))
        x = rng.normal(size=(self.samples, 3)).astype(np.float32)
        y = np.sin(x.sum(1)) * (np.nan if step == self.nan_at else 1)
        return {"x": x, "y": y.astype(np.float32), "weight": rng.integers(1, 4, self.samples).astype(np.float32)}

    def batches(self, position: dict[str, Any] | None, shard: tuple[int, int] = (0, 1)) -> Stream:
        return Stream(self, position["step"] if position else 0, shard)


def adam(steps: int, axes: Any) -> optax.GradientTransformation:
    return optax.adamw(optax.linear_schedule(1e-2, 0.0, steps))
