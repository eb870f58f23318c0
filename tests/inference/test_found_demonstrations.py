"""Demonstrations that are found, and answers behind them: against lists of all pairs and of all sums."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data import Bytes, Stdlib
from stagejax.data.prompts.question_suites import drawn_questions, part_of
from stagejax.data.retrieval.demonstrations import Demonstrated, behind, inputs_of, pieces_of
from stagejax.data.together import Together
from stagejax.data.tokenizers import CLS
from stagejax.inference.retrieval import demonstrations
from stagejax.inference.retrieval.demonstrations import (
    at_random,
    by_words,
    choosing_flops,
    likeliest,
    nearest,
    option_logprobs,
    top,
)
from stagejax.models.t5 import T5
from stagejax.objectives.text.marginal_seq2seq import marginal_seq2seq

SUITE = drawn_questions(60)
WHO = SUITE.targets[0]
BANK = Together((part_of(WHO, 0, 0.5), part_of(SUITE.targets[1], 0, 0.5)))
RANDOM = np.random.default_rng(0)


def vectors(size: int) -> Any:
    made = {name: RANDOM.normal(size=(size, 5)).astype(np.float32) for name in ("query", "passage")}
    return SimpleNamespace(value=made)


@pytest.mark.parametrize("block", [(512, 65_536), (7, 9)])
def test_the_nearest_are_those_of_a_sorted_list_without_what_asks_the_same(block: tuple[int, int]) -> None:
    queries, passages = (RANDOM.normal(size=(n, 4)).astype(np.float32) for n in (20, 30))
    asked, bank = RANDOM.integers(0, 8, 20), RANDOM.integers(0, 8, 30)
    places, products = top(queries, passages, asked, bank, 5, block)
    for row in range(20):
        scores = queries[row] @ passages.T
        allowed = [place for place in np.argsort(-scores) if bank[place] != asked[row]]
        assert places[row].tolist() == allowed[:5]
        np.testing.assert_allclose(products[row], scores[allowed[:5]], rtol=1e-5)
    with pytest.raises(ValueError, match="fewer than 3 for some question"):
        top(queries[:1], passages[:3], np.array([1]), np.array([1, 2, 3]), 3)


def test_no_finder_finds_the_question_itself_and_all_say_so_much() -> None:
    own, other = vectors(30), vectors(30)
    asked = BANK.parts[0]
    for finder, used in ((nearest, (own, own, other)), (at_random, ()), (by_words, ())):
        found = finder(asked, BANK, 3, 20.0, *used)
        assert {name: array.shape for name, array in found.items()} == {"places": (30, 3), "scores": (30, 3)}
        assert not (inputs_of(BANK)[found["places"]] == inputs_of(asked)[:, None]).any()
        assert all(len({*row}) == 3 for row in found["places"].tolist())
        assert (np.diff(found["scores"]) <= 0).all()
    products = own.value["query"] @ np.concatenate([own.value["passage"], other.value["passage"]]).T
    found = nearest(asked, BANK, 3, 20.0, own, own, other)
    np.testing.assert_allclose(
        found["scores"][:, 0], 20 * np.take_along_axis(products, found["places"], 1)[:, 0], rtol=1e-5
    )


def test_words_in_common_are_found_first() -> None:
    def shared(found: Any) -> float:
        words = [
            ({*asked[row]["context"].split()}, {*BANK[int(p)]["context"].split()}) for row, (p,) in enumerate(found)
        ]
        return float(np.mean([len(one & other) for one, other in words]))

    asked = BANK.parts[0]
    alike, apart = (shared(finder(asked, BANK, 1, 1.0)["places"]) for finder in (by_words, at_random))
    assert alike > apart + 1


NET = T5(vocab=260, embed=16, encoder_layers=1, decoder_layers=1, heads=2, head_dim=8, mlp=32)
MODEL = NET.build(nnx.Rngs(0))
PLAIN = Demonstrated(source=WHO, tokenizer=Bytes(), learned_from=Stdlib(), batch=4, shown=60, asked=60, said=34, seed=0)
DATA = behind(PLAIN, BANK, SimpleNamespace(fingerprint="a", value=at_random(WHO, BANK, 2, 1.0)), 2)


@pytest.mark.slow
def test_options_have_the_likelihood_of_the_marginal_objective() -> None:
    batch = DATA.take_records(np.arange(4))
    first = len(pieces_of(WHO, Bytes(), Stdlib())[0].question)
    options = demonstrations._options(
        pieces_of(WHO, Bytes(), Stdlib())[0].question, Bytes().encode([f" {name}" for name in WHO.names]), 34
    )
    rows = {name: batch[name] for name in ("inputs", "mask", "scores")} | options
    found = np.asarray(jax.jit(option_logprobs, static_argnums=(0, 2))(Model(), rows, first))
    one = jax.jit(lambda batch: marginal_seq2seq(MODEL, batch, None)[1]["answer_loss"])
    for row in range(4):
        own = {name: value[row : row + 1] for name, value in batch.items()}
        total, _ = one(own)
        wanted = WHO.names.index(WHO[row]["answer"])
        np.testing.assert_allclose(found[row, wanted], -total, rtol=1e-4)
    assert choosing_flops(DATA, NET, 5) > choosing_flops(PLAIN, NET, 5) > 0


class Model:
    """The network, hashable."""

    encode, decode, logits = MODEL.encode, MODEL.decode, MODEL.logits


@pytest.mark.slow
def test_free_answers_are_greedy_under_the_mixture() -> None:
    batch = DATA.take_records(np.arange(3))
    rows = {name: batch[name] for name in ("inputs", "mask", "scores")}
    tokens, ends = jax.jit(lambda rows: likeliest(MODEL, rows, 8))(rows)
    assert tokens.shape == (3, 9)
    assert (tokens[:, 0] == CLS).all()
    inputs, mask = (jnp.asarray(batch[name]).reshape(6, -1) for name in ("inputs", "mask"))
    logits = MODEL(inputs, jnp.repeat(tokens[:, :-1], 2, axis=0), mask=mask)
    p = np.asarray(jax.nn.softmax(logits)).reshape(3, 2, 8, -1).mean(1)  # at random all scores are equal
    for row, end in enumerate(ends):
        assert tokens[row, 1:end].tolist() == p[row, : end - 1].argmax(-1).tolist()
