"""Multiple-choice questions about images: a placeholder for the image, a question, lettered options, one letter."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int64

from stagejax.data.multimodal.object_scenes import COUNT, KIND, LARGER, PLACE, TASKS, Area, Subset
from stagejax.data.pipeline import Batch
from stagejax.data.records import OfRecords
from stagejax.data.tokenizers import CLS, SPECIAL
from stagejax.data.vocabulary.words import Words

LETTERS = ("A", "B", "C", "D")
IMAGE, ANSWER = "<image>", "answer"

#: Six ways to ask for each task; none names how an image was acquired, or of what.
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    KIND: (
        "what is shown here", "which kind is this", "name what you see", "what does the image show",
        "which one is it", "tell the kind",
    ),
    COUNT: (
        "how many are there", "count what is shown", "what is the number", "how many do you see",
        "tell the number", "what number is shown here",
    ),
    PLACE: (
        "where is it", "in which quarter is it", "name its place", "where do you see it",
        "which quarter is not empty", "tell the place",
    ),
    LARGER: (
        "on which side is the larger", "where is the larger one", "which side has more", "tell the side of the larger",
        "the larger one is on which side", "name the larger side",
    ),
}  # fmt: skip


def words_of(areas: Sequence[Area]) -> Words:
    """Every word of questions, options and answers; the placeholder of an image comes first."""
    asked = " ".join(text for texts in TEMPLATES.values() for text in texts).split()
    options = [word for task in TASKS for area in areas for word in area.answers(task)]
    return Words(tuple(dict.fromkeys((IMAGE, ANSWER, *LETTERS, *asked, *options))))


@dataclass(frozen=True, kw_only=True)
class Choices(OfRecords):
    """Questions about the scenes of a subset.

    Batches are {"image": float32 (batch, side, side, 1), "tokens": int32 (batch, length), "at": the place of the last
    token of each question, "label": the token of its answer, and "open": 1 where no options are given}. A row is

        CLS, IMAGE x patches, question, A option, B option, C option, D option, ANSWER, 0 ...

    and its answer is a letter. An open question has no options; its answer is the word. Some of the others are told
    that word, in front of the question, as a caption. The question is one of six, the other options are among the other
    answers of the subset, and all stand in random order: each drawn once for every scene.

    Args:
      source: the subset.
      words: the vocabulary.
      batch: rows.
      patches: how many vectors an image has in a row.
      open: share of open questions.
      told: share of questions that have options and a caption; with `open` at most 1.
      seed: of the order of scenes.

    Reference: the conversion of Med-MAT, https://arxiv.org/abs/2412.20070.
    """

    source: Subset
    words: Words
    batch: int
    patches: int = 16
    open: float = 0.0
    told: float = 0.0
    seed: int = 0
    count: int | None = None

    @property
    def length(self) -> int:
        """Tokens of a row."""
        longest = max(len(text.split()) for texts in TEMPLATES.values() for text in texts)
        return 1 + self.patches + (self.told > 0) + longest + 2 * len(LETTERS) + 1

    def sample_spec(self) -> dict[str, jax.ShapeDtypeStruct]:
        number = jax.ShapeDtypeStruct((), np.int32)
        return {
            "image": jax.ShapeDtypeStruct(self.source.shape, np.float32),
            "tokens": jax.ShapeDtypeStruct((self.length,), np.int32),
            "at": number,
            "label": number,
            "open": number,
        }

    def size(self) -> int:
        return len(self.source)

    def take_records(self, numbers: Int64[np.ndarray, " n"]) -> Batch:
        asked = _asked(self.source, self.words, self.patches, self.length, self.open, self.told)
        return {"image": self.source.images(numbers), **{name: own[numbers] for name, own in asked.items()}}

    def digest(self) -> str:
        return self.source.digest()


@functools.lru_cache(maxsize=512)
def _asked(source: Subset, words: Words, patches: int, length: int, free: float, told: float) -> dict[str, np.ndarray]:
    """The questions about all scenes of a subset, without the images."""
    task, size = source.triplet.task, len(source)
    ids, answers = {word: place + SPECIAL for place, word in enumerate(words.words)}, source.answers
    rng, most = np.random.default_rng(int(source.digest()[:15], 16)), len(LETTERS)
    ways, kinds = rng.integers(len(TEMPLATES[task]), size=size), rng.random(size)
    opened, captioned = kinds < free, kinds > 1 - told
    others = rng.permuted(np.tile(np.arange(1, len(answers)), (size, 1)), axis=1)[:, : most - 1]
    order = rng.permuted(np.tile(np.arange(others.shape[1] + 1), (size, 1)), axis=1)
    made = {"tokens": np.zeros((size, length), np.int32)}
    made |= {name: np.zeros(size, np.int32) for name in ("at", "label", "open")}
    for i in range(size):
        label = source.label(i)
        caption = [ids[answers[label]]] if captioned[i] else []
        row = [CLS, *[ids[IMAGE]] * patches, *caption, *(ids[word] for word in TEMPLATES[task][ways[i]].split())]
        options = [label, *(label + others[i]) % len(answers)]
        if not opened[i]:
            for letter, place in zip(LETTERS, order[i], strict=False):
                row += [ids[letter], ids[answers[options[place]]]]
        answer = answers[label] if opened[i] else LETTERS[int(np.argmin(order[i]))]
        row.append(ids[ANSWER])
        made["tokens"][i, : len(row)], made["at"][i] = row, len(row) - 1
        made["label"][i], made["open"][i] = ids[answer], opened[i]
    return made
