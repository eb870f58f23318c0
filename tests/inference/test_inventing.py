"""Invented inputs: none twice, none of the demonstrations, dropped ones in no prompt, labels as they were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from flax import nnx

from stagejax.data.vocabulary.words import Words
from stagejax.inference.continuing import Sampling
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts.inventing import Drawing, Inventing, drawn, invented
from stagejax.models import llama

CODE = Words(("a", "b", "c", "x", "y", ";"))
STOP = int(CODE.encode([";"])[0][0])
NET = llama(vocab=CODE.vocab, embed=16, layers=1, heads=2, mlp=32, length=32, init_std=0.3)
HOW = Drawing(prompt=16, limit=3, stop=STOP, how=Sampling(temperature=1.0), batch=4)


@pytest.fixture(scope="module")
def net() -> Frozen:
    _, params, rest = nnx.split(NET.build(nnx.Rngs(0)), nnx.Param, ...)
    return Frozen(NET, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


@pytest.mark.slow
def test_several_are_drawn_behind_each_prompt(net: Frozen) -> None:
    prompts = ["a b", "c", "a", "b b", "x"]
    said = drawn(net, CODE, prompts, replace(HOW, n=3), seed=0)
    assert [len(own) for own in said] == [3] * 5
    assert all(len(text.split()) <= 3 and ";" not in text for own in said for text in own)
    assert len({text for own in said for text in own}) > 3
    assert (
        drawn(net, CODE, prompts, replace(HOW, n=3), seed=0) == said != drawn(net, CODE, prompts, replace(HOW, n=3), 1)
    )
    assert 0 < HOW.flops(NET) < replace(HOW, n=3).flops(NET) < 3 * HOW.flops(NET)  # a prompt is read once


def test_without_temperature_the_seed_and_the_neighbours_change_nothing(net: Frozen) -> None:
    greedy = replace(HOW, n=3, how=Sampling(temperature=0.0))
    (said,) = drawn(net, CODE, ["a b"], greedy, seed=3)
    assert len(set(said)) == 1
    assert drawn(net, CODE, ["c c c", "a b"], greedy, seed=0)[1] == said


def test_inputs_are_new_and_dropped_ones_are_shown_to_no_prompt(net: Frozen) -> None:
    seen: list[tuple[list[tuple[str, str]], str | None]] = []

    def invite(examples: Sequence[tuple[str, str]], label: str | None) -> str:
        seen.append((list(examples), label))
        return " ".join(text.split()[0] for text, _ in examples)

    def keep(text: str) -> bool:
        return "c" not in text

    shown = [("a b", "x"), ("b a", "y")]
    how = Inventing(HOW, rounds=6, earlier=3, labels=("x", "y"))
    found = invented(net, CODE, how, invite, shown, keep, seed=0)
    texts = [own.text for own in found]
    assert len(set(texts)) == len(texts) > 5
    assert not {"a b", "b a", ""} & set(texts)
    assert {own.kept for own in found} == {True, False}
    assert all(own.kept == keep(own.text) for own in found)
    assert {own.label for own in found} == {"x", "y"} == {label for _, label in seen}
    assert len(seen) == 6 * HOW.batch
    dropped = {own.text for own in found if not own.kept}
    for number, (examples, _) in enumerate(seen):
        own = [pair for pair in examples if pair not in shown]
        assert len(examples) == len(own) + 2
        assert not dropped & {text for text, _ in own}
        assert len(own) <= (3 if number >= HOW.batch else 0)
        assert all(pair in [(one.text, one.label) for one in found] for pair in own)
    assert {tuple(examples[:2]) for examples, _ in seen} == {tuple(shown), tuple(shown[::-1])}  # shuffled
    again = invented(net, CODE, how, invite, shown, keep, seed=0)
    assert again == found != invented(net, CODE, how, invite, shown, keep, seed=1)
    assert how.flops(NET) == 24 * HOW.flops(NET)


def test_without_labels_none_is_asked_for(net: Frozen) -> None:
    asked = []
    found = invented(net, CODE, Inventing(HOW, rounds=1), lambda _, label: asked.append(label) or "a", [], bool, seed=0)
    assert set(asked) == {None}
    assert {own.label for own in found} == {""}
