"""Grids of few bits, and kernels stored as integers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax.axes import Axes
from stagejax.memory import stored_bytes
from stagejax.transforms.quantize import Quantized, QuantizedKernel, Uniform, rounded

OUT = Axes(("layers", "kv_heads", "value_dim", "embed"), ("stack", "read", "read", "write"))
KERNEL = jnp.array(np.random.default_rng(0).normal(size=(2, 3, 8, 6)), jnp.float32)


def matrix(kernel: jax.Array) -> np.ndarray:
    """Of the first layer, (outputs, inputs)."""
    return np.asarray(kernel[0]).reshape(-1, kernel.shape[-1]).T


@pytest.mark.parametrize(("bits", "group"), [(8, None), (4, 4), (4, None)])
def test_a_stored_kernel_is_the_rounded_one(bits: int, group: int | None) -> None:
    stored = QuantizedKernel(Quantized(bits, group), KERNEL, OUT)
    made = stored[...]
    assert made.shape == KERNEL.shape
    np.testing.assert_allclose(matrix(made), rounded(jnp.array(matrix(KERNEL)), Uniform(bits, group)), atol=1e-6)
    step = np.abs(matrix(KERNEL)).max() / Uniform(bits).levels
    assert np.abs(made - KERNEL)[0].max() <= step / 2 + 1e-5


def test_bytes_are_those_of_the_bits() -> None:
    numbers = KERNEL.size
    for bits in (4, 8):
        stored = QuantizedKernel(Quantized(bits), KERNEL, OUT)
        assert stored_bytes(stored.codes[...]) == numbers * bits // 8
        assert stored.scale[...].shape == (2, 1, 1, 6)  # of each layer and output


def test_a_row_of_zeros_stays_zero() -> None:
    assert (QuantizedKernel(Quantized(4), jnp.zeros((1, 1, 4, 2)), OUT)[...] == 0).all()
    assert (rounded(jnp.zeros((1, 4)), Uniform(4)) == 0).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="4 or 8"):
        Quantized(3)
    with pytest.raises(ValueError, match="does not divide"):
        QuantizedKernel(Quantized(4, group=5), KERNEL, OUT)
    with pytest.raises(ValueError, match="share a byte"):
        QuantizedKernel(Quantized(4), KERNEL[..., :5], OUT)
    with pytest.raises(ValueError, match="group=5"):
        rounded(jnp.ones((1, 8)), Uniform(4, group=5))
    with pytest.raises(ValueError, match="bits=1"):
        Uniform(1)
