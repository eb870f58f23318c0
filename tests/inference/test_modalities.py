"""Areas of several modalities against scikit-learn: all there, one absent, and probes of each encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import param
from stagejax.inference.frozen import Frozen
from stagejax.inference.multimodal.modalities import area_columns, fused_areas
from stagejax.models.multimodal.dual_encoder import Tower
from stagejax.objectives.tasks.several_labels import areas, ridge_probe

RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Reads:
    name: str
    tower: Tower = field(default_factory=lambda: Tower(1, 2, 4))


@dataclass(frozen=True)
class Mixed:
    """Features are the inputs, logits their sum; an absent modality counts nothing."""

    encoders: tuple[Reads, ...]

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return Sum(self)


@dataclass(frozen=True)
class One:
    encoder: Reads

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        return Sum(self)


class Sum(nnx.Module):
    def __init__(self, config: Any) -> None:
        self.config, self.gain = config, param(jnp.ones(2), reads=("embed",))

    def features(self, rows: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        names = [own.name for own in getattr(self.config, "encoders", None) or (self.config.encoder,)]
        return {name: rows[name] * self.gain[...] for name in names}

    def fused(self, features: Mapping[str, jax.Array], present: jax.Array) -> jax.Array:
        return sum(present[:, i, None] * x for i, x in enumerate(features.values()))

    def __call__(self, rows: Mapping[str, jax.Array]) -> jax.Array:
        return sum(self.features(rows).values())


def rows(n: int) -> dict[str, np.ndarray]:
    drawn = {name: RNG.normal(size=(n, 2)).astype(np.float32) for name in ("text", "audio")}
    noise = RNG.normal(size=(n, 2))
    return drawn | {"labels": (drawn["text"] + 0.5 * drawn["audio"] + noise > 0).astype(np.float32)}


TRAIN, TEST = rows(60), rows(31)
GAIN: Any = {"gain": jnp.ones(2)}


def test_areas_are_those_of_all_modalities_of_the_others_and_of_probes() -> None:
    found = fused_areas(Frozen(Mixed((Reads("text"), Reads("audio"))), GAIN, {}), TRAIN, TEST, batch=8)
    truth = TEST["labels"]
    np.testing.assert_allclose(found["areas"], areas(TEST["text"] + TEST["audio"], truth))
    np.testing.assert_allclose(found["absent"], [areas(TEST["audio"], truth), areas(TEST["text"], truth)])
    probes = [areas(ridge_probe(TRAIN[name], TRAIN["labels"], TEST[name]), truth) for name in ("text", "audio")]
    np.testing.assert_allclose(found["probes"], probes)


def test_nothing_is_absent_from_one_modality() -> None:
    found = fused_areas(Frozen(One(Reads("audio")), GAIN, {}), TRAIN, TEST)
    assert found["absent"].shape == (0, 2)
    assert found["areas"] == pytest.approx(areas(TEST["audio"], TEST["labels"]))
    assert found["probes"].shape == (1, 2)
    columns = area_columns(found, ("a", "b"), {"text": (0,), "audio": (0, 1)})
    assert columns["macro"] == pytest.approx(found["areas"].mean())
    assert np.isnan([columns[name] for name in ("probes", "probe audio", "no text")]).all()
    assert np.isnan(list(area_columns(None, ("a", "b"), {"text": (0,)}).values())).all()
