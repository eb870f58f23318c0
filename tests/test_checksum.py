"""Checksums: the same on a host, on devices and on any mesh; another one for any bit, place or sign that changed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from stagejax.checksum import checksum, on_devices, on_host
from stagejax.mesh import make_mesh

DTYPES = ("float32", "bfloat16", "float16", "int32", "uint8", "bool", "int8", "int4", "complex64", "float8_e4m3fn")


@pytest.mark.parametrize("dtype", DTYPES)
def test_hosts_and_devices_agree(dtype):
    values = jnp.asarray(3 * np.random.default_rng(0).normal(size=(4, 6))).astype(dtype)
    assert on_host(np.asarray(values)) == int(on_devices(values))


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (300_000,), (2, 3, 4)])
def test_shapes_agree(shape):
    values = jnp.asarray(np.random.default_rng(0).normal(size=shape), "float32")
    assert checksum(values) == int(on_devices(values))


def test_a_mesh_changes_nothing():
    values = jnp.arange(32.0).reshape(8, 4)
    split = jax.device_put(values, NamedSharding(make_mesh("data=4,fsdp=2"), jax.P("data", "fsdp")))
    assert on_devices(split) == on_devices(values) == checksum(split)


def test_every_bit_and_every_place_counts():
    values = np.random.default_rng(0).normal(size=64).astype(np.float32)
    sums = {on_host(values), on_host(values[::-1])}
    for place in (0, 17, 63):
        for bit in range(32):
            other = values.view(np.uint32).copy()
            other[place] ^= np.uint32(1 << bit)
            sums.add(on_host(other.view(np.float32)))
    assert len(sums) == 2 + 3 * 32
