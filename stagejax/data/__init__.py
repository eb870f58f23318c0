"""Sources, tokenizers and batches, all declared; nothing is read before the first batch is asked for.

Here is what all data are made of: sources and parts of them, tokenizers, batches, mixtures. Rooms hold the rest by what
it is about: language, tasks, prompts, reasoning, knowledge, dialogue, tables, retrieval; pictures, handwriting, video,
sound, multimodal; molecules, circuits, control; vocabulary (more tokenizers) and selection (which records, how often).

>>> data = MaskedText(source=Stdlib(), tokenizer=BPE(512), batch=16, length=64)
>>> data.spec()["tokens"]
ShapeDtypeStruct(shape=(16, 64), dtype=int32)
"""

from stagejax.data.corpus import Corpus, read_corpus
from stagejax.data.images import Images
from stagejax.data.joined import Joined, Row, for_every_record, join, join_more
from stagejax.data.mixture import Mixture
from stagejax.data.named import TFDS, Dataset, MissingDataset, read_npz
from stagejax.data.order import random_words, shuffled
from stagejax.data.pipeline import Batch, BatchIterator, Data
from stagejax.data.portion import Portion
from stagejax.data.sources import Derived, Digits, EmptySource, Source, Stdlib
from stagejax.data.text import CausalText, MaskedText, PackedText, corrupt
from stagejax.data.tokenizers import BPE, CLS, MASK, PAD, SEP, SPECIAL, Bytes, Characters, Codec, Tokenizer, codec

__all__ = [
    "BPE",
    "CLS",
    "MASK",
    "PAD",
    "SEP",
    "SPECIAL",
    "TFDS",
    "Batch",
    "BatchIterator",
    "Bytes",
    "CausalText",
    "Characters",
    "Codec",
    "Corpus",
    "Data",
    "Dataset",
    "Derived",
    "Digits",
    "EmptySource",
    "Images",
    "Joined",
    "MaskedText",
    "MissingDataset",
    "Mixture",
    "PackedText",
    "Portion",
    "Row",
    "Source",
    "Stdlib",
    "Tokenizer",
    "codec",
    "corrupt",
    "for_every_record",
    "join",
    "join_more",
    "random_words",
    "read_corpus",
    "read_npz",
    "shuffled",
]
