"""False identities: images that look alike, taken for images of one thing."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from stagejax.data.pictures.tasks import all_of
from stagejax.data.pipeline import joint_digest
from stagejax.data.sources import Derived, Record


@dataclass(frozen=True)
class Lookalikes(Derived):
    """The images of every class of a source in clusters, each of them a false identity of `each` images.

    The clusters are those of k-means on pixels; a record is one of the `each` images nearest to its centre. Records are
    {"image": float32 (size, size, 1), "label", "domain"}; colours become grey.

    Args:
      source: images of one size, float from 0 to 1, and labels.
      groups: of all classes together; every class has as many, or one more or less.
      each: images of a group.
      first: the label of group 0.
      domain: a number for all of them.

    Raises:
      ValueError: on first access: a class has too few images for its groups.

    >>> from stagejax.data import Digits
    >>> made = Lookalikes(Digits(), groups=20, each=5, first=7)
    >>> len(made), made[0]["label"], made[99]["label"], made[0]["image"].shape
    (100, 7, 26, (8, 8, 1))
    """

    groups: int = 10
    each: int = 20
    first: int = 0
    domain: int = 0

    def __len__(self) -> int:
        return self.groups * self.each

    def __getitem__(self, index: int) -> Record:
        group, place = divmod(range(len(self))[index], self.each)
        image = np.asarray(self.source[int(_groups(self)[group, place])]["image"]).mean(-1, keepdims=True)
        return {"image": image.astype(np.float32), "label": self.first + group, "domain": self.domain}

    def column(self, field: str) -> Int64[np.ndarray, " N"]:
        if field != "label":
            return super().column(field)
        return self.first + np.arange(len(self)) // self.each

    def digest(self) -> str:
        return joint_digest(self.source.digest(), f"{self.groups} {self.each} {self.first} {self.domain}")


@functools.lru_cache(maxsize=16)
def _groups(made: Lookalikes) -> Int64[np.ndarray, "groups each"]:
    """Which records of the source each group holds."""
    from sklearn.cluster import KMeans

    held = all_of(made.source)
    classes, found = np.unique(held["label"]), []
    counts = np.diff(np.arange(len(classes) + 1) * made.groups // len(classes))
    for c, count in zip(classes, counts, strict=True):
        own = np.flatnonzero(held["label"] == c)
        if len(own) < count * made.each:
            raise ValueError(f"class {c} of {made.source} has {len(own)} images: lower groups={made.groups}")
        pixels = held["image"][own].mean(-1).reshape(len(own), -1)
        apart_NG = (
            KMeans(int(count), n_init=1, random_state=0).fit(pixels).transform(pixels) if count else pixels[:, :0]
        )
        for distance in apart_NG.T:  # an image that an earlier group took is not taken again
            nearest = np.argsort(distance, kind="stable")[: made.each]
            found.append(own[nearest])
            apart_NG[nearest] = np.inf
    return np.stack(found)
