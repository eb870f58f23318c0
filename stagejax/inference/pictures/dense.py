"""What features of every patch are worth: a linear probe by pixels, and what they tell of the place in the image.

Letters: N images and M that something is fitted to (or M patches of these), T patches of each, row by row, E features,
C classes, Y and X rows and columns of pixels, P channels, V views.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stagejax.data.joined import for_every_record
from stagejax.inference.frozen import Frozen, apply
from stagejax.models.patches import patches_of
from stagejax.objectives.pictures.features import cosine
from stagejax.objectives.pictures.segmentation import IGNORE, confusion_matrix, intersection_over_union
from stagejax.objectives.probing import standardised

#: Kernel (E, C) and bias (C,).
Head = tuple[np.ndarray, np.ndarray]


def dense_of(model: Any, images: jax.Array) -> jax.Array:
    """The features of every patch: what `apply` asks of a vision transformer."""
    return model.dense(images)


def raw_features(data: Any, net: Any) -> dict[str, np.ndarray]:
    """For every record of `data`, for `run.make`: the features of its patches as `raw`, and its `label`.

    Args:
      data: batches with an image and a label; see `for_every_record`.
      net: the result that holds a vision transformer.
    """
    frozen = Frozen.of(net)
    return for_every_record(
        lambda batch: {"label": batch["label"], "raw": apply(dense_of, frozen, batch["image"], data.batch)}, data
    )


def class_counts(
    labels_NYX: Int[np.ndarray, "N Y X"], grid: int, classes: int, ignore: int = IGNORE
) -> Float[np.ndarray, "N T C"]:
    """How many pixels of each class every one of `grid` x `grid` patches has.

    >>> class_counts(np.array([[[0, 1], [1, -1]]]), 1, 2).tolist()
    [[[1.0, 2.0]]]
    """
    N, Y, X = labels_NYX.shape
    patches = labels_NYX.reshape(N, grid, Y // grid, grid, X // grid).swapaxes(2, 3).reshape(N, grid * grid, -1)
    return np.stack([(patches == c).sum(-1) for c in range(classes) if c != ignore], -1).astype(np.float32)


def dense_probe(
    features_ME: Float[np.ndarray, "M E"], counts_MC: Float[np.ndarray, "M C"], decay: float, iterations: int = 100
) -> Head:
    """A linear classifier of patches, by L-BFGS from zero.

    It minimises the mean over all labelled pixels of their cross entropy under the logits of their patch, + decay / 2
    |kernel|². Patches without a labelled pixel do not count.

    >>> x = np.repeat(np.eye(2, dtype=np.float32), 4, 0)
    >>> kernel, bias = dense_probe(x, 16 * x, 1e-3)
    >>> bool(((x @ kernel + bias).argmax(-1) == x.argmax(-1)).all())
    True
    """
    from scipy.optimize import minimize

    x, y = jnp.asarray(features_ME), jnp.asarray(counts_MC / counts_MC.sum())
    shape = (x.shape[1] + 1, y.shape[1])

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = _loss(jnp.asarray(flat.reshape(shape), jnp.float32), x, y, jnp.float32(decay))
        return float(value), np.asarray(grad, np.float64).ravel()

    options = {"maxiter": iterations, "ftol": 1e-7}
    head = minimize(objective, np.zeros(math.prod(shape)), jac=True, method="L-BFGS-B", options=options).x
    return head.reshape(shape)[:-1].astype(np.float32), head.reshape(shape)[-1].astype(np.float32)


@jax.jit
def _loss(head: Array, x: Array, y: Array, decay: Array) -> tuple[Array, Array]:
    """Loss and gradient; the last row of `head` is the bias."""

    def loss(head: Array) -> Array:
        logs = jax.nn.log_softmax(x @ head[:-1] + head[-1])
        return -(y * logs).sum() + decay / 2 * jnp.square(head[:-1]).sum()

    return jax.value_and_grad(loss)(head)


def pixels_of(logits_NTC: Float[np.ndarray, "N T C"], height: int, width: int) -> Int[np.ndarray, "N Y X"]:
    """The likeliest class of every pixel, from logits of square grids of patches that are interpolated to all pixels.

    >>> pixels_of(np.array([[[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 2.0]]]), 2, 4)[0, 0].tolist()
    [0, 0, 1, 1]
    """
    side = math.isqrt(logits_NTC.shape[1])
    maps = jnp.asarray(logits_NTC).reshape(len(logits_NTC), side, side, -1)
    larger = jax.image.resize(maps, (len(maps), height, width, maps.shape[-1]), "linear")
    return np.asarray(larger.argmax(-1), np.int32)


def mean_iou(labels_NYX: np.ndarray, said_NYX: np.ndarray, classes: int) -> float:
    """The mean intersection over union of all classes that are there or said, over all images together.

    >>> mean_iou(np.array([[[0, 0, 1, -1]]]), np.array([[[0, 1, 1, 0]]]), 3)
    0.5
    """
    table = confusion_matrix(jnp.asarray(labels_NYX), jnp.asarray(said_NYX), classes)
    return float(intersection_over_union(table).value())


def probe_iou(
    fit_MTE: Float[np.ndarray, "M T E"],
    counts_MTC: Float[np.ndarray, "M T C"],
    test_NTE: Float[np.ndarray, "N T E"],
    labels_NYX: Int[np.ndarray, "N Y X"],
    decay: float,
) -> float:
    """The mIoU of a linear probe: fitted to some images' class counts, scored by the pixels of others.

    Features are standardised on the fitted images.

    >>> maps = np.repeat(np.eye(2, dtype=np.float32), 2, 0)[None]
    >>> probe_iou(maps, maps, maps, np.array([[[0, 0], [1, 1]]]), 1e-3)
    1.0
    """
    flat = fit_MTE.reshape(-1, fit_MTE.shape[2])
    x, z = (np.asarray(standardised(maps.reshape(-1, flat.shape[1]), flat)) for maps in (fit_MTE, test_NTE))
    classes = counts_MTC.shape[2]
    kernel, bias = dense_probe(x, counts_MTC.reshape(-1, classes), decay)
    logits = (z @ kernel + bias).reshape(*test_NTE.shape[:2], classes)
    return mean_iou(labels_NYX, pixels_of(logits, *labels_NYX.shape[1:]), classes)


def position_r2(
    fit_MTE: Float[np.ndarray, "M T E"], test_NTE: Float[np.ndarray, "N T E"], ridge: float = 1e-3
) -> tuple[float, float]:
    """How well a ridge regression reads the row and the column of a patch from its features: R² of both on the test.

    Features are standardised on the fitted images; the penalty is ridge |kernel|² beside the mean squared error.

    >>> places = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0), indexing="ij"), -1).reshape(1, 16, 2)
    >>> [round(r, 2) for r in position_r2(places, places)]
    [1.0, 1.0]
    """
    side = math.isqrt(fit_MTE.shape[1])
    line = np.linspace(-1, 1, side)
    where_T2 = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    mean, std = fit_MTE.mean((0, 1)), fit_MTE.std((0, 1)) + 1e-6
    x, z = (((maps - mean) / std).reshape(-1, fit_MTE.shape[2]).astype(np.float64) for maps in (fit_MTE, test_NTE))
    y = np.tile(where_T2, (len(fit_MTE), 1))
    kernel = np.linalg.solve(x.T @ x / len(x) + ridge * np.eye(x.shape[1]), x.T @ y / len(x))
    error = np.square(z @ kernel - np.tile(where_T2, (len(test_NTE), 1))).mean(0)
    row, column = 1 - error / np.square(where_T2).mean(0)
    return float(row), float(column)


def agreement(
    maps_NTE: Float[np.ndarray, "N T E"], views_NVTE: np.ndarray, points_NVT2: np.ndarray, centre_E: np.ndarray
) -> float:
    """The mean cosine of a patch's features in a view and those of the same place in the whole image.

    The whole image's are interpolated between its patches; `centre_E`, a mean, is taken off both.

    >>> one = np.ones((1, 4, 2))
    >>> round(agreement(one, one[:, None], np.full((1, 1, 4, 2), 0.5), np.zeros(2)), 3)
    1.0
    """
    side = math.isqrt(maps_NTE.shape[1])

    def at(map_TE: Array, points_M2: Array) -> Array:
        grid = (map_TE - centre_E).reshape(side, side, -1)
        where = [points_M2[:, 0] * side - 0.5, points_M2[:, 1] * side - 0.5]
        read = lambda channel: jax.scipy.ndimage.map_coordinates(channel, where, 1, mode="nearest")  # noqa: E731
        return jax.vmap(read, in_axes=-1, out_axes=-1)(grid)

    N, V, T, E = views_NVTE.shape
    same = jax.vmap(at)(jnp.asarray(maps_NTE), jnp.asarray(points_NVT2).reshape(N, V * T, 2))
    return float(cosine(jnp.asarray(views_NVTE - centre_E).reshape(N, V * T, E), same).mean())


def three_components(
    maps_NTE: Float[np.ndarray, "N T E"], like_MTE: Float[np.ndarray, "M T E"]
) -> Float[np.ndarray, "N side side 3"]:
    """Features as colours from 0 to 1: their three main components, by the mean, the axes and the range of others.

    >>> maps = np.random.default_rng(0).normal(size=(2, 4, 5))
    >>> three_components(maps, maps).shape
    (2, 2, 2, 3)
    """
    flat, side = like_MTE.reshape(-1, like_MTE.shape[2]), math.isqrt(maps_NTE.shape[1])
    axes = np.linalg.svd(np.cov(flat.T))[0][:, :3]
    low, high = np.percentile((flat - flat.mean(0)) @ axes, (2, 98), axis=0)
    shown = ((maps_NTE - flat.mean(0)) @ axes - low) / (high - low)
    return np.clip(shown, 0, 1).reshape(len(maps_NTE), side, side, 3).astype(np.float32)


def pixels_in(images_NYXP: Float[np.ndarray, "N Y X P"], patch: int) -> Float[np.ndarray, "N T pixels"]:
    """The pixels of every patch, row by row: features that nothing has learned.

    >>> pixels_in(np.arange(16.0).reshape(1, 4, 4, 1), 2)[0, 1].tolist()
    [2.0, 3.0, 6.0, 7.0]
    """
    found = patches_of(images_NYXP, patch)
    return found.reshape(*found.shape[:2], -1)
