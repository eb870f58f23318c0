"""Checkpoints: whole or not at all, read back strictly, and one clear error for each way they can be bad."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from spine import assert_same, go, outcome, stage

from stagejax import checkpoint
from stagejax.checkpoint import CheckpointError
from stagejax.mesh import make_mesh
from stagejax.state import TrainState

#: When a read fails, orbax closes its event loop and other reads then complain to nobody.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def state(value: float = 1.0) -> TrainState:
    params = {"up": jnp.full((4, 2), value), "blocks": {"0": jnp.arange(3, dtype=jnp.bfloat16)}}
    moments = ({"mu": jnp.zeros(3)}, None, jnp.asarray(5, jnp.int32))
    return TrainState(jnp.asarray(7, jnp.int32), params, {"key": jax.random.key(3)}, moments, None)


def like(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def plain(tree: TrainState) -> Any:
    return jax.tree.map(lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, tree)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "7"
    checkpoint.save(path, state(), {"step": 7, "loss": float("nan")})()
    return path


def test_a_state_comes_back_as_it_was(saved):
    found, page = checkpoint.load(saved, like(state()))
    assert_same(plain(found), plain(state()))
    assert jax.tree.structure(found) == jax.tree.structure(state())
    assert page["step"] == 7
    assert np.isnan(page["loss"])


def test_the_arrays_may_be_donated_while_they_are_saved(tmp_path):
    values = {"a": jnp.arange(100_000.0)}
    wanted = np.asarray(values["a"])
    wait = checkpoint.save(tmp_path / "1", values, {})
    jax.jit(lambda x: jax.tree.map(lambda v: v * 0, x), donate_argnums=0)(values)
    wait()
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    found, _ = checkpoint.load(tmp_path / "1", {"a": jax.ShapeDtypeStruct((100_000,), "float32", sharding=here)})
    np.testing.assert_array_equal(found["a"], wanted)


def test_a_checkpoint_moves_to_another_mesh(tmp_path):
    def on(text: str, *spec: Any) -> Any:
        return NamedSharding(make_mesh(text), jax.P(*spec))

    values = {"a": jax.device_put(jnp.arange(32.0).reshape(8, 4), on("data=2,fsdp=2,tensor=2", "fsdp", "tensor"))}
    checkpoint.save(tmp_path / "1", values, {})()
    for sharding in (on("data=1"), on("fsdp=4", None, "fsdp"), on("data=2,fsdp=4", "fsdp")):
        found, _ = checkpoint.load(tmp_path / "1", {"a": jax.ShapeDtypeStruct((8, 4), "float32", sharding=sharding)})
        assert_same(found, values)
        assert found["a"].sharding == sharding


def test_leaves_that_differ_are_listed(saved):
    other = like(state())
    other.params["up"] = jax.ShapeDtypeStruct((4, 3), "float32", sharding=other.step.sharding)
    other.params["more"] = jax.ShapeDtypeStruct((1,), "float32", sharding=other.step.sharding)
    other.params["blocks"]["0"] = jax.ShapeDtypeStruct((3,), "float32", sharding=other.step.sharding)
    del other.opt_state[0]["mu"]
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(saved, other)
    assert str(caught.value).splitlines()[1:] == [
        "  missing in the checkpoint: params/more float32[1]",
        "  not in the model: opt_state/0/mu float32[3]",
        "  params/blocks/0: bfloat16[3] in the checkpoint, float32[3] in the model",
        "  params/up: float32[4, 2] in the checkpoint, float32[4, 3] in the model",
    ]


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no complete checkpoint at .*7"):
        checkpoint.load(tmp_path / "7", like(state()))


def files_of(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def test_every_cut_file_is_found_and_named(saved, tmp_path):
    """Each file of a checkpoint, cut to half or gone: an error that names the folder, or the same state."""
    refused = []
    for name in files_of(saved):
        for way in ("half", "gone"):
            path = tmp_path / f"{name.replace('/', '_')}-{way}" / "steps" / "7"
            shutil.copytree(saved, path)
            if way == "gone":
                (path / name).unlink()
            else:
                content = (path / name).read_bytes()
                (path / name).write_bytes(content[: len(content) // 2])
            try:
                found, page = checkpoint.load(path, like(state()))
            except CheckpointError as error:
                refused.append((str(path), str(error)))
            else:
                assert_same(plain(found), plain(state()))
                assert page["step"] == 7
    assert len(refused) >= 8
    assert all(path in message and "Delete" in message for path, message in refused)


def test_a_flipped_bit_of_an_array_is_found_and_its_leaf_named(tmp_path):
    """Compressed or not, orbax reads an array with a bit flipped on disk as if nothing were wrong."""
    values = {"params": {"w": jnp.asarray(np.random.default_rng(0).normal(size=(64, 64)), jnp.float32)}}
    checkpoint.save(tmp_path / "7", values, {})()
    largest = max((p for p in (tmp_path / "7").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"/7 is damaged.*params/w is not what was saved.*Delete that folder to"):
        checkpoint.load(tmp_path / "7", like(values))


def test_a_flipped_bit_of_a_page_is_found(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "7")
    about = tmp_path / "7" / "_CHECKPOINT_METADATA"
    about.write_bytes(about.read_bytes().replace(b'step\\": 7', b'step\\": 6'))
    with pytest.raises(CheckpointError, match=r"/7 is damaged.*what it says of itself"):
        checkpoint.load(tmp_path / "7", like(state()))


def test_a_foreign_checkpoint_is_refused(tmp_path):
    from orbax.checkpoint import v1 as ocp

    ocp.save_checkpointables(tmp_path / "7", {"weights": {"w": jnp.ones(3)}})
    with pytest.raises(CheckpointError, match=r"is damaged, cut short, or no checkpoint of stagejax"):
        checkpoint.load(tmp_path / "7", like(state()))
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "commit_success.txt").write_text("")
    (tmp_path / "8" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"no checkpoint of stagejax"):
        checkpoint.load(tmp_path / "8", like(state()))


def test_steps_lists_whole_saves_and_sweep_removes_the_rest(saved, tmp_path):
    steps = tmp_path / "steps"
    for name in ("4", "10"):
        shutil.copytree(saved, steps / name)
    (steps / "6").mkdir()
    (steps / "12.orbax-checkpoint-tmp").mkdir()
    assert checkpoint.steps(steps) == [4, 10]
    checkpoint.sweep(steps)
    assert sorted(p.name for p in steps.iterdir()) == ["10", "4"]
    checkpoint.remove(steps / "4")
    assert checkpoint.steps(steps) == [10]
    assert checkpoint.steps(tmp_path / "none") == []
    checkpoint.sweep(tmp_path / "none")


def test_a_save_replaces_one_of_the_same_step(tmp_path):
    for value in (1.0, 2.0):
        checkpoint.save(tmp_path / "7", state(value), {"step": 7})()
    assert float(checkpoint.load(tmp_path / "7", like(state()))[0].params["up"][0, 0]) == 2


# Pages


def test_a_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    page = tmp_path / "sub" / "page.json"
    checkpoint.write_json(page, {"a": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        CheckpointError, match=r"could not save .*page\.json: OSError: .*No space left.*run the same command again"
    ):
        checkpoint.write_json(page, {"a": 2})
    assert checkpoint.read_json(page) == {"a": 1}
    assert [p.name for p in page.parent.iterdir()] == ["page.json"]


def test_a_damaged_page_is_named(tmp_path):
    (tmp_path / "page.json").write_text('{"a": ')
    with pytest.raises(CheckpointError, match=rf"page\.json is damaged: .*Delete {tmp_path}/page\.json: what"):
        checkpoint.read_json(tmp_path / "page.json")


# Disks


def pipeline(run: Any, steps: int = 6) -> Any:
    return (run.train(stage("one", steps=steps, save_every=2, keep=None)),)


def test_a_failing_writer_ends_the_run_and_the_next_run_goes_on(tmp_path, monkeypatch):
    from orbax.checkpoint import v1 as ocp

    wanted = outcome(tmp_path / "whole", go(tmp_path / "whole", pipeline))
    inner, calls = ocp.save_checkpointables_async, []

    def failing(path: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return inner(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ocp, "save_checkpointables_async", failing)
        with pytest.raises(
            CheckpointError, match=r"could not save .*/4: OSError: .*No space left on device.*saved before is intact"
        ):
            go(tmp_path / "cut", pipeline)
    (entry,) = (tmp_path / "cut" / "store").iterdir()
    assert checkpoint.steps(entry / "steps") == [2]
    found = outcome(tmp_path / "cut", go(tmp_path / "cut", pipeline))
    assert found[0][:-1] == wanted[0][:-1]


def test_a_damaged_save_is_named_and_without_it_the_run_goes_on(tmp_path, monkeypatch):
    wanted = outcome(tmp_path / "whole", go(tmp_path / "whole", pipeline))
    go(tmp_path / "cut", pipeline)
    (entry,) = (tmp_path / "cut" / "store").iterdir()
    (entry / "result.json").unlink()
    shutil.rmtree(entry / "steps" / "6" / "state" / "d", ignore_errors=True)
    with pytest.raises(
        CheckpointError, match=r"steps/6 is damaged.*Delete that folder to continue from the save before it"
    ):
        go(tmp_path / "cut", pipeline)
    shutil.rmtree(entry / "steps" / "6")
    found = outcome(tmp_path / "cut", go(tmp_path / "cut", pipeline))
    assert found[0][:-1] == wanted[0][:-1]
    assert_same(found[0][-1], wanted[0][-1])


def test_parameters_that_are_not_those_saved_are_refused(tmp_path):
    (result,) = go(tmp_path, pipeline)
    (entry,) = (tmp_path / "store").iterdir()
    page = checkpoint.read_json(entry / "result.json")
    checkpoint.write_json(entry / "result.json", page | {"digest": "0" * 64})
    with pytest.raises(CheckpointError, match=r"sha256 differs"):
        go(tmp_path, pipeline)[0].state()
    checkpoint.write_json(entry / "result.json", page)
    shutil.rmtree(entry / "steps" / "6")
    with pytest.raises(
        CheckpointError, match=rf"no complete checkpoint at .*Delete {entry} to compute that stage again"
    ):
        result.state()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and os.geteuid() == 0
    if (
        not mounted
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_ends_the_run_and_loses_nothing(small_disk, tmp_path):
    wanted = outcome(tmp_path / "whole", go(tmp_path / "whole", lambda run: pipeline(run, 60)))
    work = small_disk / "run"
    with pytest.raises(CheckpointError, match=r"could not save .*run the same command again"):
        go(work, lambda run: pipeline(run, 60))
    (entry,) = (work / "store").iterdir()
    kept = checkpoint.steps(entry / "steps")
    assert kept
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    found = outcome(work, go(work, lambda run: pipeline(run, 60)))
    assert found[0][:-1] == wanted[0][:-1]
    assert_same(found[0][-1], wanted[0][-1])


def test_a_read_only_disk_is_said_at_once(small_disk):
    go(small_disk / "run", pipeline)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(Exception, match=r"cannot write to the workdir .*Read-only file system. Give another --workdir"):
        go(small_disk / "run", pipeline)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert go(small_disk / "run", pipeline)[0].steps == 6
