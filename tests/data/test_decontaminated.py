"""What is too near to a test is left out: by a run of words and by the longest common subsequence, both."""

from dataclasses import dataclass

import numpy as np
import pytest

from stagejax.data.selection.decontaminated import Decontaminated, common_words
from stagejax.data.sources import Record, Source


@dataclass(frozen=True)
class Texts(Source):
    texts: tuple[str, ...]
    split: str = "train"

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> Record:
        return {"question": self.texts[index]}

    def digest(self) -> str:
        return repr(self)


TEST = Texts(("A b c d e f g h",), "test")


def kept(*texts: str, **how: float) -> list[str]:
    source = Decontaminated(Texts(texts), (TEST,), **{"run": 3, "ratio": 0.6} | how)
    return [source[i]["question"] for i in range(len(source))]


def test_both_conditions_must_hold() -> None:
    copied, run_alone, scattered = "a b c d e f x y", "a b c 1 2 3 4 5", "a 1 b 2 c 3 d 4 e 5 f 6 g 7 h"
    assert kept(copied, run_alone, scattered, "other") == [run_alone, scattered, "other"]
    assert kept(copied, ratio=0.75) == [copied]
    assert kept(run_alone, ratio=0.3) == []


def test_case_and_spaces_do_not_hide_a_copy() -> None:
    assert kept("a  B C d E f g H") == []


def test_bits_count_as_the_table_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, other = (tuple(map(str, rng.integers(0, 4, rng.integers(0, 9)))) for _ in range(2))
        table = np.zeros((len(one) + 1, len(other) + 1), int)
        for i, a in enumerate(one):
            for j, b in enumerate(other):
                table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
        assert common_words(one, other) == table[-1, -1]


def test_splits_and_errors() -> None:
    source = Decontaminated(Texts(("a b c",)), (TEST,))
    assert source.split == "train"
    assert source.of_split("train") is source
    assert source.digest() != Decontaminated(Texts(("a b c",)), (TEST,), run=2).digest()
    with pytest.raises(ValueError, match="run=0"):
        Decontaminated(TEST, (), run=0)
