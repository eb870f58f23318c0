"""LiGO: maps that are learned through the frozen small model, and applied once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax import Evaluation, Plan, Stage, running
from stagejax.audit import audit
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.growth import Growth, GrowthError, LearnedMaps, LiGO
from stagejax.growth.record import recorded
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adam, adamw
from stagejax.steps.learned import learning_stage

SMALL = gpt(vocab=260, embed=8, layers=2, heads=2, mlp=16, length=16, scan=True)
LARGE = replace(SMALL, embed=12, layers=3, heads=3, mlp=24)
DATA = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=8, length=16)
STAGE = Stage("small", SMALL, causal_lm, adamw(1e-2), DATA, steps=20)


def pipeline(run: Any) -> tuple[Any, Any, Any]:
    small = run.train(STAGE)
    evaluate = Evaluation(DATA.held_out(1), 1)
    stage = learning_stage(
        "ligo", small, to=LARGE, objective=causal_lm, optimizer=adam(1e-2), data=DATA, steps=25, evaluate=evaluate
    )
    learned = run.train(stage, {"source": small})
    return small, learned, run.grow("start", small, to=LARGE, operator=LiGO.of(learned))


@pytest.mark.slow
def test_the_network_is_the_factorised_map_and_gradients_reach_every_map() -> None:
    config = LearnedMaps(SMALL, LARGE)
    maps, small = config.build(nnx.Rngs(0)), SMALL.build(nnx.Rngs(1))
    params = jax.tree.map(lambda x: x + 0.1, nnx.to_pure_dict(nnx.state(small, nnx.Param)))  # no shift of zeros
    graphdef, values, _ = nnx.split(maps, nnx.Param, ...)
    values = nnx.to_pure_dict(values)
    assert set(values["width"]) == {"embed", "mlp", "kv_heads"}
    assert {"layers-embed-mlp-write", "layers-mlp-embed-write", "layers-embed-gain"} <= set(values["depth"])
    grown = nnx.to_pure_dict(nnx.state(maps.network(params), nnx.Param))
    free = {axis: np.concatenate([np.eye(rows.shape[1]), rows]) for axis, rows in values["width"].items()}
    weights = values["depth"]["layers-embed-mlp-write"]
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    assert weights.argmax(1).tolist() == [0, 1, 0]  # near StackBERT
    wanted = np.einsum(
        "lk,ae,kem,bm->lab", weights, free["embed"], params["blocks"]["mlp"]["up"]["kernel"], free["mlp"]
    )
    np.testing.assert_allclose(grown["blocks"]["mlp"]["up"]["kernel"], wanted, atol=1e-6)
    np.testing.assert_allclose(grown["norm"]["gain"], free["embed"] @ params["norm"]["gain"], rtol=1e-5)

    def loss(values: Any) -> Any:
        tokens = jnp.arange(16).reshape(2, 8) % 7
        return causal_lm(nnx.merge(graphdef, values).network(params), {"tokens": tokens}, None)[0]

    for path, gradient in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(values)):
        if "layers-kv_heads-head_dim-write" not in str(path):  # biases of keys, which no softmax sees
            assert np.abs(gradient).max(1).all(), path


@pytest.mark.slow
def test_maps_are_learned_and_applied(tmp_path: Path) -> None:
    with running(tmp_path, "ligo", mesh="data=1") as run:
        small, learned, start = pipeline(run)
    losses = learned.history.train["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3
    assert learned.history.last("loss") == pytest.approx(start.receipt["loss_after"], abs=0.3)  # of another batch
    graphdef, _ = nnx.split(nnx.eval_shape(lambda: LearnedMaps(SMALL, LARGE).build(nnx.Rngs(0))))
    maps = nnx.merge(graphdef, learned.state()["maps"].params)
    network = nnx.to_pure_dict(nnx.state(maps.network(small.state().params), nnx.Param))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), network, start.state().params)
    again = audit(start)  # by the learned maps that are stored; none of them moves moments
    assert again.holds
    assert recorded(start.grown.maps(), start.grown.growth).operator.moved is None
    source = learned.state()["source"].params
    jax.tree.map(np.testing.assert_array_equal, source, small.state().params)  # frozen
    with running(tmp_path, "ligo", mesh="data=1") as run:
        assert pipeline(run)[-1].digest == start.digest
    assert pipeline(Plan.on("data=2", price=False))[-1].parameters == start.parameters


def test_what_has_no_maps_is_refused() -> None:
    params = nnx.to_pure_dict(nnx.state(SMALL.build(nnx.Rngs(1)), nnx.Param))
    other = LearnedMaps(SMALL, replace(LARGE, head_dim=6)).build(nnx.Rngs(0))
    with pytest.raises(GrowthError, match="no rule for axis 'head_dim'"):
        other.network(params)
    maps = nnx.to_pure_dict(nnx.state(LearnedMaps(SMALL, LARGE).build(nnx.Rngs(0)), nnx.Param))
    with pytest.raises(GrowthError, match="use moments='reset'"):
        _ = Growth(LiGO(maps), SMALL, LARGE).moment_terms
