"""Transforms of parameters between and inside stages: kernels in another form, and the optimizers they need."""

from stagejax.transforms.lora import LoRA, adapters, factors, stack
from stagejax.transforms.parts import kept, parts
from stagejax.transforms.reparameterize import Reparameterized, linear_maps, merged, update_kernels
from stagejax.transforms.restarts import forget, marked, scale_by_galore, scale_by_restarted_adam
from stagejax.transforms.spectral import Spectral, directions

__all__ = [
    "LoRA",
    "Reparameterized",
    "Spectral",
    "adapters",
    "directions",
    "factors",
    "forget",
    "kept",
    "linear_maps",
    "marked",
    "merged",
    "parts",
    "scale_by_galore",
    "scale_by_restarted_adam",
    "stack",
    "update_kernels",
]
