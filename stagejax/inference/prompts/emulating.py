"""Answers of an emulated model: a base steered by what tuning changed in other models; how it differs from a reference.

Letters: B prompts, T tokens of a row, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax.data.pipeline import Data
from stagejax.decode import Prompts, Samples, Steered, sample
from stagejax.inference import Frozen
from stagejax.inference.several import ask_together, flops_together
from stagejax.result import Result


@dataclass(frozen=True)
class Way:
    """How the next token is found: from one model, or from base, reference and tuned models, in this order.

    Args:
      weights: of the tuned models (see `decode.steered`); None: one model alone.
      top_p: nucleus of the tuned models that is left.
      length: tokens of prompt and answer together.
      limit: most tokens of an answer.
      stops: sequences of tokens that end one.
    """

    length: int
    limit: int
    stops: tuple[tuple[int, ...], ...] = ((2,),)
    weights: tuple[float, ...] | None = None
    top_p: float | None = None

    @property
    def steered(self) -> bool:
        return self.weights is not None

    def model(self, models: Sequence[Any], batch: Mapping[str, Any]) -> Any:
        """The one model, or the steered one, with the weights of the batch: a sweep of them is one program."""
        if not self.steered:
            return models[0]
        return Steered(models[0], models[1], tuple(models[2:]), batch["mix"], top_p=self.top_p)

    def ask(self, function: Any, nets: Sequence[Frozen], batch: Mapping[str, Any]) -> Any:
        """`function(models, batch, way)` of trained networks."""
        return ask_together(function, nets, {**batch, **self._mix()}, self._program())

    def answers(self, nets: Sequence[Frozen], batch: Mapping[str, Any], key: jax.Array, heat: float = 1.0) -> Samples:
        """An answer to each prompt (`tokens`, `lengths`), drawn at a temperature."""
        prompts = {"tokens": batch["tokens"], "lengths": batch["lengths"]}
        return self.ask(_drawn, nets, {**prompts, "key": key, "temperature": np.float32(heat)})

    def divergence(self, reference: Frozen, nets: Sequence[Frozen], batch: Mapping[str, Any]) -> tuple[float, float]:
        """Σ_t KL(reference || this way), in nats, over counted tokens of rows, and how many they are.

        Args:
          batch: rows `tokens` (B, T); `counted` (B, T - 1), 1 where the next token is one of those; and `own`, the
            same rows as this way reads them, which may have more in front.
        """
        total, count = self.ask(_divergence, [reference, *nets], batch)
        return float(total), float(count)

    def flops(self, configs: Sequence[Any], prompt: int) -> float:
        """FLOPs of one answer, if it has all tokens that it may have, to a prompt padded to `prompt` tokens."""
        batch = {"tokens": np.zeros((1, prompt), np.int32), "lengths": np.ones(1, np.int32), "key": jax.random.key(0)}
        batch |= {"temperature": np.float32(1), **self._mix()}
        return float(flops_together(_drawn, configs, batch, self._program(), while_trips=self.limit))

    def _mix(self) -> dict[str, np.ndarray]:
        return {} if self.weights is None else {"mix": np.array(self.weights, np.float32)}

    def _program(self) -> Way:
        """All of it that is compiled: not the weights, only that there are some."""
        return Way(self.length, self.limit, self.stops, () if self.steered else None, self.top_p)


def drawn_rows(tuned: Result, data: Data, way: Way, seed: int) -> dict[str, np.ndarray]:
    """What `Way.divergence` reads: a model's drawn answers to all batches of `data` as rows `tokens`, and `counted`.

    >>> # rows = run.make("drawn", drawn_rows, tuned, prompts, Way(length=52, limit=24), 0)
    """
    nets, rows = [Frozen.of(tuned)], []
    for number, batch in enumerate(data.batches()):
        said = way.answers(nets, batch, jax.random.fold_in(jax.random.key(seed), 1000 + number))
        rows.append((said.tokens_BNS[:, 0], said.drawn_BNS[:, 0, 1:].astype(np.float32)))
    tokens, counted = map(np.concatenate, zip(*rows, strict=True))
    return {"tokens": tokens, "counted": counted}


def behind(shown: np.ndarray, tokens_BT: np.ndarray) -> np.ndarray:
    """Rows with some tokens put in behind their first one, such as examples between CLS and a prompt.

    >>> behind(np.array([8, 9]), np.array([[1, 5], [1, 6]])).tolist()
    [[1, 8, 9, 5], [1, 8, 9, 6]]
    """
    return np.concatenate([tokens_BT[:, :1], np.tile(shown, (len(tokens_BT), 1)), tokens_BT[:, 1:]], axis=1)


def _drawn(models: Sequence[Any], batch: Mapping[str, Any], way: Way) -> Samples:
    prompts, heat = Prompts(batch["tokens"], batch["lengths"]), batch["temperature"]
    how = {"length": way.length, "limit": way.limit, "stops": way.stops, "temperature": heat}
    return sample(way.model(models, batch), prompts, batch["key"], **how)


def _divergence(models: Sequence[Any], batch: Mapping[str, Any], way: Way) -> tuple[jax.Array, jax.Array]:
    reference, *others = models
    model, own = way.model(others, batch), batch["own"]
    logits_BTV = model.step(own, model.init_cache(*own.shape))[0][:, own.shape[1] - batch["tokens"].shape[1] :]
    p_BTV, q_BTV = (jax.nn.log_softmax(x) for x in (reference(batch["tokens"]), logits_BTV))
    each_BT = jnp.where(jnp.isneginf(p_BTV), 0, jnp.exp(p_BTV) * (p_BTV - q_BTV)).sum(-1)
    return (each_BT[:, :-1] * batch["counted"]).sum(), batch["counted"].sum()
