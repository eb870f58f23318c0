"""AMD2G: what each stage reads, where dictionaries come from, equal budgets and searches, no test dialogue anywhere."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.curriculum.amd2g_dialogue import (
    AMD2G,
    ARMS,
    EXPERIMENT,
    FORMS,
    JOINT,
    OTHER,
    POOL,
    TARGET,
    Place,
    alike,
    pool,
    preset,
    rows,
    tokenizer,
)
from stagejax import Plan
from stagejax.data import SEP, codec
from stagejax.data.dialogue.delexicalized import PLACEHOLDER
from stagejax.data.dialogue.domain_pool import MASKED, PLAIN, RANDOM
from stagejax.data.dialogue.domain_terms import turns_of
from stagejax.data.dialogue.drawn_dialogues import NOUNS
from stagejax.inference import Frozen, apply
from stagejax.inference.likelihood import row_losses
from stagejax.names import slug
from stagejax.report import shown

SMOKE = preset("smoke")
PARK = Place("park", 0)
POOL_OF = pool(SMOKE, PARK)
finished = smoke_run(EXPERIMENT, SMOKE)
slow = pytest.mark.slow  # a smoke run of half a minute, most of it compilation


def texts(data: Any) -> list[str]:
    """All rows of some data, what they show and what is learned."""
    code = codec(data.tokenizer, data.source, "question")
    return [code.decode([*row["tokens"][:1], *row["targets"]]) for row in unbatched(data)]


def unbatched(data: Any) -> list[dict[str, np.ndarray]]:
    taken = data.take(np.arange(data.size()))
    return [{name: leaf[i] for name, leaf in taken.items()} for i in range(data.size())]


def stages(results: dict[str, Any], place: Place, arm: str) -> list[tuple[Any, Any]]:
    """Every stage of an arm: its best state, and the training that found it."""
    at = f"{place.target}/{place.seed}"
    names = {TARGET: ["target"], JOINT: ["joint"]}.get(arm, [f"{slug(arm)}/first", f"{slug(arm)}/second"])
    return [(results.get(f"{at}/{n}", results[f"{at}/{n}/whole"]), results[f"{at}/{n}/whole"]) for n in names]


@slow
def test_stages_read_what_they_say(finished: Any) -> None:
    results, _, _ = finished
    few, every = POOL_OF.dialogues("park"), len(POOL_OF.together(PLAIN))
    assert len(few) == 4
    assert every == 4 + 40 + 40
    for arm in ARMS:
        *first, last = (best.stage for best, _ in stages(results, PARK, arm))
        assert last.data.size() == 6 * (every if arm == JOINT else 4)
        assert not any(PLACEHOLDER in text for text in texts(last.data))
        assert not any(PLACEHOLDER in text for text in texts(last.evaluate.data))
        for stage in first:
            assert stage.data.size() == 6 * every
            assert (PLACEHOLDER in "".join(texts(stage.data))) == (FORMS[arm] != PLAIN)
            own = POOL_OF.read("park", POOL_OF.domain("park").validation, FORMS[arm])
            assert stage.evaluate.data.source.source == own
    masked = texts(stages(results, PARK, AMD2G)[0][0].stage.data)
    names = {turn["facts"][0][0] for turn in turns_of(POOL_OF.together(PLAIN)) if turn["facts"]}
    assert not any(name in text for text in masked for name in names)
    other = texts(stages(results, PARK, OTHER)[0][0].stage.data)
    assert any(noun in text for text in other for noun in NOUNS["film"])


@slow
def test_arms_have_equal_steps_at_most_and_keep_the_best_of_them(finished: Any) -> None:
    results, _, _ = finished
    for place in (PARK, Place("park", 1)):
        for arm in ARMS[: 4 if place.seed else 5]:
            own = stages(results, place, arm)
            assert sum(whole.stage.steps for _, whole in own) == SMOKE.steps
            for best, whole in own:
                losses = {row["step"]: row["loss"] for row in whole.history.evals if row["step"]}
                assert losses[best.steps] == min(losses.values())
                assert best.history.last("loss") == pytest.approx(losses[best.steps], rel=1e-6)  # the same bits
                assert whole.steps == whole.stage.steps or whole.grows


@slow
def test_every_stage_of_every_arm_is_searched_alike_and_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    assert len(arms) == 2 * len(ARMS) - 1  # random terms with the first seed alone
    for arm in ARMS:
        for best, whole in stages(results, PARK, arm):
            name = whole.name.removesuffix("/whole")
            among = SMOKE.rates[whole.stage.data.source.source == POOL_OF.dialogues("park")]
            tried = {rate: results[f"{name}/{rate:g}"] for rate in among}
            lowest = {rate: min(row["loss"] for row in own.history.evals) for rate, own in tried.items()}
            assert best.stage.optimizer.peak == min(lowest, key=lambda rate: lowest[rate])
            assert tried[best.stage.optimizer.peak].digest == whole.digest  # the pilot is the training
            charged = {one.digest for one in (*arms[f"{arm}, park"].results, *arms[f"{arm}, park"].charged)}
            assert {own.digest for own in tried.values()} | {results["base"].digest} <= charged
            if arm != OTHER:
                assert {own.digest for own in tried.values()} <= {
                    one.digest for one in arms[f"{arm}, park, seed 1"].charged
                }
        if arm == OTHER:
            continue
        at = [best.stage.optimizer.peak for best, _ in stages(results, Place("park", 1), arm)]
        assert at == [best.stage.optimizer.peak for best, _ in stages(results, PARK, arm)]
    assert not any(
        name.startswith("park/1") and name.endswith(tuple(f"/{rate:g}" for own in SMOKE.rates for rate in own))
        for name in results
    )


@slow
def test_the_second_stage_begins_with_the_best_of_the_first(finished: Any) -> None:
    results, _, _ = finished
    for arm in FORMS:
        (first, _), (second, _) = stages(results, PARK, arm)
        data = second.stage.evaluate.data
        before = evaluated(first, data)
        assert second.history.evals[0]["loss"] == pytest.approx(before, rel=1e-5)


def evaluated(net: Any, data: Any) -> float:
    """The loss of a network on all evaluation batches of some data."""
    taken = data.take(np.arange(data.count * data.batch))
    tokens = taken["weights"].sum(1)
    return float((apply(row_losses, Frozen.of(net), taken, data.batch) * tokens).sum() / tokens.sum())


@slow
def test_the_report_is_of_the_test(finished: Any) -> None:
    results, report, _ = finished
    value = results[f"park/0/{slug(AMD2G)}/test"].value
    assert 0 < value["loss"] < math.log(SMOKE.net.vocab)
    assert 0 <= value["masked"] <= 1
    asked = {text for text, _, _ in value["texts"]}
    tests = " ".join(turn["text"] for turn in turns_of(POOL_OF.domain("park").test))
    assert all(text.strip() in tests for text in asked)
    table = next(table for table in report.tables if table.title == "Test loss")
    row = next(row for row in table.rows if row[0] == AMD2G)
    both = [results[f"park/{seed}/{slug(AMD2G)}/test"].value["loss"] for seed in SMOKE.seeds]
    assert row[1] == shown(both)
    known = results["park/0/texts"].value
    assert known["alike"][MASKED][0] > known["alike"][PLAIN][0]
    assert known["alike"][MASKED][1] > known["alike"][RANDOM][1]
    assert known["masked"][PLAIN] == [0, 0, 0]
    assert min(known["masked"][MASKED]) > 0 < max(known["masked"][RANDOM])
    verdicts = [claim.verdict for claim in report.claims]
    assert verdicts[1:4] == ["not tested"] * 3  # one seed has no spread
    assert verdicts[5] == "holds"


def test_dictionaries_are_made_of_what_is_trained_on() -> None:
    park = POOL_OF.dictionary("park")
    assert park.own == POOL_OF.dialogues("park")
    assert len(park.own) == 4
    seen = "\n".join(turn["text"] for turn in turns_of(POOL_OF.together(PLAIN)))
    named = {
        name for turn in turns_of(POOL_OF.domain("park").test) for fact in turn["facts"] for name in (fact[0], fact[2])
    }
    terms = {name for own in SMOKE.domains for name in POOL_OF.dictionary(own.name).terms()}
    assert all(term in seen for term in terms)
    assert not {name for name in named if name.isalpha()} & terms
    assert set(NOUNS["film"]) <= set(POOL_OF.dictionary("film").terms())


def test_seeds_draw_other_dialogues_and_forms_are_of_the_same_ones() -> None:
    def few(seed: int) -> list[Any]:
        own = pool(SMOKE, Place("park", seed)).dialogues("park")
        return [own[i]["turns"][3]["text"] for i in range(len(own))]

    assert few(0) == few(0) != few(1)
    sizes = {form: len(list(turns_of(POOL_OF.together(form)))) for form in (PLAIN, MASKED, RANDOM)}
    assert set(sizes.values()) == {84 * 7}


def test_responses_alone_are_learned_and_one_token_is_a_placeholder() -> None:
    data = rows(SMOKE, PARK, POOL_OF.together(MASKED))
    code = codec(data.tokenizer, data.source, "question")
    for row in unbatched(data)[:50]:
        learned = row["targets"][row["weights"] > 0]
        text = code.decode([*row["tokens"][:1], *row["targets"]])
        assert learned[-1] == SEP
        assert code.decode(learned) == text.split("\n")[1]
    assert len(code.encode([PLACEHOLDER])[0]) == 1
    without = replace(SMOKE, generic=None)
    assert codec(tokenizer(without, PARK), data.source).decode(code.encode(["x"])[0]) is not None


def test_likeness_by_hand() -> None:
    assert alike({"a": ["abc□"], "b": ["ab", "□d"]}, 1) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert alike({"a": ["abc□"], "b": ["ab", "□d"]}, 2) == pytest.approx((1 / 2 + 1) / 2)


def test_the_vocabulary_fits() -> None:
    for name in ("smoke", "laptop", "pod"):
        cfg = preset(name)
        place = Place(cfg.domains[0].name, 0)
        assert tokenizer(cfg, place).vocab == cfg.net.vocab
        assert cfg.context + cfg.response + 1 == cfg.net.length


@pytest.mark.skipif("STAGEJAX_DATA" not in os.environ, reason="STAGEJAX_DATA is not set")
def test_no_test_dialogue_is_in_training() -> None:
    cfg = preset("laptop")
    for own in cfg.domains:
        told = {
            part: {"\n".join(turn["text"] for turn in source[i]["turns"]) for i in range(len(source))}
            for part, source in (("train", own.train), ("validation", own.validation), ("test", own.test))
        }
        assert [len(told[part]) for part in ("train", "validation", "test")] == [120, 30, 150]
        assert not told["train"] & told["test"] | told["train"] & told["validation"] | told["test"] & told["validation"]


def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=1", price=False), SMOKE)
    assert {claim.verdict for claim in report.claims} == {"not tested"}
    assert POOL in {arm.group.split(",")[0] for arm in report.arms}
