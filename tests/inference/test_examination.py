"""A model of several modalities is asked: words by beams, codes in their ranges, clips without repetition."""

import functools
import itertools
from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from stagejax.data.multimodal.interleave import Vocabulary
from stagejax.data.tokenizers import CLS, SEP, SPECIAL
from stagejax.inference import Frozen
from stagejax.inference.multimodal.examination import WRITTEN, Examination
from stagejax.models import llama

VOCABULARY = Vocabulary(text=SPECIAL + 5, image=6, streams=2, codes=4)
HOW = Examination(VOCABULARY, words=SPECIAL + 3, count=4, prompt=4, limit=9, written=3, at_once=2, beams=9)
NET = llama(layers=1, embed=16, heads=2, mlp=16, vocab=VOCABULARY.size, init_std=0.5)
QUESTIONS = [
    np.array([CLS, SPECIAL, SPECIAL + 4]),
    np.array([CLS, VOCABULARY.borders[0]]),
    np.array([CLS, SPECIAL + 1]),
]


@functools.cache
def frozen() -> Frozen:
    _, params, rest = nnx.split(NET.build(nnx.Rngs(0)), nnx.Param, ...)
    return Frozen(NET, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


@functools.cache
def logp():
    model = NET.build(nnx.Rngs(0))
    return jax.jit(lambda tokens: jax.nn.log_softmax(model(tokens)))


@pytest.mark.slow
@pytest.mark.parametrize("task", WRITTEN)
def test_answers_in_words_are_the_likeliest_of_all(task: str) -> None:
    words = range(SPECIAL, HOW.words)
    ended = [(*own, SEP) for n in range(HOW.written) for own in itertools.product(words, repeat=n)]
    every = [*ended, *itertools.product(words, repeat=HOW.written)]
    for question, answer in zip(QUESTIONS, HOW.answers(frozen(), task, QUESTIONS, seed=0), strict=True):
        rows = np.array([[*question, *own, *[0] * (HOW.written - len(own))] for own in every])
        found = np.take_along_axis(np.asarray(logp()(rows))[:, :-1], rows[:, 1:, None], -1)[..., 0]
        totals = [row[len(question) - 1 :][: len(own)].sum() for row, own in zip(found, every, strict=True)]
        assert tuple(answer.tolist()) == every[int(np.argmax(totals))]


@pytest.mark.slow
def test_pictures_are_pictures_and_clips_have_codes_of_speech_alone() -> None:
    for task in ("draw", "edit", "story"):
        drawn = HOW.answers(frozen(), task, QUESTIONS, seed=1)
        assert all(VOCABULARY.picture_codes(answer, HOW.count) is not None for answer in drawn)
    begin, end = VOCABULARY.borders[2:]
    clips = HOW.answers(frozen(), "speak", QUESTIONS, seed=1)
    for answer in clips:
        inner = answer[1:-1] if answer[-1] == end else answer[1:]
        assert answer[0] == begin
        assert ((inner >= VOCABULARY.speech) & (inner < VOCABULARY.borders[0])).all()
        assert answer[-1] == end or len(answer) == HOW.limit
    again = HOW.answers(frozen(), "speak", QUESTIONS, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(clips, again, strict=True))


def test_what_is_penalised_is_repeated_less() -> None:
    def repeats(penalty: float) -> int:
        clips = replace(HOW, repetition=penalty, limit=20).answers(frozen(), "speak", QUESTIONS * 8, seed=0)
        return sum(len(own) - len(set(own.tolist())) for own in clips)

    assert repeats(8.0) < repeats(1.0)


@pytest.mark.slow
def test_the_cost_of_an_answer_is_that_of_its_tokens() -> None:
    """A prompt less its last token, then an answer's tokens one by one; beams multiply those."""
    costs = {task: HOW.flops(NET, task) for task in ("draw", "speak", "caption")}
    assert costs["draw"] == costs["speak"]
    fewer = replace(HOW, beams=1).flops(NET, "caption")
    one = (costs["caption"] - fewer) / (HOW.beams - 1) / HOW.written
    longer = replace(HOW, limit=HOW.limit + 1).flops(NET, "draw") - costs["draw"]
    assert 0.5 < one / longer < 1.5
