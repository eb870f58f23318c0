"""Federated rounds: what is averaged, what stays, whose teacher is whose; stacked clients are the single ones."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spine import assert_outcome, cut_short, drive, go, outcome

from stagejax import Stage
from stagejax.axes import path_name
from stagejax.data import Digits
from stagejax.data.pictures.scenes import Detection, Scenes, Sites
from stagejax.mesh import make_mesh
from stagejax.models.vision.detector import Detector
from stagejax.objectives.pictures.detection import detection, pseudo_detection
from stagejax.optimizer import adamw
from stagejax.program import build, init_keys, step_keys
from stagejax.state import everything
from stagejax.steps.federated import aggregated, federated_round, local_teacher, stacked, trained_apart, weighted_mean

NET = Detector(image=16, channels=(4, 6, 6), neck=4, halvings=2)
COUNTS = (1.0, 3.0)


def backbone(path: str, axes: Any = None) -> bool:
    return path.startswith("backbone/")


def taught(model: Any, batch: Any, key: Any, teacher: Any, low: float = 0.0, high: float = 0.006) -> Any:
    return pseudo_detection(model, batch["image"] * 0.9, key, teacher(batch["image"]), low=low, high=high)


def stage(selective: bool, high: float = 0.006, teacher: Any = "local") -> Stage:
    sources = [Scenes(Digits(), 8, (w,), size=16, sides=(6, 8), most=2) for w in ("cloudy", "rainy", "snowy")]
    data = [Detection(source=source, batch=4, shape=(16, 16, 1), most=2) for source in sources]
    return Stage(
        name="rounds",
        model={"server": NET, "client": NET},
        objective={"server": detection, "client": partial(taught, high=high)},
        optimizer=dict.fromkeys(("server", "client"), adamw(1e-2, decay="constant")),
        data=Sites(server=data[0], clients=tuple(data[1:])),
        steps=2,
        step=federated_round(2, COUNTS, backbone if selective else always, teacher),
        trainable={"server": everything, "client": backbone if selective else everything},
        ema=0.9,
    )


def always(path: str) -> bool:
    return True


def begin(stage: Stage) -> tuple[Any, Any, Any, Any]:
    """Program, first state, first batch, key."""
    program = build(stage, None)
    with stage.data.batches() as batches:
        batch = {name: jnp.asarray(x) for name, x in next(batches).items()}
    state = jax.jit(program.init)(init_keys(stage, 1))
    return program, state, batch, step_keys(stage, 1)


def local(stage: Stage) -> tuple[Any, Any, Any, Any]:
    """What clients were sent, what they have after the round, their metrics, and the server before it."""
    program, state, batch, key = begin(stage)
    rows = batch["clients"].reshape(-1, 2, *batch["clients"].shape[1:]).swapaxes(0, 1)
    sent = stacked(stage.step.broadcast(state["server"], state["client"]), 2)
    train = jax.jit(partial(trained_apart, program.parts["client"], step=local_teacher))
    keys = jax.random.split(jax.random.fold_in(key, 0))
    return sent, *train(sent, rows, keys[0]), state["server"]


@pytest.fixture(scope="module")
def selective() -> Any:
    return local(stage(True))


def moved(old: Any, new: Any) -> dict[str, np.ndarray]:
    """For every leaf, for which clients it moved."""
    pairs = zip(jax.tree_util.tree_leaves_with_path(old), jax.tree.leaves(new), strict=True)
    return {path_name(path): np.asarray((x != y).reshape(len(x), -1).any(1)) for (path, x), y in pairs}


@pytest.mark.slow
def test_selective_clients_move_the_backbone_and_nothing_else_by_a_bit(selective: Any) -> None:
    sent, trained, told, _ = selective
    assert told["reliable"].sum(1).min() > 0
    for path, clients in moved(sent.params, trained.params).items():
        assert clients.all() if backbone(path) else not clients.any(), path


@pytest.mark.slow
def test_only_the_backbone_is_averaged_by_counts(selective: Any) -> None:
    _, trained, _, server = selective
    mixed = aggregated(server, trained, jnp.array([0.25, 0.75]), backbone)
    for own, theirs, result in zip(
        (server.params, server.rest), (trained.params, trained.rest), (mixed.params, mixed.rest), strict=True
    ):
        leaves = jax.tree_util.tree_leaves_with_path(result)
        for (path, x), before, k in zip(leaves, jax.tree.leaves(own), jax.tree.leaves(theirs), strict=True):
            if backbone(path_name(path)):
                np.testing.assert_allclose(x, 0.25 * k[0] + 0.75 * k[1], rtol=1e-5, atol=1e-7)
            else:
                np.testing.assert_array_equal(x, before)
    assert mixed.opt_state is server.opt_state


def test_counters_are_copied() -> None:
    tree = {"count": jnp.array([3, 7]), "w": jnp.array([[1.0], [2.0]], jnp.bfloat16)}
    found = weighted_mean(tree, jnp.array([0.5, 0.5]))
    assert found["count"] == 3
    assert found["w"].dtype == jnp.bfloat16
    assert found["w"].item() == 1.5


def test_every_client_has_its_own_teacher(selective: Any) -> None:
    sent, trained, _, server = selective
    kernel = lambda tree: np.asarray(tree["backbone"]["blocks"]["1"]["conv"]["kernel"])  # noqa: E731
    for k in range(2):
        np.testing.assert_array_equal(kernel(sent.ema)[k], kernel(server.params))
        way = np.abs(kernel(trained.ema)[k] - kernel(sent.ema)[k]).max()
        assert 0 < way < np.abs(kernel(trained.params)[k] - kernel(sent.params)[k]).max()
    assert np.abs(kernel(trained.ema)[0] - kernel(trained.ema)[1]).max() > 1e-5


@pytest.mark.slow
def test_stacked_clients_are_the_single_ones(selective: Any) -> None:
    _, trained, _, _ = selective
    own = stage(True)
    program, state, batch, key = begin(own)
    rows = batch["clients"].reshape(-1, 2, *batch["clients"].shape[1:]).swapaxes(0, 1)
    keys = jax.random.split(jax.random.split(jax.random.fold_in(key, 0))[0], 2)
    step = jax.jit(partial(local_teacher, program.parts["client"]))
    for k in range(2):
        single = own.step.broadcast(state["server"], state["client"])
        for images in rows[:, :, k]:
            single, _ = step(single, {"image": images}, keys[k])
        for a, b in zip(jax.tree.leaves(single), jax.tree.leaves(trained), strict=True):
            np.testing.assert_allclose(a, b[k], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("teacher", ["local", "global"])
@pytest.mark.slow
def test_silent_clients_send_what_they_were_sent(teacher: Any) -> None:
    """With no reliable box a round is the server's own training, whoever teaches."""
    own = stage(False, high=1.0, teacher=teacher)
    program, state, batch, key = begin(own)
    schedule = program.schedule
    after, metrics = jax.jit(program.step)(state, batch, key, schedule)
    assert metrics["silent"] == 2
    blank = batch | {"clients": jnp.zeros_like(batch["clients"])}
    other, _ = jax.jit(program.step)(state, blank, key, schedule)
    for a, b in zip(jax.tree.leaves(after["server"]), jax.tree.leaves(other["server"]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert after["server"].step == after["client"].step == 2
    broadcast = own.step.broadcast(after["server"], after["client"])
    for a, b in zip(jax.tree.leaves(broadcast.params), jax.tree.leaves(after["server"].params), strict=True):
        np.testing.assert_array_equal(a, b)


def of_four(batch: int = 16) -> Stage:
    """A round of four clients, of which all train everything."""
    weathers = ("cloudy", "rainy", "snowy", "overcast", "cloudy")
    sources = [Scenes(Digits(), 16, (w,), size=16, sides=(6, 8), most=2, seed=i) for i, w in enumerate(weathers)]
    data = [Detection(source=source, batch=batch, shape=(16, 16, 1), most=2) for source in sources]
    step = federated_round(2, (1.0, 2.0, 3.0, 4.0), always)
    return replace(stage(False), data=Sites(server=data[0], clients=tuple(data[1:])), step=step, steps=1)


@pytest.mark.slow  # two programs of its own to compile
def test_clients_on_devices_of_their_own_find_what_they_find_on_one() -> None:
    """Two at a time on four devices each, in two turns, against all in turn on one device."""
    _, one, alone = drive(of_four())
    program, eight, split = drive(of_four(), mesh="data=4,client=2")
    assert '"client"}' in program.traced_step().lower().as_text()
    assert len(eight["server"].params["head"]["box"]["kernel"].sharding.device_set) == 8
    for name in ("loss", "client_loss", "reliable"):
        np.testing.assert_allclose(split.history.train[name], alone.history.train[name], rtol=1e-4)
    for a, b in zip(jax.tree.leaves(one["server"]), jax.tree.leaves(eight["server"]), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


def test_clients_that_do_not_fill_their_mesh_axis_are_refused() -> None:
    own = of_four()
    program = build(own, make_mesh("data=1,client=3"))
    with pytest.raises(ValueError, match="4 clients cannot lie evenly along client=3"):
        program.traced_step()


def test_what_makes_no_round_is_refused() -> None:
    with pytest.raises(ValueError, match="positive count"):
        replace(federated_round(1, (1.0,), always), counts=())


@pytest.mark.slow  # a program of its own to compile
def test_killed_between_two_rounds_it_ends_with_the_same_bits(tmp_path: Any, monkeypatch: Any) -> None:
    rounds = replace(stage(True), steps=4, save_every=1, keep=None)

    def pipeline(run: Any) -> tuple[Any, ...]:
        return (run.train(rounds),)

    whole = outcome(tmp_path / "whole", go(tmp_path / "whole", pipeline))
    cut_short(tmp_path / "killed", monkeypatch, pipeline, at=3)
    saved = sorted(int(path.name) for path in (tmp_path / "killed").rglob("steps/*"))
    assert saved
    assert max(saved) < rounds.steps
    assert_outcome(outcome(tmp_path / "killed", go(tmp_path / "killed", pipeline)), whole)
