"""The loss of a variational autoencoder in closed form."""

import jax.numpy as jnp
import pytest

from stagejax.objectives.pictures.autoencoding import Autoencoding


def test_loss_is_errors_plus_weighted_divergence() -> None:
    data = jnp.zeros((2, 3))
    mean, logvar = jnp.full((2, 1), 2.0), jnp.full((2, 1), jnp.log(4.0))
    objective = Autoencoding("image", kl=0.1, squared=2.0)
    loss, metrics = objective(lambda x, key: (x + 0.5, mean, logvar), {"image": data}, None)
    divergence = 0.5 * (2.0**2 + 4.0 - 1 - float(jnp.log(4.0)))
    assert float(metrics["l1"]) == pytest.approx(0.5)
    assert float(metrics["kl"]) == pytest.approx(divergence, rel=1e-6)
    assert float(loss) == pytest.approx(0.5 + 2 * 0.25 + 0.1 * divergence, rel=1e-6)
