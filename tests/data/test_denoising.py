"""Denoising: spans by T5's composition, nothing lost, budgets kept, the same row wherever a run begins."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from stagejax.data import Bytes, Stdlib
from stagejax.data.language.denoising import CAUSAL, MODES, PREFIX, T5, UL2, Denoiser, Denoising, composition
from stagejax.data.order import random_words
from stagejax.data.tokenizers import CLS, SEP

DATA = Denoising(source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=4, inputs=64, outputs=40)
VOCAB = Bytes().vocab


def put_back(inputs: np.ndarray, target: np.ndarray) -> list[int]:
    """The text again: every sentinel of the input replaced by its span."""
    spans: dict[int, list[int]] = {}
    for token in target[:-1].tolist():
        if token >= VOCAB:
            mark = token
            spans[mark] = []
        else:
            spans[mark].append(token)
    return [x for token in inputs[1:].tolist() for x in (spans[token] if token >= VOCAB else [token])]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(UL2), st.integers(8, 90), st.integers(0, 10**6))
def test_nothing_is_lost_and_spans_are_as_many_and_as_long_as_asked(denoiser: Denoiser, length: int, n: int) -> None:
    ids = (np.arange(length) % 250 + 4).astype(np.int32)
    inputs, target = DATA.denoised(ids, denoiser, n)
    corrupted, count = denoiser.spans(length)
    assert (len(inputs), len(target)) == denoiser.sizes(length)
    assert target[-1] == SEP
    assert inputs[0] == VOCAB + DATA.sentinels + MODES.index(denoiser.mode)
    if denoiser.mode == "S":
        assert [*inputs[1:], *target[:-1]] == ids.tolist()
        assert len(target) == corrupted + 1 == round(0.25 * length) + 1
    else:
        assert put_back(inputs, target) == ids.tolist()
        marks = [token for token in target if token >= VOCAB]
        assert marks == list(range(VOCAB, VOCAB + count))
        assert inputs[1] < VOCAB  # a clean part comes first


def test_all_compositions_are_equally_likely() -> None:
    words = random_words(0, np.arange(6000), 5)
    found = [tuple(composition(6, 3, row)) for row in words]
    kinds, counts = np.unique(found, axis=0, return_counts=True)
    assert len(kinds) == 10  # of 6 into 3 positive parts
    assert (kinds.sum(1) == 6).all()
    assert abs(counts - 600).max() < 100


@pytest.mark.parametrize("denoisers", [UL2, T5, CAUSAL])
def test_rows_fill_their_budgets_and_no_more(denoisers: tuple[Denoiser, ...]) -> None:
    data = replace(DATA, denoisers=denoisers)
    batch = data.take(np.arange(50))
    for at, which in enumerate(batch["denoiser"]):
        length = data.length_of(denoisers[which])
        sizes = denoisers[which].sizes(length)
        assert (batch["mask"][at].sum(), batch["weights"][at].sum()) == sizes
        assert sizes[0] <= 64
        assert sizes[1] <= 40
        longer = denoisers[which].sizes(length + 1)
        assert longer[0] > 64 or longer[1] > 40
    assert set(batch["denoiser"]) == set(range(len(denoisers)))
    assert batch["targets"].max() < data.vocab
    np.testing.assert_array_equal(batch["tokens"][:, 1:] * batch["weights"][:, 1:], (
        batch["targets"][:, :-1] * batch["weights"][:, 1:]
    ))  # fmt: skip
    assert (batch["tokens"][:, 0] == CLS).all()


def test_a_row_is_a_function_of_its_number() -> None:
    whole = DATA.take(np.arange(20))
    for name, x in DATA.take(np.arange(20)[::-3]).items():
        np.testing.assert_array_equal(x, whole[name][::-3])
    with DATA.batches({"step": 3}) as batches:
        np.testing.assert_array_equal(next(batches)["inputs"], DATA.take(np.arange(12, 16))["inputs"])
    again = DATA.take(np.arange(20) + DATA.size())  # the next epoch: other spans
    assert not np.array_equal(again["inputs"], whole["inputs"])


def test_the_cut_of_a_prefix_language_model_is_anywhere_and_equally_likely() -> None:
    data = replace(DATA, denoisers=PREFIX, length=40, mode_tokens=False)
    batch = data.take(np.arange(1500))
    length = data.length_of(PREFIX[0])
    assert length == 40  # a target of 1 to 39 tokens and SEP fits into 40
    prefixes, targets = batch["mask"].sum(1) - 1, batch["weights"].sum(1) - 1
    assert (prefixes + targets == length).all()
    assert set(targets.tolist()) == set(range(1, length))
    assert abs(targets.mean() - length / 2) < 1
    at = int(np.argmax(targets))
    row = [*batch["inputs"][at, 1 : 1 + int(prefixes[at])], *batch["targets"][at, : int(targets[at])]]
    same = replace(DATA, denoisers=CAUSAL, inputs=2, outputs=length, seed=0).take(np.array([at]))
    assert len(row) == length
    assert [same["inputs"][0, 1], *same["targets"][0, : length - 1]] == row  # the same text, all but one token asked


@pytest.mark.slow
def test_tokens_are_those_of_inputs_and_targets_without_padding() -> None:
    for denoisers in (UL2, T5, PREFIX, CAUSAL):
        data = replace(DATA, denoisers=denoisers, length=32)
        batch = data.take(np.arange(2000))
        assert all(data.length_of(denoiser) == 32 for denoiser in denoisers)
        filled = (batch["mask"].sum() + batch["weights"].sum()) / 2000 * data.batch
        assert data.tokens == pytest.approx(filled, rel=0.01)
    assert replace(DATA, denoisers=CAUSAL, length=32).tokens == DATA.batch * 34


def test_shares_and_modes() -> None:
    data = replace(DATA, shares=(0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0), mode_tokens=False)
    batch = data.take(np.arange(400))
    assert set(batch["denoiser"]) == {2, 5}
    assert abs((batch["denoiser"] == 2).mean() - 0.5) < 0.1
    assert (batch["inputs"][:, 0] == CLS).all()
    assert DATA.first("S") == VOCAB + DATA.sentinels + 1


def test_what_cannot_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="too short for Denoiser"):
        replace(DATA, outputs=2)
    with pytest.raises(ValueError, match="2 shares of 7 denoisers"):
        replace(DATA, shares=(1.0, 2.0))
