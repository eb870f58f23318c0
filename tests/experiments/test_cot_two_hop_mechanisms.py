"""CoT two-hop: all atomic facts are learned, no OOD composition is, answers begin at the question, nets are opened."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.reasoning.cot_two_hop_mechanisms import (
    COT,
    EXPERIMENT,
    PLAIN,
    Found,
    answers,
    circuits,
    noisy,
    preset,
    settings,
    slug,
)
from stagejax import Plan
from stagejax.data.knowledge.two_hop import KINDS, rows_of
from stagejax.inference.knowledge.residual import residual_stream

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # what looks at the smoke run, most of it compilation
FOLDERS = {label: f"{slug(label.replace('λ', 'lambda'))}/0" for label in settings(SMOKE)}


def told(data: Any) -> np.ndarray:
    """All rows of an epoch, whole."""
    rows = data.take(np.arange(data.size()))
    return np.concatenate([rows["tokens"], rows["targets"][:, -1:]], axis=1)


@slow
def test_all_atomic_facts_are_trained_on_and_no_composition_of_the_tests(finished: Any) -> None:
    results, _, _ = finished
    for label, folder in FOLDERS.items():
        data = results[folder].stage.data
        parts, rows = data.graph.parts(), set(map(tuple, told(data)))
        for own in (parts.id_atomic, parts.ood_atomic):
            assert set(map(tuple, rows_of(own, True)[0])) <= rows, label
        asked = {row[:3] for row in rows}
        for own in (parts.iid, parts.ood):
            assert not asked & set(map(tuple, own[:, :3])), label
            assert len(own)
        # OOD is more than an unseen pair: neither of its facts is in any composition of training.
        composed = {(h, r) for h, r, *_ in data.trained()} | {(b, s) for _, _, s, b, _ in data.trained()}
        assert not composed & {(h, r) for h, r, _ in parts.ood_atomic}, label
        assert {(h, r) for h, r, _ in parts.ood_atomic} >= {(b, s) for _, _, s, b, _ in parts.ood}


@slow
def test_arms_differ_in_what_is_told_alone(finished: Any) -> None:
    results, report, _ = finished
    stages = {label: results[folder].stage for label, folder in FOLDERS.items()}
    one = stages[COT]
    for label, own in stages.items():
        assert (own.model, own.objective, own.optimizer, own.steps, own.seed) == (
            one.model, one.objective, one.optimizer, one.steps, one.seed,
        )  # fmt: skip
        assert own.data.batch == one.data.batch
        assert results[FOLDERS[label]].cost.flops == results[FOLDERS[COT]].cost.flops
        assert own.data.graph == one.data.graph
        assert own.data.seed == one.data.seed
        assert own.data.written == label.startswith(COT)
    assert stages[COT].data.size() == stages[PLAIN].data.size()
    np.testing.assert_array_equal(stages[COT].data.trained(), stages[PLAIN].data.trained())
    false = [stages[noisy(noise)].data for noise in SMOKE.judged]
    for data, column in zip(false, (4, 3), strict=True):  # answers, then bridges
        moved = data.noise.spoil(data.graph, data.trained()) != data.trained()
        assert moved[:, column].any()
        assert not np.delete(moved, column, axis=1).any()
    cost = next(table for table in report.tables if table.title == "Speed and cost")
    per_token = {row[0]: row[4] for row in cost.rows}
    assert per_token[COT] < per_token[PLAIN]  # equal FLOPs, more targets


@slow
def test_answers_are_greedy_from_the_question_alone(finished: Any) -> None:
    results, _, _ = finished
    for label in (COT, PLAIN):
        result, made = results[FOLDERS[label]], results[f"{FOLDERS[label]}/answers"].value
        tests, last = result.stage.evaluate.data, result.history.evals[-1]
        assert result.stage.evaluate.data.of == result.stage.data
        for kind in KINDS:  # what the curves score is what is said
            assert made[kind].mean() == pytest.approx(last[kind], abs=1e-6)
            assert len(made[kind]) == len(tests.facts()[kind])
        logits, facts = jax.jit(result.module().__call__), tests.facts()["iid"]
        whole, end = rows_of(facts, label == COT)[0], 6 if label == COT else 5
        said = np.where(np.arange(6) < 3, whole, 0)
        for place in range(3, end):
            said[:, place] = np.asarray(logits(said))[:, place - 1].argmax(-1)
        np.testing.assert_array_equal(made["iid"], (said == whole).all(1))
    bridge = results[f"{FOLDERS[COT]}/answers"].value["iid bridge"]
    assert (bridge >= results[f"{FOLDERS[COT]}/answers"].value["iid"]).all()  # no right answer without its bridge
    assert "iid bridge" not in results[f"{FOLDERS[PLAIN]}/answers"].value


@slow
def test_a_wrong_bridge_is_a_wrong_answer(finished: Any) -> None:
    results, _, _ = finished
    result = results[FOLDERS[noisy(SMOKE.judged[1])]]
    made = answers(result.stage.evaluate.data, result)
    assert not (made["iid"] * (1 - made["iid bridge"])).any()
    assert made["iid bridge"].mean() >= made["iid"].mean()


@slow
def test_circuits_are_of_the_trained_nets(finished: Any) -> None:
    results, report, _ = finished
    result, made = results[FOLDERS[COT]], results[f"{FOLDERS[COT]}/circuits"].value
    tests, module = result.stage.evaluate.data, result.module()
    facts, layers = tests.facts()["iid"], SMOKE.net.layers
    assert made["iid lens"].shape == (2, layers + 1, 5)
    last = np.asarray(module.logits(module.norm(residual_stream(module, jnp.array(facts))[-1])))
    for number, column in ((0, 3), (1, 4)):
        own = np.take_along_axis(last, facts[:, None, [column]], axis=-1)
        ranks = 1 + (last > own).sum(-1)
        np.testing.assert_allclose(made["iid lens"][number, -1], (1 / ranks).mean(0), atol=1e-5)
    first = made["iid first"]
    assert set(first) <= set(range(layers + 2))
    assert len(first) == len(facts)
    chances = np.exp(last[:, 2] - np.logaddexp.reduce(last[:, 2], axis=-1, keepdims=True))
    clean = chances[np.arange(len(facts)), facts[:, 3]].mean()
    for word in ("h", "r1", "r2"):
        assert made[f"b without {word}"].shape == (layers + 1, 3)
        assert made[f"b without {word}"][-1, -1] == pytest.approx(clean, rel=1e-4)
    assert {name for name in made if name.startswith("t ")} == {f"t without {word}" for word in ("h", "r1", "r2", "b")}
    plain = results[f"{FOLDERS[PLAIN]}/circuits"].value
    assert {name for name in plain if " without " in name} == {f"t without {word}" for word in ("h", "r1", "r2")}
    again = circuits(tests, results[FOLDERS[noisy(SMOKE.judged[0])]])
    assert not np.allclose(again["iid lens"], made["iid lens"], atol=1e-3)  # another net, other circuits
    assert len([figure for figure in report.figures if figure.title.startswith(("Logit", "Causal"))]) == 5


class Made:
    def __init__(self, **value: Any) -> None:
        self.value = value


def test_measures_by_hand() -> None:
    found = Found(SMOKE, {}, {"arm": {0: Made(iid=np.array([1.0, 0.0]))}}, {})
    assert found.accuracy("arm", "iid") == [0.5]
    assert np.isnan(found.accuracy("arm", "iid bridge")).all()
    trace = np.array([[0.2, 0.4], [0.1, 0.8]])
    inside = {"arm": {0: Made(**{"t without b": trace, "iid first": np.array([1, 3])})}}
    found = Found(SMOKE, {}, {}, inside)
    assert found.kept("arm", "t", "b") == [pytest.approx(0.125)]
    assert found.first("arm") == [2.0]


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
