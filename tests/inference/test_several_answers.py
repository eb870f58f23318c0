"""Several answers of a model: mixed pairs, noisy labels, prompts by variance of scores, wins, in closed forms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.data.prompts.made_prompts import InOrder
from stagejax.decode import Samples
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts import own_answers as own
from stagejax.result import Result

N, S, Q = 4, 10, 6
RNG = np.random.default_rng(0)


def drawn(right: Any = None) -> Any:
    """Answers of one to four tokens behind prompts of three; their first token tells how good a judge finds them."""
    tokens = np.zeros((Q * N, S), np.int32)
    tokens[:, :3], tokens[:, 3] = 1, np.tile([10, 11, 12, 12], Q)
    tokens[:, 4] = np.arange(Q * N) + 20
    value = {"tokens": tokens, "starts": np.full(Q * N, 3), "ends": np.full(Q * N, 5)}
    value["right"] = np.zeros(Q * N) if right is None else np.asarray(right, float).reshape(-1)
    return SimpleNamespace(value=value | {"task": np.repeat(np.arange(Q), N)})


def network(function: Any) -> Result:
    return Result("net", "train", "a1", 0, value=function)


def first_token(told: dict[str, np.ndarray]) -> np.ndarray:
    return told["tokens"][:, 3].astype(float)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose log-probabilities and scores are the number of the answer."""
    monkeypatch.setattr(Frozen, "of", classmethod(lambda cls, result: result.value))
    monkeypatch.setattr(own, "apply", lambda function, net, rows, batch: net(rows))
    monkeypatch.setattr(own, "with_reference", lambda net, pairs: pairs | {"by": net})


def test_pairs_have_a_right_and_a_wrong_side_each_once(scores: None) -> None:
    right = [[1, 1, 0, 0]] * 3 + [[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    made = own.passing_pairs(network("sft"), N, 3, 0, drawn(right))
    assert made["prompts"].tolist() == [6, 4]
    assert made["by"] == "sft"
    chosen, rejected = (made[side][:, 4] - 20 for side in ("chosen", "rejected"))
    assert np.ravel(right)[chosen].all()
    assert not np.ravel(right)[rejected].any()
    assert (chosen // N == rejected // N).all()
    assert np.bincount(chosen // N, minlength=6).tolist() == [3, 3, 3, 0, 0, 3]
    assert len({(int(a), int(b)) for a, b in zip(chosen, rejected, strict=True)}) == len(chosen)
    assert made["chosen_weights"][0].tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="of 6 prompts none has a right and a wrong answer"):
        own.passing_pairs(network("sft"), N, 3, 0, drawn())


def test_a_sharp_judge_is_always_right_and_a_dull_one_is_a_coin() -> None:
    sharp = own.labelled_pairs(first_token, 100.0, N, 0, None, drawn(), drawn())
    better, worse = sharp["chosen"][:, 3], sharp["rejected"][:, 3]
    assert (better >= worse).all()
    assert (better > worse).any()
    assert sharp["counts"].tolist() == [2 * Q * N // 2, 2 * Q * N // 2, 0]
    assert ((sharp["chosen"][:, 4] - 20) // N == (sharp["rejected"][:, 4] - 20) // N).all()
    dull = own.labelled_pairs(first_token, 0.0, N, 0, None, *[drawn()] * 40)
    ahead = dull["chosen"][:, 3] - dull["rejected"][:, 3]
    assert np.sign(ahead).mean() == pytest.approx(0, abs=0.1)
    given = SimpleNamespace(value={name: sharp[name][:5] for name in sharp if name != "counts"})
    both = own.labelled_pairs(first_token, 100.0, N, 0, given, drawn())
    assert len(both["chosen"]) == Q * N // 2 + 5
    assert both["counts"].tolist()[2] == 5


def test_labels_follow_bradley_terry() -> None:
    made = own.labelled_pairs(first_token, 2.0, N, 3, None, *[drawn()] * 200)
    by_one = np.abs(made["chosen"][:, 3] - made["rejected"][:, 3]) == 1
    agrees = (made["chosen"][:, 3] > made["rejected"][:, 3])[by_one].mean()
    assert agrees == pytest.approx(1 / (1 + np.exp(-2.0)), abs=0.02)


def test_queries_come_by_variance_of_scores(scores: None) -> None:
    spread = np.array([3.0, 0.0, 5.0, 1.0, 4.0, 2.0])
    judge = lambda rows: (spread[:, None] * np.array([-1.0, 1, -1, 1])).reshape(-1)  # noqa: E731
    found = {}
    for order in ("decreasing", "increasing", "random"):
        made = own.queries_in_order(network(judge), N, 3, ("task",), order, (1.0, 0.0), 0, drawn())
        np.testing.assert_allclose(made["variance"], spread[made["task"]] ** 2)
        assert made["tokens"].tolist() == [[1, 1, 1]] * Q
        assert made["trust"].tolist() == [[1.0, 0.0]] * Q
        found[order] = made["task"].tolist()
    assert found["decreasing"] == [2, 4, 0, 5, 3, 1] == found["increasing"][::-1]
    assert sorted(found["random"]) == list(range(Q))
    rows = own.query_rows(SimpleNamespace(fingerprint="a", value=made), 3, N, ("task",), 2, 2)
    assert isinstance(rows, InOrder)
    taken = rows.take(np.arange(8))["task"].tolist()
    assert taken == [*found["random"][:2] * 2, *found["random"][2:4] * 2]
    assert rows.spec()["noise"].shape == (2, N)


def test_a_reward_model_is_compared_with_the_judge_and_the_verifier(scores: None) -> None:
    right = np.tile([0, 0, 1, 1], (Q, 1))
    perfect = lambda rows: rows["tokens"][:, 3].astype(float)  # noqa: E731
    assert own.ordered_right(network(perfect), first_token, N, drawn(right)) == {
        "ordered": 1.0, "pairs": 5.0 * Q, "passing": 1.0}  # fmt: skip
    backwards = lambda rows: -rows["tokens"][:, 3].astype(float)  # noqa: E731
    assert own.ordered_right(network(backwards), first_token, N, drawn(right))["ordered"] == 0.0


def test_wins_count_ties_half() -> None:
    assert own.win_rate([[1.0], [0.0]], [[0.0], [0.0]]) == 0.75
    a, b = RNG.normal(size=(2, 5, 3))
    assert own.win_rate(a, b) + own.win_rate(b, a) == pytest.approx(1.0)
    assert own.win_rate(a, a) == pytest.approx(0.5)


def test_one_pass_answers_greedily_and_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def sample(model: Any, prompts: Any, key: Any, *, temperature: Any, **how: Any) -> Samples:
        seen.update(how, heat=temperature.tolist())
        ends = jnp.full((len(prompts.lengths_B), 1), 4)
        return Samples(prompts.tokens_BP[:, None], ends - 1, ends, ends, None, None)

    monkeypatch.setattr(own, "sample", sample)
    rule = lambda samples, batch: jnp.array([1.0, 0, 1, 1])[:, None]  # noqa: E731
    judge = lambda samples, batch: batch["task"][:, None].astype(float)  # noqa: E731
    how = own.TwoAxes(rule, 8, 4, ((2,),), judge)
    batch = {"tokens": jnp.ones((2, 4), int), "lengths": jnp.full(2, 3), "task": jnp.array([2, 4])}
    loss, metrics = how({"policy": None}, batch, None)
    assert seen == {"length": 8, "limit": 4, "stops": ((2,),), "heat": [0.0, 0.0, 1.0, 1.0]}
    assert float(loss) == 0.5
    assert {name: (float(a), float(b)) for name, (a, b) in metrics.items()} == {
        "accuracy": (1.0, 2.0), "drawn": (2.0, 2.0), "judged": (6.0, 2.0)}  # fmt: skip
