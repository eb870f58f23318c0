"""What is said of people and of garments, in three ways: by a machine, by annotators, and on pages of the web.

The three share neither templates nor all of their words: of every thing annotators have one name that the machine has
too and one that it has not, and the web has all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int32, Int64

from stagejax.data.language.grammar import Grammar, Synonyms, product
from stagejax.data.multimodal.captions import padded
from stagejax.data.pictures.people import PAINT_NAMES, Garments, People, phrase, phrases
from stagejax.data.vocabulary.words import Words

#: Each thing: the word for it, another of the machine's, and another of the annotators'.
_NAMES = (
    ("red", "crimson", "scarlet"), ("green", "emerald", "olive"), ("blue", "azure", "navy"),
    ("yellow", "golden", "lemon"), ("white", "pale", "cream"), ("purple", "violet", "lilac"),
    ("orange", "amber", "apricot"), ("teal", "cyan", "turquoise"),
    ("t-shirt", "tee", "top"), ("pullover", "sweater", "jumper"), ("coat", "overcoat", "jacket"),
    ("shirt", "blouse", "button-up"), ("dress", "gown", "frock"), ("trousers", "pants", "slacks"),
    ("skirt", "miniskirt", "kilt"), ("sneakers", "trainers", "runners"), ("boots", "booties", "wellingtons"),
    ("sandals", "slippers", "flip-flops"), ("bag", "handbag", "purse"),
)  # fmt: skip


def _synonyms(*which: int) -> Synonyms:
    return tuple((names[0], tuple(names[i] for i in which)) for names in _NAMES)


#: 72 templates for pseudo texts.
MACHINE = Grammar(
    product(
        ("a photo of", "there is", ""),
        ("a person", "a pedestrian", "a walker", "someone"),
        (
            "in {upper} and {lower} with {shoes}",
            "wearing {upper} over {lower} and {shoes}",
            "dressed in {lower} and {upper} wearing {shoes}",
            "with {shoes} and {lower} under {upper}",
            "in {shoes} , {lower} and {upper}",
            "who has {upper} , {lower} and {shoes}",
        ),
    ),
    (("bag", ("carrying {bag}", "with {bag}", "holding {bag}")),),
    _synonyms(0, 1),
)

#: 18 templates of annotators.
ANNOTATORS = Grammar(
    product(
        ("the woman", "the man", "this pedestrian"),
        (
            "wears {upper} , {lower} and a pair of {shoes}",
            "is walking in {lower} , {upper} on top and {shoes} on both feet",
            "has {shoes} , {upper} as well as {lower} on",
            "walks by in {upper} tucked into {lower} above {shoes}",
            "is clothed in {lower} that go with {upper} and {shoes}",
            "with {upper} stands there , {lower} down to {shoes}",
        ),
    ),
    (("bag", ("and takes {bag} along", "and there is {bag} at one side", "while {bag} hangs down")),),
    _synonyms(0, 2),
)

#: Captions of single garments.
WEB = Grammar(
    (
        "a photo of {item}", "a photo of {plain}", "a photo of a person in {item}", "a photo of a person with {item}",
        "a photo of a person in {plain}", "a photo of a person with {plain}", "a person wearing {item}",
        "{item} for sale", "buy {item} here", "the woman wears {item}", "this man has {plain}", "{plain} , worn once",
    ),
    (),
    _synonyms(0, 1, 2),
)  # fmt: skip

#: Every word of the three, and those of the phrases that fill them.
WORDS = Words(tuple(dict.fromkeys(("a", *MACHINE.words, *ANNOTATORS.words, *WEB.words))))


def written(texts: Sequence[str], length: int) -> dict[str, Int32[np.ndarray, "N length"]]:
    """The "tokens" of texts, by `WORDS`, padded; what `data.join` takes.

    >>> written(["a photo of a red coat"], 8)["tokens"].shape
    (1, 8)
    """
    return {"tokens": padded(WORDS, list(texts), length)}


def of_garments(source: Garments, length: int, seed: int = 10) -> dict[str, Int32[np.ndarray, "N length"]]:
    """Captions of single garments from the web: of each its name, often with the colour."""
    rows = source.rows().tolist()
    plain = [phrase(kind, colour).replace(f"{PAINT_NAMES[colour]} ", "") for kind, colour in rows]
    said = [{"item": phrase(*row), "plain": short} for row, short in zip(rows, plain, strict=True)]
    return written(WEB(said, seed=seed), length)


def of_annotators(source: People, length: int, seed: int = 20) -> dict[str, Int32[np.ndarray, "N length"]]:
    """Captions of people by annotators, half of whom look at the colours of shoes and bags."""
    rows = source.rows().tolist()
    told = np.random.RandomState(seed).rand(len(rows)) < 0.5
    said = [phrases(row, told=bool(own)) for row, own in zip(rows, told, strict=True)]
    return written(ANNOTATORS(said, seed=seed), length)


def of_machine(
    rows: Int64[np.ndarray, "N 8"], length: int, grammar: Grammar = MACHINE, seed: int = 30
) -> dict[str, Int32[np.ndarray, "N length"]]:
    """Pseudo texts of rows of `ATTRIBUTES`: what is -1 is not said."""
    return written(grammar([phrases(row) for row in rows.tolist()], seed=seed), length)


def row_of(found: dict[str, Int[np.ndarray, " N"]]) -> Int[np.ndarray, "N 8"]:
    """Rows of `ATTRIBUTES` from what an encoder was asked: the colours of shoes and bag are not known.

    >>> row_of({name: np.zeros(1, int) for name in ("upper", "upper colour", "lower", "lower colour", "shoes", "bag")})
    array([[ 0,  0,  0,  0,  0, -1,  0, -1]])
    """
    unknown = np.full_like(found["upper"], -1)
    names = ("upper", "upper colour", "lower", "lower colour", "shoes", None, "bag", None)
    return np.stack([unknown if name is None else found[name] for name in names], 1)
