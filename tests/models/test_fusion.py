"""Late fusion: absent modalities, modality dropout, and the four fusions against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.multimodal.dual_encoder import Tower
from stagejax.models.multimodal.fusion import ConcatMLP, CrossAttention, Fused, GatedSum, MeanLogits
from stagejax.models.multimodal.modalities import Encoder, OneModality, SoundEntry, VideoEntry, WordEntry

TINY = Tower(1, 8, 16)
BOTH = (
    Encoder("text", WordEntry(20, 5), TINY, head_dim=4),
    Encoder("audio", SoundEntry(6, 8, (4,)), TINY, head_dim=4),
)
FEATURES = {"text": jnp.ones((3, 8)), "audio": jnp.linspace(-1, 1, 24).reshape(3, 8)}
WIDTHS = {"text": 8, "audio": 8}


def batch() -> dict[str, jax.Array]:
    tokens = jnp.array([[5, 6, 0, 0, 0], [7, 8, 9, 10, 11]])
    return {"tokens": tokens, "frames": jnp.linspace(0, 1, 96).reshape(2, 6, 8), "labels": jnp.zeros((2, 3))}


def test_concat_is_one_kernel_over_the_vectors_side_by_side() -> None:
    fusion = ConcatMLP(6).module(WIDTHS, 3, nnx.Rngs(0))
    kernel = jnp.concatenate([fusion.first[name].kernel[...] for name in WIDTHS])
    hidden = jax.nn.gelu(jnp.concatenate(list(FEATURES.values()), 1) @ kernel + fusion.first["text"].bias[...])
    np.testing.assert_allclose(fusion(FEATURES), fusion.second(hidden), rtol=1e-5)


def test_gates_add_up_to_one() -> None:
    fusion = GatedSum(6).module(WIDTHS, 3, nnx.Rngs(0))
    for name in WIDTHS:
        fusion.values[name].kernel[...] = jnp.zeros((8, 6))
        fusion.values[name].bias[...] = jnp.full(6, 2.0)
    np.testing.assert_allclose(fusion(FEATURES), fusion.head(jnp.full((3, 6), 2.0)), rtol=1e-5)


def test_mean_of_logits_is_additive_and_cross_attention_is_not() -> None:
    zero = {name: jnp.zeros((3, 8)) for name in WIDTHS}

    def interaction(fusion: nnx.Module) -> float:
        one, other = ({**zero, name: FEATURES[name]} for name in WIDTHS)
        return float(jnp.abs(fusion(FEATURES) - fusion(one) - fusion(other) + fusion(zero)).max())

    assert interaction(MeanLogits().module(WIDTHS, 3, nnx.Rngs(0))) < 1e-5
    assert interaction(CrossAttention(8, 2).module(WIDTHS, 3, nnx.Rngs(0))) > 1e-3


@pytest.mark.slow
def test_an_absent_modality_is_not_looked_at_and_never_all_are_absent() -> None:
    model = Fused(BOTH, 3, ConcatMLP(6), absent=0.5).build(nnx.Rngs(0))
    other, both, text = (
        FEATURES | {"audio": FEATURES["audio"] + 1},
        jnp.array([[True, True]]),
        jnp.array([[True, False]]),
    )
    np.testing.assert_array_equal(*(model.fused(features, text) for features in (FEATURES, other)))
    assert float(jnp.abs(model.fused(FEATURES, both) - model.fused(other, both)).max()) > 0
    present = np.asarray(model.present(500, jax.random.key(0)))
    assert present.any(1).all()
    assert float(present.all(1).mean()) == pytest.approx(0.5, abs=0.08)  # a quarter, and where all would be absent
    model.config = Fused(BOTH, 3, absent=0.0)
    assert np.asarray(model.present(9, jax.random.key(0))).all()


@pytest.mark.slow
def test_padding_changes_nothing_and_heads_read_one_modality() -> None:
    model = OneModality(BOTH[0], 3).build(nnx.Rngs(0))
    table = model.encoder.entry.table[...]
    before = model(batch())
    model.encoder.entry.table[...] = table.at[0].set(9.0)
    np.testing.assert_allclose(before, model(batch()), atol=1e-6)
    np.testing.assert_array_equal(model(batch()), model(batch() | {"frames": jnp.zeros((2, 6, 8))}))


@pytest.mark.slow
def test_the_video_encoder_hears_of_the_order_of_pictures() -> None:
    model = Encoder("video", VideoEntry(3, 8, (4,)), TINY, head_dim=4).build(nnx.Rngs(0))
    video = jax.random.uniform(jax.random.key(1), (2, 3, 8, 8, 1))
    assert float(jnp.abs(model(video) - model(video[:, ::-1])).max()) > 1e-3
    model.positions.table[...] = jnp.zeros_like(model.positions.table[...])
    np.testing.assert_allclose(model(video), model(video[:, ::-1]), atol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="names of their own"):
        Fused((BOTH[0], BOTH[0]), 3)
    with pytest.raises(ValueError, match="below 1"):
        Fused(BOTH, 3, absent=1.0)
    with pytest.raises(ValueError, match="head_dim=5"):
        Encoder("text", WordEntry(20, 5), TINY, head_dim=5)
    with pytest.raises(ValueError, match="with a layer"):
        Encoder("text", WordEntry(20, 5), Tower(0, 8, 16), head_dim=4)
