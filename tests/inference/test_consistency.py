"""Answers to questions, judged again on the host: votes by counting, right ones by the tokens, scores by numpy."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data import SEP
from stagejax.decode import Prompts, sample
from stagejax.inference.prompts import consistency
from stagejax.inference.prompts.consistency import ONE_THREAD, SeveralAnswers, correlation, log_determinants_timed
from stagejax.models import llama
from stagejax.models.taps import Watched, tapped
from stagejax.objectives import causal_lm

pytestmark = pytest.mark.slow  # the programs of a sampler
NET = llama(vocab=7, embed=8, layers=2, heads=2, mlp=16, tied=True)
HOW = SeveralAnswers(("", "old_"), length=8, limit=3, samples=6, temperature=0.5, moments=(20, 5))
PROMPTS = jnp.array([[1, 4, 5, 0], [1, 6, 0, 0], [1, 4, 6, 5], [1, 5, 5, 4]])
LENGTHS = jnp.array([3, 2, 4, 4])


def drawn(model: Any) -> Any:
    how = {"length": 8, "limit": 3, "temperature": 0.5, "stops": ((SEP,),)}
    return sample(model.net, Prompts(PROMPTS, LENGTHS), jax.random.key(0), n=6, **how)


@pytest.fixture(scope="module")
def case() -> tuple[Any, dict[str, Any], Any, Any]:
    """A model, a batch whose first true row is an answer that it draws, its answers, and what is found of them."""
    model = Watched(NET, checkpoints=1, texts=1).build(nnx.Rngs(3))
    model.net.tokens.table[...] *= 40  # far from even probabilities
    said = jax.jit(lambda: drawn(model))()
    truth = jnp.concatenate([said.tokens_BNS[:1, 0], jnp.full((3, 8), 6)])
    weights = jnp.zeros((4, 8)).at[:, 2:5].set(1.0)
    text = {"text": truth, "text_targets": truth[::-1], "text_weights": jnp.ones((4, 8))}
    rows = {"truth": truth, "truth_targets": jnp.roll(truth, -1, 1), "truth_weights": weights}
    batch = {"tokens": PROMPTS, "lengths": LENGTHS, "mark": jnp.array([0, 0, 1, 0]), **rows, **text}
    judged = jax.jit(lambda batch: HOW.judged(model, batch))(batch)
    return model, batch, jax.tree.map(np.asarray, said), judged


def test_answers_are_counted_and_compared_with_the_truth(case: Any) -> None:
    _, batch, said, found = case
    for b in range(4):
        rows = [tuple(row.tolist()) for row in said.tokens_BNS[b]]
        votes, true = Counter(rows), tuple(batch["truth"][b].tolist())
        share = max(votes.values()) / 6
        first = next(row for row in rows if votes[row] == max(votes.values()))
        assert found["accuracy"][b] == pytest.approx(votes[true] / 6)
        assert found["consistency"][b] == pytest.approx(share)
        assert bool(found["confabulation"][b]) == (first != true and share < 0.5)
    assert found["accuracy"][0] > 0
    assert 0 < found["consistency"].min() < found["consistency"].max()


def test_scores_are_of_sentence_embeddings_with_all_coordinates(case: Any) -> None:
    model, batch, said, found = case
    stream = tapped(model.net, jnp.array(said.tokens_BNS.reshape(24, 8)), 1)[1].reshape(4, 6, 8, 8)
    z = np.take_along_axis(np.asarray(stream, np.float64), said.ends_BN[:, :, None, None] - 2, 2)[:, :, 0]
    centred = z - z.mean(-1, keepdims=True)
    values = np.linalg.eigvalsh(centred @ centred.swapaxes(1, 2) + 1e-3 * np.eye(6))
    np.testing.assert_allclose(found["eigenscore"], np.log(values).mean(1), rtol=0.02, atol=0.02)
    assert jnp.abs(found["ees_20"] - found["ees_5"]).max() > 1e-3
    model.kept[...] = jnp.zeros(8)
    again = jax.jit(lambda batch: HOW.judged(model, batch))(batch)
    model.kept[...] = jnp.ones(8)
    np.testing.assert_array_equal(found["eigenscore"], again["eigenscore"])


def test_entropy_is_that_of_the_tokens_drawn(case: Any) -> None:
    model, _, said, found = case
    logp = np.asarray(jax.nn.log_softmax(model(jnp.array(said.tokens_BNS.reshape(24, 8)))), np.float64)
    entropy = -(np.exp(logp) * logp).sum(-1).reshape(4, 6, 8)
    wanted = [
        np.mean([entropy[b, n, said.starts_BN[b, n] - 1 : said.ends_BN[b, n] - 1].mean() for n in range(6)])
        for b in range(4)
    ]
    np.testing.assert_allclose(found["entropy"], wanted, rtol=1e-3)


def test_groups_are_apart_and_losses_those_of_the_rows(case: Any) -> None:
    model, batch, _, found = case
    loss, metrics = jax.jit(lambda batch: HOW(model, batch, None))(batch)
    total, count = metrics["eigenscore"]
    assert count == 3
    assert total / count == pytest.approx(float(found["eigenscore"][jnp.array([0, 1, 3])].mean()), rel=1e-5)
    assert metrics["old_accuracy"][1] == 1
    old = {"tokens": batch["truth"][2:3], "targets": batch["truth_targets"][2:3], "weights": jnp.ones((1, 8))}
    old["weights"] = batch["truth_weights"][2:3]
    wanted = causal_lm(model, old, None)[0]
    total, count = metrics["old_answer_loss"]
    assert float(total / count) == pytest.approx(float(wanted), rel=1e-5)
    text = {"tokens": batch["text"], "targets": batch["text_targets"], "weights": batch["text_weights"]}
    assert float(loss) == pytest.approx(float(causal_lm(model, text, None)[0]), rel=1e-6)
    row = {name: float(value[0] / value[1]) for name, value in metrics.items()}
    group = jnp.array([0, 1, 3])
    wanted = np.corrcoef(found["eigenscore"][group], found["ees_20"][group])[0, 1]
    assert correlation(row, "ees_20") == pytest.approx(wanted, abs=1e-2)


def test_longer_answers_cost_more() -> None:
    class Rows:
        def spec(self) -> dict[str, Any]:
            ints, floats = (jax.ShapeDtypeStruct((4, 8), kind) for kind in ("int32", "float32"))
            one = jax.ShapeDtypeStruct((4,), "int32")
            names = {f"{part}{of}": ints for part in ("truth", "text") for of in ("", "_targets")}
            return names | {
                "truth_weights": floats,
                "text_weights": floats,
                "tokens": ints,
                "lengths": one,
                "mark": one,
            }

    costs = [replace(HOW, limit=limit).flops(Watched(NET, 1, 1), Rows()) for limit in (2, 3)]
    assert 0 < costs[0] < costs[1]


def test_both_ways_to_the_log_determinant_take_turns_in_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[set[str], Any]] = []

    def interleaved(calls: Any, windows: int, clock: Any) -> dict[str, list[float]]:
        asked.append((set(calls), clock))
        return {name: [0.002, 0.001] for name in calls}

    monkeypatch.setattr(consistency, "interleaved", interleaved)
    found = consistency.timed_here((3, 5), 8, 2)
    assert asked == [({"exact", "estimate"}, time.process_time)] * 2
    assert found["exact ms"] == found["estimate ms"] == [1.0, 1.0]


def test_the_log_determinant_is_timed_by_a_process_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def run(command: list[str], env: dict[str, str], **how: Any) -> Any:
        asked.append(env)
        return subprocess.CompletedProcess(command, 0, stdout="{}")

    monkeypatch.setattr(consistency.subprocess, "run", run)
    assert log_determinants_timed((3,)) == {}
    assert asked == [os.environ | ONE_THREAD]


def test_a_process_that_fails_is_no_time() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        log_determinants_timed((-1,), dim=8)
