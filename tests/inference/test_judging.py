"""A judge's own critiques as pairs, verdicts in both orders, and labels for a policy's answers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from spine import go

from stagejax import Stage
from stagejax.data.prompts.answers import Answers
from stagejax.data.prompts.judging import judging_tokenizer
from stagejax.data.prompts.judging_rows import JudgeRows
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.written import BRIEF
from stagejax.data.tokenizers import SEP
from stagejax.inference.prompts import judging
from stagejax.inference.reasoning.stepwise import learned_rows
from stagejax.models import llama
from stagejax.models.text.critic import Critic
from stagejax.objectives import causal_lm
from stagejax.objectives.rewards.preference import answer_logprobs
from stagejax.optimizer import adam
from stagejax.result import Result

CODE = judging_tokenizer(12)
ROWS = JudgeRows(CODE, prompt=64, limit=4, words=14, steps=2, largest=12)
NET = llama(vocab=CODE.vocab, embed=8, layers=1, heads=2, mlp=8, length=68)
PROBLEMS = Problems(size=6, steps=(1,), largest=12, wording=BRIEF)
PAIRS = [
    {"question": PROBLEMS[i]["question"], "solution": PROBLEMS[i]["solution"], "right": PROBLEMS[i]["solution"],
     "wrong": "ans 0", "kind": "slip", "template": 0}
    for i in range(6)
]  # fmt: skip
#: Verdicts (prompts, 3), tokens of the critiques.
SAID = np.array([[0, 1, 0], [1, 1, 1], [1, -1, 1], [0, 1, 0]])
SIZES = np.array([[2, 4, 3], [2, 2, 2], [2, 2, 2], [2, 3, 5]])


def result(value: Any, name: str = "made") -> Result:
    return Result(name, "make", "a1", 1, value=value)


def drawn() -> Any:
    tokens = np.tile(np.arange(4, 72, dtype=np.int32), (4, 3, 1))
    starts = np.full((4, 3), 60)
    return result({"tokens": tokens, "starts": starts, "ends": starts + SIZES, "said": SAID})


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def pipeline(run: Any) -> Any:
        data = Answers(source=PROBLEMS, tokenizer=CODE, batch=2, length=67)
        return run.train(Stage("net", NET, causal_lm, adam(1e-2), data, 1))

    return go(tmp_path_factory.mktemp("judge"), pipeline)


@pytest.mark.slow
def test_pairs_are_of_one_prompt_right_before_wrong_and_close_in_length(net: Any) -> None:
    found = judging.hard_pairs(net, drawn(), 2.0, 0)
    assert found["prompt"].tolist() == [0, 3]  # the second prompt is always right, the third never
    assert [found[f"{side}_weights"].sum(1).tolist() for side in ("chosen", "rejected")] == [[3, 3], [4, 2]]
    assert judging.hard_pairs(net, drawn(), 1.4, 0)["prompt"].tolist() == [0]
    tokens, weights = jnp.asarray(found["chosen"]), jnp.asarray(found["chosen_weights"])
    np.testing.assert_allclose(found["chosen_reference"], answer_logprobs(net.module(), tokens, weights), rtol=1e-5)
    with pytest.raises(ValueError, match="no prompt a right and a wrong verdict"):
        judging.hard_pairs(net, drawn(), 1.1, 0)


def test_sides_change_places_with_all_that_belongs_to_them(net: Any) -> None:
    pairs = judging.hard_pairs(net, drawn(), 2.0, 0)
    swapped = [judging.sides_at_random(result(pairs), seed) for seed in range(8)]
    moved = np.array([own["chosen_reference"] != pairs["chosen_reference"] for own in swapped])
    assert 0 < moved.mean() < 1
    for own, row in zip(swapped, moved, strict=True):
        for name in ("", "_weights", "_reference"):
            for side, other in (("chosen", "rejected"), ("rejected", "chosen")):
                expected = [pairs[(other if swap else side) + name][k] for k, swap in enumerate(row)]
                np.testing.assert_array_equal(own[side + name], expected)
    made = result(judging.chosen_rows(result(pairs)))
    assert learned_rows(made, 67, 2, 0).take(np.arange(2))["weights"].sum() == 6


@pytest.mark.slow
def test_critiques_are_drawn_in_both_orders_and_the_likeliest_does_not_change(net: Any) -> None:
    asked = judging.Judging(ROWS, at_once=8)
    made = result(PAIRS)
    four = judging.critiques(net, made, asked, 4, 0)
    assert four["said"].shape == (12, 4)
    assert judging.critique_tokens(four) == (four["ends"] - four["starts"]).sum()
    again, other = (judging.critiques(net, made, asked, 4, seed) for seed in (0, 1))
    np.testing.assert_array_equal(four["tokens"], again["tokens"])
    assert (four["tokens"] != other["tokens"]).any()
    said = judging.verdicts(net, made, asked)
    assert said == judging.verdicts(net, made, judging.Judging(ROWS, at_once=5))
    assert np.array(said).shape == (6, 2)
    assert set(judging.measured(said, PAIRS)) >= {"accuracy", "consistent", "first", "slip"}


@pytest.mark.slow
def test_a_reward_model_prefers_the_same_in_both_orders(tmp_path: Any) -> None:
    made = result(PAIRS)

    def pipeline(run: Any) -> Any:
        from stagejax.data.prompts.judging_rows import answers_in_pairs
        from stagejax.objectives.rewards.policy_gradient import bradley_terry

        rows = result(answers_in_pairs(ROWS, made))
        data = judging.answer_rows(rows, 36, 2)
        return run.train(Stage("reward", Critic(NET), bradley_terry, adam(3e-2), data, 40))

    said = np.array(judging.preferences(go(tmp_path, pipeline), made, ROWS))
    assert said.tolist() == [[0, 1]] * 6  # what it learned


@pytest.mark.slow
def test_labels_of_a_judge_a_verifier_and_a_coin(net: Any) -> None:
    texts = ["2 + 3 = 5 ; ans 5", "2 + 3 = 6 ; ans 6", "ans 5", "ans 5"]
    tokens = np.zeros((8, 40), np.int32)
    ends = np.zeros(8, int)
    for row, text in enumerate(texts * 2):
        ids = np.append(CODE.encode([text])[0], SEP)
        tokens[row, : len(ids)], ends[row] = ids, len(ids)
    told = {"prompt": np.repeat([0, 1], 4), "tokens": tokens, "starts": np.zeros(8, int), "ends": ends}
    answers = result(told | {"right": np.array([1, 0, 1, 1, 0, 0, 1, 1.0])})
    made = result(judging.own_pairs(answers, PROBLEMS, ROWS))
    assert [pair["good"] for pair in made.value] == [[True, False], [False, False]]  # the equal answers give none
    truth = judging.by_verifier(made)
    assert truth == [0, -1]
    coin = result(judging.at_random(made, 0), "coin")
    assert judging.agreement(made, result([0, 1])) == {"labelled": 1.0, "right": 1.0}
    assert judging.agreement(made, result([1, -1])) == {"labelled": 0.5, "right": 0.0}
    rows = judging.preferred_rows(net, made, coin, ROWS)
    assert [CODE.decode(row[w]) for row, w in zip(rows["chosen"][:, 1:], rows["chosen_weights"] > 0, strict=True)] == [
        made.value[k][("right", "wrong")[best]] for k, best in enumerate(coin.value)
    ]
    labels = judging.by_judge(made, net, judging.Judging(ROWS, 4))
    assert set(labels) <= {-1, 0, 1}
    with pytest.raises(ValueError, match="labels none of 2 pairs"):
        judging.preferred_rows(net, made, result([-1, -1], "none"), ROWS)
