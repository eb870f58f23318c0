"""Receipts: what a growth changed, measured."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from pairs import SMALL, TOKENS, random_params

from stagejax.growth import AKI, FPI, Deepen, DirectCopy, Growth, Isometric, grow, receipt_of, uniform, verify_growth
from stagejax.objectives.language import causal_lm

BATCH = {"tokens": TOKENS}
LARGE = replace(SMALL, embed=16, heads=5, mlp=21)


def verified(operator, large=LARGE, small=SMALL):
    growth, params = Growth(operator, small, large), random_params(small)
    grown = grow(growth, params, others={"init": random_params(large, 1)})
    return verify_growth(growth, params, grown, "dual", causal_lm, BATCH)


@pytest.mark.slow
def test_an_exact_growth_changes_nothing_and_is_symmetric() -> None:
    receipt = verified(FPI())
    assert receipt.logit_change_relative < 1e-5
    assert receipt.loss_after == pytest.approx(receipt.loss_before, rel=1e-5)
    assert set(receipt.symmetry) == {"embed", "kv_heads", "mlp"}
    for symmetry in receipt.symmetry.values():
        assert symmetry.cosine == pytest.approx(1)
        assert symmetry.difference == pytest.approx(0, abs=1e-3)
    assert json.loads(json.dumps(receipt.to_json()))["symmetry"]["mlp"]["cosine"] == pytest.approx(1)


@pytest.mark.slow
def test_aki_gives_the_function_up_for_asymmetry() -> None:
    receipt = verified(AKI(per_layer=True, draw=uniform), replace(LARGE, layers=3, embed=8))
    assert receipt.logit_change_relative > 1e-2
    assert receipt.symmetry["mlp"].cosine < 0.999
    assert receipt.symmetry["kv_heads"].difference > 1e-2


@pytest.mark.slow
def test_fresh_units_and_copied_layers_have_no_source_to_be_like() -> None:
    assert verified(DirectCopy()).symmetry == {}
    receipt = verified(Deepen(), replace(SMALL, layers=4))
    assert receipt.symmetry == {}
    assert receipt.loss_after != receipt.loss_before


def test_the_static_part_needs_no_arrays() -> None:
    small = replace(SMALL, norm="rms", norm_eps=1e-3)
    receipt = receipt_of(Growth(Isometric(), small, replace(small, embed=12, mlp=13)), "copy")
    assert (receipt.sizes_before["embed"], receipt.sizes_after["embed"]) == (8, 12)
    assert (receipt.eps_before, receipt.eps_after) == (1e-3, pytest.approx(1e-3 * 8 / 12))
    assert receipt.operator["type"].endswith("Isometric")
    assert "counts kept" in receipt.moments
    assert receipt.loss_before is None
    assert receipt.to_json()["logit_change"] is None


@pytest.mark.slow
def test_an_objective_that_calls_methods_leaves_logits_unmeasured() -> None:
    def of_hidden(model, batch, key):
        return (model.hidden(batch["tokens"]) ** 2).mean(), {}

    growth, params = Growth(FPI(), SMALL, LARGE), random_params(SMALL)
    receipt = verify_growth(growth, params, grow(growth, params), "reset", of_hidden, BATCH)
    assert receipt.logit_change is None
    assert np.isfinite(receipt.loss_after)
    partly = partial(causal_lm, depth=1)
    assert verify_growth(growth, params, grow(growth, params), "reset", partly, BATCH).logit_change_relative < 1e-5
