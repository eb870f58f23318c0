"""Two value heads: the lower one counts, both learn, a decoder is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import bert, gpt
from stagejax.models.text.double_critic import DoubleCritic, heads_only

CRITIC = DoubleCritic(bert(vocab=12, layers=1, embed=8, heads=2, mlp=8, length=4), features=3, mlp=5)
TOKENS, SEEN = jnp.array([[5, 6, 7], [8, 6, 7]]), jax.random.normal(jax.random.key(0), (2, 3))


@pytest.mark.slow
def test_the_value_is_the_lower_probability_of_success_and_reads_both_inputs() -> None:
    critic = CRITIC.build(nnx.Rngs(0))
    logits, value = critic(TOKENS, SEEN), critic.value(TOKENS, SEEN)
    np.testing.assert_allclose(value, jax.nn.softmax(logits, -1)[..., 1].min(1), rtol=1e-6)
    assert np.abs(logits[:, 0] - logits[:, 1]).max() > 1e-3, "the heads begin apart"
    assert np.abs(critic(TOKENS, 2 * SEEN) - logits).max() > 1e-4
    assert np.abs(critic(TOKENS[::-1], SEEN) - logits).max() > 1e-5


def test_the_frozen_part_is_the_text_encoder() -> None:
    paths = ["/".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(CRITIC.build(nnx.Rngs(0)), nnx.Param))]
    trained = {path.split("/")[0] for path in paths if heads_only(path, None)}
    assert trained == {"first", "second"}
    assert {path.split("/")[0] for path in paths} == {"first", "second", "text"}


def test_a_decoder_is_refused() -> None:
    with pytest.raises(ValueError, match="encoder"):
        DoubleCritic(gpt(), features=3)
