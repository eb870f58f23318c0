"""Training of a supernet: several of its subnets in every step; and the accuracy of each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from stagejax.inference import Frozen
from stagejax.objectives.distillation import adaptive_alpha_divergence, soft_cross_entropy, soft_targets
from stagejax.objectives.loss import cross_entropy
from stagejax.result import Result
from stagejax.search.evolution import Evolution
from stagejax.search.sampler import Sampler
from stagejax.search.space import Space
from stagejax.stage import Data, Part, gradient_step
from stagejax.state import TrainState


@dataclass(frozen=True)
class SupernetStep:
    """The step of a stage with the models `net`, the largest network, and `memory`, a `Memory` of the sampler.

    It draws subnets, adds up their gradients for one update, and remembers what they scored. The optimizer of `net` is
    `Recalling`. Metrics: those of `supernet_loss`; `cosine`, of this gradient with the last; `bank`, of the first
    subnet.

    Reference: Tang et al. 2023 (ElasticViT), https://arxiv.org/abs/2303.09730, algorithm 1.
    """

    sampler: Sampler

    def __call__(
        self, parts: dict[str, Part], states: dict[str, TrainState], batch: Any, key: jax.Array
    ) -> tuple[dict[str, TrainState], dict[str, Any]]:
        """States and metrics after one step."""
        net, memory, sampler = states["net"], states["memory"], self.sampler
        step, drawing = net.step, jax.random.fold_in(jax.random.fold_in(key, net.step), 1)
        banks, codes = sampler.draw(memory.rest, drawing, step)
        loss = partial(supernet_loss, space=sampler.space, codes=codes, due=sampler.due(memory.rest, step))
        net, metrics = gradient_step(replace(parts["net"], objective=loss), net, batch, key)
        known = sampler.renewed(memory.rest, step, metrics.pop("renewed"))
        known = sampler.learn(known, banks, codes, metrics.pop("scores"))
        metrics |= {"cosine": net.opt_state[0].cosine, "bank": banks[0]}
        return {"net": net, "memory": replace(memory, step=memory.step + 1, rest=known)}, metrics


def supernet_loss(
    model: Any,
    batch: Mapping[str, Any],
    key: Any,
    *,
    space: Space,
    codes: Int[Array, "subnets genes"],
    due: Int[Array, "due genes"],
) -> tuple[Float[Array, ""], dict[str, Any]]:
    """Σ_s taught(z_s) over all subnets but the last, and D(mean_s softmax(z_s) || softmax(z_last)) for the last.

    D is the adaptive α-divergence; its target is not moved by it. The metrics `scores` (subnets - 1,) and `renewed`
    (due,) are minus the mean cross entropy of labels of those subnets and of the ones in `due`, which are not trained.

    Reference: Wang et al. 2021 (AlphaNet), https://arxiv.org/abs/2102.07954; Tang et al. 2023 (ElasticViT).
    """

    def logits(code: jax.Array) -> jax.Array:
        return model(space.resized(batch["image"], code), key=key, masks=space.masks(code))

    logits_SBC = jax.vmap(logits)(codes)
    sampled_SBC, least_BC = logits_SBC[:-1], logits_SBC[-1]
    taught_SB, hard_SB = jax.vmap(lambda logits_BC: taught(logits_BC, batch))(sampled_SBC)
    pulled_B = adaptive_alpha_divergence(least_BC, jax.lax.stop_gradient(jax.nn.softmax(sampled_SBC).mean(0)))
    renewed = jax.lax.map(lambda code: -cross_entropy(logits(code), batch["label"])[0].mean(), due)
    metrics = {"cross_entropy": hard_SB.mean(), "pulled": pulled_B.mean()}
    metrics |= {"scores": -hard_SB.mean(1), "renewed": jax.lax.stop_gradient(renewed)}
    return taught_SB.mean(1).sum() + pulled_B.mean(), metrics


def taught(
    logits_BC: Float[Array, "B C"], batch: Mapping[str, Any], temperature: float = 0.2
) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """(CE(labels) + CE(softmax(teacher / T), softmax(z))) / 2, and CE(labels) alone; the same without a teacher.

    The teacher's logits are the batch's "logits"; T < 1 sharpens them, and the student's are taken as they are.

    >>> import jax.numpy as jnp
    >>> batch = {"label": jnp.array([0]), "logits": jnp.array([[2.0, 0.0]])}
    >>> loss, hard = taught(jnp.zeros((1, 2)), batch)
    >>> bool(jnp.allclose(loss, jnp.log(2))), bool(jnp.allclose(hard, jnp.log(2)))
    (True, True)
    """
    hard_B, _ = cross_entropy(logits_BC, batch["label"])
    if "logits" not in batch:
        return hard_B, hard_B
    return 0.5 * hard_B + 0.5 * soft_cross_entropy(logits_BC, soft_targets((batch["logits"],), temperature)), hard_B


def subnet_accuracy(supernet: Frozen, space: Space, data: Data) -> Callable[[np.ndarray], np.ndarray]:
    """What gives the accuracy (n,) of subnets (n, genes) on all batches of `data`."""
    with data.batches(None) as batches:
        examples = [(batch["image"], batch["label"]) for batch in batches]
    right = _right(space)

    def accuracy(codes: np.ndarray) -> np.ndarray:
        found = [right(supernet.params, supernet.rest, codes.astype(np.int32), *example) for example in examples]
        return np.mean(found, axis=0)

    return accuracy


def accuracy_by_bank(supernet: Result, sampler: Sampler, each: int, data: Data) -> dict[str, list[float]]:
    """Accuracies: `banks`, the means of the same `each` subnets of every bank; `ends`, smallest and largest subnet."""
    fixed, space = np.concatenate(sampler.known()[:, :each]), sampler.space
    found = subnet_accuracy(Frozen.of(supernet), space, data)(np.concatenate([fixed, [space.least, space.most]]))
    return {"banks": found[:-2].reshape(sampler.banks, -1).mean(1).tolist(), "ends": found[-2:].tolist()}


def search_bank(supernet: Result, sampler: Sampler, bank: int, evolution: Evolution, data: Data) -> dict[str, Any]:
    """The best subnet with the FLOPs of a bank, by its accuracy on `data`, which no training may have seen."""
    score = subnet_accuracy(Frozen.of(supernet), sampler.space, data)
    fits = lambda code: bool(sampler.within(code[None], bank)[0])  # noqa: E731
    return evolution(score, sampler.known()[bank], fits, sampler.space.choices)


@functools.cache
def _right(space: Space) -> Callable[..., Any]:
    """The share of right answers of each subnet: one program for all supernets of a space."""
    graphdef, _, _ = nnx.split(nnx.eval_shape(lambda: space.largest.build(nnx.Rngs(0))), nnx.Param, ...)

    @jax.jit
    def right(params: Any, rest: Any, codes: jax.Array, images: jax.Array, labels: jax.Array) -> jax.Array:
        model = nnx.merge(graphdef, params, rest)
        logits = lambda code: model(space.resized(images, code), masks=space.masks(code))  # noqa: E731
        return jax.lax.map(lambda code: (logits(code).argmax(-1) == labels).mean(), codes)

    return right
