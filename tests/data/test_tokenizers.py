import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagejax.data import BPE, SEP, SPECIAL, Bytes, Characters, EmptySource, Stdlib, codec, read_corpus

SMALL = Stdlib(limit=200_000)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_text_comes_back_exactly(text):
    for tokenizer in (Bytes(), BPE(300)):
        code = codec(tokenizer, SMALL)
        (ids,) = code.encode([text])
        assert ids.dtype == np.int32
        assert code.decode(ids) == text
        assert ((ids >= SPECIAL) & (ids < tokenizer.vocab)).all()


@given(st.text(alphabet=Characters().alphabet, max_size=40))
def test_characters_come_back_exactly(text):
    (ids,) = Characters().encode([text])
    assert len(ids) == len(text)
    assert Characters().decode(ids) == text


@pytest.mark.parametrize("text", ["[MASK] <pad> [CLS]", "<|endoftext|>", " leading", "a  b\r\n\t", "", "\x00é漢🙂"])
@pytest.mark.parametrize("tokenizer", [Bytes(), BPE(300)])
def test_text_never_makes_special_tokens(text, tokenizer):
    code = codec(tokenizer, SMALL)
    (ids,) = code.encode([text])
    assert (ids >= SPECIAL).all()
    assert code.decode([0, 1, *ids, 2, 3]) == text


def test_bpe_fills_its_vocabulary_and_shortens_text():
    code = codec(BPE(512), Stdlib())
    text = Stdlib("test")[0]["text"]
    (ids,) = code.encode([text])
    assert len(ids) < 0.6 * len(text.encode())
    assert ids.max() < 512


@pytest.mark.slow
def test_bpe_is_the_same_in_another_process_with_other_threads():
    code = "from stagejax.data import *; print(codec(BPE(400), Stdlib(limit=300_000)).digest())"
    environment = {**os.environ, "PYTHONHASHSEED": "3", "RAYON_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert other.stdout.strip() == codec(BPE(400), Stdlib(limit=300_000)).digest()


def test_the_tokenizer_is_trained_on_the_train_split():
    train, test = Stdlib(limit=300_000), Stdlib("test", limit=300_000)
    assert codec(BPE(300), train) is codec(BPE(300), test)


def test_corpus_is_made_once_and_closes_each_document():
    made = read_corpus(SMALL, BPE(300))
    assert read_corpus(Stdlib(limit=200_000), BPE(300)) is made
    assert (made.ids[made.starts[1:] - 1] == SEP).all()
    assert (made.ids == SEP).sum() == len(SMALL) == len(made.starts) - 1
    code = codec(BPE(300), SMALL)
    for index in (0, len(SMALL) - 1):
        assert code.decode(made.ids[made.starts[index] : made.starts[index + 1]]) == SMALL[index]["text"]


def test_errors_name_the_field_and_the_fix():
    with pytest.raises(EmptySource, match=r"BPE\(vocab=60000\).*gives only .*Lower `vocab`"):
        codec(BPE(60_000), SMALL)
    with pytest.raises(ValueError, match=r"vocab=100.*Raise `vocab`"):
        BPE(100)
    with pytest.raises(ValueError, match="'é' is not in the alphabet"):
        Characters("abc").encode(["aé"])
    with pytest.raises(ValueError, match="each once"):
        Characters("aa")
    with pytest.raises(ValueError, match=r"no text in 'body'.*Set `field`"):
        read_corpus(SMALL, Bytes(), "body")
