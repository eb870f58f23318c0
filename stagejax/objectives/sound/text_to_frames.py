"""Text to frames with an alignment that is learned beside: WavThruVec's text2vec, RAD-TTS's losses of alignment.

Letters: B batch, N tokens, T frames, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stagejax.objectives.loss import Metrics
from stagejax.objectives.sound.monotonic_alignment import (
    beta_binomial_prior,
    binarisation,
    durations,
    forward_sum,
    monotonic_path,
    regulated,
)

Batch = Mapping[str, Any]


@dataclass(frozen=True)
class Binarised:
    """Options by progress: the weight of binarisation is 0 up to `start`, then rises to 1 at `full`.

    >>> [float(Binarised(0.25, 0.75)(progress)["binarised"]) for progress in (0.0, 0.5, 1.0)]
    [0.0, 0.5, 1.0]
    """

    start: float = 0.2
    full: float = 0.6

    def __call__(self, progress: Any) -> dict[str, Any]:
        return {"binarised": jnp.clip((progress - self.start) / (self.full - self.start), 0.0, 1.0)}


def aligned(model: Any, batch: Batch) -> tuple[Array, Array, Array, Array]:
    """Vectors of the tokens, log A of frames with the prior in it, log A_soft, and the hard path (B, T)."""
    tokens_BN, frames_BTF, count_B = batch["tokens"], batch["frames"], batch["count"]
    x_BNE = model.encoded(tokens_BN, batch["speaker"])
    scores_BTN = jnp.where((tokens_BN > 0)[:, None], model.scores(x_BNE, frames_BTF), -1e9)
    tokens_B = (tokens_BN > 0).sum(1)
    log_a_BTN = jax.nn.log_softmax(scores_BTN) + beta_binomial_prior(tokens_B, count_B, scores_BTN.shape[1:])
    path_BT = monotonic_path(jax.lax.stop_gradient(log_a_BTN), tokens_B, count_B)
    return x_BNE, log_a_BTN, jax.nn.log_softmax(log_a_BTN), path_BT


def text_to_frames(
    model: Any, batch: Batch, key: Array | None, *, binarised: Any = 1.0
) -> tuple[Float[Array, ""], Metrics]:
    """Squared error of frames + that of log durations + forward sum of a frame + `binarised` · binarisation.

    Durations are those of the likeliest monotonic path, by which tokens are also spread over frames.

    Args:
      model: a `models.speech.text_to_frames` network.
      batch: "tokens" (B, N), 0 behind the last, "frames" (B, T, F), how many of them are real, "count" (B,), and
        "speaker" (B, D).

    Returns:
      The loss, and the metrics `error` of frames, `duration`, `forward_sum`, `binarisation`.

    References: Siuzdak et al. 2022 (WavThruVec), https://arxiv.org/abs/2203.16930, section 2.1; Badlani et al. 2021,
    https://arxiv.org/abs/2108.10447, section 2.
    """
    frames_BTF, count_B, tokens_B = batch["frames"], batch["count"], (batch["tokens"] > 0).sum(1)
    x_BNE, log_a_BTN, log_soft_BTN, path_BT = aligned(model, batch)
    real_BT = jnp.arange(frames_BTF.shape[1]) < count_B[:, None]
    made_BTF = model.frames(x_BNE, path_BT, real_BT)
    error = (jnp.square(made_BTF - frames_BTF).mean(-1) * real_BT).sum() / real_BT.sum()
    there_BN = batch["tokens"] > 0
    wanted_BN = jnp.log(jnp.maximum(durations(path_BT, count_B, there_BN.shape[1]), 1).astype(error.dtype))
    apart = (jnp.square(model.log_durations(x_BNE) - wanted_BN) * there_BN).sum() / there_BN.sum()
    total = (forward_sum(log_a_BTN, tokens_B, count_B) / count_B).mean()
    hard = binarisation(log_soft_BTN, path_BT, count_B)
    loss = error + apart + total + binarised * hard
    return loss, {"loss": loss, "error": error, "duration": apart, "forward_sum": total, "binarisation": hard}


def frames_of_text(
    model: Any, tokens_BN: Int[Array, "B N"], speaker_BD: Float[Array, "B D"], frames: int
) -> tuple[Float[Array, "B T F"], Int[Array, " B"]]:
    """Frames of texts by predicted durations, at least one frame a token, and how many of them are real."""
    x_BNE = model.encoded(tokens_BN, speaker_BD)
    rounded_BN = jnp.maximum(jnp.round(jnp.exp(model.log_durations(x_BNE))), 1).astype(jnp.int32)
    token_BT, count_B = regulated(jnp.where(tokens_BN > 0, rounded_BN, 0), frames)
    token_BT = jnp.minimum(token_BT, (tokens_BN > 0).sum(1)[:, None] - 1)
    real_BT = jnp.arange(frames) < count_B[:, None]
    return model.frames(x_BNE, token_BT, real_BT), count_B
