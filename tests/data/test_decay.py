"""Decaying donors: what severity does, who labels, and that no donor is on two sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stagejax.data import Digits
from stagejax.data.pictures.body_regions import Simulated
from stagejax.data.pictures.decay import Decaying, Examiners, decayed, smooth
from stagejax.data.pictures.tasks import ImageTask, Part

DIGITS = ImageTask((Part(Digits()),), 8)
FOUR = (0.25, 0.5, 0.75)
REGION = Simulated("head", DIGITS, 120, 40, 50, shift=0.05)


def test_photographs_of_a_donor_follow_each_other_at_rising_severity() -> None:
    source = Decaying(replace(DIGITS, limit=100), FOUR)
    records = [source[i] for i in range(len(source))]
    assert [record["donor"] for record in records] == [i // 3 for i in range(300)]
    severity = np.array([record["severity"] for record in records])
    assert (np.diff(severity.reshape(-1, 3), axis=1) > 0).all()
    for cut in FOUR:  # uniform from 0 to 1: within three standard errors
        assert abs((severity < cut).mean() - cut) < 3 * (cut * (1 - cut) / 300) ** 0.5
    with pytest.raises(IndexError):
        source[300]


def test_the_median_of_the_examiners_is_the_label() -> None:
    source = Decaying(replace(DIGITS, limit=60), FOUR)
    records = [source[i] for i in range(len(source))]
    ratings = np.stack([record["ratings"] for record in records])
    label = np.array([record["label"] for record in records])
    assert (np.median(ratings, axis=1) == label).all()
    several = [np.bincount(own, minlength=4) for own in ratings]
    assert all(counts.argmax() == own for counts, own in zip(several, label, strict=True) if counts.max() > 1)
    assert 0.05 < (ratings != label[:, None]).mean() < 0.5  # they differ, and not by chance
    exact = replace(source, examiners=Examiners(noise=0.0, offsets=(0.0,) * 3))
    severity = np.array([record["severity"] for record in records])
    assert [exact[i]["label"] for i in range(len(exact))] == np.searchsorted(FOUR, severity, "right").tolist()


def test_a_scheme_changes_labels_and_no_picture() -> None:
    one, two = (Decaying(replace(DIGITS, limit=20), cuts) for cuts in (FOUR, (0.3, 0.6)))
    assert all((one[i]["image"] == two[i]["image"]).all() for i in range(60))
    assert max(two[i]["label"] for i in range(60)) == 2
    assert one.digest() != two.digest()


def test_no_donor_is_on_two_sides() -> None:
    rows = {}
    for part in ("train", "validation", "test"):
        source = REGION.photographs("Megyesi", FOUR, part)
        assert source.thresholds == (0.3, 0.55, 0.8)
        donors = [source.donors[i]["image"].tobytes() for i in range(len(source.donors))]
        rows[part] = set(donors)
        assert len(source) == 3 * len(donors)
    assert [len(own) for own in rows.values()] == [120, 40, 50]
    assert len(set.union(*rows.values())) == 210
    severities = [REGION.photographs("Megyesi", FOUR, part)[0]["severity"] for part in rows]
    assert len(set(severities)) == 3  # each part has draws of its own


def test_what_severity_does() -> None:
    size, rng = 32, np.random.default_rng(0)
    body, cover, colours = np.full((size, size, 3), 0.5), np.ones((size, size, 1)), rng.uniform(-1, 1, (4, 4, 3))
    holes, background = rng.random((12, 3)), np.ones((size, size, 3))
    none = np.zeros((0, 3))
    np.testing.assert_array_equal(decayed(body, cover, colours, holes, background, 0.0), body)
    drift = [np.abs(decayed(body, cover, colours, none, background, s) - body).mean() for s in (0.25, 0.5)]
    assert drift[1] == pytest.approx(2 * drift[0], rel=0.1)  # colours: in proportion to s
    eaten = [(decayed(body * 0, cover, 0 * colours, holes[:1], background, s)).mean() for s in (0.5, 1.0)]
    assert eaten[1] == pytest.approx(4 * eaten[0], rel=0.35)  # area: in proportion to s²
    edge = body * (np.arange(size) < size // 2)[None, :, None]
    sharp = [
        np.abs(np.diff(decayed(edge, cover, 0 * colours, none, background, s), axis=1)).max() for s in (0.0, 0.5, 1.0)
    ]
    assert sharp[0] > sharp[1] > sharp[2]  # texture is lost
    empty = [decayed(0 * body, 0 * cover, colours, holes, background, s) for s in (0.0, 0.9)]
    np.testing.assert_allclose(*empty)  # the background does not know s


def test_smooth_fields_keep_their_range_and_mean() -> None:
    cells = np.random.default_rng(0).uniform(-1, 1, (4, 4, 3))
    field = smooth(cells, 16)
    assert field.min() >= cells.min()
    assert field.max() <= cells.max()
    np.testing.assert_allclose(field.mean((0, 1)), cells.mean((0, 1)), atol=0.1)
