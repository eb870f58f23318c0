import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import pytest

from stagejax.data import (
    BPE,
    CLS,
    MASK,
    PAD,
    SEP,
    SPECIAL,
    Bytes,
    CausalText,
    Characters,
    EmptySource,
    Images,
    MaskedText,
    Mixture,
    PackedText,
    Source,
    Stdlib,
    codec,
    corrupt,
    pipeline,
    read_corpus,
)


@dataclass(frozen=True)
class Toy(Source):
    """Documents of digits, whose text says where they are from."""

    split: str = "train"
    documents: int = 12

    def __len__(self):
        return self.documents

    def __getitem__(self, index):
        return {"text": f"{index:02d}" * (index + 3)}

    def digest(self):
        return f"{self.split}{self.documents}"


DIGITS = Characters("0123456789")
MASKED = MaskedText(source=Toy(), tokenizer=DIGITS, batch=4, length=12, seed=5)
CAUSAL = CausalText(source=Toy(), tokenizer=DIGITS, batch=4, length=10, seed=5)
PACKED = PackedText(source=Toy(), tokenizer=DIGITS, batch=4, length=24, seed=5)
IMAGES = Images(batch=100, seed=5)
MIXED = Mixture(parts=(CAUSAL, replace(CAUSAL, source=Toy(documents=5))), weights=(0.7, 0.3))
EVERY = pytest.mark.parametrize(
    "data", [MASKED, CAUSAL, PACKED, IMAGES, MIXED], ids=["masked", "causal", "packed", "images", "mixture"]
)


def read(data, position=None, shard=(0, 1), count=40):
    with data.batches(position, shard) as batches:
        return list(itertools.islice(batches, count))


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_array_equal(a[name], b[name])


@EVERY
def test_batches_are_what_the_spec_says_and_nothing_is_read_for_it(data, monkeypatch):
    def fail(*_):
        raise AssertionError("the plan read data")

    with monkeypatch.context() as patch:
        for name in ("__len__", "__getitem__"):
            patch.setattr(Toy, name, fail)
        patch.setattr("stagejax.data.sources._digits", fail)
        patch.setattr("stagejax.data.text.read_corpus", fail)
        spec, samples, tokens = data.spec(), data.samples, data.tokens
    (batch,) = read(data, count=1)
    assert spec == jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), batch)
    assert samples == data.batch
    assert tokens == (batch["tokens"].size if "tokens" in batch else 0)


@EVERY
@pytest.mark.parametrize("ahead", [1, 1 << 14])
def test_restart_at_any_position_gives_the_same_bits(data, ahead, monkeypatch):
    monkeypatch.setattr(pipeline, "_AHEAD", ahead)
    whole = read(data, count=40)
    assert data.size() < 40 * data.batch  # epoch borders are crossed
    batches = data.batches()
    for step in range(40):
        position = json.loads(json.dumps(batches.position))
        assert position == {"step": step}
        if step in (0, 1, 7, 15, 16, 17, 31, 39):
            assert_same(read(data, position, count=40 - step), whole[step:])
        assert_same([next(batches)], whole[step : step + 1])
    batches.close()


@EVERY
@pytest.mark.parametrize("ways", [2, 4])
def test_the_parts_of_all_processes_are_the_global_batch(data, ways):
    whole = read(data, {"step": 3}, count=20)
    parts = [read(data, {"step": 3}, (index, ways), count=20) for index in range(ways)]
    joined = [
        {name: np.concatenate([part[name] for part in step]) for name in step[0]} for step in zip(*parts, strict=True)
    ]
    assert_same(joined, whole)


@pytest.mark.parametrize("data", [MASKED, CAUSAL, PACKED, replace(IMAGES, batch=479)])
def test_every_sample_comes_once_an_epoch_in_an_order_of_its_own(data):
    data = replace(data, batch=data.size())
    epochs = read(data, count=3)
    leaf = "image" if "image" in epochs[0] else "targets"
    rows = [[row.tobytes() for row in epoch[leaf]] for epoch in epochs]
    assert sorted(rows[0]) == sorted(rows[1]) == sorted(rows[2])
    assert rows[0] != rows[1] != rows[2]


def test_epochs_cover_the_corpus():
    made = read_corpus(Toy(), DIGITS)
    (masked,) = read(replace(MASKED, batch=MASKED.size()), count=1)
    assert (masked["targets"][:, 0] == CLS).all()
    assert (masked["targets"][:, -1] == SEP).all()
    found = sorted(row.tobytes() for row in masked["targets"][:, 1:-1])
    assert found == sorted(row.tobytes() for row in made.ids[: MASKED.size() * 10].reshape(-1, 10).astype(np.int32))
    (causal,) = read(replace(CAUSAL, batch=CAUSAL.size()), count=1)
    kept = CAUSAL.size() * 10
    assert sorted(r.tobytes() for r in causal["tokens"]) == sorted(
        r.tobytes() for r in made.ids[:kept].reshape(-1, 10).astype(np.int32)
    )
    np.testing.assert_array_equal(causal["tokens"][:, 1:], causal["targets"][:, :-1])
    assert (causal["weights"] == 1).all()


def test_masks_follow_80_10_10():
    rows = np.random.default_rng(0).integers(SPECIAL, 512, (4000, 64)).astype(np.int32)
    rows[:, 0], rows[:, 30], rows[:, -1] = CLS, SEP, SEP
    tokens, weights = corrupt(rows, np.arange(4000), seed=0, rate=0.15, vocab=512)
    chosen = weights == 1
    assert (chosen.sum(1) == 9).all()  # round(0.15 x 61)
    assert not chosen[rows < SPECIAL].any()
    assert (tokens[~chosen] == rows[~chosen]).all()
    n = chosen.sum()
    for share, found in (
        (0.8, tokens == MASK),
        (0.1 * 507 / 508, (tokens != MASK) & (tokens != rows)),
        (0.1 + 0.1 / 508, tokens == rows),
    ):
        assert abs(found[chosen].mean() - share) < 4 * np.sqrt(share * (1 - share) / n)
    random = tokens[chosen & (tokens != MASK) & (tokens != rows)]
    assert random.min() >= SPECIAL
    assert len(np.unique(random)) > 490
    places = chosen[:, 1:30].mean(0)  # every place is equally likely
    assert abs(places - 9 / 61).max() < 5 * np.sqrt(0.15 * 0.85 / 4000)


def test_masks_change_with_the_epoch_and_the_seed():
    (first, second) = read(replace(MASKED, batch=MASKED.size()), count=2)
    (other,) = read(replace(MASKED, batch=MASKED.size(), seed=6), count=1)
    masks = [
        {row.tobytes(): w.tobytes() for row, w in zip(b["targets"], b["weights"], strict=True)}
        for b in (first, second, other)
    ]
    for later in masks[1:]:
        assert np.mean([masks[0][row] == later[row] for row in masks[0]]) < 0.5


def test_a_row_of_special_tokens_is_left_alone_and_a_short_one_gets_one_mask():
    rows = np.array([[CLS, SEP, PAD, PAD], [CLS, 9, SEP, PAD]], np.int32)
    tokens, weights = corrupt(rows, np.arange(2), seed=0, rate=0.15, vocab=20)
    assert weights.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]
    assert tokens[0].tolist() == rows[0].tolist()


def test_packed_rows_hold_whole_documents():
    code = codec(DIGITS, Toy())
    (batch,) = read(replace(PACKED, batch=PACKED.size()), count=1)
    seen = []
    for row in range(PACKED.size()):
        segments = batch["segments"][row]
        assert (np.diff(segments)[segments[1:] > 0] >= 0).all()
        assert (batch["tokens"][row][segments == 0] == PAD).all()
        for segment in range(1, segments.max() + 1):
            here = segments == segment
            assert batch["positions"][row][here].tolist() == list(range(here.sum()))
            np.testing.assert_array_equal(batch["tokens"][row][here][1:], batch["targets"][row][here][:-1])
            seen.append((code.decode(batch["tokens"][row][here]), int(batch["targets"][row][here][-1])))
    assert (batch["weights"] == (batch["segments"] > 0)).all()
    assert batch["weights"].sum() == sum(len(Toy()[i]["text"]) for i in range(len(Toy())))
    whole = [Toy()[i]["text"] for i in range(len(Toy()))]
    assert all((text, SEP) in seen for text in whole if len(text) <= 24)
    pieces = [text[at : at + 24] for text in whole for at in range(0, len(text), 24)]
    assert sorted(text for text, _ in seen) == sorted(pieces)
    assert batch["weights"].mean() > 0.7


def test_mixture_shares_and_order():
    owners = MIXED.owners(np.arange(3000))
    assert np.bincount(owners).tolist() == [2100, 900]
    running = np.cumsum(owners == 1) / np.arange(1, 3001)
    assert abs(running[99:] - 0.3).max() < 0.02
    size = MIXED.size()
    read_of_each = [np.bincount(MIXED.owners(np.arange(n)), minlength=2) for n in (size, size + 1)]
    sizes = [part.size() for part in MIXED.parts]
    assert (read_of_each[0] <= sizes).all()
    assert (read_of_each[1] > sizes).any()
    for part, data in enumerate(MIXED.parts):
        mine = MIXED.take(np.flatnonzero(owners == part))
        assert_same([mine], [data.take(np.arange(len(mine["tokens"])))])


def test_held_out_is_finite_fixed_and_from_the_other_split():
    data = MaskedText(source=Stdlib(limit=400_000), tokenizer=BPE(300), batch=8, length=32)
    held_out = data.held_out(batches=5)
    assert held_out == replace(data, source=Stdlib("test", limit=400_000), count=5)
    first, second = list(held_out.batches()), list(held_out.batches())
    assert len(first) == 5
    assert_same(first, second)
    assert_same(list(held_out.batches({"step": 3})), first[3:])
    assert list(held_out.batches({"step": 5})) == []
    assert Mixture(parts=(data, data), weights=(1, 1)).held_out(2).parts == (data.held_out(2), data.held_out(2))


def test_the_stream_of_samples_does_not_depend_on_the_batch():
    small, large = read(MASKED, count=4), read(replace(MASKED, batch=16), count=1)
    assert_same([{name: np.concatenate([b[name] for b in small]) for name in small[0]}], large)


def test_a_process_that_forgets_to_close_ends_and_declaring_data_imports_nothing_heavy():
    code = """
import sys, stagejax, stagejax.data as data
assert not {"grain", "tokenizers", "tensorflow_datasets", "sklearn"} & set(sys.modules)
batches = data.CausalText(source=data.Stdlib(limit=100_000), tokenizer=data.Bytes(), batch=2, length=8).batches()
next(batches)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_a_closed_iterator_gives_no_more():
    batches = CAUSAL.batches()
    next(batches)
    batches.close()
    assert batches.position == {"step": 1}
    with pytest.raises(StopIteration):
        next(batches)


@EVERY
def test_digest_is_of_the_content(data):
    assert data.digest() == data.digest()
    assert data.digest() != replace(CAUSAL, source=Toy(documents=7)).digest()


class TestErrors:
    def test_batch_not_divisible(self):
        with pytest.raises(ValueError, match=r"batch=4 is not divisible by 3 .*Set `batch` to a multiple of 3"):
            MASKED.batches(shard=(0, 3))
        with pytest.raises(ValueError, match="no part of a batch"):
            MASKED.batches(shard=(2, 2))

    @pytest.mark.parametrize("position", [{}, {"step": -1}, {"step": "3"}, {"step": 1.5}])
    def test_no_position(self, position):
        with pytest.raises(ValueError, match="is not a position"):
            CAUSAL.batches(position)

    def test_empty_and_short_corpora(self):
        with pytest.raises(EmptySource, match=r"gives 0 tokens, but one row reads 10.*lower `length`"):
            replace(MASKED, source=Toy(documents=0)).batches()
        with pytest.raises(EmptySource, match="gives 7 tokens, but one row reads 11"):
            replace(CAUSAL, source=Toy(documents=1)).batches()
        with pytest.raises(EmptySource, match="no document"):
            replace(PACKED, source=Toy(documents=0)).batches()
        with pytest.raises(EmptySource, match="training text gives only"):
            replace(CAUSAL, source=Toy(documents=1), tokenizer=BPE(512)).batches()

    def test_more_evaluation_than_there_is(self):
        with pytest.raises(ValueError, match=r"count=999 batches of 4 need 3996 samples.*Lower `count` to 5 or less"):
            CAUSAL.held_out(999).batches()

    def test_declarations(self):
        with pytest.raises(ValueError, match="length=2"):
            replace(MASKED, length=2)
        with pytest.raises(ValueError, match="rate=0"):
            replace(MASKED, rate=0.0)
        with pytest.raises(ValueError, match="length=0"):
            replace(CAUSAL, length=0)

    def test_mixtures(self):
        with pytest.raises(ValueError, match="2 parts but 1 weights"):
            Mixture(parts=(CAUSAL, CAUSAL), weights=(1,))
        with pytest.raises(ValueError, match="Raise it or leave"):
            Mixture(parts=(CAUSAL, CAUSAL), weights=(1, 0))
        with pytest.raises(ValueError, match=r"parts\[1\] gives"):
            Mixture(parts=(CAUSAL, replace(CAUSAL, length=5)), weights=(1, 1))

    def test_images(self):
        with pytest.raises(ValueError, match=r"images of shape \(8, 8, 1\), but shape=\(28, 28, 1\)"):
            replace(IMAGES, shape=(28, 28, 1)).batches()
        with pytest.raises(ValueError, match="Set `image` and `label`"):
            replace(IMAGES, image="x").batches()
        with pytest.raises(EmptySource, match="no record"):
            Images(batch=2, source=Toy(documents=0)).batches()


def test_bytes_vocabulary():
    assert Bytes().vocab == 256 + SPECIAL
