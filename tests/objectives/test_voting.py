"""Passes that vote: formulas of the votes, what dropout makes of them, and which loss is learned."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.t5 import T5
from stagejax.objectives.language import seq2seq
from stagejax.objectives.text.voting import Agreeing, Separate, Voted, mean_vote, passes_of, passes_vote, released_vote

RNG = np.random.RandomState(0)
LOGITS = jnp.asarray(RNG.normal(size=(5, 3, 4, 7)), jnp.float32)
KEY = jax.random.key(3)
slow = pytest.mark.slow  # what runs a model


@pytest.fixture(scope="module")
def model() -> Any:
    return T5(vocab=11, embed=8, encoder_layers=1, decoder_layers=1, heads=1, head_dim=8, mlp=8, dropout=0.2).build(
        nnx.Rngs(0)
    )


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    rows = jnp.asarray(RNG.randint(4, 11, size=(3, 4)))
    weights = jnp.array([[1.0, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]])
    return {"inputs": rows, "mask": rows > 4, "tokens": rows, "targets": rows[:, ::-1], "weights": weights}


def ce(logits: np.ndarray, batch: dict[str, Any]) -> np.ndarray:
    """-log p of targets, in double precision."""
    z = np.asarray(logits, np.float64)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    at = np.broadcast_to(np.asarray(batch["targets"])[..., None], (*z.shape[:-1], 1))
    return -np.take_along_axis(log_p, at, -1)[..., 0]


def test_votes_are_those_of_their_formulas() -> None:
    np.testing.assert_allclose(mean_vote(LOGITS), LOGITS.mean(0), atol=1e-6)
    z = np.asarray(LOGITS, np.float64)
    mu = z.mean(0)
    own = 1 / (1 + np.abs(z - mu))
    np.testing.assert_allclose(passes_vote(LOGITS), (own * z).sum(0) / own.sum(0), atol=1e-5)
    shared = 1 / (1 + z.std(0, ddof=1))
    released = 5 * mu * shared / shared.sum(0)  # N mu_b w_b / the sum of w over rows b of the batch
    np.testing.assert_allclose(released_vote(LOGITS), released, rtol=1e-4, atol=1e-5)


def test_a_weight_that_all_passes_share_would_change_nothing() -> None:
    """What the released weights would come to, were they normalised over passes: the plain mean."""
    z = np.asarray(LOGITS)
    shared = 1 / (1 + z.std(0, ddof=1))
    np.testing.assert_allclose((shared * z).sum(0) / (5 * shared), mean_vote(LOGITS), atol=1e-5)
    other = jnp.concatenate([LOGITS, 9 + LOGITS[:, :1]], axis=1)  # one more row in the batch
    assert np.abs(np.asarray(released_vote(other))[:3] - released_vote(LOGITS)).max() > 0.01
    np.testing.assert_array_equal(passes_vote(other)[:3], passes_vote(LOGITS))


def test_passes_that_agree_are_their_own_vote() -> None:
    same = LOGITS[:1].repeat(5, axis=0)
    np.testing.assert_allclose(passes_vote(same), LOGITS[0], atol=1e-6)
    np.testing.assert_allclose(released_vote(same), 5 / 3 * LOGITS[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="two passes"):
        released_vote(LOGITS[:1])


@slow
def test_passes_read_once_and_differ_by_the_decoders_dropout(model: Any, batch: Any) -> None:
    logits = np.asarray(passes_of(model, batch, KEY, 4))
    assert min(np.abs(logits[i] - logits[k]).max() for i in range(4) for k in range(i)) > 1e-3
    keys = jax.random.split(KEY)
    memory = model.encode(batch["inputs"], mask=batch["mask"], key=keys[0])
    for own, key in zip(logits, jax.random.split(keys[1], 4), strict=True):
        said = model.logits(model.decode(batch["tokens"], memory, mask=batch["mask"], key=key))
        np.testing.assert_allclose(own, said, rtol=1e-4, atol=1e-5)
    still = passes_of(model, batch, None, 4)
    assert still.shape == (1, *logits.shape[1:])
    np.testing.assert_allclose(still[0], model(batch["inputs"], batch["tokens"], mask=batch["mask"]), atol=1e-5)


@slow
@pytest.mark.parametrize("vote", [mean_vote, passes_vote, released_vote])
def test_the_loss_is_of_the_logits_that_were_voted(model: Any, batch: Any, vote: Any) -> None:
    logits = passes_of(model, batch, KEY, 5)
    wanted = ce(np.asarray(0.3 * logits.mean(0) + 0.7 * vote(logits)), batch)
    loss, metrics = Voted(5, 0.3, vote)(model, batch, KEY)
    weights = np.asarray(batch["weights"])
    assert float(loss) == pytest.approx((weights * wanted).sum() / weights.sum(), rel=1e-4)
    alone = (weights * ce(np.asarray(logits), batch).mean(0)).sum()
    assert float(metrics["alone"][0]) == pytest.approx(alone, rel=1e-4)
    at = np.broadcast_to(np.asarray(batch["targets"])[None, ..., None], (*logits.shape[:-1], 1))
    spread = np.take_along_axis(np.asarray(logits), at, -1)[..., 0]
    assert float(metrics["spread"][0]) == pytest.approx((weights * spread.std(0, ddof=1)).sum(), rel=1e-4)


@slow
def test_a_mean_of_logits_has_less_loss_than_the_mean_of_losses(model: Any, batch: Any) -> None:
    voted, metrics = Voted(5, 1.0, mean_vote)(model, batch, KEY)
    separate, other = Separate(5)(model, batch, KEY)
    assert float(separate) == pytest.approx(float(metrics["alone"][0] / metrics["alone"][1]), rel=1e-5)
    assert float(voted) < float(separate) - 1e-3
    assert other["loss"] == other["alone"]


@slow
def test_r_drop_adds_the_divergence_of_two_passes(model: Any, batch: Any) -> None:
    one, two = np.asarray(passes_of(model, batch, KEY, 2), np.float64)
    p, q = (np.exp(z) / np.exp(z).sum(-1, keepdims=True) for z in (one, two))
    between = ((p - q) * np.log(p / q)).sum(-1) / 2
    weights = np.asarray(batch["weights"])
    wanted = (weights * ((ce(one, batch) + ce(two, batch)) / 2 + 0.7 * between)).sum() / weights.sum()
    assert float(Agreeing(0.7)(model, batch, KEY)[0]) == pytest.approx(wanted, rel=1e-4)


@slow
@pytest.mark.parametrize("objective", [Voted(), Voted(5, 0.5, released_vote), Separate(), Agreeing()])
def test_without_dropout_all_are_what_one_pass_says(model: Any, batch: Any, objective: Any) -> None:
    loss, metrics = objective(model, batch, None)
    wanted, other = seq2seq(model, batch, None)
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    assert metrics.keys() == other.keys()
    one = Voted(1)(model, batch, KEY)
    assert float(one[0]) == pytest.approx(
        float((ce(passes_of(model, batch, KEY, 1)[0], batch) * batch["weights"]).sum() / 9), rel=1e-4
    )


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="passes=0"):
        Voted(0)
    with pytest.raises(ValueError, match=r"alpha=2\.0"):
        Voted(alpha=2.0)
