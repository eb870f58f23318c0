"""CoMD: what a student answers worse than its teacher decides what the teacher is asked next.

Paper    Chen et al., Unlock the Power: Competitive Distillation for Multi-Modal Large Language Models, 2023, arXiv
         2311.08213 (dossier 020: abstract, tables and part of the text; the loop as in Lion, arXiv 2305.12870).
Claim    One-way distillation lets a teacher answer fixed instructions. In competitive distillation an assessor compares
         the answers of both after each round, and an augmentor writes new instructions like those on which the student
         is clearly worse. After four rounds a student of 7B passes its teacher of 13B on ScienceQA (91.94).
Method   Pictures: two to four real objects (MNIST, Fashion-MNIST) in four colours and four cells. Instructions of six
         types with a verifier: caption, object in a cell, colour of an object, count, what lies on a side of an object,
         which other object has its colour. Teacher and student are decoders that read, in LLaVA's manner, a linear map
         of frozen ConvNet features in eight slots of a row:
         0 language     rows whose slots have words, and the caption: what stands for an LLM
         1 alignment    the map alone, on captions of pictures
         2 teacher      whole model, on the truth of many instructions about other pictures; then frozen
         3 student      four rounds, whole model, on the teacher's greedy answers D_r to 600 instructions each. After a
                        round both answer the whole pool; s = log p_T(answer) (assessor `judge`), or whether the
                        verifier finds it right (`oracle`); difficult are H = {s_T - s_S >= 1}. The augmentor, a
                        template engine that reads captions, writes new instructions of the same type with other
                        objects about pictures with at least as many; near-duplicates are rejected. Half of D_{r+1} have
                        parents in H, half among the easy ones.
         Arms of equally many teacher answers and student steps: one-shot (all at once, types at random); again, with
         other instructions, which says how far luck reaches; random augmentation (four rounds, parents at random);
         difficult only; CoMD's types (as many of each type in each round as CoMD has, drawn afresh); ground truth
         (one-shot, with true answers). Learning rates are chosen on validation instructions for one-shot and for random
         augmentation, with the first seed; CoMD and the other arms in rounds take that of the latter.
Run      stagejax run comd                  laptop: ? minutes on two cores
         stagejax run comd --preset smoke   seconds
         stagejax plan comd --preset pod --mesh data=16,fsdp=16
Holds if by right answers to test instructions, as many of each type, means over seeds, (1) CoMD is 1.5 points or more
         above one-shot, and more so than one-shot differs from itself with other instructions; (2) it is 1.5 points or
         more above random augmentation; (3) it falls by no more than 1 point in any round, and rises from the first to
         the last; (4) it is above difficult only: the easy ones are needed; (5) of every type that the student is 80 %
         right on in the end a smaller share of the pool is difficult at the last assessment than at the first; (6) the
         student passes its teacher.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.data import TFDS, Dataset, Digits, Images, Source
from stagejax.data.composites import CLOTHES, Objects
from stagejax.data.scene_instructions import TYPES, Augmentor, Pictures
from stagejax.data.scene_questions import SceneCells, SceneQuestions
from stagejax.inference import competing
from stagejax.inference.competing import JUDGE, ORACLE, Form, data_of, difficult, said_tokens, width_of
from stagejax.inference.frozen import flops_of_one
from stagejax.inference.rationales import features_of_cells
from stagejax.models import Transformer, gpt, llama
from stagejax.models.cnn import CNN, ConvLayer
from stagejax.models.slots import SlotReader, into_reader
from stagejax.names import slug
from stagejax.objectives.classification import classification
from stagejax.objectives.language import causal_lm
from stagejax.objectives.multimodal import behind_pictures
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, mean, shown, table_of_means
from stagejax.search.peak import Peak, best_peak
from stagejax.transforms.parts import parts

ONE_SHOT, AGAIN, TRUTH = "one-shot", "one-shot again", "ground truth"
RANDOM, COMD, VERIFIED = "random augmentation", "CoMD", "CoMD, oracle"
HARD, KINDS = "difficult only", "CoMD's types"
TEACHER, BEFORE, COMMON = "teacher", "student before", "most frequent answers"


@dataclass(frozen=True)
class Way:
    """What tells an arm from the others."""

    rounds: bool = True  # or all at once
    assessor: str | None = None  # None: parents are drawn at random
    hard: float = 0.5  # share of new instructions whose parents are difficult
    like: str | None = None  # the arm whose types it has
    truth: bool = False  # learned in place of the teacher's answers
    other: int = 0  # added to the seed of instructions


#: One after those that it is like.
WAYS = {
    ONE_SHOT: Way(rounds=False),
    AGAIN: Way(rounds=False, other=100),
    TRUTH: Way(rounds=False, truth=True),
    RANDOM: Way(),
    COMD: Way(assessor=JUDGE),
    VERIFIED: Way(assessor=ORACLE),
    HARD: Way(assessor=JUDGE, hard=1.0),
    KINDS: Way(like=COMD),
}


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    world: SceneQuestions  # objects, names and colours
    eyes: CNN  # the classifier of cells, whose features are what is seen
    teacher: Transformer
    student: Transformer
    seeing: tuple[int, int, float] = (400, 128, 3e-3)  # steps, batch and learning rate of the eyes
    pictures: tuple[int, int, int, int] = (4000, 3000, 500, 1000)  # teacher's, student's, of validation, of the test
    language: tuple[int, float] = (300, 5e-3)  # steps and rate of stage 0
    alignment: tuple[int, float] = (300, 1e-2)  # of stage 1
    taught: int = 20_000  # instructions that the teacher learns
    teaching: tuple[int, int, float] = (2000, 64, 3e-3)  # steps, batch and rate of that
    rounds: int = 4
    each: int = 600  # instructions of a round
    steps: int = 150  # of a round
    batch: int = 32
    rates: tuple[float, ...] = (1e-3, 3e-3, 9e-3)  # of the student
    threshold: float = 1.0  # of s_T - s_S
    augmentor: Augmentor = field(default_factory=Augmentor)
    held: tuple[int, int] = (600, 1500)  # instructions of validation, of the test
    at_once: int = 300  # rows that are answered or tested together
    precision: Precision = field(default_factory=Precision)
    seeds: tuple[int, ...] = (0, 1, 2)

    def source(self, part: str) -> Pictures:
        """The pictures of a part."""
        place = PARTS.index(part)
        split = {"valid": "valid", "test": "test"}.get(part, "train")
        return Pictures(self.world, self.pictures[place], seed=place, split=split)

    @property
    def form(self) -> Form:
        """How rows are written."""
        return Form(self.source("own").words())

    @property
    def width(self) -> int:
        """What stands in a slot."""
        return width_of(self.eyes.hidden[-1])

    def reader(self, net: Transformer) -> SlotReader:
        """A decoder that sees."""
        return SlotReader(net, self.form.marker, self.width)


PARTS = ("taught", "own", "valid", "test")


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        names = ("ring", "1", "2", "3", "4", "5", "hook", "7", "8", "9")
        world = SceneQuestions((Objects(Digits(), names),), ("ring", "hook"), glyph=8)
        net = gpt(vocab=vocab_of(world), embed=16, heads=2, mlp=32, layers=1, length=26, init_std=0.1)
        return Config(
            world, eyes_of(world, (4, 4), 8), replace(net, embed=24), net, seeing=(20, 25, 1e-2),
            pictures=(90, 90, 40, 40), language=(6, 5e-3), alignment=(6, 1e-2), taught=90, teaching=(20, 15, 5e-3),
            rounds=3, each=24, steps=4, batch=12, rates=(3e-3, 6e-3), held=(30, 30), at_once=30, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        world = world_of(TFDS("mnist"), TFDS("fashion_mnist"))
        how = {"vocab": 32_000, "length": 2048, "scan": True, "remat": "full"}
        return Config(
            world, eyes_of(world, (64, 128), 1024),
            llama(layers=40, embed=5120, heads=40, mlp=13_824, **how),
            llama(layers=32, embed=4096, heads=32, mlp=11_008, **how),
            seeing=(1000, 256, 1e-3), pictures=(100_000, 100_000, 2000, 6000), language=(2000, 2e-5),
            alignment=(2000, 2e-3), taught=500_000, teaching=(2000, 256, 2e-5), each=60_000, steps=700, batch=256,
            rates=(1e-5, 2e-5, 4e-5), held=(1536, 6144), at_once=256, precision=Precision(compute="bfloat16"),
            seeds=(0,),
        )  # fmt: skip
    world = world_of(Dataset("mnist"), Dataset("fashion_mnist"), image="x", label="y")
    net = gpt(vocab=vocab_of(world), embed=64, heads=4, mlp=256, layers=2, length=26, init_std=0.1)
    large = replace(net, embed=128, mlp=512, layers=3)
    return Config(world, eyes_of(world, (12, 24), 32), large, net)


def world_of(digits: Source, clothes: Source, **fields: str) -> SceneQuestions:
    """MNIST's digits from 1 to 5 and three of Fashion-MNIST's things."""
    objects = Objects(digits, tuple("0123456789"), **fields), Objects(clothes, CLOTHES, **fields)
    return SceneQuestions(objects, ("bag", "boot", "trousers"))


def vocab_of(world: SceneQuestions) -> int:
    return Pictures(world).words().vocab


def eyes_of(world: SceneQuestions, channels: tuple[int, int], hidden: int) -> CNN:
    layers = tuple(ConvLayer(size, pool=True) for size in channels)
    return CNN((world.cell, world.cell, 3), layers, (hidden,), (("label", (len(world.kinds) + 1,)),))
