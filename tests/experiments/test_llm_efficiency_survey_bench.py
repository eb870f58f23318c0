"""The bench at smoke size: rows of equal tokens, zeros where they should be, claims judged by their rules."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.analysis.llm_efficiency_survey_bench import (
    BASE,
    DENSE,
    EIGHT,
    EXPERIMENT,
    FOUR,
    JOINT,
    LORA,
    MAGNITUDE,
    NEAREST,
    NO_CACHE,
    PLAIN,
    REMAT,
    SPARSE,
    SPARSE24,
    TERNARY,
    TUNED,
    judged,
    methods,
    preset,
    training_rows,
    working,
)
from stagejax.inference.serving.compressing import Solved
from stagejax.models import gpt
from stagejax.names import slug
from stagejax.transforms import LoRA, Reparameterized

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow


def measured(**other: float) -> tuple[Any, Any, Any]:
    """Studies, perplexities and timings with which every claim holds, but for what is given."""
    own = {"sparse": 11.0, "grouped": 12.0, "magnitude": 14.0, "ternary": 13.0, "nearest": 25.0, "bits": 0.8}
    own |= {"cache": 1.0, "bytes": 60.0, "step": 1.4, "eight": 1.005, "static": 90.0} | other
    three = np.ones(3)
    values = {
        f"{DENSE}, pruned": np.array([10.0]), f"{DENSE}, ternary": np.array([9.0]), SPARSE: own["sparse"] * three,
        SPARSE24: own["grouped"] * three, MAGNITUDE: np.array([own["magnitude"]]), TERNARY: own["ternary"] * three,
        NEAREST: np.array([own["nearest"]]),
    }  # fmt: skip
    studies = {TERNARY: [SimpleNamespace(value={"bits": np.array(own["bits"])})] * 3}
    timed = {BASE: {"temporary": 100, "seconds": [1.0, 5.0]}, REMAT: {"temporary": own["bytes"]}}
    timed[REMAT]["seconds"] = [own["step"], 5 * own["step"]]
    drawn = {
        NO_CACHE: {"seconds": [4.0]}, PLAIN: {"seconds": [own["cache"]], "loss": 2.0},
        EIGHT: {"loss": 2.0 + np.log(own["eight"])},
    }  # fmt: skip
    served = {"static": [[own["static"], 1.0], [80.0, 1.0]], "continuous": [[100.0, 1.0], [100.0, 1.0]]}
    return studies, values, (timed, 1.0, drawn, served)


@pytest.mark.parametrize(
    ("number", "other"),
    [
        (None, {}), (0, {"sparse": 12.1, "grouped": 13.0}), (1, {"ternary": 15.0}), (2, {"cache": 1.5}),
        (3, {"bytes": 75.0}), (3, {"step": 1.6}), (4, {"eight": 1.02}), (5, {"grouped": 10.9}),
        (6, {"bits": 1.1}), (7, {"static": 101.0}),
    ],
)  # fmt: skip
def test_each_claim_fails_by_its_own_margin(number: int | None, other: dict[str, float]) -> None:
    assert [i for i, (_, holds) in enumerate(judged(*measured(**other))) if not holds] == [number][: number is not None]


def test_training_rows_differ_in_what_they_say_and_in_nothing_else() -> None:
    cfg = preset("laptop")
    base = training_rows(cfg, Reparameterized(gpt(), LoRA(2)))
    scratch = [own for label, own in base.items() if label not in (TUNED, LORA)]
    assert len({(own.steps, own.seed) for own in base.values()}) == 1
    assert len({(own.data.tokens, own.data.seed, own.data.source) for own in scratch}) == 1
    assert base[TUNED].data == base[LORA].data != base[BASE].data
    assert len({own.name for own in base.values()}) == len(base)


def test_the_mixture_drops_no_token_at_work_and_calibrated_methods_are_drawn_three_times() -> None:
    cfg = preset("laptop")
    assert working(gpt(experts=4, capacity=1.0)).capacity is None
    assert len(cfg.seeds) == 3
    assert {label for label, method in methods(cfg).items() if isinstance(method, Solved)} >= {SPARSE, SPARSE24, JOINT}


@slow
def test_rows_that_change_no_number_end_where_the_first_one_ends(finished: Any) -> None:
    results, _, _ = finished
    rows = {label: results[own.name] for label, own in training_rows(SMOKE, Reparameterized(gpt(), LoRA(2))).items()}
    losses = {label: own.history.evals[-1]["loss"] for label, own in rows.items()}
    for label in ("unrolled", REMAT, "rematerialised, products kept", f"accumulated over {SMOKE.accumulate}"):
        assert losses[label] == pytest.approx(losses[BASE], abs=1e-3), label
    assert losses["bfloat16"] != losses[BASE]
    assert len({own.cost.tokens for own in rows.values()}) == 1
    timed = results["timed/training"].value
    assert timed[LORA]["moments"] < timed[TUNED]["moments"] / 2
    assert timed["Adafactor"]["moments"] < timed[BASE]["moments"]
    assert all(len(own["seconds"]) == SMOKE.windows and own["temporary"] > 0 for own in timed.values())


@slow
def test_pruned_models_have_their_zeros_and_training_keeps_them(finished: Any) -> None:
    results, _, _ = finished
    for label in (SPARSE, MAGNITUDE):
        pruned, after = results[f"pruned/{slug(label)}/0"].value, flat(results[f"recovered/{slug(label)}"])
        assert float(pruned["zeros"]) == pytest.approx(0.5)
        mask = results[f"recovered/{slug(label)}"].state().rest["blocks"]["mlp"]["up"]["kernel"]["mask"]
        np.testing.assert_array_equal(np.asarray(mask), pruned["mlp/up"] != 0)
        kept = np.where(mask, after["blocks/mlp/up/kernel/dense"], 0)
        assert np.abs(kept - pruned["mlp/up"]).max() > 0
    groups = results[f"pruned/{slug(SPARSE24)}/1"].value["mlp/up"]  # (layers, inputs, outputs)
    assert ((groups == 0).reshape(len(groups), -1, 4, groups.shape[-1]).sum(2) == 2).all()
    two = [results[f"pruned/{slug(SPARSE)}/{draw}"].value["mlp/up"] for draw in SMOKE.seeds]
    assert not np.array_equal(*two)


@slow
def test_ternary_experts_take_few_bits_and_feedback_less_error(finished: Any) -> None:
    results, _, _ = finished
    solved, nearest = (results[f"ternary/{slug(label)}/0"].value for label in (TERNARY, NEAREST))
    assert float(solved["error"]) < float(nearest["error"])
    for own in (solved, nearest):
        assert float(own["entropy"]) <= float(own["bits"]) < float(own["stored"])


@slow
def test_inference_rows_say_what_they_take(finished: Any) -> None:
    results, report, _ = finished
    drawn = results["timed/inference"].value
    assert drawn[FOUR]["stored"] < drawn[EIGHT]["stored"] < drawn[PLAIN]["stored"]
    assert len({own["tokens"] for own in drawn.values()}) == 1
    speculative = drawn["cache, speculative"]
    assert 0 <= speculative["accepted"] <= speculative["judged"]
    assert speculative["rounds"] < speculative["tokens"]
    served = results["timed/serving"].value
    assert all(np.array(own).shape == (SMOKE.windows, 6) for own in served.values())
    assert len(report.claims) == 8
    assert all(claim.verdict != "not tested" for claim in report.claims)
