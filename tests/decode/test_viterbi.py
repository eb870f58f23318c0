"""The best sequence of a chain of second order is the best of all sequences."""

import itertools

import jax.numpy as jnp
import numpy as np

from stagejax.decode.viterbi import viterbi


def test_best_of_all_sequences() -> None:
    rng = np.random.default_rng(0)
    K, T, B = 3, 4, 5
    moves, scores = rng.normal(size=(K, K, K)), rng.normal(size=(T, B, K))
    found = np.asarray(viterbi(jnp.asarray(moves, jnp.float32), jnp.asarray(scores, jnp.float32)))

    def worth(states: tuple[int, ...], b: int) -> float:
        chain = (0, 0, *states)
        return sum(moves[chain[t], chain[t + 1], chain[t + 2]] + scores[t, b, chain[t + 2]] for t in range(T))

    for b in range(B):
        assert tuple(found[:, b]) == max(itertools.product(range(K), repeat=T), key=lambda own, b=b: worth(own, b))
