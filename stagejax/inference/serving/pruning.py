"""One-shot pruning of the adapters of attention: the entries that some data uses most are set to zero.

The models are pre-norm decoders whose queries, keys and values have low-rank adapters, `adapted(net, form)`. Letters: L
layers, B rows, T tokens, E embed, R rank, I inputs and O outputs of a factor.

Reference: Huang et al. 2024, Antidote, https://arxiv.org/abs/2408.09600.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Int

from stagejax.axes import Axes
from stagejax.inference.frozen import Frozen, compiled, flops_of_one
from stagejax.inference.knowledge.residual import read_by_attention
from stagejax.models import Transformer
from stagejax.objectives import causal_lm
from stagejax.objectives.elastic import parameters
from stagejax.result import Result
from stagejax.transforms import LoRA, Reparameterized
from stagejax.transforms.importance import Within, largest, squared_norms, wanda, without
from stagejax.transforms.lora import restart

KERNELS, FACTORS = ("query", "key", "value"), ("down", "up")
#: An array for each factor of each kernel: {"query": {"down": (L, I, O), "up": (L, I, O)}, "key": ...}.
Factors = dict[str, dict[str, Array]]


def attention_inputs(path: str, axes: Axes) -> bool:
    """Whether a parameter is the kernel of a query, key or value.

    >>> attention_inputs("blocks/attention/query/kernel", Axes((), ()))
    True
    """
    return path.endswith(tuple(f"attention/{name}/kernel" for name in KERNELS))


def adapted(net: Transformer, form: LoRA) -> Reparameterized:
    """A decoder with adapters on queries, keys and values.

    >>> from stagejax.models import gpt
    >>> adapted(gpt(layers=2), LoRA(rank=4)).build(nnx.Rngs(0)).blocks.attention.query.kernel.down.shape
    (2, 64, 4)
    """
    return Reparameterized(net, form, attention_inputs)


def factors(params: Any) -> Factors:
    """The factors as matrices: down (L, E, R), and up (L, R, all outputs)."""
    kernels = params["blocks"]["attention"]
    own = {name: {factor: kernels[name]["kernel"][factor] for factor in FACTORS} for name in KERNELS}
    return jax.tree.map(lambda x: x.reshape(*x.shape[:2], -1), own)


def squares_read(model: Any, tokens_BT: Int[Array, "B T"]) -> Factors:
    """Squared norms of what each factor reads over tokens other than 0: down the stream (L, E), up its image (L, R).

    The rows pass through the whole, unpruned model: masks of all layers are found from one and the same pass.
    """
    x_LBTE, counted_BT = read_by_attention(model, tokens_BT), tokens_BT > 0

    def one(down_LER: Array) -> dict[str, Array]:
        inner_LBTR = jnp.einsum("lbte,ler->lbtr", x_LBTE, down_LER)
        return {"down": squared_norms(x_LBTE, counted_BT), "up": squared_norms(inner_LBTR, counted_BT)}

    return {name: one(own["down"]) for name, own in factors(parameters(model)).items()}


def wanda_scores(model: Any, tokens_NBT: Int[Array, "N B T"]) -> Factors:
    """|W| times the norm of what it reads on N batches of rows; without a row (N = 0), |W| alone."""
    own = factors(parameters(model))
    if not len(tokens_NBT):
        return jax.tree.map(jnp.abs, own)
    squares = jax.lax.map(lambda tokens_BT: squares_read(model, tokens_BT), tokens_NBT)
    return jax.tree.map(lambda weight, read: wanda(weight, read.mean(0)), own, squares)


def gradient_scores(model: Any, batch: Mapping[str, Array]) -> Factors:
    """|W| times the size of the gradient of the language-model loss on a batch."""
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    plain = nnx.to_pure_dict(params)
    slopes = jax.grad(lambda p: causal_lm(nnx.merge(graphdef, p, nnx.to_pure_dict(rest)), batch, None)[0])(plain)
    return jax.tree.map(lambda weight, slope: jnp.abs(weight * slope), factors(plain), factors(slopes))


def top(scores: Factors, share: float, within: Within = "row") -> dict[str, dict[str, Bool[Array, "L I O"]]]:
    """The mask of each factor's largest scores."""
    return jax.tree.map(lambda own: largest(own, share, within), scores)


def pruned(params: Any, masks: Factors) -> Any:
    """The parameters with zeros in the factors where the masks hold."""
    kernels = params["blocks"]["attention"]

    def shaped(name: str) -> dict[str, Any]:
        own = kernels[name]["kernel"]
        return {"kernel": {factor: masks[name][factor].reshape(own[factor].shape) for factor in FACTORS}}

    return without(params, {"blocks": {"attention": {name: shaped(name) for name in KERNELS}}})


def by_use(net: Frozen, tokens_NBT: Int[np.ndarray, "N B T"], share: float, within: Within = "row") -> Factors:
    """The mask of what some rows use most: the paper's."""
    return top(compiled(wanda_scores, net.config)(net.params, net.rest, tokens_NBT), share, within)


def by_size(net: Frozen, share: float, within: Within = "row") -> Factors:
    """The mask of the largest magnitudes."""
    return top(jax.tree.map(jnp.abs, factors(net.params)), share, within)


def at_random(net: Frozen, share: float, seed: int, within: Within = "row") -> Factors:
    """A mask of as many entries, drawn."""
    draw = np.random.default_rng(seed).random
    return top(jax.tree.map(lambda x: jnp.asarray(draw(x.shape, np.float32)), factors(net.params)), share, within)


def by_gradient(net: Frozen, batch: Mapping[str, Any], share: float, within: Within = "tensor") -> Factors:
    """The mask of the largest |weight · gradient|, which the released code ranks in each tensor."""
    return top(compiled(gradient_scores, net.config)(net.params, net.rest, dict(batch)), share, within)


def harmful_masks(tuned: Result, data: Any, batches: int, share: float) -> dict[str, Bool[np.ndarray, "L I O"]]:
    """The share of each factor's rows that the first batches of some data use most, by names such as "query.down".

    For `run.make`; `Pruned.by` then sets these entries to zero. No gradient is taken and nothing is trained.
    """
    masks = by_use(Frozen.of(tuned), rows_of(data, batches), share)
    return {f"{name}.{factor}": np.asarray(own) for name, each in masks.items() for factor, own in each.items()}


@dataclass(frozen=True)
class Pruned:
    """The transform that applies the masks of an artifact. Make it by `Pruned.by`."""

    of: str  # fingerprint of the artifact
    arrays: Mapping[str, np.ndarray] | None = field(
        default=None, repr=False, compare=False, metadata={"declared": False}
    )  # None while planning

    @classmethod
    def by(cls, masks: Result) -> Pruned:
        """The masks that `harmful_masks` found.

        >>> # masks = run.make("masks", harmful_masks, tuned, rows, 1, 0.1)
        >>> # run.transform("pruned", Pruned.by(masks), tuned, to=tuned.model)
        """
        return cls(masks.fingerprint, masks.value)

    def __call__(self, key: jax.Array, start: tuple[Any, Any]) -> tuple[Any, Any]:
        """The variables of the pruned model."""
        params, rest = start
        if self.arrays is None:
            return params, rest
        masks = {name: {factor: jnp.asarray(self.arrays[f"{name}.{factor}"]) for factor in FACTORS} for name in KERNELS}
        return pruned(params, masks), rest


def rows_of(data: Any, batches: int) -> Int[np.ndarray, "N B T"]:
    """The tokens of the first batches."""
    tokens = data.take(np.arange(batches * data.batch))["tokens"]
    return tokens.reshape(batches, data.batch, -1)


def flops_of_pass(config: Reparameterized, data: Any, batches: int) -> float:
    """FLOPs of the pass that finds the scores."""
    row = data.sample_spec()["tokens"]
    return float(batches * data.batch * flops_of_one(_one_norm, config, row))


def _one_norm(model: Any, tokens_BT: Int[Array, "B T"]) -> Array:
    return squares_read(model, tokens_BT)["query"]["down"]


@dataclass(frozen=True)
class Renewed:
    """The transform that merges adapters into their kernels and begins new ones, which change nothing yet.

    The second adapter of a model is trained on what the first one made of it; `seed` tells draws apart.
    """

    form: LoRA
    seed: int

    def __call__(self, key: jax.Array, start: tuple[Any, Any]) -> tuple[Any, Any]:
        """The variables of the renewed model."""
        return restart(self.form, start[0], jax.random.fold_in(key, self.seed)), start[1]
