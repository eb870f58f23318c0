"""Answers about pictures: rows of [CLS, slots, question, answer], what a decoder says to them, and what that costs.

All but `Form`, `Reply` and small helpers are functions for `run.make`.

Letters: N instructions, Q tokens of a question, A of an answer with SEP, S slots of a picture, F what stands in one.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stagejax.data.joined import Row
from stagejax.data.multimodal.scene_instructions import (
    CAPTION,
    PICTURE,
    TYPES,
    Instruction,
    Pictures,
    drawn,
    phrase,
    truth,
)
from stagejax.data.multimodal.scene_questions import CELLS
from stagejax.data.prompts.answers import MadeRows, answer_row
from stagejax.data.tokenizers import CLS, SEP
from stagejax.data.vocabulary.words import Words
from stagejax.decode import Prompts, sample
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.inference.reasoning.rationales import features_of_cells
from stagejax.objectives.sound.multimodal import in_slots
from stagejax.result import Result
from stagejax.stage import Batch

Arrays = dict[str, np.ndarray]
SLOTS = len(CELLS)  # of a picture


@dataclass(frozen=True)
class Form:
    """How a row is written: [CLS, S slots, question, answer, SEP]. A question's last word is what it is about.

    Args:
      words: the vocabulary.
      question, answer: Q and A, the most tokens of a question, and of an answer with SEP.

    >>> Form(Words(("picture", "describe"))).length
    21
    """

    words: Words
    question: int = 4
    answer: int = 13

    @property
    def prompt(self) -> int:
        """Most tokens in front of an answer."""
        return 1 + SLOTS + self.question

    @property
    def length(self) -> int:
        """Tokens of a row, without its last."""
        return self.prompt + self.answer - 1

    @property
    def marker(self) -> int:
        """The token of a slot."""
        return int(self.ids(PICTURE)[0])

    def ids(self, text: str) -> np.ndarray:
        return self.words.encode([text])[0]

    def rows(self, width: int) -> tuple[Row, ...]:
        """What an artifact of `rows` or `language` holds; the latter has no pictures, width 0."""
        ints = tuple(Row(name, (self.length,), "int32") for name in ("tokens", "targets"))
        image = (Row("image", (SLOTS, width)),) if width else ()
        return (*ints, Row("weights", (self.length,)), *image)


def width_of(features: int) -> int:
    """F: the features of a cell, and which cell it is.

    >>> width_of(32)
    36
    """
    return features + SLOTS


def seen(eyes: Result, pictures: Pictures) -> Arrays:
    """What a frozen ConvNet tells of every picture: {"image": (pictures, S, F)}, its features brought to mean 0 and
    variance 1 in every cell, in place of those of a CLIP."""
    cells = np.stack([pictures.cells(index) for index in range(len(pictures))])
    found = apply(features_of_cells, Frozen.of(eyes), cells.reshape(-1, *cells.shape[2:]))
    found = (found - found.mean(-1, keepdims=True)) / (found.std(-1, keepdims=True) + 1e-5)
    place = np.sqrt(found.shape[-1]) * np.eye(SLOTS, dtype=np.float32)
    parts = found.reshape(len(cells), SLOTS, -1), np.tile(place, (len(cells), 1, 1))
    image = np.concatenate(parts, -1)
    return {"image": image.astype(np.float32)}


# --- instructions and rows ---


def written(
    own: Sequence[Instruction], pictures: Pictures, form: Form, parents: Sequence[int] | None = None, **more: np.ndarray
) -> Arrays:
    """Instructions as arrays: "picture" and "type" (N,), "question" (N, Q), "truth" (N, A), "parent" (N,), -1: none.

    What is true is here for the verifier, and for those alone who are to learn it; teachers and students see the rest.
    """
    made = {
        "picture": np.array([one.picture for one in own], np.int32),
        "type": np.array([TYPES.index(one.type) for one in own], np.int32),
        "question": np.zeros((len(own), form.question), np.int32),
        "truth": np.zeros((len(own), form.answer), np.int32),
        "parent": np.full(len(own), -1, np.int32) if parents is None else np.array(parents, np.int32),
    }
    for at, one in enumerate(own):
        asked, right = form.ids(one.text), form.ids(str(truth(one.text, pictures.scenes[one.picture])))
        made["question"][at, : len(asked)], made["truth"][at, : len(right) + 1] = asked, [*right, SEP]
    return made | more


def instructions(found: Arrays, form: Form) -> list[Instruction]:
    """The same from arrays."""
    texts = [form.words.decode(row) for row in found["question"]]
    each = zip(found["picture"].tolist(), found["type"].tolist(), texts, strict=True)
    return [Instruction(picture, TYPES[type], text) for picture, type, text in each]


def opened(pictures: Pictures, form: Form, count: int, seed: int, balanced: bool = False) -> Arrays:
    """So many instructions of types drawn at random, or of all types equally many."""
    types = (
        np.arange(count) % len(TYPES) if balanced else np.random.default_rng([seed, 6]).integers(len(TYPES), size=count)
    )
    return written(drawn(pictures, [TYPES[type] for type in types], seed), pictures, form)


def captions(pictures: Pictures, form: Form) -> Arrays:
    """To describe every picture."""
    return written([Instruction(at, CAPTION, "describe") for at in range(len(pictures))], pictures, form)


def language(pictures: Pictures, form: Form, asked: Result) -> Arrays:
    """Rows without pictures, with true answers: in each slot stands a word for what is in the cell."""
    made = rows_of(asked.value, None, None, form)
    for at, picture in enumerate(asked.value["picture"]):
        words = form.ids(" ".join(phrase(own) for own in pictures.scenes[picture]))
        made["tokens"][at, 1 : 1 + SLOTS], made["targets"][at, :SLOTS] = words, words
    return made


def rows_of(asked: Arrays, answers: np.ndarray | None, image: np.ndarray | None, form: Form) -> Arrays:
    """Rows to learn answers (N, A) from, by default what is true, with pictures or without."""
    said = asked["truth"] if answers is None else answers
    pairs = [answer_row(prompt(q, form), a[a > 0], form.length) for q, a in zip(asked["question"], said, strict=True)]
    tokens, weights = (np.stack(part) for part in zip(*pairs, strict=True))
    made = {"tokens": tokens[:, :-1].copy(), "targets": tokens[:, 1:].copy(), "weights": weights}
    return made if image is None else made | {"image": image[asked["picture"]]}


def prompt(question: np.ndarray, form: Form) -> np.ndarray:
    """[CLS, slots, question]."""
    return np.concatenate([[CLS], np.full(SLOTS, form.marker), question[question > 0]]).astype(np.int32)


def rows(seen: Result, form: Form, asked: Result, replied: Result | None = None) -> Arrays:
    """The same of artifacts: of instructions, and of a teacher's answers to them."""
    return rows_of(asked.value, None if replied is None else replied.value["answer"], seen.value["image"], form)


def data_of(made: Result, form: Form, width: int, batch: int, seed: int = 0) -> MadeRows:
    """Such rows as batches."""
    return MadeRows(rows=form.rows(width), of=made.fingerprint, arrays=made.value, batch=batch, seed=seed)


# --- answers ---


@dataclass(frozen=True)
class Reply:
    """The likeliest answer to each prompt of a batch, token by token, (B, A), padded behind SEP."""

    form: Form

    def __call__(self, model: Any, batch: Batch) -> Int[Array, "B A"]:
        form, lengths_B = self.form, jnp.maximum(batch["lengths"], 1)
        reader = model.filled(in_slots(batch["image"], form.prompt))
        how: dict[str, Any] = {"limit": form.answer, "temperature": 0.0, "stops": ((SEP,),)}
        found = sample(reader, Prompts(batch["prompts"], lengths_B), jax.random.key(0), length=form.length + 1, **how)
        at_BA = lengths_B[:, None] + jnp.arange(form.answer)
        said_BA = jnp.take_along_axis(found.tokens_BNS[:, 0], at_BA, axis=1, mode="fill", fill_value=0)
        return jnp.where(at_BA < found.ends_BN, said_BA, 0)


def log_likelihood(model: Any, batch: Batch) -> Float[Array, " B"]:
    """log p(a | x, q) = Σ_t log p(a_t | x, q, a_<t) of the weighed tokens of every row, in nats."""
    tokens = batch["tokens"]
    logp_BTV = jax.nn.log_softmax(model(tokens, states=in_slots(batch["image"], tokens.shape[1])))
    own_BT = jnp.take_along_axis(logp_BTV, batch["targets"][..., None], axis=-1)[..., 0]
    return (own_BT * batch["weights"]).sum(1)


def right_rows(model: Any, batch: Batch) -> Bool[Array, " B"]:
    """Whether greedy decoding gives the answer of a row, token for token."""
    tokens = batch["tokens"]
    said_BT = model(tokens, states=in_slots(batch["image"], tokens.shape[1])).argmax(-1)
    return ((said_BT == batch["targets"]) | (batch["weights"] == 0)).all(1)


def replies(net: Result, seen: Result, asked: Result, form: Form, batch: int) -> Arrays:
    """What a model answers to instructions, {"answer": (N, A)}."""
    return {"answer": answered(Frozen.of(net), seen.value["image"], asked.value, form, batch)}


def answered(net: Frozen, image: np.ndarray, asked: Arrays, form: Form, batch: int) -> np.ndarray:
    prompts = [prompt(question, form) for question in asked["question"]]
    padded = np.zeros((len(prompts), form.prompt), np.int32)
    for row, own in zip(padded, prompts, strict=True):
        row[: len(own)] = own
    lengths = np.array([len(own) for own in prompts], np.int32)
    given = {"prompts": padded, "lengths": lengths, "image": image[asked["picture"]]}
    return apply(Reply(form), net, given, batch)


def checked(net: Result, made: Result, batch: int) -> Arrays:
    """Which answers of rows a model gives: {"right": (N,)}."""
    return {"right": apply(right_rows, Frozen.of(net), made.value, batch)}


def said_tokens(value: Arrays) -> int:
    """How many tokens were drawn for an artifact's answers."""
    return int((value["answer"] > 0).sum())


# --- costs ---


@functools.cache
def reply_flops(config: Any, form: Form, width: int) -> float:
    """FLOPs of one answer of the greatest length."""
    like = jax.ShapeDtypeStruct
    row = {
        "prompts": like((form.prompt,), "int32"),
        "lengths": like((), "int32"),
        "image": like((SLOTS, width), "float32"),
    }
    return float(flops_of_one(Reply(form), config, row, while_trips=form.answer))


@functools.cache
def score_flops(config: Any, form: Form, width: int) -> float:
    """FLOPs of the likelihood of one answer."""
    row = {own.name: jax.ShapeDtypeStruct(own.shape, own.dtype) for own in form.rows(width)}
    return float(flops_of_one(log_likelihood, config, row))
