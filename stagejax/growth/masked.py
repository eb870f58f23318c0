"""Masked structural growth: a large model begins as the small one inside it, and lets the rest in while it trains."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from stagejax.axes import Axes, family
from stagejax.growth.direct_copy import DirectCopy
from stagejax.growth.fpi import WIDTH
from stagejax.growth.operator import GrowthError, Sizes, changed, plain
from stagejax.growth.term import LAYERS, Term, base

#: The axes whose new entries a mask can hold back. Vocabulary and positions need none: old tokens do not see new rows.
MASKED = (*WIDTH, "key_dim", "value_dim", LAYERS)


@dataclass(frozen=True)
class MSG(DirectCopy):
    """All new entries are drawn freshly, new layers on top; `GrowingMasks` in the stage behind keep the function.

    Exact for any sizes and any kind of norm as long as the masks of new entries are 0, and with no copies anywhere,
    so nothing has to be told apart. Blocks that are not stacked (those of a `ResNet`) are drawn whole, and their gates
    are masks too. `head_dim` is not among the axes: products of queries and keys are divided by its root, so that no
    mask over it keeps them (`HeadSize` does). Yao et al. 2023 (arXiv 2305.02869), section 3.
    """

    axes: tuple[str, ...] = (*WIDTH, "key_dim", "value_dim", "vocab", "position", "classes")

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The corner, fresh parameters wherever any axis is new, and blocks that the old model lacks."""
        return [*super().terms(old, new), Term("init", born=True)]

    def born(self, axes: Axes) -> bool:
        """Those of blocks of channels."""
        return any(family(base(name)) == "channels" for name in axes.names)

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse models that cannot be called with masks, and blocks that no gate could hold back.

        Raises:
          GrowthError: this is one.
        """
        kind = type(nnx.eval_shape(lambda: new_config.build(nnx.Rngs(0))))
        options = inspect.signature(kind.__call__).parameters
        if "masks" not in options and all(option.kind != option.VAR_KEYWORD for option in options.values()):
            raise GrowthError(
                f"{self} lets new entries in by masks, but {kind.__name__} is not called with any. Use LEMON() or "
                "ZeroInit(), which keep the function without, or DirectCopy(), which does not."
            )
        unknown = sorted(set(new_config.sizes()) - set(old_config.sizes()))
        if any(self.born(Axes((name,), ("write",))) for name in unknown):
            raise GrowthError(
                f"{self}: the model before the growth has no axis {unknown[0]!r}, which changes what the blocks behind "
                "it read, so that no gate keeps the function. Add channels, or blocks that keep theirs."
            )


@dataclass(frozen=True)
class GrowingMasks:
    """The masks of a grown model at a step: 1 on old entries, c on new ones, c = (step - start) / steps from 0 to 1.

    An `options` of `stagejax.steps.scheduled.scheduled_step`:

        step=partial(scheduled_step, options=GrowingMasks(small_config, large_config, steps=1000))

    A model that has a mask multiplies hidden vectors by it, weighs the statistics of norms by it, and takes the mask
    of a layer as its gate. At c = 1 it is the model without masks.

    >>> from stagejax.models import gpt
    >>> GrowingMasks(gpt(mlp=2), gpt(mlp=4), steps=10)(5)["masks"]["mlp"]
    Array([1. , 1. , 0.5, 0.5], dtype=float32)
    """

    old: Any  # model configurations, before and after
    new: Any
    steps: int  # from 0 to 1
    start: int = 0  # the state's step at which they begin

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps}: new entries are let in over at least 1 step")

    def __call__(self, step: int | jax.Array) -> dict[str, dict[str, jax.Array]]:
        share = jnp.clip((step - self.start) / self.steps, 0.0, 1.0)
        return {"masks": masks_at(masked_sizes(self.old), masked_sizes(self.new), share)}


def masked_sizes(config: Any) -> dict[str, int]:
    """The sizes of what masks may be over: a model's axes and, where it does not stack its blocks, its `depths`.

    >>> from stagejax.models.convnet import ResNet
    >>> masked_sizes(ResNet(blocks=(2, 1, 1)))["layers.1"]
    1
    """
    return plain(config.sizes()) | getattr(config, "depths", {})


def masks_at(old: Mapping[str, int], new: Mapping[str, int], share: float | jax.Array) -> dict[str, jax.Array]:
    """For every axis that grows and can be masked, 1 on its old entries and `share` on its new ones."""
    axes = [axis for axis in changed(old, new, MASKED) if family(axis) in MASKED]
    share = jnp.asarray(share, jnp.float32)
    return {axis: jnp.where(jnp.arange(new[axis]) < old[axis], jnp.ones_like(share), share) for axis in axes}
