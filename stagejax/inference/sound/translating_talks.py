"""What a text translator says of the sentences of talks, as targets for speech; and what a speech translator says of
whole talks that were cut without its sentences.

Letters: n segments, N tokens, K kept tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from stagejax.data.language.seq2seq import TextToText
from stagejax.data.sound.audio import LogMel
from stagejax.data.sound.resegmenting import ManualSegments, Segments, Transcripts
from stagejax.data.sound.segmenters import Activity, Segmenter, in_samples
from stagejax.data.sound.spoken_segments import even_frames, framed
from stagejax.data.sound.talks import Talk, Talks
from stagejax.data.tokenizers import CLS, SEP, codec
from stagejax.data.vocabulary.words import Words
from stagejax.decode.bleu import bleu
from stagejax.decode.edits import edit_distance
from stagejax.decode.realign import realigned
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, flops_of_one
from stagejax.inference.tasks.translating import Decoding, generated, said_of
from stagejax.objectives.sound.speech_translation import top_k
from stagejax.result import Result
from stagejax.stage import Batch

Arrays = dict[str, np.ndarray]


def texts_of(source: Segments, like: TextToText) -> TextToText:
    """The transcripts and translations of segments, in batches like those that a text translator is trained on."""
    return replace(like, source=Transcripts(source), count=None)


def written_rows(source: Segments, like: TextToText) -> Arrays:
    """ "tokens", "targets" and "weights" (n, N) of the translations that the segments have; for `run.make`."""
    data = texts_of(source, like)
    made = data.take_records(np.arange(data.size()))
    return {name: made[name] for name in ("tokens", "targets", "weights")}


def taught_rows(
    teacher: Result, source: Segments, like: TextToText, how: Decoding, written: int, k: int, at_once: int = 256
) -> Arrays:
    """Targets of all segments, and the teacher's likeliest tokens at each place of them; for `run.make`.

    Segments of the first `written` talks keep the translations that they have. Those of the others, of which there is a
    transcript alone, get the teacher's own: synthetic ones.

    Returns:
      "tokens", "targets", "weights" (n, N) as in `written_rows`; "top" and "top_logits" (n, N, K): the teacher's
      likeliest tokens and their logits behind each beginning of the target. In half precision.

    Reference: Tan et al. 2019, https://arxiv.org/abs/1902.10461, section 3.3; Gaido et al. 2020,
    https://arxiv.org/abs/2006.02965, section 3.

    >>> # taught = run.make("taught", taught_rows, teacher, segments, texts, Decoding(True, 4, 12), 50, 8)
    """
    net, data, code = Frozen.of(teacher), texts_of(source, like), codec(like.tokenizer, like.learned_from)
    made = data.take_records(np.arange(data.size()))
    alone = np.flatnonzero([own.talk >= written for own in source.segments()])
    for row, text in zip(alone, said_texts(net, data, alone, how, at_once), strict=True):
        target = np.append(code.encode([text])[0][: like.outputs - 1], SEP)
        for name in ("tokens", "targets", "weights"):
            made[name][row] = 0
        made["targets"][row, : len(target)], made["weights"][row, : len(target)] = target, 1
        made["tokens"][row, : len(target)] = [CLS, *target[:-1]]
    kept = []
    for rows in _filled(np.arange(data.size()), at_once):
        top, logits = ask(likeliest, net, {name: leaf[rows] for name, leaf in made.items()}, k)
        kept.append({"top": top.astype(np.int32), "top_logits": logits.astype(np.float16)})
    found = {name: np.concatenate([part[name] for part in kept])[: data.size()] for name in kept[0]}
    return {name: made[name] for name in ("tokens", "targets", "weights")} | found


def said_texts(net: Frozen, data: TextToText, rows: np.ndarray, how: Decoding, at_once: int = 256) -> list[str]:
    """What a text translator says of these records."""
    found: list[str] = []
    code = codec(data.tokenizer, data.learned_from)
    for own in _filled(rows, at_once):
        batch = data.take_records(own)
        texts, _ = generated(net, {name: batch[name] for name in ("inputs", "mask")}, code, how)
        found += [first for first, *_ in texts]
    return found[: len(rows)]


def _filled(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows in parts of one size, the last one filled up by its first row."""
    parts = [rows[at : at + size] for at in range(0, len(rows), size)]
    return [np.concatenate([own, np.repeat(own[:1], size - len(own))]) for own in parts]


def likeliest(model: Any, batch: Batch, k: int) -> tuple[Any, Any]:
    """The k likeliest tokens at each place of the given translations, and their logits."""
    return top_k(model(batch["inputs"], batch["tokens"], mask=batch["mask"]), k)


def teaching_flops(teacher: Any, like: TextToText, how: Decoding, written: int, unwritten: int, k: int) -> float:
    """FLOPs of `taught_rows` for so many segments that have a translation, and so many that have none."""
    spec = like.sample_spec()
    read = {name: spec[name] for name in ("inputs", "mask")}
    once = flops_of_one(likeliest, teacher, read | {"tokens": spec["tokens"]}, k)
    said = flops_of_one(said_of, teacher, read, how.beam, how.each, how.length, while_trips=how.length)
    return float((written + unwritten) * once + unwritten * said)


@dataclass(frozen=True)
class Listening:
    """How whole talks are translated.

    Args:
      activity: tells speech from silence.
      mel: frames of a segment.
      longest: seconds; a longer segment is cut into parts of this length.
      decoding: of each segment.
      code: of the tokens.
      at_once: segments in a batch.
    """

    activity: Activity
    mel: LogMel
    longest: float
    decoding: Decoding
    code: Words
    at_once: int = 64

    @property
    def most(self) -> int:
        """Frames of a segment."""
        return self.mel.frames(round(self.longest * self.mel.rate)) // 2 * 2

    def flops(self, translator: Any) -> float:
        """FLOPs of translating one segment, if it and its translation are as long as they may be."""
        like, how = jax.ShapeDtypeStruct, self.decoding
        spec = {"inputs": like((self.most, self.mel.bands), "float32"), "mask": like((self.most // 2,), "bool")}
        return float(flops_of_one(said_of, translator, spec, how.beam, how.each, how.length, while_trips=how.length))

    def cut(self, talk: Talk, segmenter: Segmenter | None) -> list[tuple[int, int]]:
        """The segments of a talk in samples; without a segmenter its sentences. No segmenter sees these."""
        if segmenter is None:
            pieces = [(own.begin, own.end) for own in talk.sentences]
        else:
            pieces = in_samples(segmenter(self.activity(talk.signal)), self.activity)
        most = round(self.longest * self.mel.rate)
        return [(at, min(at + most, b)) for a, b in pieces for at in range(a, b, most)]


def translated(net: Frozen, talks: Talks, segmenter: Segmenter | None, how: Listening) -> list[list[str]]:
    """The words that a speech translator says of each talk, segment by segment."""
    frames, owners = [], []
    for index in range(len(talks)):
        talk = talks.talk(index)
        for a, b in how.cut(talk, segmenter):
            frames.append(even_frames(talk.signal[a:b], how.mel, how.most))
            owners.append(index)
    texts: list[str] = []
    for rows in _filled(np.arange(len(frames)), how.at_once):
        batch = framed([frames[row] for row in rows], how.most, how.mel)
        texts += [first for first, *_ in generated(net, batch, how.code, how.decoding)[0]]
    found: list[list[str]] = [[] for _ in range(len(talks))]
    for owner, text in zip(owners, texts, strict=False):  # behind them are those that fill up the last batch
        found[owner] += text.split()
    return found


def scored(said: Sequence[Sequence[str]], talks: Talks) -> dict[str, float]:
    """BLEU and word error rate, in %, of what is said about whole talks, cut anew to their sentences (see `realigned`).

    Word errors are counted within the sentences that words are assigned to.
    """
    wanted = [[list(own.target) for own in talks.talk(i).sentences] for i in range(len(talks))]
    parts = [part for own, sentences in zip(said, wanted, strict=True) for part in realigned(own, sentences)]
    flat = [sentence for sentences in wanted for sentence in sentences]
    errors = sum(edit_distance(a, b) for a, b in zip(parts, flat, strict=True))
    return {
        "bleu": bleu([" ".join(part) for part in parts], [" ".join(sentence) for sentence in flat]),
        "errors": 100 * errors / sum(map(len, flat)),
    }


def translations(
    net: Result, talks: Talks, segmenters: Mapping[str, Segmenter | None], how: Listening
) -> dict[str, Any]:
    """Scores of a speech translator by each way to cut the talks, and what it says; for `run.make`.

    Returns:
      For each name "bleu", "errors" (see `scored`) and "said", texts of the talks.
    """
    frozen, found = Frozen.of(net), {}
    for name, segmenter in segmenters.items():
        said = translated(frozen, talks, segmenter, how)
        found[name] = scored(said, talks) | {"said": [" ".join(own) for own in said]}
    return found


def read_talks(teacher: Result, talks: Talks, like: TextToText, how: Decoding) -> dict[str, float]:
    """Scores of a text translator that reads the true transcript of every sentence; for `run.make`."""
    source = ManualSegments(talks)
    data = texts_of(source, like)
    texts = said_texts(Frozen.of(teacher), data, np.arange(data.size()), how)
    said: list[list[str]] = [[] for _ in range(len(talks))]
    for own, text in zip(source.segments(), texts, strict=True):
        said[own.talk] += text.split()
    return scored(said, talks)
