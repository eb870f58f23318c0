"""Self-sampling as a stage: the end behind full programs only, rows that do not grow, the same bits when killed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spine import assert_outcome, assert_same, cut_short, go, outcome

from stagejax.data.reasoning.problems import Problems
from stagejax.data.reasoning.program_problems import ProgramChains
from stagejax.data.reasoning.solution_buffer import VERDICTS
from stagejax.data.reasoning.solving import Solving
from stagejax.data.tokenizers import SEP
from stagejax.models import llama
from stagejax.objectives.text.marginal import SeveralAnswers
from stagejax.optimizer import adamw
from stagejax.stage import Stage
from stagejax.steps.self_sampling import Buffer, ReferenceStep, SelfSampling, answer_rows, references, with_flops

SOURCE = ProgramChains(Problems(size=8, steps=(2,), largest=12))
WORDS = SOURCE.tokenizer()
P, L, M = 30, 13, 3
DATA = Solving(source=SOURCE, tokenizer=WORDS, batch=4, prompt=P, program=L)
STEP = SelfSampling(WORDS, SOURCE, programs=2, samples=2)
NET = llama(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=16, length=P + L + 1)
OPTIMIZER = adamw(1e-2, decay="constant")
TOLD = Stage("told", NET, SeveralAnswers(), OPTIMIZER, DATA, steps=60, step=ReferenceStep())
FOUND = Stage(
    "found",
    {"learner": NET, "buffer": Buffer(8, M, L)},
    {"learner": SeveralAnswers(), "buffer": None},
    {"learner": OPTIMIZER, "buffer": None},
    DATA,
    steps=6,
    step=STEP,
    save_every=1,
    keep=None,
)


def ids(*texts: str) -> np.ndarray:
    rows = np.zeros((len(texts), L), np.int32)
    for row, text in zip(rows, WORDS.encode(texts), strict=True):
        row[: len(text)] = text
    return rows


def pipeline(run: Any) -> tuple[Any, ...]:
    told = run.train(TOLD)
    return told, run.train(with_flops(FOUND), {"learner": told})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("whole")
    return path, go(path, pipeline)


def test_the_end_is_behind_full_programs_only() -> None:
    batch = DATA.take(np.arange(2))
    programs = ids("answer = n0 + n1", "t0 = n0 + n1 ;", "answer = n1", "")[None].repeat(2, 0)
    full = np.array([[True, False, True, False]] * 2)
    rows = answer_rows(batch, jnp.asarray(programs), jnp.asarray(full), jnp.asarray(programs[..., 0] > 0), SEP)
    tokens, weights = np.asarray(rows["tokens"]), np.asarray(rows["weights"])
    assert tokens.shape == (2, 4, P + L + 1)
    assert rows["there"].tolist() == [[1, 1, 1, 0]] * 2
    for b, start in enumerate(batch["lengths"].tolist()):
        for k, (text, ends) in enumerate((("answer = n0 + n1", 1), ("t0 = n0 + n1 ;", 0), ("answer = n1", 1))):
            size = len(text.split()) + ends
            assert WORDS.decode(tokens[b, k, :start]) == SOURCE[int(batch["record"][b])]["question"]
            assert WORDS.decode(tokens[b, k, start : start + size]) == text
            assert (tokens[b, k] == SEP).sum() == ends
            assert np.flatnonzero(weights[b, k]).tolist() == list(range(start - 1, start - 1 + size))
        assert not weights[b, 3].any()
    (own,) = references({name: jnp.asarray(x) for name, x in batch.items()}, SEP)["tokens"][0]
    assert own[batch["lengths"][0] + (batch["reference"][0] > 0).sum()] == SEP


def test_samples_begin_at_each_partial_program_or_at_none_alike() -> None:
    rows = jnp.asarray(ids("answer = n1", "t0 = n0 + n1 ;", "t0 = n1 + n0 ;"))[None]
    full = jnp.array([[True, False, False]])
    begun = jax.vmap(lambda key: STEP.begun(rows, full, key)[0])(jax.random.split(jax.random.key(0), 900))
    counts = [int((begun == own).all(1).sum()) for own in (*rows[0], jnp.zeros(L, int))]
    assert counts[0] == 0
    assert sum(counts) == 900
    assert min(counts[1:]) > 240
    assert not replace(STEP, continued=False).begun(rows, full, jax.random.key(0)).any()


@pytest.mark.slow
def test_learned_programs_are_drawn_alike_without_repetition() -> None:
    batch = {name: jnp.asarray(x) for name, x in DATA.take(np.arange(1)).items()}
    rows, full = jnp.asarray(ids("answer = n1", "t0 = n0 + n1 ;", ""))[None], jnp.array([[True, False, False]])
    keys = jax.random.split(jax.random.key(1), 600)
    learned = jax.vmap(lambda key: STEP.learned(batch, rows, full, key)["weights"].sum(-1)[0])(keys)
    sizes = sorted([int((batch["reference"] > 0).sum()) + 1, 4, 6])
    assert np.unique(learned).tolist() == sizes
    assert (learned[:, 0] != learned[:, 1]).all()
    assert [int((learned == size).sum()) for size in sizes] == pytest.approx([400] * 3, abs=60)
    alone = STEP.learned(batch, jnp.zeros_like(rows), full, keys[0])
    assert alone["there"].tolist() == [[1, 0]]
    assert not alone["weights"][0, 1].any()


def judged(programs: list[list[str]], step: SelfSampling = STEP, rows: Any = None, full: Any = None) -> Any:
    batch = DATA.take(np.arange(1))
    rows = np.zeros((1, M, L), np.int32) if rows is None else rows
    full = np.zeros((1, M), bool) if full is None else full
    sampled = np.stack([ids(*own) for own in programs])
    return step.on_host(batch["numbers"], batch["reference"], rows, full, sampled)


def test_samples_of_one_step_are_judged_one_after_the_other() -> None:
    code = WORDS.decode(DATA.take(np.arange(1))["reference"][0])
    first, last = code.split(" ; ")
    _, _, a, sign, b = first.split()
    other = f"t1 = {a} {sign} {b}"
    rows, full, verdicts = judged([[f"{other} ; answer = t1", f"{other} ; answer = t1"]])
    assert [VERDICTS[v] for v in verdicts[0]] == ["partial", "known"]
    assert WORDS.decode(rows[0, 0]) == f"{other} ;"
    assert not full.any()
    assert not rows[0, 1:].any()
    rows, full, verdicts = judged([[f"{other} ; {last.replace('t0', 't1')}"]], rows=rows, full=full)
    assert VERDICTS[verdicts[0, 0]] == "full"
    assert WORDS.decode(rows[0, 0]) == f"{other} ; {last.replace('t0', 't1')}"
    assert full[0].tolist() == [True, False, False]


def test_places_hold_full_programs_first() -> None:
    code = WORDS.decode(DATA.take(np.arange(1))["reference"][0])
    first, last = code.split(" ; ")
    names = [f"t{k}" for k in range(1, 7)]
    partial = [first.replace("t0", name) + " ; answer = n0 / n0" for name in names]
    rows, full, verdicts = judged([partial])
    assert {VERDICTS[v] for v in verdicts[0]} == {"partial"}
    assert not full.any()
    assert (rows[0, :, 0] > 0).all()  # three of six
    rows, full, _ = judged([[f"{first.replace('t0', 't7')} ; {last.replace('t0', 't7')}"]], rows=rows, full=full)
    assert full[0].tolist() == [True, False, False]


@pytest.mark.slow
def test_a_killed_stage_goes_on_with_the_same_programs(tmp_path: Any, monkeypatch: Any, whole: Any) -> None:
    cut_short(tmp_path, monkeypatch, pipeline, 64)
    found, wanted = (outcome(path, results[:1]) for path, results in ((tmp_path, go(tmp_path, pipeline)), whole))
    assert_outcome(found, wanted)
    again = go(tmp_path, pipeline)[1]
    assert again.history == whole[1][1].history
    assert_same(again.state(), whole[1][1].state())


@pytest.mark.slow
def test_the_state_holds_what_was_found_and_the_ledger_what_was_drawn(whole: Any) -> None:
    _, (told, result) = whole
    rest, history = result.state()["buffer"].rest, result.history.train
    there = np.asarray(rest["tokens"])[..., 0] > 0
    assert there.any()  # a learner of 60 steps finds some
    shares = np.array([history[name.replace(" ", "_")] for name in VERDICTS])
    np.testing.assert_allclose(shares.sum(0), 1, rtol=1e-5)
    new = (shares[:2].sum(0) * DATA.batch * STEP.samples).sum()
    assert there.sum() <= round(float(new))
    assert result.cost.sampled_tokens == sum(history["sampled_tokens"]) > 0
    assert result.cost.flops == result.stage.step_flops(np.arange(6)).sum() > 6 * told.cost.flops / 60
    learner = result.member("learner").state()
    assert not np.array_equal(learner.params["tokens"]["table"], told.state().params["tokens"]["table"])
