"""Biochemical warm start: what is copied and what drawn, one budget for all arms, and no held-out protein is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.biochemical_warm_start import (
    BEAM,
    CAUSAL,
    DECODER,
    ENCODER,
    EXPERIMENT,
    MOLECULES,
    ONE,
    PROTEINS,
    SAMPLE,
    SCRATCH,
    SHORT,
    STARTS,
    TWO,
    asked,
    pairs,
    preset,
)
from stagejax import Plan
from stagejax.data import SEP
from stagejax.inference.molecules.molecules import are_valid
from stagejax.names import slug
from stagejax.objectives.language import as_decoder

SMOKE = preset("smoke")
NAMES = {PROTEINS: "proteins", MOLECULES: "molecules", CAUSAL: "causal"}
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # a smoke run of half a minute, most of it compilation


@slow
@pytest.mark.parametrize("arm", [ONE, TWO, ENCODER, DECODER])
def test_sides_are_copied_and_cross_attention_is_drawn(finished: Any, arm: str) -> None:
    results, _, _ = finished
    begun, sources = flat(results[f"0/{slug(arm)}/start"]), {n: flat(results[at]) for n, at in NAMES.items()}
    for side in ("encoder", "decoder"):
        for path, leaf in begun.items():
            inner = path.removeprefix(f"{side}/")
            if inner != path and leaf.std() > 0:
                of = [name for name, own in sources.items() if inner in own and np.array_equal(own[inner], leaf)]
                assert of == [name for s, name in STARTS[arm].items() if s == side], path
    kernels = [leaf for path, leaf in begun.items() if path.startswith("cross/") and path.endswith("kernel")]
    assert len(kernels) == 4
    assert all(0.01 < leaf.std() < 0.03 for leaf in kernels)  # as initial kernels are, of no trained model


@slow
def test_the_causal_model_goes_on_from_the_masked_one(finished: Any) -> None:
    results, _, _ = finished
    stage = results["causal"].stage
    assert (stage.model, stage.objective) == (results["molecules"].model, as_decoder)
    assert {row[3] for row in results["causal"].handover if row[0] == "params"} == {"carry"}


@slow
def test_all_parts_are_trained_on_pairs_and_nothing_is_shared(finished: Any) -> None:
    results, _, _ = finished
    begun, tuned = flat(results[f"0/{slug(TWO)}/start"]), flat(results[f"0/{slug(TWO)}/pairs"])
    assert begun.keys() == tuned.keys()
    same = {path for path in begun if np.array_equal(begun[path], tuned[path])}
    assert not {path for path in same if "key/bias" not in path}  # no softmax sees a shift of all keys
    assert not np.array_equal(tuned["encoder/tokens/table"].shape, tuned["decoder/tokens/table"].shape)


@slow
def test_arms_have_one_budget(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.group: arm for arm in report.arms}
    steps = {name: results[f"0/{slug(name)}/pairs"].steps for name in arms}
    assert {steps[name] for name in arms if name != SCRATCH} == {SMOKE.steps[3]}
    total = {name: float(arm.cost.flops + arm.charged_cost.flops) for name, arm in arms.items()}
    one_step = total[SHORT] / steps[SHORT]
    assert abs(total[SCRATCH] - total[TWO]) <= one_step
    assert total[TWO] > total[ONE] > total[ENCODER] > total[SHORT]
    assert {name: [r.name for r in arm.charged] for name, arm in arms.items()} == {
        SCRATCH: [],
        SHORT: [],
        ONE: ["proteins", "molecules"],
        TWO: ["proteins", "molecules", "causal"],
        ENCODER: ["proteins"],
        DECODER: ["molecules", "causal"],
    }


@slow
def test_no_held_out_protein_is_trained_on(finished: Any) -> None:
    results, _, _ = finished
    held = {name for split in ("validation", "test") for name in SMOKE.pairs.of_split(split).ligands()}  # type: ignore
    assert set(asked(SMOKE)) <= held
    for result in results.values():
        if result.kind == "train":
            source = result.stage.data.source
            names = {
                record.get("protein", record.get("name")) for record in map(source.__getitem__, range(len(source)))
            }
            assert not names & held
            if result.name.endswith("pairs"):
                assert result.stage.evaluate.data.source.split == "validation"


@slow
def test_as_many_molecules_are_said_as_asked_for(finished: Any) -> None:
    results, report, _ = finished
    value = results[f"0/{slug(SCRATCH)}/measures"].value
    assert all(len(value[how]["said"]) == SMOKE.targets for how in (BEAM, SAMPLE))
    assert results[f"0/{slug(SCRATCH)}/measures"].cost.sampled_tokens == sum(
        value[how]["tokens"] for how in (BEAM, SAMPLE)
    )
    assert 0 < value["own"] < np.log(SMOKE.net.decoder.vocab)
    assert {row[1] for row in next(t for t in report.tables if t.title.startswith("First")).rows} == set(asked(SMOKE))


def test_what_the_smoke_preset_learns_is_valid() -> None:
    data = pairs(SMOKE, 0)
    batch = data.take(np.arange(32))
    assert (batch["tokens"][:, 0] == SEP).all()
    assert are_valid([SMOKE.atoms.decode(row) for row in batch["targets"]]).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
