"""Videos through trained models: the latents of a frozen autoencoder, samples of a flow, verdicts of a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.joined import Row, for_every_record
from stagejax.data.prompts.answers import MadeRows
from stagejax.data.video.moving import Clips, Moving, centroids, directions_of
from stagejax.inference import Frozen, apply, flops_of_one
from stagejax.inference.answering import ask
from stagejax.mesh import BATCH_AXES
from stagejax.models.generative.video_vae import VideoVAE
from stagejax.models.sequence import along_sequence
from stagejax.objectives.flow import guided, integrate, shifted_times
from stagejax.result import Result

BATCH = 64  # clips that go through a model together


# --- latents ---


def encode(model: Any, videos: Any) -> Any:
    """Means of latents."""
    return model.encode(videos)


def decode(model: Any, latents: Any) -> Any:
    """Videos from 0 to 1."""
    return jnp.clip(model.decode(latents), 0.0, 1.0)


def again(model: Any, videos: Any) -> Any:
    """Videos through both halves."""
    return decode(model, model.encode(videos))


def scale_of(vae: Result, data: Clips, count: int = 256) -> dict[str, np.ndarray]:
    """Mean and deviation of each channel of the latents of some clips."""
    found = apply(encode, Frozen.of(vae), data.take(np.arange(count))["video"], BATCH)
    return {"mean": found.mean((0, 1, 2, 3)), "std": found.std((0, 1, 2, 3))}


@dataclass(frozen=True, eq=False)
class Latents:
    """A frozen autoencoder whose latents have mean 0 and deviation 1 in each channel."""

    vae: Frozen
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, vae: Result, scale: Result) -> Latents:
        """From a stage, and what `scale_of` made."""
        return cls(Frozen.of(vae), scale.value["mean"], scale.value["std"])

    def encode(self, videos: np.ndarray) -> np.ndarray:
        """Standardised latents of videos."""
        return (apply(encode, self.vae, videos, BATCH) - self.mean) / self.std

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Videos of standardised latents."""
        return apply(decode, self.vae, latents * self.std + self.mean, BATCH)


def encoded(data: Clips, most: int, vae: Result, scale: Result) -> dict[str, np.ndarray]:
    """Latents of every record, filled up to `most` frames with zeros, the frames there are, and the sentences."""
    latents = Latents.of(vae, scale)

    def of(batch: Any) -> dict[str, np.ndarray]:
        found = latents.encode(batch["video"])
        frames = found.shape[1]
        full = np.pad(found, ((0, 0), (0, most - frames), (0, 0), (0, 0), (0, 0)))
        return {"latents": full, "tokens": batch["tokens"], "frames": np.full(len(full), frames, np.int32)}

    return for_every_record(of, data)


def encoded_flops(data: Clips, vae: VideoVAE) -> float:
    """Of `encoded`."""
    return float(len(data.source) * flops_of_one(encode, vae, data.sample_spec()["video"]))


def latent_rows(made: Result, shape: tuple[int, int, int, int], **fields: Any) -> MadeRows:
    """Batches {"latents", "tokens", "frames"} of an artifact, of the first frames as `shape` (f, y, x, c) says."""
    spec = (Row("latents", shape), Row("tokens", (4,), "int32"), Row("frames", (), "int32"))
    arrays = None if made.value is None else {**made.value, "latents": made.value["latents"][:, : shape[0]]}
    return MadeRows(rows=spec, of=made.fingerprint, arrays=arrays, **fields)


# --- samples ---


@dataclass(frozen=True)
class Sampler:
    """Euler steps from noise to data, closer near the noise, with guidance."""

    steps: int = 12
    shift: float = 3.0
    guidance: float = 3.0

    def draw(self, net: Frozen, tokens: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Latents of sentences (n, S) from their noise (n, f, y, x, c): one program for all n."""
        found = []
        for start in range(0, len(tokens), BATCH):
            part = {"tokens": tokens[start : start + BATCH], "noise": noise[start : start + BATCH]}
            lacking = BATCH - len(part["tokens"])
            part = {name: np.pad(x, [(0, lacking)] + [(0, 0)] * (x.ndim - 1), mode="edge") for name, x in part.items()}
            found.append(ask(sampled, net, part, self)[: BATCH - lacking])
        return np.concatenate(found)

    def flops(self, config: Any, vae: VideoVAE, shape: tuple[int, int, int, int]) -> float:
        """Of one clip: the velocity with and without its text at every step, and the decoder."""
        latent = jax.ShapeDtypeStruct(shape, np.dtype("float32"))
        return float(2 * self.steps * flops_of_one(velocity_of, config, latent) + flops_of_one(decode, vae, latent))


def sampled(model: Any, batch: Any, how: Sampler) -> Any:
    """Latents from the batch's noise."""
    tokens = jnp.asarray(batch["tokens"])
    given, free = (partial(model, tokens=tokens, drop=jnp.full(len(tokens), off)) for off in (False, True))
    return integrate(guided(given, free, how.guidance), batch["noise"], shifted_times(how.steps, how.shift))


def velocity_of(model: Any, latents: Any) -> Any:
    """One call of the model, of which FLOPs are counted."""
    return model(latents, jnp.zeros(len(latents)), jnp.ones((len(latents), 4), "int32"))


def clips_of(
    source: Moving, each: int, net: Frozen, latents: Latents, judge: Frozen, sampler: Sampler, seed: int
) -> dict[str, np.ndarray]:
    """`each` clips of every sentence of a source, from noise that all models share: latents, videos and verdicts."""
    pairs = np.repeat(np.int32(source.pairs()), each, axis=0)
    tokens = np.stack(source.words.encode([source.sentence(*pair) for pair in pairs.tolist()]))
    shape = (len(tokens), *latents.vae.config.compressed((source.frames, source.size, source.size)))
    made = sampler.draw(net, tokens, np.random.default_rng(seed).normal(size=shape).astype(np.float32))
    videos = latents.decode(made)
    return {"latents": made, "tokens": tokens, "video": videos, **judged(judge, videos, *pairs.T, source.steady)}


# --- verdicts ---


def both_ways(data: Clips, vae: Result, every: int) -> dict[str, np.ndarray]:
    """Every so many frames of all clips as they are, and of all through an autoencoder, with their labels."""
    shown = for_every_record(dict, data)
    through = apply(again, Frozen.of(vae), shown["video"], BATCH)
    found = np.concatenate([video[:, ::every] for video in (shown["video"], through)])
    return {"video": found, "label": np.tile(shown["label"], 2)}


def watched(data: Clips, judge: Frozen, vae: Frozen | None = None) -> dict[str, np.ndarray]:
    """All clips of a source in its order, as they are or through an autoencoder, with their verdicts."""
    shown = for_every_record(dict, data)
    video = shown["video"] if vae is None else apply(again, vae, shown["video"], BATCH)
    return shown | {"video": video} | judged(judge, video, shown["label"], shown["direction"], data.source.steady)


def by_frame(objective: Callable[..., Any], model: Any, batch: Any, key: Any) -> Any:
    """An objective of images and labels on every frame of clips; frames lie along the mesh axis `sequence` as well."""
    video = jnp.asarray(batch["video"])
    frames = along_sequence(video.reshape(-1, *video.shape[2:]), 0, BATCH_AXES)
    return objective(model, {"image": frames, "label": jnp.repeat(batch["label"], video.shape[1])}, key)


def seen_by(model: Any, videos: Any) -> Any:
    """What a classifier of frames sees of clips: features and probabilities side by side, means over frames."""
    features = model.features(videos.reshape(-1, *videos.shape[2:]))
    both = jnp.concatenate([features, jax.nn.softmax(model.logits(features))], axis=-1)
    return both.reshape(*videos.shape[:2], -1).mean(1)


def judged(
    judge: Frozen, videos: np.ndarray, labels: np.ndarray, directions: np.ndarray, steady: int
) -> dict[str, np.ndarray]:
    """The verdict of a program on clips, in place of a viewer's.

    Returns:
      `class` and `way`: whether kind and direction are those asked for; `sure`: the largest probability, lower of blur;
      `score`: their sum, from 0 to 3; `jerk`: mean second difference of the path while it is steady, in pixels a
      frame²; `features` of the classifier.
    """
    classes = judge.config.classes
    seen, places = apply(seen_by, judge, videos, BATCH), centroids(videos)
    features, probabilities = seen[:, :-classes], seen[:, -classes:]
    right = probabilities.argmax(1) == labels
    way, sure = directions_of(places, steady) == directions, probabilities.max(1)
    jerk = np.abs(np.diff(places[:, : steady + 1], 2, axis=1)).mean((1, 2))
    score = right + way + sure
    return {"class": right, "way": way, "sure": sure, "score": score, "jerk": jerk, "features": features}


def best_with_worst(scores: np.ndarray, each: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs among `each` neighbouring scores: the best with the worst, the second with the last but one, and so on.

    Only pairs whose scores are more than `apart` from each other.

    >>> best_with_worst(np.array([0.0, 2.0, 1.0, 3.0, 5.0, 5.0, 5.0, 5.0]), 4, 0.5)
    (array([3, 1]), array([0, 2]))
    """
    order = np.argsort(-scores.reshape(-1, each), axis=1, kind="stable")
    order += each * np.arange(len(order))[:, None]
    best, worst = order[:, : each // 2].ravel(), order[:, ::-1][:, : each // 2].ravel()
    clear = scores[best] - scores[worst] > apart
    return best[clear], worst[clear]


def exact(verdict: Mapping[str, np.ndarray]) -> float:
    """The share of clips of which kind and direction are right."""
    return float(np.mean(verdict["class"] & verdict["way"]))


def liked(verdict: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """The share of clips that score higher than others from the same noise; ties count half.

    >>> liked({"score": np.array([1.0, 2.0, 3.0])}, {"score": np.array([1.0, 1.0, 4.0])})
    0.5
    """
    return float(np.mean(np.sign(verdict["score"] - other["score"]) / 2 + 0.5))
