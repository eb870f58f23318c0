"""Replies of a frozen model: the same in batches of any size, drawn by prompt, ended by their stop."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flax import nnx

from stagejax.data.vocabulary.words import Words
from stagejax.inference.frozen import Frozen
from stagejax.inference.reasoning.two_calls import Calling, replies
from stagejax.models import llama

CODE = Words(("a", "b", "c", "|"))
NET = llama(vocab=CODE.vocab, embed=16, layers=1, heads=2, mlp=32, length=40)
HOW = Calling(prompt=6, limit=5, batch=4)
PROMPTS = ["a", "a b", "c c c", "b", "a b c a b", "c", "b c"]


def frozen() -> Frozen:
    _, params, rest = nnx.split(NET.build(nnx.Rngs(0)), nnx.Param, ...)
    return Frozen(NET, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


@pytest.mark.slow
def test_replies_do_not_depend_on_the_batch() -> None:
    net = frozen()
    likeliest = replies(net, CODE, PROMPTS, HOW, "|")
    assert len(likeliest.texts) == len(likeliest.tokens) == 7
    assert all(1 <= tokens <= 5 for tokens in likeliest.tokens)
    assert replies(net, CODE, PROMPTS, replace(HOW, batch=7), "|", seed=3) == likeliest
    drawn = replies(net, CODE, PROMPTS, HOW, "|", 1.0)
    assert replies(net, CODE, PROMPTS, replace(HOW, batch=7), "|", 1.0) == drawn != likeliest
    assert replies(net, CODE, PROMPTS, HOW, "|", 1.0, seed=3) != drawn
    assert not any("|" in text for text in drawn.texts)
    mixed = replies(net, CODE, PROMPTS, HOW, "|", [0.0, 1.0] * 3 + [0.0]).texts
    assert mixed == [(drawn if place % 2 else likeliest).texts[place] for place in range(7)]
    assert replies(net, CODE, [], HOW, "|").texts == []


def test_a_reply_is_charged_for_its_limit() -> None:
    short, long = (replace(HOW, limit=limit).flops(NET) for limit in (5, 10))
    assert 0 < short < long
