"""What a checkpoint computes, with one layer of it in memory at a time, always in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from stagejax.models.t5 import T5
from stagejax.models.transformer import Transformer
from stagejax.models.vit import ViT

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
      InteropError: a text, but no tokenizer.json in the folder, or too little of it; or the model reads images.
    """
    c, rng = checkpoint.config, np.random.RandomState(seed)
    if isinstance(c, ViT):
        if text is not None:
            raise InteropError(f"{text} cannot be shown to a {checkpoint.architecture.name}: leave out --probe")
        images = rng.standard_normal((ROWS, c.image, c.image, c.channels)).astype(np.float32)
        return Probe((images,), None, f"random images, seed {seed}")
    length = min(getattr(c, "length", LONGEST), LONGEST)
    if text is not None:
        tokens, what = _tokens(checkpoint.folder, text, length), f"the beginning of {text.name}"
    else:
        tokens, what = rng.randint(0, c.vocab, (ROWS, length)), f"random tokens, seed {seed}"
    if isinstance(c, T5):
        return Probe((tokens, tokens[:, :-1]), tokens[:, 1:], f"{what}; loss of the next token, all of them encoded")
    if not c.causal:
        return Probe((tokens,), tokens, f"{what}; loss of naming each token, none of them masked")
    return Probe((tokens[:, :-1],), tokens[:, 1:], f"{what}; loss of the next token")


def takes(config: Any, probe: Probe) -> bool:
    """Whether a model of this configuration can be shown a probe that was made for another one."""
    if isinstance(config, ViT):
        return probe.inputs[0].shape[1:] == (config.image, config.image, config.channels)
    tokens = [*probe.inputs, *([] if probe.targets is None else [probe.targets])]
    known, positions = max(int(x.max()) for x in tokens), max(x.shape[1] for x in probe.inputs)
    return known < config.vocab and positions <= config.sizes().get("position", positions)


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
    kinds = {Transformer: language_model, T5: encoder_decoder, ViT: vision_transformer}
    compute = kinds[type(checkpoint.config)]
    return np.asarray(compute(checkpoint, *(jnp.asarray(x) for x in probe.inputs)))


def language_model(checkpoint: Checkpoint, tokens_BT: jax.Array) -> jax.Array:
    """Logits of a `Transformer`."""
    c: Transformer = checkpoint.config
    positions = jnp.arange(tokens_BT.shape[1])[None]

    def below(model: Any, tokens_BT: jax.Array) -> Any:
        x_BTE = model.embed(tokens_BT, positions, None)
        return x_BTE, model.angles(positions, x_BTE)

    x_BTE, angles = _run(checkpoint, ("tokens", "positions", "types", "embed_norm"), below, tokens_BT)

    def call(block: Block, layer: Any, x_BTE: Any) -> Any:
        return block(x_BTE, causal=c.causal, angles_BTh=angles)

    x_BTE = run_layers(checkpoint, "blocks", call, x_BTE, c.layers)
    above = lambda model, x: model.logits(x if model.norm is None else model.norm(x))  # noqa: E731
    return _run(checkpoint, ("norm", "head", *(["tokens"] if c.tied else [])), above, x_BTE)


def encoder_decoder(checkpoint: Checkpoint, tokens_BS: jax.Array, targets_BT: jax.Array) -> jax.Array:
    """Logits of a `T5`."""
    c: T5 = checkpoint.config

    def run(side: str, tokens: jax.Array, layers: int, **context: jax.Array) -> jax.Array:
        positions, norm = f"{side}_positions", f"{side}_norm"
        below = lambda model, tokens: (model.tokens(tokens), getattr(model, positions)(tokens.shape[1]))  # noqa: E731
        x_BTE, bias_KTT = _run(checkpoint, ("tokens", positions), below, tokens)
        call = lambda block, layer, x: block(x, bias_KTT, **context)  # noqa: E731
        x_BTE = run_layers(checkpoint, side, call, x_BTE, layers)
        return _run(checkpoint, (norm,), lambda model, x: getattr(model, norm)(x), x_BTE)

    memory_BSE = run("encoder", tokens_BS, c.encoder_layers)
    x_BTE = run("decoder", targets_BT, c.decoder_layers, memory_BSE=memory_BSE)
    return _run(checkpoint, ("tokens" if c.tied else "output",), lambda model, x: model.logits(x), x_BTE)


def vision_transformer(checkpoint: Checkpoint, images_BYXP: jax.Array) -> jax.Array:
    """Logits of a `ViT`."""
    c: ViT = checkpoint.config
    below = ("patches", "positions", "class_token", "distilled_token")
    x_BTE = _run(checkpoint, below, lambda model, images: model.tokens(images), images_BYXP)
    x_BTE = run_layers(checkpoint, "blocks", lambda block, layer, x: block(x), x_BTE, c.layers)
    above = ("norm", "head", "distilled_head")
    return _run(checkpoint, above, lambda model, x: model.logits(model.pool(x)), x_BTE)


def run_layers(checkpoint: Checkpoint, blocks: str, call: Callable[..., Any], carry: Any, layers: int) -> Any:
    """`run_stack` over the blocks at a path, each read when it is its turn."""
    graphdef, _ = nnx.split(getattr(_one_layer(checkpoint), blocks))
    step = jax.jit(lambda params, carry: run_stack(nnx.merge(graphdef, params), call, carry, start=0, stop=1))
    paths = [where for where in checkpoint.leaves if where.startswith(f"{blocks}/")]
    for layer in range(layers):
        params = {where: _float32(checkpoint.read(where, [layer])) for where in paths}
        carry = step(_tree(params)[blocks], carry)
    return carry


def _run(checkpoint: Checkpoint, modules: Sequence[str], compute: Callable[..., Any], *inputs: jax.Array) -> Any:
    """`compute(model, *inputs)` in one program, with the parameters of these modules; the others are abstract."""
    graphdef, abstract = nnx.split(_one_layer(checkpoint))

    def program(params: Any, *inputs: jax.Array) -> Any:
        model = nnx.merge(graphdef, nnx.to_pure_dict(abstract))
        nnx.update(model, params)
        return compute(model, *inputs)

    wanted = [where for where in checkpoint.leaves if where.split("/")[0] in modules]
    return jax.jit(program)(_tree({where: _float32(checkpoint.read(where)) for where in wanted}), *inputs)


def _one_layer(checkpoint: Checkpoint) -> Any:
    c = checkpoint.config
    depths = [name for name in ("layers", "encoder_layers", "decoder_layers") if hasattr(c, name)]
    config = replace(c, **dict.fromkeys(depths, 1))
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
