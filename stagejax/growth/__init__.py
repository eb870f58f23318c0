"""Growth: linear algebra on named axes.

    growth = Growth(FPI(), small_config, large_config)     # checked on abstract values
    large_params = grow(growth, small_params, key=key)     # one program, in the target's shardings
    opt_state = grow_moments(growth, tx, opt_state)        # the optimizer's moments, by the dual maps
    receipt = verify_growth(growth, small_params, large_params, "dual", objective, batch)

`linear` and `maps` say what happens to one axis, `term` what an operator is made of, `operator` what an operator is;
every other file holds one operator.
"""

from stagejax.growth.add_rows import AddRows
from stagejax.growth.aki import AKI
from stagejax.growth.apply import grow
from stagejax.growth.assemble import Assemble, Incubate, OwnLayers
from stagejax.growth.coalesce import Coalesce, Decoalesce, Interpolate
from stagejax.growth.combine import Combine
from stagejax.growth.depth import Deepen, adjacent, interpolate, middle, stack, stack_modulo
from stagejax.growth.direct_copy import DirectCopy
from stagejax.growth.draw import balanced, cyclic, uniform
from stagejax.growth.drop_upcycle import DropUpcycle
from stagejax.growth.dynamics import Dynamics, verify_dynamics
from stagejax.growth.expert_growth import AddExperts, CopyExperts
from stagejax.growth.factors import Factors, factors
from stagejax.growth.fpi import FPI
from stagejax.growth.granular import GranularUpcycle
from stagejax.growth.head_size import HeadSize
from stagejax.growth.identity import IdentityBlocks
from stagejax.growth.isometric import Isometric
from stagejax.growth.learngene import AuxNet, Expand, LinearExpansion
from stagejax.growth.lemon import LEMON
from stagejax.growth.ligo import LearnedMaps, LiGO
from stagejax.growth.linear import Blend, Dense, Gather, Inverse
from stagejax.growth.maps import Map, copy_map, corner_map, dense_map, identity_map, isometric_map, select_map
from stagejax.growth.masked import MSG, GrowingMasks, masks_at
from stagejax.growth.moments import grow_moments
from stagejax.growth.net2net import Net2Net
from stagejax.growth.operator import Growth, GrowthError, Operator
from stagejax.growth.resample import Resample, resize_matrix
from stagejax.growth.schedule import gradual_stacking, multi_stage_layerwise, proportional
from stagejax.growth.staged import BlockDiagonal
from stagejax.growth.subset import Subset, evenly, last_of_each, top
from stagejax.growth.term import Term, by_dual, by_index, by_squared_dual, by_weight
from stagejax.growth.timing import AtStep, AtTokens, Curve, First, LossSlope, Policy, g_stack
from stagejax.growth.undo import Undo
from stagejax.growth.upcycle import Upcycle
from stagejax.growth.verify import Receipt, Symmetry, receipt_of, verify_growth
from stagejax.growth.zero_init import ZeroInit

__all__ = [
    "AKI",
    "FPI",
    "LEMON",
    "MSG",
    "AddExperts",
    "AddRows",
    "Assemble",
    "AtStep",
    "AtTokens",
    "AuxNet",
    "Blend",
    "BlockDiagonal",
    "Coalesce",
    "Combine",
    "CopyExperts",
    "Curve",
    "Decoalesce",
    "Deepen",
    "Dense",
    "DirectCopy",
    "DropUpcycle",
    "Dynamics",
    "Expand",
    "Factors",
    "First",
    "Gather",
    "GranularUpcycle",
    "GrowingMasks",
    "Growth",
    "GrowthError",
    "HeadSize",
    "IdentityBlocks",
    "Incubate",
    "Interpolate",
    "Inverse",
    "Isometric",
    "LearnedMaps",
    "LiGO",
    "LinearExpansion",
    "LossSlope",
    "Map",
    "Net2Net",
    "Operator",
    "OwnLayers",
    "Policy",
    "Receipt",
    "Resample",
    "Subset",
    "Symmetry",
    "Term",
    "Undo",
    "Upcycle",
    "ZeroInit",
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
    "g_stack",
    "gradual_stacking",
    "grow",
    "grow_moments",
    "identity_map",
    "interpolate",
    "isometric_map",
    "last_of_each",
    "masks_at",
    "middle",
    "multi_stage_layerwise",
    "proportional",
    "receipt_of",
    "resize_matrix",
    "select_map",
    "stack",
    "stack_modulo",
    "top",
    "uniform",
    "verify_dynamics",
    "verify_growth",
]
