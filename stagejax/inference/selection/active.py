"""Active learning in rounds, with self-training in each: what differs between arms, and all rounds on frozen features.

Letters: S seeds, R rounds and the start, N texts of the pool, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stagejax.data.order import shuffled
from stagejax.data.selection.active import balanced_start, contrastive
from stagejax.inference.selection.pseudo_labels import HAST, Pseudo, Said, Selector, entropy
from stagejax.objectives.retrieval.neighbours import among
from stagejax.steps.probes import Heads, Probe

#: (probabilities (N, C), how many, draws, neighbours (N, K)) -> the items to buy the labels of; see
#: `data.selection.active`.
Query = Callable[..., np.ndarray]
#: Rows, labels and weights.
Example = tuple[np.ndarray, np.ndarray, np.ndarray]
#: What `judged` says.
JUDGED = ("right", "raw", "accepted", "uneven")
#: Neighbours of an item that the query CAL compares it with.
CAL_NEIGHBOURS = 10


@dataclass(frozen=True)
class Protocol:
    """How labels are bought.

    >>> Protocol(start=30, rounds=2, asked=10).labels
    [30, 40, 50]
    """

    pool: int = 4000  # texts that may be asked for
    start: int = 30  # labels, balanced
    rounds: int = 10
    asked: int = 10  # labels of a round

    @property
    def labels(self) -> list[int]:
        """How many labels there are at the start and after each round."""
        return [self.start + r * self.asked for r in range(self.rounds + 1)]


@dataclass(frozen=True)
class Strategy:
    """What follows the training on labels in each round, as long whatever is accepted.

    Every field beside the selector is what that needs.
    """

    selector: Selector | None = None  # None: nothing follows
    passes: int = 0  # with dropout, over all items; training goes on with that dropout
    again: bool = False  # a second classifier, trained on the same labels


def nothing(pool: Said, known: Said, rng: np.random.Generator) -> Pseudo:
    """A selector that accepts no item: training goes on with the labels alone."""
    none = np.zeros(0, np.int64)
    return Pseudo(none, none, np.zeros(0), np.ones(len(known.probabilities_NC)))


def unlabelled(rows: Int[np.ndarray, " L"], size: int) -> Int[np.ndarray, " N_less_L"]:
    """The other items of a pool of `size`, in order."""
    return np.setdiff1d(np.arange(size), rows)


def judged(found: Pseudo, pool: Said, true_N: Int[np.ndarray, " N"]) -> dict[str, float]:
    """For reports alone, by true labels that no selector sees: what was accepted.

    Returns by the names of `JUDGED`:
      "right" and "raw", the shares of right labels among the accepted and among all predictions; "accepted", how many;
      "uneven", log C less the entropy of the accepted classes. NaN where nothing was accepted.
    """
    count, classes = len(found.items_M), pool.probabilities_NC.shape[1]
    right = (found.labels_M == true_N[found.items_M]).mean() if count else np.nan
    shares = np.bincount(found.labels_M, minlength=classes) / max(1, count)
    uneven = np.log(classes) - entropy(shares) if count else np.nan
    raw = (pool.predicted_N == true_N).mean()
    return dict(zip(JUDGED, map(float, (right, raw, count, uneven)), strict=True))


def macro_f1(predicted_N: Int[np.ndarray, " N"], true_N: Int[np.ndarray, " N"], classes: int) -> float:
    """The mean over classes of the harmonic mean of precision and recall; 0 of a class that is never right.

    >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).__round__(3)
    0.667
    """
    both = np.zeros((classes, classes))
    np.add.at(both, (true_N, predicted_N), 1)
    return float((2 * both.diagonal() / np.maximum(both.sum(0) + both.sum(1), 1)).mean())


def area(values_SR: Float[np.ndarray, "S R"], labels: Sequence[int]) -> Float[np.ndarray, " S"]:
    """The area under curves over the number of labels, divided by their range.

    >>> area(np.array([[0.0, 1.0, 1.0]]), [10, 20, 30])
    array([0.75])
    """
    return np.trapezoid(values_SR, np.asarray(labels, float), axis=1) / (labels[-1] - labels[0])


@dataclass(frozen=True, eq=False)
class OnFeatures:
    """Active learning with heads on frozen features, for all seeds side by side.

    In each round fresh heads are trained on the labels so far; the selector chooses pseudo labels by what they say; the
    same heads go on with both, from fresh moments; the query asks by what these say. Seeds share nothing but the
    features. An unlabelled item's label is read when it is bought, and by `judged`.

    Args:
      dropout: of the second phase of a strategy with passes, and of these passes.
      features: "pool" (N, D), its "graph" (N, K) of nearest others, "label" (N,), "test" (n, D) and "test_label" (n,).
        K is at least the labels that are bought and the neighbours that are asked for, together.
    """

    protocol: Protocol
    probe: Probe
    dropout: tuple[float, float]
    seeds: tuple[int, ...]
    features: Mapping[str, np.ndarray]

    def __call__(self, query: Query, strategy: Strategy) -> dict[str, np.ndarray]:
        """All rounds.

        Returns:
          "accuracy", "f1" and "before" (the accuracy of the first phase) on the test, and what `judged` says, each
          (S, R); "rows", what was bought in this order, (S, labels).
        """
        true, p, columns = self.features["label"], self.protocol, []
        rngs = [np.random.default_rng(seed) for seed in self.seeds]
        owned = [balanced_start(true, p.start, rng) for rng in rngs]
        for r in range(p.rounds + 1):
            labels = [(rows, true[rows], np.ones(len(rows))) for rows in owned]
            first = self._trained(self.probe, self.probe.fresh(self._keys(0, r)), r, labels)
            heads, verdicts = first, []
            if strategy.selector is not None:
                examples, verdicts = self._chosen(strategy, first, r, owned, rngs)
                how = replace(self.probe, dropout=self.dropout) if strategy.passes else self.probe
                heads = self._trained(how, first, r + p.rounds + 1, examples)
            columns.append(
                self._scores(heads, first) | {k: np.array([v[k] for v in verdicts]) for k in JUDGED if verdicts}
            )
            if r < p.rounds:
                said_SNC = self.probe.answers(heads, self.features["pool"])
                for s, rng in enumerate(rngs):
                    rest = unlabelled(owned[s], len(true))
                    near = self._near(rest, CAL_NEIGHBOURS) if query is contrastive else None
                    asked = query(said_SNC[s][rest], p.asked, rng, near)
                    owned[s] = np.concatenate([owned[s], rest[asked]])
        return {name: np.stack([own[name] for own in columns], 1) for name in columns[0]} | {"rows": np.stack(owned)}

    def _trained(self, probe: Probe, heads: Heads, number: int, examples: Sequence[Example]) -> Heads:
        """Heads after the steps of a phase on rows, labels and weights, one triple a seed."""
        made = []
        for seed, own in zip(self.seeds, examples, strict=True):
            at = shuffled(seed + 1000 * number, np.arange(probe.steps * probe.batch), len(own[0]))
            made.append([column[at].reshape(probe.steps, probe.batch) for column in own])
        rows, label, weights = (np.stack(column) for column in zip(*made, strict=True))
        batches = {"rows": rows, "label": label, "weights": weights.astype(np.float32)}
        return probe.fit(heads, self._keys(1, number), self.features["pool"], batches)

    def _chosen(
        self, strategy: Strategy, heads: Heads, number: int, owned: Sequence[np.ndarray], rngs: Sequence[Any]
    ) -> tuple[list[Example], list[dict[str, float]]]:
        """Labelled and accepted examples of every seed, and what is to be said of these."""
        pool_ND, true, probe = self.features["pool"], self.features["label"], self.probe
        said_SNC, passes, again = probe.answers(heads, pool_ND), [None] * len(owned), [None] * len(owned)
        if strategy.passes:
            loud = replace(probe, dropout=self.dropout)
            passes = loud.passes(heads, self._keys(2, number), pool_ND, strategy.passes)
        if strategy.again:
            labels = [(rows, true[rows], np.ones(len(rows))) for rows in owned]
            again = probe.answers(self._trained(probe, probe.fresh(self._keys(3, number)), number, labels), pool_ND)
        examples, verdicts = [], []
        for s, (rows, rng) in enumerate(zip(owned, rngs, strict=True)):
            rest = unlabelled(rows, len(true))
            whole = Said(pool_ND, said_SNC[s], None, passes[s], again[s])
            near = self._near(rest, strategy.selector.k - 1) if isinstance(strategy.selector, HAST) else None
            pool = replace(whole.of(rest), neighbours_NK=near)
            found = strategy.selector(pool, whole.of(rows), rng)
            both = np.concatenate([rows, rest[found.items_M]]), np.concatenate([true[rows], found.labels_M])
            examples.append((*both, found.weights()))
            verdicts.append(judged(found, pool, true[rest]))
        return examples, verdicts

    def _near(self, rest: np.ndarray, k: int) -> np.ndarray:
        return among(self.features["graph"], np.isin(np.arange(len(self.features["label"])), rest), k)

    def _scores(self, heads: Heads, first: Heads) -> dict[str, np.ndarray]:
        test, label = self.features["test"], self.features["test_label"]
        last, before = (self.probe.answers(own, test).argmax(-1) for own in (heads, first))
        f1 = np.array([macro_f1(own, label, self.probe.classes) for own in last])
        return {"accuracy": (last == label).mean(1), "before": (before == label).mean(1), "f1": f1}

    def _keys(self, purpose: int, number: int) -> jax.Array:
        def one(seed: jax.Array) -> jax.Array:
            return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), purpose), number)

        return jax.vmap(one)(jnp.array(self.seeds))


def flops_on_features(strategy: Strategy, protocol: Protocol, probe: Probe, seeds: Sequence[int]) -> float:
    """The matmul FLOPs of `OnFeatures`: phases of training, a second classifier, and each time that the pool is asked.

    >>> one = Protocol(pool=100, rounds=0), Probe(4, 8, 2, steps=10, batch=5), (0,)
    >>> flops_on_features(Strategy(), *one) == (3 * 50 + 100) * one[1].flops
    True
    """
    follows = strategy.selector is not None
    trained, asked = 1 + follows + strategy.again, 1 + follows + strategy.passes + strategy.again
    own = probe.flops * (3 * trained * probe.steps * probe.batch + asked * protocol.pool)
    return len(seeds) * (protocol.rounds + 1) * own
