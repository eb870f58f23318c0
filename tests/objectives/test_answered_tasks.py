"""Scores of a language model by task, in closed form: logits are given, and which answers count is known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from stagejax.objectives.text.answered_tasks import AnsweredTasks, first_answers

V = 6
NAMES = ((1, 2), (3, 4))
#: Two tasks with answers, two rows each, and one row of text. Answers stand at places 1, 0, 1, 1.
TARGETS = jnp.array([[5, 1, 5], [2, 5, 5], [5, 4, 5], [5, 3, 5], [1, 2, 3]])
WEIGHTS = jnp.array([[0, 1, 1], [1, 1, 0], [0, 1, 0], [0, 1, 0], [1, 1, 1]], jnp.float32)
TASK = jnp.array([0, 0, 1, 1, 2])
#: What the model says at the answer's place, the likeliest first.
SAID = ((0, 0, (1, 2)), (1, 0, (2, 1)), (2, 0, (0, 4)), (3, 0, (1, 4)))


def logits() -> jnp.ndarray:
    made = np.zeros((5, 3, V), np.float32)
    for row, at in ((0, 1), (1, 0), (2, 1), (3, 1)):
        first, second = SAID[row][2]
        made[row, at, first], made[row, at, second] = 3.0, 2.0
    return jnp.asarray(made)


BATCH = {"tokens": jnp.zeros((5, 3), int), "targets": TARGETS, "weights": WEIGHTS, "task": TASK}


def test_a_free_answer_competes_with_all_words_and_one_among_names_with_these() -> None:
    free, among = first_answers(logits(), BATCH, NAMES)
    assert free.tolist()[:4] == [True, True, False, False]
    assert among.tolist()[:4] == [True, True, True, False]  # row 2 says 0, of names 4; row 3 says 1, of names 4, not 3


def test_scores_are_told_apart_by_task_and_text_by_its_loss() -> None:
    _, found = AnsweredTasks(NAMES, texts=1)(lambda tokens, key: logits(), BATCH, None)
    rates = {name: float(found[name][0] / found[name][1]) for name in found if " " in name}
    assert rates["task 0"] == 1.0
    assert rates["task 1"] == 0.0
    assert rates["among 0"] == 1.0
    assert rates["among 1"] == 0.5
    np.testing.assert_allclose(rates["text 0"], np.log(V), rtol=1e-6)  # zeros are uniform
    assert "text 1" not in found


def test_the_loss_is_that_of_the_language_model() -> None:
    loss, found = AnsweredTasks(NAMES, texts=1)(lambda tokens, key: jnp.zeros((5, 3, V)), BATCH, None)
    np.testing.assert_allclose(loss, np.log(V), rtol=1e-6)
    assert float(found["loss"][1]) == float(WEIGHTS.sum())
