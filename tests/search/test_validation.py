"""Validation beside the test: other records, other names of metrics, the same loss."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from stagejax import Evaluation, Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.search.validation import halves, with_validation

DATA = CausalText(source=Stdlib(limit=300_000), tokenizer=Bytes(), batch=2, length=8)


def counted(model: Any, batch: Any, key: Any) -> Any:
    total = jnp.asarray(batch["tokens"]).sum()
    return total, {"loss": (total, jnp.ones(()))}


def test_both_parts_are_measured_and_only_the_test_has_the_name() -> None:
    test, validation = halves(DATA, 3)
    stage = Stage("own", gpt(), causal_lm, adamw(1.0), DATA, 7, evaluate=Evaluation(test, 3, 2, counted))
    own = with_validation(stage, validation).evaluate
    assert own is not None
    assert (own.batches, own.every) == (3, 2)
    batches: Any = zip(own.data.batches(None), test.batches(), validation.batches(), strict=True)
    for both, one, other in batches:
        loss, metrics = own.objective(None, both, None)  # type: ignore[misc]
        assert float(loss) == float(metrics["loss"][0]) == one["tokens"].sum() != other["tokens"].sum()
        assert float(metrics["validation/loss"][0]) == other["tokens"].sum()


def test_halves_share_no_document_and_read_the_same_tokens() -> None:
    test, validation = halves(DATA, 3)
    names = [{record["name"] for record in iter(half.source)} for half in (test, validation)]
    assert not names[0] & names[1]
    assert names[0] | names[1] == {record["name"] for record in Stdlib("test", 300_000)}
    assert np.unique(test.take(np.arange(2))["tokens"]).size > 1


def test_a_stage_without_an_evaluation_is_refused() -> None:
    with pytest.raises(ValueError, match="'own' has no evaluation"):
        with_validation(Stage("own", gpt(), causal_lm, adamw(1.0), DATA, 7), DATA)
