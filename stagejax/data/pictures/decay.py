"""Photographs of decaying donors: images that fall apart by a latent severity, whose stage several examiners judge."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, UInt8

from stagejax.data.order import random_words
from stagejax.data.pictures.tasks import ImageTask
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Record, Source

_STREAMS = 4  # of random numbers: severities, the donor, the photograph, the examiners
_HOLES, _COARSE, _CLUTTER = 12, 4, 6  # disks of a donor, cells of its colours, cells of a background


@dataclass(frozen=True)
class Examiners:
    """Each sees the severity with normal noise of its own, past an offset of its own, and cuts it at the thresholds.

    >>> Examiners(noise=0.0).ratings(np.array([0.2, 0.6]), np.zeros((2, 3)), (0.25, 0.5, 0.75)).tolist()
    [[0, 0, 0], [2, 2, 2]]
    """

    noise: float = 0.06  # standard deviation
    offsets: tuple[float, ...] = (-0.03, 0.0, 0.03)  # of each examiner

    def ratings(
        self, severity_N: Float[np.ndarray, " N"], normal_NR: Float[np.ndarray, "N R"], thresholds: Sequence[float]
    ) -> Int[np.ndarray, "N R"]:
        """The stage that each examiner sees, from 0 on."""
        seen_NR = severity_N[:, None] + self.noise * normal_NR + np.asarray(self.offsets)
        return np.searchsorted(np.asarray(thresholds), seen_NR, side="right")


@dataclass(frozen=True)
class Decaying(Source):
    """Several photographs of each donor, later ones of higher severity, and the stage that the examiners' median says.

    A donor is a grey image of a task (its own label is not used) in a skin colour; a photograph shows it at a severity
    s, the donor's uniform draws from 0 to 1 in order:
      colours drift by a low-frequency field of amplitude s; disks are eaten away, of an area in proportion to s²;
      texture is lost to a blur of s/16 of the image's size; the background is a low-frequency clutter that does not
      know s.
    Records are {"image": uint8 (size, size, 3), "label", "ratings": (examiners,), "severity", "donor"}; those of a
    donor follow each other. Everything is a function of the declaration, the split and the record's number.

    Args:
      donors: one grey image each.
      thresholds: of severity, between the stages.
      photographs: of a donor.

    >>> from stagejax.data import Digits
    >>> from stagejax.data.pictures.tasks import Part
    >>> bodies = Decaying(ImageTask((Part(Digits()),), 8, limit=20), thresholds=(0.25, 0.5, 0.75))
    >>> len(bodies), bodies[4]["donor"], bodies[4]["image"].shape
    (60, 1, (8, 8, 3))
    """

    donors: ImageTask
    thresholds: tuple[float, ...]
    photographs: int = 3
    examiners: Examiners = Examiners()
    seed: int = 0

    @property
    def split(self) -> str:  # type: ignore[override]
        return self.donors.split

    def of_split(self, split: str) -> Source:
        return self if split == self.split else replace(self, donors=self.donors.of_split(split))

    def __len__(self) -> int:
        return self.photographs * len(self.donors)

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return _record(self, index)

    def digest(self) -> str:
        return joint_digest(self.donors.digest(), f"{self.thresholds} {self.photographs} {self.examiners} {self.seed}")

    def _severities(self, donor: int) -> Float[np.ndarray, " photographs"]:
        return np.sort(self._words(0, donor, self.photographs))

    def _words(self, stream: int, number: int, count: int) -> Float[np.ndarray, " count"]:
        """Uniform draws in (0, 1); the streams of a split and of a part of it are its own."""
        seed = (self.seed * 2 + (self.split != "train")) * _STREAMS + stream
        at = np.array([number + (self.donors.skip << 20)])
        return ((random_words(seed, at, count)[0] >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


@functools.lru_cache(maxsize=1 << 16)
def _record(source: Decaying, index: int) -> Record:
    donor, number = divmod(index, source.photographs)
    severity = source._severities(donor)[number]
    normal = _normal(source._words(3, index, 2 * len(source.examiners.offsets)))
    ratings = source.examiners.ratings(np.array([severity]), normal[None], source.thresholds)[0]
    image = _photograph(replace(source, thresholds=(), examiners=Examiners()), index)
    fields = {"severity": float(severity), "donor": donor, "ratings": ratings.astype(np.int32)}
    return {"image": image, "label": int(np.median(ratings)), **fields}


@functools.lru_cache(maxsize=1 << 16)
def _photograph(source: Decaying, index: int) -> UInt8[np.ndarray, "n n 3"]:
    """One image, whatever the thresholds and the examiners are."""
    donor, number = divmod(index, source.photographs)
    grey = source.donors[donor]["image"].mean(-1, keepdims=True)
    draws, size = source._words(1, donor, 3 + 3 * _COARSE**2 + 3 * _HOLES), len(grey)
    skin, field, holes = np.split(draws, (3, 3 + 3 * _COARSE**2))
    clutter = source._words(2, index, 3 * _CLUTTER**2)
    background = 0.3 * smooth(clutter.reshape(_CLUTTER, _CLUTTER, 3), size)
    shown = decayed(
        grey * (0.55 + 0.45 * skin),
        grey,
        2 * field.reshape(_COARSE, _COARSE, 3) - 1,
        holes.reshape(_HOLES, 3),
        background,
        float(source._severities(donor)[number]),
    )
    return np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8)


def decayed(
    body: Float[np.ndarray, "n n 3"],
    cover: Float[np.ndarray, "n n 1"],
    colours: Float[np.ndarray, "k k 3"],
    holes: Float[np.ndarray, "h 3"],
    background: Float[np.ndarray, "n n 3"],
    severity: float,
) -> Float[np.ndarray, "n n 3"]:
    """A body at a severity from 0 (as it is) to 1, before its background.

    Args:
      body: colours times `cover`, which says how much of each pixel is body.
      colours: the drift of each coarse cell, from -1 to 1.
      holes: centre (down, right) and size of each disk, from 0 to 1; radii are severity times 0.05 to 0.2 of n.

    >>> body = np.ones((4, 4, 3)) * 0.5
    >>> still = decayed(body, np.ones((4, 4, 1)), np.ones((2, 2, 3)), np.full((1, 3), 0.5), np.zeros((4, 4, 3)), 0.0)
    >>> bool((still == body).all())
    True
    """
    from scipy.ndimage import gaussian_filter

    size = len(body)
    places = (np.arange(size) + 0.5) / size
    down, right, radius = (column[:, None, None] for column in holes.T)
    near = (places[None, :, None] - down) ** 2 + (places[None, None, :] - right) ** 2
    kept = (near > (severity * (0.05 + 0.15 * radius)) ** 2).all(0)[..., None]
    rotten = np.clip(body + severity * 0.8 * smooth(colours, size) * cover, 0, 1)
    blur = (severity * size / 16,) * 2 + (0,)
    rotten, cover = (gaussian_filter(part * kept, blur, mode="nearest") for part in (rotten, cover))
    return rotten + (1 - cover) * background


def smooth(cells: Float[np.ndarray, "k k c"], size: int) -> Float[np.ndarray, "n n c"]:
    """Bilinear between the centres of coarse cells, and constant beyond the outer ones.

    >>> smooth(np.array([[0.0, 1.0], [0.0, 1.0]])[..., None], 4)[0, :, 0]
    array([0.  , 0.25, 0.75, 1.  ])
    """
    weights = _bilinear(len(cells), size)
    return np.einsum("ay,yxc,bx->abc", weights, cells, weights, optimize=True)


@functools.cache
def _bilinear(cells: int, size: int) -> Float[np.ndarray, "size cells"]:
    at = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells)))


def _normal(uniform: Float[np.ndarray, " twice"]) -> Float[np.ndarray, " n"]:
    """Normal draws by Box and Muller."""
    first, second = np.split(uniform, 2)
    return np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
