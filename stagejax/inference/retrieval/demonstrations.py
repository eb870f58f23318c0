"""Demonstrations for questions: found by vectors, by words or at random; and what a generator answers behind them.

A finder is for `run.make`: it gives `places` in a bank and their `scores`, both (questions, K), best first. None of
them finds what asks the same as the question, and queries hold no answer.

Letters: N questions, D demonstrations of a bank, K found, E features, L options, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from stagejax.apart import take_apart
from stagejax.data.retrieval.bm25 import BM25
from stagejax.data.retrieval.demonstrations import Demonstrated, Pieces, inputs_of, pieces_of, reader
from stagejax.data.sources import Source
from stagejax.data.tokenizers import CLS, SEP, Tokenizer, codec
from stagejax.decode import Prompts, sample
from stagejax.decode.contexts import InContexts
from stagejax.inference.answering import ask
from stagejax.inference.frozen import Frozen, apply, compiled, flops_of_one
from stagejax.ledger import count_flops
from stagejax.models.text.reading import Read
from stagejax.objectives.text.marginal_seq2seq import mixed_logprobs
from stagejax.result import Result
from stagejax.stage import Batch

Found = dict[str, np.ndarray]
#: (questions, bank, K, scale of cosines, vectors of the questions, vectors of each part of the bank) -> what was found.
Finder = Callable[..., Found]


def text_vectors(
    net: Result, source: Source, tokenizer: Tokenizer, learned_from: Source, shown: int, asked: int
) -> dict[str, np.ndarray]:
    """For every record of a source, for `run.make`: its vector as a `query`, without its answer, and as a `passage`.

    Args:
      net: holds an encoder of texts to vectors.
      shown, asked: most tokens of a passage and of a query, CLS counted.

    >>> # made = run.make("vectors", text_vectors, retriever, bank, BPE(2048), texts, 40, 40)
    """
    frozen, own = Frozen.of(net), pieces_of(source, tokenizer, learned_from)
    return {
        "query": apply(_vectors, frozen, _rows([[CLS, *p.question.tolist(), *p.context.tolist()] for p in own], asked)),
        "passage": apply(_vectors, frozen, _rows([[CLS, *p.shown()] for p in own], shown)),
    }


def vector_flops(config: Any, shown: int, asked: int) -> float:
    """The matmul FLOPs of both vectors of a record."""
    rows = (jax.ShapeDtypeStruct((length,), np.dtype("int32")) for length in (shown, asked))
    return float(sum(flops_of_one(_vectors, config, row) for row in rows))


def _vectors(model: Any, tokens: Any) -> Any:
    return model(tokens)


def _rows(texts: list[list[int]], length: int) -> Int[np.ndarray, "N T"]:
    made = np.zeros((len(texts), length), np.int32)
    for row, text in zip(made, texts, strict=True):
        row[: len(text)] = text[:length]
    return made


def nearest(asked: Source, bank: Source, count: int, scale: float, vectors: Any, *banked: Any) -> Found:
    """The passages of the largest inner products with the query, whose scores are `scale` times these.

    >>> # found = run.make("found", nearest, questions, bank, 2, 20.0, own_vectors, bank_vectors)
    """
    passages = np.concatenate([own.value["passage"] for own in banked])
    places, products = top(vectors.value["query"], passages, inputs_of(asked), inputs_of(bank), count)
    return {"places": places, "scores": np.float32(scale) * products}


def top(
    queries_NE: Float[np.ndarray, "N E"],
    passages_DE: Float[np.ndarray, "D E"],
    asked_N: Int[np.ndarray, " N"],
    bank_D: Int[np.ndarray, " D"],
    count: int,
    block: tuple[int, int] = (512, 65_536),
) -> tuple[Int[np.ndarray, "N K"], Float[np.ndarray, "N K"]]:
    """The `count` largest inner products of each query, exactly, by blocks; those that ask the same are left out.

    Args:
      asked_N, bank_D: numbers of what is asked (`inputs_of`).
      block: queries and passages whose products are in memory at once.

    Raises:
      ValueError: fewer passages are left for a query.

    >>> vectors = np.eye(3, dtype=np.float32) + 0.1 * np.arange(3, dtype=np.float32)
    >>> top(vectors, vectors, np.arange(3), np.arange(3), 1)[0].tolist()
    [[2], [2], [1]]
    """
    places, products = [], []
    for start in range(0, len(queries_NE), block[0]):
        own, asks = queries_NE[start : start + block[0]], asked_N[start : start + block[0]]
        best, at = np.full((len(own), count), -np.inf, np.float32), np.zeros((len(own), count), np.int64)
        for first in range(0, len(passages_DE), block[1]):
            part = slice(first, first + block[1])
            made = np.asarray(_products(own, passages_DE[part]))
            made = np.where(asks[:, None] == bank_D[part], -np.inf, made)
            numbers = np.argpartition(-made, min(count, made.shape[1]) - 1, axis=1)[:, :count]  # of any order
            both = np.concatenate([best, np.take_along_axis(made, numbers, axis=1)], axis=1)
            at = np.concatenate([at, first + numbers], axis=1)
            order = np.argsort(-both, axis=1, kind="stable")[:, :count]
            best, at = np.take_along_axis(both, order, axis=1), np.take_along_axis(at, order, axis=1)
        places.append(at)
        products.append(best)
    found = np.concatenate(products)
    if np.isneginf(found).any():
        raise ValueError(f"a bank of {len(passages_DE)} passages has fewer than {count} for some question")
    return np.concatenate(places), found


@jax.jit
def _products(queries_NE: Array, passages_DE: Array) -> Array:
    return queries_NE @ passages_DE.T


def at_random(asked: Source, bank: Source, count: int, scale: float, *vectors: Any) -> Found:
    """Any passages, of equal scores.

    >>> # found = run.make("found", at_random, questions, bank, 2, 20.0)
    """
    own, others, random = inputs_of(asked), inputs_of(bank), np.random.default_rng(0)
    places = np.zeros((len(own), count), np.int64)
    for row, asks in zip(places, own, strict=True):
        drawn = random.permutation(len(others)) if len(others) < 64 else random.integers(len(others), size=64)
        row[:] = [*dict.fromkeys(drawn[others[drawn] != asks].tolist())][:count]
    return {"places": places, "scores": np.zeros(places.shape, np.float32)}


def by_words(asked: Source, bank: Source, count: int, scale: float, *vectors: Any) -> Found:
    """The passages of the largest BM25, of question and context with question, answer and context.

    >>> # found = run.make("found", by_words, questions, bank, 2, 20.0)
    """

    def words(source: Source, *fields: str) -> list[list[str]]:
        records = (source[i] for i in range(len(source)))
        return [" ".join(record[name] for name in fields).lower().split() for record in records]

    queries, passages = words(asked, "question", "context"), words(bank, "question", "answer", "context")
    places, scores = BM25().best(queries, passages, min(count + 16, len(passages)))
    same = inputs_of(bank)[places] == inputs_of(asked)[:, None]
    order = np.argsort(same, axis=1, kind="stable")[:, :count]
    if np.take_along_axis(same, order, axis=1).any():
        raise ValueError(f"a bank of {len(passages)} passages has fewer than {count} for some question")
    both = {"places": places, "scores": scores.astype(np.float32)}
    return {name: np.take_along_axis(array, order, axis=1) for name, array in both.items()}


# --- what a generator answers ---


def option_logprobs(model: Any, batch: Batch, first: int) -> Float[Array, "B L"]:
    """log p(option | x), the mixture over contexts at each of its tokens and at its end.

    What comes before the option is the same for all and cancels.

    Args:
      model: an `EncoderDecoder`.
      batch: `inputs`, `mask` and `scores` of `Demonstrated`; `said` (L, T), what a decoder reads to say each option,
        `targets` (L, T), `weights` (L, T), 1 where it says the option.
      first: before this place no weight is 1.
    """
    (B, K, S), T = batch["inputs"].shape, batch["said"].shape[1]
    mask = batch["mask"].reshape(B * K, S)
    memory = model.encode(batch["inputs"].reshape(B * K, S), mask=mask)

    def one(option: tuple[Array, Array, Array]) -> Array:
        said_T, targets_T, weights_T = option
        x_BTE = model.decode(jnp.broadcast_to(said_T, (B * K, T)), memory, mask=mask)
        logits = model.logits(x_BTE[:, first:])
        logp_BTV = mixed_logprobs(logits.reshape(B, K, *logits.shape[1:]), batch["scores"])
        own_BT = jnp.take_along_axis(logp_BTV, jnp.broadcast_to(targets_T[first:], (B, T - first))[..., None], -1)
        return (own_BT[..., 0] * weights_T[first:]).sum(1)

    return jax.lax.map(one, tuple(batch[name] for name in ("said", "targets", "weights"))).T


def choose(net: Result, data: Demonstrated, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Which name is the likeliest answer to every record of `data.source`, all of one question; for `run.make`.

    Returns:
      `chosen`, `wanted` and `shown` (N,): the numbers of the likeliest name, of the right one, and of the one that the
      first demonstration has, -1 where it has another answer or there is none; and `logprobs` (N, L).

    >>> # made = run.make("chosen", choose, tuned, test, ("no", "yes"))
    >>> # float((made.value["chosen"] == made.value["wanted"]).mean())
    """
    code, frozen = codec(data.tokenizer, data.learned_from), Frozen.of(net)
    numbers = {name: number for number, name in enumerate(names)}
    question = reader(data.source, data.tokenizer, data.learned_from)(0).question
    options, N = _options(question, code.encode([f" {name}" for name in names]), data.said), data.size()
    logprobs, shown = np.zeros((N, len(names)), np.float32), np.full(N, -1)
    for rows, batch in _batches(data):
        row = {name: batch[name] for name in ("inputs", "mask", "scores")} | options
        logprobs[rows] = ask(option_logprobs, frozen, row, len(question))[: len(rows)]
    if data.bank is not None and data.found is not None:
        shown = np.array([numbers.get(data.bank[int(place)]["answer"], -1) for place in data.found["places"][:, 0]])
    wanted = np.array([numbers[data.source[i]["answer"]] for i in range(N)])
    return {"chosen": logprobs.argmax(1), "wanted": wanted, "shown": shown, "logprobs": logprobs}


def choosing_flops(data: Demonstrated, config: Any, options: int) -> float:
    """The matmul FLOPs of `choose` for one record, if the whole of what is said were scored."""
    _, _, params, rest = take_apart(config)
    own, ints = data.sample_spec(), jax.ShapeDtypeStruct((options, data.said), np.dtype("int32"))
    row = {name: jax.ShapeDtypeStruct((1, *own[name].shape), own[name].dtype) for name in ("inputs", "mask", "scores")}
    row |= {"said": ints, "targets": ints, "weights": jax.ShapeDtypeStruct(ints.shape, np.dtype("float32"))}
    return float(count_flops(compiled(option_logprobs, config, 0), params, rest, row))


def _options(question: np.ndarray, answers: list[np.ndarray], length: int) -> dict[str, np.ndarray]:
    made = {name: np.zeros((len(answers), length), kind) for name, kind in (("said", np.int32), ("targets", np.int32))}
    made["weights"] = np.zeros((len(answers), length), np.float32)
    for at, answer in enumerate(answers):
        said = Pieces(question, answer, answer[:0]).said()
        made["targets"][at, : len(said)], made["said"][at, : len(said)] = said, [CLS, *said[:-1]]
        made["weights"][at, len(question) : len(said)] = 1
    return made


def _batches(data: Demonstrated) -> Any:
    """All records in order, with the batch that begins with them."""
    for start in range(0, data.size(), data.batch):
        rows = np.arange(start, min(start + data.batch, data.size()))
        yield rows, data.take_records(np.resize(rows, data.batch))


def say(net: Result, data: Demonstrated) -> dict[str, Any]:
    """What is answered freely to every record of `data.source`, token by token the likeliest of the mixture.

    Returns:
      `said`: the text behind "answer:", or "" where a model does not come to that; `wanted`: the right ones;
      `tokens`: how many were said.

    >>> # made = run.make("said", say, tuned, test, sampled_tokens=drawn_tokens)
    """
    code, frozen, told, drawn = codec(data.tokenizer, data.learned_from), Frozen.of(net), list[str](), 0
    for rows, batch in _batches(data):
        found, ends = ask(likeliest, frozen, {n: batch[n] for n in ("inputs", "mask", "scores")}, data.said)
        for tokens, end in zip(found[: len(rows)], ends[: len(rows)], strict=True):
            told.append(code.decode(tokens[1:end]).partition("answer:")[2].strip())
            drawn += int(end) - 1
    return {"said": told, "wanted": [data.source[i]["answer"] for i in range(data.size())], "tokens": drawn}


def drawn_tokens(made: Any) -> int:
    """How many tokens were said for what `say` found."""
    return int(made["tokens"])


def likeliest(model: Any, batch: Batch, said: int) -> tuple[Array, Array]:
    """Rows (B, said + 1) that begin with CLS, greedy under the mixture over contexts, and where they end."""
    B, K, S = batch["inputs"].shape
    read = Read(model, batch["inputs"].reshape(B * K, S), batch["mask"].reshape(B * K, S))
    prompts = Prompts(jnp.full((B, 1), CLS), jnp.ones(B, jnp.int32))
    how: dict[str, Any] = {"length": said + 1, "stops": ((SEP,),), "temperature": 0.0}
    found = sample(InContexts(read, batch["scores"]), prompts, jax.random.key(0), **how)
    return found.tokens_BNS[:, 0], found.ends_BN[:, 0]
