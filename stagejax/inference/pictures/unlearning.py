"""What a generator still makes: labels of a user, a search in parameter space, and counts and distances of a judge.

All functions are for `run.make`; generators have normal latents, classifiers are `CNN`s with the head "label".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stagejax.inference import Frozen
from stagejax.inference.generated import looked_at, samples_of
from stagejax.objectives.pictures.frechet import frechet_distance
from stagejax.objectives.repulsion import forgotten
from stagejax.transforms.extrapolate import Extrapolate


def draw_and_label(
    generator: Any, user: Any, forget: int, count: int, seed: int, least: int = 1
) -> dict[str, np.ndarray]:
    """The feedback of a user, whom a classifier stands for: `count` samples of a generator as "image", with "label".

    Raises:
      ValueError: fewer than `least`, or all, are of the class that is to be forgotten.
    """
    images = samples_of(Frozen.of(generator), count, seed)
    labels = looked_at(Frozen.of(user), images)[0]
    unwanted = int((labels == forget).sum())
    if not least <= unwanted < len(labels):
        raise ValueError(f"{unwanted} of {len(labels)} samples are of class {forget}: draw more, or train longer")
    return {"image": images, "label": labels}


def choose_reach(
    reach: tuple[float, ...], user: Any, feedback: Any, forget: int, count: int, seed: int, original: Any, *adapted: Any
) -> dict[str, Any]:
    """γ of `Extrapolate`: that of least Fréchet distance to generated positives among those with PUL >= 90, if any.

    All by the user's classifier on `count` samples; where no γ forgets enough, it is the one that forgets most.

    Returns:
      "gamma", and "trials": for each γ "gamma", "forgotten" (PUL) and "distance".
    """
    classifier, (start, *others) = Frozen.of(user), [Frozen.of(x) for x in (original, *adapted)]
    positives = feedback.value["image"][feedback.value["label"] != forget][:count]
    wanted = looked_at(classifier, positives)[1]

    def judged(net: Frozen) -> tuple[int, float]:
        labels, features = looked_at(classifier, samples_of(net, count, seed))
        return int((labels == forget).sum()), frechet_distance(features, wanted)

    before, trials = max(judged(start)[0], 1), []
    for gamma in reach:
        variables = [(net.params, net.rest) for net in (start, *others)]
        found, distance = judged(Frozen(start.config, *Extrapolate(gamma)(None, *variables)))
        trials.append({"gamma": gamma, "forgotten": forgotten(before, found), "distance": distance})
    enough = [trial for trial in trials if trial["forgotten"] >= 90]
    best = min(enough, key=lambda t: t["distance"]) if enough else max(trials, key=lambda t: t["forgotten"])
    return {"gamma": best["gamma"], "trials": trials}


def features_of_samples(judge: Any, generator: Any, count: int, seed: int) -> dict[str, np.ndarray]:
    """The judge's "features" of samples, for others to be compared with."""
    return {"features": looked_at(Frozen.of(judge), samples_of(Frozen.of(generator), count, seed))[1]}


def measured(
    judge: Any, generator: Any, count: int, seed: int, user: Any, forget: int, names: tuple[str, ...], *references: Any
) -> dict[str, Any]:
    """The judge's "histogram" of samples, and their Fréchet distances to references (artifacts of features) by name.

    With a user, of samples that its classifier does not take for the class that is to be forgotten, at most `count`.
    """
    images = samples_of(Frozen.of(generator), count if user is None else 2 * count, seed)
    if user is not None:
        images = images[looked_at(Frozen.of(user), images)[0] != forget][:count]
    classifier = Frozen.of(judge)
    labels, features = looked_at(classifier, images)
    histogram = np.bincount(labels, minlength=dict(classifier.config.heads)["label"][-1])
    apart = {name: frechet_distance(features, x.value["features"]) for name, x in zip(names, references, strict=True)}
    return {"histogram": histogram.tolist(), "samples": len(images), **apart}
