"""Data side by side."""

import numpy as np
import pytest

from stagejax.data import Digits, Images
from stagejax.data.abreast import Abreast, part


def test_members_go_through_their_own_samples() -> None:
    one, two = Images(source=Digits(), batch=4), Images(source=Digits(), batch=4, seed=1)
    both = Abreast(members=(("one", one), ("two", two)))
    batch = both.take(np.arange(4))
    for name, data in (("one", one), ("two", two)):
        for field, leaf in data.take(np.arange(4)).items():
            np.testing.assert_array_equal(part(batch, name)[field], leaf)
    held = both.held_out(2)
    np.testing.assert_array_equal(held.take(np.arange(4))["one/image"], one.held_out(2).take(np.arange(4))["image"])
    assert held.count == 2
    with pytest.raises(ValueError, match="once"):
        Abreast(members=(("one", one), ("one", two)))
