"""Masked structural growth: at masks of 0 the small model, at 1 the large one, annealed inside a stage's step."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pairs import (
    CONV,
    IMAGE,
    MIXTURE,
    PLAIN,
    POST,
    RESIDUAL,
    ROTARY,
    TWO_STACKS,
    WIDE,
    by_path,
    logits,
    outputs,
    random_params,
    statistics,
)

from stagejax import Stage, running
from stagejax.data import Bytes, CausalText, Digits, Images, Stdlib
from stagejax.growth import MSG, GrowingMasks, Growth, GrowthError, Undo, grow, masks_at
from stagejax.growth.masked import masked_sizes
from stagejax.growth.record import record, recorded
from stagejax.growth.rest import grow_rest
from stagejax.models import gpt
from stagejax.models.convnet import ResNet
from stagejax.models.vision.cnn import ConvLayer
from stagejax.objectives import causal_lm, classification
from stagejax.optimizer import adamw
from stagejax.steps.scheduled import scheduled_step


@dataclass(frozen=True)
class Maskless:
    """A model that takes no masks."""

    size: int

    def sizes(self) -> dict[str, int]:
        return {"mlp": self.size}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        class Module(nnx.Module):
            def __call__(self, x: jax.Array) -> jax.Array:
                return x

        return Module()


BOTTLENECK = replace(RESIDUAL, bottleneck=2, stem=3)
HEADS = {"embed": 11, "heads": 5, "mlp": 21}
FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "gpt": (WIDE, {**HEADS, "layers": 3, "value_dim": 7}),
    "bert": (POST, {"embed": 13, "heads": 3, "layers": 4}),
    "llama": (ROTARY, {"embed": 19, "heads": 9, "kv_heads": 3, "mlp": 17}),
    "mixture": (MIXTURE, {**HEADS, "layers": 3}),
    "t5": (TWO_STACKS, {**HEADS, "head_dim": 5, "encoder_layers": 3, "decoder_layers": 4}),
    "vit": (IMAGE, {**HEADS, "layers": 3, "value_dim": 7}),
    "convnet": (CONV, {"channels": (7, 9)}),
    "resnet": (RESIDUAL, {"channels": (7, 9), "blocks": (2, 4)}),
    "bottleneck": (BOTTLENECK, {"channels": (6, 10), "blocks": (3, 2), "stem": 5}),
    "cnn": (PLAIN, {"convolutions": (ConvLayer(7, pool=True),), "hidden": (6,), "heads": (("label", (9, 3)),)}),
}
FIRST = ("gpt", "bert", "llama", "t5", "resnet")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FIRST else pytest.mark.slow) for n in FAMILIES])
def test_masks_of_zero_keep_the_function(name) -> None:
    """At any size, and where no copies would: uneven width under LayerNorm, deeper and wider post-norm encoders."""
    small, changes = FAMILIES[name]
    large = replace(small, **changes)
    with jax.enable_x64(True):
        params, fresh = random_params(small), random_params(large, 1)
        grown = grow(Growth(MSG(), small, large), params, others={"init": fresh})
        sizes = masked_sizes(small), masked_sizes(large)
        masks = {share: masks_at(*sizes, share) for share in (0.0, 0.5, 1.0)}
        before, (none, half, whole) = logits(small, params), (logits(large, grown, masks=masks[s]) for s in masks)
        np.testing.assert_allclose(none, before, atol=1e-10 * np.abs(before).max())
        np.testing.assert_allclose(whole, logits(large, grown), atol=1e-12 * np.abs(whole).max())
    assert np.abs(half - before).max() > 1e-3
    assert np.abs(half - whole).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_old_entries_learn_as_before(name) -> None:
    """Behind masks of 0 they have the gradient that they had, and the new ones none; in float32, with its rounding."""
    small, changes = FAMILIES[name]
    large = replace(small, **changes)
    params, fresh = random_params(small), random_params(large, 1)
    grown = grow(Growth(MSG(), small, large), params, others={"init": fresh})
    closed = {"masks": masks_at(masked_sizes(small), masked_sizes(large), 0.0)}
    before, was = with_gradient(small, params, {})
    after, now = with_gradient(large, grown, closed)
    assert float(after) == pytest.approx(float(before), rel=1e-5)
    was, now = by_path(was), by_path(now)
    largest = max(np.abs(leaf).max() for leaf in was.values())
    for where, leaf in now.items():
        expected = np.zeros_like(leaf)
        if where in was:
            expected[tuple(map(slice, was[where].shape))] = was[where]
        np.testing.assert_allclose(leaf, expected, atol=1e-5 * largest, err_msg=where)


def with_gradient(config, params, options):
    return jax.value_and_grad(lambda p: jnp.mean(jnp.tanh(outputs(config, p, **options)) ** 2))(params)


@pytest.mark.parametrize(
    "small", [RESIDUAL, pytest.param(BOTTLENECK, marks=pytest.mark.slow)], ids=["plain", "bottleneck"]
)
def test_old_channels_keep_their_statistics(small) -> None:
    """In training too, where norms take those of the batch; the running ones of old channels move as they did."""
    large = replace(small, channels=(8, 10), blocks=(2, 2))
    growth = Growth(MSG(), small, large)
    with jax.enable_x64(True):
        params, rest = random_params(small), statistics(small)
        grown = grow(growth, params, others={"init": random_params(large, 1)}), grow_rest(growth, rest)
        closed = masks_at(masked_sizes(small), masked_sizes(large), 0.0)
        before, after = trained(small, params, rest), trained(large, *grown, masks=closed)
    np.testing.assert_allclose(after[0], before[0], atol=1e-10 * np.abs(before[0]).max())
    was, now = by_path(before[1]), by_path(after[1])
    assert set(was) < set(now)  # those of the new blocks are new
    for where, leaf in was.items():
        np.testing.assert_allclose(now[where][: len(leaf)], leaf, rtol=1e-10, atol=1e-12, err_msg=where)
        assert now[where].shape == dict(by_path(grown[1]))[where].shape


def trained(config, params, rest, **options):
    """Logits and running statistics of a batch in training."""
    graphdef = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))[0]
    images = np.random.RandomState(1).rand(3, config.image, config.image, config.channels_in)

    @jax.jit
    def run(params, rest, options):
        net = nnx.merge(graphdef, params, rest)
        return net(jnp.asarray(images), jax.random.key(0), **options), nnx.to_pure_dict(nnx.state(net, nnx.BatchStat))

    return run(params, rest, options)


@pytest.mark.slow
def test_blocks_are_born_and_recorded() -> None:
    """Whole ones of a network whose blocks are not stacked; the stored maps make the same of it, and it has a way back
    where none is born."""
    large = replace(RESIDUAL, blocks=(2, 2))
    growth, params = Growth(MSG(), RESIDUAL, large), random_params(RESIDUAL)
    fresh = {"init": random_params(large, 1)}
    grown, again = grow(growth, params, others=fresh), grow(recorded(record(growth), growth), params, others=fresh)
    born = [where for where in by_path(grown) if where not in by_path(params)]
    assert {where.split("/")[1] for where in born} == {"1.1"}
    for where, leaf in by_path(grown).items():
        np.testing.assert_array_equal(leaf, by_path(fresh["init"] if where in born else params)[where], err_msg=where)
        np.testing.assert_array_equal(leaf, by_path(again)[where], err_msg=where)
    wide = replace(RESIDUAL, channels=(6, 7))
    wider = grow(Growth(MSG(), RESIDUAL, wide), params, others={"init": random_params(wide, 1)})
    back = grow(Growth(Undo(MSG()), wide, RESIDUAL), wider)
    jax.tree.map(np.testing.assert_array_equal, back, params)


@pytest.mark.parametrize(
    ("small", "changes", "says"),
    [
        (CONV, {"channels": (4, 6, 6)}, r"no axis 'channels.3', which changes what the blocks behind it read"),
        (RESIDUAL, {"channels": (4, 6, 8), "blocks": (1, 2, 1)}, "no axis 'channels.3"),
        (RESIDUAL, {"blocks": (1, 1)}, r"'blocks/2.1/.*' has no counterpart in the model after"),
        (TWO_STACKS, {"buckets": 12}, r"no rule for axis 'buckets'.*8 -> 12"),
        (Maskless(2), {"size": 3}, "lets new entries in by masks, but Module is not called with any. Use LEMON"),
    ],
)
def test_what_no_mask_holds_back_is_refused(small, changes, says) -> None:
    with pytest.raises(GrowthError, match=says):
        _ = Growth(MSG(), small, replace(small, **changes)).terms


def test_shares_follow_the_steps() -> None:
    masks = GrowingMasks(WIDE, replace(WIDE, layers=3, heads=3), steps=4, start=10)
    shares = [masks(step)["masks"]["layers"] for step in (0, 10, 11, 14, 99)]
    np.testing.assert_array_equal(np.stack(shares)[:, 2], [0, 0, 0.25, 1, 1])
    assert set(masks(0)["masks"]) == {"layers", "kv_heads"}
    masks = GrowingMasks(RESIDUAL, replace(RESIDUAL, blocks=(1, 3)), steps=4)(1)["masks"]
    assert masks["layers.2"].tolist() == [1, 0.25]
    assert set(masks) == {"layers.2"}
    with pytest.raises(ValueError, match="steps=0: new entries are let in over at least 1 step"):
        GrowingMasks(WIDE, WIDE, steps=0)


SMALL = gpt(vocab=260, embed=8, layers=1, heads=2, mlp=8, length=8, scan=True)
LARGE = replace(SMALL, embed=12, heads=3, layers=2, mlp=11)
TEXT = CausalText(source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=4, length=8)
STAGE = Stage("small", SMALL, causal_lm, adamw(1e-2), TEXT, steps=2)


@pytest.mark.slow
def test_masks_are_annealed_in_the_step(tmp_path: Path) -> None:
    """The first loss is the small model's, the ones behind the last step of growing those of the plain large model."""
    masks = GrowingMasks(SMALL, LARGE, steps=2)
    step = partial(scheduled_step, options=masks)
    with running(tmp_path, "masked", mesh="data=1") as run:
        small = run.train(STAGE)
        grown = run.grow("grown", small, to=LARGE, operator=MSG())
        large = run.train(replace(STAGE, name="large", model=LARGE, step=step, steps=3), grown)
        resumed = run.train(replace(STAGE, name="plain", model=LARGE), large)
    with TEXT.batches() as batches:
        batch = {name: jnp.asarray(x) for name, x in next(iter(batches)).items()}
    (before, _), (after, _) = (loss_and_gradient(SMALL, small, batch), loss_and_gradient(LARGE, grown, batch))
    losses = large.history.train["loss"]
    assert losses[0] == pytest.approx(before, rel=1e-5)
    assert abs(after - before) > 1e-4
    (masked, gradient) = loss_and_gradient(LARGE, grown, batch, **masks(0))
    assert masked == pytest.approx(losses[0], rel=1e-6)
    assert not np.asarray(gradient["blocks"]["mlp"]["up"]["kernel"])[:, 8:].any()  # closed, so nothing moves there
    assert np.asarray(gradient["blocks"]["mlp"]["up"]["kernel"])[0, :8, :8].any()
    (open_loss, _) = loss_and_gradient(LARGE, large, batch)
    assert resumed.history.train["loss"][0] == pytest.approx(open_loss, rel=1e-5)


@pytest.mark.slow
def test_a_deeper_network_of_convolutions_is_grown_in_a_run(tmp_path: Path) -> None:
    """Moments of old blocks kept, those of a born one 0; the first loss behind masks is that of the small network."""
    small = ResNet(image=8, channels_in=1, channels=(4, 6), blocks=(1, 1))
    large = replace(small, channels=(6, 7), blocks=(2, 1))
    data = Images(source=Digits(), batch=8)
    stage = Stage("small", small, classification, adamw(1e-2), data, steps=2)
    step = partial(scheduled_step, options=GrowingMasks(small, large, steps=4, start=2))
    after = replace(stage, name="large", model=large, step=step, steps=3)
    with running(tmp_path, "masked", mesh="data=1") as run:
        before = run.train(stage)
        grown = run.grow("grown", before, to=large, operator=MSG(), moments="dual")
        longer, wider = run.train(replace(stage, name="longer", steps=1), before), run.train(after, grown)
    assert wider.history.train["loss"][0] == pytest.approx(longer.history.train["loss"][0], rel=1e-4)
    moments = jax.tree.leaves_with_path(grown.state().opt_state)
    born = [np.asarray(x) for path, x in moments if "1.1" in str(path) and np.ndim(x)]
    assert born
    assert not any(x.any() for x in born)


def loss_and_gradient(config, result, batch, **options):
    graphdef, _, rest = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)
    objective = jax.jit(
        jax.value_and_grad(lambda p: causal_lm(nnx.merge(graphdef, p, rest), batch, None, **options)[0])
    )
    loss, gradient = objective(result.state().params)
    return float(loss), gradient
