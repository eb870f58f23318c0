"""Depth: which source layer each new layer copies, and the operator that does only that.

Copied layers do not preserve the function. Every rule is a plain function (old, new) -> (new,) indices, so a new one is
one more function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stagejax.axes import family
from stagejax.growth.maps import Map, select_map
from stagejax.growth.operator import GrowthError, Operator, Sizes
from stagejax.growth.term import LAYERS, Term

DepthRule = Callable[[int, int], np.ndarray]


def stack(old: int, new: int) -> np.ndarray:
    """Whole copies one above the other; the rest is the top layers again. bert2BERT (arXiv 2110.07143), section 3.3.

    >>> stack(3, 7)
    array([0, 1, 2, 0, 1, 2, 2])
    """
    copies, rest = divmod(new, old)
    return np.concatenate([np.tile(np.arange(old), copies), np.arange(old - rest, old)])


def stack_modulo(old: int, new: int) -> np.ndarray:
    """Copies one above the other; the rest is the bottom layers again. StackBERT (Gong et al. 2019), G_stack.

    >>> stack_modulo(3, 7)
    array([0, 1, 2, 0, 1, 2, 0])
    """
    return np.arange(new) % old


def interpolate(old: int, new: int) -> np.ndarray:
    """Every layer followed by its copies, spread evenly: floor(l·old/new). AquilaMoE (arXiv 2408.06567), equation 3.

    >>> interpolate(3, 5)
    array([0, 0, 1, 1, 2])
    """
    return np.arange(new) * old // new


def adjacent(old: int, new: int) -> np.ndarray:
    """Every layer followed by its copies, the lowest layers once more where it does not come out even.

    >>> adjacent(3, 5)
    array([0, 0, 1, 1, 2])
    >>> adjacent(4, 5)
    array([0, 0, 1, 2, 3])
    """
    copies, rest = divmod(new, old)
    return np.repeat(np.arange(old), copies + (np.arange(old) < rest))


def middle(old: int, new: int) -> np.ndarray:
    """The middle block of new - old layers, once more behind itself. MIDAS (Saunshi et al. 2024, arXiv 2409.19044).

    Of n whole blocks that is block ⌈n/2⌉; layers that are no whole blocks repeat those right in the middle.

    Raises:
      GrowthError: more layers are added than there are.

    >>> middle(6, 8), middle(4, 6)
    (array([0, 1, 2, 3, 2, 3, 4, 5]), array([0, 1, 0, 1, 2, 3]))
    """
    block = new - old
    if block > old:
        raise GrowthError(f"middle repeats {block} of {old} layers: grow layers {old} -> {2 * old} or less at a time")
    start = (old - block) // 2 if old % block else (old // block - 1) // 2 * block
    return np.concatenate([np.arange(start + block), np.arange(start, old)])


def layers_map(rule: DepthRule, old: Sizes, new: Sizes, shift: int = 0) -> dict[str, Map]:
    """The map of each `layers` axis that moves, under a rule and `shift` source layers up (the last one stays).

    >>> layers_map(stack, {"layers": 2}, {"layers": 4})["layers"].write.index
    array([0, 1, 0, 1])
    """
    maps = {}
    for name in stacks(old):
        before, after = old[name], new[name]
        if before != after or shift:
            index = np.arange(before) if before == after else rule(before, after)
            maps[name] = select_map(np.minimum(index + shift, before - 1), before)
    return maps


def stacks(sizes: Sizes) -> list[str]:
    """The axes along which a model stacks its blocks.

    >>> stacks({"layers.encoder": 2, "layers.decoder": 3, "embed": 8})
    ['layers.encoder', 'layers.decoder']
    """
    return [name for name in sizes if family(name) == LAYERS]


@dataclass(frozen=True)
class Deepen(Operator):
    """Depth alone: copies of whole layers. With `stack_modulo` this is StackBERT's operator."""

    depth: DepthRule = stack

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term: the `layers` axes by the rule, all else as it is."""
        return [Term("small", layers_map(self.depth, old, new))]
