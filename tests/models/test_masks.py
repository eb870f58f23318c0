"""Masks of ones change nothing; masks of zeros and ones are the smaller network; a gate of zero is an absent layer."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.convnet import ConvNet, ResNet
from stagejax.models.t5 import T5
from stagejax.models.transformer import bert, gpt, llama
from stagejax.models.vision.cnn import CNN, ConvLayer

SIZES = {"vocab": 13, "embed": 8, "heads": 4, "head_dim": 2, "layers": 3, "mlp": 12, "length": 6, "norm_eps": 1e-2}
MODELS = {
    "bert": bert(**SIZES),
    "gpt": gpt(**SIZES, tied=False),
    "llama": llama(**SIZES, kv_heads=2, tied=True),
}
every_model = pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
IMAGES = np.random.RandomState(0).normal(size=(2, 4, 4, 1))
TOKENS = np.random.RandomState(0).randint(0, 13, (2, 6))


def random_params(config: Any) -> dict:
    rng = np.random.RandomState(1)
    shapes = nnx.to_pure_dict(nnx.state(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param))
    return jax.tree.map(lambda x: 0.4 * rng.normal(size=x.shape), shapes)


def logits(config: Any, params: dict, masks: dict | None = None, inputs: tuple = (TOKENS,)) -> np.ndarray:
    with jax.enable_x64(True):
        graphdef, _, rest = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)
        rest = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), rest)  # running statistics
        run = jax.jit(lambda p, m: nnx.merge(graphdef, p, rest)(*map(jnp.asarray, inputs), masks=m))
        return np.asarray(run(jax.tree.map(jnp.asarray, params), masks and jax.tree.map(jnp.asarray, masks)))


def selected(config: Any, params: dict, kept: dict[str, np.ndarray]) -> dict:
    """The entries of every parameter that `kept` (axis -> indices) names, on all its axes."""

    def one(axes, leaf):
        for dim, name in enumerate(axes.names):
            leaf = leaf.take(kept[name], dim) if name in kept else leaf
        return leaf

    axes = axes_of(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))
    return jax.tree.map(one, axes, params, is_leaf=is_axes)


@every_model
def test_masks_of_zeros_and_ones_are_the_smaller_network(config) -> None:
    """Units of every maskable axis removed at once, and one layer."""
    sizes = config.sizes()
    names = ("embed", "mlp", "kv_heads", "q_per_kv", "value_dim", "layers")
    left = {"embed": 5, "mlp": 7, "kv_heads": sizes["kv_heads"] // 2, "q_per_kv": 1, "value_dim": 1, "layers": 2}
    rng = np.random.RandomState(2)
    kept = {name: np.sort(rng.permutation(sizes[name])[: left[name]]) for name in names}
    masks = {name: np.isin(np.arange(sizes[name]), kept[name]).astype(np.float64) for name in names}
    heads = left["kv_heads"] * left["q_per_kv"]
    small = replace(config, embed=5, mlp=7, heads=heads, kv_heads=left["kv_heads"], value_dim=1, layers=2)
    params, kept_out = random_params(config), {**kept, "embed_out": kept["embed"]}
    wanted = logits(small, selected(config, params, kept_out))
    np.testing.assert_allclose(logits(config, params, masks), wanted, rtol=1e-10, atol=1e-12)
    assert np.abs(logits(config, params) - wanted).max() > 1e-2


T5_SIZES = {"vocab": 13, "embed": 8, "heads": 4, "head_dim": 3, "encoder_layers": 2, "decoder_layers": 3, "mlp": 12}
OTHERS = {
    "t5": (
        T5(**T5_SIZES, norm_eps=1e-2),
        {"embed": 5, "heads": 2, "head_dim": 2, "encoder_layers": 1, "decoder_layers": 2, "mlp": 7},
        (TOKENS, TOKENS[:, ::-1]),
    ),
    "convnet": (ConvNet(image=4, channels=(5, 6)), {"channels": (3, 4)}, (IMAGES,)),
    "resnet": (
        ResNet(image=4, channels_in=1, channels=(4, 6), bottleneck=2, stem=3, blocks=(1, 1)),
        {"channels": (2, 4), "stem": 2},
        (IMAGES,),
    ),
    "cnn": (CNN((4, 4, 1), (ConvLayer(5),), (6,)), {"convolutions": (ConvLayer(3),), "hidden": (4,)}, (IMAGES,)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_masks_of_other_models_do_the_same(name) -> None:
    """An encoder-decoder, layers of both stacks among what is removed, and convolutions."""
    config, changes, inputs = OTHERS[name]
    small, rng = replace(config, **changes), np.random.RandomState(2)
    old, new = small.sizes(), config.sizes()
    kept = {axis: np.sort(rng.permutation(new[axis])[: old[axis]]) for axis in new if new[axis] != old[axis]}
    kept |= {axis: kept[axis.removesuffix("_out")] for axis in kept if axis.endswith("_out")}
    masks = {axis: np.isin(np.arange(new[axis]), rows).astype(np.float64) for axis, rows in kept.items()}
    masks = {axis: mask for axis, mask in masks.items() if not axis.endswith("_out")}
    params = random_params(config)
    wanted = logits(small, selected(config, params, kept), inputs=inputs)
    np.testing.assert_allclose(logits(config, params, masks, inputs), wanted, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match=r"axis 'classes' cannot be masked: choose among (embed|channels)"):
        logits(config, params, {"classes": np.ones(2)}, inputs)


def test_a_gate_of_zero_is_an_absent_block_of_a_stage() -> None:
    config = ResNet(image=4, channels_in=1, channels=(4, 6), blocks=(3, 1))
    params = random_params(config)
    absent = {**params, "blocks": {name: block for name, block in params["blocks"].items() if name != "1.2"}}
    got = logits(config, params, {"layers.1": np.array([1.0, 0.0])}, (IMAGES,))
    np.testing.assert_allclose(got, logits(replace(config, blocks=(2, 1)), absent, inputs=(IMAGES,)), rtol=1e-10)
    with pytest.raises(ValueError, match=r"the mask of axis 'layers.1' has shape \(3,\): give it \(2,\)"):
        logits(config, params, {"layers.1": np.ones(3)}, (IMAGES,))


@every_model
def test_masks_of_ones_change_nothing(config) -> None:
    params, names = random_params(config), ("embed", "mlp", "kv_heads", "q_per_kv", "value_dim", "layers")
    ones = {name: np.ones(config.sizes()[name]) for name in names}
    np.testing.assert_allclose(logits(config, params, ones), logits(config, params), rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_masks_may_differ_from_layer_to_layer() -> None:
    """Removed in one layer means that its row of the down projection is zero there; also in a scan over layers."""
    config, mask = MODELS["gpt"], np.ones((3, 12))
    mask[1, 4] = 0
    params = random_params(config)
    down = params["blocks"]["mlp"]["down"]["kernel"].copy()
    down[1, 4] = 0
    mlp = {**params["blocks"]["mlp"], "down": {**params["blocks"]["mlp"]["down"], "kernel": down}}
    wanted = logits(config, {**params, "blocks": {**params["blocks"], "mlp": mlp}})
    for scan in (False, True):
        got = logits(replace(config, scan=scan), params, {"mlp": mask})
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_a_half_open_gate_is_the_mean_of_both() -> None:
    config = replace(MODELS["llama"], layers=1)
    graphdef, _ = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))
    model = nnx.merge(graphdef, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), random_params(config)))
    model.norm = None
    streams = [model.hidden(jnp.asarray(TOKENS), masks={"layers": jnp.array([gate])}) for gate in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(streams[1], (streams[0] + streams[2]) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(streams[0], model.tokens(jnp.asarray(TOKENS)))


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        ({"head_dim": np.ones(2)}, "axis 'head_dim' cannot be masked: choose among embed, mlp"),
        ({"mlp": np.ones(11)}, r"the mask of axis 'mlp' has shape \(11,\): give it \(12,\) or.*each layer, \(3, 12\)"),
        ({"embed": np.ones((3, 8))}, r"the mask of axis 'embed' has shape \(3, 8\): give it \(8,\)"),
    ],
)
def test_wrong_masks_are_refused(masks, says) -> None:
    with pytest.raises(ValueError, match=says):
        nnx.eval_shape(
            lambda: MODELS["gpt"].build(nnx.Rngs(0))(jnp.asarray(TOKENS), masks=jax.tree.map(jnp.asarray, masks))
        )
