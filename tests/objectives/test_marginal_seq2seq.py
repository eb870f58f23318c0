"""The mixture over contexts, token by token: sums written out, seq2seq as its special case, where gradients go."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.t5 import T5
from stagejax.objectives.language import seq2seq
from stagejax.objectives.text.marginal_seq2seq import marginal_seq2seq, mixed_logprobs

B, K, S, T, V = 2, 3, 6, 4, 11
MODEL = T5(vocab=V, embed=16, encoder_layers=1, decoder_layers=1, heads=2, head_dim=8, mlp=32).build(nnx.Rngs(0))
RANDOM = np.random.default_rng(0)


def batch() -> dict[str, Any]:
    weights = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.float32)
    made = {"inputs": RANDOM.integers(1, V, (B, K, S)), "mask": np.ones((B, K, S), bool)}
    made |= {"scores": RANDOM.normal(size=(B, K)).astype(np.float32), "weights": weights}
    made |= {name: RANDOM.integers(1, V, (B, T)) for name in ("tokens", "targets")}
    return made | {"answers": weights * np.array([0, 0, 1, 1], np.float32)}


BATCH = batch()


@jax.jit
def loss_of(rows: Any) -> Any:
    return marginal_seq2seq(MODEL, rows, None)


def each() -> np.ndarray:
    """p(y_t | x, z_k, y_<t), one context at a time: (B, K, T)."""
    inputs = BATCH["inputs"].reshape(B * K, S)
    tokens = BATCH["tokens"].repeat(K, 0)
    p = np.asarray(jax.nn.softmax(MODEL(jnp.asarray(inputs), jnp.asarray(tokens)))).reshape(B, K, T, V)
    return np.take_along_axis(p, BATCH["targets"][:, None, :, None].repeat(K, 1), -1)[..., 0]


@pytest.mark.slow
def test_the_loss_is_the_sum_written_out_token_by_token() -> None:
    loss, metrics = loss_of(BATCH)
    prior = np.exp(BATCH["scores"]) / np.exp(BATCH["scores"]).sum(1, keepdims=True)
    nats = -np.log(np.einsum("bk,bkt->bt", prior, each()))
    expected = (nats * BATCH["weights"]).sum() / BATCH["weights"].sum()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    total, count = metrics["answer_loss"]
    np.testing.assert_allclose(total / count, (nats * BATCH["answers"]).sum() / BATCH["answers"].sum(), rtol=1e-5)
    whole = (each() ** BATCH["weights"][:, None]).prod(-1)  # a mixture of whole texts would be another loss
    sequences = -np.log((prior * whole).sum(1)).sum() / BATCH["weights"].sum()
    assert sequences > expected + 1e-3


def test_one_context_is_seq2seq_and_impossible_ones_do_not_count() -> None:
    first = {**BATCH, **{name: BATCH[name][:, :1] for name in ("inputs", "mask", "scores")}}
    alone = {**BATCH, "inputs": BATCH["inputs"][:, 0], "mask": BATCH["mask"][:, 0]}
    expected, told = jax.jit(lambda rows: seq2seq(MODEL, rows, None))(alone)
    scores = np.where(np.arange(K) == 0, 0.0, -np.inf).astype(np.float32) * np.ones((B, 1), np.float32)
    scores = np.nan_to_num(scores, nan=0.0, neginf=-np.inf)
    for rows in (first, {**BATCH, "scores": scores}):
        loss, metrics = loss_of(rows)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        assert float(metrics["exact"][0]) == float(told["exact"][0])


def test_a_context_has_as_much_of_the_gradient_as_its_share_of_the_target() -> None:
    logits, scores = jnp.asarray(RANDOM.normal(size=(1, 2, 1, 5)), jnp.float32), jnp.array([[0.3, -0.4]])
    gradient = jax.grad(lambda x: -mixed_logprobs(x, scores)[0, 0, 2])(logits)[0, :, 0]
    p, prior = jax.nn.softmax(logits)[0, :, 0], jax.nn.softmax(scores)[0]
    share = prior * p[:, 2] / (prior * p[:, 2]).sum()
    np.testing.assert_allclose(gradient, share[:, None] * (p - jnp.eye(5)[2]), atol=1e-6)


def test_a_mixture_is_a_distribution_and_not_the_mean_of_logits() -> None:
    logits = jnp.asarray(RANDOM.normal(size=(B, K, T, V)), jnp.float32)
    mixed = mixed_logprobs(logits, jnp.asarray(BATCH["scores"]))
    np.testing.assert_allclose(jnp.exp(mixed).sum(-1), 1.0, rtol=1e-5)
    prior = jax.nn.softmax(jnp.asarray(BATCH["scores"]))
    other = jax.nn.log_softmax(jnp.einsum("bk,bktv->btv", prior, logits))
    assert float(jnp.abs(mixed - other).max()) > 0.05
