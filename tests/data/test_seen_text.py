"""Criteria of one decoder by data: what is seen, what is asked, and that rows are the same wherever a run begins."""

from __future__ import annotations

import numpy as np

from stagejax.data import Bytes, CausalText, MaskedText, Stdlib
from stagejax.data.language.seen_text import SeenText

HOW = {"source": Stdlib(limit=50_000), "tokenizer": Bytes(), "batch": 4, "length": 16}
CAUSAL, MASKED = CausalText(**HOW), MaskedText(**HOW)
NUMBERS = np.arange(400)


def test_a_causal_model_sees_no_prefix_and_is_asked_for_everything() -> None:
    batch = SeenText(data=CAUSAL, form="causal").take(NUMBERS)
    assert not batch["prefix"].any()
    assert (batch["weights"] == 1).all()


def test_a_masked_model_sees_all_of_a_row_and_is_asked_for_what_was_masked() -> None:
    batch, own = SeenText(data=MASKED, form="masked").take(NUMBERS), MASKED.take(NUMBERS)
    assert batch["prefix"].all()
    for name in ("tokens", "targets", "weights"):
        np.testing.assert_array_equal(batch[name], own[name])


def test_what_is_asked_of_a_prefix_model_is_behind_what_it_sees_and_is_half_of_all() -> None:
    batch = SeenText(data=CAUSAL, form="prefix").take(NUMBERS)
    cuts = batch["prefix"].sum(1)
    np.testing.assert_array_equal(batch["prefix"], np.arange(16) < cuts[:, None])  # the beginning of a row
    np.testing.assert_array_equal(batch["weights"], np.arange(16) + 1 >= cuts[:, None])  # target t is token t + 1
    assert set(cuts.tolist()) == set(range(1, 16))
    assert abs(batch["weights"].mean() - 8.5 / 16 - 0.0) < 0.03


def test_all_forms_have_one_specification_and_cuts_follow_a_row() -> None:
    forms = [
        SeenText(data=data, form=form) for data, form in ((CAUSAL, "causal"), (CAUSAL, "prefix"), (MASKED, "masked"))
    ]
    assert forms[0].spec() == forms[1].spec() == forms[2].spec()
    whole, later = forms[1].take(NUMBERS), forms[1].take(NUMBERS[100:])
    np.testing.assert_array_equal(whole["prefix"][100:], later["prefix"])
    other = SeenText(data=CAUSAL, form="prefix", seed=1).take(NUMBERS)
    assert (whole["prefix"] != other["prefix"]).any()
