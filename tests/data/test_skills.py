"""Puzzles have the right answers and disjoint splits; rounds take each sample once; weights are their closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagejax.data.reasoning.skills import Lego, Sums
from stagejax.data.selection.rounds import Pool, Round, linear_pool, log_pool
from stagejax.data.selection.weights import ExponentialWeights, FixedWeights, counts_of, linear_skill_graph, skill_graph

MANY = np.arange(200)
PARTS = tuple(Lego(skill=i, clauses=3, batch=4, length=19) for i in range(3))
losses = st.lists(st.lists(st.floats(0, 5), min_size=3, max_size=3), max_size=6)


def texts(data: Lego | Sums, numbers: np.ndarray = MANY) -> list[str]:
    return [data.tokenizer().decode(row) for row in data.drawn(numbers)]


@pytest.mark.parametrize("skill", [0, 3])
def test_a_chain_is_solved_by_following_it(skill: int) -> None:
    asked_for = set()
    for text in texts(Lego(skill=skill, batch=4)):
        chain, question = text.split(" ? ")
        clauses = dict(clause.strip().split(" = ") for clause in chain.strip(" ,").split(","))
        name, said = question.split(" = val ")
        depth, flips = 0, 0
        while (right := clauses[name].split())[1] not in "01":
            depth, flips, name = depth + 1, flips + (right[0] == "not"), right[1]
        assert (depth, int(said)) == (skill, (int(right[1]) + flips) % 2)
        asked_for.add(said)
    assert asked_for == {"0", "1"}


@pytest.mark.parametrize("skill", [0, 1, 2])
def test_a_digit_is_that_of_the_sum(skill: int) -> None:
    for text in texts(Sums(skill=skill, batch=4)):
        one, two = (int(part.replace(" ", "")) for part in text.split(" ,")[0].removeprefix("A = ").split(" + "))
        assert text.endswith(f"A {skill} ? {str(one + two).zfill(4)[::-1][skill]}")


@pytest.mark.parametrize("data", [Lego(clauses=1, batch=4), Sums(batch=4)])
def test_no_puzzle_is_in_both_splits(data: Lego | Sums) -> None:
    def puzzles(one: Lego | Sums) -> set[str]:  # without the question
        return {text.rpartition(",")[0] for text in texts(one)}

    assert not puzzles(data) & puzzles(data.held_out(1))


def test_every_word_counts_in_training_and_the_answer_alone_in_tests() -> None:
    data = replace(PARTS[2], length=22)  # padded by three
    assert (data.take(MANY)["weights"] == [1] * 19 + [0] * 3).all()
    batch = data.held_out(1).take(MANY)
    assert (batch["weights"].sum(1) == 1).all()
    answers = batch["targets"][batch["weights"] == 1]
    assert set(data.tokenizer().decode(answers).split()) == {"0", "1"}
    with pytest.raises(ValueError, match="length=19"):
        Lego(clauses=3, batch=4, length=18).take(MANY)


def test_a_round_takes_each_sample_once_and_the_next_one_goes_on() -> None:
    def taken(data: Round) -> list[bytes]:
        batch = data.take(np.arange(data.size()))
        assert np.bincount(batch["skill"], minlength=3).tolist() == list(data.counts)
        return [row.tobytes() for row in batch["tokens"]]

    first = Round(parts=PARTS, counts=(3, 0, 5), batch=4)
    second = Round(parts=PARTS, counts=(5, 7, 0), starts=first.counts, batch=4)
    alone = [
        row.tobytes() for part, n in zip(PARTS, (8, 7, 5), strict=True) for row in part.take(np.arange(n))["tokens"]
    ]
    assert sorted(taken(first) + taken(second)) == sorted(alone)
    assert first.spec() == second.spec()
    whole = [batch["tokens"] for batch in first.batches()]
    np.testing.assert_array_equal(whole[1], next(first.batches({"step": 1}))["tokens"])
    with pytest.raises(ValueError, match="multiple of 4"):
        Round(parts=PARTS, counts=(3, 0, 4), batch=4)


def test_a_pool_draws_from_the_beginning_of_its_ranking() -> None:
    data = Round(parts=PARTS, counts=(8, 8, 8), batch=4)
    pool = Pool(data=data, limit=6, of="", ranking=np.arange(24)[::-1], count=2)
    assert set(pool.drawn(MANY)) == {18, 19, 20, 21, 22, 23}
    np.testing.assert_array_equal(pool.take(MANY)["tokens"], data.take(pool.drawn(MANY))["tokens"])
    sizes = [[pace(u, 6, 600) for u in range(1, 7)] for pace in (linear_pool, log_pool)]
    assert sizes[0] == [100, 200, 300, 400, 500, 600]
    assert all(np.diff(sizes[1]) >= 0)
    assert sizes[1][0] > 400  # opens fast
    assert sizes[1][-1] == 600


@given(losses, st.floats(0.05, 1), st.integers(1, 4))
def test_weights_are_the_closed_form_over_the_window(seen: list[list[float]], eta: float, window: int) -> None:
    graph = ((1.0, 0.5, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5, 1.0))
    state = ExponentialWeights(graph=graph, eta=eta, window=window, prior=(1.0, 2.0, 3.0))
    for one in seen:
        state = state.observe(one)
    total = np.sum(seen[-window:], 0) if seen else np.ones(3)  # ones, once, before the first
    expected = np.array([1.0, 2.0, 3.0]) * np.exp(eta * np.array(graph) @ total)
    np.testing.assert_allclose(state.p, expected / expected.sum(), rtol=1e-9)
    assert len(state.seen) <= window  # not compounded: what left the window left no trace


@given(losses)
def test_without_a_graph_weights_follow_the_losses_and_with_a_full_one_nothing(seen: list[list[float]]) -> None:
    own, all_ones = ExponentialWeights(graph=tuple(map(tuple, np.eye(3)))), ExponentialWeights(graph=((1.0,) * 3,) * 3)
    for one in seen:
        own, all_ones = own.observe(one), all_ones.observe(one)
    np.testing.assert_allclose(all_ones.p, 1 / 3)
    sums = np.sum(seen[-3:], 0) if seen else np.zeros(3)
    np.testing.assert_allclose(np.log(own.p) - np.log(own.p[0]), 0.5 * (sums - sums[0]), atol=1e-9)


def test_the_mixture_moves_towards_what_influences_the_unlearned() -> None:
    graph = ((1.0, 0.0, 0.5), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    state = ExponentialWeights(graph=graph, window=1).observe([0.0, 0.0, 2.0])
    assert state.p[2] > state.p[0] > state.p[1]  # 2 is not learned, and 0 is its prerequisite
    options = {"graph": graph, "window": 2}
    means = ExponentialWeights(**options, mean=True).observe([1.0, 2.0, 3.0]).observe([1.0, 2.0, 3.0])
    np.testing.assert_allclose(means.p, ExponentialWeights(**options).observe([1.0, 2.0, 3.0]).p)
    relative = ExponentialWeights(graph=tuple(map(tuple, np.eye(3))), relative=True).observe([4.0, 2.0, 1.0])
    np.testing.assert_allclose(relative.p, 1 / 3)
    with pytest.raises(ValueError, match="3 evaluation skills"):
        state.observe([1.0, 2.0])


def test_counts_and_graphs() -> None:
    assert counts_of((1 / 3,) * 3, 100) == (33, 33, 34)
    assert counts_of(FixedWeights((1, 1, 2)).p, 8) == (2, 2, 4)
    paired = np.array([[9.0, 0.4, 0.1], [0.9, 9.0, 0.3], [1.1, 0.5, 9.0]])
    assert skill_graph(np.array([1.0, 0.5, 0.2]), paired) == ((1, 0.5, 0.5), (0.5, 1, 0), (0, 0, 1))
    assert linear_skill_graph(np.array([1.0, 1.0]), np.array([[0.5, 1.5], [0.75, 1.0]])) == ((0.5, 0.0), (0.25, 0.0))
