"""A search with a model: trees hold what was drawn, do not depend on their batch, and can be asked for more tokens."""

from __future__ import annotations

import functools
from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data import SEP
from stagejax.data.prompts.answers import PromptedText
from stagejax.data.reasoning.planned import VERBS, Form, Planned, vocabulary
from stagejax.data.reasoning.problems import Problems
from stagejax.decode.steps import FinalAnswer
from stagejax.inference import Frozen
from stagejax.inference.answering import Tempered, ask
from stagejax.inference.reasoning.rollouts import Rollouts
from stagejax.inference.reasoning.tree_search import TreeSearch, against_completions, searched, state_values, tokens_of
from stagejax.models import llama
from stagejax.models.text.critic import Critic
from stagejax.result import Result
from stagejax.state import TrainState

pytestmark = pytest.mark.slow  # half a minute, most of it compilation

WORDS = vocabulary(12)
NET = llama(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=16, length=40)
TOKEN = {word: int(WORDS.encode([word])[0][0]) for word in ("=", "0", ";")}
HOW = Tempered(FinalAnswer(TOKEN["="], TOKEN["0"]), 40, 12, ((SEP,),), 0.7)
SEARCH = TreeSearch(HOW, TOKEN[";"], Form(WORDS, "plan"), simulations=4, depth=3, at_once=4)


def of_any_form(tokens: np.ndarray, last: bool) -> bool:
    """Steps of an untrained model are of no form: here those of at most eight tokens are."""
    return len(tokens) <= 8


def prompts(size: int, batch: int) -> PromptedText:
    source = Planned(Problems(size=size, steps=(1,), largest=12, asides=1, wording=VERBS))
    return PromptedText(source=source, tokenizer=WORDS, batch=batch, length=27, field="asked")


@functools.cache
def net(config: object) -> Result:
    """Initial values, with ";" and the end more often than by chance."""
    module = config.build(nnx.Rngs(0))  # type: ignore[attr-defined]
    params, rest = nnx.to_pure_dict(nnx.state(module, nnx.Param)), take_apart(config)[3]
    if "head" in params:
        kernel = params["head"]["output"]["kernel"]
        params["head"]["output"]["kernel"] = kernel.at[:, [TOKEN[";"], SEP]].mul(8.0)
    state = TrainState(jax.numpy.zeros((), int), params, rest, (), None)
    return Result("net", "train", "net", 1, config, load=lambda: state)


@functools.cache
def trees(size: int = 6, at_once: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    search = replace(SEARCH, formed=of_any_form, at_once=at_once)
    return searched(net(NET), net(Critic(NET)), prompts(size, at_once), search, seed)


def test_nodes_continue_their_parents_and_siblings_differ() -> None:
    made = trees()
    for row, parent in enumerate(made["parent"]):
        start, end = made["start"][row], made["end"][row]
        if parent < 0:
            assert start == end == made["first"][row]
            continue
        assert parent < row
        assert start == made["end"][parent]
        np.testing.assert_array_equal(made["tokens"][row, :start], made["tokens"][parent, :start])
        assert not made["tokens"][row, end:].any()
        others = np.flatnonzero(made["parent"] == parent)
        assert len({made["tokens"][other].tobytes() for other in others}) == len(others)
        assert 0 < made["prior"][row] <= 1
    assert len(set(made["tree"].tolist())) == 6
    assert (made["parent"] >= 0).sum() > 20


def test_visits_and_values_are_those_of_simulations_and_ends() -> None:
    """N of a root: its simulations and the terminal nodes below it. Q of a leaf: V of its prefix, or its reward."""
    made = trees()
    values = ask(state_values, Frozen.of(net(Critic(NET))), {"tokens": made["tokens"], "ends": made["end"]})
    children = np.bincount(made["parent"][made["parent"] >= 0], minlength=len(made["parent"]))
    for row in range(len(made["parent"])):
        below = np.flatnonzero(made["parent"] == row)
        if made["reward"][row]:
            assert (made["visits"][row], made["value"][row]) == (1, made["reward"][row])
        elif children[row]:
            assert made["visits"][row] == 1 + made["visits"][below].sum()
            total = values[row] + (made["visits"][below] * made["value"][below]).sum()
            assert made["value"][row] == pytest.approx(total / made["visits"][row], abs=1e-5)
        else:
            assert made["visits"][row] == 0
    for tree in range(6):
        root = np.flatnonzero((made["tree"] == tree) & (made["parent"] < 0))[0]
        ends = ((made["tree"] == tree) & (made["reward"] != 0)).sum()
        assert made["visits"][root] == (made["at"] == tree).sum() + ends
        assert (made["at"] == tree).sum() <= 4


def test_answers_are_judged_and_what_has_no_form_is_a_mistake() -> None:
    made = trees()
    assert set(np.unique(made["reward"])) <= {-1.0, 0.0, 1.0}
    strict = searched(net(NET), net(Critic(NET)), prompts(2, 4), SEARCH, 0)
    ends = strict["tokens"][np.arange(len(strict["end"])), strict["end"] - 1]
    lost = (strict["parent"] >= 0) & (strict["final"] == 0) & (strict["reward"] != 0)
    assert lost.any()
    assert (strict["reward"][lost] == -1).all()
    assert (ends[strict["final"] > 0] == SEP).all()


def test_a_tree_does_not_depend_on_what_is_searched_beside_it() -> None:
    one, other = trees(), trees(at_once=3)
    for name in one:
        np.testing.assert_allclose(one[name][:20], other[name][:20], atol=1e-5) if name not in ("at", "drawn") else None
    assert tokens_of(one) == tokens_of(other)
    assert (trees(seed=1)["tokens"][:20] != one["tokens"][:20]).any()


def test_a_search_can_be_asked_for_as_many_tokens_as_another() -> None:
    drawn = {"starts": np.array([3]), "ends": np.array([3 + 2 * tokens_of(trees())])}
    least = Result("drawn", "make", "drawn", 0, value=drawn)
    search = replace(SEARCH, formed=of_any_form)
    more = searched(net(NET), net(Critic(NET)), prompts(6, 4), search, 0, least)
    assert tokens_of(more) >= 2 * tokens_of(trees())
    assert len(set(more["tree"].tolist())) > 6
    assert len(set(more["prompt"].tolist())) == 6


def test_values_are_compared_with_completions() -> None:
    made = Result("trees", "make", "trees", 0, value=trees())
    rollouts = Rollouts(HOW, TOKEN[";"], 4, 1, 8)
    found = against_completions(made, net(NET), net(Critic(NET)), rollouts, 8, 0)
    assert 0 < found["nodes"] <= 8
    assert all(-1 <= found[name] <= 1 for name in ("Q", "V"))
