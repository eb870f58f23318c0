"""Folders of safetensors: files in parts, older names, half precision, and one clear error for each kind of damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from stagejax.axes import path_name
from stagejax.interop import (
    ARCHITECTURES,
    BERT,
    GPT2,
    LLAMA,
    QWEN2,
    InteropError,
    load,
    open_checkpoint,
    save,
)
from stagejax.interop.tensors import Tensors
from stagejax.models import bert, gpt, llama

SIZES = {"vocab": 11, "embed": 8, "layers": 2, "heads": 2, "mlp": 12, "length": 6}
CONFIG = bert(**SIZES, types=2, dropout=0.1)


def params_of(config: Any, dtype: Any = np.float32) -> Any:
    shapes = nnx.to_pure_dict(nnx.state(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param))
    rng = np.random.RandomState(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), dtype), shapes)


def whole_model(config: Any, params: Any) -> nnx.Module:
    graphdef, _, rest = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)
    return nnx.merge(graphdef, params, rest)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interop") / "bert"
    save(folder, CONFIG, params_of(CONFIG), BERT)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bert"))


def edit(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def edit_config(folder: Path, **fields: Any) -> None:
    page = folder / "config.json"
    page.write_text(json.dumps({**json.loads(page.read_text()), **fields}))


def assert_same(got: Any, wanted: Any) -> None:
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=path_name(path))


def test_files_in_parts_and_half_precision(tmp_path: Path) -> None:
    config = llama(**SIZES, kv_heads=1, qkv_bias=True)
    params = params_of(config, jnp.bfloat16)
    save(tmp_path / "parts", config, params, QWEN2, file_bytes=600)
    files = sorted(path.name for path in (tmp_path / "parts").glob("*.safetensors"))
    assert len(files) > 3
    assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert json.loads((tmp_path / "parts" / "config.json").read_text())["dtype"] == "bfloat16"
    again, read = load(tmp_path / "parts")
    assert again == config
    assert_same(read, params)
    one = load_file(tmp_path / "parts" / files[0])
    assert all(value.dtype == jnp.bfloat16 for value in one.values())


def test_each_parameter_goes_where_it_is_wanted(original: Path) -> None:
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    _, params = load(original, jax.tree.map(lambda _: place, params_of(CONFIG)))
    assert all(leaf.sharding == place for leaf in jax.tree.leaves(params))


def test_some_layers_of_a_stacked_parameter(original: Path) -> None:
    checkpoint, params = open_checkpoint(original), params_of(CONFIG)
    kernel = params["blocks"]["attention"]["query"]["kernel"]
    np.testing.assert_array_equal(
        checkpoint.read("blocks/attention/query/kernel", [1, 0, 1]), kernel[np.array([1, 0, 1])]
    )
    np.testing.assert_array_equal(checkpoint.read("tokens/table", [1]), params["tokens"]["table"])


def test_older_files_of_bert(folder: Path) -> None:
    """gamma and beta instead of weight and bias, and the heads that our model does not have."""

    def change(tensors: dict[str, np.ndarray]) -> None:
        for name in [name for name in tensors if "LayerNorm" in name]:
            tensors[name.replace(".weight", ".gamma").replace(".bias", ".beta")] = tensors.pop(name)
        tensors["bert.pooler.dense.weight"] = np.ones((8, 8), np.float32)
        tensors["cls.seq_relationship.bias"] = np.ones(2, np.float32)

    edit(folder, change)
    assert open_checkpoint(folder).dropped == ("bert.pooler.dense.weight", "cls.seq_relationship.bias")
    assert_same(load(folder)[1], params_of(CONFIG))


def test_files_of_the_bare_model(tmp_path: Path) -> None:
    """As the published GPT-2: no `transformer.` before the names, and the causal mask among the tensors."""
    config = gpt(**SIZES)
    save(tmp_path / "gpt2", config, params_of(config), GPT2)

    def change(tensors: dict[str, np.ndarray]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        tensors["h.0.attn.bias"] = np.ones((1, 1, 6, 6), np.float32)

    edit(tmp_path / "gpt2", change)
    assert_same(load(tmp_path / "gpt2")[1], params_of(config))


def test_a_head_that_is_no_copy_of_the_table_is_read(tmp_path: Path) -> None:
    """Though config.json says that it is tied: newer files of T5 say so of every model."""
    config = gpt(**SIZES)
    save(tmp_path / "gpt2", config, params_of(config), GPT2)
    table = load_file(tmp_path / "gpt2" / "model.safetensors")["transformer.wte.weight"]
    edit(tmp_path / "gpt2", lambda tensors: tensors.update({"lm_head.weight": table}))
    checkpoint = open_checkpoint(tmp_path / "gpt2")
    assert (checkpoint.config, checkpoint.dropped) == (config, ("lm_head.weight",))
    edit(tmp_path / "gpt2", lambda tensors: tensors.update({"lm_head.weight": table + 1}))
    checkpoint = open_checkpoint(tmp_path / "gpt2")
    assert not checkpoint.config.tied
    np.testing.assert_array_equal(checkpoint.read("head/output/kernel"), table.T + 1)


def test_fields_of_config_that_are_not_ours_are_kept(original: Path, tmp_path: Path) -> None:
    config, params = load(original)
    save(tmp_path / "again", config, params, like={"model_type": "bert", "pad_token_id": 7, "torch_dtype": "float16"})
    page = json.loads((tmp_path / "again" / "config.json").read_text())
    assert page["pad_token_id"] == 7
    assert page["dtype"] == "float32"
    assert "torch_dtype" not in page
    with pytest.raises(FileExistsError, match="not empty"):
        save(tmp_path / "again", config, params, BERT)


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-40])


def lack(folder: Path) -> None:
    edit(
        folder, lambda tensors: [tensors.pop(f"cls.predictions.transform.dense.{part}") for part in ("weight", "bias")]
    )


def add(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.update({"bert.encoder.layer.2.output.dense.bias": np.ones(8, np.float32)}))


def misname(folder: Path) -> None:
    edit(folder, lambda t: t.update({"bert.embeddings.word_embedding.weight": t.pop(WORDS)}))


def reshape(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.update({WORDS: tensors[WORDS][:10].copy()}))


def integers(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.update({WORDS: tensors[WORDS].astype(np.int8)}))


def bias_twice(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.update({"cls.predictions.decoder.bias": np.arange(11.0, dtype=np.float32)}))


def lose_a_file(folder: Path) -> None:
    config, params = load(folder)
    shutil.rmtree(folder)
    save(folder, config, params, BERT, file_bytes=4000)
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


def index_wrongly(folder: Path) -> None:
    index = {"metadata": {}, "weight_map": {"bert.pooler.dense.bias": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


WORDS = "bert.embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "model.safetensors is cut short"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x10\0"), "model.safetensors is cut short"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "save pytorch_model.bin as safetensors"),
        (lambda f: (f / "config.json").write_text('{"model_type": "be'), "config.json is cut short or is no JSON"),
        (lack, r"lacks 'cls.predictions.transform.dense.weight' \(2 tensors of a BertForMaskedLM"),
        (misname, r"lacks 'bert.embeddings.word_embeddings.weight' .*it has 'bert.embeddings.word_embedding.weight'"),
        (add, r"has 'bert.encoder.layer.2.output.dense.bias', which .* does not have"),
        (reshape, r"has shape \(10, 8\), but config.json asks for \(11, 8\)"),
        (integers, "has type I8"),
        (bias_twice, "'cls.predictions.decoder.bias' in .* is no copy of 'cls.predictions.bias'"),
        (lose_a_file, r"model-00002-of-\d+.safetensors is missing: .*model.safetensors.index.json"),
        (index_wrongly, "places 'bert.pooler.dense.bias' in model.safetensors, which does not have it"),
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: edit_config(f, model_type="mamba"), r"architecture 'mamba' .* Known are bert"),
        (lambda f: edit_config(f, hidden_act="relu"), "hidden_act='relu', which is not supported: only 'gelu'"),
        (lambda f: edit_config(f, num_hidden_layers=3), "lacks 'bert.encoder.layer.2.attention.self.query.weight'"),
    ],
)
def test_one_clear_error(damage: Callable[[Path], Any], says: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises((InteropError, FileNotFoundError), match=says):
        load(folder)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model_type": "llama", "rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "rotary frequencies .*yarn"),
        ({"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2.0}}, "rotary frequencies .*linear"),
        (
            {"model_type": "llama", "rope_parameters": {"rope_theta": 1e4}, "rope_scaling": {"type": "linear"}},
            "rotary frequencies .*linear",
        ),
        ({"model_type": "llama", "partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5"),
        ({"model_type": "qwen2", "rope_parameters": {"full_attention": {"rope_theta": 9.0}}}, "the same in all layers"),
        ({"model_type": "qwen2", "layer_types": ["full_attention", "sliding_attention"]}, r"layer_types=\["),
        ({"model_type": "llama", "hidden_act": "gelu"}, "hidden_act='gelu', .*only 'silu'"),
        ({"model_type": "mistral", "sliding_window": 4096}, "sliding_window=4096, .*only null"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window=True"),
        ({"model_type": "gpt2", "activation_function": "relu"}, "activation_function='relu', .*'gelu_new' or 'gelu'"),
        ({"model_type": "bert", "is_decoder": True}, "is_decoder=True"),
        ({"model_type": "t5", "dense_act_fn": "gelu"}, "dense_act_fn='gelu', .*only 'relu'"),
        ({"model_type": "t5", "is_gated_act": True}, "is_gated_act=True"),
        ({"model_type": "t5", "feed_forward_proj": "gated-silu"}, "feed_forward_proj='gated-silu'"),
        ({"model_type": "vit", "qkv_bias": False}, "qkv_bias=False"),
        ({"model_type": "deit", "image_size": [224, 160]}, r"image_size=\[224, 160\], .*only \[224, 224\]"),
    ],
    ids=lambda x: str(x)[:50],
)
def test_settings_that_our_models_lack_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InteropError, match=says):
        ARCHITECTURES[fields["model_type"]].config(fields)


@pytest.mark.parametrize(
    ("fields", "base"),
    [
        ({"rope_theta": None}, 1e4),
        ({"rope_theta": 500.0, "rope_parameters": {"rope_theta": None}}, 500.0),
        ({"rope_theta": 500.0, "rope_parameters": {"rope_theta": 70.0}}, 70.0),
        ({"rope_scaling": {"rope_type": "default", "rope_theta": 9.0}, "rope_parameters": {"rope_theta": 70.0}}, 9.0),
    ],
)
def test_the_base_of_rotary_frequencies_in_any_spelling(fields: dict[str, Any], base: float) -> None:
    assert LLAMA.config(fields).rotary_theta == base


def test_what_a_layout_cannot_express_is_refused(tmp_path: Path) -> None:
    for config, architecture, says in [
        (bert(**{**SIZES, "embed": 12}, head_dim=4), BERT, "head_dim=4"),
        (gpt(**SIZES, norm="rms"), GPT2, "norm='rms'"),
        (llama(**SIZES, value_dim=6), LLAMA, "value_dim=6"),
        (llama(**SIZES, experts=3), LLAMA, "experts=3"),
        (bert(**SIZES, experts=3), BERT, "experts=3"),
    ]:
        with pytest.raises(InteropError, match=f"cannot express {says}"):
            save(tmp_path / "new", config, params_of(config), architecture)
        assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_integers_has_no_type(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.update({name: x.astype(np.int8) for name, x in tensors.items()}))
    with pytest.raises(InteropError, match="has type I8; weights are read as one of"):
        _ = open_checkpoint(folder).dtype


def test_one_file_goes_before_an_index_of_others(original: Path, tmp_path: Path) -> None:
    """As in `transformers`, which leaves the index of an older model behind."""
    other = jax.tree.map(lambda x: x + 1, params_of(CONFIG))
    save(tmp_path / "model", CONFIG, other, BERT, file_bytes=4000)
    assert_same(load(tmp_path / "model")[1], other)
    shutil.copy(original / "model.safetensors", tmp_path / "model")
    assert_same(load(tmp_path / "model")[1], params_of(CONFIG))


def test_of_several_types_the_widest_is_written(tmp_path: Path) -> None:
    params = params_of(CONFIG)
    params["blocks"] = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params["blocks"])
    save(tmp_path / "mixed", CONFIG, params, BERT)
    assert_same(load(tmp_path / "mixed")[1], jax.tree.map(lambda x: x.astype(jnp.float32), params))


def test_bytes_are_counted(original: Path) -> None:
    tensors = Tensors.of(original)
    assert tensors.bytes == sum(value.nbytes for value in load_file(original / "model.safetensors").values())
