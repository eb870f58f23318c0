"""`stagejax grow`: a checkpoint becomes a larger one that computes what its receipt says."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_interop_files import CONFIG, SIZES, edit_config, params_of

from stagejax.cli import parser
from stagejax.commands.grow import command_grow, operator_of, resized
from stagejax.experiment import UnknownName
from stagejax.growth import (
    AKI,
    FPI,
    AddRows,
    Coalesce,
    DirectCopy,
    Growth,
    GrowthError,
    Undo,
    cyclic,
    grow,
    interpolate,
)
from stagejax.growth.record import difference, recorded
from stagejax.interop import BERT, LLAMA, MIXTRAL, VIT, InteropError, load, open_checkpoint, save
from stagejax.interop.grow import SMALL, grow_checkpoint
from stagejax.interop.layerwise import outputs, probe_of
from stagejax.models import Transformer, llama
from stagejax.models.vit import ViT


def run(*arguments: str) -> int:
    return command_grow(parser().parse_args(["grow", *arguments]), [])


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grow") / "bert"
    save(folder, CONFIG, params_of(CONFIG), BERT)
    (folder / "vocab.txt").write_text("[PAD]\n")
    edit_config(folder, pad_token_id=3)
    return folder


@pytest.mark.slow
def test_an_exact_growth_keeps_the_function(bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "grown"
    assert run("--from", str(bert), "--to", "embed=16,heads=4,mlp=17", "--operator", "FPI", "--out", str(out)) == 0
    receipt = json.loads((out / "receipt.json").read_text())
    assert receipt["logit_change_relative"] < 1e-5
    assert receipt["loss_after"] == pytest.approx(receipt["loss_before"], abs=1e-5)
    assert receipt["sizes_after"]["mlp"] == 17
    assert "largest change of a logit" in capsys.readouterr().out
    assert (out / "vocab.txt").exists()
    page = json.loads((out / "config.json").read_text())
    assert (page["hidden_size"], page["intermediate_size"], page["pad_token_id"]) == (16, 17, 3)
    growth, maps = Growth(FPI(), load(bert)[0], load(out)[0]), dict(np.load(out / "maps.npz"))
    assert difference(growth, maps) == ""
    back = grow(Growth(Undo(recorded(maps, growth).operator), growth.new, growth.old), load(out)[1])
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(load(bert)[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_leaf_by_leaf_is_the_growth_of_the_whole(bert: Path, tmp_path: Path) -> None:
    source, operator = open_checkpoint(bert), AKI(depth=interpolate)
    to = resized(source.config, "embed=16,heads=4,mlp=20,layers=3")
    receipt = grow_checkpoint(source, to, operator, tmp_path / "grown", probe=probe_of(source), file_bytes=4000)
    whole = grow(Growth(operator, *load(bert)[:1], to), load(bert)[1])
    _, read = load(tmp_path / "grown")
    for a, b in zip(jax.tree.leaves(read), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    assert receipt["logit_change_relative"] > 1e-3
    assert len(list((tmp_path / "grown").glob("*.safetensors"))) > 2


@pytest.mark.slow
@pytest.mark.parametrize("most", [SMALL, 0], ids=["together", "leaf by leaf"])
def test_fresh_parameters_come_from_the_seed(
    most: int, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagejax.interop.grow.SMALL", most)
    source = open_checkpoint(bert)
    to = resized(source.config, "mlp=20,layers=3")
    operator = DirectCopy()
    grow_checkpoint(source, to, operator, tmp_path / "grown", seed=5)
    whole = grow(Growth(operator, source.config, to), load(bert)[1], key=jax.random.key(5))
    for a, b in zip(jax.tree.leaves(load(tmp_path / "grown")[1]), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "architecture", "dtype"),
    [(llama(**SIZES, kv_heads=1), LLAMA, jnp.bfloat16), (llama(**SIZES, experts=3), MIXTRAL, np.float32)],
)
def test_a_layer_at_a_time_computes_what_the_whole_does(
    config: Transformer, architecture: Any, dtype: Any, tmp_path: Path
) -> None:
    from test_interop_files import whole_model

    save(tmp_path / "model", config, params_of(config, dtype), architecture)
    checkpoint = open_checkpoint(tmp_path / "model")
    probe = probe_of(checkpoint)
    params = jax.tree.map(lambda x: x.astype(jnp.float32), load(tmp_path / "model")[1])
    wanted = whole_model(config, params)(jnp.asarray(probe.inputs[0]))
    np.testing.assert_allclose(outputs(checkpoint, probe), wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_what_a_checkpoint_is(bert: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--from", str(bert)) == 0
    shown = capsys.readouterr().out
    assert "BertForMaskedLM" in shown
    assert "width of the residual stream" in shown
    assert "FPI, but the new heads" in shown
    assert run("--from", str(bert), "--to", "layers=4", "--operator", "deepen") == 0
    assert "nothing is written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("--to", "embd=16", "--operator", "fpi"), UnknownName, "Did you mean 'embed'"),
        (("--to", "embed=16,heads=4", "--operator", "fpl"), UnknownName, "Did you mean 'fpi'"),
        (("--to", "layers=3", "--operator", "aki", "--set", "dept=stack"), UnknownName, "Did you mean 'depth'"),
        (("--to", "layers=3", "--operator", "aki", "--set", "depth=stak"), UnknownName, "Did you mean 'stack'"),
        (("--to", "layers=3", "--operator", "aki", "--set", "depth=grow"), UnknownName, "value of depth 'grow'"),
        (("--to", "mlp=24", "--operator", "fpi", "--set", "draw=stack"), UnknownName, "Known: balanced, cyclic, un"),
        (("--to", "mlp=24", "--operator", "fpi", "--set", "seed=x"), ValueError, "seed=x: .* of type int"),
        (("--to", "mlp=24", "--operator", "lemon", "--set", "norm=batch"), UnknownName, "Known: layer, rms"),
        (("--to", "vocab=3", "--operator", "subset", "--set", "keep=vocab"), ValueError, "of type tuple"),
        (("--to", "layers=x", "--operator", "aki"), ValueError, "a whole number"),
        (("--to", "layers=3"), ValueError, "belong together"),
        (("--to", "layers=1", "--operator", "fpi"), GrowthError, "shrinks: 2 -> 1"),
        (("--to", "embed=16,heads=8", "--operator", "fpi"), GrowthError, "'head_dim'"),
        (("--to", "embed=16,heads=4,head_dim=4,kv_heads=2", "--operator", "fpi"), InteropError, "kv_heads=2"),
        (("--to", "layers=3", "--operator", "interpolate"), ValueError, "cannot be made"),
    ],
)
def test_one_clear_error(arguments: tuple[str, ...], error: type, says: str, bert: Path) -> None:
    with pytest.raises(error, match=says):
        run("--from", str(bert), *arguments)


@pytest.mark.parametrize(
    ("to", "settings", "classes", "labels"),
    [
        ("classes=3", ("addrows",), 3, ["cat", "dog", "LABEL_2"]),
        ("image=12", ("resample", "--set", "grid=True"), 2, ["cat", "dog"]),
    ],
)
def test_a_grown_classifier_of_images(
    to: str, settings: tuple[str, ...], classes: int, labels: list[str], tmp_path: Path
) -> None:
    """Labels are as many as classes; a model of larger images is not shown the old one's."""
    small = ViT(image=8, patch=4, classes=2, embed=8, layers=1, heads=2, mlp=6, pool="class")
    save(tmp_path / "small", small, params_of(small), VIT, like={"id2label": {"0": "cat", "1": "dog"}})
    out = tmp_path / "grown"
    assert run("--from", str(tmp_path / "small"), "--to", to, "--operator", *settings, "--out", str(out)) == 0
    page = json.loads((out / "config.json").read_text())
    assert list(page["id2label"].values()) == labels
    assert open_checkpoint(out).config.classes == page["num_labels"] == classes
    assert json.loads((out / "receipt.json").read_text())["probe"].startswith("none" if "image" in to else "random")


def test_settings_of_operators() -> None:
    assert operator_of("AKI", ["depth=interpolate", "seed=3", "per_layer=True", "axes=embed,mlp"]) == AKI(
        interpolate, seed=3, per_layer=True, axes=("embed", "mlp")
    )
    assert operator_of("fpi", []) == FPI()
    assert operator_of("directcopy", ["depth=None"]) == DirectCopy()
    assert operator_of("addrows", ["bias=-30"]) == AddRows(bias=-30.0)
    assert operator_of("coalesce", ["width=cyclic", "tied=tables"]) == Coalesce(cyclic, tied="tables")
