"""A simulated phone: what taps, pop-ups, redesigns and its evaluator do; no goal of a test is asked for in training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.control.phone import ADVERT, CLOSE, ICONS, ON, PAGE, TYPED, VERBS, Device, Phone
from stagejax.data.control.phone_tasks import Demonstrations, Goals, Screens, goals_of

CALM = Phone(popup=0.0, miss=0.0, away=0.0, wrong=0.0)
KEY = jax.random.key(3)
STEP, RESET = jax.jit(CALM.step), jax.jit(CALM.reset)
SEEN = jax.jit(CALM.seen)


def act(device: Device, *actions: str) -> Device:
    """The device behind these actions."""
    for action in actions:
        device = STEP(KEY, device, jnp.asarray(CALM.words.encode([action])[0]))
    return device


def cell_of(device: Device, app: int) -> int:
    return int(jnp.argmax(device.home == app))


def test_a_digit_is_sent_by_four_taps_and_the_screen_shows_each() -> None:
    device = RESET(KEY, CALM.goal("send", 2, 7))
    switch, field, button = map(int, device.places)
    assert SEEN(device)[cell_of(device, 2)] == device.icons[2] >= ICONS
    inside = act(device, f"tap c{cell_of(device, 2)}")
    assert (int(inside.screen), int(SEEN(inside)[0])) == (3, int(device.icons[2]))
    assert act(inside, f"tap c{switch}").enabled
    assert int(SEEN(act(inside, f"tap c{switch}"))[switch]) == ON
    assert int(act(inside, "type 7").typed) == -1, "a field that was not tapped takes no digit"
    filled = act(inside, f"tap c{field}", "type 7")
    assert int(SEEN(filled)[field]) == TYPED + 7
    assert not filled.over
    sent = act(filled, f"tap c{button}")
    assert sent.over
    assert (float(sent.reward), int(sent.steps)) == (1.0, 4)
    assert int(act(filled, "home -", f"tap c{cell_of(device, 2)}").typed) == -1, "what was not sent is forgotten"


def test_demonstrations_reach_every_goal_also_where_things_go_wrong() -> None:
    phone = Phone(wrong=0.0, horizon=40)
    goals = jnp.stack([phone.goal(verb, 1, 4 if verb in VERBS[2:] else None) for verb in VERBS])

    def one(key: Any, goal: Any) -> Any:
        last = phone.played(key, goal, phone.demonstrated)
        return last.reward, phone.right(last), last.steps

    every = jax.vmap(jax.vmap(one, (0, None)), (None, 0))
    reward, right, steps = jax.jit(every)(jax.random.split(KEY, 64), goals)
    assert reward.min() == 1
    assert right.all()
    assert steps.min(1).tolist() == [1, 2, 3, 4]


def test_a_popup_covers_nine_cells_and_only_its_cross_closes_it() -> None:
    device = RESET(KEY, CALM.goal("open", 0))._replace(popup=jnp.int32(0))
    tiles = np.asarray(SEEN(device))
    assert ((tiles == ADVERT).sum(), (tiles == CLOSE).sum()) == (8, 1)
    cross = int(np.flatnonzero(tiles == CLOSE)[0])
    body = int(np.flatnonzero(tiles == ADVERT)[0])
    outside = next(c for c in range(16) if not CALM.popups.covers[0, c])
    assert int(act(device, f"tap c{cross}").popup) == -1
    for action in (f"tap c{outside}", "home -", "back -", "type 3"):
        assert int(act(device, action).popup) == 0
    lured = act(device, f"tap c{body}")
    assert set(np.asarray(SEEN(lured)).tolist()) == {PAGE}
    assert int(act(lured, "back -").screen) == 0


@pytest.mark.slow
def test_rates_of_popups_misses_and_wrong_verdicts() -> None:
    keys = jax.random.split(KEY, 4000)
    phone = Phone(popup=0.2, miss=0.3, away=0.4, wrong=0.1)
    devices = jax.vmap(phone.reset, (0, None))(keys, phone.goal("open", 0))
    assert abs(float((devices.popup >= 0).mean()) - 0.2) < 0.03
    assert abs(float((devices.screen > 0).mean()) - 0.4) < 0.03
    assert not (devices.screen == 1).any(), "nobody is handed the app that is asked for"
    assert abs(float(devices.misjudged.mean()) - 0.1) < 0.02
    assert len(set(np.asarray(devices.home).argmax(1).tolist())) == 16, "icons lie anywhere"
    home = RESET(KEY, CALM.goal("open", 0))
    tap = jnp.asarray(CALM.words.encode([f"tap c{cell_of(home, 0)}"])[0])
    after = jax.vmap(replace(phone, popup=0.0).step, (0, None, None))(keys, home, tap)
    row, column = divmod(cell_of(home, 0), 4)
    ways = sum(0 <= row + down < 4 for down in (-1, 1)) + sum(0 <= column + right < 4 for right in (-1, 1))
    assert abs(float((after.screen != 1).mean()) - 0.3 * ways / 4) < 0.03, "at an edge some misses are none"


@pytest.mark.parametrize("done", [False, True])
def test_a_wrong_evaluator_says_the_opposite_and_an_episode_that_is_over_stays(done: bool) -> None:
    device = RESET(KEY, CALM.goal("open", 0))._replace(misjudged=jnp.array(True))
    way = [f"tap c{cell_of(device, 0)}"] if done else []
    last = act(device, *way, "done -")
    assert last.over
    assert float(last.reward) == float(not done)
    assert bool(CALM.right(last)) is done
    again = act(last, "home -", "tap c0")
    assert all(bool((a == b).all()) for a, b in zip(again, last, strict=True))


def test_the_horizon_ends_an_episode_and_nonsense_is_only_a_step() -> None:
    device = RESET(KEY, CALM.goal("open", 0))
    stays = act(device, "app1 app2", "tap 3", "type c3")
    assert (int(stays.steps), int(stays.screen), bool(stays.over)) == (3, 0, False)
    assert act(device, *["back -"] * CALM.horizon).over


def test_pixels_are_those_of_the_tiles_and_a_redesign_changes_some_icons() -> None:
    device = RESET(KEY, CALM.goal("open", 0))
    tiles = SEEN(device)
    image = np.asarray(CALM.drawn(tiles))
    assert image.shape == (32, 32, 1)
    np.testing.assert_array_equal(image[8:16, 16:24, 0], CALM.tiles[tiles[6]])
    assert len(np.unique(CALM.tiles.reshape(len(CALM.tiles), -1), axis=0)) > 300
    later = replace(CALM, era=1)
    assert (CALM.classes, later.classes) == ((0, 1, 2, 3, 4, 5), (6, 7, 2, 3, 4, 5))
    changed = CALM.kinds[np.asarray(device.icons)] != CALM.kinds[np.asarray(later.reset(KEY, device.goal).icons)]
    assert changed.tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"apps": 17}, "side"), ({"era": 3}, "classes"), ({"popup": 1.5}, "popup"), ({"hands": 10_000}, "hands")],
)
def test_what_cannot_be_is_refused(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = Phone(**fields).tiles


def test_splits_share_no_goal_and_verbs_come_as_often_as_the_mix_says() -> None:
    own = [
        {tuple(goal) for goals in goals_of(CALM, s) for goal in goals.tolist()} for s in ("train", "validation", "test")
    ]
    assert sum(map(len, own)) == len(set.union(*own)) == 2 * 6 + 2 * 60
    goals = Goals(phone=CALM, mix=(1.0, 0.0, 0.0, 3.0), batch=8)
    drawn = goals.take(np.arange(2000))["goal"]
    assert {tuple(goal) for goal in drawn.tolist()} <= own[0]
    assert abs((drawn[:, 0] == CALM.token("send")).mean() - 0.75) < 0.03
    np.testing.assert_array_equal(goals.take(np.array([7]))["goal"][0], drawn[7])
    assert {tuple(g) for g in goals.held_out(1).take(np.arange(50))["goal"].tolist()} <= own[2]
    with pytest.raises(ValueError, match="mix"):
        Goals(phone=CALM, mix=(0.0, 0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="split"):
        goals_of(CALM, "trial")
    with pytest.raises(ValueError, match="apps=3"):
        goals_of(replace(CALM, apps=3), "validation")


@pytest.mark.slow
def test_demonstrations_never_show_what_goes_wrong() -> None:
    shown = Demonstrations(goals=Goals(phone=Phone()), episodes=30, batch=8)
    rows = shown.take(np.arange(shown.size()))
    assert not np.isin(rows["screen"], (ADVERT, CLOSE, PAGE)).any()
    said = [shown.phone.words.decode(row[-2:]).split() for row in rows["tokens"]]
    assert {kind for kind, _ in said} == {"tap", "type", "home"}
    first = [row for row in rows["tokens"] if shown.phone.words.decode(row[-7:-3]) == "- - - -"]
    assert len(first) == 30, "every episode has one first action"
    assert shown.spec()["tokens"].shape == (8, 25 + 2) == (8, rows["tokens"].shape[1])
    assert shown.digest() != replace(shown, goals=replace(shown.goals, seed=1)).digest()


def test_tiles_at_random_have_the_kind_that_they_show() -> None:
    phone = Phone(hands=4)
    rows = Screens(phone=phone, batch=8).take(np.arange(64))
    np.testing.assert_array_equal(rows["kind"], phone.kinds[rows["screen"]])
    assert set(np.unique(rows["kind"])) == set(range(ICONS + 10))
    assert 0.4 < (rows["screen"] >= ICONS).mean() < 0.6
