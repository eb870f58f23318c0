"""A corpus in memory, and the same one in a folder: same ids, written once, whole or not at all."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import BPE, SEP, Bytes, CausalText, MaskedText, Source, Stdlib, corpus, read_corpus
from stagejax.data.corpus import DamagedCorpus, stored_corpus


@dataclass(frozen=True)
class Lines(Source):
    """Some documents."""

    lines: tuple[str, ...]
    split: str = "train"

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> dict[str, str]:
        return {"text": self.lines[index]}

    def digest(self) -> str:
        return repr(self.lines)


@given(st.lists(st.text(max_size=8), max_size=9), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_ids_are_those_of_each_document_then_sep(tmp_path_factory, lines, at_a_time):
    source, folder = Lines(tuple(lines)), tmp_path_factory.mktemp("corpora")
    encoded = Bytes().encode(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "_DOCUMENTS", at_a_time)
        for made in (read_corpus.__wrapped__(source, Bytes()), stored_corpus(folder, source, Bytes())):
            assert [made.ids[a:b].tolist() for a, b in zip(made.starts, made.starts[1:], strict=False)] == [
                [*ids.tolist(), SEP] for ids in encoded
            ]
            assert made.starts[-1] == len(made.ids)
            assert len(made.starts) == len(lines) + 1


def test_batches_and_digest_are_the_same_out_of_a_folder(tmp_path, monkeypatch):
    source = Stdlib(limit=100_000)
    for kind in (CausalText, MaskedText):
        data = kind(source=source, tokenizer=BPE(280), batch=4, length=16)
        found = []
        for root in ("", str(tmp_path)):
            monkeypatch.setenv("STAGEJAX_CORPORA", root)
            read_corpus.cache_clear()
            with data.batches({"step": 5}) as batches:
                found.append((data.digest(), {name: leaf.tolist() for name, leaf in next(batches).items()}))
        assert found[0] == found[1]
        assert isinstance(read_corpus(source, BPE(280)).ids, np.memmap)
    read_corpus.cache_clear()
    assert len(list(tmp_path.glob("[!.]*"))) == 1  # both kinds share it


def test_a_stored_corpus_is_written_once_and_says_how_far_it_is(tmp_path, monkeypatch, capsys):
    source = Lines(("one", "two", "three"))
    monkeypatch.setattr(corpus, "_DOCUMENTS", 2)
    monkeypatch.setattr(corpus, "_SECONDS", 0.0)
    stored_corpus(tmp_path, source, Bytes())
    assert said(capsys) == ["2 of 3 documents", "3 of 3 documents"]
    stored_corpus(tmp_path, source, Bytes())
    assert said(capsys) == []


def said(capsys) -> list[str]:
    """What was printed of `Lines`: threads of other tests may read ahead in other sources."""
    return [line.split(": ")[1] for line in capsys.readouterr().err.splitlines() if line.startswith("Lines(")]


def test_another_declaration_is_another_corpus(tmp_path):
    for last in ("three", "four", "four"):
        stored_corpus(tmp_path, Lines(("one", last)), Bytes())
    stored = [json.loads((folder / "corpus.json").read_text())["source"] for folder in tmp_path.iterdir()]
    assert sorted(stored) == sorted(repr(Lines(("one", last))) for last in ("three", "four"))


def test_a_corpus_cut_short_is_refused(tmp_path):
    source = Lines(("one", "two"))
    stored_corpus(tmp_path, source, Bytes())
    (folder,) = tmp_path.iterdir()
    (folder / "ids.bin").write_bytes((folder / "ids.bin").read_bytes()[:-2])
    with pytest.raises(DamagedCorpus, match=r"holds 14 bytes and should hold 16\. Delete .*made again"):
        stored_corpus(tmp_path, source, Bytes())


def test_what_fails_half_way_leaves_nothing(tmp_path):
    class Breaks(Lines):
        def __getitem__(self, index: int) -> dict[str, str]:
            if index == 1:
                raise OSError("the disk is gone")
            return super().__getitem__(index)

    with pytest.raises(OSError, match="the disk is gone"):
        stored_corpus(tmp_path, Breaks(("one", "two")), Bytes())
    assert list(tmp_path.iterdir()) == []


def test_two_that_write_the_same_corpus_at_once_leave_one(tmp_path, monkeypatch):
    both, rename = threading.Barrier(2, timeout=30), Path.rename

    def together(self: Path, target: Path) -> Path:
        both.wait()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", together)
    source = Lines(tuple(map(str, range(500))))
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: stored_corpus(tmp_path, source, Bytes()), range(2)))
    assert found[0].digest() == found[1].digest()
    assert len(list(tmp_path.iterdir())) == 1
