"""Slots at work: states and summaries are those of each record's own rows, answers those of filled slots."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from stagejax.data.prompts.answers import Answers, PromptedText
from stagejax.data.reasoning.dialogues import SLOT, Dialogues, Slotted
from stagejax.data.tokenizers import CLS, SEP
from stagejax.decode.steps import FinalAnswer
from stagejax.inference import Frozen
from stagejax.inference.answering import Answering
from stagejax.inference.prompts import slots
from stagejax.models import llama
from stagejax.models.text.slots import SlotReader, SlotWriter
from stagejax.result import Result
from stagejax.stage import variables
from stagejax.state import TrainState
from stagejax.steps import windows

TOLD = Dialogues(size=3, steps=((1,), (1,)), largest=6)
CODE = TOLD.tokenizer()
MARKER, ANS, ZERO = (int(CODE.encode([word])[0][0]) for word in (SLOT, "ans", "0"))
SOURCE = Slotted(TOLD, 2)
NET = llama(vocab=CODE.vocab, embed=8, layers=1, heads=2, mlp=12, length=44, init_std=0.3)
HOW = Answering(FinalAnswer(ANS, ZERO), length=44, limit=4, stops=((SEP,),))
DATA = PromptedText(
    source=SOURCE, tokenizer=CODE, batch=4, length=30, field="asked", beside=("answer", "middle"), seed=3
)  # 6 records: the second batch is filled up with two that come again


def trained(config: Any, seed: int) -> tuple[Any, Result]:
    """A model, and the result of a stage that left it."""
    model = config.build(nnx.Rngs(seed))
    state = TrainState(0, nnx.to_pure_dict(nnx.state(model, nnx.Param)), variables(model), None, None)
    return model, Result(str(config), "train", "", 1, config, load=lambda: state)


def row(text: str) -> np.ndarray:
    """[CLS, text], padded to one size for all."""
    return np.array([np.pad([CLS, *CODE.encode([text])[0]], (0, 36))[:36]], np.int32)


@pytest.mark.slow
def test_what_is_seen_of_a_record_is_of_its_own_rows() -> None:
    model, net = trained(SlotWriter(NET, MARKER, 5), 0)
    found = slots.looked_at(DATA, 12, Frozen.of(net))
    seen = jax.jit(lambda tokens: (model.hidden(tokens)[0], model.summary(tokens)[0]))
    records = DATA.records(np.arange(8))
    assert sorted(records[:6].tolist()) == list(range(6))
    for place in (0, 5):
        record = SOURCE[int(records[place])]
        tokens = row(record["asked"])
        end, (states, summary) = np.count_nonzero(tokens), seen(tokens)
        np.testing.assert_allclose(found["states"][place], states[end - 2 : end].mean(0), atol=1e-4)  # two slots, last
        np.testing.assert_allclose(found["slot"][place], summary, atol=1e-4)
        for name in ("thought", "wrong"):
            own = seen(row(f"{record[name]} {SLOT} {SLOT}"))[1]
            np.testing.assert_allclose(found[name][place], own, atol=1e-4)
        assert (found["answer"][place], found["middle"][place]) == (record["answer"], record["middle"])


@pytest.mark.slow
def test_every_record_is_answered_once_behind_its_filled_slots() -> None:
    (writer, first), (reader, last) = trained(SlotWriter(NET, MARKER, 5), 0), trained(SlotReader(NET, MARKER, 8), 1)
    found = slots.scored(DATA, HOW, last, first)
    assert found["right"].shape == found["drawn"].shape == (6,)
    logits = jax.jit(lambda tokens: reader(tokens, states=writer.hidden(tokens))[0])
    for place in range(6):
        record = SOURCE[int(DATA.records(np.array([place]))[0])]
        said = row(record["asked"])
        given = end = np.count_nonzero(said)
        while end < given + HOW.limit and said[0, end - 1] != SEP:
            said[0, end] = int(logits(said)[end - 1].argmax())
            end += 1
        assert found["drawn"][place] == end - given
        assert found["right"][place] == (said[0, given:end].tolist() == [ANS, ZERO + record["answer"], SEP])


def test_a_thought_is_printed_if_all_of_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Answers(source=SOURCE, tokenizer=CODE, batch=6, length=HOW.length, fields=("asked", "thought"))
    data = PromptedText(source=SOURCE, tokenizer=CODE, batch=6, length=30, field="asked", beside=("answer",))
    rng = np.random.RandomState(0)

    def asked(function: Any, nets: Any, batch: Any, *how: Any) -> Any:
        if function is slots.seen:
            return {name: rng.normal(size=(6, 4)).astype(np.float32) for name in ("states", "slot", *slots.THOUGHTS)}
        said = wanted.take(np.arange(6))["tokens"].copy()
        said[0, said[0].tolist().index(SEP)] = 0  # never ends
        said[1, int(batch["lengths"][1])] += 1  # another value
        return said

    monkeypatch.setattr(slots, "ask_together", asked)
    monkeypatch.setattr(slots, "probed", lambda *_: 0.5)
    found = slots.told_by_slots(data, data, HOW, 12, 7, trained(SlotWriter(NET, MARKER, 5), 0)[1])
    assert found["printed"] == pytest.approx(4 / 6)
    assert found["answer"] == 0.5
    assert set(found) == {"retrieved", "against wrong", "answer", "printed"}


@pytest.mark.slow
def test_the_first_call_is_not_timed_and_ways_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, clock = [], iter([200, 203, 300, 308, 400, 405, 500, 510])

    def compiled(function: Any, configs: Any, how: Any) -> Any:
        return lambda variables, batch: asked.append((configs, np.asarray(batch["tokens"])))

    monkeypatch.setattr(slots, "compiled_together", compiled)
    monkeypatch.setattr(slots, "interleaved", partial(windows.interleaved, clock=lambda: next(clock)))
    state = TrainState(0, {}, {}, None, None)
    nets = [Result(name, "train", name, 1, name, load=lambda: state) for name in "abc"]
    ways = (("one", DATA, 1), ("two", DATA, 2))
    found = slots.seconds_a_query(ways, HOW, 2, *nets)
    assert found == {"one": np.median([3, 5]) / 4, "two": np.median([8, 10]) / 4}
    assert [configs for configs, _ in asked] == [("a",), ("b", "c")] * 3
    for number, (_, tokens) in enumerate(asked):  # both are asked the same; the first prompts come twice
        at = 4 * max(number // 2 - 1, 0)
        np.testing.assert_array_equal(tokens, DATA.take(np.arange(at, at + 4))["tokens"])
