"""WordPiece: whole words where they are frequent, else a first piece and pieces that continue it."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int32

from stagejax.data.sources import EmptySource
from stagejax.data.tokenizers import SPECIAL, Codec, Ids, Tokenizer

UNKNOWN = SPECIAL  #: the id of a word that no pieces make
_CONTINUES = "##"


@dataclass(frozen=True)
class WordPiece(Tokenizer):
    r"""BERT's uncased vocabulary, trained on the text of the source it is used with.

    Text is put into lower case without accents, and cut at spaces and around punctuation; of a word the longest piece
    of the vocabulary that it begins with is taken, then the longest that continues it. Pieces are made of the most
    frequent pairs. Text comes back in lower case, with single spaces; a word with a character that is not in the
    vocabulary is one id `UNKNOWN`, whose text is "\ufffd".

    Args:
      vocab: number of ids: the special tokens, the unknown word, the characters, and the pieces.
      characters: of the training text, the most frequent ones, that become pieces.

    Raises:
      EmptySource: on training, the text has too few different pairs for `vocab` ids.

    References: Wu et al. 2016, https://arxiv.org/abs/1609.08144, section 4.1; Devlin et al. 2018,
    https://arxiv.org/abs/1810.04805.

    >>> from stagejax.data import Stdlib
    >>> from stagejax.data.tokenizers import codec
    >>> code = codec(WordPiece(800), Stdlib(limit=200_000))
    >>> code.decode(code.encode(["The  Return\u00e9d value,"])[0])
    'the returned value ,'
    """

    vocab: int
    characters: int = 200

    def train(self, texts: Iterator[str]) -> Codec:
        from tokenizers import Tokenizer as Model
        from tokenizers import models, pre_tokenizers, trainers

        words: collections.Counter[str] = collections.Counter()
        for text in texts:
            words.update(_words(text))
        letters: collections.Counter[str] = collections.Counter()
        for word, count in words.items():
            for letter in word:
                letters[letter] += count
        kept = sorted(sorted(letters, key=lambda letter: (-letters[letter], letter))[: self.characters])
        # Named before the training begins, single characters have the same ids in every process.
        known = ["[UNK]", *kept, *(_CONTINUES + letter for letter in kept)]
        model = Model(models.WordPiece(unk_token="[UNK]"))
        model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.vocab - SPECIAL, special_tokens=known, limit_alphabet=len(kept), show_progress=False
        )
        model.train_from_iterator(_counted(words), trainer)
        found = model.get_vocab()
        if len(found) != self.vocab - SPECIAL:
            raise EmptySource(
                f"WordPiece(vocab={self.vocab}): the training text gives {len(found) + SPECIAL} ids. Change `vocab`, "
                "or give the source more text."
            )
        return WordPieceCodec(found)


@functools.lru_cache(maxsize=1 << 11)  # small corpora are repeated
def _words(text: str) -> tuple[str, ...]:
    """The text in lower case without accents, cut at spaces and around punctuation."""
    from tokenizers import normalizers, pre_tokenizers

    plain = normalizers.BertNormalizer(lowercase=True).normalize_str(text)
    return tuple(word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(plain))


def _counted(words: collections.Counter[str]) -> Iterator[str]:
    """Every word as often as it was counted, in one order."""
    for word in sorted(words):
        for start in range(0, words[word], 1000):
            yield " ".join([word] * min(1000, words[word] - start))


class WordPieceCodec(Codec):
    """A trained WordPiece; ids of the underlying model are shifted behind the special tokens.

    Args:
      pieces: the id of every piece, from 0.
    """

    def __init__(self, pieces: dict[str, int]) -> None:
        from tokenizers import Tokenizer as Model
        from tokenizers import models, normalizers, pre_tokenizers

        self.pieces = dict(sorted(pieces.items(), key=lambda item: item[1]))
        self._model: Any = Model(models.WordPiece(self.pieces, unk_token="[UNK]", max_input_chars_per_word=100))
        self._model.normalizer = normalizers.BertNormalizer(lowercase=True)
        self._model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._texts = ["\ufffd", *list(self.pieces)[1:]]

    def encode(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        made = []
        for at in range(0, len(texts), 64):  # what the model returns for a text is much larger than its ids
            found = self._model.encode_batch_fast(list(texts[at : at + 64]), add_special_tokens=False)
            made += [np.asarray(each.ids, np.int32) + SPECIAL for each in found]
        return made

    def decode(self, ids: Ids) -> str:
        text = " ".join(self._texts[int(i) - SPECIAL] for i in ids if i >= SPECIAL)
        return text.replace(f" {_CONTINUES}", "").removeprefix(_CONTINUES)

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(list(self.pieces)).encode()).hexdigest()
