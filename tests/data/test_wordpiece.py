"""WordPiece and amplified text: longest match, the same in every process, and small domains that count."""

import os
import subprocess
import sys

import pytest
from told import Told

from stagejax.data import EmptySource, Stdlib
from stagejax.data.selection.amplified import Amplified, characters
from stagejax.data.tasks.pairs import SynonymPairs
from stagejax.data.tokenizers import SPECIAL, codec
from stagejax.data.vocabulary.wordpiece import UNKNOWN, WordPiece, WordPieceCodec

LARGE = Stdlib(limit=300_000)
SENTENCES = [SynonymPairs()[i]["s1"] for i in range(100)]  # "the robber grabs a stone quietly"
SMALL = Told(tuple("\n".join(SENTENCES[i : i + 10]) for i in range(0, 100, 10)))


def test_the_longest_piece_is_taken_and_a_word_without_pieces_is_one_id() -> None:
    code = WordPieceCodec(
        {piece: i for i, piece in enumerate(["[UNK]", "u", "un", "##able", "##a", "##b", "afford", "."])}
    )
    ids = [SPECIAL + i for i in (2, 3, 6, 3, 7)]
    assert code.encode(["Unable  afFordable."])[0].tolist() == ids
    assert code.decode(ids) == "unable affordable ."
    assert code.encode(["unx"])[0].tolist() == [UNKNOWN]
    assert code.decode([UNKNOWN]) == "\ufffd"


def test_special_tokens_are_never_read_from_text() -> None:
    code = codec(WordPiece(600), LARGE)
    assert min(code.encode(["[MASK] [CLS] [UNK] ##ing [PAD]"])[0]) > UNKNOWN


def test_the_vocabulary_has_the_declared_size_or_is_refused() -> None:
    code = codec(WordPiece(600), LARGE)
    assert isinstance(code, WordPieceCodec)
    assert sorted(code.pieces.values()) == list(range(600 - SPECIAL))
    with pytest.raises(EmptySource, match="vocab=5000"):
        codec(WordPiece(5000), SMALL)


@pytest.mark.slow
def test_every_process_learns_the_same_pieces() -> None:
    program = (
        "from stagejax.data import Stdlib; from stagejax.data.tokenizers import codec; "
        "from stagejax.data.vocabulary.wordpiece import WordPiece; "
        "print(codec(WordPiece(900), Stdlib(limit=300_000)).digest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{codec(WordPiece(900), LARGE).digest()}\n".encode()}


def test_a_small_text_is_repeated_until_it_is_as_long() -> None:
    both = Amplified(LARGE, SMALL)
    assert both.times == round(characters(LARGE) / characters(SMALL)) > 20
    assert len(both) == len(LARGE) + both.times * len(SMALL)
    assert [both[len(LARGE) + i] for i in (0, len(SMALL), len(both) - len(LARGE) - 1)] == [
        SMALL[0],
        SMALL[0],
        SMALL[9],
    ]
    assert abs(both.times * characters(SMALL) / characters(LARGE) - 1) < 0.02
    assert Amplified(SMALL, LARGE).times == 1
    assert both.of_split("test").split == "test"
    with pytest.raises(IndexError):
        both[len(both)]


def test_an_amplified_vocabulary_has_the_words_of_the_small_text() -> None:
    tokens = {}
    for source in (LARGE, Amplified(LARGE, SMALL)):
        code = codec(WordPiece(600), source)
        tokens[source] = [
            len(code.encode(["the physician vends a rock silently"])[0]),
            len(code.encode([LARGE[0]["text"]])[0]),
        ]
    (of_small, of_large), (amplified_small, amplified_large) = tokens.values()
    assert amplified_small == 6 < of_small
    assert of_large < amplified_large < 1.3 * of_large


def test_a_text_without_letters_cannot_be_amplified() -> None:
    with pytest.raises(EmptySource, match="amplified"):
        _ = Amplified(LARGE, Told(("", ""))).times
    assert characters(Told(("ab", "", "c"))) == 3
