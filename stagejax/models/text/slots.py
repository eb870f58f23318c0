"""Hidden-state slots: marked tokens behind which one decoder leaves its states, and where another one reads them.

Letters: B batch, T tokens, S tokens of a cache, F states of the writer, E embed of the reader, D projection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax import axes
from stagejax.models.build import built
from stagejax.models.cache import Cache
from stagejax.models.language_model import LanguageModel, Vectors
from stagejax.models.linear import Dense
from stagejax.models.transformer import Transformer


@dataclass(frozen=True)
class SlotWriter:
    """A decoder with a projection of the states that it has at marked tokens; else it is `net`.

    Args:
      net: the decoder.
      marker: the token.
      width: D.

    Reference: the CoT model of Liu et al. 2024 (HCoT), https://arxiv.org/abs/2409.08561.
    """

    net: Transformer
    marker: int
    width: int = 64

    def sizes(self) -> dict[str, int]:
        """Those of the decoder, and the projection.

        >>> SlotWriter(Transformer(), marker=3, width=32).sizes()["projection"]
        32
        """
        return self.net.sizes() | {"projection": self.width}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SlotWriterModel` with its initial parameters, drawn from `rngs.params`."""
        return built(SlotWriterModel, self, rngs.params())


@dataclass(frozen=True)
class SlotReader:
    """A decoder that reads, in place of a marked token, a linear map of the state that a writer had there.

    Args:
      net: the decoder.
      marker: the token.
      width: F, `embed` of the writer's decoder.

    Reference: the HCoT model of Liu et al. 2024, https://arxiv.org/abs/2409.08561.
    """

    net: Transformer
    marker: int
    width: int

    def sizes(self) -> dict[str, int]:
        """Those of the decoder, and the states.

        >>> SlotReader(Transformer(), marker=3, width=48).sizes()["states"]
        48
        """
        return self.net.sizes() | {"states": self.width}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The `SlotReaderModel` with its initial parameters, drawn from `rngs.params`."""
        return built(SlotReaderModel, self, rngs.params())


class SlotWriterModel(LanguageModel):
    """The module of `SlotWriter`: a language model with a summary of its marked tokens.

    >>> model = SlotWriter(Transformer(layers=2), marker=3, width=8).build(nnx.Rngs(0))
    >>> summary = model.summary(jnp.array([[5, 6, 3], [7, 3, 0]]))
    >>> summary.shape, bool(jnp.allclose((summary**2).sum(-1), 1, atol=1e-5))
    ((2, 8), True)
    """

    def __init__(self, config: SlotWriter, rngs: nnx.Rngs) -> None:
        super().__init__(config.net, rngs)
        self.marker = config.marker
        embed = config.net.embed
        self.project = Dense({"embed": embed}, {"projection": config.width}, std=embed**-0.5, bias=False, rngs=rngs)

    def summary(self, tokens_BT: Int[Array, "B T"]) -> Float[Array, "B D"]:
        """The direction of the projected states at a row's marked tokens, their mean where there are several."""
        return self.summarised(tokens_BT, self.hidden(tokens_BT))

    def summarised(self, tokens_BT: Int[Array, "B T"], states_BTF: Float[Array, "B T F"]) -> Float[Array, "B D"]:
        """The same from the states that `hidden` has given."""
        here_BT1 = (tokens_BT == self.marker)[..., None].astype(states_BTF.dtype)
        z_BD = (self.project(states_BTF) * here_BT1).sum(1)
        return z_BD * jax.lax.rsqrt((z_BD**2).sum(-1, keepdims=True) + 1e-12)


class SlotReaderModel(LanguageModel):
    """The module of `SlotReader`. Called, it is a language model on tokens and the states (B, T, F) of a writer.

    >>> writer = SlotWriter(Transformer(layers=2), marker=3).build(nnx.Rngs(0))
    >>> reader = SlotReader(Transformer(layers=2), marker=3, width=64).build(nnx.Rngs(1))
    >>> tokens = jnp.array([[5, 6, 3, 7]])
    >>> reader(tokens, states=writer.hidden(tokens)).shape
    (1, 4, 512)
    """

    def __init__(self, config: SlotReader, rngs: nnx.Rngs) -> None:
        super().__init__(config.net, rngs)
        self.marker = config.marker
        std = config.net.init_std * config.width**-0.5  # of a state whose coordinates are about 1: as a table's rows
        self.inject = Dense({"states": config.width}, {"embed": config.net.embed}, std=std, bias=False, rngs=rngs)

    def __call__(
        self, tokens_BT: Int[Array, "B T"], *, states: Float[Array, "B T F"], **options: Any
    ) -> Float[Array, "B T V"]:
        """Logits; the options are those of `LanguageModel.hidden`."""
        return super().__call__(tokens_BT, vectors=self.vectors(tokens_BT, states), **options)

    def vectors(self, tokens_BT: Int[Array, "B T"], states_BTF: Float[Array, "B T F"]) -> Vectors:
        """Where the slots are, and what is read there."""
        return tokens_BT == self.marker, self.inject(states_BTF)

    def filled(self, states_BPF: Float[Array, "B P F"]) -> Filled:
        """This model for decoding: its prompts, of at most P tokens, have a writer's states in their slots."""
        return Filled(self, states_BPF)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FilledCache:
    """A reader's cache, and the states of the rows' prompts."""

    net: Cache
    states_BPF: Float[Array, "B P F"]

    @property
    def lengths_B(self) -> Int[Array, " B"]:
        """How many tokens each row has."""
        return self.net.lengths_B

    def rows(self, rows_R: Int[Array, " R"]) -> FilledCache:
        """Sequences chosen by number, some perhaps several times, each with its states."""
        return FilledCache(self.net.rows(rows_R), self.states_BPF[rows_R])

    def moved(self, by_B: Int[Array, " B"]) -> FilledCache:
        """With tokens more or fewer in each row, of those that are written."""
        return replace(self, net=self.net.moved(by_B))


@dataclass(frozen=True, eq=False)
class Filled:
    """A `CausalModel`: p(y_t | x, states, y_<t) of a reader whose slots in the prompt x are filled.

    No state belongs to a slot that is drawn behind the prompt: what it reads means nothing.

    >>> writer = SlotWriter(Transformer(layers=2), marker=3).build(nnx.Rngs(0))
    >>> reader = SlotReader(Transformer(layers=2), marker=3, width=64).build(nnx.Rngs(1))
    >>> tokens = jnp.array([[5, 6, 3]])
    >>> filled = reader.filled(writer.hidden(tokens))
    >>> logits, cache = filled.step(tokens, filled.init_cache(1, 8))
    >>> logits.shape, cache.lengths_B.tolist()
    ((1, 3, 512), [3])
    """

    model: Any  # a reader, or another model whose `vectors` say what its slots are
    states_BPF: Any

    def init_cache(self, batch: int, length: int) -> FilledCache:
        """An empty cache for `batch` rows of at most `length` tokens.

        Raises:
          ValueError: another number of rows than of states.
        """
        if batch != len(self.states_BPF):
            raise ValueError(f"a cache of {batch} rows, but states of {len(self.states_BPF)}: give one of each")
        return FilledCache(self.model.init_cache(batch, length), self.states_BPF)

    def step(
        self, tokens_BT: Int[Array, "B T"], cache: FilledCache, counts_B: Int[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B T V"], FilledCache]:
        """Logits of new tokens behind the cached ones, and the longer cache; as `LanguageModel.step`."""
        at_BT = cache.lengths_B[:, None] + jnp.arange(tokens_BT.shape[1])
        states_BTF = jnp.take_along_axis(cache.states_BPF, at_BT[..., None], axis=1, mode="clip")
        vectors = self.model.vectors(tokens_BT, states_BTF)
        logits, net = self.model.step(tokens_BT, cache.net, counts_B, vectors=vectors)
        return logits, replace(cache, net=net)


def into_writer(path: str, leaf: axes.Axes) -> str:
    """The hand-over of parameters from a language model to a writer: all but the projection.

    >>> into_writer("blocks/mlp/up/kernel", axes.Axes((), ())), into_writer("project/kernel", axes.Axes((), ()))
    ('carry', 'reset')
    """
    return "reset" if path.startswith("project/") else "carry"


def into_reader(path: str, leaf: axes.Axes) -> str:
    """The hand-over from a language model to a reader: all but the map of the states. A writer stays as it is.

    >>> into_reader("inject/kernel", axes.Axes((), ())), into_reader("project/kernel", axes.Axes((), ()))
    ('reset', 'carry')
    """
    return "reset" if path.startswith("inject/") else "carry"
