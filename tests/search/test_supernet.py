"""The loss of a supernet is that of its subnets, their accuracies those of their masks, a search knows its limit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data import Images
from stagejax.inference import Frozen
from stagejax.models.vision.pyramid import PyramidViT
from stagejax.objectives.distillation import adaptive_alpha_divergence
from stagejax.search.sampler import Sampler
from stagejax.search.space import Space
from stagejax.search.supernet import subnet_accuracy, supernet_loss

SIZES = {"embed": (16, 16), "layers": (1, 1), "mlp": (32, 32), "head_dim": 8}
LARGEST = PyramidViT(image=8, patch=1, stem=8, scan=True, init_std=0.2, **SIZES)
SPACE = Space(LARGEST, (6, 8), (4, 8), ((8, 16), (8, 16)), ((1,), (1,)), ratios=(1, 2))
ROWS = [SPACE.most, (0, 1, 0, 0, 1, 0, 0, 1), (1, 0, 1, 0, 0, 0, 1, 0), SPACE.least]
CODES = np.array(ROWS, np.int32)
DATA = Images(batch=32).held_out(2)


@pytest.fixture(scope="module")
def net() -> Frozen:
    params = jax.jit(lambda: nnx.to_pure_dict(nnx.state(LARGEST.build(nnx.Rngs(0)), nnx.Param)))()
    return Frozen(LARGEST, params, {})


def model(params: Any) -> Any:
    graphdef, _ = nnx.split(nnx.eval_shape(lambda: LARGEST.build(nnx.Rngs(0))))
    return nnx.merge(graphdef, params)


@jax.jit
def logits(params: Any, images: jax.Array) -> jax.Array:
    """Of each subnet in CODES."""
    one = lambda code: model(params)(SPACE.resized(images, code), masks=SPACE.masks(code))  # noqa: E731
    return jax.lax.map(one, jnp.array(CODES))


def batches() -> list[Any]:
    with DATA.batches() as found:
        return [{name: jnp.asarray(value) for name, value in batch.items()} for batch in found]


@pytest.mark.slow
def test_the_loss_is_that_of_its_subnets(net: Frozen) -> None:
    """Three by labels and the sharpened teacher; the last to the mean of the three, which it does not move."""
    batch = batches()[0] | {"logits": jax.random.normal(jax.random.key(0), (32, 10))}

    def loss(params: Any, codes: jax.Array) -> Any:
        return supernet_loss(model(params), batch, None, space=SPACE, codes=codes, due=codes[2:])

    def expected(params: Any) -> Any:
        *_, last = four = logits(params, batch["image"])
        logs = jax.nn.log_softmax(four[:3])
        hard = -jnp.take_along_axis(logs, batch["label"][None, :, None], 2).mean((1, 2))
        soft = -(jax.nn.softmax(batch["logits"] / 0.2) * logs).sum(2).mean(1)
        pulled = adaptive_alpha_divergence(last, jax.lax.stop_gradient(jnp.exp(logs).mean(0))).mean()
        return (hard + soft).sum() / 2 + pulled, hard

    (own, metrics), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(net.params, jnp.array(CODES))
    (total, hard), wanted = jax.jit(jax.value_and_grad(expected, has_aux=True))(net.params)
    np.testing.assert_allclose(own, total, rtol=1e-5)
    np.testing.assert_allclose(metrics["scores"], -hard, rtol=1e-5)
    np.testing.assert_allclose(metrics["renewed"][0], metrics["scores"][2], rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), grads, wanted)


@pytest.mark.slow
def test_the_accuracy_of_a_subnet_is_that_of_the_network_under_its_masks(net: Frozen) -> None:
    right = [logits(net.params, batch["image"]).argmax(-1) == batch["label"] for batch in batches()]
    found = subnet_accuracy(net, SPACE, DATA)(CODES)
    np.testing.assert_allclose(found, np.concatenate(right, 1).mean(1))
    assert len(set(found.tolist())) > 1


def test_a_sampler_without_architectures_for_a_bank_says_so() -> None:
    with pytest.raises(ValueError, match="give fewer banks, or a larger tolerance"):
        Sampler(SPACE, steps=1, banks=9, tolerance=0.01).known()
