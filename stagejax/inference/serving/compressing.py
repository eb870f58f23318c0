"""A trained decoder compressed layer by layer, each on what the compressed layers before it make of some text.

The models are pre-norm causal `LanguageModel`s, dense or with experts. Letters: N batches, B rows, T tokens, E embed, M
tokens in all, O outputs, I inputs, X experts.

References: Frantar and Alistarh 2023 (SparseGPT), https://arxiv.org/abs/2301.00774, section 4; the same 2023 (QMoE),
https://arxiv.org/abs/2310.16795, section 3 (an expert is calibrated on its own tokens).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.apart import take_apart
from stagejax.compiling import once_only
from stagejax.inference.frozen import Frozen
from stagejax.models import MoE, attend
from stagejax.models.mlp import activate
from stagejax.result import Result
from stagejax.transforms import Reparameterized, update_kernels
from stagejax.transforms.compensation import Choice, hessian, layer_error, second_moment
from stagejax.transforms.prune import Masked
from stagejax.transforms.sparsegpt import sparsegpt

#: Kernels of a block that read the same, in the order in which they are compressed.
DENSE = (("attention/query", "attention/key", "attention/value"), ("attention/out",), ("mlp/gate", "mlp/up"))
LAST = (("mlp/down",),)
Moments = dict[str, tuple[Array, Array]]  # of what each kernel reads: sums of x xᵀ and counts, of experts stacked


@dataclass(frozen=True)
class Solved:
    """A choice of values with error feedback from what a layer reads.

    Where fewer than `least` tokens were seen, as an expert may have, there is no feedback: H is the identity.
    """

    choice: Choice
    damping: float = 0.01
    least: int = 1

    def __call__(self, weight_OI: Array, sums_II: Array, count: Array) -> Float[Array, "O I"]:
        """The compressed layer."""
        known = count >= self.least
        hessian_II = hessian(jnp.where(known, sums_II, 0), jnp.where(known, count, 0))
        return sparsegpt(weight_OI, hessian_II, self.choice, self.damping)


@dataclass(frozen=True)
class MaskOf:
    """The zeros that another method puts, and the weights as they were: what its choice is worth without feedback."""

    method: Solved

    def __call__(self, weight_OI: Array, sums_II: Array, count: Array) -> Float[Array, "O I"]:
        """The masked layer."""
        return jnp.where(self.method(weight_OI, sums_II, count) == 0, 0, weight_OI)


@dataclass(frozen=True)
class Uncalibrated:
    """A function of a layer's weights alone: `Uncalibrated(partial(magnitude, choice=SemiStructured()))`."""

    function: Callable[[Array], Array]

    def __call__(self, weight_OI: Array, sums_II: Array, count: Array) -> Float[Array, "O I"]:
        """The compressed layer."""
        return self.function(weight_OI)


@dataclass(frozen=True)
class Compressed:
    """A compressed model, and what that did to its layers."""

    net: Frozen
    errors: dict[str, float]  # by kernel: ‖(W - W') X‖² / ‖W X‖², mean over layers (and experts)
    counts: np.ndarray  # tokens that each expert of each layer was calibrated on; of a dense model all of them

    @property
    def error(self) -> float:
        """The mean over kernels."""
        return float(np.mean(list(self.errors.values())))


def compressed(
    net: Frozen, tokens_NBT: Int[np.ndarray, "N B T"], method: Callable[[Array, Array, Array], Array]
) -> Compressed:
    """Every linear layer of a dense decoder, or every expert of a mixture, replaced by `method(W, Σ x xᵀ, n)`.

    Blocks come in order, and in a block first queries, keys and values, then their output, then the feed-forward
    network's two layers; what a layer reads passed through all that was compressed before it. Of a mixture only the
    experts are compressed, on the tokens that chose them. Biases, norms, tables and routers stay.

    Args:
      tokens_NBT: calibration text, batch by batch.
      method: hashable; of matrices (O, I).

    Raises:
      ValueError: the model is no pre-norm decoder.
    """
    c = net.config
    if not c.causal or c.norm_position != "pre":
        raise ValueError(f"causal={c.causal}, norm_position={c.norm_position!r}: only pre-norm decoders are compressed")
    model = nnx.merge(take_apart(c)[0], net.params, net.rest)
    graphdef, _ = nnx.split(model.blocks)
    x_NBTE, angles = _embedded(c, net.params, net.rest, tokens_NBT)
    blocks, errors, counts = [], {}, []
    for layer in range(c.layers):
        block = jax.tree.map(lambda leaf, layer=layer: leaf[layer], net.params["blocks"])
        for group in (*(() if c.experts else DENSE[:2]), DENSE[2], *LAST):
            moments = _moments(graphdef, block, x_NBTE, angles)
            for name in (name for name in group if name in moments):
                old, (sums, count) = _kernel(block, name), moments[name]
                made, error = _replacing(method)(old.reshape(*sums.shape[:-1], -1), sums, count)
                block = _with_kernel(block, name, made.reshape(old.shape))
                errors.setdefault(name, []).append(float(error))
                counts += [np.asarray(count)] if name == "mlp/up" else []
        x_NBTE = _passed(graphdef, block, x_NBTE, angles)
        blocks.append(block)
    stacked = jax.tree.map(lambda *rows: jnp.stack(rows), *blocks)
    made = Frozen(c, {**net.params, "blocks": stacked}, net.rest)
    return Compressed(made, {name: float(np.mean(own)) for name, own in errors.items()}, np.array(counts))


def kernels(params: Mapping[str, Any], experts: bool) -> dict[str, np.ndarray]:
    """The kernels that `compressed` replaces, stacked over layers (and experts), by name."""
    names = [name for group in (*(() if experts else DENSE[:2]), DENSE[2], *LAST) for name in group]
    found = {name: _node(params["blocks"], name) for name in names}
    return {name: np.asarray(node["kernel"]) for name, node in found.items() if node is not None}


def with_kernels(params: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the kernels of these names replaced."""
    blocks = params["blocks"]
    for name, kernel in own.items():
        blocks = _with_kernel(blocks, name, jnp.asarray(kernel))
    return {**params, "blocks": blocks}


@dataclass(frozen=True)
class Zeros:
    """The transform that puts pruned kernels, and a mask at their zeros. Make it by `Zeros.of`."""

    fingerprint: str  # of the pruned kernels
    to: Reparameterized  # with `Masked`
    arrays: Mapping[str, Any] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )  # None in a plan

    @classmethod
    def of(cls, pruned: Result, to: Reparameterized) -> Zeros:
        """The kernels of an artifact: those of its arrays that are named as in `kernels`.

        >>> # masked = run.transform("masked", Zeros.of(pruned, to), trained, to=Reparameterized(model, Masked()))
        """
        own = None if pruned.value is None else {name: x for name, x in pruned.value.items() if "/" in name}
        return cls(pruned.fingerprint, to, own)

    def __call__(self, key: Array, start: tuple[Any, Any]) -> tuple[Any, Any]:
        """The variables of the masked model."""
        params, rest = start
        made = self.to.adapt(key, (with_kernels(params, self.arrays or {}), rest))
        return update_kernels(Masked(), lambda _, p, r: (p, {**r, "mask": p["dense"] != 0}), *made)


# --- a block's parts ---


def taps(block: Any, x_BTE: Float[Array, "B T E"], angles: Array | None = None) -> dict[str, tuple[Array, Array]]:
    """What each kernel of a block reads (M, I), and which of the M tokens count; of experts with a leading X.

    >>> from stagejax.models import gpt
    >>> from stagejax.models.language_model import block_of
    >>> read = taps(block_of(gpt(embed=8, mlp=12), nnx.Rngs(0)), jnp.ones((2, 3, 8)))
    >>> {name: x.shape for name, (x, _) in read.items() if "mlp" in name}
    {'mlp/up': (6, 8), 'mlp/down': (6, 12)}
    """
    M = x_BTE.shape[0] * x_BTE.shape[1]
    all_M = jnp.ones(M, bool)
    read_BTE = block.attention_norm(x_BTE)
    heads = attend(*block.attention.project(read_BTE, angles), causal=True)
    found = {f"attention/{name}": (read_BTE.reshape(M, -1), all_M) for name in ("query", "key", "value")}
    found["attention/out"] = heads.reshape(M, -1), all_M
    x_BTE = x_BTE + block.attention.out(heads)
    read_BTE, mlp = block.mlp_norm(x_BTE), block.mlp
    if isinstance(mlp, MoE):
        chosen_BTX, hidden_BXTF = mlp.inside(read_BTE)
        chosen_XM, X = chosen_BTX.reshape(M, -1).T, chosen_BTX.shape[-1]
        read_XME = jnp.broadcast_to(read_BTE.reshape(1, M, -1), (X, M, x_BTE.shape[-1]))
        enter, leave = (read_XME, chosen_XM), (hidden_BXTF.swapaxes(0, 1).reshape(X, M, -1), chosen_XM)
    else:
        gate = None if mlp.gate is None else mlp.gate(read_BTE)
        hidden_BTF = activate(mlp.activation, mlp.up(read_BTE), gate)
        enter, leave = (read_BTE.reshape(M, -1), all_M), (hidden_BTF.reshape(M, -1), all_M)
    return found | ({} if mlp.gate is None else {"mlp/gate": enter}) | {"mlp/up": enter, "mlp/down": leave}


@partial(jax.jit, static_argnums=0)
def _moments(graphdef: Any, params: Any, x_NBTE: Array, angles: Array | None) -> Moments:
    """Of all batches together; of an expert layer one for each expert, of other layers in it none."""
    block = nnx.merge(graphdef, params)
    mixture = isinstance(block.mlp, MoE)

    def one(x_BTE: Array) -> Moments:
        read = taps(block, x_BTE, angles)
        own = {name: pair for name, pair in read.items() if not mixture or name.startswith("mlp/")}
        return {name: (jax.vmap(second_moment) if mixture else second_moment)(*pair) for name, pair in own.items()}

    return jax.tree.map(lambda leaf: leaf.sum(0), jax.lax.map(one, x_NBTE))


@partial(jax.jit, static_argnums=0)
def _passed(graphdef: Any, params: Any, x_NBTE: Array, angles: Array | None) -> Array:
    block = nnx.merge(graphdef, params)
    return jax.lax.map(lambda x_BTE: block(x_BTE, causal=True, angles_BTh=angles), x_NBTE)


@partial(jax.jit, static_argnums=0)
def _embedded(config: Any, params: Any, rest: Any, tokens_NBT: Array) -> tuple[Array, Array | None]:
    model = nnx.merge(take_apart(config)[0], params, rest)
    positions = jnp.arange(tokens_NBT.shape[-1])[None]
    x_NBTE = jax.lax.map(lambda tokens_BT: model.embed(tokens_BT, positions, None), tokens_NBT)
    return x_NBTE, model.angles(positions, x_NBTE)


@functools.cache
def _replacing(method: Any) -> Callable[..., tuple[Array, Array]]:
    """`_replaced` as one program for all layers of a shape. It does little: compiling it is most of its time."""
    return jax.jit(partial(_replaced, method), compiler_options=once_only())


def _replaced(method: Any, kernel: Array, sums: Array, count: Array) -> tuple[Array, Array]:
    """The new matrix (I, O) and its relative error; of experts (X, I, O), and the mean error."""

    def one(kernel_IO: Array, sums_II: Array, count: Array) -> tuple[Array, Array]:
        made_OI = method(kernel_IO.T, sums_II, count)
        return made_OI.T, layer_error(kernel_IO.T, made_OI, hessian(sums_II, count))

    made, error = (jax.vmap(one) if sums.ndim == 3 else one)(kernel, sums, count)
    return made.astype(kernel.dtype), error.mean()


def _node(block: Any, name: str) -> Any:
    module, layer = name.split("/")
    return block[module].get(layer)


def _kernel(block: Any, name: str) -> Array:
    return _node(block, name)["kernel"]


def _with_kernel(block: Any, name: str, kernel: Array) -> dict[str, Any]:
    module, layer = name.split("/")
    return {**block, module: {**block[module], layer: {**block[module][layer], "kernel": kernel}}}
