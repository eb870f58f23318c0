"""A search over fragments with a model: chains hold what was drawn, W is what was rewarded, batches change nothing."""

from __future__ import annotations

import functools
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data import SEP
from stagejax.data.prompts.graded_calls import CUTS, graded
from stagejax.data.prompts.tool_calls import GOLD, GRADE, GRADES, SAID, ToolCalls, tool_words
from stagejax.data.prompts.tool_prompts import GoldPrompts
from stagejax.data.tokenizers import CLS, SPECIAL
from stagejax.decode.calls import SameCalls
from stagejax.inference.answering import Tempered
from stagejax.inference.reasoning.fragment_search import FragmentSearch, Grading, searched, tokens_of
from stagejax.models import llama
from stagejax.result import Result
from stagejax.search.fragments import fast_reward, judged_reward
from stagejax.state import TrainState

WORDS = tool_words()
NET = llama(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=16, length=72)
HOW = Tempered(SameCalls(WORDS.decode), 72, 12, ((SEP,),), 0.0)
SOURCE = ToolCalls(size=8)
CLOSING = tuple(int(WORDS.encode([word])[0][0]) for word in ")]")
slow = pytest.mark.slow  # most of it compilation


def tokens(*words: str) -> tuple[int, ...]:
    return tuple(int(WORDS.encode([word])[0][0]) for word in words)


def graded_tokens(said: np.ndarray, gold: np.ndarray) -> int:
    return graded(WORDS.decode(said), WORDS.decode(gold))


GRADING = Grading(tokens(GOLD, SAID, GRADE), tokens(*GRADES), graded_tokens, 80)  # type: ignore[arg-type]
SEARCH = FragmentSearch(HOW, tokens(*CUTS), CLOSING, GRADING, at_once=3)


@functools.cache
def net() -> Result:
    """Initial values, with separators and the end more often than by chance."""
    module = NET.build(nnx.Rngs(0))
    params, rest = nnx.to_pure_dict(nnx.state(module, nnx.Param)), take_apart(NET)[3]
    kernel = params["head"]["output"]["kernel"]
    params["head"]["output"]["kernel"] = kernel.at[:, jnp.array([*tokens(*CUTS), SEP])].mul(6.0)
    state = TrainState(jnp.zeros((), int), params, rest, (), None)
    return Result("net", "train", "net", 1, NET, load=lambda: state)


@functools.cache
def trees(at_once: int = 3, seed: int = 0, judge: str = "policy", whole: bool = False) -> dict[str, np.ndarray]:
    data = GoldPrompts(source=SOURCE, tokenizer=WORDS, batch=3, length=53, limit=27, beside=("number",))
    chosen = Result("chosen", "make", "chosen", 0, value={"records": np.array([1, 2, 5, 7])})
    search = replace(SEARCH, at_once=at_once, judge=judge, whole=whole)
    return searched(net(), data, chosen, search, seed)


def own_reward(made: dict[str, np.ndarray], row: int) -> float:
    """The fast reward of a node's fragment."""
    record = (1, 2, 5, 7)[int(made["tree"][row])]
    gold = WORDS.encode([SOURCE[record]["solution"]])[0]
    said = made["tokens"][row, made["start"][row] : made["end"][row]]
    return fast_reward(said[said >= SPECIAL], gold, CLOSING)


@slow
def test_nodes_continue_their_parents_and_end_behind_separators() -> None:
    made, cuts = trees(), tokens(*CUTS)
    assert (made["parent"] >= 0).sum() > 30
    for row, parent in enumerate(made["parent"]):
        start, end = made["start"][row], made["end"][row]
        if parent < 0:
            assert start == end == made["first"][row]
            continue
        assert parent < row
        assert start == made["end"][parent]
        assert end <= made["first"][row] + HOW.limit
        np.testing.assert_array_equal(made["tokens"][row, :start], made["tokens"][parent, :start])
        assert (made["tokens"][row, end - 1] == SEP) == bool(made["closed"][row])
        if (made["parent"] == row).any():
            assert made["tokens"][row, end - 1] in cuts
        assert 0 < made["prior"][row] <= 1
    depth = np.zeros(len(made["parent"]), int)
    for row, parent in enumerate(made["parent"]):
        depth[row] = 0 if parent < 0 else depth[parent] + 1
    assert depth.max() == SEARCH.depth + 1


@slow
def test_w_is_the_fast_reward_and_what_was_backed_up() -> None:
    silent, made = trees(judge="none"), trees(judge="verifier")
    inner = np.flatnonzero(silent["parent"] >= 0)
    assert [silent["total"][row] for row in inner] == pytest.approx([own_reward(silent, row) for row in inner])
    roots = made["parent"] < 0
    backed = judged_reward(np.eye(4)[made["graded"]])
    assert made["total"][roots].sum() == pytest.approx(backed.sum())
    assert made["visits"][roots].sum() == len(backed) <= 4 * SEARCH.simulations
    unseen = inner[made["visits"][inner] == 0]
    assert [made["total"][row] for row in unseen] == pytest.approx([own_reward(made, row) for row in unseen])


@slow
def test_the_judge_is_the_policy_and_the_program_is_beside_it() -> None:
    made = trees()
    assert made["grades"].shape == (len(made["graded"]), 4)
    assert ((made["grades"] > 0) & (made["grades"] < 1)).all()
    roots = made["parent"] < 0
    assert made["total"][roots].sum() == pytest.approx(judged_reward(made["grades"]).sum(), rel=1e-5)


@slow
def test_a_tree_does_not_depend_on_its_batch() -> None:
    first, second = trees(), trees(at_once=4)
    np.testing.assert_array_equal(first["tokens"], second["tokens"])
    assert tokens_of(first) == tokens_of(second) > 0
    assert (trees(seed=1)["tokens"][:20] != first["tokens"][:20]).any()


@slow
def test_whole_responses_are_children_of_the_prompt_and_each_is_judged() -> None:
    made = trees(whole=True)
    inner = made["parent"] >= 0
    assert (made["parent"][~inner] == -1).all()
    assert inner.sum() == 4 * SEARCH.simulations * SEARCH.samples == len(made["graded"])
    assert (made["visits"][inner] == 1).all()
    assert (made["start"] == made["first"]).all()


def test_the_judge_reads_both_responses_between_its_marks() -> None:
    said, gold = np.array(tokens("[", "find")), np.array(tokens("no", "tool", "fits", "."))
    rows = GRADING.rows([said, said[:0]], [gold, gold])
    assert WORDS.decode(rows["tokens"][0]) == "right no tool fits . said [ find grade"
    assert rows["tokens"][0, 0] == CLS
    assert rows["ends"].tolist() == [10, 8]


def test_an_unknown_judge_is_refused() -> None:
    with pytest.raises(ValueError, match="judge='coin' is unknown"):
        replace(SEARCH, judge="coin")
