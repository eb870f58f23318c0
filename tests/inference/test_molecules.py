"""Molecules by their graphs: one identity however they are written, similarities in closed form, and the measures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stagejax.data.molecules.smiles import BadSmiles
from stagejax.inference.molecules.molecules import (
    are_valid,
    fingerprints,
    internal_diversity,
    judged,
    molecular,
    nearest_similarity,
    novel_share,
    tanimoto,
)

SAME = (
    ("OCC", "CCO", "C(O)C"),
    ("c1ccccc1C", "CC1=CC=CC=C1", "C1=CC(C)=CC=C1"),
    ("Cc1ccccc1N", "CC1=C(N)C=CC=C1", "NC1=CC=CC=C1C"),  # both Kekulé structures
    ("c1ccc2[nH]ccc2c1", "C1=CC2=C(C=C1)NC=C2"),
    ("C1CC1CO", "OCC2CC2"),
)


@pytest.mark.parametrize("forms", SAME)
def test_however_it_is_written_it_is_one_molecule(forms: tuple[str, ...]) -> None:
    assert len({molecular(form) for form in forms}) == 1


def test_different_molecules_differ() -> None:
    others = ("CCO", "CCN", "CC=O", "C=CO", "COC", "C1CC1", "CCC", "C[NH2+]C", "CNC", "Cc1cccc(N)c1", "Cc1ccc(N)cc1")
    others += ("C1=CCCCC1", "C1=CCC=CC1", "C1CCCCC1CC", "C1CCCC1CCC")
    assert len({molecular(other).identity for other in others}) == len(others)


def test_circles_are_those_within_the_radius() -> None:
    assert len(molecular("C").circles) == 3  # one atom, seen in three rounds
    assert set(molecular("CCCCCCCC", 1).circles) <= set(molecular("CCCCCCCC", 2).circles)
    near, far = (set(molecular(text).circles) for text in ("CCCCCCCN", "CCCCCCCO"))
    assert near & far  # the other end is the same
    with pytest.raises(BadSmiles):
        fingerprints(["C("])


def test_tanimoto_is_shared_over_all() -> None:
    a = (np.random.default_rng(0).random((5, 64)) < 0.3).astype(np.uint8)
    want = [[(x & y).sum() / (x | y).sum() for y in a] for x in a]
    np.testing.assert_allclose(tanimoto(a, a), want, rtol=1e-6)
    assert tanimoto(a[:1] * 0, a[:1] * 0)[0, 0] == 0


def test_measures() -> None:
    said = [["CCO", "OCC", "CCC(", "c1ccccc1"], ["C1CC1", "C1CC"], ["(("]]
    known = [["CCO"], ["CCCCCl"], ["C"]]
    found = judged(said, known, frozenset({molecular("C1=CC=CC=C1").identity}))
    assert found["valid"] == 4 / 7
    assert found["unique"] == np.mean([2 / 3, 1.0])  # the third target has nothing valid, and does not count
    assert found["novel"] == np.mean([1 / 2, 1.0])
    similar = tanimoto(fingerprints(["CCO"]), fingerprints(["c1ccccc1"]))[0, 0]
    assert found["nearest"] == pytest.approx(np.mean([(2 + similar) / 3, nearest_similarity(["C1CC1"], ["CCCCCl"])]))
    assert found["diversity"] == pytest.approx(np.mean([1 - (5 + 4 * similar) / 9, 0.0]))
    assert are_valid([]).shape == (0,)
    assert all(map(math.isnan, (novel_share([], frozenset()), internal_diversity([]), nearest_similarity([], ["C"]))))
    assert judged([["("]], [["C"]], frozenset())["valid"] == 0
