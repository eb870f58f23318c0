"""GFSLT-VLP at smoke size: what each stage takes over and learns from, what the arms cost, what no stage sees."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from smoke import flat, smoke_run

from experiments.multimodal.gfslt_vlp import (
    EQUAL,
    EXPERIMENT,
    LABELS,
    RANDOM,
    SHORT,
    TABLES,
    V1,
    V2,
    clips,
    preset,
    videos_of,
    vlp,
)
from stagejax import Plan
from stagejax.budget import flops
from stagejax.data.tokenizers import MASK
from stagejax.models.multimodal.sign_translation import TextDecoder
from stagejax.objectives.sound.signs import alignment, both, restoration

SMOKE = preset("smoke")
finished = smoke_run(EXPERIMENT, SMOKE)


def arms_of(report: Any) -> dict[str, Any]:
    return {arm.group: arm for arm in report.arms}


def part(flattened: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {path: leaf for path, leaf in flattened.items() if path.startswith(f"{name}/")}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    assert one.keys() == other.keys()
    assert one
    return all(np.array_equal(leaf, other[path]) for path, leaf in one.items())


@pytest.mark.slow
def test_stages_take_over_what_the_paper_says(finished: Any) -> None:
    results, _, _ = finished
    base, first = flat(results["text"]), results["0/vlp"]
    sign, decoder = part(flat(first.member("pair")), "sign"), flat(first.member("decoder"))
    v1, v2, fresh = (flat(results[f"0/{name}/begun"]) for name in ("vlp-v1", "vlp-v2", "slt-only-equal-flops"))
    assert same(part(v1, "sign"), sign)
    assert same(part(v2, "sign"), sign)
    assert same(part(v2, "cross"), part(decoder, "cross"))
    assert same(part(v2, "decoder"), part(decoder, "decoder"))
    for begun in (v1, fresh):  # tables of stage 0, all else of the decoder anew
        known = {path for path in part(begun, "decoder") if path.startswith(TABLES)}
        assert known == {path for path in base if path.startswith(TABLES)}
        assert all(np.array_equal(begun[path], base[path]) for path in known)
        assert not same(part(begun, "cross"), part(decoder, "cross"))
    assert not same(part(fresh, "sign"), sign)
    text = {
        path.replace("text/", "encoder/", 1): leaf for path, leaf in part(flat(results["0/vlp/pair"]), "text").items()
    }
    assert same(text, part(base, "encoder"))


@pytest.mark.slow
def test_statistics_of_batch_norms_go_with_their_layers(finished: Any) -> None:
    results, _, _ = finished
    there = results["0/vlp"].state()["pair"].rest["sign"]
    here = results["0/vlp-v2/begun"].state().rest["sign"]
    jax.tree.map(np.testing.assert_array_equal, there, here)
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(there))


@pytest.mark.slow
def test_the_decoder_learns_in_every_fifth_step_by_an_optimizer_of_its_own(finished: Any) -> None:
    results, _, _ = finished
    state = results["0/vlp"].state()["decoder"]
    counts = {int(leaf) for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim == 0}
    assert counts == {-(-SMOKE.steps[1] // SMOKE.every)}
    assert not same(
        part(flat(results["0/vlp"].member("decoder")), "cross"), part(flat(results["0/vlp/decoder"]), "cross")
    )


@pytest.mark.slow
def test_what_arms_cost(finished: Any) -> None:
    _, report, _ = finished
    arms = arms_of(report)
    assert set(arms) == {EQUAL, V1, V2}
    assert {arm.charged[0].name for arm in arms.values()} == {"text"}
    searched = {label: len(arm.charged) - 1 for label, arm in arms.items()}
    assert searched == {EQUAL: 1, V1: 1, V2: 1}
    equal = arms[EQUAL].results[0]
    step = float(equal.cost.flops) / equal.steps
    assert abs(flops(*arms[EQUAL].results) - flops(*arms[V2].results)) <= step
    assert arms[V1].results[-1].steps == arms[V2].results[-1].steps < equal.steps
    for label in (EQUAL, V1, V2):
        tried = arms[label].results[-1], arms[label].charged[1]
        assert {result.stage.optimizer.peak for result in tried} == set(SMOKE.peaks)
        assert tried[0].history.last("loss") <= tried[1].history.last("loss")
        assert tried[0].stage.evaluate.data.source.split == "val"
    costs = vlp(SMOKE, 0, SMOKE.masking, "x").step_flops(np.arange(11))
    assert (costs[[0, 5, 10]] > costs[1]).all()
    assert len(set(costs[[1, 2, 3, 4, 6, 7, 8, 9]].tolist())) == 1


@pytest.mark.slow
def test_the_report_judges(finished: Any) -> None:
    results, report, _ = finished
    assert {claim.verdict for claim in report.claims} <= {"holds", "does not hold"}
    lead = results["0/vlp-v2/said"].value["bleu"] - results["0/slt-only-equal-flops/said"].value["bleu"]
    assert f"{lead:+.2f}" in report.claims[0].shown
    # Arms are compared by what no stage before the last one measures.
    evaluated = results["0/vlp"].history.evals
    assert evaluated
    assert all(report.metric not in row for row in evaluated)
    assert report.metric in results["0/vlp-v2/slt-0.001"].history.evals[-1]
    assert results["text"].history.last("loss") < 3.0  # of 25 words


@pytest.mark.slow
def test_arms_beside_the_claims_are_like_the_others() -> None:
    plan = Plan.on("data=1", price=False)
    arms = arms_of(EXPERIMENT.pipeline(plan, replace(SMOKE, beside=(SHORT, RANDOM))))
    assert set(arms) == set(LABELS)
    assert {label for label, arm in arms.items() if len(arm.charged) == 1} == {SHORT, RANDOM}  # no search
    assert len({arms[label].results[-1].steps for label in (SHORT, V1, V2, RANDOM)}) == 1
    peaks = {label: arm.results[-1].stage.optimizer.peak for label, arm in arms.items()}
    assert (peaks[SHORT], peaks[RANDOM]) == (peaks[EQUAL], peaks[V2])
    last, random = (arms[label].results[0].stage for label in (V2, RANDOM))
    assert (last.data.texts.masking.last, random.data.texts.masking.last) == (True, False)
    masking = replace(last.data.texts.masking, last=False)
    data = replace(last.data, texts=replace(last.data.texts, masking=masking))
    assert random.data == data
    assert (random.model, random.steps, random.seed) == (last.model, last.steps, last.seed)


def test_phrases_and_drawers_of_the_test_are_in_no_stage() -> None:
    train, test = SMOKE.videos, SMOKE.videos.of_split("test")
    known = {SMOKE.texts[i]["text"] for i in range(len(SMOKE.texts))}
    assert not known & {test[i]["text"] for i in range(len(test))}
    assert {train[i]["text"] for i in range(len(train))} <= known
    assert {train[i]["signer"] for i in range(len(train))} <= set(range(1, 15))
    assert {test[i]["signer"] for i in range(len(test))} <= set(range(17, 21))
    batch = videos_of(SMOKE)
    assert set(batch) == {"inputs", "mask", "text", "masked", "text_mask", "tokens", "targets", "weights"}


def first_batch() -> dict[str, Any]:
    return {name: jnp.asarray(leaf) for name, leaf in clips(SMOKE, 4, 0).take(np.arange(4)).items()}


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {
        "pair": SMOKE.pair.build(nnx.Rngs(0)),
        "decoder": TextDecoder(SMOKE.text_net).build(nnx.Rngs(1)),
    }


@pytest.mark.slow
def test_restoration_moves_the_decoder_alone(models: dict[str, Any]) -> None:
    batch = first_batch()

    def loss(pair: Any) -> Any:
        return restoration(models["decoder"], batch, None, {"pair": pair}, smoothing=0.2)[0]

    grads = jax.tree.leaves(nnx.to_pure_dict(nnx.grad(loss)(models["pair"])))
    assert all(not np.asarray(leaf).any() for leaf in grads)
    assert (batch["masked"] == MASK).any(1).all()  # at least one word, and the last ones
    for row, there in zip(*(np.asarray(batch[name]) for name in ("masked", "text_mask")), strict=True):
        words = row[there][:-1]
        count = int((words == MASK).sum())
        assert (words[len(words) - count :] == MASK).all()


@pytest.mark.slow
def test_alignment_reads_the_end_token_and_the_summary(models: dict[str, Any]) -> None:
    batch = first_batch()
    loss, _ = alignment(models["pair"], batch, None)
    assert np.isfinite(loss)
    longer = {name: jnp.pad(batch[name], ((0, 0), (0, 1))) for name in ("text", "text_mask")}
    again, _ = alignment(models["pair"], batch | longer, None)
    np.testing.assert_allclose(loss, again, rtol=1e-5)  # padding is nothing
    other = batch | {"inputs": batch["inputs"] * jnp.linspace(0, 1, SMOKE.frames)[None, :, None, None, None]}
    assert abs(float(alignment(models["pair"], other, None)[0]) - float(loss)) > 1e-6
    _, every = partial(both, smoothing=0.2)(models, batch, None)
    assert {"rows", "columns", "restored_loss", "restored_accuracy"} <= set(every)
    assert jnp.isfinite(every["restored_loss"][0])


@pytest.mark.parametrize("name", ["laptop", "pod"])
def test_videos_fit_their_presets(name: str) -> None:
    cfg = preset(name)
    spec = clips(cfg, 2, 0).sample_spec()
    assert spec["inputs"].shape == (cfg.frames, cfg.pixels, cfg.pixels, cfg.channels)
    assert spec["mask"].shape[0] + 1 == cfg.sign.transformer.length
    assert cfg.sign.frames.sizes()[cfg.width[0]] == cfg.width[1]
