"""A model in Hugging Face layout: config.json and safetensors files, read and written one parameter at a time."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.axes import path_name
from stagejax.growth.operator import describe
from stagejax.interop.architecture import Architecture
from stagejax.interop.bert import BERT
from stagejax.interop.gpt2 import GPT2
from stagejax.interop.llama import LLAMA, MISTRAL, QWEN2
from stagejax.interop.mixtral import MIXTRAL
from stagejax.interop.names import Leaves, Name
from stagejax.interop.t5 import T5_MODEL
from stagejax.interop.tensors import InteropError, Tensors, Writer, read_json
from stagejax.interop.vit import DEIT, VIT

ARCHITECTURES: Mapping[str, Architecture] = {
    a.model_type: a for a in (BERT, DEIT, GPT2, LLAMA, MISTRAL, MIXTRAL, QWEN2, T5_MODEL, VIT)
}

#: Files beside the weights that stay true when a model grows.
COMPANIONS = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "generation_config.json", "preprocessor_config.json",
    "chat_template.jinja",
)  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose config.json and tensors have been checked against each other; no weight has been read yet."""

    folder: Path
    architecture: Architecture
    config: Any  # of our model
    raw: Mapping[str, Any]  # config.json
    tensors: Tensors
    stored: Mapping[str, str]  # expected name -> name in the files
    dropped: tuple[str, ...]  # tensors that our model does not have

    @property
    def leaves(self) -> Leaves:
        """Axes and shape of every parameter, by path."""
        return describe(self.config)

    @cached_property
    def names(self) -> dict[str, Name]:
        """The tensor that holds each parameter, by path."""
        return {where: name for name in self.architecture.names(self.config) for where in name.leaves}

    @cached_property
    def dtype(self) -> np.dtype:
        """Of the weights: the most frequent one."""
        kinds = [self.tensors.dtype(name) for name in self.stored.values()]
        return max(set(kinds), key=kinds.count)

    def read(self, where: str, layers: Sequence[int] | None = None) -> np.ndarray:
        """The parameter at a path; of one that is stacked along layers, only those asked for, in that order.

        Raises:
          InteropError: a tensor does not hold floating-point numbers.
        """
        name = self.names[where]
        _, shape = self.leaves[where]
        rows = list(name.rows(self.leaves))
        if layers is not None and "layers" in (rows[0] or {}):
            rows = [row for layer in layers for row in rows if row["layers"] == layer]
        made = [name.take(self.tensors.read(self._stored(name, row)), where, self.leaves) for row in rows]
        if not rows[0]:
            return made[0]
        inner = made[0].shape
        return np.stack(made).reshape((-1, *shape[1 : len(shape) - len(inner)], *inner))

    def _stored(self, name: Name, row: Mapping[str, int]) -> str:
        return self.stored[name.tensor.format(**row)]


def open_checkpoint(folder: Path | str) -> Checkpoint:
    """What a folder holds, after every check that needs no weights.

    Raises:
      FileNotFoundError: there is no config.json, or a file of weights is missing.
      InteropError: an unknown architecture, a setting that our models do not have, a file cut short, tensors that are
        missing, unexpected or of another shape than config.json says.
    """
    folder = Path(folder)
    page = folder / "config.json"
    if not page.exists():
        raise FileNotFoundError(f"{page} is missing: give a folder with config.json and safetensors files")
    raw = read_json(page)
    architecture = architecture_of(raw, page)
    tensors = Tensors.of(folder)
    config = architecture.config(raw)
    if getattr(config, "tied", False) and _untied(architecture, tensors):
        config = architecture.config({**raw, "tie_word_embeddings": False})
    expected = expected_shapes(architecture, config)
    known = {architecture.known_as(name, set(expected)): name for name in tensors.shapes}
    missing = [name for name in expected if name not in known]
    dropped = [known[name] for name in known if name not in expected]
    strange = [name for name in dropped if not architecture.ignores(name)]
    if missing:
        near = difflib.get_close_matches(missing[0], strange, 1)
        hint = f"; it has {near[0]!r}" if near else ""
        raise InteropError(
            f"{folder} lacks {missing[0]!r} ({_count(missing)} of a {architecture.name} with this config.json{hint})"
        )
    if strange:
        raise InteropError(
            f"{folder} has {strange[0]!r}, which a {architecture.name} with this config.json does not have "
            f"({_count(strange)})"
        )
    for name, shape in expected.items():
        if tensors.shapes[known[name]] != shape:
            raise InteropError(
                f"{name!r} in {folder} has shape {tensors.shapes[known[name]]}, but config.json asks for {shape}"
            )
    for copy, of in architecture.copies.items():
        if copy in known and copy not in expected and not _equal(tensors, known[copy], known[of]):
            raise InteropError(
                f"{copy!r} in {folder} is no copy of {of!r}, which a {architecture.name} has in its place: remove "
                "the one that is not meant"
            )
    stored = {name: known[name] for name in expected}
    return Checkpoint(folder, architecture, config, raw, tensors, stored, tuple(dropped))


def _untied(architecture: Architecture, tensors: Tensors) -> bool:
    """Whether a head lies beside the token table and is no copy of it, whatever config.json says."""
    stored = {architecture.known_as(name, {architecture.table}): name for name in tensors.shapes}
    if not {architecture.head, architecture.table} <= set(stored):
        return False
    return not _equal(tensors, stored[architecture.head], stored[architecture.table])


def _equal(tensors: Tensors, *names: str) -> bool:
    return np.array_equal(*(tensors.read(name) for name in names))


def load(folder: Path | str, shardings: Any = None) -> tuple[Any, Any]:
    """The model configuration and the parameters in a folder in Hugging Face layout.

    Args:
      folder: with config.json and model.safetensors, or an index of several files.
      shardings: of the parameters, as a tree; each is put there as soon as it is read.

    Raises:
      FileNotFoundError, InteropError: as `open_checkpoint`.
    """
    checkpoint = open_checkpoint(folder)
    places = dict(_paths(shardings)) if shardings is not None else {}
    abstract = nnx.eval_shape(lambda: checkpoint.config.build(nnx.Rngs(0)))
    tree = nnx.to_pure_dict(nnx.state(abstract, nnx.Param))

    def one(path: Any, _: Any) -> jax.Array:
        where = path_name(path)
        return jax.device_put(checkpoint.read(where), places.get(where))

    return checkpoint.config, jax.tree_util.tree_map_with_path(one, tree)


def save(
    folder: Path | str,
    config: Any,
    params: Any,
    architecture: Architecture | None = None,
    *,
    like: Mapping[str, Any] | None = None,
    file_bytes: int = 5 * 10**9,
) -> None:
    """Write config.json and safetensors files that `transformers` loads with `from_pretrained`.

    Args:
      folder: made new.
      config, params: of our model; the parameters' dtype is kept, of several the one that holds all.
      architecture: whose layout; None: the one of `like`.
      like: a config.json whose other fields are kept, such as the ids of special tokens.
      file_bytes: the most that one file holds.

    Raises:
      FileExistsError: the folder exists and is not empty.
      InteropError: the layout cannot express the model.
    """
    architecture = architecture or architecture_of(like or {}, Path("like"))
    leaves = dict(_paths(params))
    dtype = np.dtype(jnp.result_type(*(leaf.dtype for leaf in leaves.values())))

    def row_of(where: str, layer: int | None) -> np.ndarray:
        return np.asarray(leaves[where] if layer is None else leaves[where][layer])

    write(folder, config, row_of, architecture, like=like, dtype=dtype, file_bytes=file_bytes)


def write(
    folder: Path | str,
    config: Any,
    row_of: Callable[[str, int | None], np.ndarray],
    architecture: Architecture,
    *,
    like: Mapping[str, Any] | None,
    dtype: np.dtype,
    file_bytes: int = 5 * 10**9,
    companions: Path | None = None,
) -> None:
    """As `save`, with parameters that are made when they are asked for: `row_of(path, layer)`, one layer at a time.

    The folder appears at the end, complete. `companions` is a folder whose tokenizer files are copied.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not empty: give another folder")
    leaves = describe(config)
    kind = {"model_type": architecture.model_type, "architectures": [architecture.name], "dtype": dtype.name}
    page = {**(like or {}), **kind, **architecture.fields(config)}
    page |= _labels(page)
    shapes = {name: (shape, dtype) for name, shape in expected_shapes(architecture, config).items()}
    page.pop("torch_dtype", None)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with Writer(partial, shapes, file_bytes) as writer:
        for name in architecture.names(config):
            for tensor, value in _tensors(name, leaves, row_of):
                writer.write(tensor, np.asarray(value, dtype))
    for companion in COMPANIONS if companions else ():
        if (companions / companion).exists():
            shutil.copy(companions / companion, partial / companion)
    (partial / "config.json").write_text(json.dumps(page, indent=2, sort_keys=True) + "\n")
    if folder.exists():
        folder.rmdir()
    partial.replace(folder)


def _labels(page: Mapping[str, Any]) -> dict[str, Any]:
    """The names of a head's classes, which `transformers` counts them by, where there are now more or fewer of them.

    >>> _labels({"id2label": {"0": "cat"}, "num_labels": 2})["id2label"]
    {'0': 'cat', '1': 'LABEL_1'}
    """
    known = {str(i): label for i, label in (page.get("id2label") or {}).items()}
    classes = page.get("num_labels", len(known))
    if not known or classes == len(known):
        return {}
    kept = known if classes > len(known) else {}
    labels = {str(i): kept.get(str(i), f"LABEL_{i}") for i in range(classes)}
    return {"id2label": labels, "label2id": {label: int(i) for i, label in labels.items()}}


def _tensors(
    name: Name, leaves: Leaves, row_of: Callable[[str, int | None], np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of one name, those of one layer after the other."""
    layer, rows = None, None
    for row in name.rows(leaves):
        if rows is None or row.get("layers") != layer:
            layer = row.get("layers")
            rows = [row_of(where, layer) for where in name.leaves]
        inside = tuple(at for axis, at in row.items() if axis != "layers")
        yield name.tensor.format(**row), name.put([x[inside] for x in rows], leaves)


def architecture_of(raw: Mapping[str, Any], page: Path) -> Architecture:
    """The architecture that a config.json names.

    Raises:
      InteropError: it is not known here.
    """
    kind = raw.get("model_type")
    if kind not in ARCHITECTURES:
        raise InteropError(
            f"{page} names the architecture {kind!r} ({raw.get('architectures')}), which is not known. Known are "
            f"{', '.join(sorted(ARCHITECTURES))}."
        )
    return ARCHITECTURES[kind]


def expected_shapes(architecture: Architecture, config: Any) -> dict[str, tuple[int, ...]]:
    """The name and shape of every tensor of a model."""
    leaves = describe(config)
    return {
        name.tensor.format(**row): name.shape(leaves)
        for name in architecture.names(config)
        for row in name.rows(leaves)
    }


def _paths(tree: Any) -> list[tuple[str, Any]]:
    return [(path_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _count(names: Sequence[str]) -> str:
    return "1 tensor" if len(names) == 1 else f"{len(names)} tensors"
