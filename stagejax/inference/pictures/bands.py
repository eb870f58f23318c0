"""What trained classifiers need of the spectrum: their accuracy on images without high frequencies.

Letters: N networks, S sides of a band.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from stagejax.data.pictures.bands import low_pass
from stagejax.inference.frozen import Frozen, apply
from stagejax.result import Result


def accuracy_by_band(
    prepare: Callable[[jax.Array], jax.Array], data: Any, sides: Sequence[int], *nets: Result
) -> dict[str, Float[np.ndarray, "N S"]]:
    """The accuracy of each network on the images of `data` that hold no frequencies but those of a band.

    Args:
      prepare: images as networks read them.
      data: batches of `image` and `label`, a certain number of them.
      sides: of bands, as in `low_pass`; that of the images is all.

    >>> # whole = run.make("whole", accuracy_by_band, standard, test, (32,), result).value["accuracy"][0, 0]
    """
    with data.batches() as batches:
        tested = list(batches)
    rows, labels = (np.concatenate([batch[name] for batch in tested]) for name in ("image", "label"))
    asked = [partial(_likeliest, prepare=prepare, side=side) for side in sides]
    right = [[(apply(said, net, rows) == labels).mean() for said in asked] for net in map(Frozen.of, nets)]
    return {"accuracy": np.array(right)}


def _likeliest(model: Any, images_BYXP: jax.Array, prepare: Callable[[jax.Array], jax.Array], side: int) -> jax.Array:
    return model(low_pass(prepare(images_BYXP), side)).argmax(-1)
