"""Regularisers of continual learning: the Fisher information in closed form, and networks that stay near."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax import Stage, axes
from stagejax.data import Images
from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning.problems import Problems
from stagejax.data.vocabulary.words import Words
from stagejax.models.vision.cnn import CNN
from stagejax.objectives import causal_lm, classification
from stagejax.optimizer import adam
from stagejax.program import build, init_keys, step_keys
from stagejax.steps.regularised import EWC, LwF, beside, noting, of_answers

PHASE = Stage(
    "phase", CNN((8, 8, 1), (), heads=(("label", (10,)),)), classification, adam(1e-2), Images(batch=16), steps=3
)
BATCH = jax.tree.map(jnp.asarray, Images(batch=16).take(np.arange(16)))


def test_of_a_network_that_knows_nothing_every_answer_has_the_same_fisher_information() -> None:
    """With p = 1 / 10 the gradient by the logits is 1[y = c] - 1 / 10, whatever y: squares sum to 0.9."""
    program = build(noting(PHASE, steps=2), None)
    states = program.init(init_keys(program.stage, 0))
    zeros = jax.tree.map(jnp.zeros_like, states["net"].params)
    states["net"] = replace(states["net"], params=zeros)
    numbers = jax.tree.map(jnp.float32, program.schedule)
    step, key, totals = jax.jit(program.step), step_keys(program.stage, 0), []
    for _ in range(4):  # two stages of two steps
        states, metrics = step(states, BATCH, key, numbers)
        totals.append(float(metrics["fisher"]))
    found = states["fisher"].params["heads"]["label"]["output"]
    np.testing.assert_allclose(found["bias"].sum(), 2 * 0.9, rtol=1e-5)
    squares = jnp.square(BATCH["image"]).mean(0)
    np.testing.assert_allclose(found["kernel"].sum(-1), 2 * 0.9 * squares, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.diff(totals), totals[0], rtol=1e-5)
    assert int(states["fisher"].step) == 4
    for leaf, minded in zip(*map(jax.tree.leaves, (states["origin"].params, states["fisher"].params)), strict=True):
        assert (np.abs(leaf[minded > 0]) < 1e-6).all()  # where anything is minded it is where the network is
    assert jax.tree.all(jax.tree.map(lambda x: bool((x == 0).all()), states["net"].params))


def test_only_the_network_moves_and_what_holds_it_back_begins_at_nothing() -> None:
    for loss in (EWC(classification, 10.0), LwF(classification, 10.0)):
        program = build(beside(PHASE, loss), None)
        states = program.init(init_keys(program.stage, 0))
        states |= {name: replace(states["net"], opt_state=states[name].opt_state) for name in loss.models}  # a copy
        numbers, key = jax.tree.map(jnp.float32, program.schedule), step_keys(program.stage, 0)
        after, metrics = jax.jit(program.step)(states, BATCH, key, numbers)
        held = metrics["net_elastic" if isinstance(loss, EWC) else "net_kept"]
        assert abs(float(held)) < 1e-5
        for name in loss.models:
            same = jax.tree.map(lambda x, y: bool((x == y).all()), after[name].params, states[name].params)
            assert jax.tree.all(same)
        moved = jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), after["net"].params, states["net"].params)
        assert max(jax.tree.leaves(moved)) > 1e-3


def test_a_teacher_that_is_far_pulls() -> None:
    loss = LwF(classification, 1.0, temperature=2.0)
    net, teacher = (PHASE.model.build(nnx.Rngs(seed)) for seed in (0, 1))
    total, metrics = loss(net, BATCH, None, others={"teacher": teacher})
    plain, _ = classification(net, BATCH, None)
    p, log_q = jax.nn.softmax(teacher(BATCH["image"]) / 2), jax.nn.log_softmax(net(BATCH["image"]) / 2)
    expected = 4 * (p * (jnp.log(p) - log_q)).sum(-1).mean()
    np.testing.assert_allclose(metrics["kept"], expected, rtol=1e-4)
    np.testing.assert_allclose(total, plain + expected, rtol=1e-5)


class Next(nnx.Module):
    """A language model that knows nothing but the token before: a row of logits for each."""

    def __init__(self, table: jax.Array) -> None:
        self.table = axes.param(table, reads=("vocab",), writes=("classes",))

    def __call__(self, tokens_BT: jax.Array, key: object = None) -> jax.Array:
        return self.table[...][tokens_BT]


@dataclass(frozen=True)
class NextConfig:
    """Five tokens to four."""

    def sizes(self) -> dict[str, int]:
        return {"vocab": 5, "classes": 4}

    def build(self, rngs: nnx.Rngs) -> Next:
        return Next(jnp.zeros((5, 4)))


#: Two rows of three tokens, of which the learned ones follow token 1 once and token 2 twice.
ROWS = {
    "tokens": jnp.array([[0, 1, 2], [0, 0, 2]]),
    "targets": jnp.array([[1, 2, 3], [0, 2, 3]]),
    "weights": jnp.array([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]),
}


def test_of_text_only_learned_tokens_have_fisher_information() -> None:
    """Uniform over V = 4: the squared gradient by the logits behind a learned token sums to 1 - 1 / V."""
    words = Words(tuple("abc"))
    rows = Answers(source=Problems(size=2), tokenizer=words, batch=2, length=3)
    stage = Stage("text", NextConfig(), causal_lm, adam(1e-2), rows, steps=1)
    program = build(noting(stage, steps=1, says=of_answers), None)
    numbers, key = jax.tree.map(jnp.float32, program.schedule), step_keys(program.stage, 0)
    after, _ = program.step(program.init(init_keys(program.stage, 0)), ROWS, key, numbers)
    found = after["fisher"].params["table"].sum(-1)
    np.testing.assert_allclose(found, [0, 0.75 / 2, 0.75, 0, 0], rtol=1e-5)  # means over two rows


def test_of_text_only_learned_tokens_are_kept_as_the_teacher_has_them() -> None:
    table = jax.random.normal(jax.random.key(1), (5, 4))
    model, teacher = Next(jnp.zeros((5, 4))), Next(table)
    loss = LwF(causal_lm, 3.0, temperature=2.0, says=of_answers)
    total, metrics = loss(model, ROWS, None, others={"teacher": teacher})
    p_VC = jax.nn.softmax(table / 2)
    apart = 4 * (p_VC * (jnp.log(p_VC) - jnp.log(0.25))).sum(-1)
    np.testing.assert_allclose(metrics["kept"], (apart[1] + 2 * apart[2]) / 3, rtol=1e-5)
    np.testing.assert_allclose(total, np.log(4) + 3 * metrics["kept"], rtol=1e-5)
