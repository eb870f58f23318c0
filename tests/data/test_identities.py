"""Letters in styles, false identities, and batches of several images of each identity."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import Digits, Portion
from stagejax.data.handwriting.handwriting import Rendered, Style, written
from stagejax.data.pictures.identities import Half, Identities
from stagejax.data.pictures.lookalikes import Lookalikes
from stagejax.data.selection.coresets import farthest_first
from stagejax.data.sources import labels_of
from stagejax.data.together import Together

FEW = Portion(Digits(), stop=200)
BOX = np.zeros((9, 9), np.float32)
BOX[3:6, 3:6] = 1


def drawn(**fields: float) -> np.ndarray:
    return written(BOX, Style(**fields), np.random.default_rng(0))


def test_each_part_of_a_style_does_what_it_says() -> None:
    assert np.array_equal(drawn(), 1 - BOX)
    assert np.array_equal(drawn(ink=1.0, paper=0.0), BOX)
    assert (drawn(pen=1.0) < 0.5).sum() == 25
    assert (drawn(pen=-1.0) < 0.5).sum() == 1
    assert drawn(pen=0.5)[2, 4] == 0.5
    rows = (drawn(slant=1.0) < 0.5).argmax(1)[3:6]
    assert np.all(np.diff(rows) < 0)  # rows further up stand further to the right
    assert 0 < drawn(blur=1.0)[4, 4] < 0.5
    assert drawn(angle=90.0) == pytest.approx(drawn(), abs=1e-5)
    assert 0 < drawn(noise=0.1)[3:6, 3:6].std() < 0.3
    assert np.abs(np.diff(drawn(paper=0.5, texture=0.1)[0])).max() < 0.1 < np.ptp(drawn(paper=0.5, texture=0.1))
    assert Style(ink=1.0).between(Style(ink=0.0, blur=2.0), 0.25) == Style(ink=0.75, blur=0.5)


def test_letters_are_the_same_whenever_they_are_drawn() -> None:
    noisy = Rendered(FEW, Style(noise=0.1), size=8, letter="label", first=20, domain=3)
    again = Rendered(FEW, Style(noise=0.1), size=8, letter="label", first=20, domain=4)
    assert np.array_equal(noisy[5]["image"], Rendered(FEW, Style(noise=0.1), 8, 20, 3, "label")[5]["image"])
    assert not np.array_equal(noisy[5]["image"], again[5]["image"])
    assert np.array_equal(noisy.column("label"), [noisy[i]["label"] for i in range(200)])


def test_false_identities_are_of_one_class_and_share_no_image() -> None:
    made = Lookalikes(Digits(), groups=23, each=6, first=100, domain=1)
    records = [made[i] for i in range(len(made))]
    assert (
        [record["label"] for record in records] == made.column("label").tolist() == [100 + i // 6 for i in range(138)]
    )
    held = {Digits()[i]["image"].tobytes(): Digits()[i]["label"] for i in range(len(Digits()))}
    classes = np.array([held[record["image"].tobytes()] for record in records]).reshape(23, 6)
    assert (classes == classes[:, :1]).all()
    assert set(Counter(classes[:, 0].tolist()).values()) == {2, 3}
    assert len({record["image"].tobytes() for record in records}) == 138
    with pytest.raises(ValueError, match="lower groups=200"):
        Lookalikes(FEW, groups=200, each=6)[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 3))
def test_every_identity_comes_once_before_any_comes_again(each: int, seed: int) -> None:
    rows = np.flatnonzero(labels_of(FEW) < 7)
    data = Identities(source=FEW, batch=7 * each, each=each, seed=seed, of="chosen", arrays={"rows": rows})
    batches = data.take(np.arange(14 * each))["label"].reshape(2, 7, each)
    assert (batches == batches[..., :1]).all()
    for groups in batches[..., 0]:
        assert sorted(groups.tolist()) == list(range(7))
    found = data.records(np.arange(7 * each))
    assert set(found.tolist()) <= set(rows.tolist())
    assert len(set(found.tolist())) == 7 * each  # an identity has more images than that


def test_an_identitys_images_all_come_before_one_comes_again() -> None:
    rows = np.array([10, 20, 30, 1])
    data = Identities(source=FEW, batch=2, each=2, of="a", arrays={"rows": rows})
    labels = labels_of(FEW)[rows]
    seen = data.records(np.arange(4000))
    for label in set(labels.tolist()):
        own = [int(row) for row in seen if labels_of(FEW)[row] == label]
        size = int((labels == label).sum())
        assert all(len(set(own[i : i + size])) == size for i in range(0, len(own) - size + 1, size))
    assert set(seen.tolist()) == set(rows.tolist())


def test_batches_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="batch=10 is not a whole number of times each=4"):
        Identities(source=FEW, batch=10, each=4)
    with pytest.raises(ValueError, match="the artifact made holds nothing as 'rows'"):
        Identities(source=FEW, batch=8, each=4, of="made").take(np.arange(8))


def test_labels_and_halves() -> None:
    styled = Rendered(FEW, size=8, letter="label", first=30)
    both = Together((styled, Lookalikes(Digits(), 10, 3, first=40)))
    assert labels_of(both).tolist() == [both[i]["label"] for i in range(len(both))]
    for source in (both, styled, Half(both)):  # any other field than labels is read
        assert source.column("domain").tolist() == [source[i]["domain"] for i in range(len(source))]
    even, odd = Half(both), Half(both, odd=True)
    assert len(even) + len(odd) == len(both)
    assert {label % 2 for label in labels_of(odd).tolist()} == {1}
    assert odd[3]["label"] == labels_of(odd)[3]


def test_farthest_first_goes_on_from_what_is_there() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    start = np.array([4, 9])
    found = farthest_first(x, 12, start)
    assert found[:2].tolist() == [4, 9]
    for place in range(2, 12):
        apart = np.linalg.norm(x[:, None] - x[found[:place]], axis=-1).min(1)
        assert found[place] == apart.argmax()
    with pytest.raises(ValueError, match="k=1 records cannot begin with 2"):
        farthest_first(x, 1, start)
