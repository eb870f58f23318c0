"""Flow matching: a velocity that carries noise to data along straight lines, and its integration.

X_t = (1 - t) X_0 + t X_1 with X_0 ~ N(0, I) at t = 0 and data X_1 at t = 1; the velocity is X_1 - X_0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import Metrics

Velocity = Callable[[Array, Array], Array]  # (x (B, ...), t (B,)) -> dx/dt (B, ...)


def between(noise: Float[Array, "B ..."], data: Float[Array, "B ..."], t: Float[Array, " B"]) -> Float[Array, "B ..."]:
    """(1 - t) noise + t data.

    >>> between(jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.array([0.25]))
    Array([[0.25, 0.25]], dtype=float32)
    """
    t = t.reshape(-1, *[1] * (data.ndim - 1))
    return (1 - t) * noise + t * data


@dataclass(frozen=True)
class FlowMatching:
    """E |model(X_t, t, **condition) - (X_1 - X_0)|², mean over coordinates; an objective.

    Args:
      inputs: name of X_1 in the batch.
      condition: names of further fields, passed on under these names.
      drop: share of samples whose condition is left out, for guidance: the model is told by `drop=(B,) bool`. 0: it is
        not told anything.
      logit_normal: (mean, std) to draw t as sigmoid(N(mean, std²)); None: uniformly.
      frames: name of how many frames there are of each sample (B, F, ...), passed on as well: what lies behind them is
        filling and no part of the mean. None: all.

    Reference: Lipman et al. 2023, https://arxiv.org/abs/2210.02747, equation 23 with sigma_min = 0; logit-normal times:
    Esser et al. 2024, https://arxiv.org/abs/2403.03206, equation 19.
    """

    inputs: str = "image"
    condition: tuple[str, ...] = ()
    drop: float = 0.0
    logit_normal: tuple[float, float] | None = None
    frames: str | None = None

    def __call__(
        self, model: Callable[..., Array], batch: Mapping[str, Any], key: Array | None
    ) -> tuple[Float[Array, ""], Metrics]:
        data = jnp.asarray(batch[self.inputs], jnp.float32)
        keys = jax.random.split(jax.random.key(0) if key is None else key, 3)  # evaluation: the same noise each time
        noise, t = jax.random.normal(keys[0], data.shape), self.times(keys[1], data.shape[0])
        options = {name: batch[name] for name in self.condition + ((self.frames,) if self.frames else ())}
        if self.drop:
            left_out = jax.random.bernoulli(keys[2], self.drop, t.shape)
            options["drop"] = left_out if key is not None else jnp.zeros_like(left_out)
        there = None if self.frames is None else jnp.asarray(batch[self.frames])
        loss = squared_errors(lambda x, t: model(x, t, **options), noise, data, t, there).mean()
        return loss, {"loss": loss}

    def times(self, key: Array, count: int) -> Float[Array, " B"]:
        """Times of training."""
        if self.logit_normal is None:
            return jax.random.uniform(key, (count,))
        mean, std = self.logit_normal
        return jax.nn.sigmoid(mean + std * jax.random.normal(key, (count,)))


def squared_errors(
    velocity: Velocity,
    noise: Float[Array, "B ..."],
    data: Float[Array, "B ..."],
    t: Float[Array, " B"],
    frames: Int[Array, " B"] | None = None,
) -> Float[Array, " B"]:
    """Of the velocity on the line between noise and data, mean over each sample's coordinates, or its first `frames`.

    A preference loss of two samples takes it with the same noise and times for both (Wallace et al. 2024,
    https://arxiv.org/abs/2311.12908, equation 14).
    """
    error = velocity(between(noise, data, t), t) - (data - noise)
    if frames is None:
        return (error**2).reshape(len(t), -1).mean(-1)
    by_frame = (error**2).reshape(*data.shape[:2], -1).mean(-1)
    return jnp.where(jnp.arange(data.shape[1]) < frames[:, None], by_frame, 0.0).sum(-1) / frames


@dataclass(frozen=True)
class FlowPreference:
    """-log σ(-beta ((e - e_ref)(chosen) - (e - e_ref)(rejected))), e the error of the velocity: DPO of flow matching.

    Both samples of a pair have the same time; an objective (model, batch, key, reference), see `referenced_step`.

    Args:
      beta: of errors that are means over coordinates.
      chosen, rejected: names of the samples in the batch.
      condition: names of further fields, that both samples share.
      shared: both have the same noise as well.

    Metrics: `loss`, `accuracy` (share of pairs that the loss has in order), `margin` (the argument of σ) and
    `chosen_gain`, by how much the error of the chosen sample is below the reference's.

    References: Wallace et al. 2024, https://arxiv.org/abs/2311.12908, equation 14; Step-Video-T2V 2025,
    https://arxiv.org/abs/2502.10248, section 4.5, for the noise that is shared.

    Raises:
      ValueError: beta is not positive.

    >>> pairs = {"chosen": jnp.ones((1, 2)), "rejected": jnp.zeros((1, 2))}
    >>> FlowPreference()(lambda x, t: x, pairs, None, lambda x, t: x)[0].round(4)
    Array(0.6931, dtype=float32)
    """

    beta: float = 100.0
    chosen: str = "chosen"
    rejected: str = "rejected"
    condition: tuple[str, ...] = ()
    shared: bool = True

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"beta={self.beta} must be positive")

    def __call__(
        self,
        model: Callable[..., Array],
        batch: Mapping[str, Any],
        key: Array | None,
        reference: Callable[..., Array],
    ) -> tuple[Float[Array, ""], Metrics]:
        """The loss of a batch of pairs; both sides go through each model together."""
        sides = [jnp.asarray(batch[name], jnp.float32) for name in (self.chosen, self.rejected)]
        keys = jax.random.split(jax.random.key(0) if key is None else key, 3)
        first, second = (jax.random.normal(k, sides[0].shape) for k in keys[:2])
        noise = jnp.concatenate([first, first if self.shared else second])
        t = jnp.tile(jax.random.uniform(keys[2], sides[0].shape[:1]), 2)
        data = jnp.concatenate(sides)
        options = {name: jnp.concatenate([batch[name]] * 2) for name in self.condition}

        def errors(net: Callable[..., Array]) -> Array:
            return squared_errors(lambda x, t: net(x, t, **options), noise, data, t)

        gain = jax.lax.stop_gradient(errors(reference)) - errors(model)
        chosen, rejected = jnp.split(gain, 2)
        margin = self.beta * (chosen - rejected)
        loss = jax.nn.softplus(-margin).mean()
        shown = {"accuracy": (margin > 0).mean(), "margin": margin.mean(), "chosen_gain": chosen.mean()}
        return loss, {"loss": loss, **shown}


def shifted_times(steps: int, shift: float = 1.0) -> Float[Array, " T"]:
    """Times from 0 to 1 in `steps` + 1 points, closer near the noise where shift > 1: 1 - s u / (1 + (s - 1) u).

    u falls evenly from 1 to 0. Reference: Esser et al. 2024, https://arxiv.org/abs/2403.03206, equation 23.

    >>> shifted_times(4)
    Array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    >>> [round(float(t), 2) for t in shifted_times(4, 3.0)]
    [0.0, 0.1, 0.25, 0.5, 1.0]
    """
    u = jnp.linspace(1.0, 0.0, steps + 1)
    return 1 - shift * u / (1 + (shift - 1) * u)


def guided(conditional: Velocity, free: Velocity, scale: float) -> Velocity:
    """free + scale (conditional - free), classifier-free guidance; 1 is the conditional one.

    Reference: Ho and Salimans 2022, https://arxiv.org/abs/2207.12598.
    """

    def velocity(x: Array, t: Array) -> Array:
        plain = free(x, t)
        return plain + scale * (conditional(x, t) - plain)

    return velocity


def integrate(velocity: Velocity, noise: Float[Array, "B ..."], times: Float[Array, " T"]) -> Float[Array, "B ..."]:
    """Data from noise by Euler steps between the times, in one scan: x += (t_{k+1} - t_k) v(x, t_k).

    >>> integrate(lambda x, t: jnp.ones_like(x), jnp.zeros((1, 2)), shifted_times(5, 3.0)).round(4)
    Array([[1., 1.]], dtype=float32)
    """

    def step(x: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        now, then = pair
        return x + (then - now) * velocity(x, jnp.full(x.shape[0], now)), None

    return jax.lax.scan(step, noise, (times[:-1], times[1:]))[0]


def inpaint(
    velocity: Velocity,
    noise: Float[Array, "B ..."],
    known: Float[Array, "B ..."],
    mask: Float[Array, "B ..."],
    times: Float[Array, " T"],
) -> Float[Array, "B ..."]:
    """Data from noise where `mask` is 1, and `known` data where it is 0: `integrate`, but before each step and at last

    x_t <- mask x_t + (1 - mask) ((1 - t) noise + t known).

    So the model sees on each step what is known at the noise of that step, and draws what fits it. With a mask of ones
    this is `integrate`.

    References: Song et al. 2021, https://arxiv.org/abs/2011.13456, appendix I.2; Lugmayr et al. 2022 (RePaint),
    https://arxiv.org/abs/2201.09865, equation 8, here for straight lines and with one noise of all steps.

    >>> known, mask = jnp.array([[5.0, 5.0]]), jnp.array([[0.0, 1.0]])
    >>> inpaint(lambda x, t: jnp.ones_like(x), jnp.zeros((1, 2)), known, mask, shifted_times(4))
    Array([[5., 1.]], dtype=float32)
    """

    def kept(x: Array, t: Array) -> Array:
        return mask * x + (1 - mask) * between(noise, known, jnp.full(x.shape[0], t))

    def step(x: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        now, then = pair
        x = kept(x, now)
        return x + (then - now) * velocity(x, jnp.full(x.shape[0], now)), None

    return kept(jax.lax.scan(step, noise, (times[:-1], times[1:]))[0], times[-1])
