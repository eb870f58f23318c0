"""Recognition without alignments: connectionist temporal classification (CTC), and what its likeliest path says.

Letters: B batch, t time steps, K classes (0 is the blank), W words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from stagejax.objectives.loss import Metrics


def ctc(
    model: Any, batch: Mapping[str, Any], key: Array | None, *, hidden: int = 0
) -> tuple[Float[Array, ""], Metrics]:
    """-log p(words | frames), summed over all alignments; the mean of utterances, in nats.

    Args:
      model: `model(frames, real, key)` gives logits (B, t, K) and which time steps are real.
      batch: "frames" (B, T, M), "real" (B, T), and "words" (B, W), 0 behind the last.
      key: draws dropout and hidden bands; None in evaluation.
      hidden: so many bands at most are hidden in each of two runs (see `without_bands`).

    Returns:
      The loss, and the pairs `loss` and `exact`: utterances whose likeliest path says just the words.

    Reference: Graves et al., Connectionist temporal classification, ICML 2006.

    >>> path = 20 * jnp.eye(3)[jnp.array([[1, 0, 2]])]
    >>> batch = {"frames": path, "real": jnp.ones((1, 3), bool), "words": jnp.array([[1, 2]])}
    >>> loss, metrics = ctc(lambda frames, real, key: (frames, real), batch, None)
    >>> bool(loss < 1e-4), float(metrics["exact"][0])
    (True, 1.0)
    """
    words_BW, frames = batch["words"], batch["frames"]
    if key is not None and hidden:
        for own in jax.random.split(jax.random.fold_in(key, 1)):
            frames = without_bands(frames, own, hidden)
    logits_BtK, real_Bt = model(frames, batch["real"], key)
    logits_BtK = logits_BtK.astype(jnp.promote_types(logits_BtK.dtype, jnp.float32))
    paddings = (~real_Bt).astype(logits_BtK.dtype), (words_BW == 0).astype(logits_BtK.dtype)
    losses_B = optax.ctc_loss(logits_BtK, paddings[0], words_BW, paddings[1])
    said_Bt = collapsed(logits_BtK, real_Bt)
    wanted_Bt = jnp.pad(words_BW, ((0, 0), (0, max(0, said_Bt.shape[1] - words_BW.shape[1]))))[:, : said_Bt.shape[1]]
    count = jnp.float32(len(losses_B))
    right = (said_Bt == wanted_Bt).all(1).sum().astype(count.dtype)
    return losses_B.mean(), {"loss": (losses_B.sum(), count), "exact": (right, count)}


def columns_ctc(model: Any, batch: Mapping[str, Any], key: Array | None) -> tuple[Float[Array, ""], Metrics]:
    """`ctc` on images of lines, whose columns of pixels are the frames.

    Args:
      batch: "image" (B, Y, X, 1), and "labels" (B, W) from 0, -1 behind the last.
    """
    frames = columns_of(batch["image"])
    real = jnp.ones(frames.shape[:2], bool)
    return ctc(model, {"frames": frames, "real": real, "words": batch["labels"] + 1}, key)


def columns_of(images_BYX1: Float[Array, "B Y X 1"]) -> Float[Array, "B X Y"]:
    """The columns of images of lines, from left to right.

    >>> columns_of(jnp.arange(6.0).reshape(1, 2, 3, 1))[0].tolist()
    [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    """
    return images_BYX1[..., 0].swapaxes(1, 2)


def collapsed(logits_BtK: Float[Array, "B t K"], real_Bt: Bool[Array, "B t"]) -> Int[Array, "B t"]:
    """The words of the likeliest path: repetitions count once, blanks fall out; 0 behind the last word.

    >>> path = jnp.eye(3)[jnp.array([[0, 1, 1, 0, 1, 2]])]
    >>> collapsed(path, jnp.arange(6)[None] < 5).tolist()
    [[1, 1, 0, 0, 0, 0]]
    """
    path_Bt = logits_BtK.argmax(-1)
    before_Bt = jnp.pad(path_Bt, ((0, 0), (1, 0)))[:, :-1]
    kept_Bt = (path_Bt != before_Bt) & (path_Bt != 0) & real_Bt
    B, t = path_Bt.shape
    at_Bt = jnp.where(kept_Bt, kept_Bt.cumsum(1) - 1, t)
    return jnp.zeros((B, t), path_Bt.dtype).at[jnp.arange(B)[:, None], at_Bt].set(path_Bt, mode="drop")


def without_bands(frames_BTM: Float[Array, "B T M"], key: Array, most: int) -> Float[Array, "B T M"]:
    """Frames in which a run of 0 to `most` mel bands is zero: another run for each utterance.

    Reference: the frequency masks of SpecAugment, Park et al. 2019, https://arxiv.org/abs/1904.08779.

    >>> frames = without_bands(jnp.ones((50, 2, 8)), jax.random.key(0), 3)
    >>> sorted(set((frames == 0).all(1).sum(1).tolist()))
    [0, 1, 2, 3]
    """
    B, _, M = frames_BTM.shape
    sizes, places = jax.random.split(key)
    width_B = jax.random.randint(sizes, (B,), 0, most + 1)
    first_B = jax.random.randint(places, (B,), 0, M - width_B + 1)
    at_M = jnp.arange(M)
    gone_BM = (at_M >= first_B[:, None]) & (at_M < (first_B + width_B)[:, None])
    return jnp.where(gone_BM[:, None], 0.0, frames_BTM)
