import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.declare import declare
from stagejax.models.transformer import gpt
from stagejax.objectives.classification import classification
from stagejax.objectives.language import causal_lm, masked_lm, seq2seq
from stagejax.objectives.loss import cross_entropy, weighted

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 5)) * 3
TARGETS = np.array([[0, 1, 2], [3, 4, 0]])
WEIGHTS = np.array([[1, 0, 1], [0, 0, 0.5]])


def fixed(tokens, key, **context):
    return jnp.asarray(LOGITS, jnp.float32)


def nats():
    chosen = np.take_along_axis(LOGITS, TARGETS[..., None], -1)[..., 0]
    return np.log(np.exp(LOGITS).sum(-1)) - chosen


def batch():
    return {
        "tokens": jnp.asarray(TARGETS),
        "targets": jnp.asarray(TARGETS),
        "weights": jnp.asarray(WEIGHTS, jnp.float32),
    }


@pytest.mark.parametrize("objective", [masked_lm, causal_lm])
def test_loss_and_metrics_match_numpy(objective):
    loss, metrics = objective(fixed, batch(), None)
    total, count = (nats() * WEIGHTS).sum(), WEIGHTS.sum()
    assert float(loss) == pytest.approx(total / count, rel=1e-6)
    assert [float(x) for x in metrics["loss"]] == pytest.approx([total, count], rel=1e-6)
    right = ((LOGITS.argmax(-1) == TARGETS) * WEIGHTS).sum()
    assert [float(x) for x in metrics["accuracy"]] == pytest.approx([right, count])
    assert set(metrics) == {"loss", "accuracy"}


def test_sequence_to_sequence_matches_numpy_and_counts_rows_that_are_right():
    seen = {}

    def model(inputs, tokens, *, mask, key):
        seen.update(inputs=inputs, mask=mask)
        return fixed(tokens, key)

    own = batch() | {"inputs": jnp.ones((2, 4), int), "mask": jnp.arange(4)[None] < jnp.array([[2], [4]])}
    loss, metrics = seq2seq(model, own, None)
    assert float(loss) == pytest.approx((nats() * WEIGHTS).sum() / WEIGHTS.sum(), rel=1e-6)
    assert seen["inputs"].shape == (2, 4)
    assert seen["mask"].sum() == 6
    wrong = ((LOGITS.argmax(-1) != TARGETS) & (WEIGHTS > 0)).any(-1)
    assert [float(x) for x in metrics["exact"]] == [2 - wrong.sum(), 2]
    best = seq2seq(model, own | {"targets": jnp.asarray(LOGITS.argmax(-1))}, None)[1]
    assert [float(x) for x in best["exact"]] == [2, 2]
    padded = seq2seq(model, own | {"weights": own["weights"].at[1].set(0.0)}, None)[1]
    assert float(padded["loss"][1]) == 2  # padding counts neither above nor below the line


def test_z_loss_is_part_of_the_loss_and_told_apart():
    objective = functools.partial(masked_lm, z_loss=0.1)
    loss, metrics = objective(fixed, batch(), None)
    z = (np.log(np.exp(LOGITS).sum(-1)) ** 2 * WEIGHTS).sum() * 0.1
    assert float(metrics["loss"][0] - metrics["cross_entropy"][0]) == pytest.approx(z, rel=1e-5)
    assert float(loss) == pytest.approx(float(metrics["loss"][0] / metrics["loss"][1]))
    assert declare(objective)["keywords"] == {"z_loss": 0.1}


def test_tokens_alone_are_their_own_targets():
    seen = []

    def model(tokens, key):
        seen.append(tokens)
        return jnp.asarray(LOGITS[:, :2], jnp.float32)

    loss, metrics = causal_lm(model, {"tokens": jnp.asarray(TARGETS)}, None)
    np.testing.assert_array_equal(seen[0], TARGETS[:, :2])
    logits, targets = LOGITS[:, :2], TARGETS[:, 1:]
    losses = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    assert float(loss) == pytest.approx(losses.mean(), rel=1e-6)
    assert float(metrics["loss"][1]) == 4


def test_what_a_batch_has_goes_to_the_model():
    seen = {}

    def model(tokens, **options):
        seen.update(options)
        return fixed(tokens, None)

    extra = {"segments": jnp.ones((2, 3), int), "positions": jnp.zeros((2, 3), int)}
    key = jax.random.key(0)
    masked_lm(model, {**batch(), **extra}, key, depth=2)
    assert set(seen) == {"segments", "positions", "depth", "key"}
    assert seen["key"] is key


def test_unweighted_targets_do_not_matter():
    odd = {**batch(), "targets": jnp.where(WEIGHTS == 0, -1, TARGETS)}
    loss, _ = masked_lm(fixed, odd, None)
    assert float(loss) == pytest.approx(float(masked_lm(fixed, batch(), None)[0]))
    far = {**batch(), "targets": jnp.where(WEIGHTS == 0, 99, TARGETS)}
    value, grad = jax.value_and_grad(lambda x: weighted(x, far["targets"], far["weights"])[0])(fixed(None, None))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()
    assert np.isnan(weighted(fixed(None, None), jnp.full((2, 3), 99))[0])


def test_no_weights_give_no_loss():
    nothing = {**batch(), "weights": jnp.zeros((2, 3))}
    loss, metrics = masked_lm(fixed, nothing, None)
    assert float(loss) == 0.0
    assert float(metrics["loss"][1]) == 0.0


@pytest.mark.slow
def test_huge_logits_are_finite_and_half_precision_is_summed_in_float32():
    loss, _ = cross_entropy(jnp.array([[1e4, -1e4]]), jnp.array([1]))
    assert float(loss[0]) == pytest.approx(2e4)
    loss, metrics = weighted(jnp.zeros((4096, 3), jnp.bfloat16), jnp.zeros(4096, int))
    assert loss.dtype == jnp.float32
    assert float(metrics["loss"][1]) == 4096
    with jax.enable_x64(True):
        assert weighted(jnp.zeros((2, 3), jnp.float64), jnp.zeros(2, int))[0].dtype == jnp.float64


def test_pairs_of_parts_add_up_to_the_whole():
    rows = [jax.tree.map(lambda x: x[i : i + 1], batch()) for i in range(2)]  # noqa: B023
    parts = [masked_lm(lambda tokens, key: fixed(None, None)[i : i + 1], row, None)[1] for i, row in enumerate(rows)]  # noqa: B023
    whole = masked_lm(fixed, batch(), None)[1]
    for name, pair in whole.items():
        assert [sum(float(p[name][i]) for p in parts) for i in (0, 1)] == pytest.approx([float(x) for x in pair])


def test_classification():
    labels = jnp.array([0, 4])
    loss, metrics = classification(lambda image, key: fixed(None, None)[:, 0], {"image": labels, "label": labels}, None)
    logits = LOGITS[:, 0]
    expected = np.log(np.exp(logits).sum(-1)) - logits[[0, 1], [0, 4]]
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-6)
    assert float(metrics["loss"][1]) == 2
    renamed = functools.partial(classification, inputs="tokens", targets="targets")
    assert float(
        renamed(lambda x, key: fixed(None, None)[:, 0], {"tokens": labels, "targets": labels}, None)[0]
    ) == float(loss)


@pytest.mark.slow
def test_a_decoder_learns_to_copy_the_last_token():
    config = gpt(vocab=8, embed=16, heads=2, layers=1, mlp=32, length=8)
    graphdef, params = nnx.split(config.build(nnx.Rngs(0)))
    params = nnx.to_pure_dict(params)
    tokens = jnp.repeat(jnp.arange(8)[:, None], 9, 1)
    loss = jax.jit(jax.value_and_grad(lambda p: causal_lm(nnx.merge(graphdef, p), {"tokens": tokens}, None)[0]))
    first = float(loss(params)[0])
    assert first == pytest.approx(np.log(8), rel=0.1)
    for _ in range(60):
        _, grads = loss(params)
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, grads)
    assert float(loss(params)[0]) < 0.5 * first
