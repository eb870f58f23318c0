"""Sampling: its log-probabilities, its randomness, its stops and masks, and one program for all of it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.decode import CausalModel, Recomputed, completions, padded_prompts, restricted, sample, unrepeated
from stagejax.models import gpt, llama

S, V, STOPS = 10, 12, ((3,), (5, 6))
MODEL = gpt(layers=2, embed=16, heads=2, mlp=32, vocab=V, length=S, init_std=0.5).build(nnx.Rngs(0))
GRAPH, PARAMS, REST = nnx.split(MODEL, nnx.Param, ...)
PROMPTS = padded_prompts([[1, 2, 4, 7], [8], [9, 1, 2]], 4)
ANY = jnp.ones((1, 1, V), bool)
TRACES = []


@jax.jit
def draw(params, prompts, key, limit, temperature, top_k, top_p, allowed):
    TRACES.append(limit)
    how = {"limit": limit, "temperature": temperature, "top_k": top_k, "top_p": top_p, "allowed": allowed}
    return sample(nnx.merge(GRAPH, params, REST), prompts, key, length=S, n=2, stops=STOPS, **how)


def drawn(prompts=PROMPTS, seed=0, limit=S, temperature=1.0, top_k=V, top_p=1.0, allowed=ANY):
    allowed = jnp.broadcast_to(allowed, (3, S, V))
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.arange(3))
    numbers = (jnp.int32(limit), jnp.float32(temperature), jnp.int32(top_k), jnp.float32(top_p))
    return jax.tree.map(np.asarray, draw(PARAMS, prompts, keys, *numbers, allowed))


@pytest.fixture(scope="module")
def plain():
    return drawn()


@jax.jit
def logits_of(tokens):
    return nnx.merge(GRAPH, PARAMS, REST)(tokens)


def test_logprobs_are_those_of_the_whole_sequence_at_once(plain) -> None:
    tokens = plain.tokens_BNS.reshape(-1, S)
    logp = jax.nn.log_softmax(logits_of(tokens))[:, :-1]
    forced = np.take_along_axis(np.asarray(logp), tokens[:, 1:, None], -1)[..., 0].reshape(3, 2, S - 1)
    where = plain.drawn_BNS[..., 1:]
    assert where.sum() == (plain.ends_BN - plain.starts_BN).sum() > 12
    np.testing.assert_allclose(plain.logprobs_BNS[..., 1:][where], forced[where], atol=1e-5)
    np.testing.assert_allclose(plain.drawn_logprobs_BNS, plain.logprobs_BNS, atol=1e-5)
    assert not plain.logprobs_BNS[~plain.drawn_BNS].any()
    assert not plain.tokens_BNS[np.arange(S) >= plain.ends_BN[..., None]].any()


def test_greedy_is_the_argmax_of_the_uncached_model() -> None:
    found = drawn(temperature=0.0)
    for row, prompt in enumerate([[1, 2, 4, 7], [8], [9, 1, 2]]):
        tokens = list(prompt)
        while len(tokens) < S and not any(tuple(tokens[len(prompt) :][-len(s) :]) == s for s in STOPS):
            padded = np.pad(tokens, (0, S - len(tokens)))[None]
            tokens.append(int(logits_of(np.tile(padded, (6, 1)))[0, len(tokens) - 1].argmax()))
        for n in range(2):
            assert found.tokens_BNS[row, n, : found.ends_BN[row, n]].tolist() == tokens
    assert not found.drawn_logprobs_BNS.any()  # the token is certain
    assert found.logprobs_BNS[found.drawn_BNS].max() < 0  # the model is not


def test_the_same_key_gives_the_same_samples_and_another_others(plain) -> None:
    jax.tree.map(np.testing.assert_array_equal, plain, drawn())
    assert not np.array_equal(drawn(seed=1).tokens_BNS, plain.tokens_BNS)
    assert not np.array_equal(plain.tokens_BNS[:, 0], plain.tokens_BNS[:, 1])


def test_a_row_does_not_depend_on_the_others_nor_on_its_padding(plain) -> None:
    others = drawn(padded_prompts([[1, 2, 4, 7], [2, 2, 2, 2], [5, 9]], 4))
    np.testing.assert_array_equal(others.tokens_BNS[0], plain.tokens_BNS[0])
    np.testing.assert_allclose(others.logprobs_BNS[0], plain.logprobs_BNS[0], atol=1e-6)
    dirty = padded_prompts([[1, 2, 4, 7], [8], [9, 1, 2]], 4)
    dirty.tokens_BP[1, 1:] = 11
    jax.tree.map(np.testing.assert_array_equal, drawn(dirty), plain)


def test_the_limit_cuts_what_would_have_come(plain) -> None:
    short = drawn(limit=2)
    np.testing.assert_array_equal(short.ends_BN, np.minimum(plain.ends_BN, short.starts_BN + 2))
    np.testing.assert_array_equal(short.tokens_BNS[0, :, :6], plain.tokens_BNS[0, :, :6])
    assert not drawn(limit=0).drawn_BNS.any()


def test_stop_strings_stop_behind_the_prompt_only() -> None:
    found = drawn(padded_prompts([[3], [5, 6], [1, 5]], 4), allowed=jnp.isin(jnp.arange(V), jnp.array([3, 5, 6])))
    assert (found.ends_BN > found.starts_BN).all()  # what stands in the prompt stops nothing
    for tokens, start, end, size in zip(
        *(x.reshape(6, -1) for x in (found.tokens_BNS, found.starts_BN, found.ends_BN, found.stop_sizes_BN)),
        strict=True,
    ):
        new = tokens[start[0] : end[0]].tolist()
        first = min(i + len(s) for s in STOPS for i in range(S) if tuple(new[i : i + len(s)]) == s)
        assert len(new) == first
        assert tuple(new[-size[0] :]) in STOPS
    for each in (each for group in completions(found) for each in group):
        assert each.stopped
        assert each.sampled - len(each.tokens) in (1, 2)


def test_forced_and_forbidden_tokens(plain) -> None:
    steps = np.ones((3, S, V), bool)
    steps[:, :2] = False
    steps[0, 0, 4] = steps[1, 0, 5] = steps[2, 0, 0] = steps[:, 1, 7] = True
    steps[:, 2:, 8:] = False
    found = drawn(allowed=steps, temperature=2.0)
    for row, first in enumerate((4, 5, 0)):
        start = found.starts_BN[row, 0]
        assert (found.tokens_BNS[row, :, start] == first).all()
        assert (found.tokens_BNS[row, :, start + 1] == 7).all()
        assert not found.drawn_logprobs_BNS[row, :, start : start + 2].any()  # forced: certain
        assert (found.logprobs_BNS[row, :, start : start + 2] < 0).all()
        assert (found.tokens_BNS[row, :, start + 2 :] < 8).all()


def test_cuts_hold_in_every_step() -> None:
    found = drawn(top_k=2, temperature=3.0)
    logits = np.asarray(logits_of(found.tokens_BNS.reshape(-1, S))).reshape(3, 2, S, V)
    for at in zip(*np.nonzero(found.drawn_BNS), strict=True):
        before = (*at[:2], at[2] - 1)
        assert found.tokens_BNS[at] in np.argsort(-logits[before])[:2]
    np.testing.assert_array_equal(drawn(top_p=1e-6).tokens_BNS, drawn(temperature=0.0).tokens_BNS)


def test_all_of_this_was_one_program() -> None:
    drawn(padded_prompts([[1], [2], [4]], 4), limit=3)
    assert len(TRACES) == 1


def test_the_loop_ends_when_every_row_has() -> None:
    steps = []

    def counting(tokens, _):
        jax.debug.callback(lambda: steps.append(1))
        return 50 * jax.nn.one_hot(tokens + 1, 9)

    found = sample(Recomputed(counting), padded_prompts([[1, 2], [4]], 2), jax.random.key(0), length=60, stops=((6,),))
    jax.effects_barrier()
    assert found.ends_BN[:, 0].tolist() == [6, 3]
    assert len(steps) <= 1 + 4  # the prompts, and tokens 3, 4, 5, 6


def test_a_recomputed_model_says_the_same_and_carries_what_belongs_to_its_rows(plain) -> None:
    assert isinstance(MODEL, CausalModel)
    assert isinstance(Recomputed(len), CausalModel)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(3))
    slow = Recomputed(lambda tokens, _: nnx.merge(GRAPH, PARAMS, REST)(tokens))
    found = jax.jit(partial(sample, slow, length=S, n=2, stops=STOPS))(PROMPTS, keys)
    np.testing.assert_array_equal(found.tokens_BNS, plain.tokens_BNS)
    np.testing.assert_allclose(found.logprobs_BNS, plain.logprobs_BNS, atol=1e-5)
    own = Recomputed(
        lambda tokens, row: jax.nn.one_hot(jnp.broadcast_to(row[:, None], tokens.shape), V) * 99, jnp.array([4, 7])
    )
    said = sample(own, padded_prompts([[1], [1]], 1), keys[:2], length=3, n=2)
    assert said.tokens_BNS[:, :, 1:].tolist() == [[[4, 4]] * 2, [[7, 7]] * 2]


def test_rotary_positions_begin_at_each_row_s_own_place() -> None:
    model = llama(layers=1, embed=16, heads=2, kv_heads=1, mlp=32, vocab=V, length=S, init_std=0.5).build(nnx.Rngs(1))
    greedy = jax.jit(partial(sample, model, length=6, temperature=0.0))
    found, alone = (greedy(p, jax.random.key(0)) for p in (PROMPTS, padded_prompts([[8], [8], [8]], 4)))
    np.testing.assert_array_equal(found.tokens_BNS[1], alone.tokens_BNS[0])
    logits = jax.jit(lambda tokens: model(tokens))(found.tokens_BNS[:, 0])
    np.testing.assert_array_equal(found.tokens_BNS[1, 0, 1:], logits[1, :-1].argmax(-1))


def test_restricted_is_the_textbook_s() -> None:
    logits = np.random.default_rng(0).normal(size=(40, V)).astype(np.float32) * 2
    found = np.exp(restricted(jnp.asarray(logits), 0.7, 5, 0.8))
    for row, own in zip(np.exp(logits / 0.7), found, strict=True):
        order = np.argsort(-row)[:5]
        p = row[order] / row[order].sum()
        kept = order[: 1 + int(np.searchsorted(np.cumsum(p), 0.8))]
        expected = np.zeros(V)
        expected[kept] = row[kept] / row[kept].sum()
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-6)


def test_the_penalty_of_repetition_is_the_textbook_s_and_counts_prompt_and_answer() -> None:
    logits = np.random.default_rng(1).normal(size=(5, V)).astype(np.float32)
    seen, penalty = np.arange(V) % 3 == np.arange(5)[:, None] % 3, np.float32([1, 1.15, 1.5, 2, 3])[:, None]
    expected = np.where(seen, np.where(logits > 0, logits / penalty, logits * penalty), logits)
    np.testing.assert_allclose(
        unrepeated(jnp.asarray(logits), jnp.asarray(seen), jnp.asarray(penalty[:, 0])), expected, rtol=1e-6
    )
    assert (np.argsort(expected[0]) == np.argsort(logits[0])).all()
    table = jnp.array([0.0, 9.0, 8.0, 7.0, -1.0])  # the row has 1, then 2: each is halved once, however often it comes
    model = Recomputed(lambda tokens, _: jnp.broadcast_to(table, (*tokens.shape, 5)))
    greedy = partial(sample, model, padded_prompts([[1]], 1), jax.random.key(0), length=6, temperature=0.0)
    assert greedy(repetition=2.0).tokens_BNS[0, 0].tolist() == [1, 2, 3, 1, 1, 1]
    assert greedy(repetition=1.0).tokens_BNS[0, 0].tolist() == greedy().tokens_BNS[0, 0].tolist() == [1] * 6


def test_frequencies_are_the_probabilities() -> None:
    table = jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))
    model = Recomputed(lambda tokens, _: jnp.broadcast_to(table, (*tokens.shape, 4)))
    found = sample(model, padded_prompts([[1]], 1), jax.random.key(0), length=2, n=4000, temperature=2.0)
    expected = np.exp(table / 2) / np.exp(table / 2).sum()
    shares = np.bincount(np.asarray(found.tokens_BNS[0, :, 1]), minlength=4) / 4000
    assert np.abs(shares - expected).max() < 4 * 0.5 / 4000**0.5


def test_what_cannot_be_is_refused() -> None:
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"length=3 .* have 4"):
        sample(MODEL, PROMPTS, key, length=3)
    with pytest.raises(ValueError, match="empty stop string"):
        sample(MODEL, PROMPTS, key, length=S, stops=((),))
    with pytest.raises(ValueError, match="must broadcast"):
        sample(MODEL, PROMPTS, key, length=S, allowed=jnp.ones((2, 1, V), bool))
    with pytest.raises(ValueError, match="prompt 1 has 0 tokens"):
        padded_prompts([[1], []], 3)
