"""Preference losses against the papers' formulas in numpy, and what their gradients do."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.objectives.rewards.preference import Preference, answer_logprobs

RNG = np.random.default_rng(0)
TABLE = jnp.asarray(RNG.normal(size=(7, 7)), jnp.float32)
TOKENS = RNG.integers(0, 7, (2, 3, 6))
WEIGHTS = (np.arange(5) >= 2) & (np.arange(5) < RNG.integers(3, 6, (2, 3, 1)))
BATCH = {
    "chosen": TOKENS[0],
    "rejected": TOKENS[1],
    "chosen_weights": WEIGHTS[0].astype(np.float32),
    "rejected_weights": WEIGHTS[1].astype(np.float32),
    "chosen_reference": np.array([-3.0, -4.0, -9.0], np.float32),
    "rejected_reference": np.array([-2.0, -6.0, -5.0], np.float32),
}
DPO, NORM, SIMPO = Preference(0.1), Preference(5.0, mean=True), Preference(2.0, mean=True, reference=False, margin=1.0)


def model_of(table: jax.Array):
    return lambda tokens, key: table[tokens]


def in_numpy() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Summed log-probabilities of both sides, their lengths, and those of the reference."""
    table = np.asarray(TABLE, np.float64)
    logs = table - np.log(np.exp(table).sum(-1, keepdims=True))
    each = logs[TOKENS[..., :-1], TOKENS[..., 1:]]
    reference = np.stack([BATCH["chosen_reference"], BATCH["rejected_reference"]])
    return (each * WEIGHTS).sum(-1), WEIGHTS.sum(-1), reference


def test_they_are_the_formulas_of_the_papers() -> None:
    sums, lengths, reference = in_numpy()
    scores = {
        DPO: 0.1 * (sums - reference),
        NORM: 5.0 * (sums / lengths - reference / lengths),
        SIMPO: 2.0 * sums / lengths,
        replace(DPO, margin=0.5, likelihood=0.2): 0.1 * (sums - reference),
    }
    for loss, (chosen, rejected) in scores.items():
        z = chosen - rejected - loss.margin
        wanted = -np.log(1 / (1 + np.exp(-z))) - loss.likelihood * sums[0] / lengths[0]
        value, metrics = loss(model_of(TABLE), BATCH, None)
        assert float(value) == pytest.approx(wanted.mean(), rel=1e-5), loss
        total, count = metrics["accuracy"]
        assert (float(total), float(count)) == (np.sum(chosen > rejected), 3)
        assert float(metrics["margin"][0]) == pytest.approx((chosen - rejected).sum(), rel=1e-4)


def test_a_pairs_own_margin_is_added() -> None:
    batch = BATCH | {"margin": np.full(3, 0.25, np.float32)}
    value, _ = DPO(model_of(TABLE), batch, None)
    assert float(value) == pytest.approx(float(replace(DPO, margin=0.25)(model_of(TABLE), BATCH, None)[0]), rel=1e-6)


@pytest.mark.slow
def test_at_the_reference_the_gradient_is_half_beta_times_the_difference_of_scores() -> None:
    """d/dθ -log σ(z) = -σ(-z) β (∇ log π(chosen) - ∇ log π(rejected)), and z is 0 at the reference."""
    sides = ("chosen", "rejected")
    sums = {side: answer_logprobs(model_of(TABLE), BATCH[side], BATCH[f"{side}_weights"]) for side in sides}
    batch = BATCH | {f"{side}_reference": value for side, value in sums.items()}
    gradient = jax.grad(lambda table: DPO(model_of(table), batch, None)[0])(TABLE)

    def ahead(table: jax.Array) -> jax.Array:
        chosen, rejected = (answer_logprobs(model_of(table), BATCH[s], BATCH[f"{s}_weights"]) for s in sides)
        return jnp.mean(chosen - rejected)

    np.testing.assert_allclose(gradient, -0.5 * 0.1 * jax.grad(ahead)(TABLE), rtol=1e-5, atol=1e-7)


def test_prompts_and_padding_do_not_count() -> None:
    """Neither do tokens without weight that the model finds impossible."""
    changed = {**BATCH, "chosen": BATCH["chosen"].copy()}
    changed["chosen"][:, 0] = 6  # the first token only conditions the second, which is the prompt's
    one, other = (NORM(model_of(TABLE), batch, None)[0] for batch in (BATCH, changed))
    assert float(one) == float(other)
    impossible = TABLE.at[TOKENS[0, 0, 0], TOKENS[0, 0, 1]].set(-jnp.inf)
    sums = answer_logprobs(lambda tokens, key: impossible[tokens], TOKENS[0][:1], np.zeros((1, 5), np.float32))
    assert float(sums[0]) == 0


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"beta=0\.0 must be positive"):
        Preference(beta=0.0)
    batch = {name: value for name, value in BATCH.items() if name != "rejected_reference"}
    with pytest.raises(ValueError, match=r"the batch lacks \['rejected_reference'\]: compute them once"):
        DPO(model_of(TABLE), batch, None)
