"""Calls of functions as text: read into a structure, compared by it, and as a reward rule."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

_ARGUMENT = r"(?P<name>[^\s=(),\[\]]+) = (?P<value>[^\s=(),\[\]]+)"
_ARGUMENTS = rf"(?:{_ARGUMENT.replace('?P<name>', '?:').replace('?P<value>', '?:')})"
_CALL = rf"(?P<function>[^=(),\[\]]+?) \( (?P<arguments>{_ARGUMENTS}(?: , {_ARGUMENTS})*)? ?\)"


class Call(NamedTuple):
    """A function by its name, and its arguments, sorted by their names."""

    function: str
    arguments: tuple[tuple[str, str], ...]


@functools.lru_cache(maxsize=1 << 16)
def parsed(text: str) -> tuple[Call, ...] | None:
    """The calls of "[ f ( a = x , b = y ) , g ( c = z ) ]", sorted; None where the text is not of that form.

    Words are parted by single spaces; a function's name may have several. An argument that is given twice is no form.

    >>> parsed("[ book hotel ( town = rome , date = friday ) ]")
    (Call(function='book hotel', arguments=(('date', 'friday'), ('town', 'rome'))),)
    >>> parsed("no tool fits ."), parsed("[ book hotel ( town = rome ]"), parsed("[ f ( a = x , a = y ) ]")
    (None, None, None)
    """
    if not re.fullmatch(rf"\[ {_bare(_CALL)}(?: , {_bare(_CALL)})* \]", text):
        return None
    calls = []
    for found in re.finditer(_CALL, text[2:-2]):
        pairs = [(own["name"], own["value"]) for own in re.finditer(_ARGUMENT, found["arguments"] or "")]
        if len({name for name, _ in pairs}) < len(pairs):
            return None
        calls.append(Call(found["function"].strip(), tuple(sorted(pairs))))
    return tuple(sorted(calls))


def _bare(pattern: str) -> str:
    return re.sub(r"\?P<\w+>", "?:", pattern)


def same_calls(said: str, gold: str) -> bool:
    """Whether a response is as good as the gold one: the same calls in any order, with the same arguments in any order.

    A gold response without calls is met by every response that tries none, that is, has no "(".

    Reference: the AST match of the Berkeley Function-Calling Leaderboard, and its irrelevance detection,
    https://github.com/ShishirPatil/gorilla.

    >>> same_calls("[ f ( b = y , a = x ) ]", "[ f ( a = x , b = y ) ]"), same_calls("[ f ( a = x ) ]", "none fits .")
    (True, False)
    """
    wanted = parsed(gold)
    return "(" not in said if wanted is None else parsed(said) == wanted


@dataclass(frozen=True)
class SameCalls:
    """A reward rule: 1 where a response that was ended has the calls of the batch's gold one; judged on the host.

    Args:
      decode: tokens to text, such as the `decode` of a codec; special tokens are no text.
      gold: which leaf of a batch holds the gold response, tokens (B, G), padded with zeros.

    >>> from stagejax.data.vocabulary.words import Words
    >>> from stagejax.decode import Samples
    >>> code = Words(("[", "f", "(", "a", "=", "x", "y", ")", "]"))
    >>> gold, = code.encode(["[ f ( a = x ) ]"])
    >>> tokens, one = jnp.array([[[1, *gold, 2]]]), jnp.ones((1, 1), int)
    >>> drawn = Samples(tokens, one, one * 10, one, None, None)
    >>> SameCalls(code.decode)(drawn, {"gold": gold[None]}).tolist()
    [[1.0]]
    """

    decode: Callable[[Any], str]
    gold: str = "gold"

    def __call__(self, samples: Any, batch: Any) -> Float[Array, "B N"]:
        shape = jax.ShapeDtypeStruct(samples.ends_BN.shape, np.float32)
        given = samples.tokens_BNS, samples.starts_BN, samples.ends_BN, samples.stop_sizes_BN, batch[self.gold]
        return jax.pure_callback(self._on_host, shape, *map(jnp.asarray, given))

    def _on_host(self, tokens: Any, starts: Any, ends: Any, stops: Any, gold: Any) -> Float32[np.ndarray, "B N"]:
        tokens, starts, ends, stops, gold = map(np.asarray, (tokens, starts, ends, stops, gold))
        found = np.zeros(ends.shape, np.float32)
        for row, n in np.argwhere(stops > 0):
            said = self.decode(tokens[row, n, starts[row, n] : ends[row, n]])
            found[row, n] = same_calls(said, self.decode(gold[row]))
        return found
