"""Objectives of a module: some layers of a network learn, the others stand still and pass on stream and gradient.

They call a model of `config.layers` blocks by its pieces: `tokens`, `encode`, `pool` and `logits`, as `models.ViT` has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.distillation import soft_cross_entropy
from stagejax.objectives.loss import Metrics, weighted


@dataclass(frozen=True)
class AmongFrozen:
    """Classification of images by a network of which only some layers learn.

    The loss is the cross entropy of labels of which a share is spread over all C classes, (1 - s) onehot(y) + s / C.

    Args:
      start, stop: the layers that learn; gradients pass through the others and do not reach their parameters.
      smoothing: s.

    Reference: Ni et al. 2023 (Deep Incubation), https://arxiv.org/abs/2212.04129, equation 4; label smoothing: Szegedy
    et al. 2016, https://arxiv.org/abs/1512.00567, section 7.
    """

    start: int
    stop: int
    smoothing: float = 0.0

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        """The mean loss over `image` and `label`; the metrics `loss` and `accuracy`."""
        x_BTE = model.encode(model.tokens(batch["image"]), 0, self.start, key=key, frozen=True)
        x_BTE = model.encode(x_BTE, self.start, self.stop, key=key)
        x_BTE = model.encode(x_BTE, self.stop, model.config.layers, key=key, frozen=True)
        logits_BC = model.logits(model.pool(x_BTE))
        classes = logits_BC.shape[-1]
        soft_BC = (1 - self.smoothing) * jax.nn.one_hot(batch["label"], classes) + self.smoothing / classes
        losses_B = soft_cross_entropy(logits_BC, soft_BC)
        loss = (losses_B.sum(), jnp.asarray(losses_B.size, jnp.float32))
        return losses_B.mean(), weighted(logits_BC, batch["label"])[1] | {"loss": loss}


@dataclass(frozen=True)
class ImitateLayer:
    """Layers that learn to do what the one layer behind them does to the same stream.

    The loss is the mean of (module(x) - layer(x))², where x is what the layers before the module make of the images.

    Args:
      start, stop: the layers that learn; the imitated one is `stop`.

    Reference: Ni et al. 2023 (Deep Incubation), https://arxiv.org/abs/2212.04129, the compared module imitation.
    """

    start: int
    stop: int

    def __call__(self, model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
        """The mean loss over `image`; no metrics beside it."""
        x_BTE = model.encode(model.tokens(batch["image"]), 0, self.start, key=key, frozen=True)
        said_BTE = model.encode(x_BTE, self.stop, self.stop + 1, frozen=True)
        return jnp.square(model.encode(x_BTE, self.start, self.stop, key=key) - said_BTE).mean(), {}
