"""What each kind of growth promises of training: gradients through it, the dual relation, one step of Adam.

Batch norms are in training: their statistics are those of the batch, through which gradients flow.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pairs import CONV, ENCODER_DECODER, IMAGE, ROTARY, SMALL, outputs, random_params

from stagejax.growth import FPI, LEMON, Growth, Isometric, balanced, grow, uniform, verify_dynamics
from stagejax.models import bert, gpt
from stagejax.models.convnet import ConvNet

BERT = bert(vocab=13, embed=8, layers=1, heads=2, head_dim=4, mlp=12, length=6, types=2)
GPT = gpt(vocab=13, embed=8, layers=1, heads=2, head_dim=4, mlp=12, length=6)
MOE = replace(SMALL, layers=1, experts=2, top_k=1)
LLAMA = replace(ROTARY, layers=1)

#: The growth, and which of pull-back, dual relation and step it keeps.
PROMISES = {
    "bert": (FPI(draw=balanced), BERT, replace(BERT, embed=16, heads=5, mlp=29), (True, True, True)),
    "llama": (Isometric(draw=uniform), LLAMA, replace(LLAMA, embed=13, heads=8, mlp=17), (True, True, True)),
    "t5": (FPI(), ENCODER_DECODER, replace(ENCODER_DECODER, embed=16, heads=5, mlp=21), (True, True, True)),
    "vit": (FPI(), IMAGE, replace(IMAGE, embed=16, heads=3, mlp=17), (True, True, True)),
    "convnet": (FPI(draw=uniform), CONV, replace(CONV, channels=(7, 9)), (True, True, True)),
    "experts": (FPI(), MOE, replace(MOE, mlp=21), (True, True, True)),
    "unequal shares": (LEMON(asymmetry=0.9), GPT, replace(GPT, embed=16, mlp=17), (True, False, False)),
}
FIRST = ("bert", "llama", "convnet")  # the others are slow
GOALS = np.asarray(np.random.RandomState(5).normal(size=2**10))


def loss(config, params) -> jax.Array:
    """Of predicting fixed soft targets: the same for models of the same outputs."""
    training = {"key": jax.random.key(0)} if isinstance(config, ConvNet) else {}
    logits = outputs(config, params, **training).ravel()
    return jnp.mean(jnp.tanh(logits) * GOALS[: logits.size]) + jnp.mean(logits**2) / 9


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FIRST else pytest.mark.slow) for name in PROMISES]
)
def test_a_growth_keeps_what_it_promises_of_training(name) -> None:
    operator, small, large, promised = PROMISES[name]
    with jax.enable_x64(True):
        growth, params = Growth(operator, small, large), random_params(small)
        grown = grow(growth, params, others={"init": random_params(large, 1)})
        found = verify_dynamics(growth, params, grown, loss)
    for kept, value in zip(promised, (found.pull_back, found.dual, found.step), strict=True):
        assert value < 1e-9 if kept else value > 1e-3, found
