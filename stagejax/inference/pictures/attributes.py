"""Attributes of images by a frozen dual encoder: each is asked by phrases, and the likeliest one counts.

Letters: N images, P phrases, R rows of phrases, J joint space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int64

from stagejax.data.sources import Source
from stagejax.inference.frozen import Frozen, apply, flops_of_one


@dataclass(frozen=True)
class Attribute:
    """What is asked of an image, by phrases.

    Args:
      phrases: one for each value; in several rows where they depend on another attribute, one row for each of its
        values.
      given: the name of that attribute, which is asked before.
      optional: whether it may be left out: then the last phrase says nothing, and value -1 is given where that is the
        likeliest or no other is likely enough.

    Raises:
      ValueError: several rows without `given`, or rows of different lengths.

    >>> Attribute("bag", (("a person with a bag", "a person"),), optional=True).values
    1
    """

    name: str
    phrases: tuple[tuple[str, ...], ...]
    given: str | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        if len({len(row) for row in self.phrases}) != 1 or (self.given is None and len(self.phrases) > 1):
            raise ValueError(f"attribute {self.name!r}: rows of equally many phrases, and one row unless it is `given`")

    @property
    def values(self) -> int:
        """How many there are, without the phrase that says nothing."""
        return len(self.phrases[0]) - self.optional


def conquer(
    images_NJ: Float[np.ndarray, "N J"],
    attributes: Sequence[Attribute],
    vectors: Mapping[str, Float[np.ndarray, "R P J"]],
    scale: float,
    least: float = 0.9,
) -> dict[str, Int64[np.ndarray, " N"]]:
    """The value of every attribute of every image: arg max over phrases of cos(image, phrase).

    An optional one is kept where its softmax over phrases, of `scale` times the cosines, exceeds `least`; else -1.

    Args:
      images_NJ: unit vectors.
      vectors: unit vectors of each attribute's phrases, by name.

    Reference: "conquer" of Shao et al. 2023 (UniPT), https://arxiv.org/abs/2309.01420, section 3.2.

    >>> bag = Attribute("bag", (("bag", ""),), optional=True)
    >>> images = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> conquer(images, (bag,), {"bag": np.eye(2)[None]}, scale=5.0)["bag"].tolist()  # sigmoid(5), sigmoid(1), ...
    [0, -1, -1]
    """
    found: dict[str, np.ndarray] = {}
    for attribute in attributes:
        scores_NRP = np.einsum("nj,rpj->nrp", images_NJ, vectors[attribute.name])
        row_N = np.zeros(len(images_NJ), np.int64) if attribute.given is None else found[attribute.given]
        logits_NP = scale * scores_NRP[np.arange(len(row_N)), row_N]
        likely_NP = np.exp(logits_NP - logits_NP.max(1, keepdims=True))
        likely_NP /= likely_NP.sum(1, keepdims=True)
        value_N = likely_NP.argmax(1).astype(np.int64)
        if attribute.optional:
            value_N = np.where((likely_NP.max(1) > least) & (value_N < attribute.values), value_N, -1)
        found[attribute.name] = value_N
    return found


def attributes_of(
    net: Frozen,
    source: Source,
    attributes: Sequence[Attribute],
    encode: Callable[[list[str]], np.ndarray],
    scale: float,
    least: float = 0.9,
    batch: int = 256,
) -> dict[str, Int64[np.ndarray, " N"]]:
    """`conquer` of every image of a source, by a frozen dual encoder.

    Args:
      net: of a model with `image_vectors(images)` and `text_vectors(tokens)`, unit vectors.
      source: records with an "image" of 8 bits.
      encode: the token ids of prompts.

    >>> # found = attributes_of(Frozen.of(clip), people, ASKED, encode, scale=1 / 0.07)
    """
    images = [source[i]["image"] for i in range(len(source))]
    parts = [np.stack(images[at : at + batch]) for at in range(0, len(images), batch)]
    vectors: dict[str, np.ndarray] = {}
    for attribute in attributes:
        rows = attribute.phrases
        said = apply(_text_vectors, net, encode([prompt for row in rows for prompt in row]), 64)
        vectors[attribute.name] = said.reshape(len(rows), len(rows[0]), -1)
    pixels = (part.astype(np.float32) / np.float32(255) for part in parts)
    seen = np.concatenate([apply(_image_vectors, net, part, batch) for part in pixels])
    return conquer(seen, attributes, vectors, scale, least)


def image_flops(config: Any, shape: tuple[int, int, int]) -> int:
    """The matmul FLOPs of one image's vector."""
    return flops_of_one(_image_vectors, config, jax.ShapeDtypeStruct(shape, "float32"))


def _image_vectors(model: Any, images: Any) -> Any:
    return model.image_vectors(images)


def _text_vectors(model: Any, tokens: Any) -> Any:
    return model.text_vectors(tokens)
