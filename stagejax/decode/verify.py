"""Verifiers: programs that judge a completion by rules. On the host, or called from inside a compiled step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float32

from stagejax.decode.prompts import completions
from stagejax.decode.sample import Samples

#: (samples, batch) -> rewards (B, N) from 0 to 1, by rules alone; traced. A `Judge` calls one on the host.
RewardRule = Callable[[Samples, Mapping[str, Any]], jax.Array]


@runtime_checkable
class Verifier(Protocol):
    """A pure function of two texts: the reward of a completion of a prompt, 1.0 where it is right and 0.0 where not."""

    def __call__(self, prompt: str, completion: str, /) -> float: ...


def verdicts(
    verifier: Verifier, prompts: Sequence[str], completions: Sequence[Sequence[str]]
) -> Float32[np.ndarray, "B N"]:
    """The reward of every completion of every prompt.

    >>> verdicts(lambda prompt, completion: float(completion == prompt[::-1]), ["abc"], [["cba", "abc"]]).tolist()
    [[1.0, 0.0]]
    """
    rows = zip(prompts, completions, strict=True)
    return np.array([[verifier(prompt, each) for each in group] for prompt, group in rows], np.float32)


@dataclass(frozen=True)
class Judge:
    """The rewards of samples inside a compiled step, by a call to the host: rollouts of RL with verifiable rewards.

    Args:
      verifier: a pure function; it is called again for the same texts when a stage is resumed.
      decode: ids to text, such as the `decode` of a codec.
      unstopped: the reward of a sample that no stop string ended; None: what the verifier says.

    >>> judge = Judge(lambda prompt, completion: float(prompt == completion), lambda ids: " ".join(map(str, ids)))
    >>> one, = jax.numpy.ones((1, 1, 1)), ; ints = lambda x: jax.numpy.array(x)
    >>> drawn = Samples(ints([[[5, 5]]]), ints([[1]]), ints([[2]]), ints([[0]]), one, one)
    >>> jax.jit(judge)(drawn).tolist()
    [[1.0]]
    """

    verifier: Verifier
    decode: Callable[[Any], str]
    unstopped: float | None = None

    def __call__(self, samples: Samples) -> Float32[Array, "B N"]:
        """Rewards (B, N)."""
        shape = jax.ShapeDtypeStruct(samples.ends_BN.shape, np.float32)
        return jax.pure_callback(self.on_host, shape, samples)

    def on_host(self, samples: Samples) -> Float32[np.ndarray, "B N"]:
        """The same of samples that are there."""
        samples = jax.tree.map(np.asarray, samples)
        given = zip(samples.tokens_BNS[:, 0], samples.starts_BN[:, 0], strict=True)
        prompts = [self.decode(tokens[:start]) for tokens, start in given]
        found = completions(samples)
        rewards = verdicts(self.verifier, prompts, [[self.decode(each.tokens) for each in group] for group in found])
        if self.unstopped is None:
            return rewards
        stopped = np.array([[each.stopped for each in group] for group in found])
        return np.where(stopped, rewards, np.float32(self.unstopped))
