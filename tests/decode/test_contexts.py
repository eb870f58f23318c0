"""Decoding behind a prefix, by an encoder-decoder, and from several contexts: cached is uncached, in every search."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.decode import CausalModel, Prompts, Recomputed, beam_search, padded_prompts, sample
from stagejax.decode.contexts import InContexts
from stagejax.models import llama
from stagejax.models.t5 import T5
from stagejax.models.text.reading import Read

S, V, STOPS = 9, 11, ((3,),)
DECODER = llama(layers=2, embed=16, heads=2, kv_heads=1, mlp=32, vocab=V, length=S, init_std=0.5).build(nnx.Rngs(0))
ROWS = padded_prompts([[1, 2, 4, 7], [8, 5], [9]], 4)
PROMPTS = Prompts(ROWS.tokens_BP, ROWS.lengths_B, np.array([3, 2, 0], np.int32))  # a part, the whole, nothing

NET = T5(vocab=V, embed=16, encoder_layers=1, decoder_layers=2, heads=2, head_dim=8, mlp=32, buckets=8, distance=12)
BOTH = NET.build(nnx.Rngs(1))
INPUTS = np.random.default_rng(0).integers(1, V, (3, 6)).astype(np.int32)
MASK = np.arange(6) < np.array([6, 3, 1])[:, None]
STARTS = padded_prompts([[1], [1, 2], [1, 5, 6]], 3)  # a decoder's own prompts may be longer than their first token


def reading(inputs=INPUTS, mask=MASK):
    return Read(BOTH, jnp.asarray(inputs), jnp.asarray(mask))


@jax.jit
def forced_by_decoder(tokens_BNS):
    seen = (jnp.arange(S) < PROMPTS.prefixes_B[:, None]).repeat(tokens_BNS.shape[1], 0)
    return jax.nn.log_softmax(DECODER(tokens_BNS.reshape(-1, S), prefix=seen))


@jax.jit
def forced_by_both(tokens_BNS, inputs=INPUTS):
    inputs, mask = (jnp.asarray(x).repeat(tokens_BNS.shape[1], 0) for x in (inputs, MASK))
    return jax.nn.log_softmax(BOTH(inputs, tokens_BNS.reshape(-1, S), mask=mask))


OTHERS = np.random.default_rng(1).integers(1, V, (3, 6)).astype(np.int32)
SCORES = np.array([[0.0, 0.5], [2.0, 0.0], [0.0, -9.0]], np.float32)


def in_contexts():
    """Each row has two contexts, one after the other."""
    inputs = np.stack([INPUTS, OTHERS], axis=1).reshape(6, 6)
    return InContexts(reading(inputs, MASK.repeat(2, 0)), SCORES)


@jax.jit
def forced_in_contexts(tokens_BNS):
    each = [forced(tokens_BNS) for forced in (partial(forced_by_both, inputs=i) for i in (INPUTS, OTHERS))]
    weights = jax.nn.softmax(jnp.asarray(SCORES)).repeat(tokens_BNS.shape[1], 0)
    return jnp.log(sum(weights[:, k, None, None] * jnp.exp(logp) for k, logp in enumerate(each)))


CASES = {
    "prefix": (lambda: DECODER, PROMPTS, forced_by_decoder),
    "encoder": (reading, STARTS, forced_by_both),
    "contexts": (in_contexts, STARTS, forced_in_contexts),
}
cases = pytest.mark.parametrize(("model", "prompts", "forced"), CASES.values(), ids=CASES)


def of_tokens(forced, tokens):
    """The log-probability of each token given those before it; 0 of the first."""
    logp = np.asarray(forced(tokens)).reshape(*tokens.shape, V)[..., :-1, :]
    return np.pad(np.take_along_axis(logp, np.asarray(tokens)[..., 1:, None], -1)[..., 0], [(0, 0), (0, 0), (1, 0)])


@pytest.mark.slow
@cases
def test_drawn_log_probabilities_are_those_of_the_whole_row_at_once(model, prompts, forced) -> None:
    found = jax.jit(lambda key: sample(model(), prompts, key, length=S, n=3, stops=STOPS))(jax.random.key(0))
    assert found.drawn_BNS.sum() > 20
    assert len({tuple(row) for row in found.tokens_BNS[0].tolist()}) > 1
    expected = np.where(found.drawn_BNS, of_tokens(forced, found.tokens_BNS), 0)
    np.testing.assert_allclose(found.logprobs_BNS, expected, atol=1e-5)


@cases
def test_greedy_decoding_says_what_the_uncached_model_says(model, prompts, forced) -> None:
    found = jax.jit(lambda key: sample(model(), prompts, key, length=S, temperature=0.0))(jax.random.key(0))
    likeliest = np.asarray(forced(found.tokens_BNS)).reshape(3, S, V).argmax(-1)
    for row, start in enumerate(prompts.lengths_B):
        assert found.tokens_BNS[row, 0, start:].tolist() == likeliest[row, start - 1 : -1].tolist()


@pytest.mark.slow
@cases
def test_beams_have_true_scores_and_enough_of_them_find_the_best_of_all(model, prompts, forced) -> None:
    few = np.arange(V) < 4  # tokens, so that all sequences of three can be listed
    find = lambda k: partial(beam_search, model(), prompts, length=S, beams=k, stops=STOPS, limit=3, allowed=few)  # noqa: E731
    found = jax.jit(lambda: find(40)())()
    grid = np.array(list(itertools.product(range(4), repeat=3)))
    tokens = np.zeros((3, len(grid), S), np.int32)
    for row, start in enumerate(prompts.lengths_B):
        tokens[row, :, :start], tokens[row, :, start : start + 3] = prompts.tokens_BP[row, :start], grid
    logp = of_tokens(forced, tokens)
    for row, start in enumerate(prompts.lengths_B):
        ends = [next((i + 1 for i, token in enumerate(y) if token == 3), 3) for y in grid]
        known = {
            tuple(y[:e]): logp[row, k, start : start + e].sum() for k, (y, e) in enumerate(zip(grid, ends, strict=True))
        }
        best = sorted(known.items(), key=lambda pair: -pair[1])
        for k in range(5):
            assert tuple(found.tokens_BKS[row, k, start : found.ends_BK[row, k]].tolist()) == best[k][0]
            assert found.logprobs_BK[row, k] == pytest.approx(best[k][1], abs=1e-5)


def test_a_prefix_is_read_in_both_directions_by_the_cache() -> None:
    seen = jnp.arange(4) < PROMPTS.prefixes_B[:, None]
    step = jax.jit(lambda prefix: DECODER.step(jnp.asarray(ROWS.tokens_BP), DECODER.init_cache(3, S), prefix=prefix)[0])
    whole = jax.jit(lambda: DECODER(jnp.asarray(ROWS.tokens_BP), prefix=seen))()
    np.testing.assert_allclose(step(seen), whole, atol=1e-5)
    assert np.abs(step(jnp.zeros_like(seen)) - whole)[0, 0].max() > 1e-2  # as a causal model it would say other things
    np.testing.assert_allclose(step(jnp.zeros_like(seen))[2], whole[2], atol=1e-5)


@pytest.mark.slow
def test_a_prefix_ends_with_its_prompt() -> None:
    """What stands behind a prompt is padding, and no part of a prefix, however long that is said to be."""
    whole, longer = (Prompts(ROWS.tokens_BP, ROWS.lengths_B, ROWS.lengths_B + more) for more in (0, 9))
    found, same = jax.jit(lambda: [sample(DECODER, p, jax.random.key(1), length=S) for p in (whole, longer)])()
    np.testing.assert_array_equal(found.logprobs_BNS, same.logprobs_BNS)


@pytest.mark.slow
def test_an_encoder_decoder_that_has_read_is_a_causal_model_and_reads_once() -> None:
    assert isinstance(reading(), CausalModel)
    slow = Recomputed(
        lambda tokens, context: BOTH(context[0], tokens, mask=context[1]), (jnp.asarray(INPUTS), jnp.asarray(MASK))
    )
    fast, slow = (jax.jit(lambda m=m: sample(m, STARTS, jax.random.key(3), length=S, n=2))() for m in (reading(), slow))
    np.testing.assert_array_equal(fast.tokens_BNS, slow.tokens_BNS)
    np.testing.assert_allclose(fast.logprobs_BNS, slow.logprobs_BNS, atol=1e-5)
    program = jax.make_jaxpr(lambda cache: reading().step(jnp.ones((3, 1), int), cache)[0])(reading().init_cache(3, S))
    tables = [str(eqn) for eqn in program.eqns if "take" in str(eqn) or "gather" in str(eqn)]
    assert tables
    assert not any("3,6" in eqn for eqn in tables)  # no step embeds what the encoder read
    with pytest.raises(ValueError, match="a cache of 2 rows, but 3 inputs"):
        reading().init_cache(2, S)


@pytest.mark.slow
def test_what_does_not_fit_is_no_number_and_masked_inputs_say_nothing() -> None:
    read = reading()
    logits, _ = read.step(jnp.ones((3, 3), int), read.init_cache(3, 2))
    assert np.isnan(logits[:, 2]).all()
    assert np.isfinite(logits[:, :2]).all()
    other, _ = reading(np.where(MASK, INPUTS, 7)).step(jnp.ones((3, 2), int), read.init_cache(3, 2))
    np.testing.assert_allclose(other, logits[:, :2], atol=1e-6)


def test_contexts_are_mixed_for_as_many_rows_as_there_are_scores() -> None:
    assert isinstance(in_contexts(), CausalModel)
    with pytest.raises(ValueError, match="a cache of 6 rows, but there are contexts of 3"):
        in_contexts().init_cache(6, S)
