"""Six composable expansions that keep the function: what is new writes nothing yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stagejax.growth.depth import DepthRule, adjacent, layers_map
from stagejax.growth.head_size import KEYS, check_head_size, new_head_entries, small_terms
from stagejax.growth.identity import By, check_identity, identity_terms, unmoved_terms
from stagejax.growth.maps import Map, corner_map
from stagejax.growth.operator import GrowthError, Operator, Sizes, changed, grown_entries
from stagejax.growth.regions import empty, fresh, having
from stagejax.growth.term import Term

#: Axes of hidden units, whose new entries are free where written and zero where read.
HIDDEN = ("mlp", "kv_heads", "q_per_kv", "channels", "hidden")


@dataclass(frozen=True)
class ZeroInit(Operator):
    """Any of: more mlp units, heads, value size, key size, residual width, layers. Each keeps the function, and so all.

    mlp, heads, value size, channels: new units are drawn freshly, and read by zeros. Key size: `HeadSize`. Residual
    width: whatever writes the stream writes zeros into its new entries, whatever reads it is free there, and RMSNorm's
    gains are multiplied by √(old/new), its eps by old/new; LayerNorm's mean does not survive. Layers: `IdentityBlocks`
    with zero output. Gesmundo and Maile 2023 (arXiv 2308.06103), section 3.
    """

    depth: DepthRule = adjacent  # where new layers go
    by: By = "output"
    fresh: bool = True  # new layers are drawn freshly, but for their output
    axes: tuple[str, ...] = (*HIDDEN, "value_dim", *KEYS, "embed")  # that it widens

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """Old entries in the corner; then what is free; then what is zero."""
        maps = {axis: corner_map(old[axis], new[axis]) for axis in changed(old, new, self.axes)}
        where = {axis: grown_entries(old[axis], new[axis]) for axis in maps}
        hidden, embed = (changed(old, new, [a for a in kind if a in self.axes]) for kind in (HIDDEN, ("embed",)))
        maps |= {axis: padded_map(old[axis], new[axis]) for axis in embed}
        deep = {**maps, **layers_map(self.depth, old, new)}
        free = [fresh(axis, where[axis], "write") for axis in hidden]
        free += [fresh(axis, where[axis], "read", "gain") for axis in embed]
        zero = [empty(deep, axis, where[axis], having(axis, "read")) for axis in hidden]
        zero += [empty(deep, axis, where[axis], having(axis, "write")) for axis in embed]
        heads = new_head_entries(deep, old, new) if {*KEYS, "value_dim"} & set(self.axes) else []
        return [*small_terms(deep, old, new), *free, *heads, *zero, *identity_terms(self, old, new, maps)]

    def moment_terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """The same; but moments of a new layer begin at zero."""
        maps = {name: m for term in self.terms(old, new)[:1] for name, m in term.maps.items()}
        return [*self.terms(old, new), *unmoved_terms(self.depth, old, new, maps)]

    def check(self, old_config: Any, new_config: Any) -> None:
        """Refuse LayerNorm over a wider stream, rotary positions with other frequencies, deeper post-norm stacks.

        And axes that one kernel both reads and writes, whose new units would read nothing and be read by nothing.
        """
        check_identity(self, old_config, new_config)
        check_head_size(self, old_config, new_config, copies=False)
        old, new = old_config.sizes(), new_config.sizes()
        for axis in changed(old, new, HIDDEN):
            if f"{axis}_out" in old:
                raise GrowthError(
                    f"{self}: a kernel reads and writes {axis!r} ({old[axis]} -> {new[axis]}), so new entries would be "
                    "zero on both sides and never learn. Use FPI(), Net2Net() or LEMON()."
                )
        wider = changed(old, new, ("embed",))
        if wider and getattr(old_config, "norm", "rms") != "rms":
            raise GrowthError(
                f"{self} writes zeros into new entries of {wider[0]!r}, which change the mean that LayerNorm takes. "
                "Use LEMON() for models with LayerNorm."
            )


def padded_map(old: int, new: int) -> Map:
    """Old entries and zeros under RMSNorm, whose mean square becomes old/new of what it was.

    >>> padded_map(2, 8).gain.weight[:3], padded_map(2, 8).eps
    (array([0.5, 0.5, 0. ]), 0.25)
    """
    corner, ratio = corner_map(old, new), old / new
    return replace(corner, gain=corner.gain.scaled(ratio**0.5), eps=ratio)
