"""Tasks as text: what is read and asked for; encoder and decoder, and the same as one row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stagejax.data import Bytes, Stdlib
from stagejax.data.language.denoising import Denoising
from stagejax.data.language.seq2seq import OneSequence, TextToText
from stagejax.data.together import Together
from stagejax.data.tokenizers import CLS, SEP

TEXT = Stdlib(limit=50_000)
DATA = TextToText(
    source=TEXT, tokenizer=Bytes(), learned_from=TEXT, batch=4, inputs=12, outputs=10, first=7, fields=("text", "name")
)


def test_a_task_is_a_text_and_its_answer() -> None:
    batch = DATA.take(np.arange(len(TEXT)))
    records = {record["name"]: record["text"] for record in (TEXT[i] for i in range(len(TEXT)))}
    assert len(batch["inputs"]) == len(records)
    for inputs, targets, weights in zip(batch["inputs"], batch["targets"], batch["weights"], strict=True):
        length = int(weights.sum())
        said = Bytes().decode(targets[: length - 1])
        texts = [text for name, text in records.items() if name.encode()[: length - 1] == said.encode()]
        assert targets[length - 1] == SEP
        assert inputs[0] == 7
        assert inputs[1:].tolist() in [row[:11].tolist() for row in Bytes().encode(texts)]  # names may begin alike
    assert (batch["tokens"][:, 0] == CLS).all()
    assert (batch["tokens"][:, 1:] == batch["targets"][:, :-1])[batch["weights"][:, 1:] > 0].all()


def test_one_row_holds_inputs_then_targets() -> None:
    data = Denoising(source=TEXT, tokenizer=Bytes(), batch=4, inputs=64, outputs=40, length=40)
    numbers = np.arange(30)
    both, one = data.take(numbers), OneSequence(data=data).take(numbers)
    assert one["tokens"].shape == (30, 104)
    for at in range(30):
        n, m = int(both["mask"][at].sum()), int(both["weights"][at].sum())
        assert one["tokens"][at, : n + m].tolist() == [*both["inputs"][at, :n], *both["tokens"][at, :m]]
        assert not one["tokens"][at, n + m :].any()
        assert one["prefix"][at].tolist() == [True] * n + [False] * (104 - n)
        assert one["weights"][at].tolist() == [0.0] * n + [1.0] * m + [0.0] * (104 - n - m)
        assert one["targets"][at, n : n + m].tolist() == both["targets"][at, :m].tolist()
    np.testing.assert_array_equal(one["denoiser"], both["denoiser"])
    assert OneSequence(data=data).tokens == data.tokens
    causal = OneSequence(data=data, causal=True)
    assert not causal.take(numbers)["prefix"].any()
    assert set(causal.sample_spec()) == set(one)
    test = OneSequence(data=data).held_out(2)
    assert test.count == 2
    assert test.data.source.split == "test"


def test_sources_together() -> None:
    both = Together((TEXT, Stdlib(limit=100_000)))
    assert len(both) == len(TEXT) + len(both.parts[1])
    assert [both[i]["name"] for i in range(len(TEXT))] == [TEXT[i]["name"] for i in range(len(TEXT))]
    assert both[-1] == both.parts[1][len(both.parts[1]) - 1]
    assert both.digest() != Together(both.parts[::-1]).digest()
    assert replace(DATA, source=both).size() == len(both)
