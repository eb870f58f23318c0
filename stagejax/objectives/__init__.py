"""Objectives: pure functions (model, batch, key) -> (loss, metrics), one family a file.

Here are those of any network; in rooms, those of text, rewards, pictures, sound, several tasks, retrieval and control.
"""

from stagejax.objectives.classification import classification
from stagejax.objectives.distillation import distillation
from stagejax.objectives.experts import with_experts
from stagejax.objectives.language import causal_lm, masked_lm

__all__ = ["causal_lm", "classification", "distillation", "masked_lm", "with_experts"]
