"""Images with texts that arrive in portions, and what is held out to test a model of them after each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stagejax.data.multimodal.captions import Captions, Prompts
from stagejax.data.multimodal.composites import CLOTHES, DIGITS, Composites, Objects, Pairs
from stagejax.data.named import TFDS, Dataset
from stagejax.data.pictures.omniglot import Omniglot
from stagejax.data.portion import Portion
from stagejax.data.sources import Digits, Source
from stagejax.data.tokenizers import BPE, Tokenizer
from stagejax.data.vocabulary.words import Words


@dataclass(frozen=True)
class Portions:
    """Pairs of images and texts that arrive in portions, with one tokenizer for all of them."""

    train: tuple[Source, ...]  # all pairs so far, for each portion
    valid: tuple[Source, ...]  # held-out pairs like the new ones alone
    test: Source  # held-out pairs
    singles: Source  # held-out images of one thing, to be classified by captions
    classes: tuple[str, ...]  # their names
    templates: tuple[str, ...]  # captions of a class, with {} for its name
    tokenizer: Tokenizer  # learns from the texts of the first portion
    text: str = "text"  # the field of a pair that holds its text

    def batches(self, portion: int, **fields: Any) -> Captions:
        """Batches of all pairs up to a portion; `fields` are those of `Captions`."""
        source = self.train[portion]
        fields = {"tokenizer": self.tokenizer, "learned_from": self.train[0], "text": self.text} | fields
        return Captions(source=source, **fields)

    def prompts(self, length: int) -> Prompts:
        """The captions of all classes."""
        return Prompts(self.classes, self.templates, self.tokenizer, self.train[0], length, self.text)


def stream(parts: tuple[Pairs, ...], size: int, side: int) -> Portions:
    """Captioned composites: each portion adds a part, and tests are about what the last one shows.

    >>> from stagejax.data import Digits
    >>> digits = Objects(Digits(), DIGITS)
    >>> portions = stream((Pairs(60, (digits,), ("red",)), Pairs(40, (digits,))), size=16, side=8)
    >>> [len(source) for source in portions.train], portions.templates
    ([60, 100], ('a red {}', 'a green {}', 'a blue {}'))
    """
    last = replace(parts[-1], count=4096)
    source = Composites(parts, size=size, side=side)
    return Portions(
        train=tuple(replace(source, parts=parts[: t + 1]) for t in range(len(parts))),
        valid=tuple(replace(source, parts=(part,), split="valid") for part in parts),
        test=replace(source, parts=(last,), split="test", alone=0.0),
        singles=replace(source, parts=(last,), split="test", alone=1.0),
        classes=last.names,
        templates=tuple(f"a {color} {{}}" for color in last.colors),
        tokenizer=Words(tuple(sorted(set().union(*(part.words for part in parts))))),
    )


def digits_clothes_letters(pairs: int) -> Portions:
    """Digits side by side; then clothes, also one above another; then letters, more colours, one behind another.

    The three portions bring `pairs`, as many again, and twice as many new pairs of 32 x 32 pixels.

    >>> [len(source) for source in digits_clothes_letters(4000).train]
    [4000, 8000, 16000]
    """
    x_y: dict[str, Any] = {"image": "x", "label": "y"}
    digits = Objects(Dataset("mnist"), DIGITS, **x_y)
    clothes = Objects(Dataset("fashion_mnist"), CLOTHES, **x_y)
    letters = Objects(Omniglot(), ("balinese", "aramaic", "greek", "korean", "latin", "sanskrit"), label="alphabet")
    colors, beside, above = ("red", "green", "blue"), ("left of", "right of"), ("above", "below")
    parts = (
        Pairs(pairs, (digits,), colors, beside),
        Pairs(pairs, (digits, clothes), colors, (*beside, *above)),
        Pairs(2 * pairs, (digits, clothes, letters), (*colors, "yellow", "white"), (*beside, *above, "in front of")),
    )
    return stream(parts, size=32, side=14)


def small_digits(pairs: int) -> Portions:
    """Two portions of 16 x 16 pixels: digits side by side; then as many with another colour, one above another.

    >>> [len(source) for source in small_digits(60).train]
    [60, 120]
    """
    digits = Objects(Digits(), DIGITS)
    early = Pairs(pairs, (digits,), ("red", "green"), ("left of",))
    late = Pairs(pairs, (digits,), ("red", "green", "blue"), ("left of", "above"))
    return stream((early, late), size=16, side=8)


def web_images() -> Portions:
    """LAION-400M up to 3, 6 and 12 million pairs, tested by the classes of CIFAR-10."""
    pairs, ends = TFDS("laion400m/images"), (0, 3_000_000, 6_000_000, 12_000_000)
    return Portions(
        train=tuple(Portion(pairs, stop=stop) for stop in ends[1:]),
        valid=tuple(Portion(pairs, 20_000_000 + a, 20_000_000 + a + 16_384) for a in ends[:-1]),
        test=Portion(pairs, 19_000_000, 19_100_000),
        singles=TFDS("cifar10", "test"),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        templates=("a photo of a {}", "a drawing of a {}", "a blurry photo of a {}"),
        tokenizer=BPE(49_152),
        text="caption",
    )
