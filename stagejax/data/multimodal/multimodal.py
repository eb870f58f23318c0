"""Words, pictures and speech written as documents of one vocabulary: pairs, stories, and instructions with answers."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stagejax.data.language.packing import documents
from stagejax.data.multimodal.composites import DIGITS, Objects
from stagejax.data.multimodal.interleave import Order, Vocabulary
from stagejax.data.multimodal.stories import FRAMES, Form, Stories
from stagejax.data.order import random_words, uniforms
from stagejax.data.prompts.constrained import WordsAndBytes
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, SEP
from stagejax.data.vocabulary.words import Words

#: What there is to be learned from, and what instructions ask for, with the form of record that each is about.
KINDS = ("pairs", "text", "interleaved", "speech")
TASKS: Mapping[str, str] = {
    "caption": "picture",
    "draw": "picture",
    "transcribe": "clips",
    "speak": "clips",
    "edit": "story",
    "next frame": "video",
}
_TEMPLATES = "shows picture of says speech user assistant describe draw transcribe say continue"

Document = tuple[np.ndarray, np.ndarray]  # tokens (n + 1,), weights of their targets (n,)


@functools.lru_cache(maxsize=8)
def words_of(objects: tuple[Objects, ...]) -> WordsAndBytes:
    """Words of all sentences and templates, then bytes for any other text."""
    own = (*Stories(objects, 1).words, *DIGITS, *_TEMPLATES.split())
    return WordsAndBytes(Words(tuple(dict.fromkeys(own))))


@dataclass(frozen=True)
class Writer:
    """Puts sentences, and the codes of pictures and clips, into sequences of tokens.

    Args:
      vocabulary: where ids of pictures and speech are.
      order: of the streams of a clip.
      stories: the pictures of each form, of one split.
      codes: of the same: "picture", "story", "video" (records, frames, codes), "clips" (records, frames, streams),
        and their "lengths", "words" and "speakers".
    """

    vocabulary: Vocabulary
    order: Order
    stories: Mapping[Form, Stories]
    codes: Mapping[str, np.ndarray]

    def words(self, text: str) -> np.ndarray:
        """The tokens of words."""
        return words_of(self.stories["picture"].objects).encode([text])[0]

    def picture(self, form: Form, index: int, frame: int = 0) -> np.ndarray:
        """The tokens of a picture with its borders."""
        return self.vocabulary.picture(self.codes[form][index, frame])

    def clip(self, *indices: int, understood: bool) -> np.ndarray:
        """The tokens of recordings one after the other, as one clip with its borders.

        What is to be understood is the first stream alone, where streams are sequential; alternating ones keep all.
        """
        codes = np.concatenate([self.codes["clips"][i, : self.codes["lengths"][i]] for i in indices])
        return self.vocabulary.clip(codes[:, :1] if understood and self.order == "sequential" else codes, self.order)

    def said(self, *indices: int) -> str:
        """What is said in recordings."""
        return " ".join(DIGITS[self.codes["words"][i]] for i in indices)

    def texts(self, form: Form, index: int) -> tuple[str, ...]:
        """The sentences of a record."""
        return self.stories[form].texts(index)

    def tokens(self, *parts: Any) -> np.ndarray:
        """[CLS, parts], each of them words or tokens."""
        return np.concatenate([[CLS], *(self.words(part) if isinstance(part, str) else part for part in parts)])

    def document(self, *parts: Any) -> Document:
        """[CLS, parts, SEP], of which everything is learned."""
        tokens = np.concatenate([self.tokens(*parts), [SEP]])
        return tokens, np.ones(len(tokens) - 1, np.float32)

    def instruction(self, task: str, i: int) -> Document:
        """[CLS, question, answer, SEP] number i of a task, of which the answer and its end are learned."""
        question, answer = self.question(task, i), self.answer(task, i)
        weights = np.zeros(len(question) + len(answer), np.float32)
        weights[len(question) - 1 :] = 1
        return np.concatenate([question, answer, [SEP]]), weights

    def question(self, task: str, i: int) -> np.ndarray:
        """[CLS, user, what is asked, assistant]; of a story, all before its last picture, as in pretraining."""
        if task == "story":
            texts, first, second = self.texts("story", i), self.picture("story", i), self.picture("story", i, 1)
            return self.tokens(texts[0], first, texts[1], second, texts[2])
        asked: dict[str, Any] = {
            "caption": lambda: (self.picture("picture", i), "describe"),
            "draw": lambda: ("draw", self.texts("picture", i)[0]),
            "transcribe": lambda: (self.clip(i, understood=True), "transcribe"),
            "speak": lambda: ("say", self.said(i)),
            "edit": lambda: (self.picture("story", i), self.texts("story", i)[1].removeprefix("then ")),
            "next frame": lambda: (self.picture("video", i), self.picture("video", i, 1), "continue"),
        }
        return self.tokens("user", *asked[task](), "assistant")

    def answer(self, task: str, i: int) -> np.ndarray:
        """The tokens of the answer, without an end."""
        answers: dict[str, Any] = {
            "caption": lambda: self.words(self.texts("picture", i)[0]),
            "draw": lambda: self.picture("picture", i),
            "transcribe": lambda: self.words(self.said(i)),
            "speak": lambda: self.clip(i, understood=False),
            "edit": lambda: self.picture("story", i, 1),
            "next frame": lambda: self.picture("video", i, 2),
            "story": lambda: self.picture("story", i, 2),
        }
        return answers[task]()

    def pairs(self, draws: np.ndarray) -> list[Document]:
        """Pictures with their captions, in either direction."""
        return [
            self.document(self.picture("picture", i), "shows", self.texts("picture", i)[0])
            if draws[i, 0] < 0.5
            else self.document("picture of", self.texts("picture", i)[0], self.picture("picture", i))
            for i in range(len(self.codes["picture"]))
        ]

    def interleaved(self, draws: np.ndarray) -> list[Document]:
        """Stories, each picture behind its sentence; and videos, in 60 % of them the sentence before the frames."""
        made = []
        for i in range(len(self.codes["story"])):
            told = zip(self.texts("story", i), (self.picture("story", i, t) for t in range(3)), strict=True)
            made.append(self.document(*(part for pair in told for part in pair)))
        for i in range(len(self.codes["video"])):
            text, images = self.texts("video", i)[0], [self.picture("video", i, t) for t in range(3)]
            made.append(self.document(*((text, *images) if draws[i, 1] < 0.6 else (*images, "shows", text))))
        return made

    def speech(self, draws: np.ndarray) -> list[Document]:
        """Recordings, and two of one speaker joined, with what is said in them, in either direction in turn."""
        made = []
        for number, indices in enumerate((*((i,) for i in range(len(self.codes["clips"]))), *self.joined(draws))):
            if (draws[indices[0], 0] + 0.5 * (number // len(self.codes["clips"]))) % 1 < 0.5:
                made.append(self.document(self.clip(*indices, understood=True), "says", self.said(*indices)))
            else:
                made.append(self.document("speech of", self.said(*indices), self.clip(*indices, understood=False)))
        return made

    def joined(self, draws: np.ndarray) -> list[tuple[int, int]]:
        """Each recording with others of its speaker, one for each column of the draws behind the second."""
        speakers = self.codes["speakers"]
        own = [np.flatnonzero(speakers == speaker) for speaker in speakers]
        return [(i, int(same[int(u[i] * len(same))])) for u in draws.T[2:] for i, same in enumerate(own)]

    def text(self, draws: np.ndarray, raw: str, count: int, size: int) -> list[Document]:
        """About `count` sentences, as many spoken ones, and as many pieces of raw text of `size` bytes."""
        told = [" ".join(filter(None, self.texts(f, i))) for f in FRAMES for i in range(len(self.codes[f]))]
        said = [self.said(*indices) for indices in self.joined(draws)]
        code = replace(words_of(self.stories["picture"].objects), raw=True)
        pieces = [raw[i * size : (i + 1) * size] for i in range(min(count, len(raw) // size))]
        plain = [own for texts in (told, said) for own in texts[:: max(1, len(texts) // count)]]
        return [self.document(part) for part in (*plain, *(ids[:size] for ids in code.encode(pieces)))]


def corpora(
    write: Writer, text: Source, *, sentences: int, instructions: int, size: int, joins: int = 1, seed: int = 0
) -> dict[str, Any]:
    """The documents of every kind, and instructions of every task, as arrays "kind/name" (see `documents`).

    Args:
      sentences, size: see `Writer.text`; of the source, the first 40 records are read.
      instructions: of each task.
      joins: with how many others each recording is joined.
      seed: of directions and of what is joined.
    """
    codes = write.codes
    most = max(len(codes[name]) for name in (*FRAMES, "clips"))
    draws = uniforms(random_words(seed, np.arange(most), 2 + joins))
    raw = "\n".join(text[i]["text"] for i in range(min(40, len(text))))
    asked = [
        write.instruction(task, i) for task, form in TASKS.items() for i in range(min(instructions, len(codes[form])))
    ]
    made: dict[str, Sequence[Document]] = {
        "pairs": write.pairs(draws),
        "text": write.text(draws, raw, sentences, size),
        "interleaved": write.interleaved(draws),
        "speech": write.speech(draws),
        "instructions": asked,
    }
    return {f"{kind}/{name}": array for kind, own in made.items() for name, array in documents(own).items()}
