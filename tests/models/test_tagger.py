"""What is observed of an encoder is what it computes."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.models import bert, gpt
from stagejax.models.observed import observed
from stagejax.models.text.tagger import ChainTagger, Tagger

SMALL = bert(vocab=50, layers=3, embed=16, heads=2, mlp=24, positions="rotary")
TOKENS = jnp.array([[1, 9, 8, 7, 2], [1, 30, 2, 0, 0]])


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.slow
def test_states_are_those_of_every_depth(scan: bool) -> None:
    model = replace(SMALL, scan=scan).build(nnx.Rngs(0))
    seen = TOKENS != 0
    found = observed(model, TOKENS, seen)
    for depth in (1, 2, 3):
        np.testing.assert_allclose(found.states[depth], model.hidden(TOKENS, mask=seen, depth=depth), atol=2e-6)
    np.testing.assert_allclose(found.states[0], model.embed(TOKENS, jnp.arange(5)[None], None), atol=1e-6)


@pytest.mark.slow
def test_attentions_are_distributions_that_give_what_attention_gives() -> None:
    model = SMALL.build(nnx.Rngs(0))
    found = observed(model, TOKENS, TOKENS != 0)
    np.testing.assert_allclose(found.attentions.sum(-1), 1, rtol=1e-5)
    assert (found.attentions[:, 1, :, :, 3:] == 0).all()
    assert (found.attentions[:, 1, :, :, :3] > 0).all()
    graphdef, params = nnx.split(model.blocks)
    for layer in range(3):
        attention = nnx.merge(graphdef, nnx.to_pure_dict(params) and _row(params, layer)).attention
        x = found.states[layer]
        angles = model.angles(jnp.arange(5)[None], x)
        value = attention.project(x, angles)[2]
        mixed = jnp.einsum("bnts,bsnv->btnv", found.attentions[layer], value)
        np.testing.assert_allclose(
            attention.out(mixed[:, :, :, None]), attention(x, mask=TOKENS != 0, angles_BTh=angles), atol=2e-6
        )


def _row(params: nnx.State, layer: int) -> nnx.State:
    import jax

    return jax.tree.map(lambda leaf: leaf[layer], params)


@pytest.mark.slow
def test_a_decoder_attends_to_what_came_before() -> None:
    model = gpt(vocab=50, layers=2, embed=16, heads=2, mlp=24).build(nnx.Rngs(0))
    found = observed(model, TOKENS)
    assert (np.triu(np.asarray(found.attentions), 1) == 0).all()
    np.testing.assert_allclose(found.states[-1], model.hidden(TOKENS), atol=2e-6)


@pytest.mark.slow
def test_tags_are_the_heads_of_the_last_state_and_padding_changes_nothing() -> None:
    model = Tagger(SMALL, classes=3).build(nnx.Rngs(0))
    tags = model.tags(TOKENS)
    np.testing.assert_allclose(model.head(model.observed(TOKENS).states[-1]), tags, atol=2e-6)
    np.testing.assert_allclose(model.tags(TOKENS[1:, :3]), tags[1:, :3], atol=2e-6)
    with pytest.raises(ValueError, match="causal"):
        Tagger(gpt(), classes=3)


def test_a_chain_tagger_is_a_tagger_with_moves_that_begin_at_nothing() -> None:
    plain, chain = (kind(SMALL, classes=3) for kind in (Tagger, ChainTagger))
    model = chain.build(nnx.Rngs(0))
    np.testing.assert_array_equal(model.tags(TOKENS), plain.build(nnx.Rngs(0)).tags(TOKENS))
    assert not np.asarray(model.moves[...]).any()
    assert chain.sizes() == plain.sizes() | {"previous": 3}
