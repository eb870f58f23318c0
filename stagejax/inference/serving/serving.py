"""Requests that come at any time, answered by one decoder with a number of slots; three ways to fill the slots.

Time is that of the calls as they were measured, one after the other; waiting for a request takes none of it. Tokens are
the likeliest ones, so every way gives the same. Letters: N requests, P places of a prompt, S slots.

Reference: Yu et al. 2022 (Orca: continuous batching), https://www.usenix.org/conference/osdi22/presentation/yu.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stagejax.decode import Prompts
from stagejax.inference.frozen import Frozen, compiled

Filling = Literal["static", "bucketed", "continuous"]


@dataclass(frozen=True)
class Requests:
    """What is asked, in the order in which it comes."""

    tokens_NP: Int[np.ndarray, "N P"]  # prompts, padded behind their ends
    lengths_N: Int[np.ndarray, " N"]  # of the prompts
    limits_N: Int[np.ndarray, " N"]  # tokens asked for
    arrivals_N: Float[np.ndarray, " N"]  # when each comes, in units of the mean time between two


def poisson_requests(texts: Int[np.ndarray, "N P"], shortest: int, mean: float, longest: int, seed: int) -> Requests:
    """Requests with prompts of 2 to P tokens and geometric numbers of tokens asked for, coming as a Poisson process.

    Args:
      texts: a row of tokens for each request.
      shortest, mean, longest: of the tokens asked for; `mean` before they are cut at `longest`.

    >>> made = poisson_requests(np.ones((50, 8), int), 2, 10.0, 40, seed=0)
    >>> bool((made.limits_N >= 2).all() and (made.limits_N <= 40).all() and (np.diff(made.arrivals_N) > 0).all())
    True
    """
    draw, (N, P) = np.random.default_rng(seed), texts.shape
    limits = np.minimum(shortest - 1 + draw.geometric(1 / (mean - shortest + 1), N), longest)
    lengths = draw.integers(2, P + 1, N)
    tokens = np.where(np.arange(P) < lengths[:, None], texts, 0)
    return Requests(tokens, lengths, limits, np.cumsum(draw.exponential(1.0, N)))


@dataclass(frozen=True)
class Served:
    """How a set of requests was served."""

    tokens: tuple[tuple[int, ...], ...]  # of each request
    first_N: Float[np.ndarray, " N"]  # seconds from its coming to its first token
    gaps: Float[np.ndarray, " gaps"]  # seconds between two tokens of a request
    seconds: float  # from the first coming to the last token
    steps: int  # decoding steps of all slots
    slots: int

    @property
    def goodput(self) -> float:
        """Tokens that were asked for, a second."""
        return sum(map(len, self.tokens)) / self.seconds

    @property
    def occupancy(self) -> float:
        """The share of all slots' steps that gave such a token."""
        return sum(map(len, self.tokens)) / (self.steps * self.slots)


class Engine:
    """A decoder with a cache of `slots` rows of `length` tokens: two programs, whatever is asked.

    >>> # served = serve(Engine(Frozen.of(result), slots=8, length=128), requests, "continuous", seconds=0.01)
    """

    def __init__(self, net: Frozen, slots: int, length: int) -> None:
        self.net, self.slots, self.length = net, slots, length
        self._admit = compiled(_admitted, net.config)
        self._step = compiled(_stepped, net.config)

    def empty(self) -> Any:
        """The cache before the first request."""
        return compiled(_empty, self.net.config, self.slots, self.length)(self.net.params, self.net.rest)

    def admit(self, cache: Any, slot: int, tokens_P: Any, length: int) -> Any:
        """The cache with a prompt, but for its last token, in a slot."""
        return self._admit(self.net.params, self.net.rest, cache, np.int32(slot), tokens_P[None], np.int32(length))

    def step(self, cache: Any, last_S: Any, live_S: Any) -> tuple[Any, Any]:
        """The next token of every slot behind `last_S`, and the longer cache of those that live."""
        return self._step(self.net.params, self.net.rest, cache, last_S, live_S)


def _empty(model: Any, slots: int, length: int) -> Any:
    return model.init_cache(slots, length)


def _admitted(model: Any, cache: Any, slot: Array, tokens_1P: Array, length: Array) -> Any:
    _, own = Prompts(tokens_1P, length[None]).read(model, cache.keys_LBSKH.shape[2])
    return replace(
        cache,
        keys_LBSKH=cache.keys_LBSKH.at[:, slot].set(own.keys_LBSKH[:, 0]),
        values_LBSKV=cache.values_LBSKV.at[:, slot].set(own.values_LBSKV[:, 0]),
        lengths_B=cache.lengths_B.at[slot].set(own.lengths_B[0]),
    )


def _stepped(model: Any, cache: Any, last_S: Int[Array, " S"], live_S: Bool[Array, " S"]) -> tuple[Array, Any]:
    logits_S1V, cache = model.step(last_S[:, None], cache, live_S.astype(jnp.int32))
    return logits_S1V[:, 0].argmax(-1).astype(jnp.int32), cache


def serve(
    engine: Any, requests: Requests, filling: Filling, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> Served:
    """All requests answered.

    Ways to fill the slots:
      static: when all are free, by those that wait, in the order they came; then until the last of them is done.
      bucketed: the same, but by those that wait for about as many tokens as the one that waits longest: half as many to
        twice as many. Knowing that number beforehand is its privilege.
      continuous: each as soon as it is free, by the one that waits longest.

    Args:
      engine: an `Engine`, or what has its methods.
      seconds: mean time between two requests.
      clock: of the calls.

    Raises:
      ValueError: a request does not fit into the cache.
    """
    N, S = len(requests.limits_N), engine.slots
    if (requests.lengths_N + requests.limits_N).max() > engine.length:
        raise ValueError(f"a prompt and what is asked for behind it exceed length={engine.length} of the cache")
    arrivals = requests.arrivals_N * seconds
    now, cache, coming, waiting = float(arrivals[0]), engine.empty(), 0, []
    owner_S, last_S = np.full(S, -1), np.zeros(S, np.int32)
    said: list[list[int]] = [[] for _ in range(N)]
    at: list[list[float]] = [[] for _ in range(N)]
    steps = 0
    while coming < N or waiting or (owner_S >= 0).any():
        while coming < N and arrivals[coming] <= now:
            waiting.append(coming)
            coming += 1
        free = np.flatnonzero(owner_S < 0)
        chosen = _chosen(requests, waiting, len(free), filling) if filling == "continuous" or len(free) == S else []
        began = clock()
        for slot, number in zip(free.tolist(), chosen, strict=False):
            waiting.remove(number)
            length = int(requests.lengths_N[number])
            cache = engine.admit(cache, slot, requests.tokens_NP[number], length)
            owner_S[slot], last_S[slot] = number, requests.tokens_NP[number, length - 1]
        if not (owner_S >= 0).any():
            now = float(arrivals[coming])
            continue
        new_S, cache = engine.step(cache, last_S, owner_S >= 0)
        new_S = np.asarray(new_S)
        now, steps = now + clock() - began, steps + 1
        for slot in np.flatnonzero(owner_S >= 0):
            number = owner_S[slot]
            said[number].append(int(new_S[slot]))
            at[number].append(now)
            last_S[slot] = new_S[slot]
            owner_S[slot] = -1 if len(said[number]) == requests.limits_N[number] else number
    first = np.array([own[0] for own in at]) - arrivals
    gaps = np.concatenate([np.diff(own) for own in at])
    return Served(tuple(map(tuple, said)), first, gaps, max(own[-1] for own in at) - float(arrivals[0]), steps, S)


def _chosen(requests: Requests, waiting: list[int], free: int, filling: Filling) -> list[int]:
    """Who is admitted now, into so many free slots."""
    if filling != "bucketed" or not waiting:
        return waiting[:free]
    asked = int(requests.limits_N[waiting[0]])
    near = [number for number in waiting if asked <= 2 * requests.limits_N[number] <= 4 * asked]
    return near[:free]


def in_turn(engine: Engine, requests: Requests, load: float, repeats: int) -> dict[str, list[list[float]]]:
    """The same requests served in all three ways, in turn, as an artifact.

    Args:
      load: tokens that are asked for in a second, over what full slots give by the time of a step measured here.

    Returns:
      By way, for each repeat: goodput, occupancy, seconds to the first token and between tokens (medians and 95th
      percentiles).

    Raises:
      ArithmeticError: the ways gave different tokens for the same request.
    """
    between = warmed(engine, requests) * float(requests.limits_N.mean()) / (engine.slots * load)
    found: dict[str, list[list[float]]] = {filling: [] for filling in get_args(Filling)}
    said = set()
    for _ in range(repeats):
        for filling in get_args(Filling):
            one = serve(engine, requests, filling, between)
            said.add(one.tokens)
            wait, gap = (np.percentile(own, (50, 95)).tolist() for own in (one.first_N, one.gaps))
            found[filling].append([one.goodput, one.occupancy, wait[0], wait[1], gap[0], gap[1]])
    if len(said) > 1:
        raise ArithmeticError("the ways of filling slots gave different tokens for the same requests")
    return found


def warmed(engine: Engine, requests: Requests) -> float:
    """The median seconds of a decoding step of a full engine, once all its programs are compiled."""
    cache = engine.empty()
    for slot in range(engine.slots):
        cache = engine.admit(cache, slot, requests.tokens_NP[0], int(requests.lengths_N[0]))
    last_S, live_S, found = np.zeros(engine.slots, np.int32), np.ones(engine.slots, bool), []
    for _ in range(8):
        began = time.perf_counter()
        new_S, _ = jax.block_until_ready(engine.step(cache, last_S, live_S))
        np.asarray(new_S)
        found.append(time.perf_counter() - began)
    return float(np.median(found[1:]))
