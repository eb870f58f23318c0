"""A calculator that a model calls while it answers: behind "a + b =" it writes the result, and the model goes on."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int


@dataclass(frozen=True)
class Calculator:
    """The rule of `sample(allowed=Calculator(...))`: behind the call [a, sign, b, =] the result is the only next token.

    Everything else is drawn freely. A call with another word in a number's place, a remainder, a division by 0, or a
    result that has no token gets no answer: the model goes on by itself. `inserted` says which tokens the tool wrote;
    these are to be masked in every loss.

    Args:
      vocab: of the model.
      zero: the token of 0; those of 1 to `largest` come behind it.
      largest: number that has a token.
      signs: the tokens of + - * /.
      equals: the token of =.

    Reference: Yang et al. 2024 (Qwen2.5-Math), https://arxiv.org/abs/2409.12122, section 3.1: tool-integrated
    reasoning, there with a Python interpreter.

    >>> tool = Calculator(vocab=40, zero=10, largest=20, signs=(5, 6, 7, 8), equals=9)
    >>> tokens = jnp.array([[1, 17, 5, 13, 9, 0], [1, 17, 8, 13, 9, 0]])  # 7 + 3 = and 7 / 3 =
    >>> allowed = tool(tokens, jnp.array([5, 5]), jnp.array([1, 1]))
    >>> jnp.flatnonzero(allowed[0]).tolist(), bool(allowed[1].all())  # the token of 10; any
    ([20], True)
    """

    vocab: int
    zero: int
    largest: int
    signs: tuple[int, int, int, int]
    equals: int

    def __call__(
        self, tokens_RS: Int[Array, "R S"], lengths_R: Int[Array, " R"], starts_R: Int[Array, " R"]
    ) -> Bool[Array, "R V"]:
        """Which tokens may come next in each row; a call must stand in the answer, which begins at `starts_R`."""
        at_R4 = lengths_R[:, None] + jnp.arange(-4, 0)
        call_R4 = jnp.take_along_axis(tokens_RS, at_R4, axis=1, mode="clip")
        result_R = self.result(call_R4)
        called_R = (result_R >= 0) & (at_R4[:, 0] >= starts_R)
        return ~called_R[:, None] | (jnp.arange(self.vocab) == result_R[:, None])

    def result(self, call: Int[Array, "*n 4"]) -> Int[Array, "*n"]:
        """The token of the result of four tokens; -1 where they are no call that has one."""
        a, sign, b, equals = jnp.moveaxis(call, -1, 0)
        a, b = a - self.zero, b - self.zero
        plus, minus, times, over = (sign == token for token in self.signs)
        whole = (b > 0) & (a % jnp.maximum(b, 1) == 0)
        value = jnp.select([plus, minus, times, over & whole], [a + b, a - b, a * b, a // jnp.maximum(b, 1)], -1)
        numbers = (jnp.minimum(a, b) >= 0) & (jnp.maximum(a, b) <= self.largest)
        known = (equals == self.equals) & numbers & (value >= 0) & (value <= self.largest)
        return jnp.where(known, value + self.zero, -1)

    def inserted(
        self, tokens: Int[np.ndarray | Array, "*n S"], starts: Int[np.ndarray | Array, "*n"]
    ) -> Bool[Array, "*n S"]:
        """Which tokens of rows the tool wrote, if their answers, which begin at `starts`, were made with it.

        >>> tool = Calculator(vocab=40, zero=10, largest=20, signs=(5, 6, 7, 8), equals=9)
        >>> tool.inserted(jnp.array([1, 17, 5, 13, 9, 20, 2]), jnp.array(1)).tolist()
        [False, False, False, False, False, True, False]
        """
        S = tokens.shape[-1]
        padded = jnp.pad(tokens, [(0, 0)] * (tokens.ndim - 1) + [(4, 0)])
        calls = jnp.stack([padded[..., k : k + S] for k in range(4)], axis=-1)  # the four tokens before each
        inside = jnp.arange(S) - 4 >= jnp.asarray(starts)[..., None]
        return inside & (self.result(calls) >= 0)
