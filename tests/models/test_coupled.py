"""Coupled encoder-decoders: causal, masked, cached as uncached; what a warm start copies, draws and leaves behind."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import path_name
from stagejax.decode import Prompts, Recomputed, beam_search, sample
from stagejax.models import Transformer, bert, llama
from stagejax.models.text.coupled import Coupled
from stagejax.objectives.language import as_decoder
from stagejax.transforms.warm_start import WarmStart

ENCODER = bert(vocab=20, embed=16, layers=1, heads=2, mlp=24, length=12)
DECODER = bert(vocab=30, embed=16, layers=2, heads=2, mlp=32, length=12)
ROTARY = llama(vocab=30, embed=16, layers=2, heads=4, kv_heads=2, mlp=32, causal=False)
CONFIG = Coupled(ENCODER, DECODER)


def built(config: Any, key: int = 0) -> Any:
    return config.build(nnx.Rngs(key))


@nnx.jit
def answer(model: Any, *inputs: Any, **options: Any) -> jax.Array:
    return model(*inputs, **options)


def leaves(tree: Any) -> dict[str, np.ndarray]:
    return {path_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def params(config: Any, key: int) -> Any:
    return nnx.to_pure_dict(nnx.state(built(config, key), nnx.Param))


def rows(vocab: int, *shape: int) -> jax.Array:
    return jax.random.randint(jax.random.key(sum(shape)), shape, 4, vocab)


@pytest.mark.parametrize("decoder", [DECODER, pytest.param(ROTARY, marks=pytest.mark.slow)])
def test_the_decoder_sees_no_later_token_and_all_of_the_input(decoder: Transformer) -> None:
    model, inputs, said = built(Coupled(ENCODER, decoder)), rows(20, 2, 7), rows(30, 2, 6)
    logits = answer(model, inputs, said)
    later = answer(model, inputs, said.at[:, 4].set(5))
    np.testing.assert_allclose(later[:, :4], logits[:, :4], atol=1e-6)
    assert not np.allclose(later[:, 4:], logits[:, 4:], atol=1e-4)
    other = answer(model, inputs.at[:, 6].set(4), said)
    assert not np.allclose(other[:, 0], logits[:, 0], atol=1e-6)


@pytest.mark.slow
def test_masked_inputs_are_not_seen() -> None:
    model, inputs, said, mask = (
        built(CONFIG),
        rows(20, 2, 7),
        rows(30, 2, 6),
        jnp.arange(7)[None] < jnp.array([[4], [7]]),
    )
    logits, other = answer(model, inputs, said, mask=mask), answer(model, inputs.at[0, 5].set(4), said, mask=mask)
    np.testing.assert_allclose(other, logits, atol=1e-6)
    np.testing.assert_allclose(logits[0], answer(model, inputs[:1, :4], said[:1])[0], atol=1e-5)


@pytest.mark.parametrize("decoder", [DECODER, pytest.param(ROTARY, marks=pytest.mark.slow)])
def test_reading_with_a_cache_is_as_without(decoder: Transformer) -> None:
    model, inputs, mask = (
        built(Coupled(ENCODER, decoder)),
        rows(20, 3, 7),
        jnp.arange(7)[None] < jnp.array([[4], [7], [6]]),
    )
    prompts = Prompts(jnp.full((3, 1), 2), jnp.ones(3, jnp.int32))
    plain = Recomputed(lambda said, own: model(own[0], said, mask=own[1]), (inputs, mask))
    fast, slow = (
        jax.jit(lambda m=m: (beam_search(m, prompts, length=8, beams=3, stops=((2,),)),
                             sample(m, prompts, jax.random.key(1), length=8, n=2)))()
        for m in (model.reading(inputs, mask), plain)
    )  # fmt: skip
    for one, other in zip(fast, slow, strict=True):
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.slow
def test_dropout_needs_a_key() -> None:
    config = Coupled(ENCODER, bert(vocab=30, embed=16, layers=1, heads=2, mlp=32, length=12, dropout=0.5))
    model, inputs, said = built(config), rows(20, 2, 7), rows(30, 2, 6)
    assert np.array_equal(answer(model, inputs, said), answer(model, inputs, said))
    assert not np.allclose(answer(model, inputs, said, key=jax.random.key(0)), answer(model, inputs, said))


def test_sizes_are_told_apart_by_side_and_the_head_of_the_encoder_is_gone() -> None:
    sizes, named = CONFIG.sizes(), leaves(params(CONFIG, 0))
    assert (sizes["vocab.encoder"], sizes["vocab.decoder"], sizes["embed"]) == (20, 30, 16)
    assert not any(path.startswith("encoder/head") for path in named)
    assert any(path.startswith("decoder/head/dense") for path in named)
    with pytest.raises(ValueError, match="one width"):
        Coupled(ENCODER, bert(embed=32))
    with pytest.raises(ValueError, match="causal"):
        Coupled(ENCODER, llama(embed=16))
    with pytest.raises(ValueError, match="experts"):
        Coupled(ENCODER, bert(embed=16, heads=2, experts=2))
    with pytest.raises(ValueError, match="2 inputs"):
        built(CONFIG).reading(rows(20, 2, 7)).init_cache(3, 5)
    with pytest.raises(ValueError, match="positions"):
        built(CONFIG).reading(rows(20, 2, 7)).init_cache(2, 13)


@pytest.mark.slow
def test_a_warm_start_copies_both_sides_and_draws_the_cross_attention() -> None:
    encoder, decoder = params(ENCODER, 1), params(DECODER, 2)
    made, rest = WarmStart(CONFIG, ("encoder", "decoder")).function(jax.random.key(3), (encoder, {}), (decoder, {}))
    fresh = leaves(nnx.to_pure_dict(nnx.state(CONFIG.build(nnx.Rngs(params=jax.random.key(3))), nnx.Param)))
    found = leaves(made)
    assert not jax.tree.leaves(rest)
    assert found.keys() == fresh.keys()
    for side, source in (("encoder", leaves(encoder)), ("decoder", leaves(decoder))):
        own = {path.removeprefix(f"{side}/"): leaf for path, leaf in found.items() if path.startswith(f"{side}/")}
        assert all(np.array_equal(leaf, source[path]) for path, leaf in own.items())
        left = source.keys() - own.keys()
        assert left == ({path for path in source if path.startswith("head")} if side == "encoder" else set())
    cross = {path for path in found if path.startswith("cross/")}
    assert len(cross) == 10
    assert all(np.array_equal(found[path], fresh[path]) for path in cross)


def test_a_side_without_a_model_is_fresh_and_another_shape_is_refused() -> None:
    decoder = params(DECODER, 2)
    made = leaves(WarmStart(CONFIG, ("decoder",)).function(jax.random.key(3), (decoder, {}))[0])
    fresh = leaves(params(CONFIG, 3))
    assert made["encoder/tokens/table"].shape == fresh["encoder/tokens/table"].shape
    assert not np.array_equal(made["encoder/tokens/table"], leaves(params(ENCODER, 1))["tokens/table"])
    with pytest.raises(ValueError, match=r"decoder/head/bias is \(20,\) .* \(30,\) here"):
        WarmStart(CONFIG, ("decoder",)).function(jax.random.key(3), (params(bert(**vars_of(DECODER, vocab=20)), 0), {}))
    with pytest.raises(ValueError, match="no encoder/"):
        WarmStart(CONFIG, ("encoder",)).function(jax.random.key(3), ({"tokens": decoder["tokens"]}, {}))


def vars_of(config: Transformer, **changes: Any) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("vocab", "embed", "layers", "heads", "mlp", "length")} | changes


@pytest.mark.slow
def test_with_silent_cross_attention_the_decoder_is_the_causal_model() -> None:
    """One whose cross-attention adds nothing says what its decoder does alone, under a causal mask."""
    pre = bert(**vars_of(DECODER), norm_position="pre", norm="rms", use_bias=False)
    config = Coupled(ENCODER, pre)
    tree, alone = params(config, 0), built(pre, 5)
    tree["decoder"] = nnx.to_pure_dict(nnx.state(alone, nnx.Param))
    tree["cross"]["attention"]["out"] = jax.tree.map(jnp.zeros_like, tree["cross"]["attention"]["out"])
    graphdef, _ = nnx.split(built(config))
    model, said = nnx.merge(graphdef, tree), rows(30, 2, 6)
    causal = answer(alone, said, mask=jnp.tril(jnp.ones((1, 6, 6), bool)))
    np.testing.assert_allclose(answer(model, rows(20, 2, 7), said), causal, atol=1e-5)
    logp = jax.nn.log_softmax(answer(alone, said[:, :-1], mask=jnp.tril(jnp.ones((1, 5, 5), bool))))
    want = -jnp.take_along_axis(logp, said[:, 1:, None], -1).mean()
    loss, _ = nnx.jit(lambda net, tokens: as_decoder(net, {"tokens": tokens}, None))(alone, said)
    np.testing.assert_allclose(loss, want, rtol=1e-5)
