"""Serving several tasks: what must be there, and that one pass answers as the tasks' own passes do."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.inference.serving.cost_of_serving import parameters_of, served_parameters
from stagejax.models import bert
from stagejax.models.text.adapters import Adapted

NET = Adapted(bert(vocab=20, layers=1, embed=8, heads=2, mlp=16, length=6), tasks=3, classes=4)


def test_a_model_for_all_tasks_has_one_encoder_and_its_heads() -> None:
    found = parameters_of(NET, replace(NET, adapters=3, bottleneck=2), 3)
    head, adapter = 4 * 8 * 4 + 4, 2 * 8 * 2
    encoder = served_parameters(replace(NET, tasks=1)) - head
    assert found == {"alone": 3 * (encoder + head), "shared": encoder + 3 * head,
                     "adapted": encoder + 3 * (head + adapter)}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("adapters", [0, 3])
def test_one_pass_answers_as_each_tasks_own_does(adapters: int) -> None:
    model = replace(NET, adapters=adapters).build(nnx.Rngs(0))
    if adapters:
        model.bank.up[...] = jnp.asarray(np.random.default_rng(0).normal(size=model.bank.up.shape), jnp.float32)
    tokens = jnp.array([[1, 5, 6, 2, 7, 2], [1, 9, 2, 0, 0, 0]])
    every = model.every_answer(tokens)
    assert every.shape == (2, 3, 4)
    for task in range(3):
        np.testing.assert_allclose(every[:, task], model.answers(tokens, jnp.full(2, task)), atol=1e-5)
    np.testing.assert_allclose(model.every_answer(tokens, 2), every[:, :2], atol=1e-6)
