"""A language model that answers with its reasons, as lessons for a smaller one; and the labels that this one gives.

Both are functions for `run.make`; what is said is the likeliest, token by token.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.apart import take_apart
from stagejax.data.prompts.lessons import Format, Lesson
from stagejax.data.sources import Record, Source
from stagejax.data.tokenizers import CLS, SEP
from stagejax.decode import Prompts, Samples, sample
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, compiled
from stagejax.ledger import count_flops
from stagejax.models.text.reading import Read
from stagejax.result import Result
from stagejax.stage import Batch

#: (record, label as text) -> whether it is right.
Verifier = Callable[[Record, str], bool]
AT_ONCE = 128  # questions that are answered together


def continued(model: Any, batch: Batch, length: int) -> Samples:
    """What a decoder says behind a prompt of {"tokens", "lengths"}."""
    prompts = Prompts(batch["tokens"], batch["lengths"])
    return sample(model, prompts, jax.random.key(0), length=length, temperature=0.0, stops=((SEP,),))


def told(model: Any, batch: Batch, lead: tuple[int, ...], limit: int) -> Samples:
    """What an encoder-decoder says of {"inputs", "mask"} behind CLS and the tokens of `lead`."""
    begin_P = jnp.array([CLS, *lead])
    prompts = Prompts(jnp.tile(begin_P, (len(batch["inputs"]), 1)), jnp.full(len(batch["inputs"]), len(begin_P)))
    read, length = Read(model, batch["inputs"], batch["mask"]), len(begin_P) + limit
    return sample(read, prompts, jax.random.key(0), length=length, temperature=0.0, stops=((SEP,),))


def explanations(teacher: Result, form: Format, source: Source, verify: Verifier) -> dict[str, np.ndarray]:
    """A decoder's rationales and labels of every record, in their order: the lessons that it gives, by `taught`.

    Returns:
      "rationale" (records, form.rationale) and "label" (records, form.label) of ids, padded; "parsed", where there is
      one label behind one `so` and both fit; "right", where that label is right; "tokens", how many were drawn.
    """
    lessons, found = form.read(source), []
    length = form.inputs + 1
    for start in range(0, len(lessons), AT_ONCE):
        own = lessons[start : start + AT_ONCE]
        batch = {"tokens": np.zeros((AT_ONCE, length), np.int32), "lengths": np.ones(AT_ONCE, np.int32)}
        for at, lesson in enumerate(own):
            asked = [CLS, *lesson.question, form.explain]
            batch["tokens"][at, : len(asked)], batch["lengths"][at] = asked, len(asked)
        found += _said(ask(continued, Frozen.of(teacher), batch, form.inputs + form.answer + 1))[: len(own)]
    rows = {
        "rationale": np.zeros((len(lessons), form.rationale), np.int32),
        "label": np.zeros((len(lessons), form.label), np.int32),
        "parsed": np.zeros(len(lessons), bool),
        "right": np.zeros(len(lessons), bool),
        "tokens": np.array([len(said) for said in found], np.int32),
    }
    code = form.code(source)
    for at, said in enumerate(found):
        parsed = parse(form, said)
        if parsed is not None:
            reasons, label = parsed
            rows["rationale"][at, : len(reasons)], rows["label"][at, : len(label)] = reasons, label
            rows["parsed"][at], rows["right"][at] = True, verify(source[at], code.decode(label))
    return rows


def parse(form: Format, said: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Rationale and label of what was said; None where it has no end, or not one `so` between two parts that fit.

    >>> from stagejax.data.vocabulary.words import Words
    >>> form = Format(Words(("a", "b")), marks=6, inputs=4, label=2, rationale=3)
    >>> parse(form, (4, 5, 8, 4, 2)), parse(form, (4, 5, 4, 2)), parse(form, (4, 8, 4))
    (((4, 5), (4,)), None, None)
    """
    if said[-1:] != (SEP,) or said.count(form.so) != 1:
        return None
    at = said.index(form.so)
    reasons, label = said[:at], said[at + 1 : -1]
    fits = 0 < len(reasons) < form.rationale and 0 < len(label) < form.label
    return (reasons, label) if fits else None


def taught(
    form: Format, source: Source, made: Mapping[str, np.ndarray], gold: bool, records: Iterable[int]
) -> list[Lesson]:
    """The questions of some records with a teacher's rationales, and with gold labels or with the teacher's.

    What could not be parsed has no rationale; without gold labels it is left out.
    """
    lessons, every = [], form.read(source)
    for at in records:
        lesson = every[at]
        if made["parsed"][at]:
            reasons, label = (tuple(row[row > 0].tolist()) for row in (made["rationale"][at], made["label"][at]))
            lessons.append(Lesson(lesson.question, lesson.label if gold else label, reasons))
        elif gold:
            lessons.append(lesson._replace(rationale=None))
    return lessons


def labels_given(
    net: Result, form: Format, source: Source, verify: Verifier, lead: tuple[int, ...] = (), reasons: bool = False
) -> dict[str, np.ndarray]:
    """Whether the label that an encoder-decoder gives to every record is "right", and how many "tokens" it says.

    Args:
      lead: tokens put into its mouth, such as `so`, behind which the label follows at once.
      reasons: what it says is a rationale, `so`, a label; else a label alone.
    """
    lessons, code, right, tokens = form.read(source), form.code(source), [], []
    limit = form.answer if reasons else form.label
    for start in range(0, len(lessons), AT_ONCE):
        own = lessons[start : start + AT_ONCE]
        inputs = np.zeros((AT_ONCE, form.inputs), np.int32)
        for at, lesson in enumerate(own):
            inputs[at, : len(lesson.question) + 1] = [form.predict, *lesson.question]
        inputs[len(own) :, 0] = form.predict
        found = _said(ask(told, Frozen.of(net), {"inputs": inputs, "mask": inputs > 0}, lead, limit))
        for at, said in enumerate(found[: len(own)], start):
            label = said[said.index(form.so) + 1 :] if reasons and form.so in said else () if reasons else said
            words = code.decode([token for token in label if token < form.tokenizer.vocab])
            right.append(verify(source[at], words))
            tokens.append(len(said))
    return {"right": np.array(right), "tokens": np.array(tokens, np.int32)}


def drawn_tokens(made: Mapping[str, np.ndarray]) -> int:
    """How many tokens were drawn for an artifact of this module."""
    return int(made["tokens"].sum())


@functools.cache
def flops(config: Any, form: Format) -> float:
    """FLOPs of the longest explanation that a decoder may give to one question."""
    _, _, params, rest = take_apart(config)
    ints = functools.partial(jax.ShapeDtypeStruct, dtype=np.dtype("int32"))
    batch = {"tokens": ints((1, form.inputs + 1)), "lengths": ints((1,))}
    run = compiled(continued, config, form.inputs + form.answer + 1)
    return float(count_flops(run, params, rest, batch, while_trips=form.answer))


def _said(found: Samples) -> list[tuple[int, ...]]:
    """The drawn tokens of the first sample of each row."""
    spans = zip(found.tokens_BNS[:, 0], found.starts_BN[:, 0], found.ends_BN[:, 0], strict=True)
    return [tuple(int(token) for token in tokens[begin:end]) for tokens, begin, end in spans]
