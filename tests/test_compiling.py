"""Which of XLA's code generators a program gets: the newer one, where it draws random numbers at several places."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from stagejax.compiling import compiler, draws, generator_for
from stagejax.host import EMITTERS


def noisy(key: jax.Array) -> jax.Array:
    """Draws at four places: in a loop, in a branch, in a function, and for each of several keys."""
    keys = jax.random.split(key, 4)
    looped, _ = jax.lax.scan(lambda x, own: (x + jax.random.normal(own), None), 0.0, keys)
    branch = jax.lax.cond(looped > 0, jax.random.uniform, lambda own: 0.0, keys[0])
    return looped + branch + jax.jit(jax.random.normal)(keys[1]) + jax.vmap(jax.random.uniform)(keys).sum()


def test_places_that_draw_are_counted_also_inside() -> None:
    assert draws(jax.make_jaxpr(noisy)(jax.random.key(0)).jaxpr) == 4
    assert draws(jax.make_jaxpr(jnp.sin)(1.0).jaxpr) == 0


def test_who_draws_gets_the_newer_generator_where_the_older_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGEJAX_QUICK_COMPILE", raising=False)
    assert generator_for(9) is None
    monkeypatch.setenv("STAGEJAX_QUICK_COMPILE", "0")
    assert generator_for(9) is None
    monkeypatch.setenv("STAGEJAX_QUICK_COMPILE", "1")
    assert generator_for(3) is None
    assert generator_for(4) == {EMITTERS: True}
    key = jax.random.key(0)
    code = compiler(jax.jit(noisy).trace(key))()
    assert jnp.isclose(code(key), noisy(key))
