import hashlib
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from stagejax.data import Derived, Digits, EmptySource, Portion, Stdlib, sources
from stagejax.data.dialogue.delexicalized import Delexicalized
from stagejax.data.dialogue.domain_terms import DomainTerms
from stagejax.data.dialogue.drawn_dialogues import DrawnDialogues
from stagejax.data.dialogue.exchanges import Exchanges
from stagejax.data.language.docstrings import Docstrings
from stagejax.data.language.metadata import Prefixes
from stagejax.data.language.passages import Passages, name_of
from stagejax.data.pictures.segmentation import Night, Shapes
from stagejax.data.pipeline import joint_digest
from stagejax.data.selection.mislabelled import Mislabelled
from stagejax.data.selection.relabelled import Relabelled


def test_stdlib_splits_are_disjoint_and_follow_the_hash_of_the_name():
    train, test = Stdlib(), Stdlib("test")
    names = [{source[i]["name"] for i in range(len(source))} for source in (train, test)]
    assert len(names[0]) == len(train)
    assert len(names[1]) == len(test) >= 5
    assert not names[0] & names[1]
    for name in names[0] | names[1]:
        is_held_out = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % 20 == 0
        assert is_held_out == (name in names[1])


def test_stdlib_is_library_text_and_documentation_within_its_limit():
    source = Stdlib(limit=10**9)
    records = [source[i] for i in range(len(source))]
    names = [record["name"] for record in records]
    assert {"argparse.py", "json/encoder.py"} & set(names)
    assert sum(name.startswith("pydoc_data/topics/") for name in names) > 40
    assert not any(part in {"test", "tests", "site-packages"} for name in names for part in name.split("/"))
    for limit in (50_000, 200_000, 1_000_000):
        for split, share in (("train", 19 / 20), ("test", 1 / 20)):
            found = Stdlib(split, limit=limit)
            size = sum(len(found[i]["text"].encode()) for i in range(len(found)))
            assert 0.8 * share * limit < size <= share * limit


@pytest.mark.slow
def test_stdlib_is_the_same_in_another_process():
    code = "from stagejax.data import Stdlib; print(Stdlib(limit=300_000).digest())"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[2])}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert other.stdout.strip() == Stdlib(limit=300_000).digest()
    assert Stdlib(limit=300_000).digest() != Stdlib("test", limit=300_000).digest()


def test_stdlib_skips_what_it_cannot_read(tmp_path, monkeypatch):
    (tmp_path / "good.py").write_text("x = 1\n")
    (tmp_path / "latin.py").write_bytes(b"# \xe9\n")
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nothing")
    (tmp_path / "empty.py").write_text("\n")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test_good.py").write_text("assert True\n")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    names = [name for name, _ in sources._stdlib.__wrapped__("train", 1000)]
    assert names == ["good.py"]


def test_stdlib_without_text_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sources, "_stdlib", lambda split, limit: ())
    with pytest.raises(EmptySource, match="Raise `limit`"):
        len(Stdlib(limit=1))
    with pytest.raises(ValueError, match="split='dev'"):
        Stdlib("dev")


def test_digits_splits():
    train, test = Digits(), Digits("test")
    assert len(train) + len(test) == 1797
    from sklearn.datasets import load_digits

    np.testing.assert_allclose(test[1]["image"][..., 0] * 16, load_digits().images[9])
    assert test[1]["label"] == load_digits().target[9]
    assert train[0]["image"].dtype == np.float32
    assert train.digest() != test.digest()


@dataclass(frozen=True)
class Inverted(Derived):
    """Digits with black and white changed: what a derived source has to say itself."""

    def __getitem__(self, index: int) -> sources.Record:
        return {**self.source[index], "image": 1 - self.source[index]["image"]}

    def digest(self) -> str:
        return joint_digest(self.source.digest(), "inverted")


@pytest.mark.parametrize(
    "derived",
    [
        Inverted(Digits()),
        Inverted(Portion(Digits(), stop=0.5)),
        Relabelled(Digits(), tuple(range(9, -1, -1))),
        Mislabelled(Digits(), share=0.5, classes=10),
        Prefixes(Passages(Stdlib(limit=100_000), name_of)),
        Passages(Stdlib(limit=100_000), name_of),
        Docstrings(Stdlib(limit=2_000_000)),
        Night(Shapes(4)),
        Exchanges(DrawnDialogues("park", 9)),
        Delexicalized(DrawnDialogues("park", 9), DomainTerms(DrawnDialogues("park", 9), (DrawnDialogues("film", 9),))),
    ],
    ids=lambda derived: type(derived).__name__,
)
def test_a_derived_source_has_the_splits_of_what_it_is_made_of(derived):
    source, held_out = derived.source, derived.of_split("test")
    assert (derived.split, held_out.split, held_out.of_split("test").split) == (source.split, "test", "test")
    assert derived.of_split(source.split) == derived
    assert 0 < len(held_out) <= len(derived)
    assert len({derived.digest(), held_out.digest(), source.digest()}) == 3
    derived[len(derived) - 1]
    with pytest.raises(IndexError):
        derived[len(derived)]
