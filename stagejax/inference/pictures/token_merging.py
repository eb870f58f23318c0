"""Token merging: states of a prompt edited before a frozen generator draws, and while it does (ToMe).

Letters: B pictures, Y, X pixels, C channels, K entities of a prompt, S tokens, W their width.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int

from stagejax.data.multimodal.bound_items import ItemWorld, Prompt, said_of
from stagejax.data.tokenizers import CLS, SEP
from stagejax.inference.frozen import Frozen, apply, compiled, flops_of_one
from stagejax.objectives.flow import guided, shifted_times
from stagejax.objectives.pictures.token_binding import (
    binding_error,
    least_excited,
    map_entropy,
    maps_of_entities,
    most_entropy,
)

_EXCITED = 0.01  # temperature of Attend-and-Excite
Focus = Literal["entropy", "excite"]
#: States of prompts and what is known of them; see `MergedSampler.draw`.
Prompted = Mapping[str, np.ndarray]


def composed(
    text_BSW: Float[Array, "B S W"],
    nouns_BK: Int[Array, "B K"],
    whose_BKS: Bool[Array, "B K S"],
    alpha: float = 1.1,
    beta: float = 1.2,
) -> Float[Array, "B S W"]:
    """Each noun's state becomes c*_k = alpha c_noun + beta Σ of its attributes' states; these become 0.

    Reference: ToMe, Hu et al. 2024, https://arxiv.org/abs/2411.07132, token merging; alpha and beta of its code.

    >>> text, red_of_bag = jnp.eye(3)[None], jnp.array([[[False, True, False]]])
    >>> composed(text, jnp.array([[2]]), red_of_bag)[0].round(1)
    Array([[1. , 0. , 0. ],
           [0. , 0. , 0. ],
           [0. , 1.2, 1.1]], dtype=float32)
    """
    nouns_BKW = jnp.take_along_axis(text_BSW, nouns_BK[:, :, None], axis=1)
    merged_BKW = alpha * nouns_BKW + beta * jnp.einsum("bks,bsw->bkw", whose_BKS.astype(text_BSW.dtype), text_BSW)
    rest_BSW = jnp.where(whose_BKS.any(1)[:, :, None], 0.0, text_BSW)
    return placed(rest_BSW, nouns_BK, merged_BKW)


def placed(
    text_BSW: Float[Array, "B S W"], places_BK: Int[Array, "B K"], tokens_BKW: Float[Array, "B K W"]
) -> Float[Array, "B S W"]:
    """The states with those at some places replaced."""
    here_BKS = places_BK[:, :, None] == jnp.arange(text_BSW.shape[1])
    put_BSW = jnp.einsum("bks,bkw->bsw", here_BKS.astype(text_BSW.dtype), tokens_BKW)
    return jnp.where(here_BKS.any(1)[:, :, None], put_BSW, text_BSW)


def with_ends_of(
    text_BSW: Float[Array, "B S W"],
    ends_B: Int[Array, " B"],
    stripped_BSW: Float[Array, "B S W"],
    stripped_ends_B: Int[Array, " B"],
) -> Float[Array, "B S W"]:
    """End-token substitution: from its first end on, a prompt has the ends of the prompt without attributes.

    Reference: ToMe, Hu et al. 2024, https://arxiv.org/abs/2411.07132, end token substitution.

    >>> text, stripped = jnp.arange(4.0).reshape(1, 4, 1), 10 + jnp.arange(4.0).reshape(1, 4, 1)
    >>> with_ends_of(text, jnp.array([2]), stripped, jnp.array([1])).ravel()
    Array([ 0.,  1., 11., 12.], dtype=float32)
    """
    S = text_BSW.shape[1]
    from_BS = jnp.minimum(jnp.arange(S) - ends_B[:, None] + stripped_ends_B[:, None], S - 1)
    ends_BSW = jnp.take_along_axis(stripped_BSW, jnp.maximum(from_BS, 0)[:, :, None], axis=1)
    return jnp.where((jnp.arange(S) >= ends_B[:, None])[:, :, None], ends_BSW, text_BSW)


@dataclass(frozen=True)
class MergedSampler:
    """Euler steps with guidance, in the first of which the picture and the states of its prompt are improved.

    Before the first step nouns take up their attributes (`composed`) and ends are those of the stripped prompt
    (`with_ends_of`), where `merge` and `ends` say so. In each of the first `early` steps follow

    1. `binding` updates of each entity's token, c*_k <- c*_k - rate grad `binding_error`; an entity's anchor latent
       is moved by its own guided velocity of its phrase, from the same noise;
    2. `updates` updates of the picture and of all states by a `focus`: z <- z - rate s grad_z, c <- c - rate' s grad_c,
       s falling from 1 to 0 over the early steps. With "entropy" a picture is left alone while its `map_entropy` is
       below `thresholds` (first and last step; shares of the most); with "excite" (Attend-and-Excite) only the picture
       moves, by `least_excited` of the nouns;
    3. the step itself. The free branch of guidance is never edited.

    Args:
      steps: of Euler's method.
      guidance: its scale.
      temperature: of `maps_of_entities` where the focus is the entropy; Attend-and-Excite has 0.01, as its code.

    Reference: ToMe, Hu et al. 2024, https://arxiv.org/abs/2411.07132, and the code with its constants.

    >>> MergedSampler(steps=10, early=2, binding=3).passes(entities=2)
    64
    """

    steps: int = 16
    guidance: float = 2.0
    merge: bool = False
    ends: bool = False
    early: int = 0
    binding: int = 0
    focus: Focus | None = None
    updates: int = 0
    thresholds: tuple[float, float] = (0.87, 0.69)
    temperature: float = 0.5

    def passes(self, entities: int) -> int:
        """Network evaluations of one picture at most; a pass backward counts as two."""
        bound = entities * (2 + 3 * self.binding) if self.binding else 0
        focused = 3 * self.updates if self.focus else 0
        return 2 * self.steps + self.early * (bound + focused)

    def draw(
        self, net: Frozen, prompts: Prompted, noise: Float32[np.ndarray, "B Y X C"], rates: Mapping[str, float]
    ) -> Float32[np.ndarray, "B Y X C"]:
        """A picture of each prompt, from -1 to 1.

        Args:
          prompts: `text`, `stripped` (B, S, W), `phrases` (B, K, S, W), first `ends` and `stripped_ends` (B,), `nouns`
            (B, K), `whose` (B, K, S) and `words` (B, S).
          rates: `alpha` and `beta` of `composed`, and sizes of updates: `binding`, `latent` and `text`.
        """
        K, places = prompts["nouns"].shape[1], int(np.prod(net.config.grid))
        given = {name: jnp.asarray(value) for name, value in prompts.items()}
        text = given["text"]
        if self.ends:
            text = with_ends_of(text, given["ends"], given["stripped"], given["stripped_ends"])
        if self.merge:
            text = composed(text, given["nouns"], given["whose"], rates["alpha"], rates["beta"])
        times, x = np.asarray(shifted_times(self.steps)), jnp.asarray(noise)
        anchors = jnp.repeat(x[:, None], K, 1)
        limits = np.linspace(*self.thresholds, max(self.early, 1)) * most_entropy(K, places)
        limits = limits * (self.focus == "entropy")
        options = self.focus, self.updates, self.temperature if self.focus == "entropy" else _EXCITED
        for number, (now, then) in enumerate(itertools.pairwise(times)):
            pair, scale = np.array([now, then]), 1 - number / max(self.early, 1)
            if self.binding and number < self.early:
                rate = np.float32(rates["binding"])
                text, anchors = _run(bound, net, (self.binding, self.guidance), text, anchors, given, pair, rate)
            if self.focus and number < self.early:
                both = scale * np.array([rates["latent"], rates["text"] * (self.focus == "entropy")], np.float32)
                x, text = _run(focused, net, options, x, text, given, pair, both, np.float32(limits[number]))
            x = _run(stepped, net, (self.guidance,), x, text, pair)
        return np.asarray(x)

    def each(
        self, net: Frozen, prompts: Prompted, noise: Float32[np.ndarray, "R B Y X C"], rates: Any, rows: int
    ) -> Float32[np.ndarray, "R B Y X C"]:
        """A picture from 0 to 1 of each prompt from each of its noises, `rows` at a time, in programs of one size."""
        flat, found = noise.reshape(-1, *noise.shape[2:]), []
        for start in range(0, len(flat), rows):
            places = np.arange(start, start + rows) % len(flat)
            part = {name: x[places % noise.shape[1]] for name, x in prompts.items()}
            found.append(self.draw(net, part, flat[places], rates))
        return np.clip((np.concatenate(found)[: len(flat)].reshape(noise.shape) + 1) / 2, 0, 1)

    def flops(self, config: Any, length: int, entities: int) -> float:
        """Of one picture, with all `passes`, by prompts of so many tokens."""
        shapes = {"image": (*config.shape, config.pixels), "t": (), "text": (length, config.text)}
        row = {name: jax.ShapeDtypeStruct(shape, np.dtype("float32")) for name, shape in shapes.items()}
        return float(self.passes(entities) * flops_of_one(once, config, row))


def once(model: Any, row: Any) -> Any:
    """One network evaluation, of which FLOPs are counted."""
    return model(row["image"], row["t"], row["text"])


def _run(function: Any, net: Frozen, options: tuple[Any, ...], *inputs: Any) -> Any:
    return compiled(function, net.config, *options)(net.params, net.rest, *inputs)


def stepped(model: Any, x: Any, text: Any, pair: Any, guidance: float) -> Any:
    """One guided Euler step from the first time of a pair to the second."""
    times = jnp.full(len(x), pair[0])
    return x + (pair[1] - pair[0]) * guided_velocity(model, x, times, text, guidance)


def guided_velocity(model: Any, x: Any, times: Any, text: Any, guidance: float) -> Any:
    """Of the text, and of none."""
    free, given = (lambda x, t, off=off: model(x, t, text, drop=jnp.full(len(x), off)) for off in (True, False))
    return guided(given, free, guidance)(x, times)


def bound(
    model: Any, text: Any, anchors: Any, given: Mapping[str, Any], pair: Any, rate: Any, updates: int, guidance: float
) -> tuple[Any, Any]:
    """Updates of the entities' tokens by the binding error, and a step of their anchors."""
    B, K = given["nouns"].shape
    z, phrases = (x.reshape(B * K, *x.shape[2:]) for x in (anchors, given["phrases"]))
    times, places = jnp.full(B * K, pair[0]), given["nouns"]
    anchor = model(z, times, phrases)

    def error(tokens_BKW: Any) -> Any:
        own = model(z, times, tokens_BKW.reshape(B * K, 1, -1))
        return binding_error(own.reshape(anchors.shape), anchor.reshape(anchors.shape)).sum()

    tokens = jnp.take_along_axis(text, places[:, :, None], axis=1)
    tokens = jax.lax.fori_loop(0, updates, lambda _, tokens: tokens - rate * jax.grad(error)(tokens), tokens)
    free = model(z, times, phrases, drop=jnp.full(B * K, True))
    moved = z + (pair[1] - pair[0]) * (free + guidance * (anchor - free))
    return placed(text, places, tokens), moved.reshape(anchors.shape)


def focused(
    model: Any, x: Any, text: Any, given: Mapping[str, Any], pair: Any, rates: Any, limit: Any, focus: Focus,
    updates: int, temperature: float,
) -> tuple[Any, Any]:  # fmt: skip
    """Updates of the picture and of the states by what attention maps of the entities' tokens are like."""
    loss = {"entropy": map_entropy, "excite": least_excited}[focus]

    def value(both: tuple[Any, Any]) -> tuple[Any, Any]:
        maps = model.looking(both[0], jnp.full(len(x), pair[0]), both[1])[1]
        found = loss(maps_of_entities(maps, given["words"], given["nouns"], temperature))
        return found.sum(), found

    def update(_: Any, both: tuple[Any, Any]) -> tuple[Any, Any]:
        (_, found), grads = jax.value_and_grad(value, has_aux=True)(both)
        go = found > limit
        return tuple(
            one - jnp.where(go.reshape(-1, *[1] * (one.ndim - 1)), rate * grad, 0.0)
            for one, grad, rate in zip(both, grads, rates, strict=False)
        )  # type: ignore[return-value]

    return jax.lax.fori_loop(0, updates, update, (x, text))


def prompted(tower: Frozen, world: ItemWorld, prompts: Sequence[Prompt]) -> dict[str, np.ndarray]:
    """The states of prompts of one size by a frozen tower, and what the parser knows of them; see `MergedSampler.draw`.

    An entity's phrase is a caption of its own, "a red bag".
    """
    tokens, stripped, nouns, whose = said_of(world, prompts)
    phrases = np.stack([[world.tokens(world.caption((item,))) for item in prompt] for prompt in prompts])
    B, K, S = phrases.shape
    states = apply(states_of, tower, np.concatenate([tokens, stripped, phrases.reshape(-1, S)]), batch=256)
    found = {"text": states[:B], "stripped": states[B : 2 * B], "phrases": states[2 * B :].reshape(B, K, S, -1)}
    found |= {"ends": (tokens == SEP).argmax(1), "stripped_ends": (stripped == SEP).argmax(1)}
    return found | {"nouns": nouns, "whose": whose, "words": (tokens != SEP) & (tokens != CLS)}


def states_of(model: Any, tokens: Any) -> Any:
    """The states of a text tower."""
    return model.states(tokens)
