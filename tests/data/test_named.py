import gzip
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from stagejax.data import TFDS, Bytes, CausalText, Dataset, Images, MissingDataset, named, read_npz

HERE = Path(__file__).parent


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of small datasets in every format."""
    folder = tmp_path / "data"
    for name in ("lines", "rows", "images", "broken"):
        (folder / name).mkdir(parents=True)
    with gzip.open(folder / "lines/train.txt.gz", "wt", encoding="utf-8", newline="") as file:
        file.write("first é\nsecond\n")
    for part in ("en.train", "en.test", "de.train"):
        with gzip.open(folder / f"rows/{part}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": f"{part} {n}", "label": n % 2}) + "\n" for n in range(5))
    images = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
    np.savez(folder / "images/train.npz", x=images, y=np.arange(6, dtype=np.uint8))
    (folder / "broken/train.npz").write_bytes(b"PK no zip")
    (folder / "broken/train.jsonl.gz").write_bytes(b"no gzip")
    np.savez(folder / "broken/graph.npz", nodes=np.zeros(3), edges=np.zeros(5))
    monkeypatch.setenv("STAGEJAX_DATA", str(folder))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nowhere"))
    return folder


def test_text_and_lines(root):
    assert Dataset("lines")[0] == {"text": "first é\nsecond\n"}
    lines = Dataset("lines", lines=True)
    assert [lines[i] for i in range(len(lines))] == [{"text": "first é"}, {"text": "second"}]


def test_rows_with_parts(root):
    source = Dataset("rows", part="en")
    assert len(source) == 5
    assert source[3] == {"text": "en.train 3", "label": 1}
    data = CausalText(source=source, tokenizer=Bytes(), batch=2, length=8)
    with data.held_out(2).batches() as batches:
        assert b"en.te" in b"".join(bytes(np.maximum(b["tokens"] - 4, 0).astype(np.uint8)) for b in batches)
    assert source.digest() != Dataset("rows", part="de").digest()


def test_images_from_arrays(root):
    data = Images(source=Dataset("images"), batch=6, shape=(4, 4, 1), image="x", label="y")
    with data.batches() as batches:
        batch = next(batches)
    order = np.argsort(batch["label"])
    expected = np.arange(96, dtype=np.float32).reshape(6, 4, 4, 1) / np.float32(255)
    np.testing.assert_array_equal(batch["image"][order], expected)


def test_planes_coded_as_differences(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3)).astype(np.uint8)
    planes = images.transpose(0, 3, 1, 2).copy()
    planes[:, 0] -= planes[:, 1]
    planes[:, 2] -= planes[:, 1]
    planes = np.diff(planes, axis=2, prepend=np.uint8(0))
    planes = np.diff(planes, axis=3, prepend=np.uint8(0))
    np.savez(tmp_path / "a.npz", x_delta=planes)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["x"], images)


def test_missing_dataset_says_both_ways(root, monkeypatch):
    with pytest.raises(MissingDataset) as error:
        len(Dataset("imagse"))
    for said in ("STAGEJAX_DATA", "imagse/train.npz", "tfds build imagse", "Near names: images", "TFDS_DATA_DIR"):
        assert said in str(error.value)
    with pytest.raises(MissingDataset, match="mnist"):  # near the name of a TFDS builder
        len(TFDS("mnits"))
    with pytest.raises(MissingDataset, match=r"holds de.train.jsonl.gz, en.test.jsonl.gz, en.train.jsonl.gz"):
        len(Dataset("rows"))
    monkeypatch.delenv("STAGEJAX_DATA")
    with pytest.raises(MissingDataset, match="STAGEJAX_DATA is not set"):
        CausalText(source=Dataset("images"), tokenizer=Bytes(), batch=2, length=8).batches()


def test_damaged_files(root):
    with pytest.raises(ValueError, match="damaged"):
        len(Dataset("broken"))
    (root / "broken/train.npz").unlink()
    with pytest.raises(ValueError, match="damaged"):
        len(Dataset("broken"))
    with pytest.raises(ValueError, match="no table of records"):
        len(Dataset("broken", split="graph"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A real TFDS dataset, prepared on disk."""
    folder = tmp_path_factory.mktemp("tfds")
    sys.path.insert(0, str(HERE))
    try:
        import tiny_lines

        tiny_lines.TinyLines(data_dir=folder, file_format="array_record").download_and_prepare()
    finally:
        sys.path.remove(str(HERE))
    return folder


def test_tfds_records_and_batches(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    monkeypatch.delenv("STAGEJAX_DATA", raising=False)
    source = TFDS("tiny_lines")
    records = [source[i] for i in range(len(source))]
    assert len(records) == 40
    numbers = [int(record["image"][0, 0, 0]) for record in records]
    assert sorted(numbers) == list(range(40))
    assert all(
        record["text"] == f"línea {n}" and record["label"] == n % 3 for n, record in zip(numbers, records, strict=True)
    )
    assert TFDS("tiny_lines:1.0.0", "test").digest() != source.digest()
    assert "tensorflow" not in sys.modules

    images = Images(source=Dataset("tiny_lines"), batch=20, shape=(4, 4, 1))
    with images.batches() as batches:
        epoch = [next(batches), next(batches)]
    labels = np.concatenate([batch["label"] for batch in epoch])
    pixels = np.concatenate([batch["image"][:, 0, 0, 0] for batch in epoch]) * 255
    assert sorted(np.rint(pixels).astype(int).tolist()) == list(range(40))
    np.testing.assert_array_equal(np.rint(pixels) % 3, labels)

    text = CausalText(source=source, tokenizer=Bytes(), batch=4, length=16)
    assert len(list(text.held_out(1).batches())) == 1
    with pytest.raises(MissingDataset, match=r"splits \['test', 'train'\], not 'dev': say what stands for it"):
        len(TFDS("tiny_lines", "dev"))
    with pytest.raises(MissingDataset, match="Near names: tiny_lines"):
        len(TFDS("tiny_line"))


def test_slices_stand_for_splits_that_a_builder_lacks(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    source = TFDS("tiny_lines", train="train[:75%]", test="train[75%:]")
    held_out = source.of_split("test")
    seen, kept = ([one[i]["text"] for i in range(len(one))] for one in (source, held_out))
    assert (len(seen), len(kept)) == (30, 10)
    assert not set(seen) & set(kept)
    assert held_out.of_split("train") == source
    assert len({one.digest() for one in (source, held_out, TFDS("tiny_lines"))}) == 3
    with pytest.raises(MissingDataset, match="not 'validation'"):
        len(TFDS("tiny_lines", "test", test="validation"))


def test_highest_version_is_read(prepared, tmp_path, monkeypatch):
    for version in ("2.0.0", "10.0.0"):
        (tmp_path / "numbers" / version).mkdir(parents=True)
        (tmp_path / "numbers" / version / "dataset_info.json").write_text("{}")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert TFDS("numbers")._folder().name == "10.0.0"
    assert TFDS("numbers:2.0.0")._folder().name == "2.0.0"


@pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")
class TestCompactDatasets:
    def test_each_format(self):
        assert len(Dataset("sst2", "dev")) == 872
        assert set(Dataset("sst2", "dev")[0]) == {"text", "label"}
        assert len(Dataset("usps", "test")) == 2007
        assert len(Dataset("tinyshakespeare", "test")[0]["text"]) == 111_537
        assert len(Dataset("qm9_smiles", "test", lines=True)) == 6000
        assert len(Dataset("stsb", "dev", part="en")) == 1500
        assert Dataset("deepdta", "davis")[5].keys() == {"affinity", "drug", "target", "fold"}

    def test_colour_images_are_decoded(self):
        data = Images(source=Dataset("cifar10", "test"), batch=50, shape=(32, 32, 3), image="x", label="y")
        with data.batches() as batches:
            batch = next(batches)
        smooth = np.abs(np.diff(batch["image"], axis=1)).mean()
        assert smooth < 0.12  # neighbouring pixels of photographs are alike
        assert named._read.cache_info().currsize >= 1

    def test_near_names(self):
        with pytest.raises(MissingDataset, match="tinyshakespeare"):
            len(Dataset("tiny_shakespeare"))
