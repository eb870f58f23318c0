"""A small generator of pictures that attends to the states of a text, and says where it looked for each of them.

Letters: B batch, Y, X rows and columns of pixels, C channels of a picture, P = Y X / patch² places, E embed, S tokens
of a text, W their width, K heads, H size of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.generative.dit import WAVES, projections, velocity_to, waves
from stagejax.models.linear import Dense
from stagejax.models.mlp import MLP
from stagejax.models.norm import Norm
from stagejax.models.patches import of_patches, patches_of
from stagejax.models.stack import Remat, run_stack, stack


@dataclass(frozen=True)
class TextToImage:
    """A diffusion transformer with cross-attention to the states of a text.

    Patches of the noisy picture are places of a transformer, whose blocks are x += g self(mod(norm x)); x += cross(norm
    x, text); x += g mlp(mod(norm x)). Scale, shift and gate (1 at first) of a block are a function of the time of its
    own. What comes out is the picture x that is predicted; the velocity is (x - x_t) / max(1 - t, 0.05).

    Nothing of the text reaches a pixel but by cross-attention to its states, which are inputs of the model: their maps
    can be read, and the states can be edited.

    Raises:
      ValueError: pixels that patches do not divide.

    References: Peebles and Xie 2022, https://arxiv.org/abs/2212.09748; cross-attention to a text tower's states:
    Rombach et al. 2022, https://arxiv.org/abs/2112.10752, section 3.3; predicting x under a loss of velocities: Li and
    He 2025, https://arxiv.org/abs/2511.13720.

    >>> TextToImage().sizes()["position"]
    24
    """

    shape: tuple[int, int] = (16, 24)  # rows and columns of a picture
    pixels: int = 3  # channels of a picture
    text: int = 64  # width of a text's states
    patch: int = 4
    embed: int = 96
    layers: int = 4
    heads: int = 3
    head_dim: int = 32
    mlp: int = 192
    sharp: float = 4.0  # factor of attention scores
    norm_eps: float = 1e-6
    scan: bool = False
    remat: Remat | None = None

    def __post_init__(self) -> None:
        if any(size % self.patch for size in self.shape):
            raise ValueError(f"patch={self.patch} does not divide shape={self.shape}: make rows and columns multiples")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of places."""
        return self.shape[0] // self.patch, self.shape[1] // self.patch

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        return {
            "pixel": self.patch**2 * self.pixels,
            "position": self.grid[0] * self.grid[1],
            "embed": self.embed,
            "layers": self.layers,
            "kv_heads": self.heads,
            "head_dim": self.head_dim,
            "value_dim": self.head_dim,
            "mlp": self.mlp,
            "text": self.text,
        }

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `TextToImageModel` with its initial parameters, drawn from `rngs.params`."""
        return built(TextToImageModel, self, rngs.params())


class TextToImageModel(nnx.Module):
    """Noisy pictures, time and states of texts to a velocity of the pictures' shape.

    >>> config = TextToImage(layers=1)
    >>> inputs = jnp.zeros((2, 16, 24, 3)), jnp.zeros(2), jnp.zeros((2, 5, 64))
    >>> nnx.eval_shape(lambda: config.build(nnx.Rngs(0))(*inputs)).shape
    (2, 16, 24, 3)
    """

    def __init__(self, config: TextToImage, rngs: nnx.Rngs) -> None:
        self.config = c = config
        sizes, E = c.sizes(), c.embed
        pixels, dense = {"pixel": sizes["pixel"]}, {"bias": True, "rngs": rngs}
        self.patches = Dense(pixels, {"embed": E}, std=sizes["pixel"] ** -0.5, **dense)
        places = 0.5 * jax.random.normal(rngs.params(), (sizes["position"], E))
        self.positions = axes.param(places, reads=("position",), writes=("embed",))
        self.time_in = Dense({"waves": 2 * WAVES}, {"embed": E}, std=(2 * WAVES) ** -0.5, **dense)
        self.time_out = Dense({"embed": E}, {"embed_out": E}, std=E**-0.5, **dense)
        self.no_text = axes.param(jnp.zeros(c.text), writes=("text",))
        self.blocks = stack(lambda rngs: PromptBlock(c, rngs), c.layers, rngs)
        self.norm = Norm("rms", "embed", E, eps=c.norm_eps)
        self.output = Dense({"embed": E}, pixels, std=0.0, **dense)

    def __call__(
        self,
        image: Float[Array, "B Y X C"],
        t: Float[Array, " B"],
        text: Float[Array, "B S W"],
        drop: Bool[Array, " B"] | None = None,
    ) -> Float[Array, "B Y X C"]:
        """The velocity at time t from 0 (noise) to 1 (data).

        Args:
          drop: samples whose text is replaced by a learnt vector, for guidance.
        """
        return self.looking(image, t, text, drop)[0]

    def looking(
        self,
        image: Float[Array, "B Y X C"],
        t: Float[Array, " B"],
        text: Float[Array, "B S W"],
        drop: Bool[Array, " B"] | None = None,
    ) -> tuple[Float[Array, "B Y X C"], Float[Array, "B P S"]]:
        """The velocity, and how much each place attended to each state of the text: the mean over layers and heads."""
        c, (rows, columns), p = self.config, self.config.grid, self.config.patch
        if drop is not None:
            text = jnp.where(drop[:, None, None], self.no_text[...], text)
        x_BPE = self.patches(patches_of(image, p).reshape(len(image), rows * columns, -1)) + self.positions[...]
        time_BE = jax.nn.silu(self.time_out(jax.nn.silu(self.time_in(waves(t).astype(x_BPE.dtype)))))

        def call(block: PromptBlock, _: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            x_BPE, map_BPS = block(carry[0], time_BE, text)
            return x_BPE, carry[1] + map_BPS / c.layers

        start = x_BPE, jnp.zeros((len(image), rows * columns, text.shape[1]), x_BPE.dtype)
        x_BPE, maps_BPS = run_stack(self.blocks, call, start, start=0, stop=c.layers, scan=c.scan, remat=c.remat)
        clean = of_patches(self.output(self.norm(x_BPE)).reshape(*x_BPE.shape[:2], p, p, c.pixels), rows)
        return velocity_to(clean, image, t), maps_BPS


class PromptBlock(nnx.Module):
    """Modulated self-attention, attention to the text, and a modulated feed-forward network."""

    def __init__(self, config: TextToImage, rngs: nnx.Rngs) -> None:
        c, E = config, config.embed
        self.modulation = Dense({"embed_out": E}, {"modulation": 6, "embed": E}, std=0.02, bias=True, rngs=rngs)
        self.attention_norm, self.cross_norm, self.mlp_norm = (
            Norm("rms", "embed", E, eps=c.norm_eps) for _ in range(3)
        )
        self.attention, self.cross = WhereAttention(c, "embed", E, rngs), WhereAttention(c, "text", c.text, rngs)
        std = {"std": E**-0.5, "std_out": c.mlp**-0.5}
        self.mlp = MLP(E, c.mlp, activation="gelu_tanh", bias=True, rngs=rngs, **std)

    def __call__(
        self, x_BPE: Float[Array, "B P E"], time_BE: Float[Array, "B E"], text_BSW: Float[Array, "B S W"]
    ) -> tuple[Float[Array, "B P E"], Float[Array, "B P S"]]:
        """What the next block reads, and the mean over heads of where the text was attended to."""
        modulation_BME = self.modulation(time_BE)[:, :, None]
        scale, shift, gate, mlp_scale, mlp_shift, mlp_gate = (modulation_BME[:, i] for i in range(6))
        y_BPE = (1 + scale) * self.attention_norm(x_BPE) + shift
        x_BPE = x_BPE + (1 + gate) * self.attention(y_BPE, y_BPE)[0]
        y_BPE, map_BPS = self.cross(self.cross_norm(x_BPE), text_BSW)
        x_BPE = x_BPE + y_BPE
        y_BPE = (1 + mlp_scale) * self.mlp_norm(x_BPE) + mlp_shift
        return x_BPE + (1 + mlp_gate) * self.mlp(y_BPE), map_BPS


class WhereAttention(nnx.Module):
    """Attention that gives its weights too. Queries and keys of the stream are normed head by head, keys of a text not:

    so a state of twice the length has logits of twice the size, as in the networks that edits of states were made for.
    """

    def __init__(self, config: TextToImage, source: str, size: int, rngs: nnx.Rngs) -> None:
        c = config
        self.query, self.key, self.value, self.out = projections(c, source, size, rngs)
        self.sharp = c.sharp
        self.query_norm = Norm("rms", "head_dim", c.head_dim, eps=c.norm_eps)
        self.key_norm = Norm("rms", "head_dim", c.head_dim, eps=c.norm_eps) if source == "embed" else None

    def __call__(
        self, x_BPE: Float[Array, "B P E"], source_BSD: Float[Array, "B S D"]
    ) -> tuple[Float[Array, "B P E"], Float[Array, "B P S"]]:
        """What is read, and the mean over heads of the weights."""
        query, key, value = self.query_norm(self.query(x_BPE)), self.key(source_BSD), self.value(source_BSD)
        key = key if self.key_norm is None else self.key_norm(key)
        scores = jnp.einsum("bpkh,bskh->bkps", query, key) * (self.sharp * query.shape[-1] ** -0.5)
        weights_BKPS = jax.nn.softmax(scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), -1).astype(key.dtype)
        return self.out(jnp.einsum("bkps,bskh->bpkh", weights_BKPS, value)), weights_BKPS.mean(1)
