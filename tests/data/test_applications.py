"""Applications: nothing that is tested or chosen by is trained on, in pre-training or after it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from stagejax.data import Bytes
from stagejax.data.tasks.applications import captions, made_up, understanding, unlabelled

real = pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")


def test_translation_reads_a_pair_as_two_rows_or_as_one() -> None:
    _, own, text = made_up()
    how = {"tokenizer": Bytes(), "learned_from": text}
    two, prefix, causal = (
        own.batches(own.train, form, **how).take(np.arange(4)) for form in ("pairs", "prefix", "causal")
    )
    assert two["inputs"].shape == (4, 12)
    assert prefix["tokens"].shape == causal["tokens"].shape == (4, 24)
    assert prefix["prefix"].sum() == two["mask"].sum()
    assert not causal["prefix"].any()


@real
@pytest.mark.slow
def test_parts_of_a_task_share_no_text() -> None:
    for task in understanding():
        parts = [{str(source[i][task.fields[0]]) for i in range(len(source))} for source in (task.dev, task.test)]
        train = {str(task.train[i][task.fields[0]]) for i in range(len(task.train))}
        for held in parts:
            assert len(held & train) <= 0.03 * len(held)  # short sentences that the datasets themselves repeat


@real
@pytest.mark.slow
def test_pre_training_reads_no_pair_and_no_caption_that_is_held_out() -> None:
    text, own = unlabelled(), captions()
    known = {text[i]["text"] for i in range(len(text))}
    pairs = [own.train[i] for i in range(len(own.train))]
    assert sum(pair["en"] in known and pair["de"] in known for pair in pairs) <= 0.03 * len(pairs)
    for source in (own.dev, own.test):
        for field in own.fields:
            said = [source[i][field] for i in range(len(source))]
            assert sum(one in known for one in said) <= 0.03 * len(said)
