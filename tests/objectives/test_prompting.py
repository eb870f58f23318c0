"""Label words at the masked place against numpy, and that padding and other words do not matter."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import bert
from stagejax.models.text.first_token import FirstTokenClassifier
from stagejax.objectives.text.prompting import label_logits, masked_lm_by_part, prompt_classification
from stagejax.transforms.soft_tokens import copy_last_rows

MODEL = bert(vocab=20, layers=1, embed=16, heads=2, mlp=32, positions="rotary").build(nnx.Rngs(0))
TOKENS = jnp.array([[1, 9, 3, 8, 2, 0], [1, 3, 7, 2, 0, 0]])
BATCH = {
    "tokens": TOKENS,
    "mask": TOKENS != 0,
    "place": jnp.array([2, 1]),
    "words": jnp.tile(jnp.array([18, 5, 11]), (2, 1)),
    "label": jnp.array([2, 0]),
}


@pytest.mark.slow
def test_it_is_the_softmax_over_the_label_words_of_the_head_at_the_mask() -> None:
    whole = np.asarray(MODEL(TOKENS, mask=TOKENS != 0), np.float64)
    z = np.stack([whole[0, 2, [18, 5, 11]], whole[1, 1, [18, 5, 11]]])
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    loss, metrics = prompt_classification(MODEL, BATCH, None)
    np.testing.assert_allclose(loss, -np.log(p[[0, 1], [2, 0]]).mean(), rtol=1e-5)
    assert float(metrics["accuracy"][0]) == (p.argmax(1) == [2, 0]).sum()
    weighed = prompt_classification(MODEL, BATCH | {"weights": jnp.array([0.0, 2.0])}, None)[0]
    np.testing.assert_allclose(weighed, -np.log(p[1, 0]), rtol=1e-5)


def test_padding_is_not_seen() -> None:
    longer = {name: jnp.pad(BATCH[name], ((0, 0), (0, 3))) for name in ("tokens", "mask")}
    np.testing.assert_allclose(label_logits(MODEL, BATCH | longer), label_logits(MODEL, BATCH), atol=1e-5)


def test_losses_by_part_make_up_the_whole() -> None:
    weights = jnp.array([[0, 1, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0]], jnp.float32)
    template = jnp.array([[0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 0, 0]], jnp.float32)
    batch = {"tokens": TOKENS, "targets": TOKENS, "weights": weights, "template": template, "mask": TOKENS != 0}
    loss, metrics = masked_lm_by_part(MODEL, batch, None)
    (a, n), (b, m) = metrics["template"], metrics["text"]
    np.testing.assert_allclose((a + b) / (n + m), loss, rtol=1e-5)
    assert (float(n), float(m)) == (3, 2)


def test_soft_tokens_begin_as_their_words() -> None:
    params = nnx.to_pure_dict(nnx.state(MODEL, nnx.Param))
    longer = bert(vocab=22, layers=1, embed=16, heads=2, mlp=32, positions="rotary").build(nnx.Rngs(1))
    nnx.update(longer, copy_last_rows(None, (params, {}), count=2)[0])
    hard, soft = BATCH | {"words": jnp.array([[18, 19]] * 2)}, BATCH | {"words": jnp.array([[20, 21]] * 2)}
    np.testing.assert_allclose(label_logits(longer, soft), label_logits(MODEL, hard), atol=1e-6)


def test_the_first_token_is_read_and_padding_is_not_seen() -> None:
    model = FirstTokenClassifier(MODEL.config, 3).build(nnx.Rngs(0))
    hidden = model.encoder.hidden(TOKENS, mask=TOKENS != 0)
    np.testing.assert_allclose(model.embeddings(TOKENS), hidden[:, 0], atol=1e-6)
