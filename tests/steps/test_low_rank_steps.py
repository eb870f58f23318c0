"""Steps that train few directions at a time: what moves, what rests, what begins anew, and when."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stagejax import Stage
from stagejax.data import Bytes, CausalText, Stdlib
from stagejax.mesh import make_mesh
from stagejax.models import gpt
from stagejax.objectives import causal_lm
from stagejax.optimizer import adam
from stagejax.program import build, part_of, step_keys
from stagejax.steps.low_rank import GaLoreAdam, ReLoRAStep, RestartedAdam, SpectralStep, factor_step, memory
from stagejax.transforms import LoRA, Reparameterized, Spectral, adapters, directions

BASE = gpt(layers=1, embed=8, heads=2, mlp=16, vocab=260, length=16, scan=True)
DATA = CausalText(source=Stdlib(limit=100_000), tokenizer=Bytes(), batch=4, length=16)


def stage(form: Any, step: Any, trainable: Any, optimizer: Any = None) -> Stage:
    optimizer = optimizer or RestartedAdam(peak=1e-2, decay="constant", factor_warmup=2)
    return Stage("low", Reparameterized(BASE, form), causal_lm, optimizer, DATA, 10, step=step, trainable=trainable)


def states(chosen: Stage, steps: int) -> tuple[list[Any], list[Any]]:
    program = build(chosen, make_mesh("data=1"))
    step, state, found, metrics = jax.jit(program.step), program.initial(0), [], []
    with chosen.data.batches() as batches:
        for _ in range(steps):
            found.append(jax.tree.map(np.asarray, state))
            state, own = step(state, next(batches), step_keys(chosen, 0), program.schedule)
            metrics.append(jax.tree.map(float, own))
    return [*found, jax.tree.map(np.asarray, state)], metrics


@pytest.fixture(scope="module")
def spectral() -> tuple[list[Any], list[Any]]:
    return states(stage(Spectral(rank=2), SpectralStep(every=3, turns=2), directions), 7)


def query(state: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    kernel = state.params["blocks"]["attention"]["query"]["kernel"]
    return kernel, state.rest["blocks"]["attention"]["query"]["kernel"]["active"][0]


@pytest.mark.slow
def test_within_an_iteration_only_active_directions_and_values_move(spectral: Any) -> None:
    found, _ = spectral
    for before, after in ((1, 2), (2, 3), (4, 5), (5, 6)):
        (old, active), (new, same) = query(found[before]), query(found[after])
        np.testing.assert_array_equal(active, same)
        for store in ("left", "right"):
            np.testing.assert_array_equal(old[store], new[store])
        assert not np.array_equal(old["active_left"], new["active_left"])
        assert np.all((old["values"] != new["values"]) | (new["values"] == 0))
        np.testing.assert_allclose(np.linalg.norm(new["active_left"][0], axis=0), 1, rtol=1e-5)


@pytest.mark.slow
def test_a_draw_writes_back_what_was_trained(spectral: Any) -> None:
    found, _ = spectral
    (old, active), (new, drawn) = query(found[3]), query(found[4])
    assert len(set(drawn.tolist())) == 2
    assert not np.array_equal(active, drawn)
    np.testing.assert_array_equal(new["left"][0][:, active], old["active_left"][0])
    untouched = [i for i in range(8) if i not in active]
    np.testing.assert_array_equal(new["left"][0][:, untouched], old["left"][0][:, untouched])


def test_a_round_ends_in_an_orthogonal_store_in_falling_order(spectral: Any) -> None:
    found, _ = spectral
    before, after = query(found[6])[0], query(found[7])[0]
    np.testing.assert_allclose(after["left"][0].T @ after["left"][0], np.eye(8), atol=1e-5)
    assert np.abs(before["left"][0].T @ before["left"][0] - np.eye(8)).max() > 1e-4


def test_factors_have_the_age_of_their_iteration_and_all_else_that_of_the_stage(spectral: Any) -> None:
    found, metrics = spectral
    ages = [(int(state.opt_state[0].count), int(state.opt_state[0].age)) for state in found]
    assert ages == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 1), (5, 2), (6, 3), (7, 1)]
    assert all(own["first_factor"] > 0 and own["second_factor"] > 0 for own in metrics)


@pytest.mark.slow
def test_relora_merges_begins_anew_and_meets_its_saddle() -> None:
    found, metrics = states(stage(LoRA(rank=2), ReLoRAStep(every=3), adapters), 4)

    def kernel(state: Any) -> Any:
        return state.params["blocks"]["mlp"]["up"]["kernel"]

    np.testing.assert_array_equal(kernel(found[3])["frozen"], kernel(found[0])["frozen"])
    merged = kernel(found[3])["frozen"] + kernel(found[3])["down"] @ kernel(found[3])["up"]
    np.testing.assert_allclose(kernel(found[4])["frozen"], merged, rtol=1e-5)
    assert int(found[4].opt_state[0].age) == 1
    firsts = [own["first_factor"] for own in metrics]
    assert firsts[0] == firsts[3] == 0 < firsts[1]  # the gradient of a factor whose partner is zero


def test_memory_is_counted_from_the_arrays() -> None:
    def of(form: Any, trainable: Any, optimizer: Any = None) -> Any:
        return memory(part_of(stage(form, factor_step, trainable, optimizer)))

    r, kernels = 2, {"attention": 4 * 8 * 8, "mlp": 2 * 8 * 16}
    lora, sst = of(LoRA(r), adapters), of(Spectral(r), directions)
    assert lora["in_kernels"] == r * (4 * 16 + 2 * 24)
    assert sst["in_kernels"] == lora["in_kernels"] + 6 * 8  # all values beside the r directions
    assert lora["in_kernels"] < sst["in_kernels"] <= lora["in_kernels"] * (r + 1) / r
    assert sst["bytes"] == 8 * sst["trained"] + 3 * 4  # two moments; count, age, and the step of the schedule
    full = memory(part_of(Stage("full", BASE, causal_lm, adam(1e-3), DATA, 10)))
    assert full["in_kernels"] == sum(kernels.values())
    assert full["trained"] - full["in_kernels"] == lora["trained"] - lora["in_kernels"]
    galore = memory(part_of(Stage("galore", BASE, causal_lm, GaLoreAdam(1e-3, rank=r), DATA, 10)))
    assert galore["trained"] == full["trained"]
    assert galore["bytes"] < full["bytes"]


@pytest.mark.slow
def test_only_what_reads_or_writes_directions_counts_as_a_factor() -> None:
    _, metrics = states(stage(LoRA(rank=2), factor_step, adapters), 2)
    assert 0 < metrics[1]["first_factor"] < metrics[1]["grad_norm"]
    assert jnp.isfinite(metrics[1]["second_factor"])
