"""A teacher's replies as documents: its own words, wrong ones too, under the message that the student sees."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flax import nnx

from stagejax.data.prompts.system_messages import ANSWER_ONLY, MARKS, Family, Queries
from stagejax.data.reasoning.worked import WorkedCounts
from stagejax.data.tokenizers import CLS, SEP, codec
from stagejax.data.vocabulary.common_words import CommonWords
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.decode import Completion
from stagejax.inference.continuing import GREEDY
from stagejax.inference.frozen import Frozen
from stagejax.inference.prompts import teacher_corpus as module
from stagejax.inference.prompts.teacher_corpus import drawn_tokens, examined, teacher_corpus
from stagejax.models import llama
from stagejax.result import Result

QUERIES = Queries((Family("count", WorkedCounts()),), size=6)
WORDS = LearnedFrom(CommonWords(9, (*map(str, range(8)), *MARKS)), QUERIES)
NET = Result("teacher", "train", "", 0)  # what it says is told
CODE = codec(WORDS, QUERIES, "prompt")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A teacher that is right, but for the third query, and does not end its reply to the fifth."""
    texts = [QUERIES[i]["full"] for i in range(6)]
    texts[2] = "=> 7"

    def replies(net: Any, tokenizer: Any, queries: Queries, *how: Any) -> list[Completion]:
        ids = CODE.encode(texts)
        return [Completion(own, i != 4, 0.0, len(own) + 1) for i, own in enumerate(ids)]

    monkeypatch.setattr(module, "replies", replies)
    return texts


def test_documents_are_prompts_and_replies_of_which_replies_are_learned(said: list[str]) -> None:
    made = teacher_corpus(NET, WORDS, QUERIES, QUERIES, GREEDY, 20, 30, 0)
    assert made["query"].tolist() == [0, 1, 2, 3, 5]
    assert made["right"].tolist() == [True, True, False, True, False, True]
    assert made["ended"].tolist() == [True] * 4 + [False, True]
    for at, query in enumerate(made["query"].tolist()):
        begin, end = made["starts"][at : at + 2]
        tokens, weights = made["tokens"][begin:end], made["weights"][begin : end - 1]
        assert (tokens[0], tokens[-1]) == (CLS, SEP)
        assert CODE.decode(tokens[1:-1]) == f"{QUERIES[query]['prompt']} {said[query]}"
        learned = tokens[1:][weights > 0]
        assert CODE.decode(learned[:-1]) == said[query]
        assert learned[-1] == SEP
    assert drawn_tokens(made) == sum(len(text.split()) + 1 for text in said)


def test_the_student_sees_its_own_messages_where_the_teacher_saw_others(said: list[str]) -> None:
    short = replace(QUERIES, message=ANSWER_ONLY)
    made = teacher_corpus(NET, WORDS, QUERIES, short, GREEDY, 20, 30, 0)
    first = CODE.decode(made["tokens"][: made["starts"][1]])
    assert QUERIES[0]["prompt"] in first
    assert QUERIES[0]["prompt"] != short[0]["prompt"]


def test_an_unended_reply_is_not_right(said: list[str]) -> None:
    found = examined(NET, WORDS, QUERIES, GREEDY, 20, 30, 0)
    assert found["right"] == [1, 1, 0, 1, 0, 1]
    assert found["shown"]["count"] == [QUERIES[0]["prompt"], said[0]]
    assert found["length"] == [QUERIES[i]["length"] for i in range(6)]


def test_a_teacher_whose_replies_never_end_gives_no_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    never = [Completion(own, False, 0.0, len(own)) for own in CODE.encode([QUERIES[i]["full"] for i in range(6)])]
    monkeypatch.setattr(module, "replies", lambda *how: never)
    with pytest.raises(ValueError, match="none of 6 replies ended"):
        teacher_corpus(NET, WORDS, QUERIES, QUERIES, GREEDY, 20, 30, 0)


@pytest.mark.slow
def test_replies_are_those_of_each_query_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a batch do not see each other, and the last batch is filled up without a trace."""
    config = llama(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=16, length=32)
    _, params, rest = nnx.split(config.build(nnx.Rngs(0)), nnx.Param, ...)
    monkeypatch.setattr(Frozen, "of", lambda net: Frozen(config, nnx.to_pure_dict(params), nnx.to_pure_dict(rest)))
    monkeypatch.setattr(module, "AT_ONCE", 4)
    every, few = (module.replies(NET, WORDS, own, GREEDY, 20, 6, 0) for own in (QUERIES, replace(QUERIES, size=3)))
    assert len(every) == 6
    for one, other in zip(few, every, strict=False):
        np.testing.assert_array_equal(one.tokens, other.tokens)
