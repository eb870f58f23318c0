"""The losses on circuits: means over what has a weight, of all graphs together, padding aside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.circuits.circuits import Circuits, InOrder, Room
from stagejax.data.circuits.logic import Adder
from stagejax.models.route_timing import Prediction
from stagejax.objectives.timing import pin_reconstruction, route_timing

DATA = Circuits(circuits=(Adder(2), Adder(4)), room=Room(160, 120, 120, 4), partition=InOrder(40))


class Off:
    """Predicts the truth and something more."""

    def __init__(self, arrival: float = 0.0, slew: float = 0.0, net: float = 0.0, cell: float = 0.0) -> None:
        self.signal = jnp.array([arrival] * 4 + [slew] * 4)
        self.net, self.cell = net, cell

    def __call__(self, graph: Any) -> jax.Array:
        return graph["pins"] + self.net + 100.0 * (graph["block"][:, None] == len(graph["period"]) - 1)

    def teacher_forced(self, graph: Any) -> Prediction:
        away = 100.0 * (1 - graph["weights"][:, None])  # where nothing is learned
        return Prediction(
            graph["signal"] + self.signal + away,
            graph["net_delay"] + self.net + 100.0 * (1 - graph["net_weights"][:, None]),
            graph["cell_delay"] + self.cell + 100.0 * (1 - graph["arc_weights"][:, None]),
        )


@pytest.mark.parametrize("batch", [1, 2])
def test_the_loss_is_the_sum_of_four_means(batch: int) -> None:
    data = replace(DATA, batch=batch, room=Room(320, 240, 240, 8))
    graphs = jax.tree.map(jnp.asarray, data.take(np.arange(batch)))
    loss, metrics = route_timing(Off(1.0, 2.0, 3.0, 4.0), graphs, None)
    assert float(loss) == pytest.approx(1 + 4 + 9 + 16, rel=1e-4)
    assert float(route_timing(Off(), graphs, None)[0]) < 1e-6
    means = {name: float(total / count) for name, (total, count) in metrics.items()}
    assert means == pytest.approx({"arrival": 1, "slew": 4, "net_delay": 9, "cell_delay": 16}, rel=1e-4)
    assert float(metrics["arrival"][1]) == graphs["weights"].sum()
    loss, metrics = pin_reconstruction(Off(net=2.0), graphs, None)
    assert float(loss) == pytest.approx(4, rel=1e-5)
    assert float(metrics["loss"][1]) == (graphs["block"] < 7).sum()
