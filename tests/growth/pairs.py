"""Small and large models to grow between, with parameters that are random everywhere, biases and gains too."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.axes import Axes, axes_of, layers_dim, shardings
from stagejax.growth import (
    AKI,
    FPI,
    LEMON,
    MSG,
    AddExperts,
    AddRows,
    BlockDiagonal,
    Coalesce,
    CopyExperts,
    Decoalesce,
    Deepen,
    DirectCopy,
    DropUpcycle,
    GranularUpcycle,
    Growth,
    HeadSize,
    IdentityBlocks,
    Isometric,
    Net2Net,
    Operator,
    Resample,
    Subset,
    Term,
    Upcycle,
    ZeroInit,
    balanced,
    by_weight,
    interpolate,
    middle,
    stack,
    stack_modulo,
    uniform,
)
from stagejax.growth.inherit import InheritWithMomentum
from stagejax.growth.term import View, base, region_mask, seen_side
from stagejax.models.convnet import ConvNet, ResNet
from stagejax.models.t5 import T5
from stagejax.models.transformer import Transformer
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.models.vit import ViT

SMALL = Transformer(vocab=13, embed=8, layers=2, heads=2, head_dim=4, mlp=12, length=6)
LARGE = replace(SMALL, embed=16, layers=3, heads=5, mlp=21)
IMAGE = ViT(image=4, channels=2, patch=2, classes=3, embed=8, layers=2, heads=2, head_dim=4, mlp=12)
CONV = ConvNet(image=8, channels_in=2, channels=(4, 6), classes=3)
RESIDUAL = ResNet(image=4, channels_in=2, channels=(4, 6), blocks=(1, 2), classes=3)
PLAIN = CNN(shape=(6, 6, 2), convolutions=(ConvLayer(4, pool=True),), hidden=(5,), heads=(("label", (4, 3)),))
ENCODER_DECODER = T5(
    vocab=13, embed=8, encoder_layers=2, decoder_layers=2, heads=2, head_dim=3, mlp=12, buckets=8, distance=12
)
TOKENS = np.random.RandomState(0).randint(0, SMALL.vocab, (2, 6))

#: A large eps of the norms, so that a map that leaves it as it is shows; as published decoders are, and as encoders.
RMS = replace(SMALL, norm="rms", norm_eps=0.1, tied=False)
WIDE = replace(SMALL, norm_eps=0.1)
POST = replace(WIDE, causal=False, norm_position="post")
MIXTURE = replace(WIDE, experts=2, top_k=1, dispatch="dense")
RMS_MIXTURE = replace(MIXTURE, norm="rms")
TWO_STACKS = replace(ENCODER_DECODER, norm_eps=0.1)
ROTARY = replace(RMS, positions="rotary", heads=4, kv_heads=2, use_bias=False, activation="swiglu", tied=True)

#: Operators that keep the function, and models where they do.
EXACT: list[tuple[Operator, Any, Any]] = [
    (Isometric(draw=uniform), RMS, replace(RMS, embed=11, heads=5, mlp=21)),
    (FPI(), ENCODER_DECODER, replace(ENCODER_DECODER, embed=16, heads=5, mlp=21)),
    (Net2Net(), SMALL, replace(SMALL, heads=5, mlp=21, layers=3)),
    (Net2Net(by="gain", fresh=True), RMS, replace(RMS, kv_heads=2, heads=4, layers=4)),
    (Net2Net(), CONV, replace(CONV, channels=(7, 6))),
    (LEMON(), WIDE, replace(WIDE, embed=19, heads=5, mlp=21, layers=3)),
    (LEMON(asymmetry=0.9, depth=stack), IMAGE, replace(IMAGE, embed=11, heads=3, mlp=17, layers=4)),
    (LEMON(norm="rms", by="gain"), ROTARY, replace(ROTARY, embed=13, heads=10, kv_heads=2, mlp=30, layers=3)),
    (LEMON(), POST, replace(POST, embed=16, heads=3, mlp=13)),
    (LEMON(), CONV, replace(CONV, channels=(9, 7))),
    (LEMON(norm="rms"), TWO_STACKS, replace(TWO_STACKS, embed=19, heads=5, mlp=21, decoder_layers=3)),
    (LEMON(), MIXTURE, replace(MIXTURE, embed=19, heads=3, mlp=17, layers=3)),
    (ZeroInit(), RMS, replace(RMS, embed=11, heads=3, head_dim=6, value_dim=5, mlp=17, layers=3)),
    (ZeroInit(), ROTARY, replace(ROTARY, embed=13, heads=9, kv_heads=3, head_dim=8, mlp=17)),
    (ZeroInit(), TWO_STACKS, replace(TWO_STACKS, embed=11, heads=3, head_dim=5, mlp=17, encoder_layers=3)),
    (ZeroInit(), CONV, replace(CONV, channels=(7, 8))),
    (ZeroInit(), RMS_MIXTURE, replace(RMS_MIXTURE, embed=11, heads=3, head_dim=6, mlp=17, layers=3)),
    (ZeroInit(depth=stack, fresh=False), IMAGE, replace(IMAGE, heads=3, mlp=14, layers=3)),
    (HeadSize(), ROTARY, replace(ROTARY, head_dim=8)),
    (HeadSize(), IMAGE, replace(IMAGE, head_dim=6, value_dim=4)),
    (HeadSize(copies=True, draw=balanced), SMALL, replace(SMALL, head_dim=11)),
    (BlockDiagonal(), SMALL, replace(SMALL, embed=16, heads=4, mlp=24, layers=4)),
    (BlockDiagonal(), CONV, replace(CONV, channels=(8, 12))),
    (BlockDiagonal(), MIXTURE, replace(MIXTURE, embed=16, heads=4, mlp=24, layers=3)),
    (BlockDiagonal(by="output"), TWO_STACKS, replace(TWO_STACKS, embed=16, mlp=24, encoder_layers=3, decoder_layers=4)),
    (BlockDiagonal(), POST, replace(POST, embed=16, mlp=24)),
    (IdentityBlocks(), SMALL, replace(SMALL, layers=5)),
    (IdentityBlocks(depth=interpolate, by="gain", fresh=True), ROTARY, replace(ROTARY, layers=3)),
    (Upcycle(), SMALL, replace(SMALL, experts=3)),
    (GranularUpcycle(2), SMALL, replace(SMALL, mlp=6, experts=4)),
    (CopyExperts(), replace(SMALL, experts=2, top_k=1), replace(SMALL, experts=4)),
]

#: Every operator joins one of these lists and inherits the contract of test_growth_contract.py.
OPERATORS: list[tuple[Operator, Any, Any]] = [
    *EXACT,
    (FPI(), SMALL, LARGE),
    (FPI(depth=interpolate, draw=balanced, seed=3), replace(SMALL, kv_heads=1), replace(LARGE, heads=6, kv_heads=2)),
    (AKI(), SMALL, LARGE),
    (AKI(depth=interpolate, draw=uniform, per_layer=True), SMALL, LARGE),
    (DirectCopy(depth=stack), SMALL, replace(LARGE, head_dim=6, vocab=17, length=9)),
    (Decoalesce(), SMALL, replace(SMALL, embed=16, layers=4, heads=4, mlp=24)),
    (Coalesce(depth=stack), SMALL, replace(SMALL, embed=4, layers=1, heads=1, mlp=5)),
    (Subset.of(layers=(1,), vocab=range(3, 9)), SMALL, replace(SMALL, layers=1, vocab=6)),
    (Deepen(stack_modulo), SMALL, replace(SMALL, layers=5)),
    (Deepen(middle), SMALL, replace(SMALL, layers=3)),
    (MSG(), SMALL, replace(LARGE, head_dim=4, value_dim=5)),
    (MSG(), TWO_STACKS, replace(TWO_STACKS, embed=11, heads=3, head_dim=5, mlp=13, encoder_layers=3, decoder_layers=4)),
    (MSG(), RESIDUAL, replace(RESIDUAL, channels=(6, 11), blocks=(2, 3))),
    (AddRows(), replace(SMALL, tied=False), replace(SMALL, tied=False, vocab=17)),
    (AddRows(fill="fresh", bias=-30.0), IMAGE, replace(IMAGE, classes=5)),
    (Resample("cubic"), SMALL, replace(SMALL, length=9)),
    (Resample(grid=True), IMAGE, replace(IMAGE, image=12, patch=3)),
    (Net2Net(noise=0.1), SMALL, replace(SMALL, heads=5, mlp=21)),
    (InheritWithMomentum(0.8), SMALL, LARGE),
    (FPI(draw=balanced), IMAGE, replace(IMAGE, embed=16, layers=3, heads=5, mlp=21)),
    (FPI(draw=uniform), CONV, replace(CONV, channels=(7, 6))),
    (FPI(), RESIDUAL, replace(RESIDUAL, channels=(6, 11))),
    (DropUpcycle(share=0.5), SMALL, replace(SMALL, experts=3)),
    (AddExperts(), replace(SMALL, experts=2), replace(SMALL, experts=3)),
    (
        AKI(),
        ENCODER_DECODER,
        replace(ENCODER_DECODER, embed=16, encoder_layers=3, decoder_layers=4, heads=5, mlp=21),
    ),
]
NAMES = [f"{type(operator).__name__}-{i}" for i, (operator, _, _) in enumerate(OPERATORS)]
#: Whether a pair is the first of its operator; what compiles is `slow` for the others.
FIRST = [type(pair[0]) not in [type(other[0]) for other in OPERATORS[:i]] for i, pair in enumerate(OPERATORS)]


@functools.cache
def _abstract(config: Any, x64: bool) -> tuple[Any, Any, Any]:
    """A model's graph definition, its parameters and the rest, without arrays."""
    graphdef, params, rest = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)
    return graphdef, nnx.to_pure_dict(params), rest


def abstract(config: Any) -> tuple[Any, Any, Any]:
    return _abstract(config, jax.config.read("jax_enable_x64"))


def random_params(config: Any, seed: int = 0) -> Any:
    """Parameters of a model, drawn from one normal distribution around 0 (gains around 1)."""
    rng = np.random.RandomState(seed)

    def draw(path: Any, leaf: Any) -> jax.Array:
        return jnp.asarray(0.4 * rng.normal(size=leaf.shape) + ("gain" in str(path)), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, abstract(config)[1])


def statistics(config: Any, seed: int = 0) -> Any:
    """Running statistics, none of them 0 or 1."""
    rng = np.random.RandomState(seed)
    rest = nnx.to_pure_dict(abstract(config)[2])

    def draw(path: Any, leaf: Any) -> jax.Array:
        return jnp.asarray(rng.normal(size=leaf.shape) + 3 * ("var" in str(path)), leaf.dtype) ** 2

    return jax.tree_util.tree_map_with_path(draw, rest)


def model(config: Any, params: Any) -> nnx.Module:
    graphdef, _, rest = abstract(config)
    return nnx.merge(graphdef, params, rest)


def placed(config: Any, mesh: Any) -> tuple[Any, Any]:
    """Abstract parameters of a model, and their shardings."""
    module = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    shapes = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    return shapes, shardings(axes_of(module), shapes, mesh)


def logits(config: Any, params: Any, **options: Any) -> np.ndarray:
    """What a model makes of fixed inputs, compiled once for each config."""
    return np.asarray(outputs(config, params, **options))


def outputs(config: Any, params: Any, **options: Any) -> jax.Array:
    """The same, to be differentiated."""
    inputs: tuple[np.ndarray, ...] = (TOKENS,)
    if isinstance(config, ViT | ConvNet | ResNet | CNN):
        channels = config.channels if isinstance(config, ViT) else getattr(config, "channels_in", None)
        shape = (2, *(config.shape if isinstance(config, CNN) else (config.image, config.image, channels)))
        inputs = (np.random.RandomState(1).normal(size=shape).astype(jax.tree.leaves(params)[0].dtype),)
    elif isinstance(config, T5):
        inputs = (TOKENS, TOKENS[:, ::-1])
    return _forward(config)(params, inputs, options)


@functools.cache
def _forward(config: Any) -> Callable[..., jax.Array]:
    config = replace(config, scan=True) if hasattr(config, "scan") else config  # quicker to compile
    graphdef, _, rest = abstract(config)

    def forward(params, inputs, options):
        unseen = functools.partial(_unseen, jax.tree.leaves(params)[0].dtype)
        return nnx.merge(graphdef, params, jax.tree.map_with_path(unseen, rest))(*inputs, **options)

    return jax.jit(forward)


def _unseen(dtype: Any, where: Any, statistic: jax.ShapeDtypeStruct) -> jax.Array:
    """The mean, 0, or variance, 1, of batches before any has been seen."""
    return jnp.full(statistic.shape, "var" in jax.tree_util.keystr(where), dtype)


def by_matrices(growth: Growth, sources: dict[str, Any], terms: Sequence[Term], view: View) -> dict[str, np.ndarray]:
    """What `grow` has to make, in numpy: every map as its matrix, every term by its definition."""
    found = {name: by_path(tree) for name, tree in sources.items()}
    made = {}
    for where, (axes, shape) in growth.target.items():
        total = np.zeros(shape)
        for term in growth.terms_of(where, terms):
            if term.concerns(axes):
                own = growth.source[where][0] if term.source == "small" else axes
                value = _by_matrices(term, found[term.source][where].astype(np.float64), own, axes, view)
                inside = np.broadcast_to(region_mask(term.region or {}, axes), shape)
                if term.matched and view is by_weight:
                    value = _moved_to(total, value, inside, layers_dim(axes))
                total = np.where(inside, value, total) if term.region else total + value
        made[where] = total
    return made


def _by_matrices(term: Term, x: np.ndarray, own: Axes, axes: Axes, view: View) -> np.ndarray:
    x = x.reshape([x.shape[own.names.index(name)] if name in own.names else 1 for name in axes.names])
    stacked = layers_dim(axes)
    for dim in sorted(range(x.ndim), key=lambda dim: dim == stacked):
        name, side = axes.names[dim], axes.sides[dim]
        if base(name) in term.maps:
            matrix = np.asarray(view(term.maps[base(name)].rule(side, axes.tied), seen_side(name, side)).dense())
            if matrix.ndim == 2:
                x = np.moveaxis(np.tensordot(matrix, x, (1, dim)), 0, dim)
            else:  # one for each layer
                rows = zip(matrix, np.moveaxis(x, stacked, 0), strict=True)
                at = dim - (dim > stacked)
                x = np.stack([np.moveaxis(np.tensordot(m, row, (1, at)), 0, at) for m, row in rows], stacked)
    return x * float(term.coefficient) + (term.constant if term.nothing and view is by_weight else 0)


def _moved_to(total: np.ndarray, value: np.ndarray, inside: np.ndarray, stacked: int | None) -> np.ndarray:
    dims = tuple(dim for dim in range(value.ndim) if dim != stacked)
    (old_mean, old), (mean, new) = (
        (x.mean(dims, keepdims=True, where=inside), x.std(dims, keepdims=True, where=inside)) for x in (total, value)
    )
    return old_mean + (value - mean) * old / new


def by_path(tree: Any) -> dict[str, np.ndarray]:
    return {"/".join(str(k.key) for k in path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}
