"""How likely a language model finds texts: the mean loss of each, and how losses of mutants follow their fitness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from stagejax.data import CLS
from stagejax.data.pipeline import Data
from stagejax.data.tokenizers import Codec
from stagejax.decode import padded_prompts
from stagejax.inference.frozen import Frozen, apply
from stagejax.objectives.text.similarity import spearman
from stagejax.result import Result


def row_losses(model: Any, batch: Mapping[str, Any]) -> Float[Array, " B"]:
    """The mean loss of the counted targets of each row, in nats; 0 where a row has none.

    Args:
      batch: `tokens`, `targets` and `weights` (B, T), as for `causal_lm`.

    >>> rows = {"tokens": jnp.zeros((1, 2), int), "targets": jnp.zeros((1, 2), int), "weights": jnp.ones((1, 2))}
    >>> row_losses(lambda tokens: jnp.zeros((*tokens.shape, 4)), rows).round(3)
    Array([1.386], dtype=float32)
    """
    logp_BTV = jax.nn.log_softmax(model(jnp.asarray(batch["tokens"])))
    own_BT = jnp.take_along_axis(logp_BTV, jnp.asarray(batch["targets"])[..., None], axis=-1)[..., 0]
    return -(own_BT * batch["weights"]).sum(1) / jnp.maximum(batch["weights"].sum(1), 1)


def rows_right(model: Any, batch: Mapping[str, Any]) -> Bool[Array, " B"]:
    """Whether all counted targets of each row are the likeliest ones, which are those that greedy decoding gives.

    Args:
      batch: `tokens`, `targets` and `weights` (B, T), as for `causal_lm`.

    >>> rows = {"tokens": jnp.zeros((1, 2), int), "targets": jnp.array([[0, 3]]), "weights": jnp.array([[1.0, 0.0]])}
    >>> rows_right(lambda tokens: jnp.zeros((*tokens.shape, 4)), rows)
    Array([ True], dtype=bool)
    """
    right_BT = model(jnp.asarray(batch["tokens"])).argmax(-1) == batch["targets"]
    return (right_BT | (jnp.asarray(batch["weights"]) == 0)).all(1)


def right_records(net: Result, data: Data) -> dict[str, np.ndarray]:
    """`right`: of every record of the source of `data`, in its order, whether its answer is given greedily.

    >>> # known = run.make("known", right_records, net, Answers(source=Cloze(...), ...)).value["right"]
    """
    at = np.arange(data.size())
    rows = {name: leaf for name, leaf in data.take(at).items() if name in ("tokens", "targets", "weights")}
    right = np.zeros(len(at), bool)
    right[data.records(at)] = apply(rows_right, Frozen.of(net), rows, data.batch)
    return {"right": right}


def text_losses(
    net: Frozen, code: Codec, texts: Sequence[str], length: int, batch: int
) -> Float32[np.ndarray, " texts"]:
    """The mean loss of the tokens of each text behind CLS; texts have at most `length` tokens.

    >>> # nll = text_losses(Frozen.of(result), Bytes(), ["Seq=<MKV>"], length=64, batch=32)
    """
    rows = padded_prompts([[CLS, *ids] for ids in code.encode(list(texts))], length + 1).tokens_BP
    weights = (rows[:, 1:] > 0).astype(np.float32)
    return apply(row_losses, net, {"tokens": rows[:, :-1], "targets": rows[:, 1:], "weights": weights}, batch)


def held_out_loss(net: Frozen, *parts: Data, batch: int = 64) -> float:
    """The mean loss of a counted target over the first `count` batches of each part, for `causal_lm`; nats.

    >>> # nats = held_out_loss(Frozen.of(result), text.held_out(16))
    """
    batches = [each for data in parts for each in data.batches()]
    rows = {name: np.concatenate([each[name] for each in batches]) for name in ("tokens", "targets", "weights")}
    return float(np.average(apply(row_losses, net, rows, batch), weights=rows["weights"].sum(1)))


def losses_by_place(net: Result, data: Data, parts: int, batch: int = 64) -> list[float]:
    """The mean loss of a counted target in each of `parts` equal stretches of a row, as an artifact; nats.

    Args:
      data: its first `count` batches, for `causal_lm`.

    >>> # quarters = run.make("quarters", losses_by_place, net, long_text.held_out(16), 4)
    """
    batches = list(data.batches())
    rows = {name: np.concatenate([each[name] for each in batches]) for name in ("tokens", "targets", "weights")}
    frozen, width = Frozen.of(net), rows["weights"].shape[1]
    part_T, found = np.arange(width) * parts // width, []
    for part in range(parts):
        weights = np.where(part_T == part, rows["weights"], 0).astype(np.float32)
        losses = apply(row_losses, frozen, rows | {"weights": weights}, batch)
        found.append(float(np.average(losses, weights=weights.sum(1))))
    return found


def fitness_correlation(losses: Float32[np.ndarray, " n"], fitness: Float32[np.ndarray, " mutants"]) -> float:
    """Spearman's correlation of `loss of the wild type - loss of the mutant` with the measured fitness.

    Args:
      losses: of the wild type first, then of the mutants.

    >>> fitness_correlation(np.array([1, 2, 3], np.float32), np.array([0.5, 0.1], np.float32))
    1.0
    """
    return float(spearman(jnp.asarray(losses[0] - losses[1:]), jnp.asarray(fitness)))
