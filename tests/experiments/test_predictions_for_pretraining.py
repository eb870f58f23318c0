"""Predictions for pre-training at smoke size: where stages begin, what they read, equal steps, no labels in between."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from smoke import flat, smoke_run

from experiments.self_training.predictions_for_pretraining import (
    ARMS,
    CLASSIC,
    EXPERIMENT,
    FREQUENT,
    HARD,
    INIT,
    LONGER,
    MASKED,
    ST_C,
    WORDS,
    B,
    D,
    preset,
    tasks,
)
from stagejax import Plan
from stagejax.data.selection.predicted import Hidden
from stagejax.inference.selection.pool_tasks import of_words_alone
from stagejax.names import slug
from stagejax.objectives.text.on_texts import by_logits, logits_and_masked, what_was_masked

SMOKE = preset("smoke")
NEWS = SMOKE.news_sizes[0]
finished = smoke_run(EXPERIMENT, SMOKE)


def of(results: dict[str, Any], name: str) -> Any:
    return results[f"who/{NEWS.labels}/0/{name}"]


def said(source: Any) -> list[str]:
    return [" ".join(source[i]["form"]) for i in range(len(source))]


def test_pools_validation_and_test_share_no_text() -> None:
    cfg = preset("laptop")
    news, tags = tasks(cfg)
    own = {cfg.pool.texts(i) for i in range(cfg.news_pool)}
    for held in (news.validation.data, news.test.data):
        assert held.count * held.batch <= len(held.task.source)
        assert not own & {held.task.texts(i) for i in range(len(held.task.source))}
    assert not {text for _, text in own} & {news.test.data.task.texts(i)[1] for i in range(1600)}
    assert not np.intersect1d(said(tags.pool.source), said(tags.test.data.source)).size
    assert tags.pool.size() == cfg.tag_pool
    words = cfg.words.source
    assert len(words) == len(cfg.text) + cfg.news_pool + cfg.tag_pool


@pytest.mark.slow
def test_the_masked_variant_is_the_sum_of_both_losses_on_masked_text() -> None:
    task = tasks(SMOKE)[0]
    model, rng = task.model.build(nnx.Rngs(0)), np.random.default_rng(0)
    tokens, hidden = (jnp.asarray(rng.integers(5, 300, (2, 9))) for _ in range(2))
    batch = {"tokens": tokens, "masked": hidden, "weights": jnp.ones((2, 9)), "label": jnp.zeros(2, int)}
    batch["logits"] = jnp.asarray(rng.normal(size=(2, 5)), jnp.float32)
    parts = by_logits(model, batch | {"tokens": hidden}, None)[0], what_was_masked(model, batch, None)[0]
    assert float(logits_and_masked(model, batch, None)[0]) == pytest.approx(float(sum(parts)), rel=1e-5)
    other = by_logits(model, batch | {"label": jnp.ones(2, int)}, None)[0]
    assert float(other) == float(by_logits(model, batch, None)[0])  # labels teach nothing


@pytest.mark.slow
def test_model_c_begins_at_stage_0_and_takes_as_many_steps_as_model_a(finished: Any) -> None:
    results, _, _ = finished
    start, model_a = results["general"], results[f"who/model-a/{SMOKE.steps}"]
    for label in (D, HARD, MASKED):
        stage = of(results, f"{slug(label)}/model-c")
        assert stage.generation == model_a.generation == start.generation + 1
        assert stage.steps == model_a.steps
        assert stage.stage.data.batch == model_a.stage.data.batch
        assert stage.stage.optimizer == model_a.stage.optimizer
        assert {row[3] for row in stage.handover if row[0] == "params"} >= {"carry", "reset"}
    assert results[f"who/model-a/{2 * SMOKE.steps}"].steps == 2 * SMOKE.steps
    one, whole = flat(start), flat(of(results, f"{slug(D)}/model-c"))
    kept = [path for path in one if path.startswith("encoder/head")]
    assert kept
    assert all(np.array_equal(one[path], whole[path]) for path in kept)
    changed = flat(of(results, f"{slug(MASKED)}/model-c"))
    assert any(not np.array_equal(one[path], changed[path]) for path in kept)


@pytest.mark.slow
def test_no_label_is_read_by_model_a_and_pseudo_labels_alone_by_model_c(finished: Any) -> None:
    results, _, _ = finished
    model_a = results[f"who/model-a/{SMOKE.steps}"].stage.data
    assert isinstance(model_a.data, Hidden)
    assert "label" not in model_a.take(np.arange(2))
    said = of(results, f"{slug(B)}/predictions").value
    assert len(said["rows"]) == SMOKE.news_pool
    np.testing.assert_array_equal(said["label"], said["logits"].argmax(-1))
    data = of(results, f"{slug(D)}/model-c").stage.data
    numbers = np.arange(40)
    batch, records = data.take(numbers), data.records(numbers)
    np.testing.assert_array_equal(batch["label"], said["label"][records])
    np.testing.assert_array_equal(batch["logits"], said["logits"][records])
    true = data.data.take_records(records)["label"]
    assert (true != batch["label"]).any()


@pytest.mark.slow
def test_the_last_fine_tuning_is_on_labels_alone_and_classic_self_training_on_both(finished: Any) -> None:
    results, _, _ = finished
    labelled = of(results, "labels").value
    for label in (INIT, B, LONGER, D, HARD, MASKED):
        stage = of(results, f"{slug(label)}/tuned")
        records = set(stage.stage.data.records(np.arange(3 * NEWS.labels)).tolist())
        assert records == set(labelled["rows"].tolist())
        assert stage.steps == NEWS.steps
    for label in CLASSIC:
        both, student = of(results, f"{slug(label)}/both").value, of(results, f"{slug(label)}/student")
        assert both["rows"][: NEWS.labels].tolist() == labelled["rows"].tolist()
        counts = np.bincount(both["label"][both["pseudo"]])
        assert len(set(counts[counts > 0].tolist())) == 1
        assert student.steps == SMOKE.steps + NEWS.steps
        assert student.stage.data.batch == SMOKE.batch
    tuned, student = of(results, f"{slug(D)}/tuned"), of(results, f"{slug(ST_C)}/student")
    for stage in (tuned, student):
        assert "reset" not in {row[3] for row in stage.handover if row[0] == "params"}  # C keeps its head


@pytest.mark.slow
def test_searches_and_teachers_are_charged(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.group: arm for arm in report.arms}
    assert set(ARMS) <= set(arms)
    assert all(results["general"] in arm.charged for arm in arms.values())
    names = {label: {result.name for result in (*arm.results, *arm.charged)} for label, arm in arms.items()}
    for label, kinds in ((INIT, "0"), (B, "A"), (LONGER, "A"), (D, "AC"), (HARD, "AC"), (ST_C, "AC")):
        tried = {f"who/rates/{kind}/{peak:g}" for kind in kinds for peak in SMOKE.peaks}
        assert tried <= names[label]
    assert f"who/{NEWS.labels}/0/{slug(B)}/tuned" in names[D] & names[ST_C]
    assert f"who/{NEWS.labels}/0/{slug(B)}/predictions" in names[D]


@pytest.mark.slow
def test_no_network_stands_beside_the_arms_and_learns_from_the_same_labels(finished: Any) -> None:
    results, report, _ = finished
    rows = {row[0]: row[1] for row in report.tables[0].rows}
    task = tasks(SMOKE)[0]
    alone = of_words_alone(task.pool, task.test.data, of(results, "labels").value)
    assert rows[WORDS] == f"{100 * alone:.1f}"
    assert rows[FREQUENT] == f"{100 * of(results, 'simple').value['accuracy'][0]:.1f}"
    assert WORDS not in [row[0] for row in report.tables[2].rows]  # of tags


@pytest.mark.slow
def test_tags_are_predicted_by_the_token_and_chained_where_they_are_hard(finished: Any) -> None:
    results, report, _ = finished
    at = f"tags/{SMOKE.tag_sizes[0].labels}/0"
    said, data = results[f"{at}/{slug(B)}/predictions"].value, results[f"{at}/{slug(D)}/model-c"].stage.data
    assert said["logits"].shape == (SMOKE.tag_pool, SMOKE.tag_length, len(SMOKE.tags))
    batch = data.take(np.arange(4))
    np.testing.assert_array_equal(batch["targets"], said["targets"][data.records(np.arange(4))])
    chained, soft = flat(results[f"{at}/{slug(B)}/tuned"]), flat(results[f"{at}/{slug(D)}/model-c"])
    assert np.abs(chained["moves"]).max() > 0
    assert not soft["moves"].any()  # logits by the token say nothing of neighbours
    assert [claim.verdict != "not tested" for claim in report.claims] == [True] * 4 + [False, True]


@pytest.mark.slow
def test_a_plan_tests_no_claim() -> None:
    report = EXPERIMENT.pipeline(Plan.on("data=2", price=False), preset("laptop"))
    assert {claim.verdict for claim in report.claims} == {"not tested"}
