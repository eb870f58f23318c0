"""Two encoders of signs and texts, and the translator made of their halves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of
from stagejax.data.tokenizers import SEP
from stagejax.models.multimodal.sign_translation import SignEncoder, SignText, SignTranslator
from stagejax.models.transformer import Transformer
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.transforms.transplant import Transplant

NET = Transformer(vocab=12, embed=8, layers=1, heads=2, mlp=16, causal=False, length=6)
IMAGE = CNN((8, 8, 1), (ConvLayer(4, stride=2),), (6,), heads=(("label", (1,)),), norm=True)
SIGN = SignEncoder(IMAGE, ("hidden.1", 6), (3, 3), NET)
VIDEO = jnp.asarray(np.random.default_rng(0).random((2, 18, 8, 8, 1), np.float32))
MASK = jnp.array([[True, True, True], [True, True, False]])


@pytest.mark.slow
@pytest.mark.parametrize("config", [SignText(SIGN, NET), SignTranslator(SIGN, NET)])
def test_axes_have_their_sizes(config: SignText | SignTranslator) -> None:
    sizes, model = config.sizes(), config.build(nnx.Rngs(0))
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))

    def check(own: object, leaf: jax.Array) -> None:
        assert tuple(sizes[name] for name in own.names) == leaf.shape  # type: ignore[attr-defined]

    jax.tree.map(check, axes_of(model), params, is_leaf=lambda x: hasattr(x, "names"))


def test_features_are_convolutions_with_pooling_along_time() -> None:
    sign = SignTranslator(SIGN, NET).build(nnx.Rngs(0)).sign
    found = sign.features(VIDEO)
    assert found.shape == (2, 3, 8)
    other = VIDEO.at[:, -4:].set(0)  # frames 14 to 17 are in the field of the last feature alone
    np.testing.assert_array_equal(sign.features(other)[:, :2], found[:, :2])
    assert np.abs(sign.features(other)[:, 2] - found[:, 2]).max() > 1e-4


@pytest.mark.slow
def test_what_is_masked_is_not_seen() -> None:
    pair, translator = (config.build(nnx.Rngs(0)) for config in (SignText(SIGN, NET), SignTranslator(SIGN, NET)))
    other = VIDEO.at[1, -4:].set(0.5)
    np.testing.assert_allclose(pair.encode_video(VIDEO, MASK)[1], pair.encode_video(other, MASK)[1], atol=1e-6)
    tokens = jnp.array([[SEP, 5, 6], [SEP, 7, 8]])
    np.testing.assert_allclose(
        translator(VIDEO, tokens, mask=MASK)[1], translator(other, tokens, mask=MASK)[1], atol=1e-5
    )
    np.testing.assert_allclose(jnp.linalg.norm(pair.encode_video(VIDEO, MASK), axis=1), 1.0, rtol=1e-5)


@pytest.mark.slow
def test_decoding_with_a_cache_is_what_the_translator_says() -> None:
    model = SignTranslator(SIGN, NET).build(nnx.Rngs(0))
    tokens = jnp.array([[SEP, 5, 6], [SEP, 7, 8]])
    wanted = model(VIDEO, tokens, mask=MASK)
    read = model.reading(VIDEO, MASK)
    cache, found = read.init_cache(2, 4), []
    for k in range(3):
        logits, cache = read.step(tokens[:, k : k + 1], cache)
        found.append(logits[:, 0])
    np.testing.assert_allclose(jnp.stack(found, 1), wanted, atol=1e-4)


@pytest.mark.slow
def test_a_transplant_moves_parameters_and_statistics() -> None:
    pair = SignText(SIGN, NET).build(nnx.Rngs(0))
    pair(VIDEO, MASK, jnp.array([[5, SEP]] * 2), jnp.ones((2, 2), bool), key=jax.random.key(0))  # statistics move
    given = tuple(nnx.to_pure_dict(state) for state in nnx.split(pair, nnx.Param, ...)[1:])
    move = Transplant(SignTranslator(SIGN, NET), ((0, "sign", "sign"),))
    params, rest = move(jax.random.key(1), given)
    jax.tree.map(np.testing.assert_array_equal, params["sign"], given[0]["sign"])
    jax.tree.map(np.testing.assert_array_equal, rest["sign"], given[1]["sign"])
    assert "embedding_norm" in rest
    with pytest.raises(KeyError, match="no part 'hand'"):
        Transplant(SignTranslator(SIGN, NET), ((0, "hand", "sign"),))(jax.random.key(1), given)
