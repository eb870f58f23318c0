"""A reward model is the language model that it begins as, but for its head of two layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import Axes, path_name
from stagejax.models import gpt, llama
from stagejax.models.text.reward_model import RewardModel, from_language_model

AXES = Axes((), ())
SIZES = {"vocab": 12, "embed": 16, "layers": 1, "heads": 2, "mlp": 24, "length": 8}


def paths(model: nnx.Module) -> set[str]:
    return {path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(nnx.state(model)))}


@pytest.mark.slow
@pytest.mark.parametrize("base", [gpt(**SIZES), llama(**SIZES)], ids=["tied", "untied"])
def test_paths_are_those_of_the_base_but_for_the_heads(base) -> None:
    own, other = paths(RewardModel(base).build(nnx.Rngs(0))), paths(base.build(nnx.Rngs(0)))
    assert own - other == {"inner/kernel", "inner/bias", "score/kernel", "score/bias"}
    assert {from_language_model(path, AXES) for path in own & other} == {"carry"}
    assert {from_language_model(path, AXES) for path in own - other} == {"reset"}
    assert {from_language_model(path, AXES) for path in other - own} <= {"drop"}


def test_a_score_is_of_two_layers_and_sees_no_later_token() -> None:
    model = RewardModel(gpt(**SIZES)).build(nnx.Rngs(0))
    tokens = jnp.array([[1, 2, 3, 4, 5]])
    scores = model(tokens)
    inner = np.maximum(model.inner(model.hidden(tokens)), 0)
    np.testing.assert_allclose(scores, model.score(jnp.asarray(inner))[..., 0], rtol=1e-5)
    np.testing.assert_allclose(scores[:, :3], model(tokens.at[:, 3:].set(9))[:, :3], atol=1e-6)
    with pytest.raises(ValueError, match="causal=False"):
        RewardModel(gpt(**SIZES, causal=False))
