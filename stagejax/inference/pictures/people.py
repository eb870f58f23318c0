"""What a frozen dual encoder is asked about people."""

from __future__ import annotations

from stagejax.data.pictures.people import LOWER, PAINT_NAMES, SHOES, UPPER
from stagejax.inference.pictures.attributes import Attribute

_OF_A_PERSON = "a photo of a person"
#: What a frozen encoder is asked: prompts for every attribute, colours for the garment that was found before.
ASKED = (
    Attribute("upper", (tuple(f"{_OF_A_PERSON} in a {kind}" for kind in UPPER),)),
    Attribute(
        "upper colour",
        tuple(tuple(f"{_OF_A_PERSON} in a {colour} {kind}" for colour in PAINT_NAMES) for kind in UPPER),
        given="upper",
    ),
    Attribute("lower", ((f"{_OF_A_PERSON} in trousers", f"{_OF_A_PERSON} in a skirt"),)),
    Attribute(
        "lower colour",
        tuple(
            tuple(f"{_OF_A_PERSON} in {'a ' if kind == 'skirt' else ''}{colour} {kind}" for colour in PAINT_NAMES)
            for kind in LOWER
        ),
        given="lower",
    ),
    Attribute("shoes", (tuple(f"{_OF_A_PERSON} in {kind}s" for kind in SHOES),)),
    Attribute("bag", ((f"{_OF_A_PERSON} with a bag", _OF_A_PERSON),), optional=True),
)
