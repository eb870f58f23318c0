"""Masked structural growth: at masks of 0 the small model, at 1 the large one, annealed inside a stage's step."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pairs import POST, ROTARY, WIDE, logits, random_params

from stagejax import Stage, running
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.growth import MSG, GrowingMasks, Growth, grow, masks_at
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw
from stagejax.steps.scheduled import scheduled_step


@pytest.mark.parametrize(
    ("small", "changes"),
    [
        (WIDE, {"embed": 11, "heads": 5, "mlp": 21, "layers": 3, "value_dim": 7}),
        (POST, {"embed": 13, "heads": 3, "layers": 4}),
        (ROTARY, {"embed": 19, "heads": 9, "kv_heads": 3, "mlp": 17}),
    ],
    ids=["layer", "post", "grouped"],
)
def test_masks_of_zero_keep_the_function(small, changes) -> None:
    """At any size, and where no copies would: uneven width under LayerNorm, deeper and wider post-norm encoders."""
    large = replace(small, **changes)
    with jax.enable_x64(True):
        params, fresh = random_params(small), random_params(large, 1)
        grown = grow(Growth(MSG(), small, large), params, others={"init": fresh})
        masks = {share: masks_at(small.sizes(), large.sizes(), share) for share in (0.0, 0.5, 1.0)}
        before, (none, half, whole) = logits(small, params), (logits(large, grown, masks=masks[s]) for s in masks)
        np.testing.assert_allclose(none, before, atol=1e-10 * np.abs(before).max())
        np.testing.assert_allclose(whole, logits(large, grown), atol=1e-12 * np.abs(whole).max())
    assert np.abs(half - before).max() > 1e-3
    assert np.abs(half - whole).max() > 1e-3


def test_shares_follow_the_steps() -> None:
    masks = GrowingMasks(WIDE, replace(WIDE, layers=3, heads=3), steps=4, start=10)
    shares = [masks(step)["masks"]["layers"] for step in (0, 10, 11, 14, 99)]
    np.testing.assert_array_equal(np.stack(shares)[:, 2], [0, 0, 0.25, 1, 1])
    assert set(masks(0)["masks"]) == {"layers", "kv_heads"}
    with pytest.raises(ValueError, match="steps=0: new entries are let in over at least 1 step"):
        GrowingMasks(WIDE, WIDE, steps=0)


SMALL = gpt(vocab=260, embed=8, layers=1, heads=2, mlp=8, length=8, scan=True)
LARGE = replace(SMALL, embed=12, heads=3, layers=2, mlp=11)
TEXT = CausalText(source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=4, length=8)
STAGE = Stage("small", SMALL, causal_lm, adamw(1e-2), TEXT, steps=2)


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


def loss_and_gradient(config, result, batch, **options):
    graphdef, _, rest = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))), nnx.Param, ...)
    objective = jax.jit(
        jax.value_and_grad(lambda p: causal_lm(nnx.merge(graphdef, p, rest), batch, None, **options)[0])
    )
    loss, gradient = objective(result.state().params)
    return float(loss), gradient
