"""The encoder-decoder: what its tokens may see, its axes, its buckets of relative positions."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.axes import axes_of, is_axes
from stagejax.models.t5 import T5, bucket
from stagejax.models.t5_sizes import V1_1, t5_v1_1

CONFIG = T5(vocab=13, embed=8, encoder_layers=2, decoder_layers=3, heads=2, head_dim=3, mlp=12, buckets=8, distance=12)
TOKENS = jnp.asarray(np.random.RandomState(0).randint(0, 13, (2, 7)))
TARGETS = jnp.asarray(np.random.RandomState(1).randint(0, 13, (2, 5)))


def test_every_axis_has_a_size() -> None:
    model = nnx.eval_shape(lambda: replace(CONFIG, tied=False, activation="geglu").build(nnx.Rngs(0)))
    sizes: dict[str, int] = {}
    for axes, leaf in zip(
        jax.tree.leaves(axes_of(model), is_leaf=is_axes),
        jax.tree.leaves(nnx.to_pure_dict(nnx.state(model, nnx.Param))),
        strict=True,
    ):
        sizes |= dict(zip(axes.names, leaf.shape, strict=True))
    assert sizes == CONFIG.sizes()


@pytest.mark.slow
def test_what_tokens_may_see() -> None:
    """The decoder sees what is behind it and the encoder's tokens that the mask leaves; the encoder both sides."""
    graphdef, params = nnx.split(CONFIG.build(nnx.Rngs(0)))
    mask = jnp.ones((2, 7), bool).at[1, 4:].set(False)

    @jax.jit
    def run(tokens, targets):
        model = nnx.merge(graphdef, params)
        return model(tokens, targets, mask=mask), model.encode(tokens, mask=mask)

    logits, memory = run(TOKENS, TARGETS)
    assert float(jnp.abs(logits).std()) > 0.1
    later, _ = run(TOKENS, TARGETS.at[:, 3].add(1) % 13)
    np.testing.assert_allclose(later[:, :3], logits[:, :3], atol=1e-6)
    assert np.abs(later[:, 3] - logits[:, 3]).min() > 1e-4
    hidden, _ = run((TOKENS.at[1, 5].add(1)) % 13, TARGETS)
    np.testing.assert_allclose(hidden, logits, atol=1e-6)
    _, seen = run((TOKENS.at[0, 5].add(1)) % 13, TARGETS)
    assert np.abs(seen[0, 0] - memory[0, 0]).max() > 1e-4


@pytest.mark.slow
def test_a_loop_over_layers_in_the_program_is_the_same() -> None:
    graphdef, params = nnx.split(CONFIG.build(nnx.Rngs(0)))
    looped, _ = nnx.split(nnx.eval_shape(lambda: replace(CONFIG, scan=True, remat="full").build(nnx.Rngs(0))))
    run = jax.jit(lambda p: [nnx.merge(g, p)(TOKENS, TARGETS) for g in (graphdef, looped)])
    np.testing.assert_allclose(*run(params), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_dropout_needs_a_key() -> None:
    graphdef, params = nnx.split(replace(CONFIG, dropout=0.5, encoder_layers=1, decoder_layers=1).build(nnx.Rngs(0)))
    run = jax.jit(lambda key: nnx.merge(graphdef, params)(TOKENS, TARGETS, key=key))
    first, again, other = run(jax.random.key(0)), run(jax.random.key(0)), run(jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_buckets_by_hand() -> None:
    """Section 2.1: half of the buckets for exact distances, the rest logarithmic, all beyond `distance` in the last."""
    behind = bucket(-np.arange(20), 8, 12, both=False)
    expected = [min(d, 4 + int(np.log(d / 4) / np.log(12 / 4) * 4), 7) if d >= 4 else d for d in range(20)]
    assert behind.tolist() == expected
    assert (bucket(np.arange(20), 8, 12, both=False) == 0).all()
    both = bucket(np.arange(-19, 20), 8, 12, both=True)
    assert (both[20:] == both[18::-1] + 4).all()
    assert both.max() == 7


def test_refusals_and_the_scale_before_the_head() -> None:
    with pytest.raises(ValueError, match="buckets=6 and distance=12"):
        replace(CONFIG, buckets=6)
    with pytest.raises(ValueError, match="decoder_layers=0"):
        replace(CONFIG, decoder_layers=0)
    assert CONFIG.head_scale == 8**-0.5
    assert replace(CONFIG, embed=16).head_scale == 8**-0.5
    assert T5(tied=False).head_scale == 1.0


@pytest.mark.parametrize(
    ("name", "millions"), [("small", 77), ("base", 248), ("large", 783), ("XL", 2850), ("XXL", 11135)]
)
def test_published_sizes_have_the_published_numbers_of_parameters(name: str, millions: int) -> None:
    net = nnx.eval_shape(lambda: t5_v1_1(name, vocab=32_128, scan=True).build(nnx.Rngs(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))
    assert round(count / 1e6) == millions


def test_an_unknown_size_is_refused() -> None:
    assert t5_v1_1("base", dropout=0.1).dropout == 0.1
    with pytest.raises(ValueError, match=f"'11B': choose one of {', '.join(V1_1)}"):
        t5_v1_1("11B")
