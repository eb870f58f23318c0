"""Own tokens stand in contexts and never in targets, corrections follow the model's own drafts, controls match."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data.prompts.answers import Answers
from stagejax.data.reasoning.problems import Problems
from stagejax.data.tokenizers import SEP, SPECIAL
from stagejax.inference.frozen import Frozen, apply
from stagejax.inference.prompts.drafting import CORRECT, Pairs, decoded, decoding_flops, keys
from stagejax.inference.prompts.exposure import excess_losses, slope, token_losses
from stagejax.inference.prompts.self_generated import (
    Corrections,
    Gold,
    InlineCorrections,
    OwnTokens,
    RandomTokens,
    RandomWhereOthers,
    drawn_places,
    in_line,
)
from stagejax.models import llama

SOURCE = Problems(size=24, steps=(1, 2), largest=9)
WORDS = SOURCE.tokenizer()
P, L, N = 32, 16, 12
DATA = Answers(source=SOURCE, tokenizer=WORDS, batch=4, length=P + L)
NUMBERS = np.arange(N)
PAIRS, KEYS = Pairs.of(DATA, NUMBERS, P, L), keys(0, NUMBERS)
CONFIG = llama(vocab=WORDS.vocab, embed=16, layers=1, heads=2, mlp=32, tied=True, length=P + 2 * L)
NET = Frozen(CONFIG, *take_apart(CONFIG)[2:])


@pytest.fixture(scope="module")
def net() -> Frozen:
    model = CONFIG.build(nnx.Rngs(0))
    _, params, rest = nnx.split(model, nnx.Param, ...)
    return Frozen(CONFIG, nnx.to_pure_dict(params), nnx.to_pure_dict(rest))


@pytest.fixture(scope="module")
def own(net: Frozen):
    return OwnTokens(0.5)(net, PAIRS, KEYS)


def test_pairs_are_the_rows_taken_apart() -> None:
    batch = DATA.take(NUMBERS)
    gold = Gold()(NET, PAIRS, KEYS)
    for name in ("tokens", "targets", "weights"):
        np.testing.assert_array_equal(gold[name], batch[name])
    assert all(PAIRS.answers_NL[row, size - 1] == SEP for row, size in enumerate(PAIRS.sizes_N))
    with pytest.raises(ValueError, match="do not fit"):
        Pairs.of(DATA, NUMBERS, P, 4)


@pytest.mark.slow
def test_contexts_are_mixed_and_targets_stay_gold(own) -> None:
    gold, places = Gold()(NET, PAIRS, KEYS), drawn_places(0.5, 1, PAIRS, KEYS)
    np.testing.assert_array_equal(own["targets"], gold["targets"])
    np.testing.assert_array_equal(own["weights"], gold["weights"])
    changed = own["tokens"] != gold["tokens"]
    assert changed.sum() == own["replaced"].sum() > 0
    assert not (own["replaced"] & ~places).any()
    assert (own["tokens"][changed] >= SPECIAL).all()
    inside = np.arange(P + L) >= PAIRS.lengths_N[:, None]
    assert not (changed & ~inside).any()  # prompts stay
    np.testing.assert_array_equal(own["stepped"], PAIRS.sizes_N - 1)


@pytest.mark.slow  # for its eager models
def test_own_tokens_are_drawn_behind_the_mixed_context_one_after_the_other(net: Frozen) -> None:
    """With the likeliest tokens, each own one is the likeliest behind the own ones before it, not behind gold ones."""
    made = OwnTokens(0.6, temperature=0.0)(net, PAIRS, KEYS)
    places = drawn_places(0.6, 1, PAIRS, KEYS)
    model = nnx.merge(take_apart(CONFIG)[0], net.params, net.rest)
    logits = np.array(model(jnp.asarray(made["tokens"])))
    logits[..., :SPECIAL] = -np.inf
    best = logits.argmax(-1)
    behind_gold = np.array(model(jnp.asarray(Gold()(net, PAIRS, KEYS)["tokens"])))
    behind_gold[..., :SPECIAL] = -np.inf
    differ = 0
    for row, column in zip(*np.nonzero(places), strict=True):
        place = PAIRS.lengths_N[row] + column
        assert made["tokens"][row, place] == best[row, place - 1]
        differ += best[row, place - 1] != behind_gold.argmax(-1)[row, place - 1]
    assert differ > 0


@pytest.mark.slow
def test_controls_have_the_same_places_or_as_many_changes(net: Frozen, own) -> None:
    noise, matched = RandomTokens(OwnTokens(0.5))(net, PAIRS, KEYS), RandomWhereOthers(OwnTokens(0.5))(net, PAIRS, KEYS)
    places = drawn_places(0.5, 1, PAIRS, KEYS)
    assert not (noise["replaced"] & ~places).any()
    assert noise["replaced"].sum() >= 0.9 * places.sum()
    assert not (matched["replaced"] & ~own["replaced"]).any()
    assert matched["replaced"].sum() >= 0.9 * own["replaced"].sum()
    assert noise["stepped"].sum() == 0 < matched["stepped"].sum()


def test_eps_spans_and_targets_behind_replacements(net: Frozen) -> None:
    numbers = np.arange(2000)
    many = Pairs(np.ones((2000, 1), int), np.ones(2000, int), np.full((2000, 20), 5), np.full(2000, 20))
    for span in (1, 4):
        places = drawn_places(0.3, span, many, keys(1, numbers))
        assert abs(places[:, :19].mean() - 0.3) < 0.02
        assert not places[:, 19].any()
    both = places[:, 1:19] & places[:, :18]
    assert both.mean() / places[:, :18].mean() > 0.6  # in runs
    left_out = OwnTokens(0.5, behind=False)(net, PAIRS, KEYS)
    full = Gold()(net, PAIRS, KEYS)["weights"].sum()
    assert left_out["weights"].sum() == full - left_out["replaced"].sum()


def test_corrections_follow_the_models_own_draft_and_are_learned_alone(net: Frozen) -> None:
    made = Corrections(share=0.5)(net, PAIRS, KEYS)
    said, sizes, _ = decoded(net, PAIRS, KEYS, temperature=1.0)
    for row in range(N):
        tokens, weights = made["tokens"][row], made["weights"][row]
        if row % 2 == 0:
            assert CORRECT not in tokens
            continue
        first, size = PAIRS.lengths_N[row], sizes[row]
        np.testing.assert_array_equal(tokens[first : first + size], said[row, :size])
        assert tokens[first + size] == CORRECT
        learned = made["targets"][row][weights > 0]
        np.testing.assert_array_equal(learned, [CORRECT, *PAIRS.answers_NL[row, : PAIRS.sizes_N[row]]])
        assert made["stepped"][row] == size
    assert made["stepped"][::2].sum() == 0


def test_second_answers_are_asked_as_corrections_are_learned(net: Frozen) -> None:
    """What is answered the second time is, token by token, what stands before the learned answer in training."""
    made, said = Corrections(share=1.0)(net, PAIRS, KEYS), decoded(net, PAIRS, KEYS, temperature=1.0)
    asked = PAIRS.drafted(said)
    assert (said.sizes_N < L).any()  # drafts with an end, and with none
    assert (said.sizes_N == L).any()
    for row, size in enumerate(asked.lengths_N):
        np.testing.assert_array_equal(asked.prompts_NP[row, :size], made["tokens"][row, :size])
        assert made["targets"][row, size - 1] == PAIRS.answers_NL[row, 0]
        assert made["weights"][row, size - 2 : size].tolist() == [1, 1]  # CORRECT and the answer's first token
        assert made["weights"][row].sum() == PAIRS.sizes_N[row] + 1


@pytest.mark.parametrize("at", [0.0, 0.5, 0.99])
@pytest.mark.parametrize(
    ("draft", "kept"),
    [
        ([5, SEP], [5]),  # it ends too soon
        ([SEP], []),
        ([5, 6, 7, 8, 9], [5, 6, 7]),  # it goes on behind the answer
        ([5, 6, 9, SEP], [5, 6, 9]),  # its mistake is the last token of text
    ],
)
def test_a_draft_is_cut_at_an_end_at_the_latest(draft: list[int], kept: list[int], at: float) -> None:
    answer = [5, 6, 7, SEP]
    prompt, learned = in_line(np.array([1, 9]), np.array(answer), np.array(draft), at)
    assert prompt.tolist() == [1, 9, *kept]
    assert learned.tolist() == [CORRECT, *answer[len(kept) :]]


def test_inline_corrections_go_on_at_their_place_behind_the_first_mistake(net: Frozen) -> None:
    made = InlineCorrections(share=1.0)(net, PAIRS, KEYS)
    said, _, _ = decoded(net, PAIRS, KEYS, temperature=1.0)
    cuts = []
    for row in range(N):
        first, size, answer = PAIRS.lengths_N[row], PAIRS.sizes_N[row], PAIRS.answers_NL[row]
        cut = int(np.flatnonzero(made["tokens"][row] == CORRECT)[0]) - first
        np.testing.assert_array_equal(made["tokens"][row, first : first + cut], said[row, :cut])
        np.testing.assert_array_equal(made["targets"][row][made["weights"][row] > 0], [CORRECT, *answer[cut:size]])
        assert (said[row, :cut] != answer[:cut]).any() or said[row, cut] == SEP
        cuts.append(cut)
    assert len(set(cuts)) > 1


def test_a_right_draft_is_repeated_or_just_ended(net: Frozen) -> None:
    """Pairs whose references are what the model says: the correction repeats it, and in line nothing is corrected."""
    said, sizes, _ = decoded(net, PAIRS, KEYS, temperature=1.0)
    ended = said[np.arange(N), sizes - 1] == SEP
    assert ended.any()
    rows = np.flatnonzero(ended)
    right = Pairs(PAIRS.prompts_NP[rows], PAIRS.lengths_N[rows], said[rows], sizes[rows])
    own_keys = KEYS[rows]
    inline, after = InlineCorrections(1.0)(net, right, own_keys), Corrections(1.0)(net, right, own_keys)
    assert CORRECT not in inline["tokens"]
    row, first, size = 0, right.lengths_N[0], right.sizes_N[0]
    start = first + size + 1
    np.testing.assert_array_equal(after["targets"][row, start - 1 : start - 1 + size], right.answers_NL[row, :size])


@pytest.mark.slow
def test_excess_is_the_difference_of_losses_behind_own_and_gold_prefixes(net: Frozen) -> None:
    found = excess_losses(net, PAIRS, KEYS, (1, 4))
    own, _, _ = decoded(net, PAIRS, KEYS, temperature=1.0, limit_N=PAIRS.sizes_N - 1, special=())
    model = nnx.merge(take_apart(CONFIG)[0], net.params, net.rest)
    gold = Gold()(net, PAIRS, KEYS)
    mixed, (row, column) = gold["tokens"].copy(), np.nonzero(np.arange(L)[None] < np.full((N, 1), 4))
    mixed[row, PAIRS.lengths_N[row] + column] = own[row, column]
    logps = [np.asarray(jax.nn.log_softmax(model(jnp.asarray(x)))) for x in (gold["tokens"], mixed)]
    total, count = 0.0, 0
    for row, (first, size) in enumerate(zip(PAIRS.lengths_N, PAIRS.sizes_N, strict=True)):
        for i in range(first + 4, first + size):
            wanted = gold["targets"][row, i - 1]
            total += logps[0][row, i - 1, wanted] - logps[1][row, i - 1, wanted]
        count += size - 4
    np.testing.assert_allclose(found[1], total / count, atol=1e-4)
    assert abs(slope((0, 1), (0.5, 0.5))) < 1e-9
    losses = apply(token_losses, net, {k: v for k, v in Gold()(net, PAIRS, KEYS).items() if k != "stepped"}, 16)
    assert (losses[Gold()(net, PAIRS, KEYS)["weights"] == 0] == 0).all()
    assert decoding_flops(CONFIG, P, 2 * L) > decoding_flops(CONFIG, P, L) > 0
