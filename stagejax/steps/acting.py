"""Learning from episodes that the learner acts out itself, as steps of a stage: collect, filter, imitate.

Episodes are part of the stage's state, as a model without parameters (`Store`), so a stage that is killed goes on with
the same ones. The models are "policy" (see `decode.episodes`), "store", and, where they are used, the critics
"instruction" (success from the goal alone) and "step" (from two screens and the text). A step of the stage is one
iteration: `Collect` adds episodes, `Learn` makes so many optimizer steps with each critic and the policy, and `Online`
is one behind the other. Letters: N episodes in the store, H steps of each, C cells of a screen, B rows of an update.

>>> # Stage(model={"policy": net, "instruction": ..., "step": ..., "store": Store.of(phone, 780)},
>>> #       objective={"policy": ActionLikelihood(low=0.001, high=0.99), "instruction": instruction_value,
>>> #       "step": step_value, "store": None},
>>> #       optimizer={...}, data=Goals(phone=phone, batch=16), step=Online(Collect(phone), Learn(phone)), ...)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from stagejax.decode.episodes import ACTION, Emulator, operated
from stagejax.identity import once_a_program
from stagejax.inference.multimodal.operating import luck
from stagejax.ledger import count_flops
from stagejax.objectives.rewards.filtered import ReleasedScore, Weigh, top_share
from stagejax.program import build
from stagejax.stage import Batch, Metrics, Part, Stage, gradient_step
from stagejax.state import TrainState
from stagejax.steps.self_sampling import Each

RELEASED = ReleasedScore()
Parts = dict[str, Part]
States = dict[str, TrainState]


@runtime_checkable
class Screened(Protocol):
    """What a store must know of an emulator."""

    horizon: int

    @property
    def cells(self) -> int: ...


@dataclass(frozen=True)
class Store:
    """The configuration of the episodes in a stage's state: no network, but part of the state as one is.

    The newest stand last; where there are more than `size`, the oldest are forgotten.
    """

    size: int
    horizon: int
    cells: int
    goal: int = 3  # tokens

    @classmethod
    def of(cls, emulator: Screened, size: int) -> Store:
        """For the episodes of an emulator."""
        return cls(size, emulator.horizon, emulator.cells)

    def sizes(self) -> dict[str, int]:
        """It names no axes."""
        return {}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """No episodes yet."""
        return Stored(self)


class Stored(nnx.Module):
    """The variables of `Episodes` but for `right`, and `held` (N,): not learned from. Where `lengths` is 0: none."""

    def __init__(self, config: Store) -> None:
        N, H = config.size, config.horizon

        def zeros(*shape: int, dtype: Any = jnp.int32) -> nnx.Variable:
            return nnx.Variable(jnp.zeros((N, *shape), dtype))

        self.goals, self.screens, self.actions = zeros(config.goal), zeros(H + 1, config.cells), zeros(H, ACTION)
        self.lengths, self.rewards, self.held = zeros(), zeros(dtype=jnp.float32), zeros(dtype=bool)


def model_of(name: str, parts: Parts, states: States) -> Any:
    """One of the models, with its values."""
    return nnx.merge(parts[name].graphdef, states[name].params, states[name].rest)


@dataclass(frozen=True)
class Collect:
    """An episode for each goal of the batch, {"goal": (n, G)}, acted by the policy and added to the store.

    Args:
      emulator: makes devices.
      history: last actions in a prompt.
      temperature: of the policy.
      held: share of the new episodes, rounded up, that only the critics' validation sees.
    """

    emulator: Emulator
    history: int = 2
    temperature: float = 1.0
    held: float = 0.2

    def __call__(self, parts: Parts, states: States, batch: Batch, key: jax.Array) -> tuple[States, Metrics]:
        """The states after it, and metrics: what the evaluator said of the new episodes, and what was right."""
        key = jax.random.fold_in(key, states["store"].step)
        how = {"history": self.history, "temperature": self.temperature}
        new = operated(model_of("policy", parts, states), self.emulator, batch["goal"], key, **how)
        count = len(new.goals)
        held = jnp.arange(count) >= int(count * (1 - self.held))
        fresh = {"goals": new.goals, "screens": new.screens, "actions": new.actions} | {
            "lengths": new.lengths, "rewards": new.rewards, "held": held
        }  # fmt: skip
        old = states["store"]
        rest = {name: jnp.concatenate([old.rest[name], fresh[name]])[count:] for name in fresh}
        after = states | {"store": replace(old, step=old.step + 1, rest=rest)}
        metrics = {
            "reward": new.rewards.mean(),
            "right": new.right.mean(),
            "actions": new.lengths.mean(),
            "sampled_tokens": ACTION * new.lengths.sum(),
        }
        return after, metrics


@dataclass(frozen=True)
class Learn:
    """Optimizer steps on what is in the store: of the critics, and of the policy on what the filters leave.

    First the episodes that score in the top `share` by reward - V(goal) are chosen, V by the model "instruction" as it
    is; by the reward alone where there is none, or `curriculum` is off. Then, in this order, `updates` steps of
    "instruction" on all episodes, of "step" on the latest `capacity` steps of all episodes, and of "policy" on the
    latest `capacity` steps of those that were chosen, each weighed by `weigh` from V of the state and of the one behind
    it; all by 1 where there is no model "step". Updates of a model that is not there must be 0. Rows are drawn with
    replacement. Nothing held is learned from.

    Reference: Bai et al. 2024, https://arxiv.org/abs/2406.11896; order, buffers and validation as in its released code.

    Raises:
      ValueError: a negative number of updates, or a share outside of (0, 1].
    """

    emulator: Emulator
    updates: tuple[int, int, int] = (5, 5, 20)  # of instruction critic, step critic, policy
    share: float = 0.1
    curriculum: bool = True
    weigh: Weigh = RELEASED
    rows: int = 128
    capacity: int = 2000
    history: int = 2

    def __post_init__(self) -> None:
        if min(self.updates) < 0 or not 0 < self.share <= 1:
            raise ValueError(f"updates={self.updates}, share={self.share}: no negative numbers, and 0 < share <= 1")

    def __call__(self, parts: Parts, states: States, batch: Batch, key: jax.Array) -> tuple[States, Metrics]:
        """The states after it, and metrics of the last update of each model."""
        store, metrics = states["store"].rest, {}
        at = jnp.arange(self.emulator.horizon)
        steps_NH = at < store["lengths"][:, None]
        train_N = (store["lengths"] > 0) & ~store["held"]
        kept_N, cutoff = self.kept(parts, states)
        key = jax.random.fold_in(jax.random.fold_in(key, states["store"].step), 3)
        all_NH, kept_NH = (latest(steps_NH & own_N[:, None], self.capacity) for own_N in (train_N, kept_N))
        after = dict(states)

        def updated(name: str, times: int, rows: Any) -> None:
            """So many steps of one model, each on rows of its own."""
            if not times:
                return
            own_key = jax.random.fold_in(key, list(states).index(name))

            def one(state: TrainState, number: Array) -> tuple[TrainState, Metrics]:
                return gradient_step(parts[name], state, rows(jax.random.fold_in(own_key, number)), own_key)

            after[name], found = jax.lax.scan(one, after[name], jnp.arange(times))
            metrics.update({f"{name}_{what}": values[-1] for what, values in found.items()})

        updated("instruction", self.updates[0], lambda k: self.goals(states, drawn(train_N, k, self.rows)))
        updated("step", self.updates[1], lambda k: self.critic_rows(parts, after, drawn(all_NH, k, self.rows)))
        updated("policy", self.updates[2], lambda k: self.policy_rows(parts, after, drawn(kept_NH, k, self.rows)))
        if "instruction" in parts:
            held = drawn((store["lengths"] > 0) & store["held"], key, self.rows)
            metrics["instruction_held"] = self.judged("instruction", parts, after, self.goals(states, held))
        if "step" in parts:
            held = drawn(latest(steps_NH & store["held"][:, None], self.capacity), key, self.rows)
            metrics["step_held"] = self.judged("step", parts, after, self.critic_rows(parts, after, held))
        after["store"] = replace(states["store"], step=states["store"].step + 1)
        metrics |= {
            "loss": metrics.get("policy_loss", jnp.float32(0.0)),
            "kept": kept_N.sum() / jnp.maximum(train_N.sum(), 1),
            "kept_reward": (kept_N * store["rewards"]).sum() / jnp.maximum(kept_N.sum(), 1),
            "cutoff": cutoff,
        }
        return after, metrics

    def kept(self, parts: Parts, states: States) -> tuple[Bool[Array, " N"], Float[Array, ""]]:
        """The chosen episodes, and the cutoff."""
        store = states["store"].rest
        value_N = jnp.zeros_like(store["rewards"])
        if self.curriculum and "instruction" in parts:
            logits_N2 = model_of("instruction", parts, states).answers(store["goals"])
            value_N = jax.nn.softmax(logits_N2, axis=-1)[:, 1].clip(1e-4, 1 - 1e-4)
        return top_share(store["rewards"] - value_N, (store["lengths"] > 0) & ~store["held"], self.share)

    def goals(self, states: States, number_B: Array) -> dict[str, Array]:
        """Rows of the instruction critic."""
        store = states["store"].rest
        return {"text": store["goals"][number_B], "success": (store["rewards"][number_B] > 0).astype(jnp.int32)}

    def critic_rows(self, parts: Parts, states: States, place_B: Array) -> dict[str, Array]:
        """Rows of the step critic, whose places are those of steps in the store, counted through.

        Both states are seen as two frames: the screen and the one before it, or twice the first one.
        """
        store, (n, h) = states["store"].rest, jnp.divmod(place_B, self.emulator.horizon)
        frames_B3C = store["screens"][n[:, None], jnp.maximum(h[:, None] + jnp.arange(-1, 2), 0)]
        vision = model_of("policy", parts, states).vision
        images = self.emulator.drawn(frames_B3C.reshape(-1, frames_B3C.shape[-1]))
        seen_B3E = jax.lax.stop_gradient(vision.dense(images).mean(1)).reshape(len(place_B), 3, -1)
        before, here, after = seen_B3E[:, 0], seen_B3E[:, 1], seen_B3E[:, 2]
        return {
            "text": jnp.concatenate([store["goals"][n], self.before(store, n, h)], axis=1),
            "seen": jnp.concatenate([before, here], axis=1),
            "next_text": jnp.concatenate([store["goals"][n], self.before(store, n, h + 1)], axis=1),
            "next_seen": jnp.concatenate([here, after], axis=1),
            "success": (store["rewards"][n] > 0).astype(jnp.int32),
        }

    def policy_rows(self, parts: Parts, states: States, place_B: Array) -> dict[str, Array]:
        """Rows of the policy, with the weights that the step critic gives them."""
        store, (n, h) = states["store"].rest, jnp.divmod(place_B, self.emulator.horizon)
        prompts_BP = self.emulator.prompts(store["goals"][n], self.before(store, n, h))
        tokens_BT = jnp.concatenate([prompts_BP, store["actions"][n, h]], axis=1)
        weights_B = jnp.ones(len(place_B))
        if "step" in parts:
            rows, critic = self.critic_rows(parts, states, place_B), model_of("step", parts, states)
            values = critic.value(rows["text"], rows["seen"]), critic.value(rows["next_text"], rows["next_seen"])
            left_B, final_B = store["lengths"][n] - 1 - h, store["rewards"][n]
            weights_B = jax.lax.stop_gradient(self.weigh(*values, final_B * (left_B == 0), final_B, left_B))
        return {"tokens": tokens_BT, "image": self.emulator.drawn(store["screens"][n, h]), "weights": weights_B}

    def before(self, store: Any, n: Array, h: Array) -> Int[Array, "B K"]:
        """The last actions before step h of episodes n."""
        at_BK = h[:, None] + jnp.arange(-self.history, 0)
        there = (at_BK >= 0)[..., None]
        actions = store["actions"][n[:, None], jnp.maximum(at_BK, 0)]
        return jnp.where(there, actions, self.emulator.token("-")).reshape(len(n), -1)

    def judged(self, name: str, parts: Parts, states: States, rows: dict[str, Array]) -> Array:
        """The share of rows that a critic is right about."""
        metrics = parts[name].objective(model_of(name, parts, states), rows, None)[1]
        found = metrics["accuracy"]
        return found[0] / jnp.maximum(found[1], 1) if isinstance(found, tuple) else found


@dataclass(frozen=True)
class Online:
    """One iteration of online learning: new episodes, then learning on all there are."""

    collect: Collect
    learn: Learn

    def __call__(self, parts: Parts, states: States, batch: Batch, key: jax.Array) -> tuple[States, Metrics]:
        states, collected = self.collect(parts, states, batch, key)
        states, learned = self.learn(parts, states, batch, key)
        return states, collected | learned


@dataclass(frozen=True)
class Succeeds:
    """An objective of evaluations: the share of goals that are reached, by the model "policy" or the only one.

    The k-th goal of a stream always meets the same device and the same luck, whichever policy operates it.

    Args:
      emulator: its evaluator should be without errors.
    """

    emulator: Emulator
    history: int = 2
    temperature: float = 1.0

    def __call__(self, model: Any, batch: Batch, key: Any) -> tuple[Array, Metrics]:
        policy = model["policy"] if isinstance(model, dict) else model
        how = {"history": self.history, "temperature": self.temperature}
        found = operated(policy, self.emulator, batch["goal"], luck(batch["number"]), **how)
        count = jnp.float32(len(found.right))
        return 1 - found.right.mean(), {
            "success": (found.right.sum(), count),
            "actions": (found.lengths.sum(), count),
        }


def latest(steps_NH: Bool[Array, "N H"], capacity: int) -> Bool[Array, "N H"]:
    """Those of the steps that a buffer of this capacity still holds when they came in order.

    >>> latest(jnp.array([[True, True], [True, False], [True, True]]), 3).astype(int).tolist()
    [[0, 0], [1, 0], [1, 1]]
    """
    flat = steps_NH.reshape(-1)
    behind = jnp.cumsum(flat[::-1])[::-1]
    return (flat & (behind <= capacity)).reshape(steps_NH.shape)


def drawn(there: Bool[Array, "*N"], key: Key[Array, ""], rows: int) -> Int[Array, " rows"]:
    """Places of so many that are there, counted through, each as likely, with replacement; 0 where nothing is.

    >>> sorted(set(drawn(jnp.array([False, True, False, True]), jax.random.key(0), 64).tolist()))
    [1, 3]
    """
    up_to = jnp.cumsum(there.reshape(-1))
    chosen = jax.random.randint(key, (rows,), 0, jnp.maximum(up_to[-1], 1))
    return jnp.where(up_to[-1] > 0, jnp.searchsorted(up_to, chosen, side="right"), 0)


def with_flops(stage: Stage) -> Stage:
    """The same stage, charged for episodes as if each had all actions that it may have."""
    return replace(stage, step_flops=Each(_step_flops(stage)))


@once_a_program
def _step_flops(stage: Stage) -> float:
    program = build(stage, None)
    specs = (program.state, program.batch, program.key, program.numbers)
    bare = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), specs)
    return float(count_flops(program.step, *bare, while_trips=ACTION))


def episode_flops(emulator: Emulator, config: Any, goal: int = 3) -> float:
    """FLOPs of operating one device, all actions that there may be."""
    from stagejax.inference.frozen import flops_of_one

    row = {
        "goal": jax.ShapeDtypeStruct((goal,), np.dtype("int32")),
        "number": jax.ShapeDtypeStruct((), np.dtype("int32")),
    }
    return float(flops_of_one(_success, config, row, Succeeds(emulator), while_trips=ACTION))


def _success(model: Any, rows: Batch, how: Succeeds) -> Array:
    return how(model, rows, None)[0]


__all__ = ["Collect", "Learn", "Online", "Store", "Stored", "Succeeds", "episode_flops", "with_flops"]
