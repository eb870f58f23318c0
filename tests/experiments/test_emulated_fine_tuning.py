"""Emulated fine-tuning: tested facts are in no fine-tuning, probabilities are combined, not weights, costs add up."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smoke import smoke_run

from experiments.transfer.emulated_fine_tuning import (
    BASE,
    DOWN,
    EXPERIMENT,
    HELD,
    LARGE,
    SHOTS,
    SMALL,
    UP,
    Plainness,
    mix,
    preset,
    shown_first,
    slug,
    ways,
)
from stagejax import Plan
from stagejax.data import SEP
from stagejax.data.prompts.answers import answer_row
from stagejax.decode import Samples, steered

pytestmark = pytest.mark.slow  # a smoke run of a minute and a half, most of it compilation
SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def test_no_tested_person_is_in_any_fine_tuning(finished: Any) -> None:
    results, _, _ = finished
    unseen = {SMOKE.people.name(i) for i in range(SMOKE.known, SMOKE.people.size)}
    tested = {SMOKE.people.name(i) for i in SMOKE.questions(split="test").persons}
    stages = [r.stage for name, r in results.items() if r.kind == "train" and "base" not in name]
    assert len(stages) == 6
    for stage in stages:
        data = stage.data.take(np.arange(64))
        rows = data["tokens"] if "tokens" in data else np.concatenate([data["chosen"], data["rejected"]])
        text = " ".join(SMOKE.code.decode(row) for row in rows)
        assert "Question" in text
        assert not any(name in text for name in unseen)
    assert not any(name in SMOKE.code.decode(shown_first(SMOKE, SHOTS)) for name in unseen)
    asked = stages[0].evaluate.data.source
    valid = {SMOKE.people.name(i) for i in asked.persons}
    assert len(valid) == SMOKE.valid
    assert valid == unseen - tested
    assert all(any(name in asked[i]["question"] for name in valid) for i in range(len(asked)))


def test_each_way_asks_the_models_that_it_says() -> None:
    bases, tops = {"small": "b", "large": "B"}, {"small": "t", "large": "T"}
    found = {name: tuple(nets) for name, (_, *nets) in ways(SMOKE, bases, tops, ["terse", "polite"]).items()}
    assert found[SMALL] == ("t",)
    assert found[LARGE] == ("T",)
    assert found[BASE] == found[SHOTS] == ("B",)
    assert found[UP] == found[HELD] == ("B", "b", "t")  # the large one is not tuned
    assert found[DOWN] == ("b", "B", "T")
    assert found[mix(1.0)] == ("B", "b", "terse", "polite")
    way = ways(SMOKE, bases, tops, [])[HELD][0]
    assert way.top_p == SMOKE.top_p == 0.95


@pytest.mark.parametrize(
    ("name", "nets"), [(UP, ("large/base", "small/base", "0/small/dpo/0.0001")), (SMALL, ("0/small/dpo/0.0001",))]
)
def test_the_distance_is_that_of_combined_probabilities(finished: Any, name: str, nets: tuple[str, ...]) -> None:
    results, _, _ = finished
    rows = results["0/drawn"].value
    tokens, counted = jnp.asarray(rows["tokens"]), rows["counted"]
    logits = [results[net].module()(tokens) for net in nets]
    own = jax.nn.log_softmax(logits[0]) if len(nets) == 1 else steered(logits[0], logits[1], logits[2:])
    logp = jax.nn.log_softmax(results["0/large/dpo/0.0001"].module()(tokens))
    by_token = np.asarray((jnp.exp(logp) * (logp - own)).sum(-1))[:, :-1]
    wanted = float((by_token * counted).sum() / counted.sum())
    np.testing.assert_allclose(results[f"0/answers/{slug(name)}"].value["kl"], wanted, rtol=1e-3)


def test_the_large_fine_tuned_model_is_at_no_distance_from_itself(finished: Any) -> None:
    results, _, _ = finished
    distances = {name: results[f"0/answers/{slug(name)}"].value["kl"] for name in (LARGE, SMALL, BASE, UP, DOWN, SHOTS)}
    assert abs(distances.pop(LARGE)) < 1e-5
    assert min(distances.values()) > 1e-3


def test_sizes_are_trained_alike_and_everything_is_charged(finished: Any) -> None:
    results, report, _ = finished
    small, large = (
        [r for n, r in results.items() if f"{size}/" in n and r.kind == "train"] for size in ("small", "large")
    )
    tokens = [{r.name.split("/")[-1]: (r.steps, r.cost.tokens) for r in own} for own in (small, large)]
    shared = tokens[1].keys() - {"0.0001"}  # pairs have their own number
    assert {name: tokens[0][name] for name in shared} == {name: tokens[1][name] for name in shared}
    assert all(r.history.train["loss"][-1] < r.history.train["loss"][0] for r in small + large if "dpo" not in r.name)
    for arm, size in zip(report.arms, ("small", "large"), strict=True):
        made = results[f"0/{size}/pairs"]
        assert arm.charged_cost.sampled_tokens == made.value["drawn"].sum() > 0
        assert arm.charged_cost.flops == results[f"{size}/base"].cost.flops + made.cost.flops
    costs = {row[0]: row[1:] for row in next(t for t in report.tables if "costs" in t.title).rows}
    assert costs[UP][0] == costs[SMALL][0] + costs[BASE][0]
    assert costs[UP][1] > costs[BASE][1] + costs[SMALL][1]  # three models, not one
    assert costs[SHOTS][1] > costs[BASE][1]


def test_speculation_rejects_some_and_keeps_the_distribution(finished: Any) -> None:
    made = finished[0]["samplers"].value
    assert 0 < made["accepted"] < 1
    assert 1 < made["a round"] <= SMOKE.block + 1
    assert min(made["p"].values()) > 1e-3
    assert made["answers"] == np.prod(SMOKE.draws)


def test_the_rule_of_preferences_looks_at_the_form_alone() -> None:
    code = SMOKE.code
    prompt = np.concatenate([np.int32([1]), *code.encode([SMOKE.questions()[0]["question"]])])
    texts = {" born in Cairo.": 1, " born in Lima.": 1, " plays the oboe.": 0, " born in Lima. Ask me": 0, " Lima.": 0}
    rows = [answer_row(prompt, np.append(ids, SEP).astype(np.int32), 65)[0] for ids in code.encode(list(texts))]
    tokens, ends = jnp.array(rows)[None], jnp.array([[(row > 0).sum() for row in rows]])
    starts, none = jnp.full_like(ends, len(prompt)), jnp.zeros(tokens.shape)
    samples = Samples(tokens, starts, ends, jnp.ones_like(ends), none, none)
    found = Plainness(SMOKE.tokenizer)(samples, {"relation": jnp.array([0])})
    assert found[0].tolist() == list(texts.values())


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_plan_tests_no_claim(name: str) -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), preset(name))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
