"""What a generator still makes: the labels of a user, the search for a reach, counts and distances of a judge."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flax import nnx

from stagejax.inference import Frozen
from stagejax.inference.generated import looked_at, samples_of
from stagejax.inference.pictures.unlearning import choose_reach, draw_and_label, features_of_samples, measured
from stagejax.models.generative.gan import Generator
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.objectives.pictures.frechet import frechet_distance
from stagejax.objectives.repulsion import forgotten
from stagejax.result import Result
from stagejax.state import TrainState
from stagejax.transforms.extrapolate import Extrapolate

G = Generator(latent=3, start=2, channels=(4, 3))
NET = CNN((4, 4, 1), (ConvLayer(3),), (5,), heads=(("label", (3,)),))


def trained(config: Any, params: Any, rest: Any) -> Result:
    """A result in memory."""
    return Result("made", "train", "", 0, config, load=lambda: TrainState(0, params, rest, None, None))


def drawn(config: Any, seed: int) -> Result:
    _, params, rest = nnx.split(config.build(nnx.Rngs(seed)), nnx.Param, ...)
    return trained(config, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


NETS = [drawn(NET, seed) for seed in (27, 2)]  # the first one tells samples of the first generator apart
GANS = [drawn(G, seed) for seed in (3, 4, 5)]


def labels(net: Any, gan: Any, count: int, seed: int) -> np.ndarray:
    return looked_at(Frozen.of(net), samples_of(Frozen.of(gan), count, seed))[0]


def common(net: Any, gan: Any, count: int, seed: int) -> int:
    """A class that some of the samples have, but not all."""
    found = np.bincount(labels(net, gan, count, seed), minlength=3)
    return int(np.argmax(np.where(found < count, found, 0)))


def test_feedback_is_samples_with_the_users_labels() -> None:
    own, forget = labels(NETS[0], GANS[0], 200, 7), common(NETS[0], GANS[0], 200, 7)
    assert 0 < (own == forget).sum() < 200
    found = draw_and_label(GANS[0], NETS[0], forget, 200, 7)
    np.testing.assert_array_equal(found["label"], own)
    with pytest.raises(ValueError, match=f"of 200 samples are of class {forget}: draw more"):
        draw_and_label(GANS[0], NETS[0], forget, 200, 7, least=200)


def test_a_judge_counts_and_measures_what_the_user_lets_pass() -> None:
    reference = SimpleNamespace(value=features_of_samples(NETS[1], GANS[1], 60, 2))
    whole = measured(NETS[1], GANS[0], 60, 3, None, 0, ("apart",), reference)
    features = looked_at(Frozen.of(NETS[1]), samples_of(Frozen.of(GANS[0]), 60, 3))[1]
    assert whole["apart"] == pytest.approx(frechet_distance(features, reference.value["features"]))
    assert sum(whole["histogram"]) == whole["samples"] == 60
    forget = common(NETS[0], GANS[0], 120, 3)
    passed = labels(NETS[0], GANS[0], 120, 3) != forget
    part = measured(NETS[1], GANS[0], 60, 3, NETS[0], forget, ())
    assert part["samples"] == min(60, passed.sum())
    judged = labels(NETS[1], GANS[0], 120, 3)[passed][:60]
    assert part["histogram"] == np.bincount(judged, minlength=3).tolist()


def test_the_reach_is_that_of_least_distance_among_those_that_forget_enough_or_else_the_most_forgetful() -> None:
    images = samples_of(Frozen.of(GANS[0]), 80, 9)
    feedback = SimpleNamespace(value={"image": images, "label": labels(NETS[0], GANS[0], 80, 9)})
    forget = common(NETS[0], GANS[0], 80, 9)
    reach = (0.0, 0.5, 1.0, 4.0)
    found = choose_reach(reach, NETS[0], feedback, forget, 50, 1, *GANS)
    assert [trial["gamma"] for trial in found["trials"]] == list(reach)
    assert found["trials"][0]["forgotten"] == 0  # nothing moved
    start, *others = [(x.state().params, {}) for x in GANS]
    for trial in found["trials"]:
        params, _ = Extrapolate(trial["gamma"])(None, start, *others)
        pair = GANS[0], trained(G, params, {})
        before, after = (int((labels(NETS[0], gan, 50, 1) == forget).sum()) for gan in pair)
        assert trial["forgotten"] == forgotten(max(before, 1), after)
    enough = [trial for trial in found["trials"] if trial["forgotten"] >= 90]
    if enough:
        assert found["gamma"] == min(enough, key=lambda t: t["distance"])["gamma"]
    else:
        assert found["gamma"] == max(found["trials"], key=lambda t: t["forgotten"])["gamma"]
