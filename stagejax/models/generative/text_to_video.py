"""A diffusion transformer with its text encoder: words to what its blocks attend to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.block import Block
from stagejax.models.build import built
from stagejax.models.generative.dit import DiT
from stagejax.models.linear import Table
from stagejax.models.norm import Norm
from stagejax.models.stack import run_stack, stack


@dataclass(frozen=True)
class TextToVideo:
    """A `DiT` and a small encoder of texts in front of it, whose residual stream is the axis `text`.

    Raises:
      ValueError: a DiT without text, or heads that do not divide its width.

    >>> TextToVideo(DiT(layers=1, text=32), vocab=10).sizes()["layers.text"]
    1
    """

    net: DiT
    vocab: int
    length: int = 4  # tokens of a text
    layers: int = 1  # of the encoder
    heads: int = 2
    pad: int = 0  # the token that is no part of a text

    def __post_init__(self) -> None:
        if not self.net.text or self.net.text % self.heads:
            raise ValueError(
                f"heads={self.heads} do not divide net.text={self.net.text}, or there is no text: give the DiT a "
                "width of text that is a multiple of them"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        width = self.net.text
        own = {"vocab": self.vocab, "position": self.length, "layers.text": self.layers, "q_per_kv": 1}
        own |= {"kv_heads.text": self.heads, "mlp.text": 4 * width}
        return self.net.sizes() | own | {f"{kind}_dim.text": width // self.heads for kind in ("head", "value")}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TextToVideoModel` with its initial parameters, drawn from `rngs.params`."""
        return built(TextToVideoModel, self, rngs.params())


class TextToVideoModel(nnx.Module):
    """Noisy latents, time and words to a velocity.

    >>> config, inputs = TextToVideo(DiT(layers=1, text=32), vocab=10), (jnp.zeros((1, 2, 3, 3, 4)), jnp.zeros(1))
    >>> nnx.eval_shape(lambda: config.build(nnx.Rngs(0))(*inputs, jnp.ones((1, 4), int))).shape
    (1, 2, 3, 3, 4)
    """

    def __init__(self, config: TextToVideo, rngs: nnx.Rngs) -> None:
        self.config = c = config
        W, head = c.net.text, c.net.text // c.heads
        kinds = ("kv_heads", "mlp", "head_dim", "value_dim")
        names = {"embed": "text"} | {kind: f"{kind}.text" for kind in kinds}

        def block(rngs: nnx.Rngs) -> Block:
            how: dict[str, Any] = {"norm": "rms", "norm_position": "pre", "norm_eps": c.net.norm_eps, "dropout": 0.0}
            how |= {"activation": "gelu", "bias": True, "std": W**-0.5, "std_out": 0.5 * W**-0.5}
            return axes.renamed(Block(W, c.heads, 1, head, 4 * W, rngs=rngs, **how), names)

        tables = {"vocab": (c.vocab, 1.0), "position": (c.length, 0.3)}
        self.tokens, self.positions = (
            axes.renamed(Table(name, size, W, std=std, rngs=rngs), names) for name, (size, std) in tables.items()
        )
        self.blocks = stack(block, c.layers, rngs, "layers.text")
        self.norm = Norm("rms", "text", W, eps=c.net.norm_eps)
        self.net = c.net.build(rngs)

    def __call__(
        self,
        latents_BFYXC: Float[Array, "B F Y X C"],
        t_B: Float[Array, " B"],
        tokens: Int[Array, "B S"],
        *,
        drop: Bool[Array, " B"] | None = None,
        frames: Int[Array, " B"] | None = None,
    ) -> Float[Array, "B F Y X C"]:
        """The velocity; see `DiffusionTransformer`."""
        there = {"text_mask_BS": tokens != self.config.pad, "frames_B": frames}
        return self.net(latents_BFYXC, t_B, self.encode(tokens), drop=drop, **there)

    def encode(self, tokens: Int[Array, "B S"]) -> Float[Array, "B S W"]:
        """What the blocks attend to, one vector a token."""
        c, mask_BS = self.config, tokens != self.config.pad

        def call(block: Block, _: Any, x: Any) -> Any:
            return block(x, mask=mask_BS)

        x_BSW = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1]))
        return self.norm(run_stack(self.blocks, call, x_BSW, start=0, stop=c.layers, scan=c.net.scan))
