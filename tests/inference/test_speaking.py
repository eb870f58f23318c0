"""Answers of a decoder alone: to the whole text, whether it was read in both directions or as a causal model does."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.data import Bytes, Stdlib
from stagejax.data.language.seq2seq import OneSequence, TextToText
from stagejax.inference.tasks.speaking import likeliest
from stagejax.models import llama

TEXT, WIDTH, WORDS = Stdlib(limit=50_000), 21, 260
PAIRS = TextToText(
    source=TEXT, tokenizer=Bytes(), learned_from=TEXT, batch=4, inputs=12, outputs=9, fields=("text", "name")
)
MODEL = llama(layers=1, embed=16, heads=2, mlp=32, vocab=WORDS, length=32, init_std=0.5).build(nnx.Rngs(0))


@pytest.mark.slow
@pytest.mark.parametrize("causal", [False, True])
def test_an_answer_is_the_likeliest_behind_the_whole_text(causal: bool) -> None:
    batch = OneSequence(data=PAIRS, causal=causal).take(np.arange(4))
    texts = PAIRS.take(np.arange(4))["mask"].sum(1)
    said, begins, ends = jax.jit(lambda batch: likeliest(MODEL, batch, 6, WORDS))(batch)
    assert begins.tolist() == (texts + 1).tolist()
    assert ((ends > begins) & (ends <= begins + 6)).all()
    logits = jax.jit(lambda tokens, prefix: MODEL(tokens, prefix=prefix))(said[:, :WIDTH], jnp.asarray(batch["prefix"]))
    for row, (begin, end) in enumerate(zip(begins, np.minimum(ends, WIDTH), strict=True)):
        assert said[row, :begin].tolist() == batch["tokens"][row, :begin].tolist()
        assert said[row, begin:end].tolist() == logits[row, begin - 1 : end - 1].argmax(-1).tolist()


def test_targets_are_not_looked_at() -> None:
    batch = OneSequence(data=replace(PAIRS, seed=1)).take(np.arange(4))
    speak = jax.jit(lambda batch: likeliest(MODEL, batch, 6, WORDS))
    said, begins, ends = speak(batch)
    behind = np.arange(WIDTH) >= np.asarray(begins)[:, None]
    hidden = batch | {"targets": batch["targets"] * 0, "tokens": np.where(behind, 7, batch["tokens"])}
    again, _, _ = speak(hidden)
    for row, end in enumerate(ends):
        assert again[row, :end].tolist() == said[row, :end].tolist()
