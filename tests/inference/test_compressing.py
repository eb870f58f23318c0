"""Compression of whole models: what layers read is what the block computes, and layers come in order."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.inference import Frozen
from stagejax.inference.serving.compressing import MaskOf, Solved, Uncalibrated, compressed, kernels, taps, with_kernels
from stagejax.models import Transformer, gpt, llama
from stagejax.models.language_model import block_of
from stagejax.transforms.sparsegpt import SemiStructured, Unstructured, magnitude
from stagejax.transforms.ternary import Ternary

pytestmark = pytest.mark.slow

TOKENS = np.random.default_rng(0).integers(0, 32, (2, 4, 16))
SMALL = gpt(vocab=32, embed=16, heads=2, layers=2, mlp=32, length=16, scan=True, init_std=0.3)
MIXTURE = gpt(vocab=32, embed=16, heads=2, layers=2, mlp=32, length=16, scan=True, init_std=0.3, experts=3, top_k=1,
              routing="softmax_topk", dispatch="dense")  # fmt: skip
HALF = Unstructured(0.5)


def drawn(config: Transformer) -> Frozen:
    _, params, rest = nnx.split(config.build(nnx.Rngs(0)), nnx.Param, ...)
    return Frozen(config, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


@pytest.mark.parametrize("config", [gpt(embed=16, heads=2, mlp=24), llama(embed=16, heads=2, mlp=24)])
def test_taps_are_what_the_kernels_of_a_block_read(config: Transformer) -> None:
    block = block_of(config, nnx.Rngs(0))
    x = jnp.array(np.random.default_rng(1).normal(size=(2, 5, 16)), jnp.float32)
    angles = None if config.positions == "learned" else jnp.zeros((1, 5, 4))
    read = taps(block, x, angles)
    middle = x + (read["attention/out"][0] @ block.attention.out.kernel[...].reshape(-1, 16)).reshape(x.shape)
    whole = middle + (read["mlp/down"][0] @ block.mlp.down.kernel[...]).reshape(x.shape)
    for bias, at in ((block.attention.out.bias, 0), (block.mlp.down.bias, 1)):
        assert bias is None or not bias[...].any(), at
    np.testing.assert_allclose(whole, block(x, causal=True, angles_BTh=angles), atol=1e-5)
    assert ("mlp/gate" in read) == (config.activation == "swiglu")


def test_an_expert_reads_the_tokens_that_chose_it() -> None:
    block = block_of(MIXTURE, nnx.Rngs(0))
    x = jnp.array(np.random.default_rng(1).normal(size=(2, 8, 16)), jnp.float32)
    read, chosen = taps(block, x)["mlp/down"]
    assert chosen.sum(0).tolist() == [1] * 16
    _, statistics = block.mlp.routed(block.mlp_norm(x + block.attention(block.attention_norm(x), causal=True)))
    np.testing.assert_allclose(chosen.mean(1), statistics.load, atol=1e-6)
    assert read.shape == (3, 16, 32)


def output(net: Frozen) -> np.ndarray:
    model = net.config.build(nnx.Rngs(0))
    graphdef, _, _ = nnx.split(model, nnx.Param, ...)
    return np.asarray(nnx.merge(graphdef, net.params, net.rest)(jnp.array(TOKENS[0])))


def test_pruned_models_have_the_zeros_and_layers_of_sparsegpt_err_least() -> None:
    net = drawn(SMALL)
    made = {
        "sparsegpt": compressed(net, TOKENS, Solved(HALF)),
        "mask": compressed(net, TOKENS, MaskOf(Solved(HALF))),
        "magnitude": compressed(net, TOKENS, Uncalibrated(partial(magnitude, choice=HALF))),
    }
    for name, own in made.items():
        share = [
            np.mean(kernel == 0, axis=tuple(range(1, kernel.ndim)))
            for kernel in kernels(own.net.params, False).values()
        ]
        np.testing.assert_allclose(share, 0.5, err_msg=name)
        assert own.counts.tolist() == [128, 128]
    assert made["sparsegpt"].error < min(made["mask"].error, made["magnitude"].error)
    again = with_kernels(net.params, kernels(made["mask"].net.params, False))
    np.testing.assert_allclose(output(Frozen(SMALL, again, net.rest)), output(made["mask"].net), atol=1e-6)


def test_a_layer_reads_what_the_compressed_ones_before_it_give() -> None:
    """A method that ruins the first layer moves the moments of the second, which the first call shows."""
    net, seen = drawn(SMALL), []

    def watching(keep: float) -> Any:
        def method(weight_OI: Any, sums_II: Any, count: Any) -> Any:
            seen.append(sums_II.shape)
            return keep * weight_OI

        return method

    whole, halved = (compressed(net, TOKENS, watching(keep)) for keep in (1.0, 0.5))
    np.testing.assert_allclose(output(whole.net), output(net), atol=1e-5)
    assert whole.error == pytest.approx(0, abs=1e-6)
    assert halved.error == pytest.approx(0.25, rel=1e-3)  # relative to what it reads by then
    assert set(seen) == {(16, 16), (32, 32)}


def test_experts_alone_are_compressed_and_those_with_few_tokens_are_rounded() -> None:
    net = drawn(MIXTURE)
    made = compressed(net, TOKENS, Solved(Ternary(), 0.1, least=10**6))
    plain = compressed(net, TOKENS, Solved(Ternary(), 0.1))
    before, after = (own.params["blocks"]["attention"]["query"]["kernel"] for own in (net, made.net))
    assert (before == after).all()
    up = np.asarray(made.net.params["blocks"]["mlp"]["up"]["kernel"])
    old = np.asarray(net.params["blocks"]["mlp"]["up"]["kernel"])
    high, low = old.max(2, keepdims=True), old.min(2, keepdims=True)
    np.testing.assert_allclose(up, np.where(old > high / 2, high, 0) + np.where(old < low / 2, low, 0), rtol=1e-5)
    assert plain.error < made.error
    assert plain.counts.sum(1).tolist() == [128, 128]


def test_a_post_norm_model_is_refused() -> None:
    with pytest.raises(ValueError, match="pre-norm"):
        compressed(drawn(gpt(norm_position="post", layers=1)), TOKENS, Solved(SemiStructured()))
