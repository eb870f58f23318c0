"""What a few examples tell without a network: a linear classifier of their words."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from stagejax.data.prompts.question_tasks import Asked
from stagejax.data.retrieval.tfidf import tf_idf
from stagejax.data.sources import Source
from stagejax.data.tokenizers import Tokenizer, codec


def bag_of_words(
    few: Asked, test: Asked, tokenizer: Tokenizer, learned_from: Source
) -> dict[str, Int[np.ndarray, " N"]]:
    """Logistic regression (C = 10) on TF-IDF of the few examples, for `run.make`.

    Returns:
      `chosen` and `wanted` (N,): numbers of names, for each test record.

    >>> from stagejax.data import Bytes, Stdlib
    >>> from stagejax.data.prompts.question_suites import drawn_questions, part_of
    >>> task = drawn_questions(200).targets[0]
    >>> made = bag_of_words(part_of(task, 0, 0.5), part_of(task, 0.5), Bytes(), Stdlib())
    >>> bool((made["chosen"] == made["wanted"]).mean() > 0.4)
    True
    """
    from sklearn.linear_model import LogisticRegression

    code, sources = codec(tokenizer, learned_from), (few, test)
    texts = [code.encode([own[i]["context"] for i in range(len(own))]) for own in sources]
    length = max(map(len, texts[0] + texts[1]))
    few_NT, test_NT = (np.stack([np.pad(ids, (0, length - len(ids))) for ids in own]) for own in texts)
    x, z = (tf_idf(rows, few_NT, tokenizer.vocab) for rows in (few_NT, test_NT))
    labels, wanted = (np.array([own.names.index(own[i]["answer"]) for i in range(len(own))]) for own in sources)
    return {"chosen": LogisticRegression(C=10.0, max_iter=500).fit(x, labels).predict(z), "wanted": wanted}
