"""A model of several modalities is asked: answers drawn within their modality, and judges that look and listen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data.multimodal.interleave import Order, Vocabulary
from stagejax.data.multimodal.multimodal import Writer
from stagejax.data.pipeline import Data
from stagejax.data.tokenizers import SEP, SPECIAL
from stagejax.decode import Prompts, beam_search, padded_prompts, sample
from stagejax.inference import Frozen, apply, logits_of
from stagejax.inference.answering import ask
from stagejax.inference.multimodal.tokenizing import clips_of, pictures_of
from stagejax.ledger import count_flops
from stagejax.objectives import causal_lm

#: Which picture of a record is asked for.
FRAME = {"draw": 0, "edit": 1, "next frame": 2, "story": 2}


#: Tasks that are answered in words.
WRITTEN = ("caption", "transcribe")


@dataclass(frozen=True)
class Examination:
    """How questions are put: text is searched for by beams; pictures and clips are drawn, at temperature 1.

    Args:
      words: ids of words end here; a text answer has no others.
      count: codes of a picture.
      prompt, limit: most tokens of a question and of an answer.
      written: most tokens of an answer in words.
      at_once: questions answered together.
      beams: of text.
      top_p: of pictures and clips.
      repetition: penalty of what a clip has already (see `decode.unrepeated`).

    Reference: MIO 2024, https://arxiv.org/abs/2409.17692, table 11.
    """

    vocabulary: Vocabulary
    words: int
    count: int
    prompt: int = 52
    limit: int = 40
    written: int = 8
    at_once: int = 128
    beams: int = 5
    top_p: float = 0.7
    repetition: float = 1.15

    def allowed(self, task: str) -> np.ndarray:
        """Which tokens may come at each place of an answer, (places, vocabulary): those of its modality, and its end.

        Behind the last of these places it stays as it is there. A clip may have its codes in any order and number:
        whether it is valid is for the model to learn.
        """
        own, may = self.vocabulary, np.zeros((self.limit, self.vocabulary.size), bool)
        begin, end, speaks, silent = own.borders
        if task in WRITTEN:
            may[:, [SEP, *range(SPECIAL, self.words)]] = True
            return may[:1]
        if task == "speak":
            may[0, speaks] = True
            may[1:, [silent, *range(own.speech, begin)]] = True
        else:
            may[0, begin] = True
            may[1 : self.count + 1, own.text : own.speech] = True
            may[self.count + 1 :, end] = True
        return may

    def answers(self, net: Frozen, task: str, questions: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
        """The answers, each with its end."""
        found: list[np.ndarray] = []
        for start in range(0, len(questions), self.at_once):
            asked = padded_prompts(questions[start : start + self.at_once], self.prompt)
            batch = self._batch(task, asked) | {"key": jax.random.key(10_000 * seed + start)}
            rows = zip(*ask(_written if task in WRITTEN else _drawn, net, batch, self), strict=True)
            found += [tokens[begin:end] for tokens, begin, end in rows]
        return found

    def flops(self, config: Any, task: str) -> float:
        """Of one answer that is as long as it may be, to a question that is."""
        graphdef, _, params, rest = take_apart(config)
        batch = self._batch(task, padded_prompts([np.ones(self.prompt, np.int32)], self.prompt))
        function, trips = (_written, self.written) if task in WRITTEN else (_drawn, self.limit)

        def one(params: Any, rest: Any, batch: Any, key: Any) -> Any:
            return function(nnx.merge(graphdef, params, rest), batch | {"key": key}, self)

        key = jax.eval_shape(lambda: jax.random.key(0))
        return float(count_flops(one, params, rest, batch, key, while_trips=trips))

    def _batch(self, task: str, asked: Prompts) -> dict[str, Any]:
        batch = {"tokens": asked.tokens_BP, "lengths": asked.lengths_B, "allowed": self.allowed(task)}
        repetition = self.repetition if task == "speak" else 1.0
        return batch if task in WRITTEN else batch | {"repetition": np.float32(repetition)}


def _written(model: Any, batch: Any, how: Examination) -> tuple[Any, Any, Any]:
    """The likeliest answers that are found."""
    prompts, length = Prompts(batch["tokens"], batch["lengths"]), how.prompt + how.written
    options = {"beams": how.beams, "limit": how.written, "allowed": batch["allowed"]}
    found = beam_search(model, prompts, length=length, stops=((SEP,),), **options)
    return found.tokens_BKS[:, 0], found.starts_BK[:, 0], found.ends_BK[:, 0]


def _drawn(model: Any, batch: Any, how: Examination) -> tuple[Any, Any, Any]:
    prompts, length = Prompts(batch["tokens"], batch["lengths"]), how.prompt + how.limit
    stops = tuple((how.vocabulary.borders[i],) for i in (1, 3))
    options = {"limit": how.limit, "top_p": how.top_p, "repetition": batch["repetition"], "allowed": batch["allowed"]}
    found = sample(model, prompts, batch["key"], length=length, stops=stops, **options)
    return found.tokens_BNS[:, 0], found.starts_BN[:, 0], found.ends_BN[:, 0]


@dataclass(frozen=True, eq=False)
class Judges:
    """Frozen: the tokenizers that decode answers, and classifiers of real pictures and of real clips."""

    eye: Frozen
    ear: Frozen
    of_pictures: Frozen
    of_clips: Frozen
    frames: int  # of the longest clip

    def said(self, answers: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> np.ndarray:
        """Whether answers in words are the wanted ones, word for word."""
        pairs = zip(answers, wanted, strict=True)
        return np.array([np.array_equal(answer[answer != SEP], own) for answer, own in pairs])

    def pictures(self, vocabulary: Vocabulary, answers: Sequence[np.ndarray]) -> np.ndarray:
        """The pictures that answers are."""
        count = self.eye.config.count
        codes = [vocabulary.picture_codes(answer, count) for answer in answers]
        return pictures_of(self.eye, [np.zeros(count, np.int32) if own is None else own for own in codes])

    def shown(self, images: np.ndarray, task: str, write: Writer) -> np.ndarray:
        """Whether the object and colour asked for are seen; and, where a picture was to be changed, at their place."""
        source = write.stories[{"draw": "picture", "next frame": "video"}.get(task, "story")]  # type: ignore[index]
        wanted = [source[i] for i in range(len(images))]
        labels = np.array([record["labels"][FRAME[task]] for record in wanted])
        right = apply(logits_of, self.of_pictures, images).argmax(-1) == labels
        if task == "draw":
            return right
        true = np.stack([record["images"][FRAME[task]] for record in wanted]) / 255
        return right & (np.abs(centres(images) - centres(true)) < 2).all(-1)

    def heard(
        self, vocabulary: Vocabulary, order: Order, answers: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The word heard in each answer (-1: it is no valid clip), whether it is one, and its frames."""
        codes = [vocabulary.clip_codes(answer, order) for answer in answers]
        frames, lengths = clips_of(self.ear, codes, self.frames)
        words = apply(logits_of, self.of_clips, frames[..., None]).argmax(-1)
        return np.where(lengths > 0, words, -1), lengths > 0, frames

    def ceilings(self, write: Writer, clips: Sequence[np.ndarray]) -> dict[str, float]:
        """The share that is right of real pictures and clips, and of those that are decoded from their own codes."""
        vocabulary, n = write.vocabulary, range(len(clips))
        real = np.stack([write.stories["picture"][i]["image"] for i in n]).astype(np.float32) / 255
        heard, _, _ = self.heard(vocabulary, write.order, [write.answer("speak", i) for i in n])
        words, listened = write.codes["words"][: len(clips)], apply(logits_of, self.of_clips, np.stack(clips))
        again = self.pictures(vocabulary, [write.answer("draw", i) for i in n])
        return {
            "pictures, real": float(self.shown(real, "draw", write).mean()),
            "pictures, from codes": float(self.shown(again, "draw", write).mean()),
            "clips, real": float((listened.argmax(-1) == words).mean()),
            "clips, from codes": float((heard == words).mean()),
        }


def centres(images: np.ndarray) -> np.ndarray:
    """Row and column (n, 2) of the middle of what is bright, in pixels.

    >>> centres(np.eye(3)[None, ..., None]).tolist()
    [[1.0, 1.0]]
    """
    ink, at = images.sum(-1), np.arange(images.shape[1])
    return np.stack([(ink.sum(2) * at).sum(1), (ink.sum(1) * at).sum(1)], -1) / ink.sum((1, 2))[:, None]


def held_out_losses(net: Frozen, parts: Mapping[str, Data], batches: int = 2) -> dict[str, float]:
    """The loss in nats a token on the first batches of each of several data."""
    found = {}
    for name, data in parts.items():
        taken = (data.take(np.arange(k * data.batch, (k + 1) * data.batch)) for k in range(batches))
        sums = [ask(_loss, net, batch) for batch in taken]
        found[name] = float(sum(total for total, _ in sums) / sum(count for _, count in sums))
    return found


def _loss(model: Any, batch: Any) -> Any:
    return causal_lm(model, batch, None)[1]["loss"]
