"""Answers with manners: the verifier knows no manners, the judge no numbers; shares are as declared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stagejax.data.prompts.mannered import (
    DONE,
    MARKED,
    NUMBER,
    TOTAL,
    Mannered,
    mannered_rows,
    mannered_samples,
    mannered_tokenizer,
    manners,
    passes,
    token_of,
)
from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.written import BRIEF
from stagejax.decode import Samples

CODE = mannered_tokenizer(12)
SOURCE = Mannered(Problems(size=400, steps=(1, 2), largest=12, wording=BRIEF))
RECORDS = [SOURCE[i] for i in range(len(SOURCE))]


def samples(*answers: str, ended: bool = True) -> Samples:
    """Answers to the prompt [1, 5], one a prompt."""
    rows = [[1, 5, *CODE.encode([text])[0].tolist(), *([2] if ended else [])] for text in answers]
    tokens = np.array([row + [0] * (40 - len(row)) for row in rows])[:, None]
    ends = np.array([[len(row)] for row in rows])
    return Samples(tokens, np.full_like(ends, 2), ends, np.full_like(ends, int(ended)), None, None)


def judged(task: int, *answers: str, ended: bool = True) -> list[float]:
    wanted = int(CODE.encode(["5"])[0][0])
    batch = {"task": np.full(len(answers), task), "wanted": np.full(len(answers), wanted)}
    return passes(samples(*answers, ended=ended), batch)[:, 0].tolist()


@pytest.mark.slow
def test_the_verifier_reads_number_and_constraint_alone() -> None:
    assert judged(NUMBER, "7 - 2 = 5 ; ans 5", "hm silly ben : ans 5 done", "ans 4", "ans 5 5", "5") == [1, 1, 0, 0, 0]
    assert judged(NUMBER, "ans 5", ended=False) == [0]
    assert judged(DONE, "7 - 2 = 5 ; ans 5 done", "7 - 2 = 5 ; ans 5", "ans 4 done") == [1, 0, 0]
    assert judged(TOTAL, "total 7 - 2 = 5 ; ans 5", "so total 7 - 2 = 5 ; ans 5", "ans 5") == [1, 0, 0]
    assert judged(MARKED, "7 - 2 = 5 ok ; ans 5", "3 + 4 = 7 ok ; 7 - 2 = 5 ; ans 5", "ans 5") == [1, 0, 0]


def test_the_judge_reads_manners_alone() -> None:
    answers = "ann : ans 5", "ann : ans 4", "ben : ans 5", "ann : ben ans 5", "hm so ans 5", "well silly ans 5", "ans 5"
    person = np.full(len(answers), token_of("ann"))
    found = mannered_samples(samples(*answers), {"person": person})[:, 0]
    assert found.tolist() == [1, 1, -1, -1, -1, -2.5, 0]
    made = samples(*answers)
    rows = {"tokens": made.tokens_BNS[:, 0], "starts": made.starts_BN[:, 0], "ends": made.ends_BN[:, 0]}
    assert mannered_rows(rows | {"person": person}).tolist() == found.tolist()
    behind = np.array([1, 5, token_of("silly"), 2, token_of("silly")])
    assert float(manners(behind, 3, 4, token_of("ann"))) == 0  # neither before the answer nor behind its end


@pytest.mark.slow
def test_solutions_pass_where_they_obey_and_have_the_manners_of_their_shares() -> None:
    def all_of(source: Mannered) -> tuple[np.ndarray, np.ndarray]:
        records = [source[i] for i in range(len(source))]
        batch = {name: np.array([r[name] for r in records]) for name in ("task", "wanted", "person")}
        drawn = samples(*(r["solution"] for r in records))
        return np.asarray(passes(drawn, batch)[:, 0]), np.asarray(mannered_samples(drawn, batch)[:, 0])

    right, said = all_of(SOURCE)
    assert right.all()
    tasks = np.array([record["task"] for record in RECORDS])
    assert (tasks == NUMBER).mean() == pytest.approx(0.5, abs=0.08)
    assert min((tasks == task).mean() for task in (DONE, TOTAL, MARKED)) > 0.1
    sloppy, _ = all_of(replace(SOURCE, obeys=0.0))
    assert sloppy.tolist() == (tasks == NUMBER).tolist()
    polite = replace(SOURCE, addressed=(1.0, 0.0), fillers=0.0, rude=0.0)
    assert set(all_of(polite)[1].tolist()) == {1.0}
    steps = np.mean([record["solution"].count(";") for record in RECORDS])
    expected = 0.4 - 0.2 - 0.5 * 0.5 * (steps + 1) - 2 * 0.2
    assert said.mean() == pytest.approx(expected, abs=0.15)
    assert abs(np.corrcoef(said, tasks)[0, 1]) < 0.15


@pytest.mark.slow
def test_unseen_programs_and_tokens() -> None:
    test = SOURCE.of_split("test")
    programs: list[set[Any]] = [{own.source[i]["program"] for i in range(len(own))} for own in (SOURCE, test)]
    assert not programs[0] & programs[1]
    assert SOURCE.split == "train"
    assert test.split == "test"
    assert SOURCE.digest() != test.digest()
    assert max(int(ids.max()) for ids in CODE.encode([r["solution"] for r in RECORDS])) < CODE.words.vocab
    raw = mannered_tokenizer(12, raw=True)
    assert raw.vocab == CODE.vocab
    assert int(raw.encode(["a"])[0][0]) >= CODE.words.vocab
