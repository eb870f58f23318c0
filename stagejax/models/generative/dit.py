"""Diffusion transformer: a velocity for noisy latents of images and videos, by full attention over frames and pixels.

Letters: B batch, F frames, Y rows, X columns, C channels of a latent, T = F Y X tokens (after patching), E embed,
S tokens of the text, W their width, h half a head, M = 6 modulations of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from stagejax import axes
from stagejax.models.attention import attend
from stagejax.models.build import built
from stagejax.models.linear import Dense
from stagejax.models.mlp import MLP
from stagejax.models.norm import Norm
from stagejax.models.rotary import rotary_angles, rotate
from stagejax.models.sequence import along_sequence
from stagejax.models.stack import Remat, run_stack, stack

WAVES = 64  # features of the time


@dataclass(frozen=True)
class DiT:
    """What a diffusion transformer is. No parameter depends on the number of frames or pixels.

    A block is x += g1 attention(mod1(norm x)); x += cross(x, text); x += g2 mlp(mod2(norm x)), mod(y) = (1 + scale) y +
    shift. The six modulations are a table of the block's own plus one network of the time that all blocks share
    (AdaLN-single). Queries and keys are normed head by head, and rotated by frame, row and column. On a mesh with an
    axis `sequence`, tokens lie along it (`along_sequence`).

    Raises:
      ValueError: a split of the head that does not add up to half of it, a head that is not even, or turns that do not
        divide the heads.

    References: Peebles and Xie 2022, https://arxiv.org/abs/2212.09748; Chen et al. 2023 (AdaLN-single),
    https://arxiv.org/abs/2310.00426; Step-Video-T2V 2025, https://arxiv.org/abs/2502.10248, table 1 and section 4.

    >>> model = DiT(layers=1).build(nnx.Rngs(0))
    >>> model(jnp.zeros((2, 3, 4, 4, 4)), jnp.zeros(2)).shape
    (2, 3, 4, 4, 4)
    """

    channels: int = 4
    patch: int = 1  # rows and columns of a latent that make a token
    embed: int = 64
    layers: int = 4
    heads: int = 2
    head_dim: int = 32
    mlp: int = 256
    text: int = 0  # width of the text that is attended to; 0: none
    split: tuple[int, int, int] = (8, 4, 4)  # pairs of a head that turn with frame, row and column
    theta: float = 10_000.0
    norm_eps: float = 1e-6
    scan: bool = False
    remat: Remat | None = None
    turns: int = 1  # in which heads attend, so many of them at a time, for less memory

    def __post_init__(self) -> None:
        if self.heads % self.turns:
            raise ValueError(f"heads={self.heads} cannot attend in turns={self.turns}: make it a divisor")
        if 2 * sum(self.split) != self.head_dim:
            raise ValueError(
                f"split={self.split} are {sum(self.split)} pairs, but a head of {self.head_dim} has "
                f"{self.head_dim / 2:g}: make split add up to head_dim / 2"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        sizes = {
            "pixel": self.patch**2 * self.channels,
            "embed": self.embed,
            "layers": self.layers,
            "kv_heads": self.heads,
            "head_dim": self.head_dim,
            "value_dim": self.head_dim,
            "mlp": self.mlp,
        }
        return sizes | ({"text": self.text} if self.text else {})

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `DiffusionTransformer` with initial parameters from `rngs.params`; its velocity is 0 at first."""
        return built(DiffusionTransformer, self, rngs.params())


class DiffusionTransformer(nnx.Module):
    """Latents, time and text to a velocity of the latents' shape."""

    def __init__(self, config: DiT, rngs: nnx.Rngs) -> None:
        self.config = c = config
        E, dense = c.embed, {"bias": True, "rngs": rngs}
        pixels = {"pixel": c.sizes()["pixel"]}
        self.patches = Dense(pixels, {"embed": E}, std=pixels["pixel"] ** -0.5, **dense)
        self.time_in = Dense({"waves": 2 * WAVES}, {"embed": E}, std=0.02, **dense)
        self.time_out = Dense({"embed": E}, {"embed_out": E}, std=E**-0.5, **dense)
        self.modulations = Dense({"embed_out": E}, {"modulation": 6, "embed": E}, std=0.02, **dense)
        self.no_text = axes.param(jnp.zeros(c.text), writes=("text",)) if c.text else None
        self.blocks = stack(lambda rngs: DiffusionBlock(c, rngs), c.layers, rngs)
        self.norm = Norm("rms", "embed", E, eps=c.norm_eps)
        self.last = Modulation(2, E, rngs=rngs)
        self.output = Dense({"embed": E}, pixels, std=0.0, **dense)

    def __call__(
        self,
        latents_BFYXC: Float[Array, "B F Y X C"],
        t_B: Float[Array, " B"],
        text_BSW: Float[Array, "B S W"] | None = None,
        *,
        text_mask_BS: Bool[Array, "B S"] | None = None,
        drop: Bool[Array, " B"] | None = None,
        frames_B: Int[Array, " B"] | None = None,
    ) -> Float[Array, "B F Y X C"]:
        """The velocity at time t from 0 (noise) to 1 (data).

        Args:
          text_mask_BS: which tokens of the text there are; each sample has at least one.
          drop: samples whose text is replaced by a learnt vector, for guidance.
          frames_B: how many frames there are of each sample, such as 1 of an image among videos; what lies behind them
            is not seen, and its velocity means nothing. None: all.
        """
        c, p = self.config, self.config.patch
        B, F, Y, X, C = latents_BFYXC.shape
        if Y % p or X % p:
            raise ValueError(f"latents of {Y} x {X} pixels: make both multiples of patch={p}")
        if (text_BSW is None) != (c.text == 0):
            raise ValueError(f"text={c.text} in the model's config: {'give' if c.text else 'leave out'} text_BSW")
        if text_BSW is not None and drop is not None:
            text_BSW = jnp.where(drop[:, None, None], self.no_text[...], text_BSW)  # type: ignore[index]
        pieces = latents_BFYXC.reshape(B, F, Y // p, p, X // p, p, C).transpose(0, 1, 2, 4, 3, 5, 6)
        x_BTE = self.patches(pieces.reshape(B, F * (Y // p) * (X // p), p * p * C))
        time_BE = self.time_out(jax.nn.silu(self.time_in(waves(t_B).astype(x_BTE.dtype))))
        shared_BME = self.modulations(jax.nn.silu(time_BE))
        angles = grid_angles((F, Y // p, X // p), c.split, c.theta)
        there_BT = None
        if frames_B is not None:
            there_BT = (jnp.arange(F) < frames_B[:, None]).repeat(x_BTE.shape[1] // F, axis=1)

        def call(block: DiffusionBlock, _: Any, x: Array) -> Array:
            return along_sequence(block(x, there_BT, shared_BME, angles, text_BSW, text_mask_BS), 1)

        x_BTE = along_sequence(x_BTE, 1)
        x_BTE = run_stack(self.blocks, call, x_BTE, start=0, stop=c.layers, scan=c.scan, remat=c.remat)
        shift, scale = self.last(shared_BME[:, :2])
        y = self.output((1 + scale) * self.norm(x_BTE) + shift)
        y = y.reshape(B, F, Y // p, X // p, p, p, C).transpose(0, 1, 2, 4, 3, 5, 6)
        return y.reshape(B, F, Y, X, C)


class Modulation(nnx.Module):
    """A table of vectors that is added to what all blocks share: gives `count` arrays (B, 1, E)."""

    def __init__(self, count: int, embed: int, *, rngs: nnx.Rngs) -> None:
        table = embed**-0.5 * jax.random.normal(rngs.params(), (count, embed))
        self.table = axes.param(table, reads=("modulation",), writes=("embed",))

    def __call__(self, shared_BME: Float[Array, "B M E"]) -> list[Float[Array, "B 1 E"]]:
        both_BME = self.table[...] + shared_BME
        return [both_BME[:, i, None] for i in range(both_BME.shape[1])]


class DiffusionBlock(nnx.Module):
    """Modulated self-attention, attention to the text, and a modulated feed-forward network."""

    def __init__(self, config: DiT, rngs: nnx.Rngs) -> None:
        c, E = config, config.embed
        self.modulation = Modulation(6, E, rngs=rngs)
        self.attention_norm, self.mlp_norm = (Norm("rms", "embed", E, eps=c.norm_eps) for _ in range(2))
        self.attention = NormedAttention(c, "embed", E, rngs)
        self.cross = NormedAttention(c, "text", c.text, rngs) if c.text else None
        std = E**-0.5
        self.mlp = MLP(E, c.mlp, activation="gelu_tanh", bias=True, std=std, std_out=c.mlp**-0.5, rngs=rngs)

    def __call__(
        self,
        x_BTE: Array,
        there_BT: Array | None,
        shared_BME: Array,
        angles_BTh: Array | None,
        text_BSW: Array | None,
        mask_BS: Array | None,
    ) -> Float[Array, "B T E"]:
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(shared_BME)
        y_BTE = (1 + scale) * self.attention_norm(x_BTE) + shift
        x_BTE = x_BTE + gate * self.attention(y_BTE, y_BTE, angles_BTh, there_BT)
        if self.cross is not None:
            x_BTE = x_BTE + self.cross(x_BTE, text_BSW, None, mask_BS)
        y_BTE = (1 + mlp_scale) * self.mlp_norm(x_BTE) + mlp_shift
        return x_BTE + mlp_gate * self.mlp(y_BTE)


class NormedAttention(nnx.Module):
    """Attention whose queries and keys are normed head by head, to tokens whose width is the axis `source`."""

    def __init__(self, config: DiT, source: str, size: int, rngs: nnx.Rngs) -> None:
        c = config
        self.query, self.key, self.value, self.out = projections(c, source, size, rngs)
        self.query_norm, self.key_norm = (Norm("rms", "head_dim", c.head_dim, eps=c.norm_eps) for _ in range(2))
        self.turns = c.turns

    def __call__(
        self, x_BTE: Array, source_BSD: Array, angles_BTh: Array | None, mask_BS: Array | None = None
    ) -> Float[Array, "B T E"]:
        query, key = self.query_norm(self.query(x_BTE)), self.key_norm(self.key(source_BSD))
        if angles_BTh is not None:
            query, key = rotate(query, angles_BTh), rotate(key, angles_BTh)
        key, value = (along_sequence(x, 1, whole=True) for x in (key, self.value(source_BSD)))
        return self.out(attend_in_turns(self.turns, along_sequence(query, 1), key, value, mask_BS))


def projections(config: Any, source: str, size: int, rngs: nnx.Rngs) -> tuple[Dense, Dense, Dense, Dense]:
    """Queries, keys, values and the output of attention to an axis `source`, of a config's embed, heads and head_dim.

    >>> [layer.kernel.shape for layer in projections(DiT(), "text", 48, nnx.Rngs(0))]
    [(64, 2, 32), (48, 2, 32), (48, 2, 32), (2, 32, 64)]
    """
    c, heads, embed = config, {"kv_heads": config.heads}, {"embed": config.embed}
    keys, values = heads | {"head_dim": c.head_dim}, heads | {"value_dim": c.head_dim}
    query = Dense(embed, keys, std=c.embed**-0.5, bias=False, rngs=rngs)
    key, value = (Dense({source: size}, to, std=size**-0.5, bias=False, rngs=rngs) for to in (keys, values))
    return query, key, value, Dense(values, embed, std=(c.heads * c.head_dim) ** -0.5, bias=False, rngs=rngs)


def attend_in_turns(
    turns: int,
    query_BTKH: Float[Array, "B T K H"],
    key_BSKH: Float[Array, "B S K H"],
    value_BSKV: Float[Array, "B S K V"],
    mask_BS: Bool[Array, "B S"] | None = None,
) -> Float[Array, "B T K V"]:
    """`attend`, each head in one of so many turns: the scores of K / turns heads are there at once, in both passes.

    Head k has its turn k % turns, so that heads that lie on several devices work in every one of them.

    >>> q = k = v = jnp.ones((1, 3, 4, 2))
    >>> attend_in_turns(2, q, k, v).shape
    (1, 3, 4, 2)
    """
    if turns == 1:
        return attend(query_BTKH[:, :, :, None], key_BSKH, value_BSKV, mask=mask_BS)[:, :, :, 0]

    def apart(x: Array) -> Array:
        return jnp.moveaxis(x.reshape(*x.shape[:2], -1, turns, x.shape[-1]), 3, 0)

    @jax.checkpoint
    def turn(now: tuple[Array, Array, Array]) -> Array:
        return attend_in_turns(1, *now, mask_BS)

    y = jnp.moveaxis(jax.lax.map(turn, tuple(map(apart, (query_BTKH, key_BSKH, value_BSKV)))), 0, 3)
    return y.reshape(query_BTKH.shape[:3] + value_BSKV.shape[-1:])


def waves(t_B: Float[Array, " B"]) -> Float[Array, "B waves"]:
    """cos and sin of t at frequencies from 1 to 1000 radians a unit of time.

    >>> waves(jnp.zeros(1))[0, :2]
    Array([1., 1.], dtype=float32)
    """
    angles = t_B[:, None] * jnp.geomspace(1.0, 1000.0, WAVES)
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def velocity_to(
    data: Float[Array, "B Y X C"], noisy: Float[Array, "B Y X C"], t: Float[Array, " B"]
) -> Float[Array, "B Y X C"]:
    """(x - x_t) / max(1 - t, 0.05): from noisy images at time t straight to the data x that a network expects there.

    A network that says x need not carry the noise to its end. Reference: Li and He 2025,
    https://arxiv.org/abs/2511.13720.

    >>> velocity_to(jnp.ones((1, 1, 1, 1)), jnp.zeros((1, 1, 1, 1)), jnp.array([0.5])).item()
    2.0
    """
    return (data - noisy) / jnp.maximum(1 - t, 0.05)[:, None, None, None]


def grid_angles(
    shape: tuple[int, int, int], split: tuple[int, int, int], theta: float = 10_000.0
) -> Float[Array, "1 T half"]:
    """Rotary angles of the tokens of a grid of frames, rows and columns: a part of each head for each direction.

    The product of a query and a key depends on their distance in each direction alone.

    >>> grid_angles((1, 1, 2), (1, 1, 1))[0]
    Array([[0., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    places = jnp.stack(jnp.meshgrid(*map(jnp.arange, shape), indexing="ij"), -1).reshape(1, -1, 3)
    parts = [rotary_angles(places[..., i], 2 * pairs, theta=theta) for i, pairs in enumerate(split)]
    return jnp.concatenate(parts, axis=-1)
