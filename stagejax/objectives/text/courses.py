"""The loss of several courses in detecting altered tokens, and of the lessons that repeat what went wrong (MCL)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from stagejax.objectives.loss import Metrics, weighted
from stagejax.objectives.text.corruption import Corruption, Corruptor, at, balanced, insert, mask, swap
from stagejax.objectives.text.replaced_tokens import detecting, in_turn, logits_at, notebook, restoring, sampled

Sums = tuple[jax.Array, ...]  # of each course


@dataclass(frozen=True)
class Courses:
    """An objective of an `Electra`: the loss of some courses, with or without self-correction.

        L = sum over restored courses of L_G + weight * (sum over all courses of L_D)
            [+ the same of the restored courses' second lessons: L_G' + weight * L_D']

    A course corrupts the clean rows (`targets` of a batch), the generator's samples fill them, the detector judges
    every token. L_G is the mean cross entropy of the original tokens at the corrupted places, which insertions do not
    have; L_D is the mean binary cross entropy over all tokens, where a sample that is the original token counts as
    original. In the second lesson the places at which the samples were wrong are corrupted again, and only they; L_G'
    is the mean over them, L_D' over the tokens that the detector had misjudged and as many others of their rows.

    Rows have no padding. Held-out rows (key None) are corrupted in the same way each time. Metrics are, of each course
    by the corruptor's name: the share of tokens that are `altered`, how many of these are `found`, the detector's
    `loss`, tokens of a row by kind (`pos1` to `pos4`, see `notebook`), and the share of places `restored` by the
    likeliest token.

    Reference: Chen et al. 2023 (MCL), https://arxiv.org/abs/2305.03981; with `mask` alone and no correction, Clark et
    al. 2020 (ELECTRA), https://arxiv.org/abs/2003.10555.

    >>> from flax import nnx
    >>> from stagejax.models import bert
    >>> from stagejax.models.text.electra import Electra
    >>> small = bert(vocab=20, layers=1, embed=8, heads=2)
    >>> model, batch = Electra(small, small).build(nnx.Rngs(0)), {"targets": jnp.arange(4, 20).reshape(2, 8)}
    >>> loss, metrics = jax.jit(lambda key: Courses()(model, batch, key))(jax.random.key(0))
    >>> [float(part) for part in metrics["insert_altered"]]
    [4.0, 16.0]
    """

    restored: tuple[Corruptor, ...] = (mask, swap)
    inserted: tuple[Corruptor, ...] = (insert,)
    corrected: bool = True
    rate: float = 0.15
    weight: float = 50.0  # of the detector's losses

    def __call__(self, model: Any, batch: Any, key: jax.Array | None) -> tuple[jax.Array, Metrics]:
        """An objective on rows of running text; held-out rows are always corrupted in the same way."""
        clean_BT, C, D = batch["targets"], len(self.restored), len(self.inserted)
        corrupt, fill, corrupt_more, fill_more, correct = jax.random.split(_key(key, clean_BT), 5)
        made = corrupted(corrupt, clean_BT, self.restored, self.rate)
        logits_BKV = logits_at(model.generator, made)
        restored = restoring(logits_BKV, made, jnp.ones(made.places_BK.shape), C)
        filled_BT = made.filled(sampled(fill, logits_BKV))
        gold_BT, read_BT = made.gold_BT, filled_BT
        if D:
            blank = corrupted(corrupt_more, clean_BT, self.inserted, self.rate)
            more_BT = blank.filled(sampled(fill_more, logits_at(model.generator, blank)))
            gold_BT = in_turn(apart(gold_BT, C), apart(blank.gold_BT, D))
            read_BT = in_turn(apart(read_BT, C), apart(more_BT, D))
        altered_BT, scores_BT = read_BT != gold_BT, model.verdicts(read_BT)
        detected = detecting(scores_BT, altered_BT, jnp.ones(read_BT.shape), C + D)
        loss = self._sum(restored, detected)
        metrics = self._noted(restored, detected, notebook(altered_BT, scores_BT > 0, C + D), len(clean_BT))
        if self.corrected:
            erred_BT = altered_BT != (scores_BT > 0)
            wrong_BT, erred_BT = (apart(x_BT, C + D)[:, :C].reshape(filled_BT.shape) for x_BT in (altered_BT, erred_BT))
            loss += self._correction(model, correct, made, filled_BT, wrong_BT, erred_BT)
        return loss, metrics | {"loss": (loss, 1.0)}

    def _correction(
        self,
        model: Any,
        key: jax.Array,
        made: Corruption,
        filled_BT: jax.Array,
        wrong_BT: jax.Array,
        erred_BT: jax.Array,
    ) -> jax.Array:
        """What was wrong once more: the generator fills it anew, the detector learns where it had erred."""
        fill, choose = jax.random.split(key)
        again, wrong_BK, C = made.again(wrong_BT), at(wrong_BT, made.places_BK), len(self.restored)
        logits_BKV = logits_at(model.generator, again)
        restored = restoring(logits_BKV, again, wrong_BK.astype(jnp.float32), C)
        said_BK = jnp.where(wrong_BK, sampled(fill, logits_BKV), at(filled_BT, made.places_BK))
        read_BT, counted_BT = made.filled(said_BK), balanced(choose, erred_BT)
        weights_BT = counted_BT.astype(jnp.float32)
        return self._sum(restored, detecting(model.verdicts(read_BT), read_BT != made.gold_BT, weights_BT, C))

    def _sum(self, restored: Sums, detected: Sums) -> jax.Array:
        """The generator's mean loss in each course, and the detector's times its weight."""
        (said, _, places), (judged, tokens) = restored, detected
        return (said / jnp.maximum(places, 1)).sum() + self.weight * (judged / jnp.maximum(tokens, 1)).sum()

    def _noted(self, restored: Sums, detected: Sums, book: jax.Array, rows: int) -> Metrics:
        """Of each course: the share of altered tokens, how many of them are found, the loss, and the notebook."""
        metrics: Metrics = {}
        for c, corruptor in enumerate((*self.restored, *self.inserted)):
            name, altered = corruptor.__name__, book[2, c] + book[3, c]
            metrics[f"{name}_altered"] = altered, book[:, c].sum()
            metrics[f"{name}_found"] = book[3, c], altered
            metrics[f"{name}_loss"] = detected[0][c], detected[1][c]
            metrics |= {f"{name}_pos{k}": (book[k - 1, c], float(rows)) for k in (1, 2, 3, 4)}
            if c < len(self.restored):
                metrics[f"{name}_restored"] = restored[1][c], restored[2][c]
        return metrics


def only_masked(model: Any, batch: Any, key: jax.Array | None, *, rate: float = 0.15) -> tuple[jax.Array, Metrics]:
    """Masked language modelling by an encoder alone, `model.encoder`, from the same `mask` and at its places only."""
    made = mask(_key(key, batch["targets"]), batch["targets"], rate)
    return weighted(logits_at(model.encoder, made), at(made.gold_BT, made.places_BK))


def corrupted(key: jax.Array, clean_BT: jax.Array, corruptors: tuple[Corruptor, ...], rate: float) -> Corruption:
    """A batch by every corruptor, whose rows take turns."""
    keys = jax.random.split(key, len(corruptors))
    made = [corrupt(own, clean_BT, rate) for own, corrupt in zip(keys, corruptors, strict=True)]
    return Corruption(*(in_turn(jnp.stack(leaves, 1)) for leaves in zip(*made, strict=True)))


def apart(rows: jax.Array, courses: int) -> jax.Array:
    """Rows that take turns as (B, courses, T)."""
    return rows.reshape(-1, courses, rows.shape[1])


def _key(key: jax.Array | None, clean_BT: jax.Array) -> jax.Array:
    """The key of a step, or one that held-out rows have of their own."""
    return jax.random.fold_in(jax.random.key(0), clean_BT.sum()) if key is None else key
