"""Documents of several modalities: what is learned, what is left out, and that questions end where answers begin."""

import numpy as np
import pytest

from stagejax.data import CLS, SEP, Digits, Stdlib
from stagejax.data.multimodal.composites import DIGITS, Objects
from stagejax.data.multimodal.interleave import Vocabulary
from stagejax.data.multimodal.multimodal import TASKS, Writer, corpora, words_of
from stagejax.data.multimodal.stories import FRAMES, Stories

OBJECTS = (Objects(Digits(), DIGITS, limit=400),)
WORDS = words_of(OBJECTS)
VOCABULARY = Vocabulary(text=WORDS.vocab, image=9, streams=2, codes=5)
RANDOM = np.random.RandomState(0)
CODES = {form: RANDOM.randint(9, size=(20, frames, 4)) for form, frames in FRAMES.items()} | {
    "clips": RANDOM.randint(5, size=(12, 6, 2)),
    "lengths": RANDOM.randint(2, 7, size=12),
    "words": RANDOM.randint(10, size=12),
    "speakers": RANDOM.randint(2, size=12),
}
STORIES = {form: Stories(OBJECTS, 20, form, side=8) for form in FRAMES}
WRITERS = {order: Writer(VOCABULARY, order, STORIES, CODES) for order in ("sequential", "alternating")}


@pytest.mark.parametrize("order", WRITERS)
@pytest.mark.parametrize("task", TASKS)
def test_the_answer_alone_is_learned(order: str, task: str) -> None:
    write = WRITERS[order]
    for i in range(5):
        tokens, weights = write.instruction(task, i)
        question, answer = write.question(task, i), write.answer(task, i)
        np.testing.assert_array_equal(tokens, [*question, *answer, SEP])
        np.testing.assert_array_equal(tokens[1:][weights > 0], [*answer, SEP])
        assert tokens[0] == CLS
        assert WORDS.decode(question).split()[0] == "user"
        assert question[-1] == WORDS.encode(["assistant"])[0][0]


def test_timbre_is_left_out_of_what_is_understood_in_order_alone() -> None:
    timbre = range(VOCABULARY.speech + 5, VOCABULARY.speech + 10)
    heard = {order: write.question("transcribe", 3) for order, write in WRITERS.items()}
    assert not np.isin(heard["sequential"], timbre).any()
    assert np.isin(heard["alternating"], timbre).sum() == CODES["lengths"][3]
    for order, write in WRITERS.items():
        said = write.answer("speak", 3)
        np.testing.assert_array_equal(VOCABULARY.clip_codes(said, order), CODES["clips"][3, : CODES["lengths"][3]])
    said = [sorted(write.answer("speak", 3)) for write in WRITERS.values()]
    assert said[0] == said[1]  # as many tokens, the same ones


def test_a_story_has_its_pictures_behind_their_sentences() -> None:
    write, draws = WRITERS["sequential"], np.full((20, 3), 0.3)
    tokens, weights = write.interleaved(draws)[2]
    assert weights.all()
    begins = np.flatnonzero(tokens == VOCABULARY.borders[0])
    assert len(begins) == 3
    for t, (begin, text) in enumerate(zip(begins, write.texts("story", 2), strict=True)):
        np.testing.assert_array_equal(VOCABULARY.picture_codes(tokens[begin : begin + 6], 4), CODES["story"][2, t])
        assert WORDS.decode(tokens[:begin]).endswith(text)
    question = write.question("story", 2)
    np.testing.assert_array_equal(tokens[: len(question)], question)
    np.testing.assert_array_equal(tokens[len(question) : -1], write.answer("story", 2))


def test_directions_follow_the_draws_and_joined_clips_are_of_one_speaker() -> None:
    write, draws = WRITERS["sequential"], RANDOM.uniform(size=(20, 3))
    first = [tokens[1] == VOCABULARY.borders[0] for tokens, _ in write.pairs(draws)]
    np.testing.assert_array_equal(first, draws[:, 0] < 0.5)
    for one, other in write.joined(draws):
        assert CODES["speakers"][one] == CODES["speakers"][other]
    assert len(write.speech(draws)) == 24


def test_all_corpora_are_within_the_vocabulary_and_text_within_its_own() -> None:
    made = corpora(WRITERS["sequential"], Stdlib(limit=100_000), sentences=10, instructions=6, size=40, seed=1)
    assert len(made["instructions/starts"]) == 6 * len(TASKS) + 1
    for kind in ("pairs", "text", "interleaved", "speech", "instructions"):
        assert made[f"{kind}/tokens"].max() < (VOCABULARY.text if kind == "text" else VOCABULARY.size)
    assert (made["text/tokens"] >= WORDS.words.vocab).mean() > 0.2  # bytes of other text
