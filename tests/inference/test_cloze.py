"""Each family is asked for a word in the form that its pre-training has."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data import CLS, MASK, SEP
from stagejax.inference.tasks.cloze import Form, cloze_rows

PATTERN = np.array([21, 22]), np.array([23])
TEXTS = [np.array([11, 12]), np.arange(11, 20), np.zeros(0, int)]


@pytest.mark.parametrize("form", ["causal", "prefix", "masked", "spans"])
def test_the_word_is_asked_for_where_the_form_has_it(form: Form) -> None:
    rows = cloze_rows(TEXTS, PATTERN, form, sentinel=99, length=10)
    for tokens, place, said in zip(rows["tokens"], rows["place"], rows["said"], strict=True):
        real = tokens[tokens > 0].tolist()
        if form in ("causal", "prefix"):
            assert (real[0], real[-2:], place) == (SEP, [21, 22], len(real) - 1)
        elif form == "masked":
            assert (real[0], real[-5:], tokens[place]) == (CLS, [21, 22, MASK, 23, SEP], MASK)
        else:
            assert (real[0], real[-4:], place, said.tolist()) == (CLS, [21, 22, 99, 23], 1, [CLS, 99])
    assert rows["prefix"].any() == (form != "causal")


def test_a_long_text_loses_its_beginning_and_no_text_is_the_pattern_alone() -> None:
    rows = cloze_rows(TEXTS, PATTERN, "causal", sentinel=99, length=10)
    assert rows["tokens"][1].tolist() == [SEP, *range(13, 20), 21, 22]
    assert rows["tokens"][2].tolist() == [SEP, 21, 22, *[0] * 7]
