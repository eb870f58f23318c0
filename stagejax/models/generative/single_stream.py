"""A diffusion transformer of one stream: noisy latents, a source image and a prompt attend to each other as one row.

Letters: B batch, Y and X rows and columns of a latent, C its channels, P tokens of the latent's grid, S tokens of the
prompt, W their width, T tokens of the row, E embed, M = 6 modulations of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.generative.dit import WAVES, DiffusionBlock, DiT, Modulation, velocity_to, waves
from stagejax.models.linear import Dense, Table
from stagejax.models.norm import Norm
from stagejax.models.patches import of_patches, patches_of
from stagejax.models.stack import Remat, run_stack, stack

#: How the source image reaches the transformer: as tokens of the row, or added to the noisy tokens place by place.
Wiring = Literal["tokens", "channels"]


@dataclass(frozen=True)
class SingleStream:
    """What the transformer is.

    Blocks are those of `DiT` without a second attention: the prompt stands in the row itself. With `skips`, block i of
    the upper half reads W [x_i; y_j], where y_j is what block j = N - 1 - i of the lower half gave. Positions of the
    grid are a table, so another resolution is a growth of the axis `position` (`growth.Resample`).

    "channels" is a concatenation of the channels of noisy latent and source before the first projection, "tokens" sets
    the source's tokens, with the same positions and a bias of their own, between prompt and noisy ones. A sample
    without a source has a learnt vector in its place ("channels") or does not see it ("tokens").

    The mean of the prompt's tokens modulates all blocks, together with the time.

    The last layer gives the data y that it expects, and the velocity is (y - x_t) / (1 - t): what is learned is the
    same, but a narrow network need not carry the noise to its end.

    Raises:
      ValueError: an odd number of layers with `skips`, a patch that does not divide the latent, or an unknown wiring.

    References: Xia et al. 2025 (DreamOmni), https://arxiv.org/abs/2412.17098; skips: Bao et al. 2022 (U-ViT),
    https://arxiv.org/abs/2209.12152, section 3.1; data as the output: Li and He 2025, https://arxiv.org/abs/2511.13720;
    a pooled prompt: Esser et al. 2024, https://arxiv.org/abs/2403.03206, section 4.

    >>> SingleStream(latent=8, patch=2).sizes()["position"]
    16
    """

    latent: int = 8  # rows and columns
    channels: int = 8
    patch: int = 2  # rows and columns of a latent that make a token
    prompt: int = 13  # tokens of a prompt
    width: int = 64  # of what stands for a token of the prompt
    embed: int = 64
    layers: int = 6
    heads: int = 2
    head_dim: int = 32
    mlp: int = 256
    skips: bool = True
    wiring: Wiring = "channels"
    norm_eps: float = 1e-6
    remat: Remat | None = None  # any: nothing of a block is kept for its backward pass

    def __post_init__(self) -> None:
        if self.skips and self.layers % 2:
            raise ValueError(f"layers={self.layers} with skips: make it even, or skips=False")
        if self.latent % self.patch:
            raise ValueError(f"patch={self.patch} does not divide latent={self.latent}")
        if self.wiring not in get_args(Wiring):
            raise ValueError(f"wiring={self.wiring!r} is unknown: choose one of {get_args(Wiring)}")

    @property
    def grid(self) -> int:
        """Tokens along a side."""
        return self.latent // self.patch

    @property
    def block(self) -> DiT:
        """The sizes of a block."""
        pairs = self.head_dim // 2
        sizes = {"embed": self.embed, "heads": self.heads, "head_dim": self.head_dim, "mlp": self.mlp}
        return DiT(self.channels, self.patch, layers=self.layers, split=(pairs, 0, 0), norm_eps=self.norm_eps, **sizes)

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {"position": self.grid**2, "prompt": self.prompt, "width": self.width}
        return self.block.sizes() | own | ({"both": 2 * self.embed, "skips": self.layers // 2} if self.skips else {})

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SingleStreamTransformer` with initial parameters from `rngs.params`; its data are 0 at first."""
        return built(SingleStreamTransformer, self, rngs.params())


def _eager(block: DiffusionBlock) -> DiffusionBlock:
    """A block whose gates are open at first, and whose attention tells tokens apart: its logits are 4 times as far."""
    gates = block.modulation.table
    gates[...] = gates[...].at[jnp.array([2, 5])].add(1.0)
    for norm in (block.attention.query_norm, block.attention.key_norm):
        norm.gain[...] = 2 * norm.gain[...]
    return block


class SingleStreamTransformer(nnx.Module):
    """Noisy latents, time, prompt and source to a velocity of the latents' shape."""

    def __init__(self, config: SingleStream, rngs: nnx.Rngs) -> None:
        self.config = c = config
        E, dense = c.embed, {"bias": True, "rngs": rngs}
        pixels = {"pixel": c.block.sizes()["pixel"]}
        # Small, so that neither noise nor the source hides where a token lies.
        self.patches, self.source_patches = (
            Dense(pixels, {"embed": E}, std=std * pixels["pixel"] ** -0.5, **dense) for std in (0.3, 0.5)
        )
        self.no_source = axes.param(jnp.zeros(E), writes=("embed",))
        self.positions = Table("position", c.grid**2, E, std=1.0, rngs=rngs)
        self.prompt_in = Dense({"width": c.width}, {"embed": E}, std=c.width**-0.5, **dense)
        self.prompt_positions = Table("prompt", c.prompt, E, std=0.5, rngs=rngs)
        self.no_prompt = axes.param(jnp.zeros(c.width), writes=("width",))
        self.pooled_in = Dense({"width": c.width}, {"embed_out": E}, std=c.width**-0.5, bias=False, rngs=rngs)
        self.time_in = Dense({"waves": 2 * WAVES}, {"embed": E}, std=WAVES**-0.5, **dense)
        self.time_out = Dense({"embed": E}, {"embed_out": E}, std=E**-0.5, **dense)
        self.modulations = Dense({"embed_out": E}, {"modulation": 6, "embed": E}, std=0.02, **dense)
        self.blocks = stack(lambda rngs: _eager(DiffusionBlock(c.block, rngs)), c.layers, rngs)
        join = lambda rngs: Dense({"both": 2 * E}, {"embed": E}, std=(2 * E) ** -0.5, bias=True, rngs=rngs)  # noqa: E731
        self.skips = stack(join, c.layers // 2, rngs, "skips") if c.skips else None
        self.norm = Norm("rms", "embed", E, eps=c.norm_eps)
        self.last = Modulation(2, E, rngs=rngs)
        self.output = Dense({"embed": E}, pixels, std=0.0, **dense)

    def __call__(
        self,
        latents_BYXC: Float[Array, "B Y X C"],
        t_B: Float[Array, " B"],
        *,
        prompt: Float[Array, "B S W"],
        there: Bool[Array, "B S"] | Float[Array, "B S"],
        source: Float[Array, "B Y X C"],
        sourced: Bool[Array, " B"] | Float[Array, " B"],
        drop: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B Y X C"]:
        """The velocity at time t from 0 (noise) to 1 (data).

        Args:
          prompt, there: what stands for the tokens of the prompt, and which of them there are; not 0 is true.
          source, sourced: latents of the image to be edited, and which samples have one.
          drop: samples whose prompt is replaced by one learnt vector, for guidance. They keep their source.
        """
        c, S = self.config, prompt.shape[1]
        there = there.astype(bool)
        if drop is not None:
            there = jnp.where(drop[:, None], jnp.arange(S) == 0, there)
            prompt = jnp.where(drop[:, None, None], self.no_prompt[...], prompt)
        places_PE, sourced_B11 = self.positions(jnp.arange(c.grid**2)), sourced.astype(bool)[:, None, None]
        prompt_BSE = self.prompt_in(prompt) + self.prompt_positions(jnp.arange(S))
        noisy_BPE = self.patches(self._pieces(latents_BYXC)) + places_PE
        source_BPE = self.source_patches(self._pieces(source))
        if c.wiring == "channels":
            noisy_BPE = noisy_BPE + jnp.where(sourced_B11, source_BPE, self.no_source[...])
            row, seen = [prompt_BSE, noisy_BPE], [there]
        else:
            row = [prompt_BSE, source_BPE + places_PE + self.no_source[...], noisy_BPE]
            seen = [there, jnp.broadcast_to(sourced_B11[..., 0], source_BPE.shape[:2])]
        x_BTE = jnp.concatenate(row, axis=1)
        there_BT = jnp.concatenate([*seen, jnp.ones(noisy_BPE.shape[:2], bool)], axis=1)
        time_BE = self.time_out(jax.nn.silu(self.time_in(waves(t_B).astype(x_BTE.dtype))))
        share_BS1 = (there / jnp.maximum(there.sum(1, keepdims=True), 1))[..., None]
        time_BE = time_BE + self.pooled_in((share_BS1 * prompt).sum(1))
        shared_BME = self.modulations(jax.nn.silu(time_BE))
        x_BPE = self._through(x_BTE, there_BT, shared_BME)[:, -noisy_BPE.shape[1] :]
        shift, scale = self.last(shared_BME[:, :2])
        y = self.output((1 + scale) * self.norm(x_BPE) + shift)
        clean_BYXC = of_patches(y.reshape(*y.shape[:2], c.patch, c.patch, c.channels), c.grid)
        return velocity_to(clean_BYXC, latents_BYXC, t_B)

    def _through(self, x_BTE: Array, there_BT: Array, shared_BME: Array) -> Float[Array, "B T E"]:
        """All blocks, and long skips from the lower half to the upper one, last to first; one scan for each half."""
        c, half = self.config, self.config.layers // 2

        def call(block: DiffusionBlock, _: Any, x: Array) -> Array:
            return block(x, there_BT, shared_BME, None, None, None)

        if self.skips is None:
            return run_stack(self.blocks, call, x_BTE, start=0, stop=c.layers, scan=True, remat=c.remat)
        (graph, blocks), (skip_graph, skips) = nnx.split(self.blocks), nnx.split(self.skips)
        whole = jax.checkpoint if c.remat else lambda function: function

        @whole
        def lower(x: Array, params: Any) -> tuple[Array, Array]:
            y = call(nnx.merge(graph, params), None, x)
            return y, y

        @whole
        def upper(x: Array, own: Any) -> tuple[Array, None]:
            params, join, kept = own
            x = nnx.merge(skip_graph, join)(jnp.concatenate([x, kept], axis=-1))
            return call(nnx.merge(graph, params), None, x), None

        low, high = (jax.tree.map(lambda p, at=at: p[at], blocks) for at in (slice(0, half), slice(half, None)))
        x_BTE, kept_NBTE = jax.lax.scan(lower, x_BTE, low)
        return jax.lax.scan(upper, x_BTE, (high, skips, kept_NBTE[::-1]))[0]

    def _pieces(self, latents_BYXC: Array) -> Float[Array, "B P pixel"]:
        """Patches of latents as vectors.

        Raises:
          ValueError: latents of another size than the table of positions is for.
        """
        c, (B, Y, X, _) = self.config, latents_BYXC.shape
        if (c.latent, c.latent) != (Y, X):
            raise ValueError(
                f"latents of {Y} x {X}, but latent={c.latent}: grow the axis `position` to that resolution"
            )
        return patches_of(latents_BYXC, c.patch).reshape(B, c.grid**2, -1)
