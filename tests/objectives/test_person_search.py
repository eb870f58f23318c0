"""Person search: maxima over tokens, semi-hard negatives against a loop, prototypes, and rankings by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models.multimodal.dual_encoder import Tower
from stagejax.models.multimodal.person_search import PersonSearch, whole
from stagejax.objectives.pictures.identification import mean_average_precision
from stagejax.objectives.pictures.person_search import (
    Aligned,
    Identified,
    TextToImage,
    TwoViews,
    embedded,
    ranked,
    search_metrics,
    semi_hard,
)
from stagejax.objectives.text.similarity import unit

TINY = PersonSearch(
    height=8, width=4, patch=2, vocab=12, length=6, image=Tower(1, 8, 16), text=Tower(1, 8, 16), joint=8, head_dim=4,
    kinds=3, identities=5, queries=2, layers=1, features=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Any:
    return TINY.build(nnx.Rngs(0))


def by_hand(scores: np.ndarray, same: np.ndarray, margin: float) -> tuple[float, list[list[float]]]:
    """The loss with the most similar semi-hard negatives, and the hinges of all of each row."""
    fit = [
        [margin - row[i] + row[j] for j in range(len(row)) if not same[i, j] and 0 < margin - row[i] + row[j] < margin]
        for i, row in enumerate(scores)
    ]
    best = [max(own) for own in fit if own]
    return (sum(best) / len(best) if best else 0.0), fit


@pytest.mark.parametrize("seed", range(4))
def test_semi_hard_negatives_are_those_of_a_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, labels = random.uniform(-0.3, 0.3, (7, 7)).astype(np.float32), random.integers(0, 4, 7)
    same = labels[:, None] == labels
    expected, fit = by_hand(scores, same, 0.2)
    assert float(semi_hard(jnp.asarray(scores), jnp.asarray(same), 0.2)) == pytest.approx(expected, abs=1e-6)
    drawn = [float(semi_hard(jnp.asarray(scores), jnp.asarray(same), 0.2, jax.random.key(k))) for k in range(30)]
    means = [own for own in fit if own]
    assert all(
        sum(map(min, means)) / len(means) - 1e-6 <= value <= sum(map(max, means)) / len(means) + 1e-6 for value in drawn
    )
    assert len({round(value, 5) for value in drawn}) > 1 or all(len(own) < 2 for own in fit)


def test_rows_without_a_semi_hard_negative_do_not_count_and_have_finite_gradients() -> None:
    scores = jnp.array([[0.9, -0.9], [-0.9, 0.9]])
    value, gradient = jax.value_and_grad(lambda s: semi_hard(s, jnp.eye(2, dtype=bool), 0.2))(scores)
    assert float(value) == 0
    assert (gradient == 0).all()
    x = jnp.ones((3, 4))
    assert jnp.isfinite(jax.jit(jax.grad(lambda x: ranked(x, x, jnp.arange(3), 0.2, None)))(x)).all()


@pytest.mark.slow
def test_padding_changes_nothing(model: Any) -> None:
    short = jnp.array([[5, 6, 7]])
    long = jnp.array([[5, 6, 7, 0, 0, 0]])

    @nnx.jit
    def features(model: Any, texts: Any) -> Any:
        side = model.text_tokens(texts)
        return whole(*side), model.prototypes(*side)

    for one, other in zip(features(model, short), features(model, long), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    with pytest.raises(ValueError, match="length=6"):
        model.text_tokens(jnp.ones((1, 7), int))


@pytest.mark.slow
def test_prototypes_are_shared_and_each_has_its_own_map(model: Any) -> None:
    images = jax.random.uniform(jax.random.key(0), (2, 8, 4, 3))

    @nnx.jit
    def three(model: Any, images: Any) -> Any:
        tokens, _ = model.image_tokens(images)
        seen = jnp.ones(tokens.shape[:2], bool)
        return model.prototypes(tokens), model.prototypes(tokens, seen), model.prototypes(tokens[:, ::-1])

    found, masked, turned = three(model, images)
    assert found.shape == (2, 2, 3)
    np.testing.assert_allclose(found, masked, atol=1e-5)
    np.testing.assert_allclose(found, turned, atol=1e-5)  # a set of tokens
    assert not np.allclose(found[:, 0], found[:, 1])


@pytest.mark.slow
def test_temperature_divides_cosines(model: Any) -> None:
    batch = {
        "image": jax.random.uniform(jax.random.key(1), (4, 8, 4, 3)),
        "tokens": jnp.arange(4, 28).reshape(4, 6) % 12,
    }

    @nnx.jit
    def found(model: Any, batch: Any) -> Any:
        return model(batch["image"], batch["tokens"]), [Aligned(tau)(model, batch, None)[0] for tau in (1.0, 0.1)]

    cosines, losses = found(model, batch)
    assert (jnp.abs(cosines) <= 1 + 1e-5).all()
    plain, sharp = map(float, losses)
    expected = [
        -float((jax.nn.log_softmax(c, 1).diagonal().mean() + jax.nn.log_softmax(c, 0).diagonal().mean()) / 2)
        for c in (cosines, cosines / 0.1)
    ]
    assert [plain, sharp] == pytest.approx(expected, rel=1e-4)


def test_two_views_are_told_apart_without_texts(model: Any) -> None:
    image, other = jax.random.uniform(jax.random.key(4), (2, 4, 8, 4, 3))

    @nnx.jit
    def found(model: Any, image: Any, other: Any) -> Any:
        cosines = model.image_vectors(image) @ model.image_vectors(other).T
        return cosines, TwoViews(0.5)(model, {"image": image, "other": other}, None)[0]

    cosines, loss = found(model, image, other)
    logits = cosines / 0.5
    both = [jax.nn.log_softmax(logits, axis).diagonal().mean() for axis in (0, 1)]
    assert float(loss) == pytest.approx(-float(sum(both)) / 2, rel=1e-4)


@pytest.mark.slow
def test_identities_are_of_one_classifier_and_gamma_adds_the_prototypes(model: Any) -> None:
    batch = {
        "image": jax.random.uniform(jax.random.key(2), (3, 8, 4, 3)),
        "tokens": jnp.arange(4, 22).reshape(3, 6) % 12,
        "label": jnp.array([0, 1, 1]),
    }

    @nnx.jit
    def found(model: Any, batch: Any) -> Any:
        sides = model.image_tokens(batch["image"]), model.text_tokens(batch["tokens"])
        vectors = [whole(*side) for side in sides]
        logits = [model.identity(own) for own in vectors]
        three = [Identified(gamma=gamma)(model, batch, None) for gamma in (0.0, 1.0, 2.0)]
        return logits, ranked(*vectors, batch["label"], 0.2, None), three, embedded(model, sides[0])

    logits, ranking, three, vectors = found(model, batch)
    losses = [-float(jax.nn.log_softmax(own)[jnp.arange(3), batch["label"]].mean()) for own in logits]
    none, once, twice = (float(loss) for loss, _ in three)
    assert none == pytest.approx(np.mean(losses) + float(ranking), rel=1e-4)
    assert twice - once == pytest.approx(once - none, rel=1e-3)
    assert float(three[0][1]["loss"][1]) == 6
    np.testing.assert_allclose((vectors * vectors).sum(1), 2, rtol=1e-4)


def test_rankings_by_hand_and_a_collapsed_model_finds_nothing() -> None:
    scores = jnp.array([[0.9, 0.8, 0.1, 0.0], [0.1, 0.2, 0.3, 0.4]])
    right = jnp.array([[True, False, True, False], [True, False, False, False]])
    found = search_metrics(scores, right)
    assert [float(found[name]) for name in ("rank-1", "rank-5", "mAP")] == pytest.approx([0.5, 1, (5 / 6 + 1 / 4) / 2])
    assert float(found["mAP"]) == pytest.approx(float(mean_average_precision(scores, right)[0]))
    flat = search_metrics(jnp.zeros((9, 9)), jnp.eye(9, dtype=bool))
    assert float(flat["rank-1"]) == float(flat["rank-5"]) == 0


def test_search_is_by_both_features_or_globally(model: Any) -> None:
    batch = {
        "image": jax.random.uniform(jax.random.key(3), (4, 8, 4, 3)),
        "tokens": jnp.arange(4, 28).reshape(4, 6) % 12,
        "label": jnp.array([0, 0, 1, 1]),
    }

    @nnx.jit
    def found(model: Any, batch: Any) -> Any:
        sides = model.text_tokens(batch["tokens"]), model.image_tokens(batch["image"])
        texts, images = (unit(whole(*side)) for side in sides)
        expected = search_metrics(texts @ images.T, batch["label"][:, None] == batch["label"])
        return expected, [TextToImage(globally)(model, batch, None) for globally in (True, False)]

    expected, ((loss, metrics), (_, both)) = found(model, batch)
    assert float(metrics["rank-1"][0]) == pytest.approx(4 * float(expected["rank-1"]))
    assert float(loss) == pytest.approx(1 - float(expected["mAP"]))
    assert float(both["mAP"][1]) == 4


@pytest.mark.slow
def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="patch=3"):
        PersonSearch(patch=3)
    with pytest.raises(ValueError, match="joint"):
        PersonSearch(joint=40)
