"""The calculator writes right results, and only behind calls that a model made in its answer."""

import itertools

import jax
import jax.numpy as jnp
import pytest

from stagejax.data.reasoning.problems import applied
from stagejax.decode import Recomputed, padded_prompts, sample
from stagejax.decode.calculator import Calculator

ZERO, LARGEST = 10, 12
SIGNS = dict(zip("+-*/", (5, 6, 7, 8), strict=True))
TOOL = Calculator(vocab=30, zero=ZERO, largest=LARGEST, signs=tuple(SIGNS.values()), equals=9)


def test_every_call_gives_what_arithmetic_says_or_nothing() -> None:
    every = list(itertools.product(range(LARGEST + 1), "+-*/", range(LARGEST + 1)))
    found = TOOL.result(jnp.array([[ZERO + a, SIGNS[sign], ZERO + b, 9] for a, sign, b in every])).tolist()
    for (a, sign, b), token in zip(every, found, strict=True):
        whole = sign != "/" or (b > 0 and a % b == 0)
        value = applied(a, sign, b) if whole else -1
        assert token == (ZERO + value if 0 <= value <= LARGEST else -1), (a, sign, b)


@pytest.mark.parametrize("call", [[3, 5, 11, 9], [11, 5, 4, 9], [11, 4, 11, 9], [11, 5, 11, 5], [11, 5, 29, 9]])
def test_what_is_no_call_has_no_result(call: list[int]) -> None:
    assert int(TOOL.result(jnp.array(call))) == -1


def test_a_call_of_the_prompt_is_not_answered() -> None:
    tokens, ends = jnp.array([[13, 5, 14, 9, 0]]), jnp.array([4])
    assert TOOL(tokens, ends, jnp.array([4])).all()
    assert int(TOOL(tokens, ends, jnp.array([0])).sum()) == 1
    assert not TOOL.inserted(jnp.array([[13, 5, 14, 9, 17]]), jnp.array([4])).any()


@pytest.mark.slow
def test_results_are_put_in_and_known_as_such() -> None:
    """A model that says 3 + 4 =, then anything but 7, then goes on from what stands there."""
    script = jnp.array([0, 13, 5, 14, 9, 20, 4, 2])
    model = Recomputed(lambda tokens, _: 50 * jax.nn.one_hot(script[1 + jnp.arange(tokens.shape[1])], 30)[None])
    drawn = sample(model, padded_prompts([[1]], 1), jax.random.key(0), length=8, stops=((2,),), allowed=TOOL)
    assert drawn.tokens_BNS[0, 0].tolist() == [1, 13, 5, 14, 9, 17, 4, 2]
    assert TOOL.inserted(drawn.tokens_BNS, drawn.starts_BN)[0, 0].tolist() == [k == 5 for k in range(8)]
    assert float(drawn.drawn_logprobs_BNS[0, 0, 5]) == 0 > float(drawn.logprobs_BNS[0, 0, 5])
