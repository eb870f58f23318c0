"""Accuracy by band: that of each network on prepared images which lack what is outside of the band."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.data import Images
from stagejax.data.pictures.bands import low_pass
from stagejax.inference.pictures.bands import accuracy_by_band
from stagejax.models.vit import ViT
from stagejax.result import Result

NET = ViT(image=8, patch=2, embed=8, layers=1, heads=2, mlp=16, init_std=0.5)
DATA = Images(batch=30).held_out(4)


def network(seed: int) -> Result:
    params = nnx.to_pure_dict(nnx.state(NET.build(nnx.Rngs(seed)), nnx.Param))
    return Result("net", "train", f"net{seed}", 1, NET, load=lambda: SimpleNamespace(params=params, rest={}))


def twice(images_BYXP: jax.Array) -> jax.Array:
    return 2 * images_BYXP


def test_each_network_is_scored_on_each_band_of_prepared_images() -> None:
    nets = [network(0), network(1)]
    found = accuracy_by_band(twice, DATA, (4, 8), *nets)["accuracy"]
    batch = DATA.take(np.arange(120))
    whole = jnp.asarray(2 * batch["image"])
    for net, row in zip(nets, found, strict=True):
        model = net.module()
        expected = [np.mean(model(seen).argmax(-1) == batch["label"]) for seen in (low_pass(whole, 4), whole)]
        np.testing.assert_allclose(row, expected, atol=1e-6)
    assert found.shape == (2, 2)
    assert len(set(found.ravel().tolist())) > 2
