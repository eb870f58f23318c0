"""What phones are asked for, demonstrations of it, and screens to learn to see by."""

from __future__ import annotations

import functools
import hashlib
import sys
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Int64

from stagejax.data.control.phone import ACTION, GOAL, VERBS, Phone
from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Batch, Data

SPLITS = ("train", "validation", "test")
#: Of the goals of every verb, training has the first three fifths, validation the next fifth.
SHARES = (0.6, 0.8)


def goals_of(phone: Phone, split: str) -> tuple[Int[np.ndarray, "n 3"], ...]:
    """The goals of a split, verb by verb, as tokens. The splits share none.

    Raises:
      ValueError: an unknown split, or too few apps for a goal of each verb in it.

    >>> [[len(own) for own in goals_of(Phone(), split)] for split in SPLITS]
    [[4, 4, 36, 36], [1, 1, 12, 12], [1, 1, 12, 12]]
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is unknown: choose one of {SPLITS}")
    found = []
    for number, verb in enumerate(VERBS):
        digits: tuple[int | None, ...] = (None,) if verb in VERBS[:2] else tuple(range(10))
        every = np.stack([phone.goal(verb, app, digit) for app in range(phone.apps) for digit in digits])
        every = every[shuffled(101 + number, np.arange(len(every)), len(every))]
        first, second = (round(share * len(every)) for share in SHARES)
        own = {"train": every[:first], "validation": every[first:second], "test": every[second:]}[split]
        if not len(own):
            raise ValueError(f"apps={phone.apps}: no goal of {verb!r} is left for split={split!r}. Install 4 or more.")
        found.append(own)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Goals(Data):
    """An endless stream of things to ask for: {"goal": int32 (batch, 3), "number": int32 (batch,)}.

    The verb is drawn first, so that easy and hard ones come with the frequencies of `mix`; then one of its goals.

    Raises:
      ValueError: a mix of another length, or one that is nowhere positive.

    >>> goals = Goals(phone=Phone(), batch=2)
    >>> goals.phone.words.decode(goals.take(np.arange(2))["goal"][0])
    'enable app4 -'
    """

    phone: Phone
    split: str = "train"
    mix: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)  # of `VERBS`
    batch: int = 16
    count: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.mix) != len(VERBS) or min(self.mix) < 0 or not sum(self.mix) > 0:
            raise ValueError(f"mix={self.mix}: give a frequency for each of {', '.join(VERBS)}")

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {"goal": _ints(GOAL), "number": _ints()}

    def size(self) -> int:
        return sys.maxsize

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        own = goals_of(self.phone, self.split)
        words = random_words(self.seed, numbers, 2)
        bounds = np.cumsum(self.mix) / sum(self.mix)
        verbs = np.searchsorted(bounds, (words[:, 0] >> np.uint64(11)) / 2.0**53, side="right")
        goals = [own[v][int(w % np.uint64(len(own[v])))] for v, w in zip(verbs, words[:, 1], strict=True)]
        return {"goal": np.stack(goals).astype(np.int32), "number": (numbers & 0x7FFFFFFF).astype(np.int32)}

    def held_out(self, batches: int, split: str = "test") -> Goals:
        return replace(self, split=split, count=batches)

    def digest(self) -> str:
        own = goals_of(self.phone, self.split)
        return hashlib.sha256(b"".join(goals.tobytes() for goals in own)).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Demonstrations(Data):
    """Actions that were demonstrated on devices where nothing goes wrong: no pop-ups, no misses.

    Batches are {"screen": int32 (batch, cells), "tokens": int32 (batch, P + 2), a prompt and the action}.

    Args:
      goals: what is demonstrated.
      episodes: how many; they are a function of the seed of `goals`.
      history: last actions in a prompt.

    >>> shown = Demonstrations(goals=Goals(phone=Phone()), episodes=4, batch=2)
    >>> shown.size(), shown.phone.words.decode(shown.take(np.arange(1))["tokens"][0, -9:])
    (13, 'app4 8 - - home - tap c5')
    """

    goals: Goals
    episodes: int = 300
    history: int = 2
    batch: int = 64
    count: int | None = None
    seed: int = 0

    @property
    def phone(self) -> Phone:
        """Without what goes wrong."""
        return replace(self.goals.phone, popup=0.0, miss=0.0, wrong=0.0)

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        cells = self.phone.cells
        return {"screen": _ints(cells), "tokens": _ints(2 + cells + GOAL + ACTION * (self.history + 1))}

    def size(self) -> int:
        return len(self._rows()["tokens"])

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        rows = self._rows()
        own = shuffled(self.seed, numbers, len(rows["tokens"]))
        return {name: rows[name][own] for name in self.sample_spec()}

    def digest(self) -> str:
        rows = self._rows()
        return hashlib.sha256(b"".join(rows[name].tobytes() for name in self.sample_spec())).hexdigest()

    def _rows(self) -> Batch:
        return _demonstrated(self.phone, self.goals, self.episodes, self.history)


@dataclass(frozen=True, kw_only=True)
class Screens(Data):
    """Tiles at random in every cell, and what each shows: {"screen": (batch, cells), "kind": (batch, cells)}.

    Half of the cells are icons; pop-ups and pages come as they do on devices only by chance.

    >>> Screens(phone=Phone(), batch=2).take(np.arange(2))["kind"].shape
    (2, 16)
    """

    phone: Phone
    batch: int = 64
    count: int | None = None
    seed: int = 0

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {"screen": _ints(self.phone.cells), "kind": _ints(self.phone.cells)}

    def size(self) -> int:
        return sys.maxsize

    def take(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        kinds = self.phone.kinds
        icons = int((kinds < kinds.max() - 9).sum())  # the tiles before the first icon
        words = random_words(self.seed, numbers, 2 * self.phone.cells).reshape(len(numbers), 2, -1)
        widgets = words[:, 1] % np.uint64(icons)
        drawn = np.where(words[:, 0] % np.uint64(2) == 0, icons + words[:, 1] % np.uint64(len(kinds) - icons), widgets)
        screen = drawn.astype(np.int32)
        return {"screen": screen, "kind": kinds[screen]}

    def digest(self) -> str:
        return hashlib.sha256(self.phone.tiles.tobytes()).hexdigest()


def _ints(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, np.dtype("int32"))


@functools.lru_cache(maxsize=8)
def _demonstrated(phone: Phone, goals: Goals, episodes: int, history: int) -> Batch:
    """All rows of all demonstrations, episode by episode."""
    asked = jnp.asarray(goals.take(np.arange(episodes))["goal"])
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(goals.seed + 7), jnp.arange(episodes))
    nothing = jnp.full(ACTION * history, phone.token("-"), jnp.int32)

    def one(key: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        reset_key, step_key = jax.random.split(key)

        def act(now: tuple, number: jax.Array) -> tuple:
            device, before = now
            action = phone.demonstrated(None, device)
            after = phone.step(jax.random.fold_in(step_key, number), device, action)
            return (after, jnp.concatenate([before, action])[ACTION:]), (
                phone.seen(device),
                before,
                action,
                ~device.over,
            )

        return jax.lax.scan(act, (phone.reset(reset_key, goal), nothing), jnp.arange(phone.horizon))[1]

    screens, before, actions, there = jax.jit(jax.vmap(one))(keys, asked)
    there = np.asarray(there)
    rows = np.repeat(np.asarray(asked)[:, None], phone.horizon, axis=1)[there]
    prompts = phone.prompts(jnp.asarray(rows), jnp.asarray(np.asarray(before)[there]))
    tokens = np.concatenate([np.asarray(prompts), np.asarray(actions)[there]], axis=1)
    return {"screen": np.asarray(screens)[there], "tokens": tokens.astype(np.int32)}


__all__ = ["SPLITS", "Demonstrations", "Goals", "Screens", "goals_of"]
