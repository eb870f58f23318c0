"""What a teacher replies to queries, as documents that a student learns from; and how good replies are.

Both are functions for `run.make`, which keeps what was said with the fingerprints of teacher and queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import jax
import numpy as np

from stagejax.data.language.packing import documents
from stagejax.data.prompts.system_messages import answer_of
from stagejax.data.sources import Record, Source
from stagejax.data.tokenizers import CLS, SEP, Tokenizer, codec
from stagejax.decode import Completion, completions, padded_prompts
from stagejax.inference.answering import ask
from stagejax.inference.continuing import Sampling, draw
from stagejax.inference.frozen import Frozen
from stagejax.result import Result

AT_ONCE = 128  # queries that are answered together


def replies(
    net: Result, tokenizer: Tokenizer, queries: Source, how: Sampling, prompt: int, limit: int, seed: int
) -> list[Completion]:
    """What a decoder says behind [CLS, prompt] of every query, up to SEP or `limit` tokens.

    Args:
      prompt: tokens that prompts are padded to, with CLS.
    """
    frozen, code = Frozen.of(net), codec(tokenizer, queries, "prompt")
    rows = [[CLS, *ids] for ids in code.encode([queries[i]["prompt"] for i in range(len(queries))])]
    options = {name: np.asarray(x, "int32" if isinstance(x, int) else "float32") for name, x in asdict(how).items()}
    said: list[Completion] = []
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        filled = padded_prompts([*part, *part[:1] * (AT_ONCE - len(part))], prompt)
        given = {"tokens": filled.tokens_BP, "lengths": filled.lengths_B, "limit": np.int32(limit)}
        key = jax.random.fold_in(jax.random.key(seed), start)
        drawn = ask(draw, frozen, options | given | {"key": key}, prompt + limit)
        said += [each for (each,) in completions(drawn)[: len(part)]]
    return said


def teacher_corpus(
    teacher: Result,
    tokenizer: Tokenizer,
    shown: Source,
    asked: Source,
    how: Sampling,
    prompt: int,
    limit: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Documents [CLS, prompt, reply, SEP], of which reply and SEP are learned, for `data.language.packing.Packed`.

    Wrong replies are kept; those that did not end are left out.

    Args:
      shown: queries as the student sees them.
      asked: the same queries as the teacher sees them, perhaps under another message.

    Returns:
      "tokens", "weights" and "starts" of the documents; "query", whose they are; and of every query whether its reply
      "ended" and is "right", and how many tokens were "drawn".

    Raises:
      ValueError: no reply ended.
    """
    said, code = replies(teacher, tokenizer, asked, how, prompt, limit, seed), codec(tokenizer, shown, "prompt")
    prompts = code.encode([shown[i]["prompt"] for i in range(len(shown))])
    ended, made = np.array([each.stopped for each in said]), []
    for ids, each in zip(prompts, said, strict=True):
        tokens = np.concatenate([np.int32([CLS]), ids, each.tokens, np.int32([SEP])])
        made.append((tokens, (np.arange(1, len(tokens)) > len(ids)).astype(np.float32)))
    kept = np.flatnonzero(ended)
    if not len(kept):
        raise ValueError(f"none of {len(said)} replies ended within {limit} tokens: train the teacher longer")
    right = [each.stopped and answer_of(code.decode(each.tokens)) == asked[i]["label"] for i, each in enumerate(said)]
    drawn = np.array([each.sampled for each in said], np.int32)
    flat = documents([made[i] for i in kept.tolist()])
    return flat | {"query": kept, "ended": ended, "right": np.array(right), "drawn": drawn}


def drawn_tokens(made: Mapping[str, np.ndarray]) -> int:
    """How many tokens were drawn for what `teacher_corpus` made."""
    return int(made["drawn"].sum())


def judged(
    net: Result, tokenizer: Tokenizer, queries: Source, how: Sampling, prompt: int, limit: int, seed: int
) -> tuple[dict[str, Any], list[str], list[Record]]:
    """Of every query whether the reply is "right", its "tokens" and "family", what is "shown"; replies; and records.

    A reply that does not end, or has no answer, is wrong. "shown" has a prompt and a reply of every family.
    """
    said, code = replies(net, tokenizer, queries, how, prompt, limit, seed), codec(tokenizer, queries, "prompt")
    texts, records = [code.decode(each.tokens) for each in said], [queries[i] for i in range(len(queries))]
    shown: dict[str, list[str]] = {}
    for record, text in zip(records, texts, strict=True):
        shown.setdefault(record["family"], [record["prompt"], text])
    right = [each.stopped and answer_of(text) == record["label"]
             for each, text, record in zip(said, texts, records, strict=True)]  # fmt: skip
    found = {
        "right": [int(own) for own in right],
        "family": [record["family"] for record in records],
        "tokens": [each.sampled for each in said],
        "shown": shown,
    }
    return found, texts, records


def examined(
    net: Result, tokenizer: Tokenizer, queries: Source, how: Sampling, prompt: int, limit: int, seed: int
) -> dict[str, Any]:
    """What `judged` finds of every query, and its "length"."""
    found, _, records = judged(net, tokenizer, queries, how, prompt, limit, seed)
    return found | {"length": [record["length"] for record in records]}
