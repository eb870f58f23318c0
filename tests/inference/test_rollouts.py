"""Q by completions: of a model whose success is known, cached by prefix, terminal at the end; and pairs cut by it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spine import go

from stagejax import Stage
from stagejax.data.prompts.answers import Answers, PromptedText
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.written import BRIEF, Written, words_of
from stagejax.decode.steps import FinalAnswer
from stagejax.inference import Frozen
from stagejax.inference.answering import Answering
from stagejax.inference.reasoning import stepwise
from stagejax.inference.reasoning.rollouts import (
    Rollouts,
    WrongAnswers,
    answer_by_answer,
    completed,
    drawn_answers,
    drawn_tokens,
    rollout_tokens,
    step_values,
)
from stagejax.models import llama
from stagejax.objectives import causal_lm
from stagejax.objectives.rewards.preference import answer_logprobs
from stagejax.optimizer import adam

PROBLEMS = Problems(size=12, steps=(1,), largest=6, asides=1, wording=BRIEF)
WORDS = words_of((BRIEF,), 6)
LENGTH = 30
TOKEN = {word: int(WORDS.encode([word])[0][0]) for word in ("ans", "0", ";")}
NET = llama(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=16, length=LENGTH)
DATA = Answers(source=Written(PROBLEMS), tokenizer=WORDS, batch=12, length=LENGTH - 1)
PROMPTS = PromptedText(source=PROBLEMS, tokenizer=WORDS, batch=6, length=18, beside=("answer", "steps"))


def often(samples: Any, batch: Any) -> Any:
    """A made-up rule: an answer of an even number of tokens is right, be its first ones given or drawn."""
    starts = batch["starts"][:, None] if "starts" in batch else samples.starts_BN
    return jnp.asarray((samples.ends_BN - starts) % 2 == 0, jnp.float32)


HOW = Answering(often, LENGTH, 12, ((2,), (TOKEN["ans"],)))
ROLLED = Rollouts(HOW, TOKEN[";"], n=6, best_of=2, at_once=16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    def pipeline(run: Any) -> dict[str, Any]:
        net = run.train(Stage("net", NET, causal_lm, adam(1e-2), DATA, 30))
        drawn = run.make("drawn", drawn_answers, net, PROMPTS, HOW, 4, 0, sampled_tokens=drawn_tokens)
        which = WrongAnswers(2)
        values = run.make("values", step_values, net, drawn, which, ROLLED, 0, sampled_tokens=rollout_tokens)
        cuts = {"pit": stepwise.pit, "whole": stepwise.whole, "anywhere": stepwise.anywhere}
        pairs = {
            name: run.make(name, stepwise.cut_pairs, DATA, cut, net, drawn, values, 0) for name, cut in cuts.items()
        }
        return {"net": net, "drawn": drawn, "values": values, **pairs}

    return go(tmp_path_factory.mktemp("rollouts"), pipeline)


@pytest.mark.slow
def test_answers_of_a_prompt_stand_together(made: dict[str, Any]) -> None:
    told = made["drawn"].value
    assert told["tokens"].shape == (48, LENGTH)
    assert sorted(told["prompt"][::4].tolist()) == list(range(12))
    assert (told["prompt"].reshape(12, 4) == told["prompt"][::4, None]).all()
    assert told["answer"][::4].tolist() == [PROBLEMS[i]["answer"] for i in told["prompt"][::4].tolist()]
    np.testing.assert_array_equal(told["right"], (told["ends"] - told["starts"]) % 2 == 0)
    assert made["drawn"].cost.sampled_tokens == (told["ends"] - told["starts"]).sum()


@pytest.mark.slow
def test_fewer_prompts_are_the_first_ones_under_the_same_numbers(made: dict[str, Any]) -> None:
    few = drawn_answers(made["net"], PROMPTS, HOW, 4, 0, 8)
    for name, whole in made["drawn"].value.items():
        np.testing.assert_array_equal(few[name], whole[: 8 * 4])


@pytest.mark.slow
def test_values_are_successes_of_completions_and_the_whole_answer_is_its_verdict(made: dict[str, Any]) -> None:
    told, values = made["drawn"].value, made["values"].value
    assert made["values"].cost.sampled_tokens == values["drawn"].sum() > 0
    last = values["end"] == told["ends"][values["row"]]
    assert (values["value"][last] == 0).all()  # all of them are wrong
    assert (values["right"][last] == -1).all()
    inner = values["right"][~last]
    assert inner.min() >= 0
    expected = [1 - (6 - c) * (5 - c) / 30 if c < 5 else 1.0 for c in inner]
    np.testing.assert_allclose(values["value"][~last], expected)
    assert len(set(values["row"].tolist())) == len(WrongAnswers(2)(told))


def test_equal_prefixes_are_completed_once_and_alike(made: dict[str, Any]) -> None:
    told, values = made["drawn"].value, made["values"].value
    inner = values["right"] >= 0
    prefixes = [
        tuple(told["tokens"][row][:end]) for row, end in zip(values["row"][inner], values["end"][inner], strict=True)
    ]
    assert len(values["drawn"]) == len(set(prefixes))
    counts: dict[Any, set[int]] = {}
    for prefix, count in zip(prefixes, values["right"][inner].tolist(), strict=True):
        counts.setdefault(prefix, set()).add(count)
    assert all(len(own) == 1 for own in counts.values())
    more = step_values(made["net"], made["drawn"], WrongAnswers(4), ROLLED, 0)  # with other prefixes beside them
    found = {(row, end): c for row, end, c in zip(more["row"], more["end"], more["right"], strict=True)}
    for row, end, count in zip(values["row"], values["end"], values["right"], strict=True):
        assert found[row, end] == count


def ends_even(samples: Any, batch: Any) -> Any:
    """Whether the last token is an even one."""
    last = jnp.take_along_axis(samples.tokens_BNS, samples.ends_BN[..., None] - 1, axis=-1)[..., 0]
    return jnp.asarray(last % 2 == 0, jnp.float32)


@pytest.mark.slow
def test_completions_succeed_as_often_as_the_model_says(made: dict[str, Any]) -> None:
    """With room for one token more, p is the probability of the even ones."""
    net, told = made["net"], made["drawn"].value
    rolled = Rollouts(Answering(ends_even, LENGTH, 3), TOKEN[";"], n=1024, best_of=5, at_once=4)
    starts = told["starts"][:20:4]
    prefixes = np.where(np.arange(LENGTH) < starts[:, None] + 2, told["tokens"][:20:4], 0)
    right, drawn = completed(Frozen.of(net), prefixes, starts + 2, {"starts": starts}, rolled, 0)
    chances = jax.nn.softmax(net.module()(jnp.asarray(prefixes)))[np.arange(5), starts + 1]
    np.testing.assert_allclose(right / 1024, chances[:, ::2].sum(-1), atol=0.06)  # four deviations
    assert (drawn == 1024).all()


def test_values_are_those_of_the_best_of_several() -> None:
    assert ROLLED.value(0) == 0
    assert ROLLED.value(6) == 1
    assert Rollouts(HOW, 3, n=8, best_of=5).value(1) == pytest.approx(5 / 8)
    with pytest.raises(ValueError, match="raise `n`"):
        Rollouts(HOW, 3, n=4, best_of=5)


def test_pairs_differ_only_in_where_the_wrong_answer_ends(made: dict[str, Any]) -> None:
    told, values = made["drawn"].value, made["values"].value
    pits, wholes = made["pit"].value, made["whole"].value
    np.testing.assert_array_equal(pits["chosen"], wholes["chosen"])
    rows = list(answer_by_answer(values))
    assert len(rows) == len(pits["rejected"]) == len(made["anywhere"].value["rejected"])
    for k, (row, ends, q) in enumerate(rows):
        start = told["starts"][row]
        for pairs, end in ((pits, ends[np.flatnonzero(q == q.min())[0]]), (wholes, told["ends"][row])):
            assert pairs["rejected_weights"][k].sum() == end - start
            np.testing.assert_array_equal(pairs["rejected"][k][:end], told["tokens"][row][:end])
            assert not pairs["rejected"][k][end:].any()
        chosen = pits["chosen"][k]
        np.testing.assert_array_equal(chosen[:start], told["tokens"][row][:start])  # one prompt
        same = (told["tokens"] == chosen).all(1)
        solution = stepwise.solutions(DATA)[0][told["prompt"][row]]
        rights = told["right"][told["prompt"] == told["prompt"][row]]
        assert told["right"][same].all() if rights.any() else (chosen == solution).all()


@pytest.mark.slow
def test_the_reference_is_the_model_that_answered(made: dict[str, Any]) -> None:
    net, pairs = made["net"].module(), made["pit"].value
    for side in ("chosen", "rejected"):
        expected = answer_logprobs(net, jnp.asarray(pairs[side]), pairs[f"{side}_weights"])
        np.testing.assert_allclose(pairs[f"{side}_reference"], expected, rtol=1e-4)


def test_positives_are_solutions_and_right_answers(made: dict[str, Any]) -> None:
    told = made["drawn"].value
    every, few = (stepwise.positives(DATA, most, made["drawn"]) for most in (None, 1))
    right = int(told["right"].sum())
    assert len(every["tokens"]) == 12 + right
    solved = {int(prompt) for prompt, good in zip(told["prompt"], told["right"], strict=True) if good}
    assert len(few["tokens"]) == 12 + len(solved)
    rows = np.concatenate([every["tokens"], every["targets"][:, -1:]], axis=1)
    assert all((told["tokens"][told["right"] > 0] == row).all(1).any() for row in rows[12:])
    record = Written(PROBLEMS)[3]
    text = WORDS.decode(rows[3])
    assert text == f"{record['question']} {record['solution']}"
    assert every["weights"][3].sum() == len(record["solution"].split()) + 1


def test_pits_and_their_advantages(made: dict[str, Any]) -> None:
    told, values = made["drawn"].value, made["values"].value
    places, costs = stepwise.pits(told, values, 2)
    for place, cost, (row, _, q) in zip(places, costs, answer_by_answer(values), strict=True):
        good = told["right"][told["prompt"] == told["prompt"][row]].sum()
        before = q[place - 1] if place else 1 - (4 - good) * (3 - good) / 12
        assert cost == pytest.approx(q[place] - before)


def test_final_answers_of_drawn_samples() -> None:
    rule = FinalAnswer(TOKEN["ans"], TOKEN["0"])
    assert WORDS.decode([rule.zero + 5]) == "5"
