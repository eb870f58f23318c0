"""Episodes: a model looks at screens and acts on devices, one action after the other, until the evaluator ends it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from stagejax.decode.prompts import Prompts
from stagejax.decode.sample import sample

ACTION = 2  #: tokens of an action


@runtime_checkable
class Emulator(Protocol):
    """What acting asks of a device; `stagejax.data.control.phone.Phone` is one. Functions are of one device, and pure.

    A device has the fields `over`, `reward` and `steps`; a screen is a vector of integers that stands for its pixels.
    """

    horizon: int

    def reset(self, key: Any, goal: Any) -> Any: ...

    def step(self, key: Any, device: Any, action: Any) -> Any: ...

    def seen(self, device: Any) -> Any: ...

    def right(self, device: Any) -> Any: ...

    def drawn(self, screens: Any) -> Any: ...

    def prompts(self, goals: Any, before: Any) -> Any: ...

    def token(self, word: str) -> int: ...


class Episodes(NamedTuple):
    """What happened on N devices. Behind an episode's last action, screens repeat and actions mean nothing."""

    goals: Int[Array, "N G"]
    screens: Int[Array, "N H1 C"]  # before each action, and behind the last
    actions: Int[Array, "N H 2"]
    lengths: Int[Array, " N"]
    rewards: Float[Array, " N"]  # the evaluator's
    right: Bool[Array, " N"]  # what an evaluator without errors would have said; never to be learned from


def operated(
    model: Any,
    emulator: Emulator,
    goals_NG: Int[Array, "N G"],
    key: Key[Array, "..."],
    *,
    history: int = 2,
    temperature: float = 1.0,
) -> Episodes:
    """An episode for each goal, side by side, actions drawn from p(. | screen, goal, last actions).

    Args:
      model: has `looking(prompts, images)`, a causal model for decoding behind them.
      key: one for all, or one for each (N,), so that an episode does not depend on its place.
      history: last actions in a prompt.
      temperature: 0 is greedy.

    Reference: Bai et al. 2024, https://arxiv.org/abs/2406.11896: 1.0, also in tests.
    """
    keys_N = jax.random.split(key, len(goals_NG)) if key.ndim == 0 else key
    fold = jax.vmap(jax.random.fold_in, (0, None))

    def turn(now: Any, number: Array) -> Any:
        devices, before_NK = now
        screens_NC = jax.vmap(emulator.seen)(devices)
        action_N2 = acted(model, emulator, goals_NG, before_NK, screens_NC, fold(keys_N, 2 * number + 2), temperature)
        after = jax.vmap(emulator.step)(fold(keys_N, 2 * number + 1), devices, action_N2)
        recent_NK = jnp.concatenate([before_NK, action_N2], axis=1)[:, ACTION:]
        return (after, recent_NK), (screens_NC, action_N2)

    nothing_NK = jnp.full((len(goals_NG), ACTION * history), emulator.token("-"), jnp.int32)
    first = jax.vmap(emulator.reset)(fold(keys_N, 0), goals_NG), nothing_NK
    (last, _), (screens, actions) = jax.lax.scan(turn, first, jnp.arange(emulator.horizon))
    screens, right = jnp.concatenate([screens, jax.vmap(emulator.seen)(last)[None]]), jax.vmap(emulator.right)(last)
    return Episodes(goals_NG, screens.swapaxes(0, 1), actions.swapaxes(0, 1), last.steps, last.reward, right)


def acted(
    model: Any,
    emulator: Emulator,
    goals_NG: Array,
    before_NK: Array,
    screens_NC: Array,
    keys_N: Array,
    temperature: float,
) -> Int[Array, "N 2"]:
    """One action on each screen."""
    prompts_NP = emulator.prompts(goals_NG, before_NK)
    N, P = prompts_NP.shape
    looking = model.looking(prompts_NP, emulator.drawn(screens_NC))
    given = Prompts(prompts_NP, jnp.full(N, P))
    drawn = sample(looking, given, keys_N, length=P + ACTION, limit=ACTION, temperature=temperature)
    return drawn.tokens_BNS[:, 0, P:]
