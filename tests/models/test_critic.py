"""Critics: the network of a language model with another head, and what passes from the one to the other."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import path_name
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.handover import Handover, HandoverError, cross
from stagejax.mesh import make_mesh
from stagejax.models import gpt, llama
from stagejax.models.text.critic import Critic, from_policy
from stagejax.objectives import causal_lm
from stagejax.objectives.rewards.policy_gradient import bradley_terry
from stagejax.optimizer import adam
from stagejax.program import build
from stagejax.stage import Stage

SIZES = {"vocab": 12, "embed": 16, "layers": 2, "heads": 2, "mlp": 24, "length": 8}


DATA = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=2, length=8)


def stages(base):
    common = {"optimizer": adam(1e-3), "data": DATA, "steps": 2}
    policy = Stage("policy", base, causal_lm, **common)
    reward = Stage("reward", Critic(base), bradley_terry, handover=Handover(params=from_policy), **common)
    return policy, reward


@pytest.mark.slow
@pytest.mark.parametrize("base", [gpt(**SIZES), llama(**SIZES)], ids=["tied", "untied"])
def test_a_reward_model_takes_over_all_but_the_heads(base) -> None:
    policy, reward = (build(stage, make_mesh("data=1")) for stage in stages(base))
    old = policy.initial(0)
    state, rows = reward.begin(1, old)
    flat = [
        {path_name(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path(s.params)} for s in (old, state)
    ]
    assert set(flat[1]) - set(flat[0]) == {"score/kernel", "score/bias"}
    assert set(flat[0]) - set(flat[1]) == (set() if base.tied else {"head/output/kernel"})
    for path in set(flat[0]) & set(flat[1]):
        np.testing.assert_array_equal(flat[0][path], flat[1][path])
    dropped = sum(row.numbers for row in rows if row.action == "drop" and row.part == "params")
    assert dropped == (0 if base.tied else 12 * 16)
    assert sum(row.numbers for row in rows if row.action == "reset" and row.part == "params") == 17


def test_without_a_rule_for_the_heads_the_handover_is_refused() -> None:
    policy, reward = (build(stage, make_mesh("data=1")) for stage in stages(llama(**SIZES)))
    with pytest.raises(HandoverError, match=r"params/score/bias is absent in the stage before"):
        cross(replace(reward.stage, handover=Handover()), reward.parts, reward.state, policy.state)


@pytest.mark.slow
def test_a_value_sees_no_later_token() -> None:
    model = Critic(gpt(**SIZES)).build(nnx.Rngs(0))
    tokens = jnp.array([[1, 2, 3, 4, 5]])
    np.testing.assert_allclose(model(tokens)[:, :3], model(tokens.at[:, 3:].set(9))[:, :3], atol=1e-6)
    assert not np.allclose(model(tokens)[:, 3:], model(tokens.at[:, 3:].set(9))[:, 3:])
    with pytest.raises(ValueError, match="causal=False"):
        Critic(gpt(**SIZES, causal=False))
