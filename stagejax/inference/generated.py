"""Trained generators at work: samples, what a classifier says of them, and what their discriminator minds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.axes import family, is_axes
from stagejax.inference import Frozen, apply, flops_of_one
from stagejax.objectives.elastic import fisher_diagonal


def generate(model: Any, z_BZ: jax.Array) -> jax.Array:
    """What a generator makes of latents."""
    return model(z_BZ)


def features_and_logits(model: Any, images: jax.Array) -> jax.Array:
    """A classifier's features and logits, side by side."""
    features = model.features(images)
    return jnp.concatenate([features.reshape(len(images), -1), model.head(features)], axis=-1)


def samples_of(generator: Frozen, count: int, seed: int) -> np.ndarray:
    """So many samples of a generator with `config.latent` normal latents; those of a seed are the same for all.

    >>> # images = samples_of(Frozen.of(gan.member("generator").averaged()), 1000, seed=0)
    """
    z = np.random.default_rng(seed).normal(size=(count, generator.config.latent))
    return apply(generate, generator, z.astype(np.float32))


def looked_at(classifier: Frozen, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a `CNN` with the head "label" says of images: labels (images,), and features (images, hidden)."""
    both, classes = apply(features_and_logits, classifier, images), dict(classifier.config.heads)["label"][-1]
    return both[:, -classes:].argmax(-1).astype(np.int32), both[:, :-classes]


def flops_of_sample(generator: Any, net: Any, shape: tuple[int, ...], function: Any = features_and_logits) -> float:
    """Matmul FLOPs of drawing a sample of `shape` and of applying `function(model, samples)` of a network to it.

    >>> from stagejax.models.vision.cnn import CNN
    >>> from stagejax.models.generative.gan import Generator
    >>> flops_of_sample(Generator(), CNN((16, 16, 1), heads=(("label", (10,)),)), (16, 16, 1)) > 1e6
    True
    """
    drawn = flops_of_one(generate, generator, jax.ShapeDtypeStruct((generator.latent,), "float32"))
    return float(drawn + flops_of_one(function, net, jax.ShapeDtypeStruct(shape, "float32")))


def entropy_without(histogram: list[int], left_out: int) -> float:
    """Entropy of a histogram's other bins, in nats.

    >>> round(entropy_without([5, 100, 5], 1), 4) == round(float(np.log(2)), 4)
    True
    """
    kept = np.delete(np.asarray(histogram, float), left_out)
    shares = kept[kept > 0] / max(kept.sum(), 1)
    return float(-np.sum(shares * np.log(shares)))


@dataclass(frozen=True)
class LogitFisher:
    """F = mean over samples of (∂ D(G(z)) / ∂θ)² of a generator's convolution layers, and 0 elsewhere.

    Such a layer is a module that holds a convolution's kernel, with all that is in it: biases, noise, modulation. For
    `run.transform` of a generator and its discriminator: what it makes has a generator's shape, so that it stands
    beside one in a stage (`objectives.elastic.Elastic`).

    Reference: Li et al. 2020 (few-shot generation), https://arxiv.org/abs/2012.02780, section 3.

    >>> # fisher = run.transform("fisher", LogitFisher(g, d, samples=32), gan.member("generator"),
    >>> #                        gan.member("discriminator"), to=g)
    """

    generator: Any  # configurations
    discriminator: Any
    samples: int

    def __call__(self, key: Any, generator: Any, discriminator: Any) -> Any:
        """The diagonal as parameters, and the generator's other variables."""
        (graph, axes, *_), critic = take_apart(self.generator), take_apart(self.discriminator)[0]
        judge = nnx.merge(critic, *discriminator)

        def logit(params: Any, z_1Z: jax.Array) -> jax.Array:
            return judge(nnx.merge(graph, params, generator[1])(z_1Z))[0]

        z_N1Z = jax.random.normal(key, (self.samples, 1, self.generator.latent))
        found = fisher_diagonal(logit, generator[0], z_N1Z)
        return in_convolutions(axes, found), generator[1]


def in_convolutions(axes: Any, values: Any) -> Any:
    """The values of all modules that hold a convolution's kernel, with 0 for those of the others.

    >>> from stagejax.axes import Axes
    >>> layer = {"kernel": Axes(("kernel_row", "pixel"), ("read", "write")), "bias": Axes(("pixel",), ("write",))}
    >>> one = jnp.ones(1)
    >>> found = in_convolutions({"a": layer, "b": layer["bias"]}, {"a": {"kernel": one, "bias": one}, "b": one})
    >>> [float(x[0]) for x in (found["a"]["kernel"], found["a"]["bias"], found["b"])]
    [1.0, 1.0, 0.0]
    """
    if is_axes(axes):
        return jnp.zeros_like(values)
    if any(is_axes(x) and any(family(name) == "kernel_row" for name in x.names) for x in axes.values()):
        return values
    return {name: in_convolutions(axes[name], values[name]) for name in axes}
