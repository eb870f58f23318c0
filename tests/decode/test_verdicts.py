"""Votes and verdicts: counts by hand, an unbiased estimate, and a verifier called from a compiled program."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.decode import (
    Judge,
    Recomputed,
    Verifier,
    Vote,
    best_of,
    majority_vote,
    padded_prompts,
    pass_at,
    sample,
    verdicts,
)


def test_votes_are_counted_weighted_and_tied() -> None:
    assert majority_vote(["b", "a", "a", None, "b", "c"]) == Vote("b", 2 / 6)  # of equals the first
    assert majority_vote([None, None]) == Vote(None, 0.0)
    assert majority_vote([]) == Vote(None, 0.0)
    assert majority_vote([1, 2, 2], weights=[0.0, 0.0, 0.0]) == Vote(None, 0.0)
    assert majority_vote([1, 2, 2], weights=[3.0, 1.0, 1.0]) == Vote(1, 0.6)
    assert best_of([4, 5, 6], [0.0, 2.0, 1.0]) == 5
    with pytest.raises(ValueError, match="zip"):
        majority_vote([1, 2], weights=[1.0])


def test_pass_at_k_is_the_mean_over_all_choices_of_k() -> None:
    right = [True, False, False, True, False]
    for k in (1, 2, 3, 5):
        expected = np.mean([any(chosen) for chosen in itertools.combinations(right, k)])
        assert pass_at(k, 5, 2) == pytest.approx(expected)
    with pytest.raises(ValueError, match="pass_at"):
        pass_at(6, 5, 2)


def is_next(prompt: str, completion: str) -> float:
    return float(completion == str(int(prompt.split()[-1]) + 1))


def decode(ids) -> str:
    return " ".join(str(i) for i in ids)


def test_a_judge_in_a_program_says_what_it_says_on_the_host() -> None:
    assert isinstance(is_next, Verifier)
    logits = jnp.log(jnp.array([[0.6, 0.4], [0.4, 0.6]]))  # a next token 3 or 4 behind 2, and a stop token 5

    def model(tokens, _):
        first = jnp.concatenate([jnp.full((3,), -50.0), logits[0], jnp.array([-50.0])])
        stop = jnp.array([-50.0, -50.0, -50.0, -1.0, -50.0, 0.0])
        return jnp.where((tokens == 2)[..., None], first, stop)

    @jax.jit
    def rollout(key):
        drawn = sample(Recomputed(model), padded_prompts([[1, 2], [2]], 2), key, length=4, n=8, stops=((5,),))
        return drawn, Judge(is_next, decode)(drawn), Judge(is_next, decode, unstopped=-10.0)(drawn)

    drawn, rewards, strict = jax.tree.map(np.asarray, rollout(jax.random.key(1)))
    first = drawn.tokens_BNS[np.arange(2)[:, None], np.arange(8)[None], drawn.starts_BN]
    single = drawn.ends_BN - drawn.stop_sizes_BN - drawn.starts_BN == 1
    np.testing.assert_array_equal(rewards, (first == 3) & single)
    assert 0 < rewards.sum() < 16
    stopped = drawn.stop_sizes_BN > 0
    assert not stopped.all()
    np.testing.assert_array_equal(strict, np.where(stopped, rewards, -10))
    np.testing.assert_array_equal(Judge(is_next, decode).on_host(drawn), rewards)
    assert verdicts(is_next, ["1 2", "4"], [["3"], ["4"]]).tolist() == [[1.0], [0.0]]
