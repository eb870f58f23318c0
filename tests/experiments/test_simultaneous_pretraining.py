"""SimPT at smoke size: what each arm reads and from which words, equal steps, and what tasks take over."""

import json
from typing import Any

import numpy as np
import pytest
from smoke import flat, smoke_run

from experiments.transfer.simultaneous_pretraining import (
    DOMAIN,
    EXPERIMENT,
    GENERAL,
    JOINED,
    NONE,
    OWN_WORDS,
    PRETRAINED,
    SEQUENTIAL,
    SIMPT,
    preset,
    pretraining,
    read_by,
    vocabulary,
)
from stagejax import Plan
from stagejax.data import codec
from stagejax.data.selection.amplified import Amplified
from stagejax.names import slug

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def data_of(label: str, stage: int = 0, seed: int = 0) -> Any:
    return pretraining(SMOKE, "any", read_by(SMOKE, label)[stage], vocabulary(SMOKE, label), seed).data


def texts(source: Any) -> list[str]:
    return [source[i]["text"] for i in range(len(source))]


@pytest.mark.slow
def test_simpt_reads_both_corpora_in_equal_amounts_and_concatenation_does_not() -> None:
    both, joined = data_of(SIMPT), data_of(JOINED)
    assert [source for source, _ in both.corpora] == [SMOKE.domain, SMOKE.general]
    tokens = np.zeros(2)
    for file in range(20):
        for corpus, drawn in enumerate(both.drawn(file)):
            sizes, shards = np.diff(both._corpus(corpus).starts), both.shards(corpus)
            tokens[corpus] += sum(sizes[shards[shard]].sum() for shard in drawn)
    assert 0.8 < tokens[0] / tokens[1] < 1.25
    share = len(both._corpus(0).ids) / len(both._corpus(1).ids)
    assert share < 0.25  # of the small corpus, which concatenation keeps
    assert len(joined._corpus(0).starts) - 1 == len(SMOKE.domain) + len(SMOKE.general)
    assert len(joined.shards(0)) > 4 * SMOKE.shards // 2


def test_domain_text_comes_again_with_new_masks_and_in_other_company() -> None:
    data = data_of(SIMPT)
    assert len(data.shards(0)) < SMOKE.files * SMOKE.shards // 2  # so shards come again
    files = [data.take(np.arange(file * SMOKE.rows, (file + 1) * SMOKE.rows)) for file in range(SMOKE.files)]
    rows = [{row.tobytes() for row in batch["tokens"]} for batch in files]
    assert max(len(a & b) for i, a in enumerate(rows) for b in rows[:i]) <= 1


def test_each_vocabulary_is_learned_from_what_its_arm_reads() -> None:
    sources = {label: vocabulary(SMOKE, label).source for label in (NONE, *PRETRAINED)}
    assert {label for label, source in sources.items() if source == SMOKE.general} == {
        NONE, GENERAL, SEQUENTIAL, OWN_WORDS,
    }  # fmt: skip
    assert sources[DOMAIN] == SMOKE.domain
    assert sources[SIMPT] == Amplified(SMOKE.general, SMOKE.domain)
    assert sources[SIMPT].times > 5
    held = texts(SMOKE.domain.of_split("test"))
    general, joined, amplified = (
        sum(map(len, codec(vocabulary(SMOKE, label), SMOKE.general).encode(held))) for label in (GENERAL, JOINED, SIMPT)
    )
    assert amplified < joined < general


@pytest.mark.parametrize("name", EXPERIMENT.presets)
def test_sequential_pretraining_reads_one_text_after_the_other(name: str) -> None:
    cfg = preset(name)
    first, second = read_by(cfg, SEQUENTIAL)
    assert [first, second] == [read_by(cfg, GENERAL)[0], read_by(cfg, DOMAIN)[0]]
    assert len(read_by(cfg, SIMPT)) == 1
    assert read_by(cfg, OWN_WORDS) == read_by(cfg, SIMPT)
    assert not read_by(cfg, NONE)
    assert {sum(number for _, number in corpora) for label in PRETRAINED for corpora in read_by(cfg, label)} == {
        cfg.shards
    }


def test_texts_of_the_domain_task_are_in_no_corpus() -> None:
    task = SMOKE.domain_task.text
    own = {text for split in ("train", "test") for text in texts(task.of_split(split).source)}
    for split in ("train", "test"):
        for document in texts(SMOKE.domain.of_split(split)):
            assert not [text for text in own if f"\n{text}\n" in f"\n{document}\n"]
    assert not set(texts(SMOKE.domain)) & set(texts(SMOKE.domain.of_split("test")))


@pytest.mark.slow
def test_arms_have_equal_steps_rows_and_recipes(finished: Any) -> None:
    _, report, _ = finished
    arms = {arm.group: arm for arm in report.arms if not arm.name.endswith("seed 1")}
    assert list(arms) == [NONE, *PRETRAINED]
    before = {label: arms[label].results[:-1] for label in PRETRAINED}
    assert {sum(r.steps for r in results) for results in before.values()} == {SMOKE.steps}
    assert {(r.stage.data.batch, r.stage.data.length, r.stage.optimizer) for own in before.values() for r in own} == {
        (SMOKE.batch, SMOKE.encoder.length, before[SIMPT][0].stage.optimizer)
    }
    assert len({float(sum(r.cost.flops for r in results)) for results in before.values()}) == 1
    assert len({(arm.results[-1].steps, arm.results[-1].cost.flops) for arm in arms.values()}) == 1
    assert [arm.group for arm in report.arms if arm.name.endswith("seed 1")] == [NONE, *PRETRAINED]


@pytest.mark.slow
def test_tasks_take_over_the_encoder_and_learn_apart(finished: Any) -> None:
    results, _, _ = finished
    before, after = (results[f"0/{slug(SIMPT)}/{ending}"] for ending in ("text-0", "tasks"))
    first = flat(before)
    for name in [task.text.name for task in SMOKE.tasks]:
        rows = [row for row in after.handover if row[0] == f"{name}: params"]
        assert {row[3] for row in rows} == {"carry", "reset", "freeze", "drop"}
        own = flat(after.member(name))
        kept = [path for path in first if path.startswith("encoder/head")]
        assert kept
        assert all(np.array_equal(own[path], first[path]) for path in kept)
        assert np.abs(own["encoder/tokens/table"] - first["encoder/tokens/table"]).max() > 0
        assert not [path for path in own if path.startswith("pooler")]
        assert own["head/bias"].shape == ({t.text.name: t.text.classes for t in SMOKE.tasks}[name],)
    second = results[f"0/{slug(SEQUENTIAL)}/text-1"]
    assert second.generation == 1
    assert {row[3] for row in second.handover if row[0] == "params"} == {"carry"}
    assert before.generation == 0


@pytest.mark.slow
def test_the_report_judges_and_shows_words_and_losses(finished: Any) -> None:
    _, report, folder = finished
    assert [claim.verdict != "not tested" for claim in report.claims] == [True] * 5
    tuned, losses, words = report.tables
    assert [row[0] for row in tuned.rows] == ["largest class", NONE, *PRETRAINED]
    assert [row[0] for row in losses.rows] == list(PRETRAINED)
    domain = {row[0]: row[2] for row in words.rows}
    assert domain[SIMPT] < domain[JOINED] < domain[GENERAL]
    assert json.loads((folder / "report.json").read_text())["claims"]


@pytest.mark.slow
def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), preset("laptop"))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
