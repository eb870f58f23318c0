"""The recognizer and the adapter: padding says nothing, lengths are the formula's, vectors stand where tokens stood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data import MASK, SEP
from stagejax.decode import padded_prompts, sample
from stagejax.models import llama
from stagejax.models.speech.recognizer import Recognizer, sinusoids
from stagejax.models.speech.speech_adapter import Listener, SpeechAdapter, placed

RNG = np.random.default_rng(0)
EAR = Recognizer(bands=6, embed=8, layers=1, heads=2, mlp=8, words=3)
ADAPTER = SpeechAdapter(8, 8, convolutions=2, inner=4)
NET = llama(vocab=12, embed=8, layers=1, heads=2, mlp=8)


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@pytest.mark.slow
def test_what_lies_behind_an_utterance_changes_nothing() -> None:
    ear, adapter = EAR.build(nnx.Rngs(0)), ADAPTER.build(nnx.Rngs(1))

    @jax.jit
    def heard(frames: jax.Array, real: jax.Array) -> tuple[jax.Array, jax.Array]:
        return adapter(*ear.features(frames, real))

    frames, other, real = normal(1, 24, 6), normal(1, 24, 6), jnp.arange(24)[None] < 17
    one, told = heard(frames, real)
    two, _ = heard(jnp.where(real[..., None], frames, 5 + other), real)
    count = ADAPTER.length((17 - 1) // 2 + 1)
    assert int(told.sum()) == count == 3
    np.testing.assert_allclose(one[:, :count], two[:, :count], atol=1e-5)
    short, _ = heard(jnp.pad(frames[:, :17], ((0, 0), (0, 7), (0, 0))), real)
    np.testing.assert_allclose(one[:, :count], short[:, :count], atol=1e-5)
    moved, _ = heard(frames.at[0, 3].add(1.0), real)
    assert jnp.abs(moved - one)[:, :count].max() > 1e-4


def test_an_adapter_is_its_formula() -> None:
    config = SpeechAdapter(2, 3, convolutions=1, inner=4)
    model = config.build(nnx.Rngs(0))
    states = RNG.normal(size=(1, 7, 2)).astype(np.float32)
    kernel = np.asarray(model.convolutions[0].kernel[...])[:, 0]
    padded = np.pad(states[0], ((2, 2), (0, 0)))
    y = np.stack([np.einsum("kr,krw->w", padded[2 * i : 2 * i + 5], kernel) for i in range(config.length(7))])
    y = y[:, :3] / (1 + np.exp(-y[:, 3:]))
    y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
    y = y + np.asarray(jax.nn.gelu(y @ np.asarray(model.down.kernel[...]))) @ np.asarray(model.up.kernel[...])
    found, _ = model(jnp.asarray(states), jnp.ones((1, 7), bool))
    np.testing.assert_allclose(found[0], y, atol=1e-5)


@pytest.mark.parametrize("states", [1, 2, 8, 9, 17])
def test_lengths_follow_each_convolution(states: int) -> None:
    real = np.arange(20) < states
    for _ in range(3):
        real = real[::2]
    assert SpeechAdapter(convolutions=3).length(states) == real.sum()


def test_a_listener_with_the_tokens_own_embeddings_is_the_model() -> None:
    net = NET.build(nnx.Rngs(0))
    said = jnp.array([[5, 6, 7], [8, 9, 0]])
    rows = jnp.array([[4, MASK, MASK, MASK, 10], [4, MASK, MASK, 10, 0]])
    text = jnp.array([[4, 5, 6, 7, 10], [4, 8, 9, 10, 0]])
    listener, vectors = Listener(net, MASK), net.tokens(said)

    def heard(v: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = listener(rows, v)
        return logits[0, 4].sum(), logits

    (_, logits), grads = jax.jit(jax.value_and_grad(heard, has_aux=True))(vectors)
    np.testing.assert_allclose(logits, jax.jit(lambda: net(text))(), atol=1e-5)
    assert float(jnp.abs(grads[0]).min()) > 0
    assert float(jnp.abs(grads[1]).max()) == 0  # of another row


@pytest.mark.slow
def test_a_listener_answers_as_the_model_does() -> None:
    net = NET.build(nnx.Rngs(0))
    rows = jnp.array([[4, MASK, MASK, MASK, 10], [4, MASK, MASK, 10, 0]])
    text = jnp.array([[4, 5, 6, 7, 10], [4, 8, 9, 10, 0]])
    listener, vectors = Listener(net, MASK), net.tokens(jnp.array([[5, 6, 7], [8, 9, 0]]))

    def answers(model: object, prompts: jax.Array) -> jax.Array:
        given = padded_prompts([prompts[0].tolist(), prompts[1, :4].tolist()], 5)
        how = {"length": 11, "stops": ((SEP,),), "temperature": 0.0}
        return sample(model, given, jax.random.key(0), **how).tokens_BNS[:, 0]

    heard, read = answers(listener.hears(rows, vectors), rows), answers(net, text)
    np.testing.assert_array_equal(heard[:, 5:], read[:, 5:])


def test_the_kth_mark_has_the_kth_vector() -> None:
    where, there = placed(jnp.array([[MASK, 1, MASK]]), jnp.array([[[1.0], [2.0], [9.0]]]), MASK)
    assert where.tolist() == [[True, False, True]]
    assert there[0, [0, 2], 0].tolist() == [1.0, 2.0]


def test_positions_are_sines_and_cosines() -> None:
    table = sinusoids(50, 8)
    np.testing.assert_allclose(table[:, :4] ** 2 + table[:, 4:] ** 2, 1, atol=1e-5)
    np.testing.assert_allclose(table[:, 0], np.sin(np.arange(50)), atol=1e-5)


def test_an_adapter_has_a_convolution() -> None:
    with pytest.raises(ValueError, match="convolutions=0"):
        SpeechAdapter(convolutions=0)
