"""Small and large models to grow between, with parameters that are random everywhere, biases and gains too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.growth import (
    AKI,
    FPI,
    AddExperts,
    Coalesce,
    CopyExperts,
    Decoalesce,
    Deepen,
    DirectCopy,
    DropUpcycle,
    GranularUpcycle,
    Isometric,
    Operator,
    Subset,
    Upcycle,
    balanced,
    interpolate,
    stack,
    stack_modulo,
    uniform,
)
from stagejax.growth.inherit import InheritWithMomentum
from stagejax.models.convnet import ConvNet, ResNet
from stagejax.models.t5 import T5
from stagejax.models.transformer import Transformer
from stagejax.models.vit import ViT

SMALL = Transformer(vocab=13, embed=8, layers=2, heads=2, head_dim=4, mlp=12, length=6)
LARGE = replace(SMALL, embed=16, layers=3, heads=5, mlp=21)
IMAGE = ViT(image=4, channels=2, patch=2, classes=3, embed=8, layers=2, heads=2, head_dim=4, mlp=12)
CONV = ConvNet(image=8, channels_in=2, channels=(4, 6), classes=3)
RESIDUAL = ResNet(image=4, channels_in=2, channels=(4, 6), blocks=(1, 2), classes=3)
ENCODER_DECODER = T5(
    vocab=13, embed=8, encoder_layers=2, decoder_layers=2, heads=2, head_dim=3, mlp=12, buckets=8, distance=12
)
TOKENS = np.random.RandomState(0).randint(0, SMALL.vocab, (2, 6))

#: Every operator joins this list and inherits the contract of test_growth_contract.py.
OPERATORS: list[tuple[Operator, Any, Any]] = [
    (FPI(), SMALL, LARGE),
    (FPI(depth=interpolate, draw=balanced, seed=3), replace(SMALL, kv_heads=1), replace(LARGE, heads=6, kv_heads=2)),
    (AKI(), SMALL, LARGE),
    (AKI(depth=interpolate, draw=uniform, per_layer=True), SMALL, LARGE),
    (DirectCopy(depth=stack), SMALL, replace(LARGE, head_dim=6, vocab=17, length=9)),
    (Isometric(draw=uniform), replace(SMALL, norm="rms"), replace(LARGE, norm="rms", embed=11)),
    (Decoalesce(), SMALL, replace(SMALL, embed=16, layers=4, heads=4, mlp=24)),
    (Coalesce(depth=stack), SMALL, replace(SMALL, embed=4, layers=1, heads=1, mlp=5)),
    (Subset.of(layers=(1,), vocab=range(3, 9)), SMALL, replace(SMALL, layers=1, vocab=6)),
    (Deepen(stack_modulo), SMALL, replace(SMALL, layers=5)),
    (InheritWithMomentum(0.8), SMALL, LARGE),
    (FPI(draw=balanced), IMAGE, replace(IMAGE, embed=16, layers=3, heads=5, mlp=21)),
    (FPI(draw=uniform), CONV, replace(CONV, channels=(7, 6))),
    (FPI(), RESIDUAL, replace(RESIDUAL, channels=(6, 11))),
    (Upcycle(), SMALL, replace(SMALL, experts=3)),
    (GranularUpcycle(2), SMALL, replace(SMALL, mlp=6, experts=4)),
    (DropUpcycle(share=0.5), SMALL, replace(SMALL, experts=3)),
    (CopyExperts(), replace(SMALL, experts=2, top_k=1), replace(SMALL, experts=4)),
    (AddExperts(), replace(SMALL, experts=2), replace(SMALL, experts=3)),
    (
        AKI(),
        ENCODER_DECODER,
        replace(ENCODER_DECODER, embed=16, encoder_layers=3, decoder_layers=4, heads=5, mlp=21),
    ),
]
NAMES = [f"{type(operator).__name__}-{i}" for i, (operator, _, _) in enumerate(OPERATORS)]


def random_params(config: Any, seed: int = 0) -> Any:
    """Parameters of a model, drawn from one normal distribution around 0 (gains around 1)."""
    rng = np.random.RandomState(seed)
    shapes = nnx.to_pure_dict(nnx.state(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param))

    def draw(path: Any, leaf: Any) -> jax.Array:
        return jnp.asarray(0.4 * rng.normal(size=leaf.shape) + ("gain" in str(path)), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def model(config: Any, params: Any) -> nnx.Module:
    graphdef, _, rest = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)
    return nnx.merge(graphdef, params, rest)


def logits(config: Any, params: Any) -> np.ndarray:
    return np.asarray(model(config, params)(jnp.asarray(TOKENS)))


def by_path(tree: Any) -> dict[str, np.ndarray]:
    return {"/".join(str(k.key) for k in path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}
