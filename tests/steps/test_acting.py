"""Collect, filter, imitate: rows are what was seen and done, filters choose as they should, a kill changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from spine import assert_outcome, assert_same, cut_short, go, outcome

from stagejax.data.control.phone import ICONS, Phone
from stagejax.data.control.phone_tasks import Goals
from stagejax.handover import Handover
from stagejax.mesh import make_mesh
from stagejax.models import ViT, bert, llama
from stagejax.models.multimodal.vision_language import VisionLanguage
from stagejax.models.text.double_critic import DoubleCritic
from stagejax.models.text.text_classifier import TextClassifier
from stagejax.objectives.rewards.filtered import ActionLikelihood, ReleasedScore, instruction_value, step_value
from stagejax.optimizer import adam
from stagejax.program import build
from stagejax.stage import Stage
from stagejax.steps.acting import Collect, Learn, Online, Store, Succeeds, drawn, latest, model_of, with_flops

PHONE = Phone(side=2, apps=2, horizon=3, hands=2, popup=0.1)
WORDS = PHONE.words.vocab
EYES = ViT(image=16, patch=8, embed=8, layers=1, heads=1, mlp=8, classes=ICONS + 10, init_std=0.3)
NET = VisionLanguage(EYES, llama(vocab=WORDS, embed=8, layers=1, heads=1, mlp=8, length=16, init_std=0.3))
READER = bert(vocab=WORDS, embed=8, layers=1, heads=1, mlp=8, length=8, init_std=0.3)
MODELS = {
    "policy": NET, "instruction": TextClassifier(READER, 2), "step": DoubleCritic(READER, 16, 6),
    "store": Store.of(PHONE, 12),
}  # fmt: skip
LOSSES = {"policy": ActionLikelihood(low=0.001, high=0.99), "instruction": instruction_value, "step": step_value}
LEARN = Learn(PHONE, updates=(1, 1, 2), rows=4, capacity=9, share=0.5)
ADAM = adam(1e-2, decay="constant", clip=0.01)
ONLINE = Stage(
    "online",
    MODELS,
    {name: LOSSES.get(name) for name in MODELS},
    {name: ADAM if name in LOSSES else None for name in MODELS},
    Goals(phone=PHONE, batch=4),
    steps=3,
    step=Online(Collect(PHONE, held=0.25), LEARN),
    save_every=1,
    keep=None,
)


@pytest.fixture(scope="module")
def parts() -> Any:
    return build(ONLINE, None).parts


@pytest.fixture(scope="module")
def states(parts: Any) -> Any:
    """Freshly made models, and a store with five episodes of which the second is held, in its last places."""
    rng = np.random.default_rng(0)
    fresh = build(ONLINE, make_mesh("data=1")).initial(0)
    lengths = np.array([0] * 7 + [3, 2, 1, 3, 2])
    rest = {
        "goals": np.asarray(Goals(phone=PHONE, batch=1).take(np.arange(12))["goal"]),
        "screens": rng.integers(0, 20, (12, 4, 4)).astype(np.int32),
        "actions": rng.integers(4, WORDS, (12, 3, 2)).astype(np.int32),
        "lengths": lengths.astype(np.int32),
        "rewards": np.array([0] * 7 + [1, 1, 0, 0, 1], np.float32),
        "held": np.arange(12) == 8,
    }
    return fresh | {"store": replace(fresh["store"], rest=jax.tree.map(jnp.asarray, rest))}


@pytest.mark.slow
def test_the_best_half_by_reward_less_value_is_chosen_and_nothing_held(parts: Any, states: Any) -> None:
    store = states["store"].rest
    value = jax.nn.softmax(model_of("instruction", parts, states).answers(store["goals"]), -1)[:, 1]
    there = np.array([7, 9, 10, 11])
    scores = np.asarray(store["rewards"] - value)[there]
    kept, cutoff = LEARN.kept(parts, states)
    np.testing.assert_array_equal(np.flatnonzero(kept), there[scores >= np.quantile(scores, 0.5)])
    assert float(cutoff) == pytest.approx(np.quantile(scores, 0.5), rel=1e-5)
    plain, cutoff = replace(LEARN, curriculum=False).kept(parts, states)
    assert (np.flatnonzero(plain).tolist(), float(cutoff)) == ([7, 11], 0.5)


@pytest.mark.slow
def test_rows_of_the_critic_are_two_frames_of_both_states(parts: Any, states: Any) -> None:
    store, place = states["store"].rest, jnp.array([7 * 3, 10 * 3 + 2])
    rows = LEARN.critic_rows(parts, states, place)
    vision = model_of("policy", parts, states).vision

    def seen(n: int, *frames: int) -> np.ndarray:
        return np.concatenate([vision.dense(PHONE.drawn(store["screens"][n, h][None])).mean(1)[0] for h in frames])

    np.testing.assert_allclose(rows["seen"], np.stack([seen(7, 0, 0), seen(10, 1, 2)]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows["next_seen"], np.stack([seen(7, 0, 1), seen(10, 2, 3)]), rtol=1e-4, atol=1e-5)
    none = [PHONE.token("-")] * 2
    actions = np.asarray(store["actions"])
    assert rows["text"][0, 3:].tolist() == none * 2
    assert rows["next_text"][0, 3:].tolist() == none + actions[7, 0].tolist()
    assert rows["next_text"][1, 3:].tolist() == actions[10, 1:3].reshape(-1).tolist()
    assert rows["success"].tolist() == [1, 0]


@pytest.mark.slow
def test_the_policy_learns_the_action_of_the_screen_that_it_saw_as_the_step_critic_weighs_it(
    parts: Any, states: Any
) -> None:
    store, place = states["store"].rest, jnp.array([7 * 3 + 1, 7 * 3 + 2, 10 * 3, 11 * 3 + 1])
    n, h = np.divmod(np.asarray(place), 3)
    rows = LEARN.policy_rows(parts, states, place)
    np.testing.assert_array_equal(rows["tokens"][:, -2:], store["actions"][n, h])
    np.testing.assert_array_equal(rows["tokens"][0, -5:-3], store["actions"][7, 0])
    np.testing.assert_array_equal(rows["image"], PHONE.drawn(store["screens"][n, h]))
    own, critic = LEARN.critic_rows(parts, states, place), model_of("step", parts, states)
    value = critic.value(own["text"], own["seen"])
    after = critic.value(own["next_text"], own["next_seen"])
    final, left = jnp.array([1.0, 1.0, 0.0, 1.0]), jnp.array([1, 0, 2, 0])
    wanted = ReleasedScore()(value, after, final * (left == 0), final, left)
    np.testing.assert_array_equal(rows["weights"], wanted)
    bare = {name: part for name, part in parts.items() if name != "step"}
    assert (LEARN.policy_rows(bare, states, place)["weights"] == 1).all()


def test_only_the_latest_steps_are_drawn_and_nothing_else() -> None:
    steps = jnp.array([[True, True, False], [True, False, False], [True, True, True]])
    assert latest(steps, 4).astype(int).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]
    places = drawn(latest(steps, 4), jax.random.key(0), 4000)
    counts = np.bincount(places, minlength=9)
    assert np.flatnonzero(counts).tolist() == [3, 6, 7, 8]
    assert np.abs(counts[[3, 6, 7, 8]] - 1000).max() < 120
    assert drawn(jnp.zeros((2, 2), bool), jax.random.key(0), 3).tolist() == [0, 0, 0]


@pytest.mark.slow
def test_a_stage_collects_learns_and_goes_on_with_the_same_bits_when_it_was_killed(
    tmp_path: Any, monkeypatch: Any
) -> None:
    def pipeline(run: Any) -> tuple[Any, ...]:
        log = replace(ONLINE, name="log", step=Collect(PHONE, held=0.25), steps=1)
        log = with_flops(replace(log, optimizer=dict.fromkeys(MODELS)))
        first = run.train(log)
        start = {name: first.member(name) for name in MODELS}
        return first, run.train(with_flops(replace(ONLINE, handover=Handover(moments="reset"))), start)

    wanted = outcome(tmp_path / "whole", go(tmp_path / "whole", pipeline))
    cut_short(tmp_path / "cut", monkeypatch, pipeline, at=3)
    results = go(tmp_path / "cut", pipeline)
    assert_outcome(outcome(tmp_path / "cut", results), wanted)
    log, online = (result.state() for result in results)
    assert (np.asarray(log["store"].rest["lengths"]) > 0).tolist() == [False] * 8 + [True] * 4
    assert log["store"].rest["held"].tolist() == [False] * 11 + [True]
    assert (np.asarray(online["store"].rest["lengths"]) > 0).all(), "12 places hold the last three collections"
    assert not np.array_equal(online["store"].rest["actions"][:4], log["store"].rest["actions"][-4:])
    assert [int(online[name].step) for name in MODELS] == [6, 3, 3, 6]
    assert results[1].cost.sampled_tokens == sum(results[1].history.train["sampled_tokens"]) > 0
    assert_same(log["policy"].params, build(ONLINE, make_mesh("data=1")).initial(0)["policy"].params)


@pytest.mark.slow
def test_success_is_a_share_and_episodes_are_charged() -> None:
    model = NET.build(nnx.Rngs(0))
    batch = {name: jnp.asarray(x) for name, x in Goals(phone=PHONE, batch=4).take(np.arange(4)).items()}
    loss, metrics = jax.jit(lambda b: Succeeds(PHONE)(model, b, None))(batch)
    assert float(loss) == pytest.approx(1 - float(metrics["success"][0]) / 4)
    learned, whole = (with_flops(replace(ONLINE, step=step)) for step in (LEARN, ONLINE.step))
    per_step = [float(stage.step_flops(np.arange(1))[0]) for stage in (learned, whole)]
    assert 0 < per_step[0] < per_step[1]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="updates"):
        Learn(PHONE, updates=(0, -1, 0))
    with pytest.raises(ValueError, match="share"):
        Learn(PHONE, share=0.0)
