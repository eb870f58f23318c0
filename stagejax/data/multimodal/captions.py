"""Batches of images with texts."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int32, Int64

from stagejax.data.named import MissingDataset
from stagejax.data.order import shuffled
from stagejax.data.pipeline import Batch, Data, joint_digest
from stagejax.data.sources import Record, Source
from stagejax.data.tokenizers import PAD, Codec, Tokenizer, codec


@dataclass(frozen=True, kw_only=True)
class Captions(Data):
    """Batches of images and texts: {"image": float32 (batch, pixels, pixels, 3), "tokens": int32 (batch, length)}.

    Texts are padded on the right, images of another size cut to a square and sampled. With `singles` there are also
    "single" and "label" (batch,): images of one kind, on which classification by captions is tested.

    Args:
      source: of records with an image and a text.
      tokenizer: of the texts.
      batch: pairs in a global batch.
      pixels: height and width of the images.
      length: tokens of the longest text.
      singles: records with an image and a label; they come in their order, again and again.
      learned_from: the source whose training texts the tokenizer learns from; None: `source`.
      seed: of the order.
      count: number of batches; None: endless.
      image, text, label: the fields of a record.
    """

    source: Source
    tokenizer: Tokenizer
    batch: int
    pixels: int = 32
    length: int = 16
    singles: Source | None = None
    learned_from: Source | None = None
    seed: int = 0
    count: int | None = None
    image: str = "image"
    text: str = "text"
    label: str = "label"

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        image = jax.ShapeDtypeStruct((self.pixels, self.pixels, 3), np.float32)
        spec = {"image": image, "tokens": jax.ShapeDtypeStruct((self.length,), np.int32)}
        alone = {} if self.singles is None else {"single": image, "label": jax.ShapeDtypeStruct((), np.int32)}
        return spec | alone

    def size(self) -> int:
        return len(self.source)

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        records = [self.source[row] for row in shuffled(self.seed, numbers, len(self.source)).tolist()]
        texts = [record[self.text] for record in records]
        batch = {"image": self._images(records), "tokens": padded(self._codec(), texts, self.length)}
        if self.singles is not None:
            alone = [self.singles[row] for row in (numbers % len(self.singles)).tolist()]
            labels = np.array([record[self.label] for record in alone], np.int32)
            batch |= {"single": self._images(alone), "label": labels}
        return batch

    def digest(self) -> str:
        singles = [] if self.singles is None else [self.singles.digest()]
        return joint_digest(self.source.digest(), *singles, self._codec().digest())

    def _codec(self) -> Codec:
        return codec(self.tokenizer, self.source if self.learned_from is None else self.learned_from, self.text)

    def _images(self, records: list[Record]) -> np.ndarray:
        images = [square(np.asarray(record[self.image]), self.pixels) for record in records]
        return np.stack(images).astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class Prompts:
    """The captions of some classes: every template with every class's name in it.

    >>> from stagejax.data import Characters, Digits
    >>> Prompts(("bag", "coat"), ("a {}", "red {}"), Characters(), Digits(), 12)().shape
    (2, 2, 12)
    """

    classes: tuple[str, ...]
    templates: tuple[str, ...]
    tokenizer: Tokenizer
    learned_from: Source  # whose training texts the tokenizer learns from
    length: int  # tokens, padding included
    text: str = "text"  # the field of a record that holds its text

    def __call__(self) -> Int32[np.ndarray, "C P T"]:
        """Their token ids; zeros, of which a plan needs the shape alone, where the training texts are not there."""
        shape = (len(self.classes), len(self.templates), self.length)
        texts = [template.format(name) for name in self.classes for template in self.templates]
        try:
            return padded(codec(self.tokenizer, self.learned_from, self.text), texts, self.length).reshape(shape)
        except MissingDataset:  # a run does not get here: its batches need the same texts
            return np.zeros(shape, np.int32)


def square(image: np.ndarray, pixels: int) -> np.ndarray:
    """The middle square of an image (height, width, channels), sampled at pixels x pixels places.

    >>> square(np.arange(12).reshape(2, 6, 1), 2)[..., 0].tolist()
    [[2, 3], [8, 9]]
    """
    side = min(image.shape[:2])
    at = (np.arange(pixels) * side // pixels) + (side // pixels) // 2
    top, left = ((size - side) // 2 for size in image.shape[:2])
    return image if image.shape[:2] == (pixels, pixels) else image[top + at][:, left + at]


def padded(code: Codec, texts: list[str], length: int) -> Int32[np.ndarray, "n length"]:
    """The ids of texts, with `PAD` behind them.

    Raises:
      ValueError: a text has more than `length` tokens.
    """
    ids = np.full((len(texts), length), PAD, np.int32)
    for row, found in enumerate(code.encode(texts)):
        if len(found) > length:
            raise ValueError(f"{texts[row]!r} has {len(found)} tokens: raise `length` from {length}")
        ids[row, : len(found)] = found
    return ids
