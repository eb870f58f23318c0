"""Features of a frozen vision transformer, separated image by image: what is there, what its place adds, and a rest.

Letters: N images, V views, T patches of a view, D features, S side of an image in pixels.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stagejax.apart import take_apart
from stagejax.data.joined import for_every_record
from stagejax.data.pictures.views import Views, centres, cut, random_views, whole
from stagejax.inference.frozen import Frozen, compiled
from stagejax.ledger import count_flops
from stagejax.models.vision.neural_field import NeuralField
from stagejax.models.vision.separation import Separation
from stagejax.models.vit import ViT
from stagejax.objectives.pictures.features import shared_parts, with_residual
from stagejax.steps.instances import Phase, fit_instance


@dataclass(frozen=True)
class Separating:
    """The views of an image, and how F, G and h of `Separation` are fitted to them.

    Adam (0.9, 0.99, eps 1e-15), the learning rate up to `peak` in a share of the steps and down to `end` by half a
    cosine, weight decay as a part of the gradient. In the first half of the steps F + G is fitted, in the second G
    stays and h joins in.

    Raises:
      ValueError: fewer than two views or steps, or views that cannot be looked at so many at a time.

    Reference: Yang et al. 2024 (DVT), https://arxiv.org/abs/2401.02957; the authors' code has 769 views, 25,000 steps.
    """

    views: int = 32  # of an image; the first is the image itself
    area: tuple[float, float] = (0.1, 0.5)  # of the others, as a share of the image
    field: NeuralField = field(default_factory=NeuralField)  # F, whose `features` become the backbone's
    steps: int = 600
    patches: int = 512  # of a step, drawn from all views
    peak: float = 1e-2  # learning rate
    end: float = 1e-3
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 1e-5
    together: int = 16  # images that are fitted side by side
    looked: int = 1  # views of each that the backbone sees at once
    kept: int = 4  # views of each whose features are kept, to be measured

    def __post_init__(self) -> None:
        if self.views < 2 or self.steps < 2:
            raise ValueError(f"views={self.views}, steps={self.steps}: two or more of each are needed")
        if self.views % self.looked:
            raise ValueError(f"looked={self.looked} does not divide views={self.views}")


def separated(how: Separating, data: Any, net: Any, seed: int, bare: bool = False) -> dict[str, np.ndarray]:
    """What stage 1 of DVT finds for every record of `data`, for `run.make`.

    Args:
      data: batches of `how.together` images (S, S, C) with a label; see `for_every_record`.
      net: the result that holds a `VisionTransformer`.
      seed: of the views and the fields.
      bare: fit F + G without h as well.

    Returns:
      For every record `image` and `label`; `raw` features (T, D) of the whole image, F there as `clean`, G as
      `artifact`, the `mean` over all views of what patches of the whole image show; `views` (V, T, D), raw features of
      some views, with the `points` (V, T, 2) that they show and F there as `seen`; the last `loss`; with `bare`, the F
      of F + G as `bare`.
    """
    frozen, part = Frozen.of(net), itertools.count()
    look = compiled(looked_at, frozen.config, how)

    def one(batch: Any) -> dict[str, Any]:
        key = jax.random.fold_in(jax.random.key(seed), next(part))
        keys = jax.random.split(key, how.together)
        features, points = look(*_over_devices((frozen.params, frozen.rest), (batch["image"], keys)))
        found = fitting(how, frozen.config, False)(features, points, keys)
        own = {"bare": fitting(how, frozen.config, True)(features, points, keys)["clean"]} if bare else {}
        kept = slice(1, 1 + how.kept)
        seen = {"raw": features[:, 0], "views": features[:, kept], "points": points[:, kept]}
        return {"image": batch["image"], "label": batch["label"], **seen, **found, **own}

    return for_every_record(one, data)


def separation_flops(how: Separating, model: ViT, records: int, bare: bool = False) -> float:
    """The matmul FLOPs of `separated`."""
    n, grid = how.together, model.image // model.patch
    _, _, params, rest = take_apart(model)
    spec = partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), n))
    images = spec((n, model.image, model.image, model.channels))
    looking = count_flops(compiled(looked_at, model, how), params, rest, images, keys)
    inputs = spec((n, how.views, grid**2, model.embed)), spec((n, how.views, grid**2, 2)), keys
    fits = sum(count_flops(fitting(how, model, own), *inputs) for own in ((False, True) if bare else (False,)))
    return float(-(-records // n) * (looking + fits))


def looked_at(model: Any, images: jax.Array, keys: jax.Array, how: Separating) -> tuple[jax.Array, jax.Array]:
    """Features (N, V, T, D) of views of each image, and the points (N, V, T, 2) of it that they show."""
    side, grid = model.config.image, model.config.image // model.config.patch

    def one(image: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        others = random_views(key, how.views - 1, area=how.area)
        views = Views(*(jnp.concatenate(both) for both in zip(whole(), others, strict=True)))
        some = jax.tree.map(lambda x: x.reshape(-1, how.looked), views)
        features = jax.lax.map(lambda own: model.dense(cut(image, own, side)), some)
        return features.reshape(how.views, grid**2, -1), centres(views, grid)

    return jax.vmap(one)(images, keys)


@functools.cache
def fitting(how: Separating, model: ViT, bare: bool) -> Any:
    """The program that fits F, G and h to the views of many images at once; `bare`: F and G alone, all the time.

    It takes what `looked_at` gives, and keys, and gives `clean`, `artifact`, `seen`, `mean` and `loss` of `separated`.
    """
    grid, half = model.image // model.patch, how.steps // 2
    config, places, size = Separation(replace(how.field, features=model.embed), grid**2), grid**2, how.views * grid**2
    rate = optax.warmup_cosine_decay_schedule(0.0, how.peak, round(how.warmup * how.steps), how.steps, how.end)
    tx = optax.chain(optax.add_decayed_weights(how.weight_decay), optax.scale_by_adam(0.9, 0.99, 1e-15))
    first = Phase(shared_parts, how.steps if bare else half, ("semantics", "artifact"))
    phases = (first,) if bare else (first, Phase(with_residual, how.steps - half, ("semantics", "residual")))

    def one(features: jax.Array, points: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        y, a = features.reshape(size, -1), points.reshape(size, 2)

        def draw(key: jax.Array) -> dict[str, jax.Array]:
            rows = jax.random.randint(key, (how.patches,), 0, size)
            return {"features": y[rows], "points": a[rows], "places": rows % places}

        fitted, losses = fit_instance(config, phases, tx, rate, draw, key)
        return {
            "clean": fitted.semantics(points[0]),
            "artifact": fitted.artifact[...],
            "seen": jax.vmap(fitted.semantics)(points[1 : 1 + how.kept]),
            "mean": mean_over_views(y, a, grid),
            "loss": losses[-max(1, how.steps // 10) :].mean(),
        }

    return jax.jit(jax.vmap(one))


def mean_over_views(features_MD: jax.Array, points_M2: jax.Array, grid: int) -> jax.Array:
    """The mean of all features whose points lie in a cell of `grid` x `grid`, row by row; NaN where none does.

    >>> mean_over_views(jnp.array([[1.0], [3.0]]), jnp.array([[0.2, 0.2], [0.3, 0.4]]), 1)
    Array([[2.]], dtype=float32)
    """
    cell_M2 = jnp.clip((points_M2 * grid).astype(jnp.int32), 0, grid - 1)
    cell_M = cell_M2[:, 0] * grid + cell_M2[:, 1]
    total = jax.ops.segment_sum(features_MD, cell_M, grid**2)
    return total / jax.ops.segment_sum(jnp.ones(len(cell_M)), cell_M, grid**2)[:, None]


def _over_devices(shared: Any, images: Any) -> Any:
    """Arrays of images spread over the devices, where these divide them, and what is shared whole on each."""
    devices = jax.devices()
    if len(devices) == 1 or len(jax.tree.leaves(images)[0]) % len(devices):
        return *shared, *images
    mesh = jax.make_mesh((len(devices),), ("images",), axis_types=(jax.sharding.AxisType.Auto,))
    whole, spread = jax.NamedSharding(mesh, jax.P()), jax.NamedSharding(mesh, jax.P("images"))
    return *jax.device_put(shared, whole), *jax.device_put(images, spread)
