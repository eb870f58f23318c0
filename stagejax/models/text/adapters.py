"""An encoder with a bank of bottleneck adapters in every block, what combines them, and a head for each task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.block import Block, Key
from stagejax.models.build import built
from stagejax.models.language_model import LanguageModel
from stagejax.models.stack import run_stack
from stagejax.models.text.combiners import Fusion, Own, Scale, of_task
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class Adapted:
    """What an encoder with adapters is. Rows of several tasks share a batch; each goes by its task's number.

    An adapter (Pfeiffer et al. 2021) sits behind the feed-forward network of a block, h = norm(x + mlp(x)):

        u_a = up_a relu(down_a h)        block(x) = norm(x + mlp(x) + combine(u_1, ..., u_A))

    with the block's own norm both times, and the residual added once whatever the number of adapters. The head of a
    task reads the means a and b over the tokens of the first and the second text, as [a, b, |a - b|, a b].

    Raises:
      ValueError: an encoder that is no post-norm one, or has experts or dropout.

    >>> from stagejax.models import bert
    >>> model = Adapted(bert(layers=2, embed=16, heads=2), tasks=3, classes=4, adapters=3).build(nnx.Rngs(0))
    >>> model.answers(jnp.ones((6, 5), int), jnp.array([0, 1, 2, 0, 1, 2])).shape
    (6, 4)
    """

    encoder: Transformer
    tasks: int  # heads
    classes: int  # outputs of every head
    adapters: int = 0  # in every block
    bottleneck: int = 16  # width of an adapter
    combine: Own | Scale | Fusion = field(default_factory=Own)
    pad: int = 0  # token id that is no text
    separator: int = 2  # token id behind each text of a row

    def __post_init__(self) -> None:
        c = self.encoder
        if c.causal or c.norm_position != "post" or c.experts or c.dropout:
            raise ValueError(
                "adapters sit between the feed-forward network and the norm of a post-norm encoder without experts and "
                f"dropout; this one has causal={c.causal}, norm_position={c.norm_position!r}, experts={c.experts}, "
                f"dropout={c.dropout}: give it bert(...)"
            )

    def sizes(self) -> dict[str, int]:
        """The size of every named axis of the parameters."""
        own = {"tasks": self.tasks, "classes": self.classes, "sides": 4, "fused": self.encoder.embed}
        return self.encoder.sizes() | own | {"adapters": self.adapters, "bottleneck": self.bottleneck}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `AdaptedEncoder`."""
        return built(AdaptedEncoder, self, rngs.params())


class AdapterBank(nnx.Module):
    """The adapters of all blocks, as one tensor with an axis of adapters: `down` (L, A, E, M) and `up` (L, A, M, E).

    `up` begins at 0, so that a fresh adapter changes nothing. L layers, A adapters, M bottleneck.
    """

    def __init__(self, layers: int, adapters: int, embed: int, bottleneck: int, rngs: nnx.Rngs) -> None:
        over = {"stack": ("layers", "adapters")}
        drawn = jax.random.normal(rngs.params(), (layers, adapters, embed, bottleneck)) * embed**-0.5
        self.down = axes.param(drawn, **over, reads=("embed",), writes=("bottleneck",))
        self.up = axes.param(jnp.zeros(drawn.mT.shape), **over, reads=("bottleneck",), writes=("embed",))

    def inner(self, h_BTE: Float[Array, "B T E"], layer: Any) -> Float[Array, "B T A M"]:
        """The bottleneck of each adapter for every row."""
        return jax.nn.relu(jnp.einsum("bte,aem->btam", h_BTE, self.down[...][layer]))

    def outward(self, layer: Any) -> Float[Array, "A M E"]:
        """What each adapter makes of its bottleneck."""
        return self.up[...][layer]

    def one(self, h_BTE: Float[Array, "B T E"], which_B: Int[Array, " B"], layer: Any) -> Float[Array, "B T E"]:
        """What one adapter for each row gives, without the residual."""
        down_BEM, up_BME = (of_task(leaf[...][layer], which_B) for leaf in (self.down, self.up))
        return jnp.einsum("btm,bme->bte", jax.nn.relu(jnp.einsum("bte,bem->btm", h_BTE, down_BEM)), up_BME)


class AdaptedEncoder(nnx.Module):
    """The module of `Adapted`: `encoder`, `bank`, `combine` and `heads`. Letters: B batch, T tokens, E embed."""

    def __init__(self, config: Adapted, rngs: nnx.Rngs) -> None:
        c, sizes = config, config.sizes()
        layers, embed = c.encoder.layers, c.encoder.embed
        self.config = config
        self.encoder = LanguageModel(c.encoder, rngs)
        self.bank = AdapterBank(layers, c.adapters, embed, c.bottleneck, rngs) if c.adapters else None
        self.combine = c.combine.build(c.tasks, c.adapters, layers, embed, rngs) if c.adapters else None
        self.heads = Heads(c.tasks, sizes["sides"], embed, c.classes, c.encoder.init_std, rngs)

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T V"]:
        """Logits of the bare encoder for its pre-training, as `LanguageModel` gives them."""
        return self.encoder(tokens_BT, **options)

    def answers(
        self, tokens_BT: Int[Array, "B T"], task_B: Int[Array, " B"], key: Key | None = None
    ) -> Float[Array, "B C"]:
        """What the head of each row's task says of it; the key draws the dropout of coefficients."""
        return self.heads(*self.texts(tokens_BT, self.hidden(tokens_BT, task_B, key)), task_B)

    def every_answer(self, tokens_BT: Int[Array, "B T"], tasks: int | None = None) -> Float[Array, "B N C"]:
        """What the heads of all tasks, or of the first ones, say of every row: without adapters by one pass."""
        task_N = jnp.arange(self.config.tasks if tasks is None else tasks)
        if self.bank is not None:
            each = jax.vmap(lambda task: self.answers(tokens_BT, jnp.full(len(tokens_BT), task)), out_axes=1)
            return each(task_N)
        told = self.texts(tokens_BT, self.hidden(tokens_BT, jnp.zeros(len(tokens_BT), jnp.int32)))
        return jax.vmap(lambda task: self.heads(*told, jnp.full(len(tokens_BT), task)), out_axes=1)(task_N)

    def hidden(
        self, tokens_BT: Int[Array, "B T"], task_B: Int[Array, " B"], key: Key | None = None
    ) -> Float[Array, "B T E"]:
        """The stream behind the last block."""
        c, positions = self.config.encoder, jnp.arange(tokens_BT.shape[1])[None]
        x_BTE = self.encoder.embed(tokens_BT, positions, None)
        context = {"mask": tokens_BT != self.config.pad, "angles_BTh": self.encoder.angles(positions, x_BTE)}

        def call(block: Block, layer: Any, x_BTE: Any) -> Any:
            x_BTE = block.attention_norm(x_BTE + block.attention(x_BTE, **context))
            r_BTE = x_BTE + block.mlp(x_BTE)
            h_BTE = block.mlp_norm(r_BTE)
            if self.bank is None or self.combine is None:
                return h_BTE
            return block.mlp_norm(r_BTE + self.combine(self.bank, h_BTE, task_B, layer, key))

        return run_stack(self.encoder.blocks, call, x_BTE, start=0, stop=c.layers, scan=c.scan, remat=c.remat)

    def texts(
        self, tokens_BT: Int[Array, "B T"], x_BTE: Float[Array, "B T E"]
    ) -> tuple[Float[Array, "B E"], Float[Array, "B E"]]:
        """Means over the tokens of a row's first and second text; of a row with one text, twice its mean."""
        ends_BT = tokens_BT == self.config.separator
        before_BT = jnp.cumsum(ends_BT, 1) - ends_BT
        inner_BT = (tokens_BT != self.config.pad) & ~ends_BT & (jnp.arange(tokens_BT.shape[1]) > 0)

        def mean(number: int) -> tuple[Array, Array]:
            own_BT1 = (inner_BT & (before_BT == number))[..., None].astype(x_BTE.dtype)
            count_B1 = own_BT1.sum(1)
            return (own_BT1 * x_BTE).sum(1) / jnp.maximum(count_B1, 1), count_B1

        (first_BE, _), (second_BE, count_B1) = mean(0), mean(1)
        return first_BE, jnp.where(count_B1 > 0, second_BE, first_BE)


class Heads(nnx.Module):
    """A linear head for each task on what it is told of two texts."""

    def __init__(self, tasks: int, sides: int, embed: int, classes: int, std: float, rngs: nnx.Rngs) -> None:
        drawn = std * jax.random.normal(rngs.params(), (tasks, sides, embed, classes))
        self.kernel = axes.param(drawn, stack=("tasks",), reads=("sides", "embed"), writes=("classes",))
        self.bias = axes.param(jnp.zeros((tasks, classes)), stack=("tasks",), writes=("classes",))

    def __call__(
        self, first_BE: Float[Array, "B E"], second_BE: Float[Array, "B E"], task_B: Int[Array, " B"]
    ) -> Float[Array, "B C"]:
        """[a, b, |a - b|, a b] through the head of each row's task."""
        told_BSE = jnp.stack([first_BE, second_BE, jnp.abs(first_BE - second_BE), first_BE * second_BE], 1)
        return jnp.einsum("bse,bsec->bc", told_BSE, of_task(self.kernel[...], task_B)) + of_task(self.bias[...], task_B)
