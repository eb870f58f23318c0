"""What a checkpoint computes, with one layer of it in memory at a time, always in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.interop.checkpoint import Checkpoint
from stagejax.interop.tensors import InteropError
from stagejax.models.block import Block
from stagejax.models.stack import run_stack
from stagejax.models.transformer import Transformer

LONGEST, ROWS = 64, 2  # of a probe


@dataclass(frozen=True, eq=False)
class Probe:
    """Inputs on which two models are compared, and what their logits should predict."""

    inputs: tuple[np.ndarray, ...]
    targets: np.ndarray | None  # one for each vector of logits; None: no loss
    what: str  # in words

    def loss(self, logits: np.ndarray) -> float | None:
        """The mean cross entropy in nats."""
        if self.targets is None:
            return None
        chosen = jnp.take_along_axis(jax.nn.log_softmax(jnp.asarray(logits)), self.targets[..., None], axis=-1)
        return -float(chosen.mean())


def probe_of(checkpoint: Checkpoint, seed: int = 0, text: Path | None = None) -> Probe:
    """Random inputs, or the beginning of a text in the checkpoint's own tokens.

    Raises:
      InteropError: a text, but no tokenizer.json in the folder, or too little of it.
    """
    c = checkpoint.config
    rng = np.random.RandomState(seed)
    if text is not None:
        tokens, what = _tokens(checkpoint.folder, text, min(c.length, LONGEST)), f"the beginning of {text.name}"
    else:
        tokens, what = rng.randint(0, c.vocab, (ROWS, min(c.length, LONGEST))), f"random tokens, seed {seed}"
    if not c.causal:
        return Probe((tokens,), tokens, f"{what}; loss of naming each token, none of them masked")
    return Probe((tokens[:, :-1],), tokens[:, 1:], f"{what}; loss of the next token")


def _tokens(folder: Path, text: Path, length: int) -> np.ndarray:
    from tokenizers import Tokenizer

    page = folder / "tokenizer.json"
    if not page.exists():
        raise InteropError(f"{page} is missing, so {text} cannot be tokenized: leave out --probe, or put it there")
    ids = Tokenizer.from_file(str(page)).encode(text.read_text()).ids[: ROWS * length]
    if len(ids) < ROWS * length:
        raise InteropError(f"{text} has {len(ids)} tokens, a probe needs {ROWS * length}: give a longer text")
    return np.asarray(ids).reshape(ROWS, length)


def outputs(checkpoint: Checkpoint, probe: Probe) -> np.ndarray:
    """The model's logits for a probe."""
    return np.asarray(language_model(checkpoint, *(jnp.asarray(x, jnp.int32) for x in probe.inputs)))


def language_model(checkpoint: Checkpoint, tokens_BT: jax.Array) -> jax.Array:
    """Logits of a `Transformer`."""
    c: Transformer = checkpoint.config
    read = partial(_module, checkpoint)
    model = read(lambda where: where.split("/")[0] in ("tokens", "positions", "types", "embed_norm"))
    positions = jnp.arange(tokens_BT.shape[1])[None]
    x_BTE = model.embed(tokens_BT, positions, None)
    angles = model.angles(positions, x_BTE)

    def call(block: Block, layer: Any, x_BTE: Any) -> Any:
        return block(x_BTE, causal=c.causal, angles_BTh=angles)

    x_BTE = run_layers(checkpoint, "blocks", call, x_BTE, c.layers)
    above = ("norm", "head", *(["tokens"] if c.tied else []))
    model = read(lambda where: where.split("/")[0] in above)
    return model.logits(x_BTE if model.norm is None else model.norm(x_BTE))


def run_layers(checkpoint: Checkpoint, blocks: str, call: Callable[..., Any], carry: Any, layers: int) -> Any:
    """`run_stack` over the blocks at a path, each read when it is its turn."""
    graphdef, _ = nnx.split(getattr(_one_layer(checkpoint), blocks))
    step = jax.jit(lambda params, carry: run_stack(nnx.merge(graphdef, params), call, carry, start=0, stop=1))
    paths = [where for where in checkpoint.leaves if where.startswith(f"{blocks}/")]
    for layer in range(layers):
        params = {where: _float32(checkpoint.read(where, [layer])) for where in paths}
        carry = step(_tree(params)[blocks], carry)
    return carry


def _module(checkpoint: Checkpoint, wanted: Callable[[str], bool]) -> Any:
    """The model with only those of its parameters that are wanted; the others are abstract."""
    model = _one_layer(checkpoint)
    nnx.update(model, _tree({w: _float32(checkpoint.read(w)) for w in checkpoint.leaves if wanted(w)}))
    return model


def _one_layer(checkpoint: Checkpoint) -> Any:
    config = replace(checkpoint.config, layers=1)
    return nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))


def _float32(x: np.ndarray) -> jax.Array:
    return jnp.asarray(x, jnp.float32)


def _tree(leaves: dict[str, Any]) -> Any:
    """Nested dictionaries from paths."""
    tree: dict[str, Any] = {}
    for where, leaf in leaves.items():
        *inner, last = where.split("/")
        node = tree
        for key in inner:
            node = node.setdefault(key, {})
        node[last] = leaf
    return tree
