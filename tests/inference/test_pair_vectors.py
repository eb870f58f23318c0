"""Token vectors of pairs: what is a positive, what is real, and what thinning keeps; and rates of replicas."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data import Bytes
from stagejax.data.prompts.answers import MadeRows
from stagejax.data.tasks.text_tasks import encoded, synonym_tasks
from stagejax.data.tokenizers import PAD, codec
from stagejax.inference.pictures.detecting import replica_rates
from stagejax.inference.tasks.pair_vectors import pair_rows, pair_vectors, thinned
from stagejax.models import bert
from stagejax.models.text.pair_matcher import PairMatcher
from stagejax.objectives.focal import detection
from stagejax.result import Result
from stagejax.stage import Stage
from stagejax.state import TrainState


def made(**arrays: Any) -> Result:
    return Result("made", "make", "made", 0, value=arrays)


def values(config: Any, seed: int) -> Any:
    """The parameters of a network with initial values."""
    return nnx.to_pure_dict(nnx.state(config.build(nnx.Rngs(seed)), nnx.Param))


def trained(config: Any, params: Any, stage: Stage | None = None) -> Result:
    state = TrainState(0, params, take_apart(config)[3], None, None)
    return Result("net", "train", "net", 1, config, stage=stage, load=lambda: state)


def test_thinning_keeps_all_negatives_and_positives_at_even_distances() -> None:
    label = np.array([1, 0, 1, 0, 1, 1, 0, 0, 1, 0], np.int32)
    for rare, kept in ((2, [0, 1, 3, 4, 6, 7, 9]), (5, [0, 1, 3, 6, 7, 9])):
        found = thinned(made(label=label, length=np.arange(10)), rare)
        assert found["length"].tolist() == kept
        assert found["label"].sum() == 5 // rare
    assert len(thinned(made(label=label), 1)["label"]) == 10
    with pytest.raises(ValueError, match="are 2, and there are 1: raise `rare`"):
        thinned(made(label=np.array([1, 0, 0])), 1)


@pytest.mark.slow
def test_vectors_are_the_encoders_and_labels_those_within_the_range() -> None:
    task, length = synonym_tasks(6)[3], 64
    config = bert(vocab=300, layers=1, embed=8, heads=2, mlp=16, length=length)
    found = pair_vectors(trained(config, values(config, 0)), task, (2.0, 4.0), Bytes(), length)
    for row in pair_rows(length, 8):
        assert (found[row.name].shape, str(found[row.name].dtype)) == ((6, *row.shape), row.dtype)
    scores = [task.source[i]["score"] for i in range(6)]
    assert found["label"].tolist() == [int(2 <= score <= 4) for score in scores]
    assert 0 < found["label"].sum() < 6
    for i in range(6):
        assert found["length"][i].tolist() == [len(text.encode()) + 2 for text in task.texts(i)]  # CLS and SEP
    size = int(found["length"][0, 1])
    alone = encoded(codec(Bytes(), task.source), [(task.texts(0)[1],)], size)  # of no padding
    assert (alone != PAD).all()
    expected = config.build(nnx.Rngs(0)).hidden(jnp.asarray(alone))[0]
    np.testing.assert_allclose(found["vectors"][0, 1, :size], expected, atol=5e-3)


@pytest.mark.slow
def test_rates_are_of_each_replica_on_all_rows() -> None:
    config, size, draw = PairMatcher(embed=4, hidden=2, attention=2, mlp=3), 520, np.random.default_rng(0)
    vectors = draw.normal(size=(size, 2, 3, 4)).astype(np.float16)  # more rows than are read at once
    length = np.full((size, 2), 3, np.int32)
    batch = {"vectors": jnp.asarray(vectors), "length": jnp.asarray(length)}
    logits = [np.asarray(config.build(nnx.Rngs(seed))(batch)) for seed in (0, 1)]
    label = (logits[1] > np.median(logits[1])).astype(np.int32)  # the second one ranks by it
    data = MadeRows(rows=pair_rows(3, 4), of="made", batch=8)
    stage = Stage("net", config, detection, None, data, 1, seeds=2)
    params = jax.tree.map(lambda *own: np.stack(own), *(values(config, seed) for seed in (0, 1)))
    found = replica_rates(trained(config, params, stage), made(vectors=vectors, length=length, label=label))
    assert found["share"] == [0.5]
    assert found["auc"][1] == pytest.approx(1.0)
    assert found["auc"][0] < 0.99
    right = [((own > 0) == label).mean() for own in logits]
    assert found["accuracy"] == pytest.approx(right, abs=5e-3)
