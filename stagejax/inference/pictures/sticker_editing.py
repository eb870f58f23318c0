"""Pictures made by a flow from instructions: prompts of a frozen language model that sees, samples, and their verdicts.

A pair of `data.multimodal.stickers` is known exactly, so a picture is judged by what a classifier sees in the quarters
that the instruction is about, and by pixels everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.multimodal.captions import padded
from stagejax.data.multimodal.stickers import IMAGE, MOVE, OPERATIONS, PLACES, REFERENCE, RESIZE, Stickers
from stagejax.inference.frozen import Frozen, apply, flops_of_one
from stagejax.inference.pictures.quarters import as_bytes, quarters, real
from stagejax.models.speech.speech_adapter import placed
from stagejax.objectives.flow import guided, integrate, shifted_times
from stagejax.objectives.loss import Metrics, weighted

BATCH = 64  # pictures that go through a model together
WORDS = 9  # of the longest instruction
OUTSIDE = 0.05  # mean absolute error of the pixels that must stay, up to which they count as kept
OVERLAP = 0.5  # intersection over union from which on a sticker is where it should be
RIVALS = 9  # other letters among which the right one must be the nearest
LEAST = 1e-3  # variance of standardised states, of the largest, below which a direction is enlarged no further
GIVEN = ("prompt", "there", "source", "sourced")  # what a flow is called with, beside pictures and times
_VISIBLE = 0.3  # largest difference from the ground of a pixel that belongs to a sticker

Arrays = dict[str, np.ndarray]


# --- pairs and prompts ---


def composed(source: Stickers, patches: int) -> Arrays:
    """All records of a source: pictures as bytes, and `tokens` (records, patches + WORDS) with places for an image."""
    records = [source[i] for i in range(len(source))]
    found = {name: np.stack([r[name] for r in records]) for name in ("edited", "asked", "focus")}
    for name in ("source", "target", "under"):
        found[name] = np.stack([as_bytes(r[name]) for r in records])
    found |= {name: np.int32([r[name] for r in records]) for name in ("operation", "sourced")}
    found["colors"] = np.full(len(records), len(source.colors), np.int32)
    code = source.words
    (image,) = code.encode([IMAGE])[0]
    first = np.where(found["sourced"][:, None] > 0, image, 1) * np.ones((1, patches), np.int32)
    words = padded(code, [r["text"] for r in records], WORDS)
    found["answer"] = padded(code, [_what_is_where(source, r["asked"], i) for i, r in enumerate(records)], 3)
    return found | {"tokens": np.concatenate([first, words], axis=1).astype(np.int32)}


def _what_is_where(source: Stickers, asked: np.ndarray, number: int) -> str:
    """Place, colour and kind of one of the stickers that have names, each in its turn; "" if there is none."""
    named = np.flatnonzero((asked > 0) & (asked <= len(source.names) * len(source.colors)))
    if not len(named):
        return ""
    place = int(named[number % len(named)])
    kind, color = divmod(int(asked[place]) - 1, len(source.colors))
    return f"{PLACES[place]} {source.colors[color]} {source.names[kind]}"


def at(pictures: np.ndarray, pixels: int) -> np.ndarray:
    """Pictures (n, s, s, c) with fewer pixels, as means of squares.

    >>> at(np.arange(4.0).reshape(1, 2, 2, 1), 1).ravel()
    array([1.5])
    """
    n, s, _, c = pictures.shape
    k = s // pixels
    return pictures.reshape(n, pixels, k, pixels, k, c).mean((2, 4), dtype=pictures.dtype)


def captioned(count: int, patches: int, *made: Arrays) -> Arrays:
    """Rows for a language model that sees: pictures with captions, captions alone, and pictures with instructions.

    Drawings give the first two in turn. Behind each row is asked and answered what the picture after it shows at one
    place. A batch is {"image", "tokens", "targets", "weights"}; words are learned, but not which place is asked about.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("image", "row")}
    for arrays in made:
        drawn, rows = arrays["sourced"][:count] == 0, arrays["tokens"][:count].copy()
        shown = drawn & (np.arange(len(rows)) % 2 == 0)
        rows[shown, :patches] = 4
        found["row"].append(np.concatenate([rows, arrays["answer"][:count]], axis=1))
        found["image"].append(np.where(drawn[:, None, None, None], arrays["target"][:count], arrays["source"][:count]))
    rows = np.concatenate(found["row"])
    asks = patches + WORDS
    learned = (np.arange(1, rows.shape[1]) >= patches) & (np.arange(1, rows.shape[1]) != asks) & (rows[:, 1:] > 0)
    tokens, targets = np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])
    images = real(np.concatenate(found["image"]))
    return {"image": images, "tokens": tokens, "targets": targets, "weights": learned.astype(np.float32)}


def next_words(model: Any, batch: Mapping[str, Any], key: Any) -> tuple[jax.Array, Metrics]:
    """Cross entropy of the next token of a row with an image in it; an objective."""
    return weighted(model(batch["tokens"], batch["image"]), batch["targets"], batch["weights"])


def states(model: Any, batch: Any) -> Any:
    """The last hidden states of a language model that sees, and beside them what its first block reads."""
    tokens, seen = batch["tokens"], model.seen(batch["image"])
    where, vectors = placed(tokens, seen, model.config.marker)
    read = jnp.where(where[..., None], vectors, model.language.tokens(tokens))
    return jnp.concatenate([model.language.hidden(tokens, vectors=(where, vectors)), read], axis=-1)


def whitening(reader: Any, *made: Arrays, count: int = 2000) -> Arrays:
    """`mean` (2 E,) and `map` (2 E, 2 E) after which states of the tokens of such prompts are of variance 1 in every
    direction in which they differ at all: (state - mean) map.

    map = diag(1 / s) U diag(1 / sqrt(max(e, 0.001 max e))), s the deviation of each feature and U, e the directions and
    variances of the standardised states. What tells words apart is small beside what all states of a language model
    have in common, and its embeddings are small beside its last states.
    """
    parts = [{name: x[:count] for name, x in own.items()} for own in made]
    own = np.concatenate([_states(reader, part)[_there(part)] for part in parts]).astype(np.float64)
    std = np.maximum(own.std(0), 1e-6)  # first, as last states are far larger than what the first block reads
    variances, directions = np.linalg.eigh(np.cov((own / std).T))
    whole = directions / np.sqrt(np.maximum(variances, LEAST * variances[-1])) / std[:, None]
    return {"mean": own.mean(0).astype(np.float32), "map": whole.astype(np.float32)}


def conditioned(made: Arrays, pixels: int, reader: Any, white: Arrays) -> Arrays:
    """What a flow learns from: `image` and `source` from -1 to 1, `prompt`, `there` and `sourced` of every pair.

    Args:
      pixels: rows and columns of the pictures; prompts are of the whole size.
      reader: the language model that sees; of a prompt without an image, only the words are there.
      white: of `whitening`.
    """
    both = {name: 2 * at(real(made[key]), pixels) - 1 for name, key in (("image", "target"), ("source", "source"))}
    found = {**both, "prompt": (_states(reader, made) - white["mean"]) @ white["map"], "there": _there(made)}
    return {name: x.astype(np.float32) for name, x in {**found, "sourced": made["sourced"]}.items()}


def _states(reader: Any, made: Arrays) -> np.ndarray:
    return apply(states, Frozen.of(reader), {"tokens": made["tokens"], "image": real(made["source"])}, BATCH)


def _there(made: Arrays) -> np.ndarray:
    """Tokens of prompts that a flow sees: words, and patches of the picture before where there is one."""
    tokens = made["tokens"]
    return (tokens > 0) & ((made["sourced"][:, None] > 0) | (np.arange(tokens.shape[1]) >= tokens.shape[1] - WORDS))


# --- samples ---


@dataclass(frozen=True)
class Editor:
    """Euler steps from noise to data, with guidance by the prompt; the source is seen in both calls."""

    steps: int = 10
    guidance: float = 2.0

    def __call__(self, model: Any, batch: Mapping[str, Any]) -> Any:
        """Pictures (n, y, x, 3) from -1 to 1 from the batch's `noise`."""
        inputs = {name: jnp.asarray(batch[name]) for name in GIVEN}
        given, free = (partial(model, **inputs, drop=jnp.full(len(batch["noise"]), off)) for off in (False, True))
        return integrate(guided(given, free, self.guidance), batch["noise"], shifted_times(self.steps))

    def draw(self, net: Frozen, rows: Arrays, seed: int) -> np.ndarray:
        """Pictures (n, y, x, 3) from 0 to 1 of the rows of `conditioned`; noise is a function of seed and row."""
        noise = np.random.default_rng(seed).normal(size=rows["source"].shape).astype(np.float32)
        return (1 + apply(self, net, {name: rows[name] for name in GIVEN} | {"noise": noise}, BATCH)) / 2

    def flops(self, config: Any) -> float:
        """Of one picture: the velocity with and without its prompt at every step."""
        picture, c = (config.latent, config.latent, config.channels), config
        shapes = {"prompt": (c.prompt, c.width), "there": (c.prompt,), "sourced": (), "source": picture}
        row = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in {**shapes, "noise": picture}.items()}
        return float(flops_of_one(self, config, row))


# --- verdicts ---


def labelled(made: Arrays, noise: float = 0.1) -> Arrays:
    """Quarters with their classes for a judge, as they are and with noise of up to this deviation; as many empty ones
    as full."""
    labels, rng = made["asked"].reshape(-1), np.random.default_rng(0)
    full, empty = np.flatnonzero(labels > 0), np.flatnonzero(labels == 0)
    rows = np.sort(np.concatenate([full, empty[: len(full)]]))
    own = quarters(real(made["target"]))[rows]
    noisy = own + noise * rng.random((len(own), 1, 1, 1)) * rng.normal(size=own.shape)
    return {
        "image": np.concatenate([own, noisy.astype(np.float32)]),
        "label": np.tile(labels[rows], 2).astype(np.int32),
    }


def seen(model: Any, images: Any) -> Any:
    """Features and logits of a classifier, side by side."""
    features = model.features(images)
    return jnp.concatenate([features, model.logits(features)], axis=-1)


def judged(pictures: np.ndarray, made: Arrays, judge: Frozen) -> Arrays:
    """The verdict of a program on pictures (n, s, s, 3), made from the instructions of `made`.

    Returns:
      `content`: the classifier sees what was asked for in every quarter that the instruction is about; of a letter, its
      colour, and its shape is nearer to its own than to `RIVALS` others. `place`: a moved or resized sticker overlaps
      its truth by `OVERLAP` or more, and by more than it did before; true of other operations. `kept`: other pixels are
      as before, within `OUTSIDE`. `success`: all three. `outside` and `inside`: mean absolute errors of the pixels that
      must stay and of those that may change; `overlap` of what was moved or resized (NaN of others); `features` of the
      classifier (n, 4, features).
    """
    target, under, where = real(made["target"]), real(made["under"]), made["edited"]
    both = apply(seen, judge, quarters(pictures).astype(np.float32), 4 * BATCH)
    features, logits = np.split(both, [both.shape[1] - judge.config.classes], axis=1)
    said = logits.argmax(1).reshape(-1, 4)
    letters, colors = made["operation"] == OPERATIONS.index(REFERENCE), made["colors"]
    alike = (said > 0) & (made["asked"] > 0) & ((said - made["asked"]) % colors[:, None] == 0)
    right = np.where(letters[:, None], alike | (said == made["asked"]), said == made["asked"])
    content = (right | ~made["focus"]).all(1)
    error = np.abs(pictures - target).mean(-1)
    inside, outside = (_mean_where(error, own) for own in (where, ~where))
    shown, truth, before = (_visible(own, under) & where for own in (pictures, target, real(made["source"])))
    overlap, was = ((own & truth).sum((1, 2)) / np.maximum((own | truth).sum((1, 2)), 1) for own in (shown, before))
    dragged = np.isin(made["operation"], [OPERATIONS.index(name) for name in (MOVE, RESIZE)])
    place, kept = ~dragged | ((overlap >= OVERLAP) & (overlap > was)), outside <= OUTSIDE
    content[letters] &= recognised(pictures[letters], {name: x[letters] for name, x in made.items()})
    return {
        "content": content, "place": place, "kept": kept, "success": content & place & kept, "inside": inside,
        "outside": outside, "overlap": np.where(dragged, overlap, np.nan),
        "features": features.reshape(-1, 4, features.shape[1]),
    }  # fmt: skip


def _mean_where(error: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Means of the pixels (n, y, x) that are meant; 0 of none."""
    return (error * where).sum((1, 2)) / np.maximum(where.sum((1, 2)), 1)


def _visible(pictures: np.ndarray, under: np.ndarray) -> np.ndarray:
    return np.abs(pictures - under).max(-1) > _VISIBLE


def recognised(pictures: np.ndarray, made: Arrays) -> np.ndarray:
    """Whether the letter in each picture has its nearest shape, by cosine, in its own truth and not in those of the
    next `RIVALS` rows, each in its own quarter."""
    rows = np.arange(len(pictures))
    if not len(rows):
        return np.zeros(0, bool)
    place = made["asked"].argmax(1)
    under = real(made["under"])
    shapes = []
    for own in (pictures, real(made["target"])):
        flat = quarters(np.abs(own - under)).reshape(len(rows), 4, -1, 3)[rows, place].mean(-1)
        shapes.append(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6))
    near = np.stack([(shapes[0] * np.roll(shapes[1], -i, axis=0)).sum(1) for i in range(min(RIVALS + 1, len(rows)))])
    return (near[0] > near[1:]).all(0)  # a picture of nothing is as near to all
