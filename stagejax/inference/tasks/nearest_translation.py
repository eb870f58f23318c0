"""Translation without a network: that of the training sentence that is most alike."""

from __future__ import annotations

import numpy as np

from stagejax.data.retrieval.tfidf import tf_idf
from stagejax.data.sources import Source
from stagejax.data.tokenizers import Tokenizer, codec
from stagejax.decode import chrf


def nearest_translations(
    known: Source, asked: Source, fields: tuple[str, str], tokenizer: Tokenizer, learned_from: Source
) -> dict[str, object]:
    """`chrf` of the translations of the nearest known sentences, by the cosine of TF-IDF, and what they are: `said`.

    Args:
      known, asked: pairs; `fields` names what is translated and its translation.

    >>> from stagejax.data import Bytes
    >>> from stagejax.data.language.parallel import DrawnTranslations
    >>> pairs = DrawnTranslations(9)
    >>> nearest_translations(pairs, pairs, ("en", "de"), Bytes(), pairs)["chrf"]
    100.0
    """
    code = codec(tokenizer, learned_from)
    texts = [code.encode([own[i][fields[0]] for i in range(len(own))]) for own in (known, asked)]
    length = max(map(len, texts[0] + texts[1]))
    known_MT, asked_NT = (np.stack([np.pad(ids, (0, length - len(ids))) for ids in own]) for own in texts)
    vectors_MV, vectors_NV = (tf_idf(rows, known_MT, tokenizer.vocab) for rows in (known_MT, asked_NT))
    nearest_N = (vectors_NV @ vectors_MV.T).argmax(1)
    said = [known[int(at)][fields[1]] for at in nearest_N]
    return {"chrf": chrf(said, [asked[i][fields[1]] for i in range(len(asked))]), "said": said}
