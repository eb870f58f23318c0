"""A language model that hears: losses and answers of it behind an encoder of speech and an adapter.

The three models are {"encoder", "adapter", "llm"}: encoder and adapter as in `models.speech.recognizer` and
`models.speech.speech_adapter`, in the model's rows of tokens MASK marks where an utterance's vectors stand. A batch has
"frames" and "real" of utterances (see `data.sound.utterances`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stagejax.data import MASK, SEP
from stagejax.data.joined import for_every_record
from stagejax.data.sound.utterances import Speech
from stagejax.decode import Prompts, Samples, completions, padded_prompts, sample
from stagejax.inference import Frozen
from stagejax.inference.several import ask_together, flops_together
from stagejax.models.speech.speech_adapter import Listener
from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.sound.recognition import collapsed
from stagejax.result import Result

Models = Mapping[str, Any]
Batch = Mapping[str, Any]


def heard(models: Models, batch: Batch) -> tuple[Float[Array, "B S E"], Bool[Array, "B S"]]:
    """What the adapter makes of utterances, and which of the vectors are of them.

    Of the encoder's states, which are those of the batch, "states" (B, t, F), where it has them: a frozen encoder says
    the same again and again. It draws no dropout.
    """
    if "states" in batch:
        return models["adapter"](batch["states"], batch["real"][:, ::2])
    return models["adapter"](*models["encoder"].features(batch["frames"], batch["real"]))


def encoded(models: tuple[Any], batch: Batch) -> Float[Array, "B t F"]:
    """The encoder's states."""
    return models[0].features(batch["frames"], batch["real"])[0]


def kept_states(encoder: Result, speech: Speech) -> dict[str, np.ndarray]:
    """The states of all utterances of a source in half precision, for `run.make` and `data.joined`.

    >>> # states = run.make("states", kept_states, encoder, Speech(source=utterances, batch=64))
    """
    net = Frozen.of(encoder)
    return for_every_record(lambda batch: {"states": ask_together(encoded, [net], batch).astype(np.float16)}, speech)


def keeping_flops(encoder: Any, speech: Speech) -> float:
    """FLOPs of `kept_states`."""
    return speech.size() * float(flops_together(encoded, [encoder], replace(speech, batch=1).spec()))


def behaves(models: Models, batch: Batch, key: Any) -> tuple[Float[Array, ""], Metrics]:
    """-log p(answer | prompt with the utterance's vectors), the mean of the answers' tokens, in nats.

    With answers that the model gave to the transcript, this is the alignment of its behaviour.

    Args:
      batch: also "tokens" (B, T) with markers, "targets" (B, T) and "weights" (B, T), 1 at what is learned.

    Reference: Wang et al. 2023 (BLSP), https://arxiv.org/abs/2309.00916, section 3.
    """
    logits_BTV = Listener(models["llm"], MASK)(batch["tokens"], heard(models, batch)[0])
    return weighted(logits_BTV, batch["targets"], batch["weights"])


def near(models: Models, batch: Batch, key: Any) -> tuple[Float[Array, ""], Metrics]:
    """Squared error of the vectors to the embeddings of words, by the variance of all embeddings of the model.

    Args:
      batch: also "aligned" (B, S), the word that each vector is to be.
    """
    vectors_BSE, real_BS = heard(models, batch)
    table_VE = jax.lax.stop_gradient(models["llm"].tokens.table[...])
    errors_BS = jnp.square(vectors_BSE - table_VE[batch["aligned"]]).mean(-1) / jnp.var(table_VE)
    total, count = jnp.sum(errors_BS * real_BS), real_BS.sum().astype(errors_BS.dtype)
    return total / count, {"loss": (total, count)}


def answers(models: tuple[Any, Any, Any], batch: Batch, length: int, limit: int) -> Samples:
    """The likeliest answers, token by token, to prompts in which utterances stand.

    Args:
      models: encoder, language model, adapter.
      batch: also the prompts, "tokens" (B, P) with markers, and their "lengths" (B,).
      length: of prompt and answer; `limit` of the answer, which SEP ends.
    """
    encoder, llm, adapter = models
    vectors_BSE, _ = heard({"encoder": encoder, "adapter": adapter}, batch)
    net = Listener(llm, MASK).hears(batch["tokens"], vectors_BSE)
    prompts = Prompts(batch["tokens"], batch["lengths"])
    return sample(net, prompts, jax.random.key(0), length=length, limit=limit, stops=((SEP,),), temperature=0.0)


def recognised(models: tuple[Any], batch: Batch) -> Int[Array, "B t"]:
    """The words of the encoder's likeliest path, from 1 on, and 0 behind them."""
    return collapsed(*models[0](batch["frames"], batch["real"]))


def answers_to(
    prompts: Sequence[Int[np.ndarray, " _"]],
    utterances: Sequence[int],
    speech: Speech,
    nets: Sequence[Frozen],
    sizes: tuple[int, int],
    batch: int,
) -> list[list[int]]:
    """The tokens that three trained networks answer to prompts, each about an utterance.

    Args:
      prompts: tokens with as many markers as the utterance has vectors.
      utterances: the number of each in the source of `speech`.
      nets: encoder, language model, adapter.
      sizes: tokens of a prompt and of an answer, at most.
      batch: prompts at once; of one size, so that one program serves all.

    >>> # said = answers_to(prompts, range(len(prompts)), speech, [Frozen.of(each) for each in trained], (30, 8), 64)
    """
    found: list[list[int]] = []
    for start in range(0, len(prompts), batch):
        places = np.minimum(np.arange(start, start + batch), len(prompts) - 1)
        rows = padded_prompts([prompts[i] for i in places], sizes[0])
        given = speech.take_records(np.array([utterances[i] for i in places]))
        given |= {"tokens": rows.tokens_BP, "lengths": rows.lengths_B}
        drawn = completions(ask_together(answers, nets, given, sum(sizes), sizes[1]))
        found += [each.tokens.tolist() for (each,) in drawn]
    return found[: len(prompts)]


def answering_flops(configs: Sequence[Any], speech: Speech, sizes: tuple[int, int]) -> float:
    """FLOPs of one answer, if it has all tokens that it may have."""
    ints = functools.partial(jax.ShapeDtypeStruct, dtype=np.dtype("int32"))
    batch = replace(speech, batch=1).spec() | {"tokens": ints((1, sizes[0])), "lengths": ints((1,))}
    return float(flops_together(answers, configs, batch, sum(sizes), sizes[1], while_trips=sizes[1]))


def recognised_words(speech: Speech, net: Frozen) -> list[list[int]]:
    """The words, from 0 on, that a trained recognizer hears in all utterances of a source, batch by batch.

    >>> # words = recognised_words(Speech(source=utterances, batch=100), Frozen.of(encoder))
    """
    found: list[list[int]] = []
    for start in range(0, speech.size(), speech.batch):
        places = np.minimum(np.arange(start, start + speech.batch), speech.size() - 1)
        paths = ask_together(recognised, [net], speech.take_records(places))
        found += [(path[path > 0] - 1).tolist() for path in paths]
    return found[: speech.size()]
