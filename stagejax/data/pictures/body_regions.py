"""Regions of a body: which photographs train a model of it, choose its rate, and score it. Splits are by donor."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stagejax.data.named import TFDS, Dataset
from stagejax.data.pictures.decay import Decaying
from stagejax.data.pictures.tasks import ImageTask, Part
from stagejax.data.sources import Source


@dataclass(frozen=True)
class Simulated:
    """Decaying donors; the thresholds of a scheme are shifted by an amount of the region's own.

    Args:
      donors: one image each. Those of its own split train, then come those that choose; its test split scores.
      train, choose, score: how many donors.
      seed: of how they decay.

    >>> region = Simulated("head", ImageTask((Part(Dataset("mnist")),), 16), 500, 150, 350, shift=0.1)
    >>> region.photographs("Megyesi", (0.25, 0.5, 0.75), "validation").donors.skip
    500
    """

    name: str
    donors: ImageTask
    train: int
    choose: int
    score: int
    shift: float = 0.0
    seed: int = 0

    def photographs(self, scheme: str, thresholds: tuple[float, ...], part: str) -> Decaying:
        """Those of "train", "validation" or "test", labelled by a scheme."""
        donors = {
            "train": replace(self.donors, limit=self.train),
            "validation": replace(self.donors, skip=self.donors.skip + self.train, limit=self.choose),
            "test": replace(self.donors.of_split("test"), limit=self.score),
        }
        return Decaying(donors[part], tuple(round(cut + self.shift, 6) for cut in thresholds), seed=self.seed)


@dataclass(frozen=True)
class Photographed:
    """Real donors, as their keeper prepares them for TFDS: stages_of_decay/REGION_SCHEME, splits by donor.

    Records are {"image", "label", "ratings": the stage that each examiner says}; splits train, validation and test.

    >>> Photographed("head").photographs("Megyesi", (), "test").name
    'stages_of_decay/head_megyesi'
    """

    name: str

    def photographs(self, scheme: str, thresholds: tuple[float, ...], part: str) -> Source:
        """As of `Simulated`; the thresholds are in the labels."""
        return TFDS(f"stages_of_decay/{self.name}_{scheme.lower()}", split=part)


#: Images that stand for the donors of each region: the name of their dataset, and the shift of its thresholds.
STAND_INS = (("head", "fashion_mnist", -0.03), ("torso", "mnist", 0.0), ("limbs", "usps", 0.03))


def stand_ins(size: int, train: int, choose: int, score: int) -> tuple[Simulated, ...]:
    """The regions of `STAND_INS`, at `size` pixels.

    >>> [region.name for region in stand_ins(16, 500, 150, 350)]
    ['head', 'torso', 'limbs']
    """
    return tuple(
        Simulated(name, ImageTask((Part(Dataset(data)),), size), train, choose, score, shift, seed)
        for seed, (name, data, shift) in enumerate(STAND_INS)
    )
