"""What a model says behind prompts, and how likely it finds texts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data import CLS, SEP, Bytes
from stagejax.decode import Recomputed, beam_search, padded_prompts
from stagejax.inference import Frozen
from stagejax.inference.continuing import (
    GREEDY,
    Sampling,
    Searching,
    continued,
    continuing_flops,
    draw,
    searched,
    searching_flops,
)
from stagejax.inference.likelihood import row_losses, text_losses
from stagejax.models import llama
from stagejax.objectives import causal_lm

SMALL = llama(vocab=260, embed=16, layers=1, heads=2, mlp=32, init_std=0.3)
HOW = {"length": 12, "limit": 5, "batch": 4, "seed": 0}


@pytest.fixture(scope="module")
def net() -> Frozen:
    model = SMALL.build(nnx.Rngs(0))
    _, params, rest = nnx.split(model, nnx.Param, ...)
    return Frozen(SMALL, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


def module(net: Frozen) -> nnx.Module:
    return nnx.merge(take_apart(net.config)[0], net.params, net.rest)


@pytest.mark.slow
def test_greedy_continuations_are_the_likeliest_tokens(net: Frozen) -> None:
    prompts = ["ab", "Seq=<MK", "c", "dd", "hello"]
    found = continued(net, Bytes(), prompts, GREEDY, **HOW)
    rows = jax.jit(lambda tokens: module(net)(tokens))
    for prompt, said in zip(prompts, found, strict=True):
        ids, told = [CLS, *Bytes().encode([prompt])[0].tolist()], []
        while len(told) < HOW["limit"]:
            row = np.pad(np.int32(ids + told), (0, 13 - len(ids + told)))
            told.append(int(rows(row[None])[0, len(ids + told) - 1].argmax()))
            if told[-1] == SEP:
                break
        assert said == Bytes().decode(told)


@pytest.mark.slow
def test_what_is_found_is_the_best_of_beam_search_whatever_stands_beside_it(net: Frozen) -> None:
    prompts, how = ["ab", "Seq=<MK", "c", "dd", "hello"], Searching(12, 17, beams=4, penalty=0.0)
    found = searched(net, Bytes(), prompts, how, batch=2)
    rows = [[CLS, *ids.tolist()] for ids in Bytes().encode(prompts)]
    text = jnp.arange(260) >= 4
    best = beam_search(
        module(net), padded_prompts(rows, 12), length=17, beams=4, stops=((SEP,),), allowed=text.at[SEP].set(True)
    )
    said = [
        row[0, start[0] : end[0]] for row, start, end in zip(best.tokens_BKS, best.starts_BK, best.ends_BK, strict=True)
    ]
    assert found == [Bytes().decode(np.asarray(ids)) for ids in said]  # SEP is no text
    assert searching_flops(SMALL, how) > 3 * searching_flops(SMALL, replace(how, beams=1))


@pytest.mark.slow
def test_no_text_ends_before_it_has_as_many_tokens_as_are_asked_for() -> None:
    class Ending(Recomputed):
        config = SimpleNamespace(vocab=260)

    model = Ending(lambda tokens, _: 50.0 * jax.nn.one_hot(jnp.full_like(tokens, SEP), 260))
    options = {name: jnp.float32(value) for name, value in (("temperature", 0), ("top_p", 1), ("repetition", 1))}
    options |= {"top_k": jnp.int32(260), "limit": jnp.int32(6), "key": jax.random.key(0)}
    batch = options | {"tokens": jnp.full((3, 2), 7), "lengths": jnp.array([1, 2, 2])}
    assert (lambda found: found.ends_BN - found.starts_BN)(draw(model, batch, 9))[:, 0].tolist() == [1, 1, 1]
    found = draw(model, batch | {"least": jnp.array([0, 3, 9])}, 9)
    assert (found.ends_BN - found.starts_BN)[:, 0].tolist() == [1, 4, 6]
    assert found.stop_sizes_BN[:, 0].tolist() == [1, 1, 0]


def test_a_prompt_is_continued_alike_whatever_stands_beside_it(net: Frozen) -> None:
    warm = Sampling(temperature=1.0)
    alone = continued(net, Bytes(), ["ab"], warm, **HOW)
    assert continued(net, Bytes(), ["ab", "x", "y"], warm, **HOW)[0] == alone[0]
    assert len(continued(net, Bytes(), ["ab"] * 6, warm, **HOW)) == 6
    assert continued(net, Bytes(), ["ab"], warm, **(HOW | {"seed": 1})) != alone
    assert continued(net, Bytes(), ["ab"], replace(warm, top_k=1), **HOW) == continued(
        net, Bytes(), ["ab"], GREEDY, **HOW
    )


def test_continuing_costs_more_with_more_tokens() -> None:
    few, more = (continuing_flops(SMALL, 12, limit) for limit in (4, 8))
    assert 0 < few < more < 2.1 * few


def test_the_loss_of_a_text_is_that_of_its_tokens(net: Frozen) -> None:
    texts = ["Seq=<MKV>", "abcdefghi"]
    found = text_losses(net, Bytes(), texts, length=10, batch=4)
    for text, own in zip(texts, found, strict=True):
        ids = jnp.array([[CLS, *Bytes().encode([text])[0]]])
        wanted = jax.jit(lambda tokens: causal_lm(module(net), {"tokens": tokens}, None)[0])(ids)
        np.testing.assert_allclose(own, wanted, rtol=1e-5)


def test_uncounted_tokens_have_no_part_in_a_loss(net: Frozen) -> None:
    tokens = jnp.arange(10, 22).reshape(2, 6)
    weights = np.float32([[0, 0, 1, 1, 0], [0, 0, 0, 0, 0]])
    batch = {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": jnp.asarray(weights)}
    both = jax.jit(lambda batch: (row_losses(module(net), batch), causal_lm(module(net), batch, None)[0]))
    found, wanted = both(batch)
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5)
    assert found[1] == 0
