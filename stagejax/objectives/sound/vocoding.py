"""A vocoder against its discriminators: least squares, matched features and the distance of mel spectrograms.

The objectives see the other models of their stage as `others`: "generator", (frames, speakers, train, still) -> waves,
and "discriminator", signals -> (logits of each, layers of each). A batch has "frames" (B, T, F), "speaker" (B, D) and
"signal" (B, S).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stagejax.objectives.loss import Metrics
from stagejax.objectives.sound.spectral import mel_distance

Batch = Mapping[str, Any]


def told_apart(
    model: Any, batch: Batch, key: Array | None, *, others: Mapping[str, Any]
) -> tuple[Float[Array, ""], Metrics]:
    """The discriminators' loss: sum over them of mean (D(x) - 1)² + mean D(G(s))².

    Returns:
      The loss, and how often places of each kind are told right: `real`, `fake`.

    Reference: Kong et al. 2020 (HiFi-GAN), https://arxiv.org/abs/2010.05646, equation 1; Mao et al. 2017,
    https://arxiv.org/abs/1611.04076.
    """
    made = others["generator"](batch["frames"], batch["speaker"], train=True, still=True)
    real, fake = model(batch["signal"])[0], model(jax.lax.stop_gradient(made))[0]
    loss = sum(jnp.square(x - 1).mean() for x in real) + sum(jnp.square(x).mean() for x in fake)
    right = sum((x > 0.5).mean() for x in real) / len(real), sum((x < 0.5).mean() for x in fake) / len(fake)
    return loss, {"loss": loss, "real": right[0], "fake": right[1]}


@dataclass(frozen=True)
class Vocoded:
    """The generator's loss: sum of mean (D(G(s)) - 1)² + `matching` · matched features + `mels` · `mel_distance`.

    Args:
      mel: a `data.sound.audio.LogMel`.
      adversarial: weight of the first term and, times it, of the second.

    Reference: Kong et al. 2020 (HiFi-GAN), https://arxiv.org/abs/2010.05646, equations 2, 4, 5 and 6.

    >>> Vocoded(mel=None).mels
    45.0
    """

    mel: Any
    matching: float = 2.0
    mels: float = 45.0
    adversarial: float = 1.0

    def __call__(
        self, model: Any, batch: Batch, key: Array | None, *, others: Mapping[str, Any]
    ) -> tuple[Float[Array, ""], Metrics]:
        """The loss, and the metrics `mel`, `fooled` (the first term) and `matched`."""
        made = model(batch["frames"], batch["speaker"], train=True)
        logits, fake = others["discriminator"](made)
        real = jax.lax.stop_gradient(others["discriminator"](batch["signal"])[1])
        fooled = sum(jnp.square(x - 1).mean() for x in logits)
        matched, apart = feature_matching(real, fake), mel_distance(self.mel, made, batch["signal"])
        loss = self.adversarial * (fooled + self.matching * matched) + self.mels * apart
        return loss, {"loss": loss, "mel": apart, "fooled": fooled, "matched": matched}


def feature_matching(real: Sequence[Sequence[Array]], fake: Sequence[Sequence[Array]]) -> Float[Array, ""]:
    """Sum over discriminators and their layers of the mean absolute difference of what they see in both.

    Reference: Kong et al. 2020 (HiFi-GAN), equation 4; Larsen et al. 2016, https://arxiv.org/abs/1512.09300.

    >>> float(feature_matching([[jnp.zeros(2), jnp.ones(3)]], [[jnp.ones(2), jnp.ones(3)]]))
    1.0
    """
    return sum(  # type: ignore[return-value]
        (jnp.abs(a - b).mean() for one, other in zip(real, fake, strict=True) for a, b in zip(one, other, strict=True)),
        start=jnp.zeros(()),
    )
