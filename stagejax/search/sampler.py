"""Which subnets a supernet trains next: by banks of like FLOPs, and by what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stagejax.search.space import Space

#: What a sampler remembers, by the names in `Memory`.
Memories = dict[str, jax.Array]


@dataclass(frozen=True)
class Sampler:
    """Draws the subnets of a step. Bank b holds subnets of F_b to (1 + tolerance) F_b FLOPs.

    With neither `walk` nor `prefer` it is uniform with the sandwich rule: the largest, the smallest, the others drawn
    gene by gene (Yu et al. 2020, https://arxiv.org/abs/2003.11142).

    Reference: Tang et al. 2023 (ElasticViT), https://arxiv.org/abs/2303.09730, section 4.

    >>> from stagejax.models.vision.pyramid import PyramidViT
    >>> largest = PyramidViT(embed=(32, 32), layers=(2, 2), mlp=(64, 64))
    >>> space = Space(largest, (20, 28), (8, 16), ((16, 32),) * 2, ((1, 2),) * 2, ratios=(1, 2))
    >>> sampler = Sampler(space, banks=3, steps=10)
    >>> banks, codes = jax.jit(sampler.draw)(sampler.nothing(), jax.random.key(0), jnp.int32(0))
    >>> banks.shape, codes.shape
    ((3,), (4, 10))
    """

    space: Space
    steps: int  # of the training, for `exploit`
    sampled: int = 3  # subnets of a step, beside a smallest one
    banks: int = 5
    tolerance: float = 0.25
    table: int = 64  # architectures known of each bank
    memory: int = 16  # of these, scored ones
    renew: int = 1  # scored ones that each step scores anew, in turn
    candidates: int = 5  # of which the one with most of its FLOPs in width is explored
    walk: bool = True  # complexity-aware: neighbouring steps have the same or neighbouring banks
    prefer: bool = True  # performance-aware
    exploit: tuple[float, float] = (0.2, 0.15)  # probability to draw from the memory, and what each sixth adds

    def floors(self) -> np.ndarray:
        """F_b: evenly spaced in their logarithm, so that the last bank ends with the largest network."""
        low, high = self.costs(np.array([self.space.least, self.space.most]))
        return np.geomspace(low, high / (1 + self.tolerance), self.banks)

    def costs(self, codes: np.ndarray) -> np.ndarray:
        """FLOPs of subnets, one image forward."""
        return np.asarray(self.space.flops(codes), np.float64)

    def within(self, codes: np.ndarray, bank: int) -> np.ndarray:
        """Which subnets have the FLOPs of a bank."""
        costs, floor = self.costs(codes), self.floors()[bank]
        return (costs >= 0.999 * floor) & (costs <= 1.001 * (1 + self.tolerance) * floor)

    def known(self) -> np.ndarray:
        """Architectures of each bank, collected once from random draws: (banks, table, genes).

        Raises:
          ValueError: none was found for a bank.
        """
        return _known(replace(self, walk=True, prefer=True, steps=1))

    def room(self) -> np.ndarray:
        """How many members the memory of each bank can have: a bank may know fewer architectures than it holds."""
        return np.array([min(self.memory, len(np.unique(own, axis=0))) for own in self.known()])

    def smallest(self) -> np.ndarray:
        """A smallest subnet for each bank: that of the space, the cheapest of the middle and of the upper banks."""
        known, least = self.known(), [np.array(self.space.least)] * self.banks
        for bank in range(self.banks):
            third = 3 * bank // self.banks
            if third:
                own = known[-(-third * self.banks // 3)]
                least[bank] = own[self.costs(own).argmin()]
        return np.stack(least).astype(np.int32)

    def nothing(self) -> Memories:
        """What is remembered at first: the lowest bank, and no score."""
        shape = (self.banks, self.memory)
        codes = jnp.zeros((*shape, len(self.space.choices)), jnp.int32)
        return {"bank": jnp.int32(0), "codes": codes, "scores": jnp.full(shape, -jnp.inf)}

    def draw(self, memory: Memories, key: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Banks (sampled,) and codes (sampled + 1, genes) of a step; the last subnet is a smallest one."""
        keys = jax.random.split(key, self.sampled + 1)
        most, least = (jnp.array([code], jnp.int32) for code in (self.space.most, self.space.least))
        if not (self.walk or self.prefer):
            shape = (self.sampled - 1, len(self.space.choices))
            some = jax.random.randint(keys[0], shape, 0, np.array(self.space.choices))
            return jnp.zeros(self.sampled, jnp.int32), jnp.concatenate([most, some, least])
        if self.walk:
            bank = jnp.clip(memory["bank"] + jax.random.randint(keys[0], (), -1, 2), 0, self.banks - 1)
            banks, least = jnp.full(self.sampled, bank), jnp.asarray(self.smallest())[bank][None]
        else:
            banks = jax.random.randint(keys[0], (self.sampled,), 0, self.banks)
        codes = jax.vmap(partial(self._one, memory, step))(banks, keys[1:])
        return banks, jnp.concatenate([codes, least])

    def _one(self, memory: Memories, step: jax.Array, bank: jax.Array, key: jax.Array) -> jax.Array:
        """Of a bank one subnet: any, or by what is known of them."""
        pick, choose, member = jax.random.split(key, 3)
        known = jnp.asarray(self.known())[bank]
        found = known[jax.random.choice(pick, len(known), (self.candidates,), replace=False)]
        if not self.prefer:
            return found[0]
        depth = partial(self.depth_over_width, anchor=self.anchor(memory))
        explored = found[jax.vmap(depth)(found).argmin()]
        scores = memory["scores"][bank]
        half_full = 2 * jnp.isfinite(scores).sum() >= jnp.asarray(self.room())[bank]
        exploited = memory["codes"][bank, jax.random.categorical(member, jnp.where(half_full, scores, 0.0))]
        return jnp.where(half_full & (jax.random.uniform(choose) < self.likely(step)), exploited, explored)

    def likely(self, step: jax.Array) -> jax.Array:
        """The probability to draw from a memory that is at least half full."""
        return self.exploit[0] + self.exploit[1] * (6 * step // self.steps)

    def anchor(self, memory: Memories) -> jax.Array:
        """The best that is known of the lowest bank; before any is, the smallest subnet."""
        scores, least = memory["scores"][0], jnp.array(self.space.least, jnp.int32)
        return jnp.where(jnp.isfinite(scores).any(), memory["codes"][0, scores.argmax()], least)

    def depth_over_width(self, code: jax.Array, anchor: jax.Array) -> jax.Array:
        """FLOPs with the anchor's widths less FLOPs with the anchor's depths: small where width makes them."""
        wide, deep = np.array(self.space.of_width), np.array(self.space.of_depth)
        narrow, shallow = (code.at[genes].set(anchor[genes]) for genes in (wide, deep))
        return self.space.flops(narrow) - self.space.flops(shallow)

    def due(self, memory: Memories, step: jax.Array) -> jax.Array:
        """The members whose turn it is to be scored anew: (renew, genes), none without a memory."""
        return memory["codes"].reshape(-1, len(self.space.choices))[self._turn(step)]

    def renewed(self, memory: Memories, step: jax.Array, scores: jax.Array) -> Memories:
        """The memory with new scores of those members; empty places stay empty."""
        old, turn = memory["scores"].ravel(), self._turn(step)
        new = old.at[turn].set(jnp.where(jnp.isfinite(old[turn]), scores, -jnp.inf))
        return memory | {"scores": new.reshape(memory["scores"].shape)}

    def _turn(self, step: jax.Array) -> jax.Array:
        """Places in the memories of all banks, one after the other."""
        count = self.renew if self.prefer else 0
        return (step * count + jnp.arange(count)) % (self.banks * self.memory)

    def learn(self, memory: Memories, banks: jax.Array, codes: jax.Array, scores: jax.Array) -> Memories:
        """The memory after a step: a member has its new score; others take the worst's place, empty ones first."""
        kept_codes, kept_scores = memory["codes"], memory["scores"]
        for bank, code, score in zip(banks, codes[: self.sampled], scores, strict=True) if self.prefer else ():
            own = jnp.isfinite(kept_scores[bank]) & (kept_codes[bank] == code).all(-1)
            place = jnp.where(own.any(), own.argmax(), kept_scores[bank].argmin())
            kept_codes, kept_scores = kept_codes.at[bank, place].set(code), kept_scores.at[bank, place].set(score)
        return {"bank": banks[0], "codes": kept_codes, "scores": kept_scores}


@lru_cache
def _known(sampler: Sampler) -> np.ndarray:
    rng, space = np.random.default_rng(0), sampler.space
    choices, draws = np.array(space.choices), 20_000
    # Half of them gene by gene; the others about a level of their own, or none would be near the ends of a wide space.
    even = rng.random((draws // 2, len(choices)))
    level, spread = rng.random((2, draws // 2, 1))
    drawn = np.concatenate([even, np.clip(level + spread * (even - 0.5), 0, 0.999)])
    codes = np.unique(space.plain((drawn * choices).astype(np.int32)), axis=0)
    rows = []
    for bank, floor in enumerate(sampler.floors()):
        own = codes[sampler.within(codes, bank)]
        if not len(own):
            raise ValueError(f"found no subnet of {floor:.3g} FLOPs: give fewer banks, or a larger tolerance")
        rows.append(rng.permutation(own)[np.arange(sampler.table) % len(own)])
    return np.stack(rows)


@dataclass(frozen=True)
class Memory:
    """The configuration of what a sampler remembers: no network, but part of a stage's state as one is."""

    sampler: Sampler

    def sizes(self) -> dict[str, int]:
        """It names no axes."""
        return {}

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The current bank; of each bank architectures and their scores, -inf where there is none."""
        return Remembered(self.sampler)


class Remembered(nnx.Module):
    """The variables `bank` (), `codes` (banks, memory, genes) and `scores` (banks, memory)."""

    def __init__(self, sampler: Sampler) -> None:
        found = {name: nnx.Variable(value) for name, value in sampler.nothing().items()}
        self.bank, self.codes, self.scores = found["bank"], found["codes"], found["scores"]
