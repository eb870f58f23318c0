"""Federated rounds: clients train from the server's model, on data of their own; then the server trains.

A round is a step of a stage, and so a pure function of the server's state: clients are one state with an axis in front,
and nothing of them outlives the round. A run that was killed continues at a round.

A mesh axis `client` holds clients side by side, each on devices of its own, where `data` and `fsdp` split its images;
more clients than that go in turn. Without such an axis all go in turn: on a CPU, convolutions that each have kernels of
their own take less time one after the other than batched.

>>> # Stage(..., model={"server": net, "client": net}, step=federated_round(...), ema=0.99)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh
from jaxtyping import Array, Float

from stagejax.axes import path_name, split_over
from stagejax.mesh import BATCH_AXES
from stagejax.stage import Batch, Metrics, Part, average, gradient_step
from stagejax.state import TrainState, Tree
from stagejax.steps.self_training import taught_step

#: Whether clients send the leaf at this path.
Shared = Callable[[str], bool]
#: A step of one client.
Step = Callable[[Part, TrainState, Batch, Array], tuple[TrainState, Metrics]]
#: The mesh axis along which clients lie.
CLIENT = "client"


def weighted_mean(stacked: Tree, weights: Float[Array, " k"]) -> Tree:
    """Sum over k of weights[k] leaf[k], in at least float32; of leaves that are no floats, such as counters, the first.

    >>> weighted_mean({"w": jnp.array([1.0, 5.0])}, jnp.array([0.75, 0.25]))["w"].item()
    2.0
    """

    def mean(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf[0]
        wide = jnp.promote_types(leaf.dtype, jnp.float32)
        return jnp.tensordot(weights.astype(wide), leaf.astype(wide), axes=1).astype(leaf.dtype)

    return jax.tree.map(mean, stacked)


def stacked(tree: Tree, count: int) -> Tree:
    """Every leaf `count` times, along an axis in front."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), tree)


def aggregated(server: TrainState, clients: TrainState, weights: Float[Array, " k"], shared: Shared) -> TrainState:
    """The server with the weighted mean of its clients where `shared` says so; all else stays its own.

    Parameters and other variables (statistics of norms) go by the same paths. The moments are the server's.
    """

    def mix(own: Tree, theirs: Tree) -> Tree:
        mean = weighted_mean(theirs, weights)
        return jax.tree_util.tree_map_with_path(lambda path, x, y: y if shared(path_name(path)) else x, own, mean)

    params, rest = mix(server.params, clients.params), mix(server.rest, clients.rest)
    return replace(server, params=params, rest=rest)


def local_teacher(part: Part, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """A step of a student with its teacher in `state.ema`, which then takes the student in."""
    new, metrics = taught_step(part, state, batch, key)
    return replace(new, ema=average(new.ema, new.params, part.ema)), metrics


def split(tree: Tree, dim: int, mesh: AbstractMesh, *along: str) -> Tree:
    """Every leaf with dimension `dim` split over those axes that the mesh has; of none, as it is."""
    axes = tuple(axis for axis in along if axis in mesh.shape)
    return split_over(tree, dim, mesh, axes) if axes else tree


def trained_apart(
    part: Part, clients: TrainState, images: Float[Array, "steps rows k ..."], key: Array, step: Step
) -> tuple[TrainState, Metrics]:
    """All clients, `steps` steps each on their own images: one program. Metrics are (k, steps).

    Raises:
      ValueError: the clients do not fill the mesh axis `client` some number of times.
    """
    mesh, count = jax.typeof(images).sharding.mesh, images.shape[2]
    ways = mesh.shape.get(CLIENT, 1)
    if count % ways:
        raise ValueError(f"{count} clients cannot lie evenly along client={ways} of the mesh: make it a divisor")

    def train(own: tuple[TrainState, Array, Array]) -> tuple[TrainState, Metrics]:
        state, rows, key = own
        return jax.lax.scan(lambda now, rows: step(part, now, {"image": rows}, key), state, rows)

    turns = jax.tree.map(
        lambda x: x.reshape(-1, ways, *x.shape[1:]),
        (clients, jnp.moveaxis(images, 2, 0), jax.random.split(key, count)),
    )
    turns = (*split(turns[:2], 1, mesh, CLIENT), turns[2])
    return jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), jax.lax.map(jax.vmap(train), turns))


@dataclass(frozen=True)
class federated_round:
    """Broadcast, train the clients, aggregate, train the server: a step of a stage.

    Every client begins with the server's parameters and statistics and with fresh moments. Its teacher begins as the
    broadcast model and follows its own student ("local"), or is the average of servers, the same for all and at rest
    during the round ("global"). What the clients send is averaged by `counts`; one that found no reliable label in the
    whole round (its metric `reliable`) sends what it was sent. Then the server takes as many steps on labelled rows.

    The stage trains the models "server" and "client", of one configuration; what of a client is trainable the stage
    says of "client". A client's objective has one more argument, `teacher`. "client" holds no state between rounds but
    its count of steps: it is the model that is broadcast next.

    Args:
      steps: of each client and of the server in a round; row i of a batch is of step i % steps.
      counts: samples of each client: its weight.
      shared: which paths are averaged; the others stay the server's.
      teacher: "local" or "global".

    Reference: McMahan et al. 2017 (FedAvg), https://arxiv.org/abs/1602.05629; Kim et al. 2023 (FedSTO),
    https://arxiv.org/abs/2310.17097.
    """

    steps: int
    counts: tuple[float, ...]
    shared: Shared
    teacher: Literal["local", "global"] = "local"

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.counts or min(self.counts) <= 0:
            raise ValueError(f"steps={self.steps}, counts={self.counts}: at least 1 step, a positive count a client")

    def __call__(
        self, parts: Mapping[str, Part], states: Mapping[str, TrainState], batch: Batch, key: Array
    ) -> tuple[dict[str, TrainState], Metrics]:
        rows = {n: x.reshape(-1, self.steps, *x.shape[1:]).swapaxes(0, 1) for n, x in batch.items()}
        unlabelled = rows.pop("clients")
        server, client = states["server"], states["client"]
        keys = jax.random.split(jax.random.fold_in(key, client.step))
        sent = stacked(self.broadcast(server, client), len(self.counts))
        step = local_teacher if self.teacher == "local" else taught_step
        trained, told = trained_apart(parts["client"], sent, unlabelled, keys[0], step)
        heard = told["reliable"].sum(1) > 0
        returned = jax.tree.map(lambda x, y: jnp.where(heard.reshape(-1, *[1] * (x.ndim - 1)), x, y), trained, sent)
        counts = jnp.asarray(self.counts, jnp.float32)
        server = aggregated(server, returned, counts / counts.sum(), self.shared)
        server = replace(server, ema=average(server.ema, server.params, parts["server"].ema))
        rows = split(rows, 1, jax.typeof(unlabelled).sharding.mesh, *BATCH_AXES, CLIENT)
        server, metrics = jax.lax.scan(
            lambda now, rows: gradient_step(parts["server"], now, rows, keys[1]), server, rows
        )
        client = replace(self.broadcast(server, client), step=client.step + self.steps)
        metrics = {name: values.mean(0) for name, values in metrics.items()}
        metrics |= {f"client_{name}": told[name].mean() for name in ("loss", "grad_norm")}
        metrics |= {"reliable": told["reliable"].mean(), "silent": (~heard).sum().astype(jnp.float32)}
        return {"server": server, "client": client}, metrics

    def broadcast(self, server: TrainState, client: TrainState) -> TrainState:
        """What each client begins with; `client` has the fresh moments."""
        ema = server.params if self.teacher == "local" else server.ema
        return replace(client, params=server.params, rest=server.rest, ema=ema)
