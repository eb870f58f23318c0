"""MM-DiT: a diffusion transformer in which the tokens of a condition and those of a noisy image attend to each other.

Letters: B batch, Y and X rows and columns, C channels of a pixel, P tokens of an image, S tokens of the condition, W
their width, T = S + P, E embed, M = 6 modulations of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from stagejax.models.attention import attend
from stagejax.models.build import built
from stagejax.models.generative.dit import WAVES, projections, velocity_to, waves
from stagejax.models.linear import Dense, Table
from stagejax.models.mlp import MLP
from stagejax.models.norm import Norm
from stagejax.models.patches import of_patches, patches_of
from stagejax.models.stack import Remat, run_stack, stack

#: What the last layer gives.
Predicts = Literal["data", "velocity"]
#: By which the products of normed queries and keys are larger at first than those of unnormed ones.
SHARPNESS = 4.0


@dataclass(frozen=True)
class MMDiT:
    """What an MM-DiT is.

    In a block both rows are modulated, x' = (1 + scale) norm(x) + shift, projected to queries, keys and values, and
    attend as one row of S + P tokens; then each goes through its feed-forward network: x += gate attention(x'),
    x += gate' mlp(x''). The six modulations of a block are a linear map of silu(p + e(t)): the pooled condition and an
    embedding of the time. Both rows share the weights of a block (`shared`), or each has its own, as in the paper.

    With `predicts="data"` the last layer gives the image y that is expected, and the velocity is
    (y - x_t) / max(1 - t, 0.05): a narrow network need not carry the noise to its end. In the paper, whose networks are
    wide, it gives the velocity.

    Raises:
      ValueError: a patch that does not divide the image, or an unknown prediction.

    References: Esser et al. 2024 (SD3), https://arxiv.org/abs/2403.03206, section 4 and figure 2; the image as the
    output: Li and He 2025, https://arxiv.org/abs/2511.13720.

    >>> MMDiT(image=16, patch=4).sizes()["position"]
    16
    """

    image: int = 16  # rows and columns
    channels: int = 3  # of a pixel
    patch: int = 4  # rows and columns of a token
    width: int = 64  # of the condition's tokens, and of the pooled condition
    embed: int = 64
    layers: int = 4
    heads: int = 2
    head_dim: int = 32
    mlp: int = 256
    predicts: Predicts = "data"
    shared: bool = True
    norm_eps: float = 1e-6
    scan: bool = False
    remat: Remat | None = None

    def __post_init__(self) -> None:
        if self.image % self.patch:
            raise ValueError(f"patch={self.patch} does not divide image={self.image}")
        if self.predicts not in get_args(Predicts):
            raise ValueError(f"predicts={self.predicts!r} is unknown: choose one of {get_args(Predicts)}")

    @property
    def tokens(self) -> int:
        """Of an image."""
        return (self.image // self.patch) ** 2

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the weights in a block."""
        return ("both",) if self.shared else ("image", "condition")

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {
            "piece": self.patch**2 * self.channels,
            "position": self.tokens,
            "width": self.width,
            "embed": self.embed,
        }
        own |= {"layers": self.layers, "mlp": self.mlp, "kv_heads": self.heads}
        own |= {"head_dim": self.head_dim, "value_dim": self.head_dim}
        return own | {"waves": 2 * WAVES, "modulation": 6, "modulation.last": 2, "embed_out": self.embed}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `MultimodalDiffusionTransformer` with its initial parameters, drawn from `rngs.params`."""
        return built(MultimodalDiffusionTransformer, self, rngs.params())


class MultimodalDiffusionTransformer(nnx.Module):
    """Noisy images, times, and conditions as rows of vectors and as one vector, to velocities.

    >>> model = MMDiT(layers=1).build(nnx.Rngs(0))
    >>> condition = {"context": jnp.zeros((2, 5, 64)), "there": jnp.ones((2, 5), bool), "pooled": jnp.zeros((2, 64))}
    >>> jax.eval_shape(model, jnp.zeros((2, 16, 16, 3)), jnp.zeros(2), **condition).shape
    (2, 16, 16, 3)
    """

    def __init__(self, config: MMDiT, rngs: nnx.Rngs) -> None:
        self.config = c = config
        E, dense, sizes = c.embed, {"bias": True, "rngs": rngs}, c.sizes()
        piece = {"piece": sizes["piece"]}
        self.patches = Dense(piece, {"embed": E}, std=piece["piece"] ** -0.5, **dense)
        self.positions = Table("position", c.tokens, E, std=0.5, rngs=rngs)
        self.context_in = Dense({"width": c.width}, {"embed": E}, std=c.width**-0.5, **dense)
        self.pooled_in = Dense({"width": c.width}, {"embed": E}, std=c.width**-0.5, **dense)
        self.time_in = Dense({"waves": 2 * WAVES}, {"embed": E}, std=0.02, **dense)
        self.time_out = Dense({"embed": E}, {"embed_out": E}, std=E**-0.5, **dense)
        self.blocks = stack(lambda rngs: JointBlock(c, rngs), c.layers, rngs)
        self.norm = Norm("rms", "embed", E, eps=c.norm_eps)
        self.final = Dense({"embed": E}, {"modulation.last": 2, "embed_out": E}, std=0.0, **dense)
        self.output = Dense({"embed": E}, piece, std=0.0, **dense)

    def __call__(
        self,
        image_BYXC: Float[Array, "B Y X C"],
        t_B: Float[Array, " B"],
        *,
        context: Float[Array, "B S W"],
        there: Bool[Array, "B S"],
        pooled: Float[Array, "B W"],
    ) -> Float[Array, "B Y X C"]:
        """The velocity at time t from 0 (noise) to 1 (data).

        Args:
          context, there: vectors of a prompt, and which of them there are.
          pooled: one vector for all of it.
        """
        c = self.config
        x_BPE = self.patches(self._pieces(image_BYXC)) + self.positions(jnp.arange(c.tokens))
        told_BE = self.pooled_in(pooled) + self.time_out(jax.nn.silu(self.time_in(waves(t_B).astype(x_BPE.dtype))))
        told_BE = jax.nn.silu(told_BE)
        there_BT = jnp.concatenate([there.astype(bool), jnp.ones(x_BPE.shape[:2], bool)], axis=1)

        def call(block: JointBlock, _: Any, rows: tuple[Array, Array]) -> tuple[Array, Array]:
            return block(*rows, there_BT, told_BE)

        rows = (self.context_in(context), x_BPE)
        _, x_BPE = run_stack(self.blocks, call, rows, start=0, stop=c.layers, scan=c.scan, remat=c.remat)
        shift, scale = (x[:, None] for x in jnp.moveaxis(self.final(told_BE), 1, 0))
        y = self._image(self.output((1 + scale) * self.norm(x_BPE) + shift))
        if c.predicts == "velocity":
            return y
        return velocity_to(y, image_BYXC, t_B)

    def _pieces(self, image_BYXC: Array) -> Float[Array, "B P piece"]:
        """Patches as vectors.

        Raises:
          ValueError: images of another size than the table of positions is for.
        """
        c, (B, Y, X, _) = self.config, image_BYXC.shape
        if (c.image, c.image) != (Y, X):
            raise ValueError(f"images of {Y} x {X} pixels, but the model has image={c.image}")
        return patches_of(image_BYXC, c.patch).reshape(B, c.tokens, -1)

    def _image(self, pieces_BPK: Array) -> Float[Array, "B Y X C"]:
        p = self.config.patch
        return of_patches(pieces_BPK.reshape(*pieces_BPK.shape[:2], p, p, -1), self.config.image // p)


class Row(nnx.Module):
    """What a block does to the tokens of one row, or of both: modulations, projections, feed-forward network."""

    def __init__(self, config: MMDiT, rngs: nnx.Rngs) -> None:
        c, E = config, config.embed
        self.modulation = Dense({"embed": E}, {"modulation": 6, "embed_out": E}, std=0.02, bias=True, rngs=rngs)
        self.modulation.bias[...] = jnp.zeros((6, E)).at[jnp.array([2, 5])].set(1.0)  # gates are open at first
        self.attention_norm, self.mlp_norm = (Norm("rms", "embed", E, eps=c.norm_eps) for _ in range(2))
        self.query, self.key, self.value, self.out = projections(c, "embed", E, rngs)
        self.query_norm, self.key_norm = (Norm("rms", "head_dim", c.head_dim, eps=c.norm_eps) for _ in range(2))
        self.mlp = MLP(E, c.mlp, activation="gelu_tanh", bias=True, std=E**-0.5, std_out=c.mlp**-0.5, rngs=rngs)

    def heads(self, x_BTE: Array, shift: Array, scale: Array) -> tuple[Array, Array, Array]:
        """Queries, keys and values of a row."""
        x = (1 + scale) * self.attention_norm(x_BTE) + shift
        return self.query_norm(self.query(x)), self.key_norm(self.key(x)), self.value(x)

    def fed(self, x_BTE: Array, attended: Array, modulations: list[Array]) -> Float[Array, "B T E"]:
        """A row behind attention and the feed-forward network."""
        _, _, gate, shift, scale, mlp_gate = modulations
        x_BTE = x_BTE + gate * self.out(attended)
        return x_BTE + mlp_gate * self.mlp((1 + scale) * self.mlp_norm(x_BTE) + shift)


class JointBlock(nnx.Module):
    """Joint attention of the condition's tokens and the image's."""

    def __init__(self, config: MMDiT, rngs: nnx.Rngs) -> None:
        self.image = Row(config, rngs)
        self.condition = None if config.shared else Row(config, rngs)

    def __call__(
        self, context_BSE: Array, x_BPE: Array, there_BT: Array, told_BE: Array
    ) -> tuple[Float[Array, "B S E"], Float[Array, "B P E"]]:
        """Both rows behind the block."""
        parts = ((self.condition or self.image, context_BSE), (self.image, x_BPE))
        said = [[m[:, None] for m in jnp.moveaxis(own.modulation(told_BE), 1, 0)] for own, _ in parts]
        both = [own.heads(x, *now[:2]) for (own, x), now in zip(parts, said, strict=True)]
        query, key, value = (jnp.concatenate(x, axis=1) for x in zip(*both, strict=True))
        scale = SHARPNESS * query.shape[-1] ** -0.5
        attended = attend(query[:, :, :, None], key, value, mask=there_BT, scale=scale)[:, :, :, 0]
        cut = context_BSE.shape[1]
        first, second = (
            own.fed(x, y, now)
            for (own, x), y, now in zip(parts, (attended[:, :cut], attended[:, cut:]), said, strict=True)
        )
        return first, second
