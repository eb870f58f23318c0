"""What is on a picture of coloured items, by a detector of patches and a network; and whether colours are whose they
should be.

Letters: n pictures, Y, X pixels, K items of a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from stagejax.data.bound_items import Item, ItemWorld, Prompt
from stagejax.data.tasks import resized
from stagejax.inference.frozen import Frozen, apply, logits_of

#: Of one prompt: see `verdict_of`.
SCORES = ("bound", "present", "swapped", "all")


@dataclass(frozen=True)
class PatchDetector:
    """Items are patches of light; one that is too wide for an item is parted where it is thinnest.

    Args:
      light: how bright a pixel is that counts.
      least: pixels below which a patch is a speck.
      side: of what is cut out around a patch; a patch is parted if it is wider.
    """

    light: float = 0.35
    least: int = 7
    side: int = 12

    def __call__(self, picture: Float[np.ndarray, "Y X 3"]) -> list[Float32[np.ndarray, "side side 3"]]:
        """What is cut out, the leftmost patch first: its light in the middle of black.

        >>> picture = np.zeros((16, 24, 3))
        >>> picture[2:8, 3:9, 0] = picture[4:9, 14:20, 2] = 1.0
        >>> [crop.max((0, 1)).tolist() for crop in PatchDetector()(picture)]
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        """
        from scipy import ndimage

        lit = picture.max(-1) > self.light
        labels, _ = ndimage.label(lit, np.ones((3, 3)))
        masks = [labels == number for number in range(1, labels.max() + 1)]
        parts = [part for mask in masks for part in self._parted(mask)]
        near = [ndimage.binary_dilation(mask, np.ones((3, 3))) for mask in parts if mask.sum() >= self.least]
        near.sort(key=lambda mask: int(np.flatnonzero(mask.any(0))[0]))
        return [self._cut(picture, mask) for mask in near]

    def _parted(self, mask: np.ndarray) -> list[np.ndarray]:
        columns = np.flatnonzero(mask.any(0))
        if columns[-1] - columns[0] < self.side:
            return [mask]
        middle = np.arange(columns[0] + self.side // 2, columns[-1] - self.side // 2 + 1)
        border = middle[mask[:, middle].sum(0).argmin()]
        left = np.arange(mask.shape[1]) < border
        return [mask & left, mask & ~left]

    def _cut(self, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (picture * mask[..., None])[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
        size = min(box.shape[0], self.side), min(box.shape[1], self.side)
        box, cut = resized(box, size), np.zeros((self.side, self.side, 3), np.float32)
        top, left = (self.side - size[0]) // 2, (self.side - size[1]) // 2
        cut[top : top + size[0], left : left + size[1]] = box
        return cut


def crops_of(
    world: ItemWorld, detector: PatchDetector, pool: Sequence[Any], count: int, seed: int
) -> dict[str, np.ndarray]:
    """What a verifier learns from: real items on pictures of one or two, cut out by the detector, and which they are.

    Pictures on which it does not find as many patches as there are items are left out.
    """
    rng, images, labels = np.random.default_rng(seed), [], []
    prompts = [*world.prompts(1), *world.prompts(2)]
    while len(labels) < count:
        prompt = prompts[rng.integers(len(prompts))]
        picture, order = world.painted(prompt, pool, rng)
        crops = detector(picture)
        if len(crops) == len(prompt):
            images += crops
            labels += [world.items.index(prompt[number]) for number in order]
    return {"image": np.stack(images[:count]), "label": np.array(labels[:count], np.int32)}


@dataclass(frozen=True, eq=False)
class ItemReader:
    """A frozen classifier of crops into the items of a world."""

    world: ItemWorld
    detector: PatchDetector
    net: Frozen

    def __call__(self, pictures: Float[np.ndarray, "n Y X 3"]) -> list[list[Item]]:
        """The items on each picture, from the left."""
        crops = [self.detector(picture) for picture in pictures]
        flat = [crop for own in crops for crop in own]
        if not flat:
            return [[] for _ in crops]
        found = iter(apply(logits_of, self.net, np.stack(flat), batch=256).argmax(1))
        return [[self.world.items[next(found)] for _ in own] for own in crops]

    def scores(
        self, pictures: Float[np.ndarray, "n Y X 3"], prompts: Sequence[Prompt]
    ) -> dict[str, Float32[np.ndarray, " n"]]:
        """`verdict_of` of each picture, by name."""
        found = [verdict_of(prompt, read) for prompt, read in zip(prompts, self(pictures), strict=True)]
        return {name: np.array([own[name] for own in found], np.float32) for name in SCORES}


def verdict_of(prompt: Prompt, read: Sequence[Item]) -> dict[str, float]:
    """How far a picture is what its prompt says.

    Returns:
      `bound`: the share of the prompt's items that are there with their own colour; `all`: whether all are, and nothing
      else is; `present`: whether every kind is there, in whatever colour; `swapped`: whether a kind is there, not with
      its own colour but with that of another item of the prompt.

    >>> prompt = Item("red", "bag"), Item("blue", "boot")
    >>> verdict_of(prompt, [Item("blue", "boot"), Item("red", "bag")])
    {'bound': 1.0, 'present': 1.0, 'swapped': 0.0, 'all': 1.0}
    >>> verdict_of(prompt, [Item("red", "boot"), Item("blue", "bag")])
    {'bound': 0.0, 'present': 1.0, 'swapped': 1.0, 'all': 0.0}
    """
    bound = [item in read for item in prompt]
    kinds = {item.kind for item in read}
    others = [{other.color for other in prompt if other is not item} for item in prompt]
    swapped = any(
        not own and any(seen.kind == item.kind and seen.color in colors for seen in read)
        for item, own, colors in zip(prompt, bound, others, strict=True)
    )
    return {
        "bound": float(np.mean(bound)),
        "present": float(all(item.kind in kinds for item in prompt)),
        "swapped": float(swapped),
        "all": float(all(bound) and len(read) == len(prompt)),
    }
