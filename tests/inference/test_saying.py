"""Answers to questions: the same in batches of any size, drawn by record, no longer than they may be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flax import nnx

from stagejax.data.reasoning.problems import Problems
from stagejax.inference.frozen import Frozen
from stagejax.inference.saying import Saying, said
from stagejax.models import llama

SOURCE = Problems(size=7, steps=(1,))
CODE = SOURCE.tokenizer()
NET = llama(vocab=CODE.vocab, embed=16, layers=1, heads=2, mlp=32, length=40)
HOW = Saying(prompt=25, limit=5, batch=4)


def frozen() -> Frozen:
    _, params, rest = nnx.split(NET.build(nnx.Rngs(0)), nnx.Param, ...)
    return Frozen(NET, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


@pytest.mark.slow
def test_answers_do_not_depend_on_the_batch() -> None:
    net = frozen()
    likeliest = said(net, SOURCE, CODE, HOW)
    assert len(likeliest) == 7
    assert all(len(text.split()) <= 5 for text in likeliest)
    assert said(net, SOURCE, CODE, replace(HOW, batch=7)) == likeliest == said(net, SOURCE, CODE, HOW, seed=3)
    drawn = said(net, SOURCE, CODE, HOW, 1.0)
    assert said(net, SOURCE, CODE, replace(HOW, batch=7), 1.0) == drawn != likeliest
    assert said(net, SOURCE, CODE, HOW, 1.0, seed=3) != drawn
    assert len(set(drawn)) > 1


def test_an_answer_is_charged_for_its_limit() -> None:
    short, long = (replace(HOW, limit=limit).flops(NET) for limit in (5, 10))
    assert 0 < short < long
