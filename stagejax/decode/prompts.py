"""Prompts of different lengths as arrays of one shape, and samples as sequences again. On the host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Prompts:
    """Rows of tokens that begin at 0; what stands at or behind a row's length is padding.

    `prefixes_B` is for a prefix LM, such as a `LanguageModel` trained with `prefix`: so many first tokens of a row are
    seen by all of it, those before them too. `Prompts(tokens, lengths, lengths)` are prompts that are all prefix.
    """

    tokens_BP: Any
    lengths_B: Any
    prefixes_B: Any = None  # None: the model is causal

    def read(self, model: Any, length: int) -> tuple[Any, Any]:
        """The prompts with zeros for padding, and the model's cache of them without the last token of each.

        That token is the first to be stepped on, for its logits; where it belongs to the prefix, the tokens before it
        have seen it, and it gets the same keys and values a second time.
        """
        at_P, lengths_B = jnp.arange(self.tokens_BP.shape[1]), jnp.asarray(self.lengths_B)
        there_BP = at_P < lengths_B[:, None]
        tokens_BP = jnp.where(there_BP, jnp.asarray(self.tokens_BP), 0)
        prefix = {}
        if self.prefixes_B is not None:
            prefix = {"prefix": there_BP & (at_P < jnp.asarray(self.prefixes_B)[:, None])}
        cache = model.init_cache(len(tokens_BP), length)
        return tokens_BP, model.step(tokens_BP, cache, lengths_B - 1, **prefix)[1]


def padded_prompts(prompts: Sequence[Iterable[Any]], length: int) -> Prompts:
    """Token sequences, padded on the right to one length. A program compiled for it serves all shorter prompts.

    Raises:
      ValueError: a prompt is empty or longer; the error gives its number and size.

    >>> padded_prompts([[5, 6], [7]], 3).tokens_BP.tolist()
    [[5, 6, 0], [7, 0, 0]]
    """
    rows = [np.asarray(list(prompt), np.int32) for prompt in prompts]
    tokens_BP = np.zeros((len(rows), length), np.int32)
    for number, row in enumerate(rows):
        if not 1 <= len(row) <= length:
            raise ValueError(
                f"prompt {number} has {len(row)} tokens: it needs 1 to {length}. Begin every prompt with a token such "
                "as CLS; cut long prompts, or raise `length`."
            )
        tokens_BP[number, : len(row)] = row
    return Prompts(tokens_BP, np.array([len(row) for row in rows], np.int32))


@dataclass(frozen=True)
class Completion:
    """What one sample says behind its prompt."""

    tokens: Int[np.ndarray, " T"]  # without the stop string
    stopped: bool  # by a stop string; else the limit cut it
    logprob: float  # of all its tokens and of the stop string, under the model itself
    sampled: int  # number of tokens drawn, those of the stop string among them


def completions(samples: Any) -> list[list[Completion]]:
    """The samples of each prompt, as sequences.

    >>> from stagejax.decode import Recomputed, sample
    >>> counting = Recomputed(lambda tokens, _: 50 * jax.nn.one_hot(tokens + 1, 9))
    >>> drawn = sample(counting, padded_prompts([[3], [5]], 1), jax.random.key(0), length=6, stops=((7, 8),))
    >>> [each.tokens.tolist() for each, in completions(drawn)]
    [[4, 5, 6], [6]]
    """
    got = jax.tree.map(np.asarray, samples)
    found = [
        Completion(
            got.tokens_BNS[at][got.starts_BN[at] : got.ends_BN[at] - got.stop_sizes_BN[at]],
            bool(got.stop_sizes_BN[at] > 0),
            float(got.logprobs_BNS[at].sum()),
            int(got.ends_BN[at] - got.starts_BN[at]),
        )
        for at in np.ndindex(got.ends_BN.shape)
    ]
    n = got.ends_BN.shape[1]
    return [found[start : start + n] for start in range(0, len(found), n)]
