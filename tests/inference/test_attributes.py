"""Attributes by a frozen encoder: dependent phrases, what is optional, and what is refused."""

import numpy as np
import pytest

from stagejax.inference.pictures.attributes import Attribute, conquer

KIND = Attribute("kind", (("coat", "dress"),))
COLOUR = Attribute("colour", (("red coat", "blue coat"), ("red dress", "blue dress")), given="kind")


def test_colours_are_asked_of_the_garment_that_was_found() -> None:
    images = np.eye(4)
    vectors = {"kind": np.array([[[1, 0.5, 0, 0], [0, 0, 1, 0.5]]]), "colour": np.eye(4).reshape(2, 2, 4)[:, ::-1]}
    found = conquer(images, (KIND, COLOUR), vectors, scale=1.0)
    assert found["kind"].tolist() == [0, 0, 1, 1]
    assert found["colour"].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(("scale", "said"), [(2.0, -1), (2.3, 0)])  # 1 / (1 + exp(-2.2)) = 0.9
def test_an_optional_phrase_is_said_above_its_probability(scale: float, said: int) -> None:
    bag = Attribute("bag", (("a bag", "nothing"),), optional=True)
    found = conquer(np.eye(2)[:1], (bag,), {"bag": np.eye(2)[None]}, scale, least=0.9)
    assert found["bag"].tolist() == [said]
    assert bag.values == 1


def test_rows_of_phrases_are_checked() -> None:
    with pytest.raises(ValueError, match="one row unless"):
        Attribute("colour", (("a",), ("b",)))
    with pytest.raises(ValueError, match="equally many"):
        Attribute("colour", (("a",), ("b", "c")), given="kind")
