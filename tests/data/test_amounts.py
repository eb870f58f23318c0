"""Turns, tokens and learned tokens of rows of text."""

from __future__ import annotations

from dataclasses import replace

from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning.problems import Problems
from stagejax.data.selection.amounts import amount


def test_prompts_are_read_but_learned_only_where_they_count() -> None:
    source = Problems(size=8, steps=(2,))
    data = Answers(source=source, tokenizer=source.tokenizer(), batch=4, length=48)
    own, whole = amount(data, 4), amount(replace(data, prompts=True), 4)
    assert own.turns == whole.turns == 0.5
    assert own.read == whole.read == whole.learned > own.learned == 4 * 15
