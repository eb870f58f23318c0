"""Adapters in turn: what is frozen stays, what is trained is theirs, and each begins where the one before ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from stagejax import Stage, running
from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning.problems import Problems
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adam
from stagejax.steps.in_turn import adapter_each, adapters_on_top
from stagejax.transforms import LoRA, merged

pytestmark = pytest.mark.slow  # trains models
FORM, EASY = LoRA(rank=2), Problems(size=16, steps=(1,))
ROWS = Answers(source=EASY, tokenizer=EASY.tokenizer(), batch=8, length=40)
NET = gpt(vocab=EASY.tokenizer().vocab, layers=1, embed=8, heads=2, mlp=16, length=40)
PHASE = Stage("phase", NET, causal_lm, adam(1e-2, decay="constant"), ROWS, steps=3)


def leaves(params: Any, name: str) -> list[np.ndarray]:
    flat = jax.tree_util.tree_leaves_with_path(params)
    return [np.asarray(leaf) for path, leaf in flat if str(path[-1].key) == name]


def test_adapters_beside_each_other_leave_the_model_as_it_is_and_stacked_ones_go_on(tmp_path: Path) -> None:
    with running(tmp_path, "adapters") as run:
        start = run.train(PHASE)
        each = adapter_each(run, PHASE, FORM, {"a": ROWS, "b": ROWS}, start)
        (worded,) = adapter_each(run, replace(PHASE, name="worded"), FORM, {"a": ROWS}, start, ("tokens",))
        on_top = adapters_on_top(run, PHASE, FORM, (ROWS, ROWS), start)
        base = start.state().params
        states = {net.name: net.state() for net in (*each, worded, *on_top)}
    first, second = (states[net.name] for net in on_top)
    kernels = jax.tree.leaves(merged(FORM, first.params, first.rest))
    for name in (net.name for net in (*each, worded)):
        for frozen, kernel in zip(leaves(states[name].params, "frozen"), leaves(base, "kernel"), strict=True):
            np.testing.assert_array_equal(frozen, kernel)
        assert any(np.abs(up).max() > 0 for up in leaves(states[name].params, "up"))
    np.testing.assert_array_equal(states[each[0].name].params["tokens"]["table"], base["tokens"]["table"])
    own = states[worded.name].params
    assert np.abs(np.asarray(own["tokens"]["table"]) - base["tokens"]["table"]).max() > 0
    assert each[0].digest == each[1].digest  # on the same rows they are the same, whatever came before
    assert first.params.keys() == second.params.keys()
    for own in leaves(second.params, "frozen"):  # the second one is put on what the first one made of the model
        assert any(own.shape == leaf.shape and np.allclose(own, leaf, atol=1e-6) for leaf in kernels)
