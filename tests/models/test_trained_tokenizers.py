"""Tokenizers: codes decide what is decoded; the first book is what is distilled; unused codes revive."""

import functools
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax import running
from stagejax.axes import axes_of
from stagejax.data import Images
from stagejax.models.generative.quantizer import usage
from stagejax.models.generative.tokenizer_image import ImageTokenizer
from stagejax.models.speech.tokenizer_speech import SpeechEncoder, SpeechTokenizer, centred
from stagejax.objectives.sound.tokenizing import feature_distance, hidden_frames, picture_codes, speech_codes
from stagejax.optimizer import adam
from stagejax.stage import Stage, gradient_step
from stagejax.steps.codebooks import reviving_step

IMAGE = ImageTokenizer(pixels=8, channels=1, hidden=8, embed=4, codes=16)
SPEECH = SpeechTokenizer(bands=6, hidden=8, embed=4, codes=8, features=5)
FRAMES = jax.random.normal(jax.random.key(0), (3, 7, 6))
REAL = jnp.arange(7) < jnp.array([[7], [4], [5]])


@functools.cache
def codec() -> nnx.Module:
    return SPEECH.build(nnx.Rngs(0))


@pytest.mark.slow
def test_decoding_needs_the_codes_alone() -> None:
    model = IMAGE.build(nnx.Rngs(0))
    images = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1))
    decoded, found = model(images)
    np.testing.assert_array_equal(model.encode(images), found.codes.reshape(3, 4))
    np.testing.assert_allclose(model.decode(model.encode(images)), decoded, atol=1e-5)
    decoded, found, _ = codec()(FRAMES, REAL)
    np.testing.assert_array_equal(codec().encode(FRAMES, REAL), found.codes)
    np.testing.assert_allclose(codec().decode(found.codes, REAL), decoded, atol=1e-5)
    assert str(axes_of(codec())["quantizer"]["books"][0]["table"]) == "<codes >embed"


@pytest.mark.slow
def test_what_is_behind_a_clip_changes_nothing() -> None:
    other = jnp.where(REAL[..., None], FRAMES, 9.0)
    encoder = SpeechEncoder(bands=6, frames=7, embed=8, layers=1, heads=2, mlp=8).build(nnx.Rngs(0))
    for read in (codec().encode, encoder.features):
        both = [np.where(np.asarray(REAL)[..., None], read(x, REAL), 0) for x in (FRAMES, other)]
        np.testing.assert_allclose(*both, atol=1e-5)
    np.testing.assert_allclose(centred(FRAMES, REAL).sum(1), 0, atol=1e-5)


def test_the_encoder_predicts_what_it_does_not_see() -> None:
    encoder = SpeechEncoder(bands=6, frames=7, embed=8, layers=1, heads=2, mlp=8).build(nnx.Rngs(0))
    hidden = jnp.zeros((3, 7), bool).at[:, 2:4].set(True)
    change = jnp.arange(1.0, 7.0)
    other = FRAMES.at[:, 2].add(change).at[:, 3].add(-change)  # the clip's mean stays
    predicted, wanted = encoder(FRAMES, REAL, hidden)
    again, moved = encoder(other, REAL, hidden)
    np.testing.assert_allclose(moved[:, 2] - wanted[:, 2], jnp.broadcast_to(change, (3, 6)), rtol=1e-4)
    np.testing.assert_allclose(again, predicted, atol=1e-5)
    _, metrics = hidden_frames(encoder, {"frames": FRAMES, "real": REAL}, jax.random.key(3))
    assert float(metrics["loss"][1]) <= float(REAL.sum())


@pytest.mark.slow
def test_distillation_moves_the_first_book_alone() -> None:
    batch = {"frames": FRAMES, "real": REAL, "features": jax.random.normal(jax.random.key(2), (3, 7, 5))}
    graphdef, params = nnx.split(codec())

    def distillation(params):
        return speech_codes(nnx.merge(graphdef, params), batch, None)[1]["distillation"]

    gradient = jax.grad(distillation)(params)
    assert np.abs(gradient["student"]["kernel"][...]).max() > 0 < np.abs(gradient["encoder"][0]["kernel"][...]).max()
    assert not np.asarray(gradient["decoder"][0]["kernel"][...]).any()
    teacher = batch["features"]
    assert float(feature_distance(teacher, teacher, REAL)) < float(feature_distance(-teacher, teacher, REAL))
    tail = jnp.where(REAL[..., None], teacher, 7.0)
    np.testing.assert_allclose(feature_distance(tail, teacher, REAL), feature_distance(teacher, teacher, REAL))


@pytest.mark.slow
def test_revived_codes_are_used(tmp_path: Path) -> None:
    stage = Stage("vq", IMAGE, picture_codes, adam(3e-3), Images(batch=16), 40, reviving_step)
    with running(tmp_path, "vq", mesh="data=1") as run:
        trained = run.train(stage)
        plain = run.train(replace(stage, name="plain", step=gradient_step))
    errors = trained.history.train["error"]
    assert errors[-1] < 0.8 * errors[0]
    images = jnp.asarray(stage.data.take(np.arange(64))["image"])
    used = [float(usage(result.module().encode(images), 16)[1]) for result in (trained, plain)]
    assert used[0] > max(5, used[1])
