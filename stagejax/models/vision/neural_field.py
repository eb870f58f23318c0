"""A neural field: a function of a place in the unit square, as grids of several resolutions and a small network.

Letters: N points, L levels, R rows of a level's table, F features of a level, D features of the field.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.linear import Dense

#: Of the spatial hash of Müller et al. 2022, equation 4.
_PRIMES = (1, 2_654_435_761)


@dataclass(frozen=True)
class NeuralField:
    """Points (row, column) in [0, 1]² to `features`: interpolated grids, side by side, then down(relu(up(x))).

    A level of resolution r has (r + 1)² corners. Where that is more than `table` rows, corners share rows by a hash.

    Args:
      resolutions: cells along a side, of each level.
      channels: features of a corner.
      table: the most rows that a level may have.
      hidden: units of the network.
      features: of the field.

    Raises:
      ValueError: no level, or a size below 1; the error names the field.

    Reference: Müller et al. 2022 (Instant-NGP), https://arxiv.org/abs/2201.05989, section 3.

    >>> NeuralField((4, 8)).sizes()["corner.1"]
    25
    """

    resolutions: tuple[int, ...] = (8, 16, 32, 64)
    channels: int = 4
    table: int = 2**20
    hidden: int = 32
    features: int = 64

    def __post_init__(self) -> None:
        if not self.resolutions or min(self.resolutions) < 1:
            raise ValueError(f"resolutions={self.resolutions}: name one level or more, each of 1 cell or more")
        for field in ("channels", "table", "hidden", "features"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: give a size of at least 1")

    @classmethod
    def between(cls, coarse: int, fine: int, levels: int, **sizes: int) -> NeuralField:
        """Resolutions that grow geometrically from `coarse` to `fine`.

        >>> NeuralField.between(16, 1024, 4).resolutions
        (16, 64, 256, 1024)
        """
        grown = (coarse * (fine / coarse) ** (level / max(1, levels - 1)) for level in range(levels))
        return cls(tuple(round(r) for r in grown), **sizes)

    def rows(self, resolution: int) -> int:
        """The rows of a level's table."""
        return min((resolution + 1) ** 2, self.table)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        corners = {f"corner.{i}": self.rows(r) for i, r in enumerate(self.resolutions, 1)}
        encoded = {"encoded": len(self.resolutions) * self.channels}
        return corners | encoded | {"corner_channel": self.channels, "field": self.hidden, "feature": self.features}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `Field` with its initial parameters, drawn from `rngs.params`."""
        return built(Field, self, rngs.params())


class Field(nnx.Module):
    """The module of `NeuralField`. Tables begin uniform within 1e-4, as in the reference.

    >>> NeuralField().build(nnx.Rngs(0))(jnp.zeros((5, 2))).shape
    (5, 64)
    """

    def __init__(self, config: NeuralField, rngs: nnx.Rngs) -> None:
        self.config = c = config

        def table(i: int, resolution: int) -> nnx.Param:
            drawn = jax.random.uniform(rngs.params(), (c.rows(resolution), c.channels), minval=-1e-4, maxval=1e-4)
            return axes.param(drawn, reads=(f"corner.{i}",), writes=("corner_channel",))

        self.tables = nnx.Dict({str(i): table(i, r) for i, r in enumerate(c.resolutions, 1)})
        encoded = {"encoded": c.sizes()["encoded"]}
        self.up = Dense(encoded, {"field": c.hidden}, std=encoded["encoded"] ** -0.5, bias=True, rngs=rngs)
        self.down = Dense({"field": c.hidden}, {"feature": c.features}, std=c.hidden**-0.5, bias=True, rngs=rngs)

    def __call__(self, points_N2: Float[Array, "N 2"]) -> Float[Array, "N D"]:
        levels = [
            interpolated(self.tables[str(i)][...], resolution, points_N2)
            for i, resolution in enumerate(self.config.resolutions, 1)
        ]
        return self.down(jax.nn.relu(self.up(jnp.concatenate(levels, -1))))


def interpolated(table_RF: Float[Array, "R F"], resolution: int, points_N2: Float[Array, "N 2"]) -> Float[Array, "N F"]:
    """Bilinear interpolation between the four corners around each point.

    A table of (resolution + 1)² rows or more holds one corner in each, row by row; in a smaller one they are hashed.

    >>> corners = jnp.array([[0.0], [1.0], [2.0], [3.0]])
    >>> interpolated(corners, 1, jnp.array([[0.0, 1.0], [0.5, 0.5]])).ravel().tolist()
    [1.0, 1.5]
    """
    scaled_N2 = jnp.clip(points_N2, 0.0, 1.0) * resolution
    cell_N2 = jnp.minimum(jnp.floor(scaled_N2), resolution - 1).astype(jnp.int32)
    share_N2, found = scaled_N2 - cell_N2, 0.0
    for corner in itertools.product((0, 1), repeat=2):
        step = jnp.asarray(corner, jnp.int32)
        weight_N = jnp.where(step == 1, share_N2, 1 - share_N2).prod(-1)
        found = found + weight_N[:, None] * table_RF[_row(cell_N2 + step, resolution, len(table_RF))]
    return found


def _row(corner_N2: Int[Array, "N 2"], resolution: int, rows: int) -> Int[Array, " N"]:
    if rows >= (resolution + 1) ** 2:
        return corner_N2[:, 0] * (resolution + 1) + corner_N2[:, 1]
    mixed_N2 = corner_N2.astype(jnp.uint32) * jnp.asarray(_PRIMES, jnp.uint32)
    return ((mixed_N2[:, 0] ^ mixed_N2[:, 1]) % jnp.uint32(rows)).astype(jnp.int32)
