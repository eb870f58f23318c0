"""EfficientTrain: first the low frequencies of every image, weakly augmented, then the whole of it.

Paper    Wang et al., EfficientTrain: Exploring Generalized Curriculum Learning for Training Visual Backbones,
         ICCV 2023, arXiv 2211.09703 (dossier 091).
Claim    A curriculum over what is shown of each image, not over images, gives the accuracy of ordinary training for two
         thirds of its cost: ResNet-50 78.8 -> 79.4 in 1.44 times less time, DeiT-S 80.3 -> 80.4 in 1.51 times less.
Method   Training has five equal parts. The spectrum of the images is cropped to 160, 160, 160, 192 and 224 frequencies
         of 224, which makes smaller tensors and cheaper steps; RandAugment has the magnitudes 1, 3, 5, 7 and 9. One
         optimizer and one cosine run through; position tables are resampled where the size changes. Beside the whole
         schedule: the baseline (no crop, 9 throughout); the schedule in longer parts, for the FLOPs of the baseline;
         the crop alone; the magnitudes alone; resizing in place of the crop; the schedule reversed. One recipe, but
         for the learning rate: the baseline's best on images kept from training where images are whole throughout, and
         EfficientTrain's best in all other arms. Every network is scored on whole images.
         Beside it: what the baseline's networks lose when high frequencies are taken from test images, part by part;
         and the greedy search: from the first part to the last, the smallest size that keeps the baseline's accuracy.
Run      stagejax run efficienttrain                      laptop: some 18 minutes on two busy cores
         stagejax run efficienttrain --preset smoke       a minute
         stagejax plan efficienttrain --preset pod --mesh data=16,fsdp=16
Holds if for ResNet and ViT each, on means over seeds: at equal epochs the schedule is no more than 0.5 points below the
         baseline, with 70 % of its FLOPs or less; at equal FLOPs it is 0.5 points or more above it; at equal epochs it
         takes 1.3 times less time or better. Of ResNet: reversed, it is below both; and the first fifth's network loses
         1 point or less, and less than the last one's, without high frequencies.
Ours     Two seeds of ResNet and three of ViT; accuracy and FLOPs in %, ResNet's and ViT's:
         baseline                41.4 +/- 1.2  100   69.9 +/- 1.6  100      crop alone             41.6 +/- 1.9   66
         EfficientTrain          45.2 +/- 0.6   66   64.9 +/- 1.2   63      magnitudes alone       44.0 +/- 1.0  100
         the same, equal FLOPs   48.4 +/- 1.3  100   69.6 +/- 1.9  100      resized, not cropped   45.2 +/- 1.0   65
                                                                            reversed               37.4 +/- 4.5   66
         Of ResNet the claims on accuracy, time and order hold: the magnitudes gain accuracy, the crop saves FLOPs. Of
         ViT that on time alone holds. Steps are 1.60 and 1.56 times as fast. Without high frequencies 0.3 points are
         lost after a fifth, 0.8 at the end. Reversed, training ends on images of 22 pixels and the test is on 32: how
         much of its deficit is that, and not the order, was not measured. No rate is at an end of its grid. Before the
         search of rates and initial scale on images of their own no verdict was another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Handover, Precision, Stage
from stagejax.budget import flops, step_flops
from stagejax.data import Data, Dataset, Digits, Images, Portion, Source
from stagejax.data.pictures.augment import Augmented, RandAugment
from stagejax.data.pictures.bands import fourier_crop, resized
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.mixing import erased, mixed
from stagejax.data.pictures.photos import Photos
from stagejax.data.published import IMAGENET
from stagejax.growth import Resample
from stagejax.inference.pictures.bands import accuracy_by_band
from stagejax.models.convnet import ResNet, resnet50
from stagejax.models.vit import ViT
from stagejax.names import slug
from stagejax.objectives.classification import classification
from stagejax.objectives.loss import smoothed
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim
from stagejax.search.greedy import greedy
from stagejax.search.lowest import Lowest, lowest
from stagejax.steps.timing import step_seconds

BASELINE, EFFICIENT, EQUAL = "baseline", "EfficientTrain", "EfficientTrain, equal FLOPs"
CROP, MAGNITUDES, RESIZED, REVERSED = "crop alone", "magnitudes alone", "resized, not cropped", "reversed"
ARMS = (BASELINE, EFFICIENT, EQUAL, CROP, MAGNITUDES, RESIZED, REVERSED)
SCALE = "initial scale"
MAGNITUDE = (1.0, 3.0, 5.0, 7.0, 9.0)  # of RandAugment, in the parts
WHOLE = (BASELINE, MAGNITUDES)  # at the baseline's learning rate; all others at that of EfficientTrain
CARRY = Handover(moments="carry", schedule="carry", data="carry")

Shrink = Callable[[Any, int], Any]  # (images, side) -> images of that side


@dataclass(frozen=True)
class Task:
    """A network on a dataset: what its arms share."""

    name: str
    net: ResNet | ViT
    source: Source
    channels: int  # of a pixel
    sides: tuple[int, ...]  # of the images in each part; the net's own in the last
    steps: int  # of each part, at equal epochs
    arms: tuple[str, ...] = ARMS
    batch: int = 64
    peak: float = 8e-3  # learning rate that the search begins at
    peaks: tuple[float, ...] = (4e-3, 8e-3, 1.6e-2)  # that are tried; fewer than two: none
    stds: tuple[float, ...] = ()  # of the initial values of a ViT, that are tried before them
    seeds: int | None = None  # the first ones of the run's; None: all
    warmup: float = 1 / 15  # share of all steps
    weight_decay: float = 0.05
    fields: tuple[str, str] = ("x", "y")  # of a record: image and label
    crop: Crop | None = None  # of photographs of any size; None: images are of the net's size
    mixing: bool = False  # erased boxes, mixed images and smoothed targets
    compute: str = "float32"  # dtype
    scored_last: bool = False  # not after every part: positions are those of whole images in the last alone

    @property
    def known(self) -> tuple[int, ...]:
        """All sides that occur, the smallest first."""
        return tuple(sorted(set(self.sides)))


@dataclass(frozen=True)
class Schedule:
    """What the parts of an arm show of the images."""

    sides: tuple[int, ...]
    magnitudes: tuple[float, ...] = MAGNITUDE
    shrink: Shrink = fourier_crop


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    tasks: tuple[Task, ...] = field(default_factory=lambda: (residual(), transformer()))
    test: tuple[int, int] = (500, 4)  # held-out images of a batch, batches
    kept: int = 2000  # images that no arm is trained on, to choose by
    candidates: tuple[int, ...] = (22,)  # sides of the greedy search, for the first task, the smallest first
    trial: int = 20  # its steps of a part; 0: no search
    seeds: tuple[int, ...] = (0, 1, 2)


def residual() -> Task:
    """A ResNet of 8 layers on 32 x 32 pixels; the sizes of the paper, times 1/7, even."""
    net, sides = ResNet(channels=(8, 16, 32), blocks=(1, 1, 1)), (22, 22, 22, 28, 32)
    return Task("ResNet", net, Dataset("cifar10"), 3, sides, steps=60, seeds=2)


def transformer() -> Task:
    """A ViT with patches of 4 on 28 x 28 pixels; the sizes of the paper, times 1/8."""
    net = ViT(embed=64, patch=4, layers=2, heads=4, mlp=128, init_std=0.1)
    own: Any = {"peak": 2e-3, "peaks": (1e-3, 2e-3, 4e-3), "stds": (0.03, 0.1, 0.3), "scored_last": True}
    return Task("ViT", net, Dataset("fashion_mnist"), 1, (20, 20, 20, 24, 28), 100, ARMS[:3], batch=32, **own)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        shared: Any = {"source": Digits(), "channels": 1, "sides": (4, 4, 4, 6, 8), "steps": 4, "batch": 16}
        shared |= {"fields": ("image", "label"), "peak": 1e-2}
        net, vit = ResNet(8, 1, (4, 8), (1, 1)), ViT(image=8, patch=2, embed=8, layers=1, heads=2, mlp=16)
        few: Any = {"arms": ARMS[:2], "mixing": True, "scored_last": True, "peaks": ()}
        tasks = (Task("ResNet", net, peaks=(1e-2, 2e-2), **shared), Task("ViT", vit, **shared, **few))
        return Config(tasks, (100, 2), 200, (4,), trial=2, seeds=(0,))
    if name == "pod":
        shared = {"source": IMAGENET, "channels": 3, "sides": (160, 160, 160, 192, 224), "crop": Crop()}
        shared |= {"steps": 300 * 1_281_167 // 4096 // 5, "batch": 4096, "fields": ("image", "label")}  # 300 epochs
        shared |= {"arms": ARMS[:3], "mixing": True, "compute": "bfloat16", "peak": 4e-3, "peaks": ()}
        sizes: Any = {"image": 224, "channels": 3, "patch": 16, "classes": 1000, "embed": 384, "layers": 12}
        deit = ViT(**sizes, heads=6, mlp=1536, pool="class", drop_path=0.1, scan=True)
        tasks = (Task("ResNet", resnet50(), **shared), Task("ViT", deit, scored_last=True, **shared))
        return Config(tasks, test=(1024, 48), kept=0, trial=0, seeds=(0,))
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """Every arm of every task at its rate; what baselines need of the spectrum; how long steps take; the search."""
    tasks = [measured(run, cfg, task) for task in cfg.tasks]
    return report(cfg, tasks, searched(run, cfg, tasks[0].at(BASELINE)) if cfg.trial else None)


def measured(run: Any, cfg: Config, task: Task) -> Measured:
    """All arms of a task, seed by seed."""
    plans, seeds, lost = schedules(cfg, task), cfg.seeds[: task.seeds], []
    task, tried = recipe(run, cfg, task, plans)
    made = Measured(task, seeds, plans, tried)
    for seed in seeds:
        for arm, (schedule, _) in plans.items():
            name = f"{task.name}/{slug(arm)}/{seed}"
            made.found[arm, seed] = trained(run, cfg, made.at(arm), name, schedule, seed)
        asked = (standard, scored(cfg, task), task.known, *made.found[BASELINE, seed])
        lost.append(run.make(f"{task.name}/bands/{seed}", accuracy_by_band, *asked).value)
    each = [part(cfg, task, "timed", Schedule((side,)), 0, 0) for side in task.known]
    seconds = run.make(f"{task.name}/step-seconds", step_seconds, *each).value or [float("nan")] * len(each)
    unknown = np.full((len(task.sides), len(task.known)), np.nan)  # in a plan
    bands = np.array([value["accuracy"] if value else unknown for value in lost])
    return replace(made, bands=bands, seconds=dict(zip(task.known, seconds, strict=True)))


def recipe(run: Any, cfg: Config, task: Task, plans: dict[str, Any]) -> tuple[Task, dict[str, Lowest]]:
    """The task at the baseline's best initial scale, and the rates of two arms, by images kept from training.

    Pilots are whole runs of the first seed: the best one is the arm's own, and trained once.
    """

    def wrong(arm: str, what: str, value: float) -> tuple[float, tuple[Any, ...]]:
        own: Any = replace(task, peak=value) if what == "peak" else replace(task, net=replace(net, init_std=value))
        name = f"{task.name}/pilots/{slug(arm)}/{what}-{value:g}"
        parts = trained(run, cfg, own, name, plans[arm][0], cfg.seeds[0], may_diverge=True)
        return float("inf") if parts[-1].diverged else 1 - kept_accuracy(run, cfg, own, name, parts), parts

    tried, net = {}, cast(Any, task.net)
    if task.stds:
        tried[SCALE] = lowest(task.stds, partial(wrong, BASELINE, "scale"), beyond=2)
        task = replace(task, net=replace(net, init_std=tried[SCALE].best))
    for arm in (BASELINE, EFFICIENT) if task.peaks else ():
        tried[arm] = lowest(task.peaks, partial(wrong, arm, "peak"), beyond=2)
    return task, tried


# --- schedules and stages ---


def schedules(cfg: Config, task: Task) -> dict[str, tuple[Schedule, int]]:
    """What each arm shows, and the steps of its parts."""
    whole, own = (task.net.image,) * len(task.sides), Schedule(task.sides)
    constant = (MAGNITUDE[-1],) * len(MAGNITUDE)
    baseline = Schedule(whole, constant)
    longer = round(task.steps * epoch_flops(cfg, task, baseline) / epoch_flops(cfg, task, own))
    made = {
        BASELINE: (baseline, task.steps),
        EFFICIENT: (own, task.steps),
        EQUAL: (own, longer),
        CROP: (replace(own, magnitudes=constant), task.steps),
        MAGNITUDES: (Schedule(whole), task.steps),
        RESIZED: (replace(own, shrink=resized), task.steps),
        REVERSED: (Schedule(task.sides[::-1], MAGNITUDE[::-1]), task.steps),
    }
    return {arm: made[arm] for arm in task.arms}


def epoch_flops(cfg: Config, task: Task, schedule: Schedule) -> int:
    """FLOPs of one step in each part."""
    return sum(step_flops(part(cfg, task, "counted", schedule, i, 0)) for i in range(len(schedule.sides)))


def images(task: Task, source: Source, batch: int, seed: int = 0) -> Images:
    """Whole images, as they are or a random part of a photograph."""
    (image, label), shape = task.fields, (task.net.image, task.net.image, task.channels)
    kind = Images if task.crop is None else partial(Photos, crop=task.crop)
    return kind(source=source, batch=batch, shape=shape, seed=seed, image=image, label=label)


def scored(cfg: Config, task: Task) -> Data:
    """The test images, whole."""
    return images(task, task.source, cfg.test[0]).held_out(cfg.test[1])


def standard(images_BYXP: jax.Array) -> jax.Array:
    """Values from 0 to 1 as values around 0."""
    return (images_BYXP - 0.5) / 0.25


def whole_images(model: Any, batch: Any, key: Any, *, compute: str = "float32") -> Any:
    """Classification of images as large as they are: how networks are scored, whatever they were trained on."""
    return classification(model, batch | {"image": standard(batch["image"]).astype(compute)}, key)


def shrunk_images(model: Any, batch: Any, key: Any, *, shrink: Shrink, compute: str = "float32") -> Any:
    """Classification of images of the model's own size."""
    small = shrink(standard(batch["image"]), model.config.image)
    return classification(model, batch | {"image": small.astype(compute)}, key)


def mixed_images(model: Any, batch: Any, key: Any, *, shrink: Shrink, compute: str = "float32") -> Any:
    """The same in the recipe of large networks: boxes erased first, then the crop, images and targets mixed at last."""
    if key is None:
        return shrunk_images(model, batch, key, shrink=shrink, compute=compute)
    box, mix, skip = jax.random.split(key, 3)
    images_BYXP, own = mixed(mix, shrink(erased(box, standard(batch["image"])), model.config.image))
    logits_BC, labels = model(images_BYXP.astype(compute), key=skip), batch["label"]
    losses = own * smoothed(logits_BC, labels, 0.1) + (1 - own) * smoothed(logits_BC, labels[::-1], 0.1)
    return losses.mean(), {"loss": (losses.sum(), jnp.float32(len(losses)))}


def part(cfg: Config, task: Task, name: str, schedule: Schedule, i: int, seed: int) -> Stage:
    """Part i of a training: the recipe that all arms share, on images of the part's size and strength."""
    side, parts = schedule.sides[i], len(schedule.sides)
    net, source = replace(task.net, image=side), Portion(task.source, cfg.kept) if cfg.kept else task.source
    shown, augment = images(task, source, task.batch, seed), RandAugment(schedule.magnitudes[i])
    objective = mixed_images if task.mixing else shrunk_images
    test = Evaluation(scored(cfg, task), cfg.test[1], objective=partial(whole_images, compute=task.compute))
    return Stage(
        name=f"{name}/{i + 1}",
        model=net,
        objective=partial(objective, shrink=schedule.shrink, compute=task.compute),
        optimizer=adamw(task.peak, warmup=task.warmup, weight_decay=task.weight_decay, horizon=parts * task.steps),
        data=Augmented(data=shown, augment=augment, seed=seed),
        steps=task.steps,
        handover=CARRY if i else Handover(),
        evaluate=test if i == parts - 1 or not task.scored_last else None,
        precision=Precision(compute=task.compute),
        seed=seed,
    )


def trained(run: Any, cfg: Config, task: Task, name: str, schedule: Schedule, seed: int, **how: Any) -> tuple[Any, ...]:
    """All parts, one after the other; where positions are other ones, their table and its moments are resampled."""
    done: tuple[Any, ...] = ()
    for i in range(len(schedule.sides)):
        if done and done[-1].diverged:
            break
        stage = part(cfg, task, name, schedule, i, seed)
        if done and stage.model.sizes() != done[-1].model.sizes():
            operator = Resample("cubic", grid=True)
            done += (run.grow(f"{name}/{i + 1}/start", done[-1], to=stage.model, operator=operator, moments="dual"),)
        done += (run.train(stage, *done[-1:], **how),)
    return done


def kept_accuracy(run: Any, cfg: Config, task: Task, name: str, parts: tuple[Any, ...]) -> float:
    """Of the last part's network on whole images that were kept from training."""
    size = min(cfg.kept, cfg.test[0])
    judged = replace(images(task, Portion(task.source, 0, cfg.kept), size), count=cfg.kept // size)
    value = run.make(f"{name}/kept", accuracy_by_band, standard, judged, [task.net.image], parts[-1]).value
    return float(value["accuracy"][0, 0]) if value else float("nan")


def searched(run: Any, cfg: Config, task: Task) -> dict[str, Any]:
    """Sizes by greedy search. Trials share the parts in which they agree: each is trained, and paid for, once."""
    own, trials = replace(task, steps=cfg.trial, scored_last=True), {}

    def accuracy(sides: tuple[int, ...]) -> float:
        name = f"{task.name}/search/{'-'.join(map(str, sides))}"
        trials[sides] = trained(run, cfg, own, name, Schedule(sides), cfg.seeds[0])
        return kept_accuracy(run, cfg, own, name, trials[sides])

    found, scores = greedy((task.net.image,) * len(task.sides), cfg.candidates, accuracy)
    once = {result.fingerprint: result for results in trials.values() for result in results}
    return {"found": found, "scores": scores, "flops": flops(*once.values())}


# --- report ---


@dataclass(frozen=True)
class Measured:
    """What came out for a task."""

    task: Task
    seeds: tuple[int, ...]
    plans: dict[str, tuple[Schedule, int]]  # of each arm, and the steps of its parts
    tried: dict[str, Lowest]  # scales and rates
    found: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)  # parts by arm and seed
    bands: np.ndarray = field(default_factory=lambda: np.array([]))  # accuracies of the baseline: (seeds, parts, bands)
    seconds: dict[int, float] = field(default_factory=dict)  # of a step, by side

    def at(self, arm: str) -> Task:
        """The task with an arm's steps, at its learning rate."""
        own = self.tried.get(BASELINE if arm in WHOLE else EFFICIENT)
        return replace(self.task, steps=self.plans[arm][1], peak=own.best if own else self.task.peak)

    def owing(self, arm: str, seed: int) -> Arm:
        """With the first seed an arm owes the search of its recipe, but not again what it is made of."""
        parts, owed = self.found[arm, seed], (SCALE, BASELINE if arm in WHOLE else EFFICIENT)
        spent = {r.fingerprint: r for what in owed if what in self.tried for r in self.tried[what].spent}
        rest = spent.keys() - {r.fingerprint for r in parts} if seed == self.seeds[0] else ()
        return Arm("", parts, tuple(spent[which] for which in sorted(rest)))

    def over(self, arm: str) -> np.ndarray:
        """Accuracy by seed."""
        return np.array([self.found[arm, seed][-1].history.last("accuracy") for seed in self.seeds])

    def gain(self, arm: str, other: str = BASELINE) -> float:
        """In points."""
        return 100 * float((self.over(arm) - self.over(other)).mean())

    def share(self, arm: str) -> float:
        """Of the baseline's FLOPs."""
        own, base = (sum(flops(*self.found[which, seed]) for seed in self.seeds) for which in (arm, BASELINE))
        return own / base if base else float("nan")

    def time(self, arm: str) -> float:
        """Seconds of its steps, by the shortest of each size."""
        schedule, steps = self.plans[arm]
        return steps * sum(self.seconds[side] for side in schedule.sides)


def report(cfg: Config, tasks: list[Measured], search: dict[str, Any] | None) -> Report:
    """Accuracy, FLOPs and time of the arms, task by task; the claims; the search."""
    tables, arms, claims = list[Table](), list[Arm](), list[Claim]()
    for made in tasks:
        at = {arm: f"{made.task.name}: {arm}" for arm in made.task.arms}
        own = {at[arm]: {seed: made.owing(arm, seed) for seed in made.seeds} for arm in at}
        arms += by_seed(own, at[BASELINE])
        tables += [table_of_arms(made), table_of_bands(made)]
        claims += claims_of(made)
    tables += [table_of_rates(tasks), *([table_of_search(cfg, search)] if search else [])]
    return EXPERIMENT.report(
        tuple(claims), link="https://arxiv.org/abs/2211.09703", arms=tuple(arms), tables=tuple(tables),
        baseline=f"{cfg.tasks[0].name}: {BASELINE}", metric="accuracy", rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


def claims_of(made: Measured) -> list[Claim]:
    """What the paper says of a network."""
    equal_epochs, share = made.gain(EFFICIENT), made.share(EFFICIENT)
    faster = made.time(BASELINE) / made.time(EFFICIENT)
    first, last = (100 * float((made.bands[:, i, -1] - made.bands[:, i, 0]).mean()) for i in (0, -1))

    def judged(what: str, measured: Any, margin: str, holds: bool, paper: str, unit: str = "points") -> Claim:
        return claim(f"{made.task.name}: {what}", paper=paper, measured=measured, margin=margin, holds=holds, unit=unit)

    # fmt: off
    claims = [
        judged("as accurate as the baseline after as many epochs, for two thirds of its FLOPs",
               f"{equal_epochs:+.1f} points for {share:.1%}" if share == share else None,
               "-0.5 points or more, for 70 % of the FLOPs or less", equal_epochs >= -0.5 and share <= 0.7,
               paper="ResNet-50 78.8 -> 79.4, DeiT-S 80.3 -> 80.4, for 65 %"),
        judged("steps for as many epochs take less time", faster, "1.3 times as fast or more", faster >= 1.3,
               paper="ResNet-50 1.44 times as fast, DeiT-S 1.51", unit="times as fast"),
    ]
    if EQUAL in made.task.arms:
        claims.append(judged("more accurate for as many FLOPs", made.gain(EQUAL), "+0.5 points or more",
                             made.gain(EQUAL) >= 0.5, paper="DeiT-T 72.5 -> 74.3"))
    if REVERSED in made.task.arms:
        behind = min(made.gain(other, REVERSED) for other in (BASELINE, EFFICIENT))
        claims += [
            judged("reversed, the schedule is worse than itself and than the baseline", behind,
                   "above 0 against both", behind > 0, paper="a control of ours", unit="points below the worse"),
            judged("low frequencies are learned first",
                   f"{first:.1f} points lost after a fifth, {last:.1f} at the end" if last == last else None,
                   "1 point or less after a fifth, and less than at the end", first <= 1 and first < last,
                   paper="early networks need no others"),
        ]
    # fmt: on
    return claims


def table_of_arms(made: Measured) -> Table:
    """What each arm reaches, and for what."""

    def row(arm: str) -> tuple[Any, ...]:
        right, steps = made.over(arm), made.plans[arm][1] * len(made.task.sides)
        spread = float(right.std(ddof=1)) if len(right) > 1 else None
        return (arm, float(right.mean()), spread, steps, made.share(arm), made.time(arm))

    each = ", ".join(f"{side}: {1000 * seconds:.1f} ms" for side, seconds in made.seconds.items())
    note = (
        f"Sizes in the parts: {made.task.sides}. Whole test images; means over seeds, +/- their standard deviation. "
        f"FLOPs as a share of the baseline's; seconds by the shortest step of each size ({each}), which took turns. "
        "Steps on resized images were not timed: theirs are the crop's."
    )
    columns = ("arm", "accuracy", "+/-", "steps", "FLOPs", "seconds of steps")
    rows = tuple(map(row, made.task.arms))
    return Table(f"{made.task.name}: arms", columns, rows, ("", ".1%", ".1%", ",", ".1%", ".1f"), note)


def table_of_bands(made: Measured) -> Table:
    """Accuracy of the baseline's networks without high frequencies."""
    rows = tuple((f"part {i}", *row) for i, row in enumerate(made.bands.mean(0).tolist(), 1))
    columns = ("after", *(f"{side} frequencies" for side in made.task.known))
    note = "Test images of the old size that hold no other frequencies; means over seeds."
    title = f"{made.task.name}: what the baseline needs of the spectrum"
    return Table(title, columns, rows, ("", *[".1%"] * len(made.task.known)), note)


def table_of_rates(tasks: list[Measured]) -> Table:
    """What was tried to find each rate, and the ViT's initial scale."""
    rows = tuple((f"{made.task.name}: {what}", *own.cells) for made in tasks for what, own in made.tried.items())
    note = (
        "Whole runs with the first seed, by errors on images that no arm is trained on; up to two further ones where "
        f"the best was at an end. {' and '.join(WHOLE)} take the baseline's rate, all other arms that of {EFFICIENT}."
    )
    columns = ("of", "tried", "errors", "chosen", "at an end")
    return Table("Learning rates and initial scale", columns, rows, ("", "", "", "g", ""), note)


def table_of_search(cfg: Config, made: dict[str, Any]) -> Table:
    """Every trial of the greedy search in order, and what it found."""
    tried, found = made["scores"].items(), made["found"]
    rows = tuple((" ".join(map(str, sides)), score, "found" if sides == found else "") for sides, score in tried)
    note = (
        f"{cfg.trial} steps a part, one seed; accuracy on {cfg.kept} images kept from training. All trials "
        f"together took {made['flops']:.2e} FLOPs, shared parts once. The arms take the schedule of the paper."
    )
    return Table("Greedy search of the sizes", ("sizes", "accuracy", ""), rows, ("", ".1%", ""), note)


NOTES = (
    "Small networks and few epochs: a ResNet of 8 layers on CIFAR-10, a ViT of 2 blocks on Fashion-MNIST at 28 x 28, "
    "where the paper's sizes are exact at an eighth. Random crops, mixing, erased boxes and smoothed targets are in "
    "the preset `pod` alone. Sizes and steps were set by time; rates, and the ViT's initial scale, are searched on "
    "images that no arm is trained on, and charged to the arms of the first seed. The scale is the baseline's best.",
    "This form of the greedy search is ours; the arms do not pay for it, as they take the published schedule. "
    "Resizing is linear with smoothing. EfficientTrain++ (ten parts of equal cost) and Swin are not here.",
    "While a ViT sees smaller images it is not scored, as it has no positions for whole ones.",
)


EXPERIMENT = Experiment(
    name="efficienttrain",
    title="EfficientTrain: low frequencies and weak augmentation first",
    reference="Wang et al., ICCV 2023, arXiv 2211.09703",
    paper=91,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("efficienttrain")
