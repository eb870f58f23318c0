"""Serving: the loop against a clock and a decoder of our own; with a real model the tokens of plain sampling."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.decode import Prompts, sample
from stagejax.inference import Frozen
from stagejax.inference.serving.serving import Engine, Requests, in_turn, poisson_requests, serve
from stagejax.models import gpt


class Counting:
    """An engine whose next token is one more than the last; each step takes a second of the clock below."""

    slots, length = 2, 100

    def empty(self) -> None:
        return None

    def admit(self, cache: Any, slot: int, tokens_P: Any, length: int) -> None:
        return None

    def step(self, cache: Any, last_S: Any, live_S: Any) -> Any:
        return np.where(live_S, last_S + 1, 0), None


def asked(limits: list[int], arrivals: list[float]) -> Requests:
    n = len(limits)
    tokens = np.array([[10 * i, 0] for i in range(n)], np.int32)
    return Requests(tokens, np.ones(n, int), np.array(limits), np.array(arrivals))


def clock() -> Any:
    """A second passes between two looks."""
    return map(float, itertools.count()).__next__


def test_a_slot_is_filled_again_at_once_or_when_all_are_free() -> None:
    requests = asked([1, 4, 1, 1], [0.0, 0.0, 0.0, 0.0])
    continuous, static = (serve(Counting(), requests, way, 1.0, clock()) for way in ("continuous", "static"))
    assert continuous.steps == 4
    assert static.steps == 5
    assert continuous.tokens == static.tokens == ((1,), (11, 12, 13, 14), (21,), (31,))
    assert static.seconds == 5
    assert continuous.goodput > static.goodput
    assert continuous.occupancy == 7 / 8
    assert static.occupancy == 7 / 10
    assert continuous.first_N.tolist() == [1, 1, 2, 3]
    assert static.first_N.tolist() == [1, 1, 5, 5]
    assert set(continuous.gaps.tolist()) == {1}


def test_buckets_put_like_lengths_together() -> None:
    requests = asked([1, 8, 1, 8], [0.0, 0.0, 0.0, 0.0])
    static, bucketed = (serve(Counting(), requests, way, 1.0, clock()) for way in ("static", "bucketed"))
    assert (static.steps, bucketed.steps) == (16, 9)
    assert static.tokens == bucketed.tokens


def test_nobody_is_served_before_coming_and_waiting_takes_no_time() -> None:
    requests = asked([1, 1], [2.0, 50.0])
    served = serve(Counting(), requests, "continuous", 10.0, clock())
    assert served.first_N.tolist() == [1, 1]
    assert served.seconds == (500 + 1) - 20
    assert served.steps == 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="length=100"):
        serve(Counting(), asked([100], [0.0]), "static", 1.0, clock())


@pytest.mark.slow
def test_every_way_gives_the_tokens_of_greedy_sampling() -> None:
    config = gpt(vocab=32, embed=32, heads=2, layers=2, mlp=64, length=24, scan=True)
    _, params, rest = nnx.split(config.build(nnx.Rngs(0)), nnx.Param, ...)
    net = Frozen(config, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))
    texts = np.random.default_rng(0).integers(1, 32, (6, 5)).astype(np.int32)
    requests = poisson_requests(texts, 2, 5.0, 16, seed=0)
    engine = Engine(net, slots=2, length=24)
    tokens = {serve(engine, requests, way, 1e-3).tokens for way in ("static", "bucketed", "continuous")}
    assert len(tokens) == 1
    model = config.build(nnx.Rngs(0))
    drawn = sample(
        model, Prompts(requests.tokens_NP, requests.lengths_N), jax.random.key(0), length=24, temperature=0.0,
        limit=jnp.asarray(requests.limits_N),
    )  # fmt: skip
    expected = tuple(
        tuple(row[start:end].tolist())
        for row, start, end in zip(
            np.asarray(drawn.tokens_BNS[:, 0]), np.asarray(drawn.starts_BN[:, 0]), np.asarray(drawn.ends_BN[:, 0]),
            strict=True,
        )
    )  # fmt: skip
    assert tokens == {expected}
    found = in_turn(engine, requests, load=0.9, repeats=1)
    assert {way: np.array(own).shape for way, own in found.items()} == dict.fromkeys(found, (1, 6))
