"""Zero-shot classification by a word that fits: every family of language models is asked in its own form.

The pattern stands behind the text. A causal model and a prefix model say what comes next, a masked one what is masked,
one that restores spans what stood in place of a sentinel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, MASK, PAD, SEP, Tokenizer, codec
from stagejax.inference.frozen import Frozen, apply

Form = Literal["causal", "prefix", "masked", "spans"]


def cloze_rows(
    texts: Sequence[Int[np.ndarray, " _"]],
    pattern: tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]],
    form: Form,
    sentinel: int,
    length: int,
) -> dict[str, np.ndarray]:
    """`tokens` (n, length), `prefix` (n, length), `said` (n, 2) and `place` (n,): where the word is asked for.

    Rows begin as in training: with SEP, behind which a causal model meets documents, or with CLS. `said` is what an
    encoder-decoder's decoder has said; texts that are too long lose their beginning.

    Args:
      pattern: what stands before and behind the word.

    >>> words = np.array([9, 8]), (np.array([7]), np.array([6]))
    >>> [cloze_rows([words[0]], words[1], form, 20, 8)["tokens"][0].tolist() for form in ("causal", "masked", "spans")]
    [[2, 9, 8, 7, 0, 0, 0, 0], [1, 9, 8, 7, 3, 6, 2, 0], [1, 9, 8, 7, 20, 6, 0, 0]]
    """
    before, behind = pattern
    first = SEP if form in ("causal", "prefix") else CLS
    rest = {"masked": [MASK, *behind, SEP], "spans": [sentinel, *behind]}.get(form, [])
    room = length - 1 - len(before) - len(rest)
    made = {"tokens": np.full((len(texts), length), PAD, np.int32), "place": np.zeros(len(texts), np.int32)}
    for row, text in enumerate(texts):
        own = [first, *text[max(0, len(text) - room) :], *before]
        made["tokens"][row, : len(own) + len(rest)] = [*own, *rest]
        made["place"][row] = {"masked": len(own), "spans": 1}.get(form, len(own) - 1)
    made["prefix"] = (made["tokens"] != PAD) & (form != "causal")
    return made | {"said": np.tile(np.array([CLS, sentinel], np.int32), (len(texts), 1))}


def zero_shot(
    net: Any,
    source: Source,
    tokenizer: Tokenizer,
    learned_from: Source,
    pattern: tuple[str, str],
    words: tuple[str, ...],
    form: Form,
    *,
    sentinel: int,
    length: int,
    fields: tuple[str, str] = ("text", "label"),
) -> dict[str, Any]:
    """`accuracy` of the likeliest word, and `largest`, the share of the most frequent answer; for `run.make`.

    The score of a word is log p(word | text and pattern) - log p(word | the pattern alone).

    Args:
      net: the result of a stage whose model is a `Readout`.
      words: what each class is called; single tokens.

    Raises:
      ValueError: a word is no single token.

    Reference: Schick and Schütze 2021 (PET), https://arxiv.org/abs/2001.07676; Holtzman et al. 2021 (domain conditional
    PMI), https://arxiv.org/abs/2104.08315.
    """
    code, records = codec(tokenizer, learned_from), [source[i] for i in range(len(source))]
    pieces = code.encode(list(words))
    if any(len(own) != 1 for own in pieces):
        raise ValueError(f"words {words} are of {[len(own) for own in pieces]} tokens: choose words of one")
    before, behind = code.encode(list(pattern))
    texts = [np.zeros(0, np.int32), *code.encode([record[fields[0]] for record in records])]
    rows = cloze_rows(texts, (before, behind), form, sentinel, length)
    ids = np.array([own[0] for own in pieces])
    scores_NW = apply(_said, Frozen.of(net), rows, batch=128)[:, ids]
    chosen_N = (scores_NW[1:] - scores_NW[:1]).argmax(-1)
    wanted_N = np.array([record[fields[1]] for record in records])
    largest = float(np.bincount(chosen_N).max() / len(chosen_N))
    return {"accuracy": float((chosen_N == wanted_N).mean()), "largest": largest}


def _said(model: Any, rows: dict[str, jax.Array]) -> Float[jax.Array, "B V"]:
    """The log probabilities of all tokens at the place that is asked for."""
    if hasattr(model.net, "encode"):
        logits_BTV = model(rows["tokens"], rows["said"], mask=rows["tokens"] != PAD)
    else:
        logits_BTV = model(rows["tokens"], prefix=rows["prefix"])
    at_B11 = rows["place"][:, None, None]
    return jax.nn.log_softmax(jnp.take_along_axis(logits_BTV, at_B11, axis=1)[:, 0])
