"""Inner states of a decoder, read and edited between two blocks; and a decoder that remembers some of them.

Letters: B batch, T tokens, E embed, V vocab, C checkpoints, J texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.models.language_model import LanguageModel
from stagejax.models.stack import run_stack
from stagejax.models.transformer import Transformer


def tapped(
    model: LanguageModel,
    tokens_BT: Int[Array, "B T"],
    depth: int,
    edit: Callable[[Array], Array] | None = None,
) -> tuple[Float[Array, "B T E"], Float[Array, "B T E"]]:
    """What the head reads, and the stream behind the bottom `depth` blocks; no dropout.

    Args:
      edit: what the blocks above read, and what is returned, is `edit(stream)`. None: the stream itself, and all is as
        `model.hidden` has it.

    Raises:
      ValueError: a depth that the model does not have.

    >>> from stagejax.models import gpt
    >>> model = gpt(layers=3, embed=16).build(nnx.Rngs(0))
    >>> hidden, stream = tapped(model, jnp.ones((2, 5), int), depth=2)
    >>> bool(jnp.allclose(hidden, model.hidden(jnp.ones((2, 5), int)), atol=1e-6)), stream.shape
    (True, (2, 5, 16))
    """
    c = model.config
    if not 0 <= depth <= c.layers:
        raise ValueError(f"depth={depth} of a model of layers={c.layers}: choose 0 ... {c.layers}")
    positions = jnp.arange(tokens_BT.shape[1])[None]
    x_BTE = model.embed(tokens_BT, positions, None)
    context = {"causal": c.causal, "angles_BTh": model.angles(positions, x_BTE)}

    def run(x_BTE: Array, start: int, stop: int) -> Array:
        def call(block: Any, _: Any, x_BTE: Array) -> Array:
            return block(x_BTE, **context)

        return run_stack(model.blocks, call, x_BTE, start=start, stop=stop, scan=c.scan, remat=c.remat)

    stream_BTE = run(x_BTE, 0, depth)
    stream_BTE = stream_BTE if edit is None else edit(stream_BTE)
    x_BTE = run(stream_BTE, depth, c.layers)
    return x_BTE if model.norm is None else model.norm(x_BTE), stream_BTE


class Watch(nnx.Variable):
    """What is remembered of training and steers it. Not a parameter."""


@dataclass(frozen=True)
class Watched:
    """A decoder, the sentence embeddings of some texts at its last checkpoints, and the coordinates that are kept.

    A sentence embedding is the stream behind the second-to-last block at a text's second-to-last token. Called, the
    model is the decoder alone; `masked` is the decoder without the coordinates of that stream that are not kept.

    Args:
      net: the decoder, of at least two blocks.
      checkpoints: how many are remembered.
      texts: how many each time.

    Raises:
      ValueError: a decoder of one block, or nothing to remember.

    >>> from stagejax.models import gpt
    >>> model = Watched(gpt(layers=2, embed=16), checkpoints=3, texts=4).build(nnx.Rngs(0))
    >>> model.seen[...].shape, model.kept[...].sum()
    ((3, 4, 16), Array(16., dtype=float32))
    """

    net: Transformer
    checkpoints: int
    texts: int

    def __post_init__(self) -> None:
        if self.net.layers < 2 or self.checkpoints < 1 or self.texts < 1:
            raise ValueError(
                f"layers={self.net.layers}, checkpoints={self.checkpoints}, texts={self.texts}: there is a "
                "second-to-last block from two blocks on, and at least one text and checkpoint to remember"
            )

    def sizes(self) -> dict[str, int]:
        """Those of the decoder."""
        return self.net.sizes()

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `WatchedModel`."""
        return WatchedModel(self, self.net.build(rngs))


class WatchedModel(nnx.Module):
    """A decoder and what is remembered of its training."""

    def __init__(self, config: Watched, net: Any) -> None:
        self.config = config
        self.net = net
        self.kept = Watch(jnp.ones(config.net.embed))  # of the stream's coordinates: 1, or 0 where dropped
        self.seen = Watch(jnp.zeros((config.checkpoints, config.texts, config.net.embed)))  # the oldest first

    def __call__(self, tokens_BT: Int[Array, "B T"], **options: Any) -> Float[Array, "B T V"]:
        """Logits of the decoder, with all coordinates."""
        return self.net(tokens_BT, **options)

    def masked(self, tokens_BT: Int[Array, "B T"], key: None = None) -> Float[Array, "B T V"]:
        """Logits of the decoder without the dropped coordinates; kept ones are not rescaled."""
        return self.net.logits(tapped(self.net, tokens_BT, self.config.net.layers - 1, self.without_dropped)[0])

    def without_dropped(self, stream: Float[Array, "*batch E"]) -> Float[Array, "*batch E"]:
        """The stream times the 0/1 mask of what is kept."""
        return stream * self.kept[...].astype(stream.dtype)

    def embeddings(
        self, tokens_BT: Int[Array, "B T"], edit: Callable[[Array], Array] | None = None
    ) -> Float[Array, "B E"]:
        """Sentence embeddings; rows are padded with 0 behind their ends."""
        stream_BTE = tapped(self.net, tokens_BT, self.config.net.layers - 1, edit)[1]
        return at_second_to_last(stream_BTE, (tokens_BT > 0).sum(1))


def at_second_to_last(x_BTE: Float[Array, "B T E"], lengths_B: Int[Array, " B"]) -> Float[Array, "B E"]:
    """The vectors at the second-to-last token of rows with these lengths.

    >>> at_second_to_last(jnp.arange(8.0).reshape(1, 4, 2), jnp.array([3]))
    Array([[2., 3.]], dtype=float32)
    """
    return jnp.take_along_axis(x_BTE, jnp.maximum(lengths_B - 2, 0)[:, None, None], axis=1)[:, 0]
