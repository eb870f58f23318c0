"""Pictures that a diffusion transformer draws from prompts of words and pictures, and a judge of what they show.

The rows of `composed` are prompts of `data.multimodal.picture_prompts`. They become a condition in one of two ways: a
frozen language model that sees reads them once (`read`) and an adapter goes on from there; or an encoder of captions
reads the `words` of the target.

Letters: n prompts, S tokens of a prompt, s rows and columns of a picture, F width of a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stagejax.data.joined import Row
from stagejax.data.multimodal.captions import padded
from stagejax.data.multimodal.picture_prompts import MOST, PICTURE, QUARTERS, REQUESTS, TASK_WORDS, PicturePrompts
from stagejax.data.tokenizers import CLS, SEP, SPECIAL
from stagejax.decode import Prompts, completions, sample
from stagejax.inference.frozen import Frozen, apply
from stagejax.inference.pictures.quarters import as_bytes, next_of_kind, quarters, real
from stagejax.inference.several import ask_together, flops_together
from stagejax.models.speech.speech_adapter import placed
from stagejax.objectives.flow import guided, integrate, shifted_times
from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.pictures.conditioned_flow import left

BATCH = 64  # pictures that go through a model together
CAPTION = 3 * MOST  # words of the longest caption
ASKED = ("describe", ":")  # behind a prompt, what is asked of the language model
ANSWER = CAPTION + 1  # tokens of the longest answer, with SEP

Arrays = dict[str, np.ndarray]


def prompt_length(patches: int) -> int:
    """S: a combination is the longest prompt.

    >>> prompt_length(16)
    40
    """
    return 1 + TASK_WORDS + MOST * (2 + patches)


# --- prompts as arrays ---


def composed(source: PicturePrompts, patches: int) -> Arrays:
    """All prompts of a source.

    Returns:
      `tokens`: int32 (n, S), [CLS, prompt, padding], in which each picture is so many places for patches; `there`,
      `seen` and `task`: bool (n, S), where there is a token, where it is a patch, and where it says the task alone;
      `words`: int32 (n, 6), the caption of the target; `images`: uint8 (n, 2, s, s, 3), and what else records hold.
    """
    records, code, length = [source[i] for i in range(len(source))], source.words, prompt_length(patches)
    tokens = padded(code, [expanded(record["text"], patches) for record in records], length - 1)
    tokens = np.concatenate([np.full((len(tokens), 1), CLS, np.int32), tokens.astype(np.int32)], axis=1)
    found = {name: np.stack([r[name] for r in records]) for name in ("asked", "about")}
    found |= {name: np.int32([r[name] for r in records]) for name in ("request", "pictures")}
    found |= {name: np.stack([as_bytes(r[name]) for r in records]) for name in ("images", "target")}
    words = padded(code, [record["caption"] for record in records], CAPTION).astype(np.int32)
    there, (marker,) = tokens > 0, code.encode([PICTURE])[0]
    task = there & (np.arange(length) <= TASK_WORDS)
    return found | {"tokens": tokens, "there": there, "seen": tokens == marker, "task": task, "words": words}


def expanded(text: str, patches: int) -> str:
    """A prompt in which each picture is as many words as it has patches.

    >>> expanded("copy image : <image>", 2)
    'copy image : <image> <image>'
    """
    return " ".join(" ".join([word] * patches) if word == PICTURE else word for word in text.split())


def lessons(source: PicturePrompts, patches: int) -> Arrays:
    """Rows for a language model that sees: a prompt, a question and its answer, which is learned.

    It is asked to "describe :" what the prompt asks for, such as a picture that is to be copied, as it is behind an
    edit, or put together of others; or, of every second picture to be copied, "what northwest :".

    Returns:
      `images`: uint8 (n, 2, s, s, 3); `tokens`, `targets`: int32 (n, S + 8); `weights`: float32 (n, S + 8).
    """
    code, rows, images = source.words, [], []
    for index in range(len(source)):
        record = source[index]
        question, answer = " ".join(ASKED), record["caption"]
        copied = record["request"] == REQUESTS.index("copy")
        if copied and (index // len(source.requests)) % 2:
            place = (index // (2 * len(source.requests))) % 4
            things = answer.split()
            at = things.index(QUARTERS[place]) if QUARTERS[place] in things else 0
            question, answer = f"what {QUARTERS[place]} :", " ".join(things[at - 2 : at]) if at else "nothing"
        both = code.encode([f"{expanded(record['text'], patches)} {question}", answer])
        rows.append(([CLS, *both[0]], [*both[1], SEP]))
        images.append(as_bytes(record["images"]))
    length = prompt_length(patches) + 3 + ANSWER
    tokens, weights = np.zeros((len(rows), length), np.int32), np.zeros((len(rows), length - 1), np.float32)
    for row, weight, (first, second) in zip(tokens, weights, rows, strict=True):
        row[: len(first) + len(second)] = [*first, *second]
        weight[len(first) - 1 : len(first) + len(second) - 1] = 1
    split = {"tokens": np.ascontiguousarray(tokens[:, :-1]), "targets": np.ascontiguousarray(tokens[:, 1:])}
    return {"images": np.stack(images), **split, "weights": weights}


# --- the language model ---


def normalised(images: Any) -> Any:
    """Bytes as the language model sees them: of about mean 0 and deviation 1, as pictures are mostly black.

    >>> round(float(normalised(jnp.zeros((), jnp.uint8))), 2)
    -0.33
    """
    return (images.astype(jnp.float32) / 255 - 0.05) / 0.15


def next_words(model: Any, batch: Mapping[str, Any], key: Any) -> tuple[jax.Array, Metrics]:
    """Cross entropy of answers, and the share of rows that are answered without an error; an objective."""
    logits = model(batch["tokens"], normalised(batch["images"]))
    loss, metrics = weighted(logits, batch["targets"], batch["weights"])
    right = ((logits.argmax(-1) == batch["targets"]) | (batch["weights"] == 0)).all(1)
    return loss, metrics | {"exact": (right.sum().astype(jnp.float32), jnp.float32(len(right)))}


def states(model: Any, batch: Mapping[str, Any]) -> Float[Array, "n S two_F"]:
    """The last hidden states of a prompt's tokens, and beside each what the model was given for a patch."""
    where, visual = placed(batch["tokens"], model.seen(normalised(batch["images"])), model.config.marker)
    hidden = model.language.hidden(batch["tokens"], vectors=(where, visual))
    return jnp.concatenate([hidden, jnp.where(where[..., None], visual, 0)], axis=-1)


def read(made: Arrays, net: Frozen) -> Arrays:
    """What an adapter goes on from: `states` and `visual` of the language model, float16 (n, S, F), and `there`,
    `seen`, `task` and `target` of the prompts. The states of a task do not depend on what comes behind it, so that a
    dropped prompt needs no states of its own."""
    both = apply(states, net, {name: made[name] for name in ("tokens", "images")}, BATCH).astype(np.float16)
    first, second = np.split(both, 2, axis=-1)
    kept = {name: made[name] for name in ("there", "seen", "task", "target")}
    return kept | {"states": np.ascontiguousarray(first), "visual": np.ascontiguousarray(second)}


def captioned(made: Arrays, words: np.ndarray | None = None) -> Arrays:
    """What an encoder of captions reads: `words` of the targets, or others; `there`, `task` (none) and `target`."""
    words = made["words"] if words is None else words
    return {"words": words, "there": words > 0, "task": np.zeros(words.shape, bool), "target": made["target"]}


def state_spec(size: int, patches: int, width: int) -> list[Row]:
    """The rows of `read`, of pictures of `size` pixels a side and states of a width."""
    length = prompt_length(patches)
    spec = [Row(name, (length, width), "float16") for name in ("states", "visual")]
    spec += [Row(name, (length,), "bool") for name in ("there", "seen", "task")]
    return [*spec, Row("target", (size, size, 3), "uint8")]


def caption_spec(size: int) -> list[Row]:
    """The rows of `captioned`.

    >>> [row.name for row in caption_spec(16)]
    ['target', 'words', 'there', 'task']
    """
    spec = [Row("target", (size, size, 3), "uint8"), Row("words", (CAPTION,), "int32")]
    return [*spec, *(Row(name, (CAPTION,), "bool") for name in ("there", "task"))]


def captions(model: Any, batch: Mapping[str, Any], length: int) -> Any:
    """The likeliest answers to prompts."""
    net = model.looking(batch["tokens"], normalised(batch["images"]))
    prompts = Prompts(batch["tokens"], batch["lengths"])
    return sample(net, prompts, jax.random.key(0), length=length, limit=ANSWER, stops=((SEP,),), temperature=0.0)


def described(made: Arrays, net: Frozen, source: PicturePrompts) -> np.ndarray:
    """The captions, int32 (n, 6), that a language model gives of what prompts ask for; words only."""
    question = source.words.encode([" ".join(ASKED)])[0]
    count, length = made["there"].sum(1), made["tokens"].shape[1] + len(question)
    asked = np.pad(made["tokens"], ((0, 0), (0, len(question))))
    for row, end in zip(asked, count, strict=True):
        row[end : end + len(question)] = question
    given = {"tokens": asked, "lengths": (count + len(question)).astype(np.int32), "images": made["images"]}
    found = np.zeros((len(asked), CAPTION), np.int32)
    for start in range(0, len(asked), BATCH):
        rows = np.minimum(np.arange(start, start + BATCH), len(asked) - 1)
        part = {name: x[rows] for name, x in given.items()}
        drawn = completions(ask_together(_captions, [net], part, length + ANSWER))
        for at, (own,) in zip(range(start, min(start + BATCH, len(asked))), drawn, strict=False):
            said = [token for token in own.tokens if token >= SPECIAL][:CAPTION]
            found[at, : len(said)] = said
    return found


def _captions(models: tuple[Any], batch: Mapping[str, Any], length: int) -> Any:
    return captions(models[0], batch, length)


# --- pictures ---


@dataclass(frozen=True)
class Painter:
    """Euler steps from noise to data with guidance: v = v_task + s (v_prompt - v_task).

    Args:
      steps: of the integration.
      guidance: s; 1 is the prompt alone.
    """

    steps: int = 10
    guidance: float = 2.0

    def __call__(self, models: Sequence[Any], batch: Mapping[str, Any]) -> Float[Array, "n s s 3"]:
        """Pictures from 0 to 1 from `noise` (n, s, s, 3), with `ratio` (n,), by a teller and a transformer."""
        teller, dit = models
        ratio = jnp.asarray(batch["ratio"])
        told, free = (teller(batch, left(batch, jnp.full(len(ratio), drop)), ratio) for drop in (False, True))
        velocity = guided(lambda x, t: dit(x, t, **told), lambda x, t: dit(x, t, **free), self.guidance)
        return jnp.clip((integrate(velocity, batch["noise"], shifted_times(self.steps)) + 1) / 2, 0, 1)

    def draw(self, nets: Sequence[Frozen], rows: Arrays, seed: int, ratio: float = 0.5) -> np.ndarray:
        """Pictures as large as `target` of the rows of `read` or of `captioned`, from noise that is a function of the
        seed and the row alone. The ratio of `visual_blend` is the user's choice."""
        noise = np.random.default_rng(seed).normal(size=rows["target"].shape).astype(np.float32)
        given = {name: x for name, x in rows.items() if name != "target"}
        found, given = [], given | {"noise": noise, "ratio": np.full(len(noise), ratio, np.float32)}
        for start in range(0, len(noise), BATCH):
            chosen = np.minimum(np.arange(start, start + BATCH), len(noise) - 1)
            part = {name: x[chosen] for name, x in given.items()}
            found.append(np.asarray(ask_together(_painted, list(nets), part, self))[: len(noise) - start])
        return np.concatenate(found)

    def flops(self, teller: Any, dit: Any, row: Mapping[str, Any]) -> float:
        """Of one picture; `row` is what an adapter or an encoder of captions reads of one prompt (abstract arrays)."""
        spec = {name: jax.ShapeDtypeStruct((1, *x.shape), x.dtype) for name, x in row.items() if name != "target"}
        spec["noise"] = jax.ShapeDtypeStruct((1, *row["target"].shape), np.dtype("float32"))
        spec["ratio"] = jax.ShapeDtypeStruct((1,), np.dtype("float32"))
        return float(flops_together(_painted, [teller, dit], spec, self))


def _painted(models: Sequence[Any], batch: Mapping[str, Any], how: Painter) -> Any:
    return how(models, batch)


# --- the judge ---


def labelled(made: Arrays, noise: float = 0.1) -> Arrays:
    """Quarters of real pictures with their classes, every second with noise on it: what a judge learns from."""
    image = real(quarters(made["target"]))
    more = np.random.default_rng(0).normal(0, noise, image.shape).astype(np.float32)
    image[::2] = np.clip(image + more, 0, 1)[::2]
    return {"image": image, "label": made["asked"].reshape(-1).astype(np.int32)}


def class_logits(model: Any, images: Any) -> Any:
    """Of a classifier."""
    return model(images)


@dataclass(frozen=True, eq=False)
class Judge:
    """A classifier of quarters, and what counts as unchanged.

    Args:
      net: the classifier; class 0 is nothing.
      kept: root mean square error of a quarter up to which it is as it was.
      colors: how many classes each kind has.
    """

    net: Frozen
    kept: float
    colors: int = 4

    def verdicts(self, pictures: np.ndarray, made: Arrays) -> Arrays:
        """What is right about pictures (n, s, s, 3) that were drawn from the prompts of `made`.

        Returns:
          `exact`: in every quarter the judge sees what was asked for; `l2`: root mean square error to the target;
          `changed`: it does in the quarters that an edit is about; `kept`: it does in the others, and their pixels are
          as before; `success`: both; `things`, `kind`, `color`: shares of the things asked for that are right, wholly
          or in part.
        """
        found = apply(class_logits, self.net, quarters(pictures).astype(np.float32), 4 * BATCH)
        said, asked, about = found.argmax(1).reshape(-1, 4), made["asked"], made["about"]
        error = ((pictures - real(made["target"])) ** 2).mean(-1)[..., None]
        by_quarter = np.sqrt(quarters(error).mean((1, 2, 3))).reshape(-1, 4)
        same, thing = said == asked, asked > 0
        changed, unchanged = (same | ~about).all(1), ((same & (by_quarter <= self.kept)) | about).all(1)
        kind, color = (part(said - 1) == part(asked - 1) for part in (self._kind, self._color))
        parts = {"things": same, "kind": kind & (said > 0), "color": color & (said > 0)}
        return {
            "exact": same.all(1), "l2": np.sqrt(error.mean((1, 2, 3))), "changed": changed, "kept": unchanged,
            "success": changed & unchanged,
            **{name: (x & thing).sum(1) / thing.sum(1) for name, x in parts.items()},
        }  # fmt: skip

    def _kind(self, numbers: np.ndarray) -> np.ndarray:
        return numbers // self.colors

    def _color(self, numbers: np.ndarray) -> np.ndarray:
        return numbers % self.colors

    def told(self, name: str, pictures: np.ndarray, made: Arrays, shown: int = 8) -> Arrays:
        """The same under "name/...", `luck`: whether they succeed as answers to another prompt of their request, the
        `request` of each, and the first pictures, `drawn`."""
        own = self.verdicts(pictures, made) | {"request": made["request"], "drawn": pictures[:shown]}
        own["luck"] = self.verdicts(pictures, next_of_kind(made, "request"))["success"]
        return {f"{name}/{what}": x for what, x in own.items()}
