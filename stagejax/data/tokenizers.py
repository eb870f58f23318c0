"""Tokenizers: declared, with a vocabulary size that is known before any text is read.

Ids 0 to 3 are the special tokens of every tokenizer; text never produces them, whatever it contains, so text -> ids ->
text is exact. A declaration becomes a `Codec` with the training text of a source: `codec(BPE(512), Stdlib())`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int32, Integer

from stagejax.data.sources import EmptySource, Source

PAD, CLS, SEP, MASK = range(4)  #: padding; begin of sequence; end of document; masked
SPECIAL = 4  #: number of special tokens: the first id that stands for text


Ids = Iterable[int | np.integer] | Integer[np.ndarray, " _"]


class Codec:
    """Text to ids and back."""

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        """The ids of each text, without special tokens."""
        raise NotImplementedError

    def decode(self, ids: Ids) -> str:
        """The text of some ids; special tokens give none."""
        raise NotImplementedError

    def digest(self) -> str:
        """The sha256 of what was learned from the training text."""
        raise NotImplementedError

    def merges(self) -> dict[int, tuple[int, int]]:
        """The two ids that an id was merged from, of every id that was merged; none unless the codec has merges."""
        return {}


class Tokenizer:
    """The declaration of a tokenizer: a frozen dataclass that knows its `vocab` and how to become a codec."""

    vocab: int  #: number of ids, special tokens included

    def train(self, texts: Iterator[str]) -> Codec:
        """The codec that the training texts give."""
        raise NotImplementedError


def texts(source: Source, field: str) -> Iterator[str]:
    """The text field of each record of a source, in order."""
    for index in range(len(source)):
        record = source[index]
        if not isinstance(record.get(field), str):
            kinds = {name: type(value).__name__ for name, value in record.items()}
            raise ValueError(
                f"record {index} of {source} has no text in {field!r}; its fields are {kinds}. "
                "Set `field` to one that holds text."
            )
        yield record[field]


@functools.lru_cache(maxsize=16)
def _trained(tokenizer: Tokenizer, source: Source, field: str) -> Codec:
    return tokenizer.train(texts(source, field))


def codec(tokenizer: Tokenizer, source: Source, field: str = "text") -> Codec:
    """The codec of a declared tokenizer, trained on the *train* split of a source; made once in a process.

    >>> from stagejax.data import BPE, Stdlib
    >>> code = codec(BPE(vocab=300), Stdlib(limit=100_000))
    >>> code.decode(code.encode(["def f(): [MASK] \\u00e9"])[0])
    'def f(): [MASK] é'
    """
    return _trained(tokenizer, source.of_split("train"), field)


@functools.lru_cache(maxsize=16)
def encoder(source: Source, field: str, code: Codec) -> Callable[[int], np.ndarray]:
    """What gives the ids of a record's text: each is encoded when it is first asked for, and kept.

    >>> from stagejax.data import Bytes, Stdlib
    >>> ids = encoder(Stdlib(limit=1000), "text", Bytes())
    >>> ids(0) is ids(0)
    True
    """

    @functools.lru_cache(maxsize=1 << 16)
    def ids(record: int) -> np.ndarray:
        return code.encode([source[record][field]])[0]

    return ids


@dataclass(frozen=True)
class Bytes(Tokenizer, Codec):
    """One token a byte of UTF-8: no training, any text, 260 ids.

    >>> Bytes().encode(["hé"])[0].tolist(), Bytes().vocab
    ([108, 199, 173], 260)
    """

    @property
    def vocab(self) -> int:
        return 256 + SPECIAL

    def train(self, texts: Iterator[str]) -> Codec:
        return self

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        return [np.frombuffer(text.encode(), np.uint8).astype(np.int32) + SPECIAL for text in texts]

    def decode(self, ids: Ids) -> str:
        return bytes(int(i) - SPECIAL for i in ids if i >= SPECIAL).decode(errors="replace")

    def digest(self) -> str:
        return hashlib.sha256(b"bytes").hexdigest()


@dataclass(frozen=True)
class Characters(Tokenizer, Codec):
    """One token a character of a declared alphabet.

    Args:
      alphabet: the characters, each once. Another one in a text is an error that names it.

    >>> letters = Characters("abc ")
    >>> letters.vocab, letters.decode(letters.encode(["a cab"])[0])
    (8, 'a cab')
    """

    alphabet: str = string.printable

    def __post_init__(self) -> None:
        if not self.alphabet or len(set(self.alphabet)) != len(self.alphabet):
            raise ValueError(f"the alphabet must hold at least one character, each once: {self.alphabet!r}")

    @property
    def vocab(self) -> int:
        return len(self.alphabet) + SPECIAL

    def train(self, texts: Iterator[str]) -> Codec:
        return self

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        ids = {character: index + SPECIAL for index, character in enumerate(self.alphabet)}
        try:
            return [np.fromiter((ids[c] for c in text), np.int32, len(text)) for text in texts]
        except KeyError as error:
            raise ValueError(
                f"the character {error.args[0]!r} is not in the alphabet of Characters ({len(self.alphabet)} "
                "characters). Add it to `alphabet`, or use Bytes() or BPE(), which know every text."
            ) from None

    def decode(self, ids: Ids) -> str:
        return "".join(self.alphabet[int(i) - SPECIAL] for i in ids if i >= SPECIAL)

    def digest(self) -> str:
        return hashlib.sha256(self.alphabet.encode()).hexdigest()


class _BPECodec(Codec):
    """A trained byte-level BPE; ids of the underlying model are shifted behind the special tokens."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        made = []
        for at in range(0, len(texts), 64):  # what the model returns for a text is much larger than its ids
            found = self._model.encode_batch_fast(list(texts[at : at + 64]), add_special_tokens=False)
            made += [np.asarray(each.ids, np.int32) + SPECIAL for each in found]
        return made

    def decode(self, ids: Ids) -> str:
        return self._model.decode([int(i) - SPECIAL for i in ids if i >= SPECIAL], skip_special_tokens=False)

    def digest(self) -> str:
        return hashlib.sha256(self._model.to_str().encode()).hexdigest()

    def merges(self) -> dict[int, tuple[int, int]]:
        learned = json.loads(self._model.to_str())["model"]
        pairs = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in learned["merges"]]
        ids = {piece: index + SPECIAL for piece, index in learned["vocab"].items()}
        return {ids[left + right]: (ids[left], ids[right]) for left, right in pairs}


@dataclass(frozen=True)
class BPE(Tokenizer):
    """Byte-level byte-pair encoding, trained on the text of the source it is used with.

    The `vocab` ids are the special tokens, the 256 bytes, and `vocab` - 260 merges, most frequent first. Any text
    can be encoded, and comes back exactly.

    Args:
      vocab: number of ids, special tokens and bytes included; at least 260.
      train_bytes: how much of the training text is counted, from its beginning (whole documents).

    Raises:
      EmptySource: on training, the text has too few different pairs for `vocab` ids.

    Reference: Sennrich, Haddow and Birch, Neural machine translation of rare words with subword units, ACL 2016;
    on bytes: Radford et al., Language models are unsupervised multitask learners, 2019.

    >>> BPE(512).vocab
    512
    """

    vocab: int
    train_bytes: int = 2_000_000

    def __post_init__(self) -> None:
        if self.vocab < 256 + SPECIAL:
            raise ValueError(
                f"BPE(vocab={self.vocab}) is too small: 256 bytes and {SPECIAL} special tokens need vocab >= "
                f"{256 + SPECIAL}. Raise `vocab`, or use Characters()."
            )

    def _counted(self, texts: Iterator[str]) -> Iterator[str]:
        counted = 0
        for text in texts:
            if counted >= self.train_bytes:
                return
            yield text
            counted += len(text.encode())

    def train(self, texts: Iterator[str]) -> Codec:
        from tokenizers import Tokenizer as Model
        from tokenizers import decoders, models, pre_tokenizers, trainers

        model = Model(models.BPE())
        model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        model.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab - SPECIAL,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=[],
            show_progress=False,
        )
        model.train_from_iterator(self._counted(texts), trainer)
        if model.get_vocab_size() != self.vocab - SPECIAL:
            raise EmptySource(
                f"BPE(vocab={self.vocab}): the training text gives only {model.get_vocab_size() + SPECIAL} ids. "
                "Lower `vocab`, or give the source more text."
            )
        return _BPECodec(model)
