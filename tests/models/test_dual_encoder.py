"""Dual encoder: what is shared is shared, padding is no text, and growth finds the axes of each tower."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of
from stagejax.growth import FPI, Growth, grow
from stagejax.models.multimodal.dual_encoder import DualEncoder, ImageTextModel, Tower

SMALL = Tower(layers=1, embed=16, mlp=24)
CONFIG = DualEncoder(pixels=8, patch=4, vocab=12, length=6, image=SMALL, text=SMALL, shared=SMALL, joint=8)
IMAGES = jnp.asarray(np.random.RandomState(0).rand(3, 8, 8, 3), jnp.float32)
TOKENS = jnp.array([[4, 5, 6, 7, 0, 0], [8, 9, 0, 0, 0, 0]], jnp.int32)


def merged(config: DualEncoder, params: object) -> ImageTextModel:
    graphdef, _ = nnx.split(nnx.eval_shape(lambda: config.build(nnx.Rngs(0))))
    return nnx.merge(graphdef, params)


def params_of(config: DualEncoder) -> object:
    return nnx.to_pure_dict(nnx.state(config.build(nnx.Rngs(0)), nnx.Param))


def logits(config: DualEncoder, params: object) -> np.ndarray:
    return np.asarray(jax.jit(lambda params: merged(config, params)(IMAGES, TOKENS))(params))


@pytest.fixture(scope="module")
def model() -> ImageTextModel:
    return CONFIG.build(nnx.Rngs(0))


@pytest.fixture(scope="module")
def found(model: ImageTextModel) -> dict[str, np.ndarray]:
    """What the model says, from one program."""
    graphdef, params = nnx.split(model)

    def program(params: object) -> dict[str, jax.Array]:
        own = nnx.merge(graphdef, params)
        vectors = {"image": own.encode_image(IMAGES), "text": own.encode_text(TOKENS)}
        return vectors | {"short": own.encode_text(TOKENS[:, :4]), "logits": own(IMAGES, TOKENS)}

    return jax.tree.map(np.asarray, jax.jit(program)(params))


@pytest.mark.slow
def test_logits_are_scaled_cosines(found: dict) -> None:
    np.testing.assert_allclose(np.linalg.norm(found["image"], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found["text"], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found["logits"], found["image"] @ found["text"].T / 0.07, rtol=1e-5)


@pytest.mark.slow
def test_padding_is_no_part_of_a_text(found: dict) -> None:
    np.testing.assert_allclose(found["short"], found["text"], atol=1e-6)


@pytest.mark.slow
def test_both_modalities_train_the_shared_tower_and_only_their_own_branch(model: ImageTextModel) -> None:
    graphdef, params = nnx.split(model)

    def squares(of: str) -> dict:
        def total(params: object) -> jax.Array:
            own = nnx.merge(graphdef, params)
            vectors = own.encode_image(IMAGES) if of == "image" else own.encode_text(TOKENS)
            return (vectors * jnp.arange(8.0)).sum()

        grads = nnx.to_pure_dict(jax.jit(jax.grad(total))(params))
        return {name: sum(float((g**2).sum()) for g in jax.tree.leaves(tree)) for name, tree in grads.items()}

    image, text = squares("image"), squares("text")
    assert image["shared_blocks"] > 0 < text["shared_blocks"]
    assert image["image_blocks"] > 0 == text["image_blocks"]
    assert text["text_blocks"] > 0 == image["text_blocks"]


def test_axes_name_the_towers() -> None:
    axes = axes_of(nnx.eval_shape(lambda: CONFIG.build(nnx.Rngs(0))))
    assert str(axes["text_blocks"]["mlp"]["up"]["kernel"]) == "#layers.text <embed >mlp.text"
    assert str(axes["image_projection"]["kernel"]) == "<embed >joint"
    apart = replace(CONFIG, adapters=True, text=replace(SMALL, embed=24))
    axes = axes_of(nnx.eval_shape(lambda: apart.build(nnx.Rngs(0))))
    assert str(axes["text_adapter"]["kernel"]) == "<embed.text >embed.shared"
    assert str(axes["tokens"]["table"]) == "<vocab >embed.text"


@pytest.mark.slow
@pytest.mark.parametrize(
    "larger",
    [
        {tower: replace(SMALL, embed=32, mlp=40) for tower in ("image", "text", "shared")},
        {"shared": replace(SMALL, mlp=40)},
    ],
)
def test_widening_keeps_the_function(found: dict, larger: dict) -> None:
    wide = replace(CONFIG, **larger)
    grown = grow(Growth(FPI(), CONFIG, wide), params_of(CONFIG))
    np.testing.assert_allclose(logits(wide, grown), found["logits"], atol=2e-4)


@pytest.mark.slow
def test_one_branch_widens_behind_its_adapter() -> None:
    apart = replace(CONFIG, adapters=True)
    wide, params = replace(apart, text=Tower(layers=1, embed=32, mlp=24)), params_of(apart)
    grown = grow(Growth(FPI(), apart, wide), params)
    np.testing.assert_allclose(logits(wide, grown), logits(apart, params), atol=2e-4)


def test_refusals(model: ImageTextModel) -> None:
    with pytest.raises(ValueError, match=r"head_dim=8 does not divide text\.embed=20"):
        replace(CONFIG, adapters=True, text=Tower(embed=20))
    with pytest.raises(ValueError, match=r"image\.layers=0: a branch has at least one block"):
        replace(CONFIG, image=replace(SMALL, layers=0))
    with pytest.raises(ValueError, match="length=6"):
        model.encode_text(jnp.ones((1, 7), jnp.int32))
    with pytest.raises(ValueError, match="pixels=8"):
        model.encode_image(jnp.ones((1, 9, 9, 3)))
