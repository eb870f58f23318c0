"""Two stacks and one stream: growths of an encoder-decoder keep its function, or copy whole blocks of each stack."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pairs import ENCODER_DECODER, model, random_params

from stagejax.growth import FPI, Deepen, Growth, Isometric, Operator, balanced, grow, interpolate, stack, uniform

RNG = np.random.RandomState(0)
TOKENS, TARGETS = (jnp.asarray(RNG.randint(0, ENCODER_DECODER.vocab, (2, n))) for n in (7, 5))
GATED = {"tied": False, "activation": "geglu"}


@functools.cache
def forward(config: Any) -> Callable[[Any], jax.Array]:
    return jax.jit(lambda params: model(config, params)(TOKENS, TARGETS, mask=jnp.arange(7) < jnp.array([[7], [4]])))


def logits(config: Any, params: Any) -> np.ndarray:
    return np.asarray(forward(config)(params))


def change(operator: Operator, small: Any, **sizes: int) -> float:
    growth, params = Growth(operator, small, replace(small, **sizes)), random_params(small)
    before, after = logits(small, params), logits(growth.config, grow(growth, params))
    return float(np.abs(after - before).max() / np.abs(before).max())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [{}, GATED], ids=["tied", "gated"])
def test_width_keeps_the_function_through_both_stacks(kind: dict[str, Any]) -> None:
    small = replace(ENCODER_DECODER, norm_eps=1e-2, **kind)
    with jax.enable_x64(True):
        assert change(FPI(draw=balanced), small, embed=16, heads=5, mlp=21) < 1e-12
        assert change(Isometric(draw=uniform), small, embed=11, heads=3, mlp=17) < 1e-12
        assert change(FPI(), small, embed=11) > 1e-3


def test_each_stack_has_a_depth_of_its_own() -> None:
    params = random_params(ENCODER_DECODER)
    for rule, encoder, decoder in ((stack, [0, 1, 0, 1], [0, 1, 1]), (interpolate, [0, 0, 1, 1], [0, 0, 1])):
        large = replace(ENCODER_DECODER, encoder_layers=4, decoder_layers=3)
        grown = grow(Growth(Deepen(rule), ENCODER_DECODER, large), params)
        for side, rows in (("encoder", encoder), ("decoder", decoder)):
            for before, after in zip(jax.tree.leaves(params[side]), jax.tree.leaves(grown[side]), strict=True):
                np.testing.assert_array_equal(after, before[np.array(rows)])
        np.testing.assert_array_equal(grown["encoder_positions"]["table"], params["encoder_positions"]["table"])
