"""Windows take turns, nothing is compiled in them, and a stage's bytes are those of its state."""

import jax
import jax.numpy as jnp
import pytest

from stagejax import Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adamw, sgd
from stagejax.steps.windows import interleaved, stage_windows, temporary_bytes


def test_calls_take_turns_behind_a_first_one_that_is_not_measured() -> None:
    made: list[str] = []
    found = interleaved({name: lambda name=name: made.append(name) for name in "ab"}, windows=2, each=3)
    assert made == [*"ab", *"aaabbb" * 2]
    assert {name: len(own) for name, own in found.items()} == {"a": 2, "b": 2}


def test_temporary_bytes_are_of_what_a_program_holds_between() -> None:
    x = jnp.ones((64, 64))
    compiled = jax.jit(lambda x: (jnp.sin(x @ x) @ x).sum()).lower(x).compile()
    assert temporary_bytes(compiled) >= 64 * 64 * 4


@pytest.mark.slow
def test_a_stage_is_timed_with_its_bytes() -> None:
    data = CausalText(source=Stdlib(limit=50_000), tokenizer=Bytes(), batch=8, length=16)
    model = gpt(vocab=data.tokenizer.vocab, embed=16, heads=2, layers=2, mlp=16, length=16, scan=True)
    stages = {name: Stage(name, model, causal_lm, own(1e-3), data, 4) for name, own in (("adam", adamw), ("sgd", sgd))}
    found = stage_windows(stages, windows=2, each=1)
    adam, plain = found["adam"], found["sgd"]
    assert adam["params"] == plain["params"]
    assert adam["moments"] > 1.9 * plain["moments"]
    assert adam["flops"] == plain["flops"] > 0
    assert len(adam["seconds"]) == 2
    assert adam["temporary"] > 0
