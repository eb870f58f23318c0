"""Growth: linear algebra on named axes.

    growth = Growth(FPI(), small_config, large_config)     # checked on abstract values
    large_params = grow(growth, small_params, key=key)     # one program, in the target's shardings
    opt_state = grow_moments(growth, tx, opt_state)        # the optimizer's moments, by the dual maps
    receipt = verify_growth(growth, small_params, large_params, "dual", objective, batch)

`linear` and `maps` say what happens to one axis, `term` what an operator is made of, `operator` what an operator is;
every other file holds one operator.
"""

from stagejax.growth.aki import AKI
from stagejax.growth.apply import grow
from stagejax.growth.coalesce import Coalesce, Decoalesce, Interpolate
from stagejax.growth.depth import Deepen, adjacent, interpolate, stack, stack_modulo
from stagejax.growth.direct_copy import DirectCopy
from stagejax.growth.draw import balanced, cyclic, uniform
from stagejax.growth.factors import Factors, factors
from stagejax.growth.fpi import FPI
from stagejax.growth.isometric import Isometric
from stagejax.growth.learngene import AuxNet, Expand, LinearExpansion
from stagejax.growth.linear import Dense, Gather, Inverse
from stagejax.growth.maps import Map, copy_map, corner_map, dense_map, identity_map, isometric_map, select_map
from stagejax.growth.moments import grow_moments
from stagejax.growth.operator import Growth, GrowthError, Operator
from stagejax.growth.subset import Subset, evenly, top
from stagejax.growth.term import Term, by_dual, by_index, by_squared_dual, by_weight
from stagejax.growth.verify import Receipt, Symmetry, receipt_of, verify_growth

__all__ = [
    "AKI",
    "FPI",
    "AuxNet",
    "Coalesce",
    "Decoalesce",
    "Deepen",
    "Dense",
    "DirectCopy",
    "Expand",
    "Factors",
    "Gather",
    "Growth",
    "GrowthError",
    "Interpolate",
    "Inverse",
    "Isometric",
    "LinearExpansion",
    "Map",
    "Operator",
    "Receipt",
    "Subset",
    "Symmetry",
    "Term",
    "adjacent",
    "balanced",
    "by_dual",
    "by_index",
    "by_squared_dual",
    "by_weight",
    "copy_map",
    "corner_map",
    "cyclic",
    "dense_map",
    "evenly",
    "factors",
    "grow",
    "grow_moments",
    "identity_map",
    "interpolate",
    "isometric_map",
    "receipt_of",
    "select_map",
    "stack",
    "stack_modulo",
    "top",
    "uniform",
    "verify_growth",
]
