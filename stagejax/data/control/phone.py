"""A phone that is operated through its screen: apps behind icons, pop-ups that nobody asked for, taps that miss.

Everything about a device is drawn when it is reset: where icons lie, in whose handwriting they are, where an app has
its switch, its field and its button, and which screen is open. While it is operated, pop-ups open and taps land beside
their targets. What an agent sees is pixels, what it does is two tokens, and an evaluator that errs says whether it did
what it was asked for. All functions are pure, of one device, in JAX: thousands are operated at once under `vmap`.

A screen is made of tiles, so the numbers of its tiles are a lossless compression of its pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from stagejax.data.sources import Digits
from stagejax.data.tokenizers import CLS, SEP, SPECIAL
from stagejax.data.vocabulary.words import Words

TILE = 8  #: pixels along a tile
#: What can be asked for, from one action to four: an app on the screen; its switch on; a digit in its field; that sent.
VERBS = ("open", "enable", "enter", "send")
#: What can be done; the first has a cell for its second token, the second a digit, the others "-".
KINDS = ("tap", "type", "back", "home", "done")
TAP, TYPE, BACK, HOME, DONE = range(5)
#: Tiles before those of typed digits and of icons.
WIDGETS = ("blank", "advert", "close", "off", "on", "field", "focused", "button", "pressed", "page")
BLANK, ADVERT, CLOSE, OFF, ON, FIELD, FOCUSED, BUTTON, PRESSED, PAGE = range(len(WIDGETS))
TYPED = len(WIDGETS)  #: the tile of a typed 0
ICONS = TYPED + 10  #: the first icon
GOAL, ACTION = 3, 2  #: tokens of a goal (verb, app, digit or "-") and of an action


class Device(NamedTuple):
    """The state of one phone. `screen` is 0 at home, 1 + a in app a, and 1 + apps where an advertisement led."""

    goal: Array  # (3,) tokens
    home: Array  # (cells,) the app whose icon a cell has; -1: none
    icons: Array  # (apps,) the tile of each icon
    places: Array  # (3,) cells of switch, field and button
    screen: Array
    focused: Array  # the field takes digits
    typed: Array  # digit; -1: none
    enabled: Array
    sent: Array  # digit; -1: none
    popup: Array  # which of `Phone.popups`; -1: none
    steps: Array
    misjudged: Array  # the evaluator will be wrong about this episode
    reward: Array  # what the evaluator says, once it is over
    over: Array


#: What acts in an episode: (key, device) -> action.
Rule = Callable[[Any, Device], Array]


class Popups(NamedTuple):
    """Where pop-ups lie: all places of a square of cells, each with its closing cross in any corner."""

    covers: Bool[np.ndarray, "popups cells"]
    close: Int[np.ndarray, " popups"]


@dataclass(frozen=True)
class Phone:
    """What devices are drawn from.

    An icon is a handwritten digit: app a has a of the classes 0 ... 9, until the icons are redesigned. `era` says how
    often they were: each time, the next `redesigned` apps take on classes that no icon had before.

    Args:
      apps: how many are installed.
      side: cells along the screen.
      popup: probability that a pop-up opens behind any action, and when a device is handed over. Nothing else works
        until its cross is tapped; a tap elsewhere on it leads to an advertisement's page.
      miss: probability that a tap lands on a cell next to its own.
      away: probability that a device is handed over in some other app than the one that is asked for.
      wrong: probability that the evaluator is wrong about an episode.
      horizon: most actions of an episode.
      hands: handwritten images of each class.
      split: of the handwriting.

    Raises:
      ValueError: icons do not fit on the screen, or there are no classes left for redesigned ones.

    Reference: the role of the emulators of Bai et al. 2024 (DigiRL), https://arxiv.org/abs/2406.11896, section 4.

    >>> phone = Phone(popup=0.0, miss=0.0, away=0.0)
    >>> device = phone.reset(jax.random.key(0), phone.goal("open", 3))
    >>> while not device.over:
    ...     device = phone.step(jax.random.key(1), device, phone.demonstrated(None, device))
    >>> phone.words.decode(np.asarray(device.goal)), int(device.steps), float(device.reward)
    ('open app3 -', 1, 1.0)
    """

    apps: int = 6
    side: int = 4
    popup: float = 0.15
    miss: float = 0.1
    away: float = 0.3
    wrong: float = 0.03
    horizon: int = 10
    era: int = 0
    redesigned: int = 2
    hands: int = 30
    split: str = "train"

    def __post_init__(self) -> None:
        if not 2 <= self.apps <= self.cells or self.side < 2:
            raise ValueError(f"apps={self.apps} need at least two and at most side^2={self.cells} cells: raise `side`")
        if self.apps + self.era * self.redesigned > 10:
            raise ValueError(
                f"apps={self.apps}, era={self.era}, redesigned={self.redesigned}: there are 10 classes of icons, and "
                "each redesign takes new ones. Lower one of them."
            )
        for name in ("popup", "miss", "away", "wrong"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is no probability")

    @property
    def cells(self) -> int:
        """Cells of the screen."""
        return self.side**2

    @property
    def pixels(self) -> int:
        """Along the screen."""
        return self.side * TILE

    @property
    def words(self) -> Words:
        """The language of prompts and actions. The first word stands where a patch of the screen does."""
        apps, cells = (f"app{a}" for a in range(self.apps)), (f"c{c}" for c in range(self.cells))
        return Words(("<screen>", "-", *VERBS, *KINDS, *apps, *map(str, range(10)), *cells))

    def token(self, word: str) -> int:
        """The token of a word."""
        return SPECIAL + self.words.words.index(word)

    def goal(self, verb: str, app: int, digit: int | None = None) -> Int[np.ndarray, " 3"]:
        """What is asked for, as tokens."""
        return self.words.encode([f"{verb} app{app} {'-' if digit is None else digit}"])[0]

    @property
    def popups(self) -> Popups:
        """All pop-ups there can be."""
        return _popups(self.side)

    @property
    def classes(self) -> tuple[int, ...]:
        """The class of each app's icon in this era."""
        own = list(range(self.apps))
        for number in range(self.era * self.redesigned):
            own[number % self.apps] = self.apps + number
        return tuple(own)

    @property
    def tiles(self) -> Float[np.ndarray, "tiles 8 8"]:
        """The picture of every tile: widgets, typed digits (dark on light), icons class by class."""
        return _tiles(self.hands, self.split)

    @property
    def kinds(self) -> Int[np.ndarray, " tiles"]:
        """What every tile shows: a number for each widget, typed digit and class of icons."""
        return np.concatenate([np.arange(ICONS), ICONS + np.repeat(np.arange(10), self.hands)]).astype(np.int32)

    def drawn(self, tiles_BC: Int[Array | np.ndarray, "*B C"]) -> Float[Array, "*B Y X 1"]:
        """Screens as pixels from 0 to 1."""
        cut = jnp.asarray(self.tiles)[tiles_BC].reshape(*tiles_BC.shape[:-1], self.side, self.side, TILE, TILE)
        return cut.swapaxes(-3, -2).reshape(*tiles_BC.shape[:-1], self.pixels, self.pixels, 1)

    def prompts(self, goals_BG: Int[Array, "B 3"], before_BK: Int[Array, "B K"]) -> Int[Array, "B P"]:
        """What an agent reads: CLS, a place for every cell of the screen, the goal, the last actions, SEP."""
        B = len(goals_BG)

        def column(token: int, times: int = 1) -> Array:
            return jnp.full((B, times), token, jnp.int32)

        parts = (column(CLS), column(SPECIAL, self.cells), goals_BG, before_BK, column(SEP))
        return jnp.concatenate([jnp.asarray(part, jnp.int32) for part in parts], axis=1)

    def reset(self, key: Key[Array, ""], goal: Int[Array | np.ndarray, " 3"]) -> Device:
        """A device of which something is asked."""
        cells, apps = self.cells, self.apps
        luck = jax.random.uniform(key, (2 * cells + apps + 5,))  # one draw: programs compile fast
        where = jnp.argsort(luck[:cells])[:apps]
        places = 1 + jnp.argsort(luck[cells : 2 * cells - 1])[:3]
        hands = jnp.floor(luck[2 * cells : 2 * cells + apps] * self.hands).astype(jnp.int32)
        far, which, *popup, wrong = luck[-5:]
        asked = jnp.asarray(goal)[1] - self.token("app0")
        other = (asked + 1 + jnp.floor(which * (apps - 1)).astype(jnp.int32)) % apps
        zero, none, no = jnp.int32(0), jnp.int32(-1), jnp.array(False)
        return Device(
            goal=jnp.asarray(goal, jnp.int32),
            home=jnp.full(self.cells, -1, jnp.int32).at[where].set(jnp.arange(self.apps, dtype=jnp.int32)),
            icons=(ICONS + jnp.array(self.classes) * self.hands + hands).astype(jnp.int32),
            places=places.astype(jnp.int32),
            screen=jnp.where(far < self.away, 1 + other, 0).astype(jnp.int32),
            focused=no, typed=none, enabled=no, sent=none,
            popup=self._popped(none, *popup),
            steps=zero,
            misjudged=wrong < self.wrong,
            reward=jnp.float32(0.0),
            over=no,
        )  # fmt: skip

    def step(self, key: Key[Array, ""], device: Device, action: Int[Array, " 2"]) -> Device:
        """The device behind an action; what is no action does nothing but take a step. One that is over stays."""
        miss, way, *luck = jax.random.uniform(key, (4,))
        d, first = device, jnp.asarray(action)[0] - self.token("tap")
        cell, digit = jnp.asarray(action)[1] - self.token("c0"), jnp.asarray(action)[1] - self.token("0")
        taps = (first == TAP) & (cell >= 0) & (cell < self.cells)
        cell = jnp.where(miss < self.miss, self._next_to(cell, way), cell).clip(0, self.cells - 1)

        free, popups = d.popup < 0, self.popups
        closes = taps & ~free & (jnp.asarray(popups.close)[d.popup] == cell)
        lured = taps & ~free & ~closes & jnp.asarray(popups.covers)[d.popup, cell]
        opened = jnp.where(taps & free & (d.screen == 0), d.home[cell], -1)
        leaves = free & ((first == HOME) | (first == BACK))
        inside = free & (d.screen >= 1) & (d.screen <= self.apps)
        on_switch, on_field, on_button = (taps & inside & (cell == place) for place in d.places)
        types = inside & d.focused & (first == TYPE) & (digit >= 0) & (digit < 10)
        fresh = (opened >= 0) | leaves | lured  # an app forgets what was not sent when it is left

        screen = jnp.where(opened >= 0, 1 + opened, jnp.where(leaves, 0, jnp.where(lured, 1 + self.apps, d.screen)))
        popup = jnp.where(closes | lured, -1, d.popup)
        now = d._replace(
            screen=screen.astype(jnp.int32),
            focused=jnp.where(fresh, False, d.focused | on_field),
            typed=jnp.where(fresh, -1, jnp.where(types, digit, d.typed)).astype(jnp.int32),
            enabled=jnp.where(fresh, False, d.enabled ^ on_switch),
            sent=jnp.where(fresh, -1, jnp.where(on_button, d.typed, d.sent)).astype(jnp.int32),
            popup=self._popped(popup, *luck),
            steps=d.steps + 1,
        )
        right = self.right(now)
        ended = (first == DONE) | (now.steps >= self.horizon) | (right & ~d.misjudged)
        now = now._replace(over=ended, reward=(ended & (right ^ d.misjudged)).astype(jnp.float32))
        return jax.tree.map(lambda new, old: jnp.where(d.over, old, new), now, d)

    def right(self, device: Device) -> Bool[Array, ""]:
        """Whether the device is as it was asked to be: what an evaluator without errors sees on its screen."""
        d = device
        digit = d.goal[2] - self.token("0")
        done = jnp.stack([jnp.array(True), d.enabled, d.typed == digit, d.sent == digit])
        return (d.screen == 1 + d.goal[1] - self.token("app0")) & done[d.goal[0] - self.token(VERBS[0])]

    def seen(self, device: Device) -> Int[Array, " C"]:
        """The tiles of the screen."""
        d, at = device, jnp.arange(self.cells)
        home = jnp.where(d.home >= 0, d.icons[d.home], BLANK)
        app = jnp.where(at == 0, d.icons[(d.screen - 1).clip(0, self.apps - 1)], BLANK)
        field = jnp.where(d.typed >= 0, TYPED + d.typed, jnp.where(d.focused, FOCUSED, FIELD))
        widgets = (jnp.where(d.enabled, ON, OFF), field, jnp.where(d.sent >= 0, PRESSED, BUTTON))
        for place, tile in zip(d.places, widgets, strict=True):
            app = jnp.where(at == place, tile, app)
        tiles = jnp.where(d.screen == 0, home, jnp.where(d.screen > self.apps, PAGE, app))
        popups = self.popups
        ad = jnp.where(at == jnp.asarray(popups.close)[d.popup], CLOSE, ADVERT)
        covered = (d.popup >= 0) & jnp.asarray(popups.covers)[d.popup]
        return jnp.where(covered, ad, tiles).astype(jnp.int32)

    def demonstrated(self, key: Any, device: Device) -> Int[Array, " 2"]:
        """What someone does who knows the device: the action of a demonstration. Nothing is drawn."""
        d, cells = device, self.token("c0")
        verb, app, digit = d.goal[0] - self.token(VERBS[0]), d.goal[1] - self.token("app0"), d.goal[2]
        switch, field, button = d.places

        def tap(cell: Array) -> Array:
            return jnp.stack([jnp.asarray(self.token("tap")), cells + cell])

        types = jnp.stack([jnp.asarray(self.token("type")), digit])
        filled = d.typed == digit - self.token("0")
        writes = jnp.where(filled, tap(button), jnp.where(d.focused, types, tap(field)))
        inside = jnp.where(verb == VERBS.index("enable"), tap(switch), writes)
        home = jnp.array([self.token("home"), self.token("-")])
        there = jnp.where(d.screen == 1 + app, inside, home)
        plain = jnp.where(d.screen == 0, tap(jnp.argmax(d.home == app)), there)
        return jnp.where(d.popup >= 0, tap(jnp.asarray(self.popups.close)[d.popup]), plain).astype(jnp.int32)

    def at_random(self, key: Key[Array, ""], device: Device) -> Int[Array, " 2"]:
        """A tap on any cell: what a rule reaches that knows nothing."""
        cell = jax.random.randint(key, (), 0, self.cells)
        return jnp.stack([jnp.asarray(self.token("tap")), self.token("c0") + cell]).astype(jnp.int32)

    def played(self, key: Key[Array, ""], goal: Int[Array | np.ndarray, " 3"], rule: Rule) -> Device:
        """The device behind an episode in which a rule acts."""

        def turn(number: Array, device: Device) -> Device:
            action = rule(jax.random.fold_in(key, 2 * number + 2), device)
            return self.step(jax.random.fold_in(key, 2 * number + 1), device, action)

        return jax.lax.fori_loop(0, self.horizon, turn, self.reset(jax.random.fold_in(key, 0), goal))

    def _popped(self, popup: Array, when: Array, which: Array) -> Array:
        """Another pop-up, perhaps, where there is none; by two numbers from 0 to 1."""
        opens = (popup < 0) & (when < self.popup)
        return jnp.where(opens, jnp.floor(which * len(self.popups.close)), popup).astype(jnp.int32)

    def _next_to(self, cell: Array, way: Array) -> Array:
        """The cell above, below, left or right, as far as there is one; by a number from 0 to 1."""
        down, right = jnp.array([[-1, 0], [1, 0], [0, -1], [0, 1]])[jnp.floor(way * 4).astype(jnp.int32)]
        row, column = (cell // self.side + down).clip(0, self.side - 1), (cell % self.side + right)
        return row * self.side + column.clip(0, self.side - 1)


@functools.lru_cache(maxsize=8)
def _popups(side: int) -> Popups:
    size, covers, close = min(3, side - 1), [], []
    for top in range(side - size + 1):
        for left in range(side - size + 1):
            own = np.zeros((side, side), bool)
            own[top : top + size, left : left + size] = True
            for down in (0, size - 1):
                for right in (0, size - 1):
                    covers.append(own.reshape(-1))
                    close.append((top + down) * side + left + right)
    return Popups(np.stack(covers), np.array(close, np.int32))


@functools.lru_cache(maxsize=8)
def _tiles(hands: int, split: str) -> Float[np.ndarray, "tiles 8 8"]:
    """Widgets as small drawings, and handwriting."""
    at, row, column = np.arange(TILE), *np.indices((TILE, TILE))
    edge = (row % 7 == 0) | (column % 7 == 0)
    cross = (row == column) | (row == at[::-1][column])
    line, triangle = row == 7, abs(row - 3.5) + column < 5
    drawings = (
        row < 0, (row + column) % 2 == 0, cross | edge, edge, edge | ((row - 3.5) ** 2 + (column - 3.5) ** 2 < 8),
        line, line | (column == 1), triangle, triangle | line | (row == 0), row % 2 == 0,
    )  # fmt: skip
    source = Digits(split)
    own = [
        np.stack([source[i]["image"][..., 0] for i in range(len(source)) if source[i]["label"] == c]) for c in range(10)
    ]
    if min(map(len, own)) < hands:
        raise ValueError(f"hands={hands}: the {split} split has {min(map(len, own))} images of some class. Lower it.")
    typed = [1 - images[0] for images in own]
    icons = np.concatenate([images[:hands] for images in own])
    return np.concatenate([np.stack([*drawings, *typed]), icons]).astype(np.float32)


__all__ = ["Device", "Phone", "Popups"]
