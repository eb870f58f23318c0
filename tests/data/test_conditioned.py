"""Documents behind words about them: rows of whole documents but the last, words that are read and not learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings

from stagejax.data import BPE, CLS, SEP, Bytes, EmptySource, Mixture, Portion, Source, Stdlib, codec, read_corpus
from stagejax.data.corpus import stored_corpus
from stagejax.data.language.conditioned import ConditionedText, complete_rows
from stagejax.data.language.metadata import Metadata, Prefixes, hashed, host
from stagejax.data.language.passages import Passages, cut, name_of
from stagejax.data.vocabulary.learned import LearnedFrom
from stagejax.models import llama
from stagejax.objectives import causal_lm


@dataclass(frozen=True)
class Pages(Source):
    """Documents of different lengths from two hosts."""

    lengths: tuple[int, ...] = (3, 30, 1, 12, 7, 40, 9, 21, 5, 16)
    split: str = "train"

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        where = ("https://a.org/x", "b.com")[index % 2]
        return {"url": where, "text": chr(ord("a") + index) * self.lengths[index]}

    def digest(self) -> str:
        return str(self.lengths)


PAGES, LIBRARY = Pages(), Stdlib(limit=100_000)
PLAIN = ConditionedText(source=PAGES, tokenizer=Bytes(), learned_from=PAGES, batch=2, length=24)
HOSTS = replace(PLAIN, metadata=Metadata())


def expected(data: ConditionedText, number: int) -> tuple[list[int], int]:
    """A whole document, and how many of its tokens are words about it, from the definition."""
    record = data.source[number]
    words = "" if data.metadata is None else f"URL: {data.metadata.value(record['url'])}\n\n"
    ids = [list(text.encode()) for text in (words, record["text"])]
    return [CLS, *(i + 4 for i in ids[0]), *(i + 4 for i in ids[1]), SEP], len(ids[0])


def segments(batch: dict[str, np.ndarray]) -> list[list[dict[str, np.ndarray]]]:
    """Each row's documents in order, each as its own arrays."""
    rows = []
    for row in range(len(batch["tokens"])):
        own = {name: leaf[row] for name, leaf in batch.items()}
        marks = range(1, own["segments"].max() + 1)
        rows.append([{name: leaf[own["segments"] == mark] for name, leaf in own.items()} for mark in marks])
    return rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 12), max_size=30), st.integers(1, 16))
def test_rows_take_documents_until_they_are_full(sizes: list[int], length: int) -> None:
    first, row, held = [0], 0, 0
    for number, size in enumerate(sizes):
        held += size
        if held >= length:
            first.append(number + 1)
            row, held = row + 1, 0
    assert complete_rows(np.array(sizes, np.int64), length).tolist() == first


@pytest.mark.parametrize("data", [PLAIN, HOSTS, replace(HOSTS, metadata=Metadata(hashed))])
def test_rows_begin_with_a_document_and_only_the_last_is_cut(data: ConditionedText) -> None:
    whole = {tuple(tokens): words for tokens, words in (expected(data, number) for number in range(len(PAGES)))}
    seen = []
    for row in segments(data.take(np.arange(data.size()))):
        for at, own in enumerate(row):
            span = len(own["tokens"])
            read = [*own["tokens"].tolist(), int(own["targets"][-1])]
            document, *alike = (tokens for tokens in whole if tokens[: span + 1] == tuple(read))
            assert len(document) == span + 1 or at == len(row) - 1
            assert not alike or span <= whole[document]  # cut within the words, or behind them
            np.testing.assert_array_equal(own["tokens"][1:], own["targets"][:-1])
            np.testing.assert_array_equal(own["positions"], np.arange(span))
            np.testing.assert_array_equal(own["weights"], np.arange(span) >= whole[document])  # text and the end
            seen += [] if alike else [document]
        assert sum(len(own["tokens"]) for own in row) >= data.length - 1  # but for a removed piece of one token
    assert len(set(seen)) == len(seen)


def test_no_word_is_a_target_unless_it_is_to_be_learned() -> None:
    batch, learned = (data.take(np.arange(4)) for data in (HOSTS, replace(HOSTS, learn_metadata=True)))
    np.testing.assert_array_equal(learned["weights"], learned["segments"] > 0)
    np.testing.assert_array_equal(batch["tokens"], learned["tokens"])
    for row in segments(batch):
        for own in row:
            told = Bytes().decode(own["targets"][own["weights"] == 0])
            assert any(f"URL: {name}\n\n".startswith(told) for name in ("a.org", "b.com"))


@pytest.mark.slow
def test_the_loss_does_not_depend_on_targets_among_the_words() -> None:
    model = llama(vocab=260, embed=8, layers=1, heads=1, mlp=8).build(nnx.Rngs(0))
    batch = {name: jnp.asarray(leaf) for name, leaf in HOSTS.take(np.arange(2)).items()}
    other = batch | {"targets": jnp.where(batch["weights"] == 0, 7, batch["targets"])}
    assert float(causal_lm(model, batch, None)[0]) == float(causal_lm(model, other, None)[0])


@pytest.mark.slow
def test_a_document_is_read_behind_its_own_host_alone() -> None:
    """Its logits are those of its host, its text and nothing else: none of the row's other documents."""
    model = llama(vocab=260, embed=8, layers=2, heads=1, mlp=8).build(nnx.Rngs(0))
    batch = replace(HOSTS, length=64).take(np.arange(1))
    context = {name: jnp.asarray(batch[name]) for name in ("positions", "segments")}
    logits = np.asarray(jax.jit(lambda t, c: model(t, **c))(batch["tokens"], context))
    at = 0
    for own in segments(batch)[0]:
        alone = np.asarray(model(jnp.asarray(own["tokens"][None])))[0]
        np.testing.assert_allclose(logits[0, at : at + len(alone)], alone, atol=1e-5)
        at += len(alone)
    assert batch["segments"].max() > 1


def test_text_has_the_same_tokens_with_words_and_without_also_in_parts_of_a_source() -> None:
    source = Passages(LIBRARY, name_of, 300)
    whole = ConditionedText(source=source, tokenizer=BPE(300), learned_from=source, batch=2, length=64)
    late = replace(whole, source=Portion(source, start=0.9), metadata=Metadata())
    code = codec(BPE(300), source)
    for number in range(3):
        tokens, words = late.document(number)
        record = late.source[number]
        assert code.decode(tokens[1 : words + 1]) == f"URL: {record['url'].split('/')[0]}\n\n"
        np.testing.assert_array_equal(tokens[words + 1 : -1], code.encode([record["text"]])[0])


def test_parts_by_share_are_disjoint_and_all() -> None:
    early, late = Portion(PAGES, stop=0.7), Portion(PAGES, start=0.7)
    texts = [[part[i]["text"] for i in range(len(part))] for part in (early, late)]
    assert [len(own) for own in texts] == [7, 3]
    assert sorted(texts[0] + texts[1]) == sorted(PAGES[i]["text"] for i in range(10))


def test_batches_with_words_and_without_mix_and_have_as_many_tokens() -> None:
    mixed = Mixture(parts=(HOSTS, PLAIN), weights=(9, 1))
    assert HOSTS.tokens == PLAIN.tokens == mixed.tokens
    assert mixed.take(np.arange(3))["weights"].dtype == np.float32


def test_rows_are_the_same_wherever_a_run_begins() -> None:
    with HOSTS.batches() as whole, HOSTS.batches({"step": 3}) as later:
        batches = [next(whole) for _ in range(5)]
        for batch in batches[3:]:
            again = next(later)
            for name, leaf in batch.items():
                np.testing.assert_array_equal(again[name], leaf)


def test_too_few_documents_say_so() -> None:
    with pytest.raises(EmptySource, match="do not fill one row of length=500"):
        replace(PLAIN, length=500).size()


def test_hashes_group_as_hosts_do() -> None:
    urls = ["http://a.org/1", "https://a.org/2?x", "b.org/1", "www.a.org"]
    assert [host(url) for url in urls] == ["a.org", "a.org", "b.org", "www.a.org"]
    groups = {hashed(url): host(url) for url in urls}
    assert len(groups) == 3
    assert all(len(name) == 8 and int(name, 16) >= 0 for name in groups)


def test_a_stored_corpus_of_words_is_found_again(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place must not depend on where a function lies in this process's memory."""
    source = Prefixes(Passages(LIBRARY, name_of, 300), Metadata(hashed))
    assert "0x" not in repr(source)
    made = stored_corpus(tmp_path, source, Bytes())
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setenv("STAGEJAX_CORPORA", str(tmp_path))
    read_corpus.cache_clear()
    np.testing.assert_array_equal(read_corpus(source, Bytes()).ids, made.ids)
    read_corpus.cache_clear()
    assert Prefixes(source.source, Metadata()).digest() != source.digest()


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab \n", max_size=200), st.integers(1, 30))
def test_passages_are_the_text_and_fit(text: str, size: int) -> None:
    parts = list(cut(text, size))
    assert "".join(parts) == text
    assert all(0 < len(part) <= size for part in parts)


def test_a_tokenizer_learned_elsewhere_is_the_same_for_any_text() -> None:
    one, tokenizer = LIBRARY, LearnedFrom(BPE(300), LIBRARY)
    assert tokenizer.vocab == 300
    assert codec(tokenizer, PAGES).digest() == codec(BPE(300), one).digest()
    assert codec(tokenizer, Prefixes(PAGES)).digest() == codec(BPE(300), one).digest()
