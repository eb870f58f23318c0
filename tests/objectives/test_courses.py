"""Corrupt, generate, detect: what corruptors must keep, losses against numpy, and what MCL's lessons see."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import tokenizers
from stagejax.models import bert
from stagejax.models.text.electra import Electra
from stagejax.objectives.text import corruption
from stagejax.objectives.text.corruption import NOTHING, balanced, count, insert, mask, swap
from stagejax.objectives.text.courses import Courses, corrupted, only_masked
from stagejax.objectives.text.replaced_tokens import by_course, detecting, in_turn, notebook, restoring, sampled

T, K = 16, 4  # tokens and touched places at a rate of a quarter
CLEAN = jnp.concatenate(
    [jnp.ones((6, 1), int), jax.random.randint(jax.random.key(1), (6, T - 2), 4, 30), jnp.full((6, 1), 2)], 1
)
SMALL = bert(vocab=30, layers=1, embed=8, heads=2, positions="rotary", init_std=0.3)
PAIR = Electra(SMALL, SMALL).build(nnx.Rngs(0))


def test_ids_are_those_of_the_tokenizers() -> None:
    assert (corruption.MASK, corruption.SPECIAL) == (tokenizers.MASK, tokenizers.SPECIAL)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_every_corruptor_touches_as_many_places_and_leaves_all_else(seed: int) -> None:
    key, clean = jax.random.key(seed), np.asarray(CLEAN)
    for corrupt in (mask, swap, insert):
        made = jax.tree.map(np.asarray, corrupt(key, CLEAN, 0.25))
        touched = np.zeros(clean.shape, bool)
        np.put_along_axis(touched, made.places_BK, True, 1)
        assert (touched.sum(1) == K).all()
        assert not touched[:, [0, -1]].any()  # special tokens stay
        np.testing.assert_array_equal(made.tokens_BT[~touched], made.gold_BT[~touched])
        if corrupt is mask:
            assert (made.tokens_BT[touched] == tokenizers.MASK).all()
        if corrupt is swap:
            np.testing.assert_array_equal(np.sort(made.tokens_BT, 1), np.sort(clean, 1))
            there = np.take_along_axis(made.tokens_BT, made.places_BK, 1).reshape(-1, 2)
            np.testing.assert_array_equal(there, np.take_along_axis(clean, made.places_BK, 1).reshape(-1, 2)[:, ::-1])
        if corrupt is insert:
            assert (made.gold_BT[touched] == NOTHING).all()
            for row, old, new in zip(made.gold_BT, clean, touched, strict=True):
                np.testing.assert_array_equal(row[~new], [*old[: T - K - 1], old[-1]])
        else:
            np.testing.assert_array_equal(made.gold_BT, clean)


def test_a_sample_that_is_the_original_token_counts_as_original_but_for_inserted_ones() -> None:
    key = jax.random.key(0)
    for corrupt in (mask, swap):
        made = corrupt(key, CLEAN, 0.25)
        gold = jnp.take_along_axis(CLEAN, made.places_BK, 1)
        assert not (made.filled(gold) != made.gold_BT).any()
        wrong = made.filled(gold.at[:, 0].set(99)) != made.gold_BT
        assert (wrong.sum(1) == 1).all()
    made = insert(key, CLEAN, 0.25)
    for said in (0, 5, 29):  # whatever is said there, a special token too
        altered = made.filled(jnp.full(made.places_BK.shape, said)) != made.gold_BT
        assert (altered.sum(1) == K).all()


def test_only_what_was_wrong_is_corrupted_again() -> None:
    made = mask(jax.random.key(0), CLEAN, 0.25)
    wrong = jnp.zeros(CLEAN.shape, bool).at[jnp.arange(6), made.places_BK[:, 0]].set(True)
    again = made.again(wrong)
    np.testing.assert_array_equal(again.tokens_BT == tokenizers.MASK, wrong)
    np.testing.assert_array_equal(again.tokens_BT[~wrong], CLEAN[~wrong])


@pytest.mark.slow
def test_samples_have_the_model_s_probabilities_and_pass_no_gradient() -> None:
    p = jnp.array([0.1, 0.2, 0.7])
    drawn = sampled(jax.random.key(0), jnp.broadcast_to(jnp.log(p), (50, 400, 3)))
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, p, atol=0.01)  # argmax would give 0, 0, 1

    graphdef, params = nnx.split(PAIR.generator)

    def loss(params: Any, verdicts: Any) -> Any:
        model = SimpleNamespace(generator=nnx.merge(graphdef, params), verdicts=verdicts)
        return Courses(weight=1.0)(model, {"targets": CLEAN}, jax.random.key(0))[0]

    judges = (PAIR.verdicts, lambda tokens: jnp.zeros(tokens.shape))  # the same samples, judged or not
    gradients = [jax.jit(jax.grad(lambda p, judge=judge: loss(p, judge)))(params) for judge in judges]
    blocks = [jax.tree.leaves(nnx.to_pure_dict(g)["blocks"]) for g in gradients]
    assert all(np.abs(x).max() > 0 for x in blocks[1] if x.ndim > 2)
    for with_detector, alone in zip(*blocks, strict=True):
        np.testing.assert_allclose(with_detector, alone, rtol=1e-4, atol=1e-6)


def test_losses_are_those_of_numpy_course_by_course() -> None:
    rng = np.random.default_rng(0)
    scores, altered = rng.normal(size=(6, 5)).astype(np.float32), rng.random((6, 5)) < 0.4
    weights = (rng.random((6, 5)) < 0.7).astype(np.float32)
    s = 1 / (1 + np.exp(-scores))
    losses = -(altered * np.log(s) + ~altered * np.log(1 - s)) * weights
    lost, counted = detecting(*map(jnp.asarray, (scores, altered, weights)), courses=2)
    np.testing.assert_allclose(lost, [losses[0::2].sum(), losses[1::2].sum()], rtol=1e-5)
    np.testing.assert_allclose(counted, [weights[0::2].sum(), weights[1::2].sum()])

    made = mask(jax.random.key(0), CLEAN, 0.25)
    logits = rng.normal(size=(6, K, 30)).astype(np.float32)
    gold = np.take_along_axis(np.asarray(CLEAN), np.asarray(made.places_BK), 1)
    chosen = np.take_along_axis(logits, gold[..., None], 2)[..., 0]
    expected = np.log(np.exp(logits).sum(-1)) - chosen
    said, right, places = restoring(jnp.asarray(logits), made, jnp.ones((6, K)), courses=3)
    np.testing.assert_allclose(said, [expected[c::3].sum() for c in range(3)], rtol=1e-5)
    assert int(right.sum()) == (logits.argmax(-1) == gold).sum()
    np.testing.assert_allclose(places, [2 * K] * 3)


def test_rows_of_courses_take_turns() -> None:
    made = corrupted(jax.random.key(0), CLEAN, (mask, swap), 0.25)
    assert made.tokens_BT.shape == (12, T)
    np.testing.assert_array_equal(made.gold_BT, np.repeat(CLEAN, 2, 0))
    assert (made.tokens_BT == tokenizers.MASK).sum(1).tolist() == [K, 0] * 6
    joined = in_turn(jnp.ones((3, 2, 4)), jnp.full((3, 1, 4), 2.0))
    assert by_course(joined, 3).tolist() == [12.0, 12.0, 24.0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_second_lesson_is_balanced(seed: int) -> None:
    erred = jax.random.uniform(jax.random.key(seed), (8, T)) < jnp.linspace(0, 0.9, 8)[:, None]
    chosen, wrong = np.asarray(balanced(jax.random.key(seed + 1), erred)), np.asarray(erred).sum(1)
    assert chosen[np.asarray(erred)].all()
    np.testing.assert_array_equal(chosen.sum(1), np.minimum(2 * wrong, T))


def test_the_notebook_sorts_every_token_once() -> None:
    altered = jax.random.uniform(jax.random.key(0), (6, T)) < 0.3
    verdict = jax.random.uniform(jax.random.key(1), (6, T)) < 0.5
    book = np.asarray(notebook(altered, verdict, 2))
    assert book.sum(0).tolist() == [3 * T] * 2
    assert book[2:].sum() == altered.sum()
    assert book[[1, 3]].sum() == verdict.sum()


def passes(objective: Courses) -> Any:
    """The loss and the metrics of the pair, and what its two models read, pass by pass."""
    graphdef, params = nnx.split(PAIR)

    def run(params: Any) -> Any:
        model, seen = nnx.merge(graphdef, params), {"generator": [], "detector": []}

        def hidden(tokens: Any) -> Any:
            seen["generator"].append(tokens)
            return model.generator.hidden(tokens)

        def verdicts(tokens: Any) -> Any:
            seen["detector"].append(tokens)
            return model.verdicts(tokens)

        generator = SimpleNamespace(hidden=hidden, logits=model.generator.logits)
        pair = SimpleNamespace(generator=generator, verdicts=verdicts)
        return *objective(pair, {"targets": CLEAN}, jax.random.key(3)), seen

    return jax.tree.map(np.asarray, jax.jit(run)(params))


@pytest.mark.slow
def test_what_generator_and_detector_read() -> None:
    _, metrics, seen = passes(Courses(rate=0.25))
    taught, inserted, again = seen["generator"]
    first, second = seen["detector"]
    clean, first = np.asarray(CLEAN), first.reshape(6, 3, T)
    assert [len(rows) for rows in (taught, inserted, again)] == [12, 6, 12]
    assert len(second) == 12
    assert (taught.reshape(6, 2, T)[:, 0] == tokenizers.MASK).sum() == 6 * K
    assert not (first == tokenizers.MASK).all(-1).any()  # the detector reads samples
    wrong = first[:, :2] != clean[:, None]
    np.testing.assert_array_equal(again.reshape(6, 2, T)[~wrong], np.repeat(clean[:, None], 2, 1)[~wrong])
    np.testing.assert_array_equal(again.reshape(6, 2, T)[wrong], taught.reshape(6, 2, T)[wrong])
    np.testing.assert_array_equal(second.reshape(6, 2, T)[~wrong], first[:, :2][~wrong])
    assert (second.reshape(6, 2, T)[wrong] != first[:, :2][wrong]).mean() > 0.5  # new samples, not gold and not the old
    assert (second.reshape(6, 2, T)[wrong] != np.repeat(clean[:, None], 2, 1)[wrong]).mean() > 0.5
    assert float(metrics["mask_altered"][0]) == wrong[:, 0].sum()
    assert float(metrics["insert_altered"][0]) == 6 * K


@pytest.mark.slow
def test_electra_is_the_course_of_masks_alone_and_needs_one_pass_each() -> None:
    loss, metrics, seen = passes(Courses(restored=(mask,), inserted=(), corrected=False, rate=0.25))
    assert {name: [len(x) for x in rows] for name, rows in seen.items()} == {"generator": [6], "detector": [6]}
    read, clean = seen["detector"][0], np.asarray(CLEAN)
    masked = seen["generator"][0] == tokenizers.MASK
    logits = np.asarray(PAIR.generator(jnp.asarray(seen["generator"][0])))[masked]
    gold = clean[masked]
    said = (np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(gold)), gold]).mean()
    s = 1 / (1 + np.exp(-np.asarray(PAIR.verdicts(jnp.asarray(read)))))
    judged = -np.where(read != clean, np.log(s), np.log(1 - s)).mean()
    assert float(loss) == pytest.approx(said + 50 * judged, rel=1e-5)
    assert float(metrics["mask_altered"][0]) == (read != clean).sum() < masked.sum() + 1


@pytest.mark.slow
def test_held_out_rows_are_corrupted_in_the_same_way_each_time() -> None:
    graphdef, params = nnx.split(PAIR)
    electra = Courses(restored=(mask,), inserted=(), corrected=False)

    @jax.jit
    def losses(params: Any, rows: Any) -> Any:
        model = nnx.merge(graphdef, params)
        return [electra(model, {"targets": rows}, key)[0] for key in (None, jax.random.key(5))]

    (one, drawn), (two, _) = losses(params, CLEAN), losses(params, CLEAN)
    assert float(one) == float(two) != float(drawn)


@pytest.mark.slow
def test_masked_modelling_alone_scores_masked_places_only() -> None:
    model = SimpleNamespace(encoder=PAIR.encoder)
    loss, metrics = only_masked(model, {"targets": CLEAN}, jax.random.key(0), rate=0.25)
    assert float(metrics["accuracy"][1]) == 6 * K
    assert np.isfinite(float(loss))


def test_even_counts() -> None:
    assert [count(length, 0.15) for length in (8, 64, 512)] == [2, 10, 76]
