"""Several answers to each question about a fact: how many are right, how far they agree, how far they are apart.

Letters: B prompts, N answers to each, R = B N rows, S tokens of a row, L new tokens at most, E embed, V vocab.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.apart import take_apart
from stagejax.data import SEP
from stagejax.decode import Prompts, sample
from stagejax.decode.eigenscore import covariance, efficient_eigenscore, eigenscore, mean_log_eigenvalue, raised
from stagejax.ledger import count_flops
from stagejax.models.taps import at_second_to_last, tapped
from stagejax.objectives import causal_lm
from stagejax.stage import Batch, Metrics
from stagejax.steps.windows import interleaved

#: The measures of one prompt's answers, besides `ees_<moments>` of each number of moments.
JUDGED = ("accuracy", "consistency", "confabulation", "eigenscore", "entropy")
#: The environment of a process with one thread, of LAPACK's and of XLA's, on the CPU.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "NPROC": "1", "JAX_PLATFORMS": "cpu"}


@dataclass(frozen=True)
class SeveralAnswers:
    """A `models.taps.WatchedModel` answers, with all its coordinates. Called, it is an objective of evaluations.

    Batches hold prompts (`tokens`, `lengths`), each with its true row (`truth`: prompt, answer and SEP, padded with 0
    to `length`; `truth_targets`, `truth_weights`: 1 at the answer's), its group (`mark`, from 0), and beside them other
    rows (`text`, `text_targets`, `text_weights`).

    Args:
      groups: names of the marks 0, 1, ...: what metrics of these prompts begin with.
      length: tokens of prompt and answer.
      limit: most tokens of an answer.
      samples: answers to each prompt. They are drawn with the same key in each evaluation.
      moments: numbers of Chebyshev moments of the estimates of the EigenScore.
    """

    groups: tuple[str, ...]
    length: int
    limit: int
    samples: int = 10
    temperature: float = 0.7
    moments: tuple[int, ...] = (20,)

    def __call__(self, model: Any, batch: Batch, key: Any) -> tuple[jax.Array, Metrics]:
        """The loss on the other rows; for each group the means of what `judged` gives, the loss of the true answers as
        `answer_loss`, and the moments that `correlation` needs."""
        found, truth = self.judged(model, batch), {"tokens": batch["truth"], "targets": batch["truth_targets"]}
        found["eigenscore_square"] = found["eigenscore"] ** 2
        for name in self.estimates:
            found |= {f"{name}_square": found[name] ** 2, f"{name}_product": found[name] * found["eigenscore"]}
        text = {"tokens": batch["text"], "targets": batch["text_targets"], "weights": batch["text_weights"]}
        loss, metrics = causal_lm(model, text, None)
        metrics = {"loss": metrics["loss"]}
        for mark, group in enumerate(self.groups):
            mine_B = (batch["mark"] == mark).astype(jnp.float32)
            weights = batch["truth_weights"] * mine_B[:, None]
            metrics[f"{group}answer_loss"] = causal_lm(model, truth | {"weights": weights}, None)[1]["loss"]
            metrics |= {group + name: ((of_B * mine_B).sum(), mine_B.sum()) for name, of_B in found.items()}
        return loss, metrics

    @property
    def estimates(self) -> tuple[str, ...]:
        """Names of the estimates."""
        return tuple(f"ees_{moments}" for moments in self.moments)

    def judged(self, model: Any, batch: Batch) -> dict[str, jax.Array]:
        """For each prompt: `accuracy`, the share of right answers, token by token; `consistency`, the share of the most
        frequent one; `confabulation`, 1 where that is wrong and has less than half of the answers; `entropy` of the
        next token, in nats; `eigenscore` and its estimates, of the answers' sentence embeddings."""
        net, N = model.net, self.samples
        how = {"length": self.length, "limit": self.limit, "temperature": self.temperature, "stops": ((SEP,),)}
        drawn = sample(net, Prompts(batch["tokens"], batch["lengths"]), jax.random.key(0), n=N, **how)
        tokens_BNS, B = drawn.tokens_BNS, len(drawn.tokens_BNS)
        starts_R, ends_R = drawn.starts_BN.reshape(-1), drawn.ends_BN.reshape(-1)
        right_BN = (tokens_BNS == batch["truth"][:, None]).all(-1)
        votes_BN = (tokens_BNS[:, :, None] == tokens_BNS[:, None]).all(-1).sum(-1)
        agreed_B = jnp.take_along_axis(right_BN, votes_BN.argmax(1)[:, None], 1)[:, 0]
        share_B = votes_BN.max(1) / N

        hidden_RSE, stream_RSE = tapped(net, tokens_BNS.reshape(B * N, -1), net.config.layers - 1)
        answers_BNE = at_second_to_last(stream_RSE, ends_R).reshape(B, N, -1).astype(jnp.float32)
        at_RL = starts_R[:, None] - 1 + jnp.arange(self.limit)
        logits_RLV = net.logits(jnp.take_along_axis(hidden_RSE, at_RL[..., None], 1, mode="clip"))
        logp_RLV = jax.nn.log_softmax(logits_RLV.astype(jnp.float32))
        there_RL = at_RL + 1 < ends_R[:, None]
        entropy_R = (-(jnp.exp(logp_RLV) * logp_RLV).sum(-1) * there_RL).sum(1) / there_RL.sum(1)
        keys_B = jax.random.split(jax.random.key(1), B)

        def estimate(moments: int) -> jax.Array:
            return jax.vmap(lambda z_NE, key: efficient_eigenscore(z_NE, key, moments=moments))(answers_BNE, keys_B)

        measures = (right_BN.mean(1), share_B, ~agreed_B & (share_B < 0.5), jax.vmap(eigenscore)(answers_BNE))
        found = dict(zip(JUDGED, (*measures, entropy_R.reshape(B, N).mean(1)), strict=True))
        return found | {name: estimate(moments) for name, moments in zip(self.estimates, self.moments, strict=True)}

    def flops(self, config: Any, data: Any) -> float:
        """FLOPs of one batch, if all answers are as long as they may be."""
        return _flops(self, config, tuple(data.spec().items()))


@functools.cache
def _flops(how: SeveralAnswers, config: Any, spec: tuple[tuple[str, jax.ShapeDtypeStruct], ...]) -> float:
    graphdef, _, params, rest = take_apart(config)

    def one(params: Any, rest: Any, batch: Batch) -> Any:
        return how(nnx.merge(graphdef, params, rest), batch, None)

    return float(count_flops(one, params, rest, dict(spec), while_trips=how.limit))


def correlation(row: Mapping[str, Any], estimate: str) -> float:
    """Of the EigenScore and an estimate over the prompts of the first group, from one evaluation's metrics.

    >>> x, y = np.array([1.0, 2.0, 4.0]), np.array([0.0, 3.0, 5.0])
    >>> row = {"eigenscore": x.mean(), "eigenscore_square": (x * x).mean(), "ees_20": y.mean()}
    >>> row |= {"ees_20_square": (y * y).mean(), "ees_20_product": (x * y).mean()}
    >>> round(correlation(row, "ees_20"), 6), round(float(np.corrcoef(x, y)[0, 1]), 6)
    (0.953821, 0.953821)
    """
    x, y = row["eigenscore"], row[estimate]
    spread = (row["eigenscore_square"] - x * x) * (row[f"{estimate}_square"] - y * y)
    return float((row[f"{estimate}_product"] - x * y) / np.sqrt(spread))


def log_determinants_timed(sizes: tuple[int, ...], dim: int = 4096, repeats: int = 15) -> dict[str, list[float]]:
    """Milliseconds of a processor (the least of some) and values of both ways to (1/K) log det, by number K of answers.

    The matrix is there before: both ways need it. They take turns in a process of its own that has one thread: several
    of LAPACK's wait for work on the cores that XLA's need, and the other way round.

    >>> found = log_determinants_timed((3,), dim=8)
    >>> sorted(found), abs(found["exact value"][0] - found["estimate value"][0]) < 0.5
    (['estimate ms', 'estimate value', 'exact ms', 'exact value'], True)
    """
    code = f"import json, {__name__} as own; print(json.dumps(own.timed_here({sizes}, {dim}, {repeats})))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def timed_here(sizes: tuple[int, ...], dim: int, repeats: int) -> dict[str, list[float]]:
    """The same with the threads of this process."""
    ways = {"exact": _exact, "estimate": mean_log_eigenvalue}
    found: dict[str, list[float]] = {f"{name} {what}": [] for name in ways for what in ("ms", "value")}
    for size in sizes:
        positive = raised(covariance(jax.random.normal(jax.random.key(size), (size, dim))), 1e-3)
        calls = {name: functools.partial(jax.jit(way), positive, jax.random.key(0)) for name, way in ways.items()}
        seconds = interleaved(calls, repeats, clock=time.process_time)
        for name, call in calls.items():
            found[f"{name} value"].append(float(call()))
            found[f"{name} ms"].append(1000 * min(seconds[name]))
    return found


def _exact(positive_KK: jax.Array, key: jax.Array) -> jax.Array:
    return jnp.linalg.slogdet(positive_KK)[1] / len(positive_KK)
