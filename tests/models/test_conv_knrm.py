"""Conv-KNRM against its formulas written out, and scores that padding does not change."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.text.conv_knrm import ConvKNRM
from stagejax.models.text.kernel_pooling import Kernels, pooled

CONFIG = ConvKNRM(vocab=20, embed=5, filters=4, grams=(1, 2), kernels=Kernels((1.0, 0.3), (0.001, 0.2)))
MODEL = CONFIG.build(nnx.Rngs(0))
SCORES = nnx.jit(lambda model, queries, items: model.scores(queries, items))
QUERY, ITEM = np.array([1, 5, 6, 0]), np.array([1, 7, 6, 9, 5, 0])


def test_scores_are_the_formulas_written_out() -> None:
    def grams(tokens: np.ndarray, n: int) -> list[np.ndarray]:
        table, gram = np.asarray(MODEL.table.table[...]), MODEL.grams[CONFIG.grams.index(n)]
        kernel, bias = np.asarray(gram.kernel[...]), np.asarray(gram.bias[...])
        embedded = [table[t] if t >= 4 else np.zeros(5) for t in tokens] + [np.zeros(5)] * n
        found = [np.maximum(0, sum(embedded[p + i] @ kernel[i] for i in range(n)) + bias) for p in range(len(tokens))]
        return [own / np.linalg.norm(own) for p, own in enumerate(found) if tokens[p] >= 4]

    score = float(MODEL.scorer.bias[0])
    for g, n in enumerate(CONFIG.grams):
        for h, m in enumerate(CONFIG.grams):
            for k, (mean, width) in enumerate(zip(CONFIG.kernels.means, CONFIG.kernels.widths, strict=True)):
                feature = 0.0
                for q in grams(QUERY, n):
                    met = sum(np.exp(-((q @ d - mean) ** 2) / (2 * width**2)) for d in grams(ITEM, m))
                    feature += 0.01 * np.log(max(met, 1e-10))
                score += feature * float(MODEL.scorer.kernel[g, h, k, 0])
    found = SCORES(MODEL, jnp.array([QUERY]), jnp.array([[ITEM]]))
    assert found.shape == (1, 1)
    assert float(found[0, 0]) == pytest.approx(score, abs=1e-5)


def test_padding_and_the_other_items_change_no_score() -> None:
    longer = np.concatenate([ITEM, np.zeros(5, int)])
    other = np.roll(longer, 1) * 0 + 11
    alone = SCORES(MODEL, jnp.array([QUERY]), jnp.array([[ITEM]]))[0, 0]
    beside = SCORES(MODEL, jnp.array([np.append(QUERY, 0)]), jnp.array([[other, longer]]))[0, 1]
    np.testing.assert_allclose(alone, beside, atol=1e-6)


def test_the_narrow_kernel_counts_exact_matches() -> None:
    cosines, one = jnp.array([[1.0, 1.0, 0.5], [0.9, 0.2, 1.0]]), jnp.ones(3, bool)
    found = pooled(cosines, jnp.ones(2, bool), one, Kernels((1.0,), (0.001,)))
    np.testing.assert_allclose(found, [0.01 * (np.log(2) + np.log(1))], atol=1e-6)
    with pytest.raises(ValueError, match="positive width"):
        Kernels((1.0,), (0.0,))


def test_every_axis_has_a_size() -> None:
    sizes = CONFIG.sizes()
    kernel = MODEL.scorer.kernel[...]
    assert kernel.shape == (sizes["grams"], sizes["grams.item"], sizes["kernels"], sizes["score"])
