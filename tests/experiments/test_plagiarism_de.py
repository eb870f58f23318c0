"""DE-LSTM-BERT: what is searched, on which pairs, at which budget, and where back-propagation starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from smoke import smoke_run

from experiments.transfer.plagiarism_de import (
    CLUSTERS,
    ENTROPY,
    EXPERIMENT,
    FOCAL,
    LONGER,
    WEIGHTED,
    choices,
    preset,
    pretraining,
    rows,
    search,
    tuned,
    words,
)
from stagejax.data.tokenizers import codec
from stagejax.models.population import Population
from stagejax.names import slug

SMOKE, LAPTOP = preset("smoke"), preset("laptop")
SET, RARE = SMOKE.sets
finished = smoke_run(EXPERIMENT, SMOKE)


def named(init: str, what: str, loss: str = FOCAL, own: Any = SET) -> str:
    return f"{slug(own.name)}/{slug(loss)}/{slug(init)}/{what}"


def test_every_search_evaluates_equally_many_networks() -> None:
    for cfg in (SMOKE, LAPTOP, preset("pod")):
        for method in cfg.methods().values():
            generations = cfg.evaluations / method.evaluated(cfg.members)
            assert generations == round(generations) >= 3


def test_pairs_that_are_trained_on_chosen_by_and_tested_are_different() -> None:
    texts = {
        name: [task.source.digest(), len(task.source)]
        for name in ("train", "valid", "test")
        for task in [SET.task.part(name, SMOKE.validation)]
    }
    assert len({digest for digest, _ in texts.values()}) == 3
    assert texts["train"][1] + texts["valid"][1] == len(SET.task.source)
    kept, held = (SET.task.part(name, SMOKE.validation).source for name in ("train", "valid"))
    whole = sorted(str(SET.task.source[i]) for i in range(len(SET.task.source)))
    assert sorted(str(source[i]) for source in (kept, held) for i in range(len(source))) == whole
    code = words(SMOKE)  # and the vocabulary is that of the training pairs alone
    read = [code.source[i]["text"] for i in range(len(code.source))]
    assert read == ["\n".join(SET.task.part("train", SMOKE.validation).texts(i)) for i in range(len(kept))]
    assert pretraining(SMOKE).data.tokenizer == code
    assert codec(code, code.source).digest() == codec(pretraining(SMOKE).data.tokenizer, SET.task.source).digest()


@pytest.mark.slow
def test_all_parameters_are_searched_and_the_best_is_never_lost(finished: Any) -> None:
    results = finished[0]
    for init, method in SMOKE.methods().items():
        found = results[named(init, "search")]
        assert found.stage.model["population"] == Population(SMOKE.net, SMOKE.members, method.memory)
        members = found.state()["population"].params["members"]
        assert set(members) == set(found.state()["net"].params)  # no scalar of the recipe is searched
        best = np.asarray(found.history.train["loss"])
        assert (np.diff(best, axis=0) <= 1e-7).all()
        assert found.steps * method.evaluated(SMOKE.members) == SMOKE.evaluations


@pytest.mark.slow
def test_fitness_is_of_the_same_training_pairs_in_every_generation(finished: Any) -> None:
    results = finished[0]
    data = results[named(CLUSTERS, "search")].stage.data
    made, size = results["same/train"].value, SMOKE.sample
    of = lambda batch: sorted(batch["vectors"].astype(np.float64).sum((1, 2, 3)).tolist())  # noqa: E731
    assert of(data.take(np.arange(size))) == of(data.take(np.arange(size, 2 * size)))
    assert of(data.take(np.arange(size))) == of({"vectors": made["vectors"][:size]})
    assert data.of.startswith(results["same/train"].fingerprint)


@pytest.mark.slow
def test_back_propagation_starts_at_what_was_found(finished: Any) -> None:
    results = finished[0]
    for init in SMOKE.methods():
        found, trained = (results[named(init, what)] for what in ("search", "tuned"))
        for measure in ("auc", "g_mean"):
            pair = trained.history.evals[0][measure], found.history.evals[-1][measure]
            np.testing.assert_allclose(*pair, atol=1e-5)
    alike = {str(results[named(init, "tuned")].history.evals[0]["auc"]) for init in SMOKE.methods()}
    assert len(alike) > 1


@pytest.mark.slow
def test_arms_cost_what_they_say(finished: Any) -> None:
    results, report, _ = finished
    arms = {arm.name: arm for arm in report.arms}
    ours, longer = arms[f"same: {CLUSTERS}"], arms[f"same: {LONGER}"]
    found = results[named(CLUSTERS, "search")]
    assert found in ours.charged
    assert results["encoder"] in ours.charged
    assert longer.cost.flops == pytest.approx(ours.cost.flops + found.cost.flops / SMOKE.seeds, rel=0.15)
    others = [results[named(init, "search")].cost.flops for init in SMOKE.methods()]
    assert max(others) < 1.2 * min(others)
    rare = arms[f"{RARE.name}: {CLUSTERS}"]
    assert sum("/rates/" in result.name for result in rare.charged) == len(RARE.alphas)
    assert not any("/rates/" in result.name for result in ours.charged)


@pytest.mark.slow
def test_positives_are_rare_in_training_alone(finished: Any) -> None:
    label = finished[0][f"{slug(RARE.name)}/train"].value["label"]
    assert (label == 0).sum() // RARE.rare == (label == 1).sum()
    whole = finished[0]["same/train"].value["label"]
    assert (label == 0).sum() == (whole == 0).sum()
    scores = finished[0][named(CLUSTERS, "tuned/scores", own=RARE)].value
    assert scores["share"][0] == pytest.approx(finished[0]["same/test"].value["label"].mean())
    assert len(scores["auc"]) == SMOKE.seeds


@pytest.mark.slow
def test_losses_are_as_their_names_say_and_the_best_alpha_is_taken(finished: Any) -> None:
    results = finished[0]
    focal, entropy = (results[named(CLUSTERS, "tuned", loss, RARE)].stage.objective for loss in (FOCAL, ENTROPY))
    assert entropy.keywords == {"gamma": 0.0, "alpha": 0.5}
    assert focal.keywords["gamma"] == 2.0
    tries = {a: results[f"{slug(RARE.name)}/focal-loss/rates/0.003-{a:g}"].history.last("g_mean") for a in RARE.alphas}
    assert tries[focal.keywords["alpha"]] == max(tries.values())


def test_weighted_cross_entropy_has_the_alpha_of_the_focal_loss() -> None:
    chosen = choices(None, SMOKE, SET, {name: Nothing() for name in ("train", "valid")})
    assert chosen[WEIGHTED].loss.keywords == chosen[FOCAL].loss.keywords | {"gamma": 0.0}


class Nothing:
    """An artifact of a plan."""

    value = None

    def __init__(self, fingerprint: str = "") -> None:
        self.fingerprint = fingerprint


def test_search_and_back_propagation_have_one_loss_and_training_pairs_and_are_evaluated_on_validation_pairs() -> None:
    made = {name: Nothing(name) for name in ("train", "valid", "test")}
    chosen = choices(None, SMOKE, SET, made)
    stage = tuned(SMOKE, SET, made, "any", chosen[FOCAL])
    assert stage.data == rows(SMOKE, SET, made["train"], SMOKE.batch)
    for init in SMOKE.methods():
        found = search(SMOKE, SET, made, init, FOCAL, chosen[FOCAL])
        assert found.objective is stage.objective
        assert found.optimizer is None
        assert (found.data.of, found.data.batch) == (f"train, {SMOKE.sample}", SMOKE.sample)
        assert found.evaluate.data == stage.evaluate.data
    assert stage.evaluate.data.of == "valid"


def test_sizes_are_those_of_the_sources() -> None:
    assert all(own.size == len(own.task.source) for own in SMOKE.sets)
