"""SWS: networks of any depth from a learngene whose layers were trained to be repeated.

Paper    Xia et al., Exploring Learngene via Stage-wise Weight Sharing for Initializing Variable-sized Models,
         IJCAI 2024, arXiv 2404.16897 (dossier 029).
Claim    A few layers, distilled inside an auxiliary network whose stages share them, initialise networks of every
         depth so well that short tuning beats training each from scratch: 6.6x less training for a set of networks.
Method   A teacher, its logits for the whole training set as an artifact, the auxiliary network distilled from them
         alone (no labels), expansion by repeating each stage's layer, tuning with labels. Beside it under one recipe:
         scratch, also at equal total cost; an unshared network of as many layers, distilled with the FLOPs of the
         auxiliary network and expanded by the same list; the learngene with its stages in another order; TLEG, in
         which layers lie on a line.
Run      stagejax run sws_learngene                      laptop: 6 minutes on two cores
         stagejax run sws_learngene --preset smoke       seconds
         stagejax plan sws_learngene --preset pod --mesh data=16,fsdp=16
Holds if SWS after 50 steps is at least as accurate as scratch after 200 at each depth; before tuning it is more than
         5 points above the unshared expansion at each depth that expands it; with the auxiliary network's own counts
         it is that network. Beside it: SWS against scratch at equal total cost.
Ours     The three hold. 50 steps of SWS beat 200 of scratch at every depth by 13.6 points or more; before tuning it is
         11.6 points or more ahead of layers not trained to be repeated. At equal total cost it is level with scratch
         (-0.1 points, so that claim does not hold; +1.7 on another CPU), and an unshared network distilled with the
         same FLOPs and expanded by the same list ends 5 points above it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.budget import step_flops
from stagejax.data import Dataset, Digits, Images, Row, Source, join
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.photos import Photos
from stagejax.data.published import IMAGENET
from stagejax.growth import AuxNet, Expand, LinearExpansion, Operator
from stagejax.inference import flops_of_one, logits_for_every_record, logits_of
from stagejax.ledger import total
from stagejax.models.convnet import ResNet, resnet50
from stagejax.models.vit import ViT
from stagejax.objectives.classification import classification
from stagejax.objectives.distillation import distillation
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, claim

SCRATCH, SWS, UNSHARED, SHUFFLED, TLEG = "scratch", "SWS", "unshared", "shuffled stages", "TLEG"


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    source: Source = field(default_factory=lambda: Dataset("fashion_mnist"))  # of images
    fields: tuple[str, str] = ("x", "y")  # of a record: image and label
    crop: Crop | None = None  # of photographs of any size; None: the images are all of the model's size
    records: int = 30_000  # in the training split
    model: ViT = field(
        default_factory=lambda: ViT(image=28, patch=7, embed=48, heads=3, mlp=192, scan=True)
    )  # of any depth
    teacher: ResNet = field(
        default_factory=lambda: ResNet(image=28, channels_in=1, channels=(8, 16, 32), blocks=(1, 1, 1))
    )
    counts: tuple[int, ...] = (2, 2, 2, 2)  # layers of each stage of the auxiliary network
    order: tuple[int, ...] = (2, 0, 3, 1)  # of the shuffled stages
    depths: tuple[int, ...] = (4, 6, 8)  # of the descendants
    batch: int = 32  # images
    teacher_steps: int = 300
    aux_steps: int = 800
    tune_steps: int = 200
    tune_batch: int = 32
    look: int = 50  # steps between evaluations while tuning
    teacher_peak: float = 3e-3  # learning rates
    aux_peak: float = 2e-3
    peak: float = 1e-3  # of tuning and of scratch; constant, so that one run shows every number of steps
    warmup: int = 10  # steps
    weight_decay: float = 0.05
    evaluate_batches: int = 80
    several: int = 6  # depth at which SWS and scratch take all seeds
    seeds: tuple[int, ...] = (0, 1, 2)  # of tuning and of scratch


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    laptop = Config()
    if name == "smoke":
        return replace(
            laptop,
            source=Digits(),
            fields=("image", "label"),
            records=1438,
            model=replace(laptop.model, image=8, patch=4, embed=16, heads=2, mlp=32),
            teacher=replace(laptop.teacher, image=8, channels=(8, 16), blocks=(1, 1)),
            counts=(2, 2),
            order=(1, 0),
            depths=(3, 4),
            batch=16,
            tune_batch=16,
            teacher_steps=60,
            aux_steps=60,
            tune_steps=20,
            look=5,
            evaluate_batches=8,
            several=3,
            seeds=(0, 1),
        )
    if name == "pod":
        return replace(
            laptop,
            source=IMAGENET,
            fields=("image", "label"),
            crop=Crop(),
            records=1_281_167,
            model=ViT(image=224, channels=3, patch=16, classes=1000, embed=384, heads=6, mlp=1536, scan=True),
            teacher=resnet50(),
            counts=(3, 3, 4, 3, 3),
            order=(2, 0, 4, 1, 3),
            depths=(6, 9, 12, 15),
            batch=512,
            tune_batch=512,
            teacher_steps=225_000,
            aux_steps=375_000,  # 150 epochs
            tune_steps=25_000,  # 10 epochs
            look=2_500,
            teacher_peak=1e-3,
            aux_peak=5e-4,
            peak=5e-5,
            warmup=0,
            evaluate_batches=97,
            several=12,
        )
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """Teacher and learngenes once, then every depth by every arm."""
    teacher = run.train(teacher_stage(cfg))
    train = images(cfg, cfg.batch)
    asked = flops_of_one(logits_of, cfg.teacher, train.sample_spec()["image"]) * float(cfg.records)
    said = run.make("teacher-logits", logits_for_every_record, teacher, train, flops=asked)
    sws = run.train(learning(cfg, SWS, said))
    steps = round(sws.cost.flops / step_flops(learning(cfg, UNSHARED, said))) if sws.cost.flops else cfg.aux_steps
    genes = {
        SWS: sws,
        UNSHARED: run.train(replace(learning(cfg, UNSHARED, said), steps=steps)),
        SHUFFLED: sws,
        TLEG: run.train(learning(cfg, TLEG, said)),
    }
    arms: dict[tuple[str, int, int], Arm] = {}
    for depth in cfg.depths:
        extra = total(r.cost for r in (teacher, said, sws)).flops / len(cfg.depths)
        for seed in cfg.seeds if depth == cfg.several else cfg.seeds[:1]:
            stage = tuning(cfg, SCRATCH, depth, seed)
            longer = round(extra / step_flops(stage)) if seed == cfg.seeds[0] and extra else 0
            scratch = run.train(replace(stage, steps=cfg.tune_steps + longer))
            arms[SCRATCH, depth, seed] = Arm(SCRATCH, (scratch,))
            for label, gene in genes.items():
                if label == SWS or seed == cfg.seeds[0]:
                    stage, to = tuning(cfg, label, depth, seed), descendant(cfg, depth)
                    start = run.grow(f"{stage.name}/start", gene, to=to, operator=expansion(cfg, label, depth))
                    arms[label, depth, seed] = Arm(label, (start, run.train(stage, start)), (teacher, said, gene))
    own = run.grow("aux/same", sws, to=descendant(cfg, sum(cfg.counts)), operator=Expand.by_counts(*cfg.counts))
    return report(cfg, arms, own)


# --- stages ---


def images(cfg: Config, batch: int, seed: int = 0) -> Images:
    """Images in the order that all arms of a seed share."""
    side, (image, label) = cfg.model.image, cfg.fields
    shape = (side, side, cfg.model.channels)
    kind = Images if cfg.crop is None else partial(Photos, crop=cfg.crop)
    return kind(source=cfg.source, batch=batch, shape=shape, seed=seed, image=image, label=label)


def descendant(cfg: Config, depth: int) -> ViT:
    """The network of a depth."""
    return replace(cfg.model, layers=depth)


def evaluation(cfg: Config, every: int | None) -> Evaluation:
    """Accuracy on held-out images."""
    held_out = images(cfg, cfg.batch).held_out(cfg.evaluate_batches)
    return Evaluation(held_out, cfg.evaluate_batches, every, objective=classification)


def teacher_stage(cfg: Config) -> Stage:
    """The teacher, trained with labels."""
    return Stage(
        name="teacher",
        model=cfg.teacher,
        objective=classification,
        optimizer=adamw(peak=cfg.teacher_peak, warmup=0.1, weight_decay=cfg.weight_decay),
        data=images(cfg, cfg.batch),
        steps=cfg.teacher_steps,
        evaluate=evaluation(cfg, None),
    )


def learning(cfg: Config, label: str, said: Any) -> Stage:
    """The distillation of a learngene: soft targets alone, inside the network that is made of it in every step."""
    stages, network = len(cfg.counts), descendant(cfg, sum(cfg.counts))
    model: Any = descendant(cfg, stages)
    if label == SWS:
        model = AuxNet(model, Expand.by_counts(*cfg.counts), network)
    if label == TLEG:
        model = AuxNet(descendant(cfg, 2), LinearExpansion(), network)
    return Stage(
        name=f"aux/{label}",
        model=model,
        objective=distillation,
        optimizer=adamw(peak=cfg.aux_peak, warmup=0.1, weight_decay=cfg.weight_decay),
        data=join(images(cfg, cfg.batch), said, Row("logits", (cfg.model.classes,))),
        steps=cfg.aux_steps,
        evaluate=evaluation(cfg, None),
    )


def expansion(cfg: Config, label: str, depth: int) -> Operator:
    """What makes the descendant of a depth of a learngene: extra repeats go to the early stages."""
    if label == TLEG:
        return LinearExpansion()
    even = Expand.evenly(len(cfg.counts), depth)
    return Expand(tuple(cfg.order[stage] for stage in even.source)) if label == SHUFFLED else even


def tuning(cfg: Config, label: str, depth: int, seed: int) -> Stage:
    """Training with labels: the recipe that every arm shares, from a learngene or from fresh parameters."""
    return Stage(
        name=f"{label}/{depth}-layers/{seed}",
        model=descendant(cfg, depth),
        objective=classification,
        optimizer=adamw(peak=cfg.peak, warmup=cfg.warmup, decay="constant", weight_decay=cfg.weight_decay),
        data=images(cfg, cfg.tune_batch, seed),
        steps=cfg.tune_steps,
        evaluate=evaluation(cfg, cfg.look),
        seed=seed,
    )


# --- report ---


def accuracy(arm: Arm, step: int | None) -> float:
    """Held-out accuracy at a step of tuning, or at the end; NaN if it was not measured."""
    evals = arm.results[-1].history.evals
    found = [row["accuracy"] for row in evals if step is None or row["step"] == step]
    return float(found[-1]) if found else float("nan")


def report(cfg: Config, arms: dict[tuple[str, int, int], Arm], own: Any) -> Report:
    """Accuracy before, while and after tuning; what a set of depths costs; the claims."""
    first, labels = cfg.seeds[0], (SWS, SCRATCH, UNSHARED, SHUFFLED, TLEG)
    looks = [0, *(step for step in (cfg.look, 2 * cfg.look, cfg.tune_steps) if step <= cfg.tune_steps)]

    def at(label: str, depth: int, step: int | None) -> float:
        seeds = [seed for (own, d, seed) in arms if (own, d) == (label, depth)]
        return float(np.mean([accuracy(arms[label, depth, seed], step) for seed in seeds]))

    def spread(label: str, depth: int, step: int) -> float:
        found = [accuracy(arm, step) for (own, d, _), arm in arms.items() if (own, d) == (label, depth)]
        return float(np.std(found, ddof=1)) if len(found) > 1 else float("nan")

    def name(label: str, depth: int, seed: int) -> str:
        return f"{label}, {depth} layers" + ("" if seed == first else f", seed {seed}")

    named = [
        replace(arm, name=name(*key), group=f"{key[0]}, {key[1]} layers", against=name(SCRATCH, *key[1:]))
        for key, arm in arms.items()
    ]
    rows = [
        (label, depth, *(at(label, depth, step) for step in looks), spread(label, depth, cfg.tune_steps))
        for depth in cfg.depths
        for label in labels
    ]
    accuracies = Table(
        "Held-out accuracy after so many steps of tuning",
        ("arm", "layers", *("before" if step == 0 else f"{step} steps" for step in looks), "+/-"),
        tuple(rows),
        ("", "", *([".1%"] * (len(looks) + 1))),
        note=f"Means over {len(cfg.seeds)} seeds of tuning for {SWS} and {SCRATCH} at {cfg.several} layers, +/- at the "
        "last step; one seed elsewhere.",
    )
    once = {label: arms[label, cfg.depths[0], first] for label in labels}
    tuned = {label: total(arms[label, d, first].results[-1].cost for d in cfg.depths).flops for label in labels}
    mean = {label: float(np.mean([accuracy(arms[label, d, first], None) for d in cfg.depths])) for label in labels}
    costs = Table(
        f"The set of {len(cfg.depths)} depths",
        ("arm", "FLOPs once", "FLOPs of all depths", "mean accuracy at the end", "parameters stored"),
        tuple((own, once[own].charged_cost.flops, tuned[own], mean[own], size(arms, own, cfg)) for own in labels),
        ("", "si", "si", ".1%", "si"),
        note="Scratch has the same total here: its runs are longer by a share of what teacher, logits and learngene "
        "cost. The other learngenes' cost is their own.",
    )  # fmt: skip
    # fmt: off
    lead = min(at(SWS, d, cfg.look) - at(SCRATCH, d, cfg.tune_steps) for d in cfg.depths)
    beyond = [d for d in cfg.depths if d > len(cfg.counts)]
    sharing = min(at(SWS, d, 0) - at(UNSHARED, d, 0) for d in beyond)
    equal = mean[SWS] - mean[SCRATCH]
    same = own.receipt.get("logit_change")
    claims = (
        claim(
            f"After {cfg.look} steps SWS is at least as accurate as scratch after {cfg.tune_steps}, at each depth",
            paper="better after 1 epoch, in some cases", measured=lead, unit="%",
            margin="smallest lead over the depths at least 0", holds=lead >= 0,
        ),
        claim(
            "Before tuning, layers trained to be repeated are better repeated than layers that were not",
            paper="not read", measured=sharing, unit="%",
            margin="smallest lead over the depths that expand both above 5 points", holds=sharing > 0.05,
        ),
        claim(
            "A descendant with the auxiliary network's own counts is that network",
            paper="exact", measured=same, margin="largest change of a logit below 1e-4", holds=(same or 0.0) < 1e-4,
        ),
        claim(
            "At equal total cost over the set of depths SWS is at least as accurate as scratch",
            paper="better with 6.6x less", measured=equal, unit="%",
            margin="mean lead at least 0", holds=equal >= 0,
        ),
    )
    # fmt: on
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2404.16897",
        arms=tuple(named),
        tables=(accuracies, costs),
        baseline=name(SCRATCH, cfg.depths[0], first),
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=(
            "The teacher's logits are computed once for the whole training set and joined by the record's index; the "
            "paper computes them in the step, because it augments its images.",
            "Tuning and scratch share one constant learning rate; the paper tunes with a tenth of that of scratch.",
            "The unshared network gets as many FLOPs as the auxiliary network, hence about twice its steps.",
            "The two layers of TLEG are as fresh as any, so its auxiliary network begins with gains between 1 and 2.",
            "All seeds of SWS tune the same learngene.",
            "No learning rate was searched. The one of tuning and scratch is high for tuning (SWS of 8 layers falls "
            "from 70.9 to 66.9 % by it) and maybe low for scratch; the fourth claim hangs on 0.1 point.",
        ),
    )


def size(arms: dict[tuple[str, int, int], Arm], label: str, cfg: Config) -> int:
    """Numbers to store for the whole set: the learngene, or a network of each depth."""
    if label == SCRATCH:
        return sum(arms[label, depth, cfg.seeds[0]].results[-1].parameters for depth in cfg.depths)
    return arms[label, cfg.depths[0], cfg.seeds[0]].charged[-1].parameters


EXPERIMENT = Experiment(
    name="sws_learngene",
    title="SWS: networks of any depth from stage-wise shared layers",
    reference="Xia et al., IJCAI 2024, arXiv 2404.16897",
    paper=29,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("sws_learngene")
