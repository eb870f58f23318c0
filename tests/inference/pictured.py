"""A small world of pictures, a reader of them with initial parameters, and instructions that it is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from flax import nnx

from stagejax.data import Digits
from stagejax.data.multimodal.composites import Objects
from stagejax.data.multimodal.scene_instructions import Pictures
from stagejax.data.multimodal.scene_questions import SceneQuestions
from stagejax.inference.pictures import picture_answers as answers
from stagejax.inference.pictures.picture_answers import SLOTS, Form
from stagejax.models import gpt
from stagejax.models.text.slots import SlotReader
from stagejax.result import Result

NAMES = ("ring", "1", "2", "3", "4", "5", "hook", "7", "8", "9")
PICTURES = Pictures(SceneQuestions((Objects(Digits(), NAMES),), ("ring", "hook"), glyph=8), 200)
FORM = Form(PICTURES.words())
WIDTH = answers.width_of(3)
IMAGE = np.random.default_rng(0).normal(size=(len(PICTURES), SLOTS, WIDTH)).astype(np.float32)
NET = SlotReader(
    gpt(vocab=PICTURES.words().vocab, embed=16, heads=2, mlp=16, layers=1, length=FORM.length + 1, init_std=0.5),
    FORM.marker, WIDTH,
)  # fmt: skip


def made(value: Any) -> Result:
    return Result("made", "make", "made", 0, value=value)


def network(seed: int) -> Result:
    """A result with initial parameters."""
    params = nnx.to_pure_dict(nnx.state(NET.build(nnx.Rngs(seed)), nnx.Param))
    state = SimpleNamespace(params=params, rest={})
    return Result("net", "train", f"net{seed}", 1, NET, load=lambda: state)


ASKED = answers.opened(PICTURES, FORM, 24, seed=0, balanced=True)
