"""What is on a picture of coloured items, by a detector of patches and a network; and whether colours are whose they
should be.

Letters: n pictures, Y, X pixels, K items of a prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

from stagejax.data.multimodal.bound_items import Item, ItemWorld, Prompt
from stagejax.data.pictures.tasks import resized
from stagejax.inference.frozen import Frozen, apply, logits_of

#: Of one prompt: see `verdict_of`.
SCORES = ("bound", "present", "swapped", "all")


class Patch(NamedTuple):
    """Something bright: its middle (row, column), and what is cut out around it."""

    at: tuple[float, float]
    image: Float32[np.ndarray, "side side 3"]


@dataclass(frozen=True)
class PatchDetector:
    """Items are patches of light; one that is too large for an item is parted where it is thinnest.

    Args:
      light: how bright a pixel is that counts.
      least: pixels below which a patch is a speck.
      side: rows and columns of what is cut out around a patch; a longer one is parted.
    """

    light: float = 0.35
    least: int = 7
    side: int = 12

    def __call__(self, picture: Float[np.ndarray, "Y X 3"]) -> list[Patch]:
        """The patches, row by row of their first pixel: each alone in the middle of black.

        >>> picture = np.zeros((12, 24, 3))
        >>> picture[2:8, 3:9, 0] = picture[4:9, 14:20, 2] = 1.0
        >>> [(patch.at, patch.image.max((0, 1)).tolist()) for patch in PatchDetector()(picture)]
        [((4.5, 5.5), [1.0, 0.0, 0.0]), ((6.0, 16.5), [0.0, 0.0, 1.0])]
        """
        from scipy import ndimage

        labels, count = ndimage.label(picture.max(-1) > self.light, np.ones((3, 3)))
        parts = [part for number in range(1, count + 1) for part in self._parted(labels == number)]
        large = [mask for mask in parts if mask.sum() >= self.least]
        return [self._cut(picture, mask, ndimage.binary_dilation(mask, np.ones((3, 3)))) for mask in large]

    def _parted(self, mask: Bool[np.ndarray, "Y X"]) -> list[Bool[np.ndarray, "Y X"]]:
        top, bottom, left, right = _box(mask)
        tall, wide = bottom - top, right - left
        if max(tall, wide) <= self.side:
            return [mask]
        if tall > wide:
            return [part.T for part in self._parted(mask.T)]
        middle = np.arange(left + wide // 4, right - wide // 4)
        before = np.arange(mask.shape[1]) < middle[mask[:, middle].sum(0).argmin()]
        return [piece for part in (mask & before, mask & ~before) if part.any() for piece in self._parted(part)]

    def _cut(self, picture: np.ndarray, mask: np.ndarray, around: np.ndarray) -> Patch:
        top, bottom, left, right = _box(around)
        box = (picture * around[..., None])[top:bottom, left:right].astype(np.float32)
        size = min(box.shape[0], self.side), min(box.shape[1], self.side)
        cut, y, x = (
            np.zeros((self.side, self.side, 3), np.float32),
            (self.side - size[0]) // 2,
            (self.side - size[1]) // 2,
        )
        cut[y : y + size[0], x : x + size[1]] = resized(box, size)
        top, bottom, left, right = _box(mask)
        return Patch(((top + bottom - 1) / 2, (left + right - 1) / 2), cut)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """First and behind the last row, and column, in which something is."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def crops_of(
    world: ItemWorld, detector: PatchDetector, pool: Sequence[Any], count: int, seed: int
) -> dict[str, np.ndarray]:
    """What a verifier learns from: real items on pictures of one or two, cut out by the detector, and which they are.

    Pictures on which the detector does not find one patch for each item are left out.
    """
    rng, images, labels = np.random.default_rng(seed), [], []
    prompts = [*world.prompts(1), *world.prompts(2)]
    while len(labels) < count:
        prompt = prompts[rng.integers(len(prompts))]
        picture, cells = world.painted(prompt, pool, rng)
        patches = detector(picture)
        found = [int(y // world.cell) * world.cells[1] + int(x // world.cell) for (y, x), _ in patches]
        if sorted(found) == sorted(cells):
            images += [patch.image for patch in patches]
            labels += [world.items.index(prompt[cells.index(cell)]) for cell in found]
    return {"image": np.stack(images[:count]), "label": np.array(labels[:count], np.int32)}


@dataclass(frozen=True, eq=False)
class ItemReader:
    """A frozen classifier of crops into the items of a world."""

    world: ItemWorld
    detector: PatchDetector
    net: Frozen

    def __call__(self, pictures: Float[np.ndarray, "n Y X 3"]) -> list[list[Item]]:
        """The items on each picture."""
        crops = [[patch.image for patch in self.detector(picture)] for picture in pictures]
        flat = [crop for own in crops for crop in own]
        if not flat:
            return [[] for _ in crops]
        found = iter(apply(logits_of, self.net, np.stack(flat), batch=256).argmax(1))
        return [[self.world.items[next(found)] for _ in own] for own in crops]

    def scores(
        self, pictures: Float[np.ndarray, "r n Y X 3"], prompts: Sequence[Prompt]
    ) -> dict[str, Float32[np.ndarray, "r n"]]:
        """`verdict_of` of every row of pictures, one of each prompt, by name."""
        read = self(pictures.reshape(-1, *pictures.shape[2:]))
        found = [verdict_of(prompt, own) for prompt, own in zip([*prompts] * len(pictures), read, strict=True)]
        return {name: np.float32([own[name] for own in found]).reshape(len(pictures), -1) for name in SCORES}


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


def best_so_far(
    scores_of: Callable[..., Mapping[str, np.ndarray]],
    rows: Iterable[Float[np.ndarray, "r n Y X 3"]],
    prompts: Sequence[Prompt],
) -> Iterator[Float[np.ndarray, "r n Y X 3"]]:
    """Of the first 1, 2, ... pictures of each place the one that is most what its prompt says, the first of equals.

    That is the one with the highest binding accuracy, and among these one with nothing else on it.

    Args:
      scores_of: `ItemReader.scores` of a checker.
      rows: of pictures, one of each place.
    """
    kept, worth = None, np.zeros(())
    for made in rows:
        scores = scores_of(made, prompts)
        new = scores["bound"] + 0.1 * scores["all"]
        better = np.ones(new.shape, bool) if kept is None else new > worth
        kept = made if kept is None else np.where(better[..., None, None, None], made, kept)
        worth = np.where(better, new, worth)
        yield kept
