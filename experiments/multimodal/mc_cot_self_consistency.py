"""MC-CoT pilot skeleton."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.data import Dataset, Digits, Images, Mixture
from stagejax.data.composites import CLOTHES, Objects
from stagejax.data.joined import Row, join
from stagejax.data.pipeline import Data
from stagejax.data.scene_questions import (
    ANSWER, CELLS, LETTERS, NOTHING, NUMERALS, TEXT, SceneCells, SceneQuestions,
)
from stagejax.data.seq2seq import TextToText
from stagejax.inference import rationales as two
from stagejax.inference.rationales import Form
from stagejax.models import CNN, T5
from stagejax.models.cnn import ConvLayer
from stagejax.models.seeing_t5 import SeeingT5, into_seeing
from stagejax.names import slug
from stagejax.objectives import classification, seq2seq
from stagejax.objectives.voting import Agreeing, Separate, Voted, mean_vote, passes_vote, released_vote
from stagejax.optimizer import adamw
