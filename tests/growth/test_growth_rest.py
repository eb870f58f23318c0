"""Batch statistics grow with their channels: convolutional networks keep their function, in evaluation and training."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pairs import CONV, IMAGE, RESIDUAL, model, random_params, statistics

from stagejax.axes import variable
from stagejax.growth import FPI, Gather, Growth, GrowthError, Isometric, Map, Operator, Term, balanced, grow, uniform
from stagejax.growth.rest import check_rest, described, grow_rest


def run(config, params, rest, images):
    """Logits in evaluation and in training, and the statistics that training leaves."""
    graphdef = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))[0]

    @jax.jit
    def both(params, rest):
        net = nnx.merge(graphdef, params, rest)
        evaluated, trained = net(images), net(images, key=jax.random.key(0))
        return evaluated, trained, nnx.to_pure_dict(nnx.state(net, nnx.Not(nnx.Param)))

    return both(params, rest)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operator", "small", "large"),
    [
        (FPI(draw=uniform), CONV, replace(CONV, channels=(7, 13))),
        (FPI(draw=balanced), RESIDUAL, replace(RESIDUAL, channels=(9, 12))),
        (FPI(), replace(RESIDUAL, bottleneck=2, stem=3), replace(RESIDUAL, bottleneck=2, stem=5, channels=(6, 16))),
    ],
    ids=["convnet", "resnet", "bottleneck"],
)
def test_channels_and_their_statistics_grow_exactly(operator, small, large) -> None:
    growth = Growth(operator, small, large)
    for exact, tolerance in ((False, 1e-5), (True, 1e-10))[small != CONV :]:
        with jax.enable_x64(exact):
            images = jnp.asarray(np.random.RandomState(1).rand(3, small.image, small.image, 2))
            images = images if exact else images.astype(jnp.float32)
            params, rest = random_params(small), statistics(small)
            before = run(small, params, rest, images)
            after = run(large, grow(growth, params), grow_rest(growth, rest), images)
            for was, now in zip(before[:2], after[:2], strict=True):
                assert np.abs(now - was).max() < tolerance * np.abs(was).max()
            followed = grow_rest(growth, before[2])  # growth and training of the statistics commute
            for was, now in zip(jax.tree.leaves(followed), jax.tree.leaves(after[2]), strict=True):
                np.testing.assert_allclose(now, was, rtol=10 * tolerance, atol=tolerance)


@dataclass(frozen=True)
class Doubled(Operator):
    """Every channel of the first axis written twice as large and read half as large: a map with a weight."""

    def terms(self, old, new) -> list[Term]:
        index = np.arange(new["channels.1"]) % old["channels.1"]
        plain = Gather.of(index, old["channels.1"])
        twice, half = plain.scaled(2.0), plain.scaled(0.5)
        return [Term("small", {"channels.1": Map(twice, half, plain, plain, plain, tied=np.ones(len(index)))})]


def test_a_variance_moves_by_the_square_of_what_it_is_the_variance_of() -> None:
    rest = statistics(CONV)
    grown = grow_rest(Growth(Doubled(), CONV, CONV), rest)["blocks"]["1"]["norm"]
    np.testing.assert_allclose(grown["mean"], 2 * rest["blocks"]["1"]["norm"]["mean"], rtol=1e-6)
    np.testing.assert_allclose(grown["var"], 4 * rest["blocks"]["1"]["norm"]["var"], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pool", "operator", "norm", "embed"),
    [("mean", FPI(), "layer", 16), ("class", Isometric(draw=uniform), "rms", 11)],
)
def test_vision_transformers_grow_exactly(pool, operator, norm, embed) -> None:
    small = replace(IMAGE, pool=pool, norm=norm, layers=1)
    growth = Growth(operator, small, replace(small, embed=embed, heads=5, mlp=17))
    with jax.enable_x64(True):
        images, params = jnp.asarray(np.random.RandomState(1).rand(3, 4, 4, 2)), random_params(small)
        models = ((small, params), (growth.config, grow(growth, params)))
        before, after = jax.jit(lambda *trees: [model(c, p)(images) for (c, _), p in zip(models, trees, strict=True)])(
            *(p for _, p in models)
        )
        assert np.abs(after - before).max() < 1e-10 * np.abs(before).max()


@dataclass(frozen=True)
class Counting:
    """A model with a variable that names no axes."""

    size: int = 2

    def sizes(self) -> dict[str, int]:
        return {"channels.1": self.size}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        built = nnx.Module()
        built.seen, built.calls = nnx.BatchStat(jnp.zeros(self.size)), nnx.BatchStat(jnp.zeros(()))
        return built


def test_variables_without_axes_pass_or_are_refused() -> None:
    same = Growth(FPI(), Counting(), Counting())
    rest = {"seen": jnp.array([1.0, 2.0]), "calls": jnp.array(3.0)}
    assert jax.tree.map(float, grow_rest(same, rest)["calls"]) == 3.0
    with pytest.raises(GrowthError, match=r"'seen' changes size, \(2,\) -> \(4,\), but names no axes"):
        check_rest(Growth(FPI(), Counting(), Counting(4)))
    assert described(CONV)["blocks/1/norm/var"][2] == 2
    with pytest.raises(ValueError, match="has 1 dimensions but names"):
        variable(nnx.BatchStat, jnp.zeros(3))
