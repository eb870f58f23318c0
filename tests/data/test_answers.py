"""Answers alone are learned; prompts repeat for a round; the token-level verifier says what a reader of texts says."""

from __future__ import annotations

import numpy as np
import pytest

from stagejax.data.prompts.answers import Answers, PromptedText, answer_row
from stagejax.data.prompts.constrained import DONE, EXACTLY, NUMBER, TOTAL, Skills, contents, skills_tokenizer, verified
from stagejax.data.reasoning.problems import Problems, RightAnswer
from stagejax.data.tokenizers import CLS, SEP
from stagejax.decode import Samples

SOURCE = Skills(Problems(size=60, steps=(1, 2)))
CODE = skills_tokenizer()


def judged(records: list[dict], answers: list[str], ended: bool = True) -> np.ndarray:
    """Verdicts on texts."""
    rows = [CODE.encode([r["question"], a]) for r, a in zip(records, answers, strict=True)]
    tokens, starts, ends = np.zeros((len(rows), 1, 80), np.int32), [], []
    for row, (question, answer) in zip(tokens[:, 0], rows, strict=True):
        said = [CLS, *question, *answer, *([SEP] if ended else [])]
        row[: len(said)] = said
        starts.append(len(question) + 1)
        ends.append(len(said))
    starts, ends = (np.array(x, np.int32)[:, None] for x in (starts, ends))
    nothing = np.zeros(tokens.shape, np.float32)
    samples = Samples(tokens, starts, ends, np.full(starts.shape, int(ended), np.int32), nothing, nothing)
    batch = {name: np.array([r[name] for r in records], np.int32) for name in ("skill", "wanted")}
    return np.asarray(verified(samples, batch))[:, 0]


def by_text(record: dict, answer: str) -> float:
    """The same rules, read from the text."""
    question, words = record["question"].rpartition(" : ")[2], answer.split()
    if record["skill"] == NUMBER:
        return RightAnswer()(question, answer)
    rules = {DONE: words[-1:] == ["done"], TOTAL: words[:1] == ["total"]}
    return float(rules.get(record["skill"], words.count("=") == record["wanted"]))


def test_token_verifier_agrees_with_a_reader_of_texts() -> None:
    records = [dict(SOURCE[i]) for i in range(60)]
    assert {r["skill"] for r in records} == {NUMBER, DONE, EXACTLY, TOTAL}
    kinds = [[r["solution"] for r in records]]
    kinds.append([r["solution"] for r in records[1:] + records[:1]])  # answers of others
    kinds.append(["7 + 5 = 12 ; ans 12"] * 60)
    kinds.append([f"total : {r['solution']} done" for r in records])
    kinds.append([r["solution"].replace("ans", "=") for r in records])
    kinds.append(["ans 7 ; ans"] * 60)
    for answers in kinds:
        wanted = [by_text(r, a) for r, a in zip(records, answers, strict=True)]
        np.testing.assert_array_equal(judged(records, answers), wanted)
    assert judged(records, kinds[0]).all()
    assert not judged(records, kinds[0], ended=False).any()  # no reward without an end


def test_the_wanted_number_stands_beside_the_prompt_and_splits_share_nothing() -> None:
    data = PromptedText(
        source=SOURCE, tokenizer=CODE, batch=4, length=60, repeat=3, beside=("skill", "wanted"), seed=1
    )  # fmt: skip
    batches = [data.take(np.arange(4 * k, 4 * k + 4)) for k in range(4)]
    np.testing.assert_array_equal(batches[0]["tokens"], batches[2]["tokens"])
    assert not np.array_equal(batches[2]["tokens"], batches[3]["tokens"])
    record = SOURCE[int(data.records(np.array([0]))[0])]
    assert CODE.decode(batches[0]["tokens"][0]) == record["question"]
    assert not contents([SOURCE]) & contents([SOURCE.of_split("test")])


def test_only_the_answer_and_its_end_are_learned() -> None:
    data = Answers(source=SOURCE, tokenizer=CODE, batch=4, length=72)
    batch = data.take(np.arange(60))
    learned = {CODE.decode(row[w > 0]) for row, w in zip(batch["targets"], batch["weights"], strict=True)}
    assert learned == {SOURCE[i]["solution"] for i in range(60)}
    assert (batch["targets"][batch["weights"] > 0] == SEP).sum() == 60
    np.testing.assert_array_equal(batch["tokens"][:, 1:], batch["targets"][:, :-1])
    with pytest.raises(ValueError, match="raise `length`"):
        answer_row(np.arange(5, dtype=np.int32), np.arange(4, dtype=np.int32), 7)
