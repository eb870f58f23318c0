"""FST: a student is taught by its own future.

Paper    Du et al., Learning from Future: A Novel Self-Training Framework for Semantic Segmentation, NeurIPS 2022,
         arXiv 2209.06993 (dossier 055).
Claim    A teacher that has absorbed virtual future students gives better labels than one of past students only; the
         authors' table has 59.94 mIoU for GTA -> Cityscapes (R-101), with no matched classic row that could be read.
Method   All arms begin at one network trained on the labelled images. Then, with L = L_sup(labelled) + L_unsup(labelled
         pixels pasted onto unlabelled images that the teacher labels, weighed by its confidence):
         classic       phi <- EMA(phi, theta); theta steps on L(theta; phi)
         FST-D, K      phi absorbs theta and K virtual students, each a step further with labels of the newest phi;
                       theta is restored and steps once; phi is not rolled back. Virtual steps' moments are discarded
         FST-W, N      phi absorbs the mean of N virtual students, each on a batch of its own
         compute       classic with as many passes as FST-D with the largest K, (K + 1) times the steps
         faster EMA    classic whose teacher absorbs each student K + 1 times
         supervised    labelled images only
         Every pass is charged: a step of FST-D costs K + 1 steps of classic, one of FST-W N + 1.
Run      stagejax run fst                       laptop: about 6 minutes on two cores
         stagejax run fst --preset smoke        seconds
         stagejax plan fst --preset pod --mesh data=16,fsdp=16
Holds if the mIoU of FST-D with K = 3 is that of classic at equal real steps + 1 point or more; against the
         compute-matched classic its signed difference is 0 or more; its teacher's labels of the unlabelled images are
         more often right than classic's in the first half of training. Means over seeds, of the student, at the end.
Ours     CamVid at 64 x 48, 46 labelled images, 100 + 300 steps, seeds 0 and 1, in %:
                                   mIoU of student   of teacher   labels right, first half
         supervised                     23.4 ± 0.4
         classic                        22.7 ± 0.1   21.0 ± 0.1                 70.8 ± 2.6
         classic, equal compute         25.7 ± 0.3   25.7 ± 0.4                 75.7 ± 1.3
         classic, faster EMA            22.7 ± 0.1   22.6 ± 0.0                 71.6 ± 2.3
         FST-D, K = 1                   22.7 ± 0.1   22.2 ± 0.1                 71.3 ± 2.5
         FST-D, K = 3                   22.7 ± 0.1   22.6 ± 0.1                 71.6 ± 2.3
         FST-W, N = 3                   22.2 ± 0.8   21.6 ± 0.6                 71.4 ± 1.8
         Neither claim on the student holds. The future's teacher is right 0.8 points more often, but no more than one
         whose average is faster; its student is the same, and training longer for the same FLOPs is worth 3 points.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import TFDS, Dataset, Portion, Source
from stagejax.data.pictures.segmentation import Night, Segmentation, Shapes
from stagejax.data.streams import Streams
from stagejax.inference import Frozen, apply
from stagejax.models.vision.unet import UNet
from stagejax.objectives.pictures.segmentation import segmentation
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, claim, mean, table_of_means
from stagejax.report.pictures import in_colour, pictures
from stagejax.steps.self_training import lookahead_teacher, mean_teacher, self_training, taught_step, wide_lookahead

SUPERVISED, CLASSIC, COMPUTE, FASTER = "supervised", "classic", "classic, equal compute", "classic, faster EMA"
#: Labels of Cityscapes that are evaluated, in the order of its 19 classes.
CITYSCAPES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    source: Source = field(default_factory=lambda: Dataset("camvid"))
    classes: tuple[int, ...] = tuple(range(11))  # labels of the source that count
    net: UNet = field(default_factory=UNet)
    labelled: int = 46  # images with labels, an eighth; all others are unlabelled
    night: bool = False  # whether unlabelled and test images are dark: domain adaptation instead of few labels
    batch: int = 4  # labelled images of a step, and as many unlabelled ones
    start: int = 100  # steps on the labelled images alone, shared by all arms
    steps: int = 300  # real steps of each arm
    deep: tuple[int, ...] = (1, 3)  # K of FST-D
    wide: int = 3  # N of FST-W
    peak: float = 2e-3  # learning rate
    decay: float = 0.99  # alpha of the teacher
    threshold: float = 0.968  # confidence of a pixel that counts as sure
    test: tuple[int, int] = (58, 4)  # held-out images of a batch, batches
    evaluations: int = 3
    shown: int = 3  # images in the report
    fields: tuple[str, str] = ("x", "y")  # of the source's records: image, label
    carried: bool = False  # also FST-D whose virtual steps move the moments, as in the authors' code
    seeds: tuple[int, ...] = (0, 1)

    @property
    def dearest(self) -> int:
        """The largest K."""
        return max(self.deep)


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        net = UNet((24, 32, 3), (8, 8), classes=5, groups=2)
        scenes = Shapes(64, (24, 32))
        small = {"labelled": 8, "start": 20, "steps": 12, "deep": (2,), "wide": 2, "decay": 0.9, "threshold": 0.6}
        return Config(scenes, tuple(range(5)), net, test=(16, 2), carried=True, seeds=(0,), **small)
    if name == "pod":
        net = UNet((512, 1024, 3), (64, 128, 256, 512, 1024), classes=19, groups=32, convolution="conv")
        big = {"labelled": 372, "batch": 256, "start": 5000, "steps": 40_000, "peak": 6e-5, "decay": 0.999}
        fields = ("image_left", "segmentation_label")
        return Config(
            TFDS("cityscapes", test="validation"), CITYSCAPES, net, test=(256, 1), fields=fields, seeds=(0,), **big
        )
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """For every seed one start, all arms from it, and how their students and teachers do on the test images."""
    found = {seed: compared(run, cfg, seed) for seed in cfg.seeds}
    return report(cfg, found)


def compared(run: Any, cfg: Config, seed: int) -> dict[str, Any]:
    """The arms of one seed: {"start", "arms": {arm: result}, "measures": {arm: artifact}, "pictures"}."""
    start = run.train(supervised(cfg, f"{seed}/start", seed, cfg.start))
    stages = arms(cfg, seed)
    trained = {arm: run.train(stage, start) for arm, stage in stages.items()}
    measures = {
        arm: run.make(f"{result.name}/measures", measured, scored(cfg), result)
        for arm, result in trained.items()
        if arm != SUPERVISED
    }
    drawn = None
    if seed == cfg.seeds[0]:
        which = [trained[arm] for arm in (SUPERVISED, CLASSIC, deep(cfg.dearest))]
        drawn = run.make(f"{seed}/pictures", said_of, scored(cfg), cfg.shown, *which)
    return {"start": start, "arms": trained, "measures": measures, "pictures": drawn}


# --- stages ---


def deep(k: int) -> str:
    return f"FST-D, K = {k}"


def wide(n: int) -> str:
    return f"FST-W, N = {n}"


def images(cfg: Config, source: Source, batch: int, seed: int = 0) -> Segmentation:
    image, label = cfg.fields
    return Segmentation(
        source=source, classes=cfg.classes, batch=batch, shape=cfg.net.shape, seed=seed, image=image, label=label
    )


def unlabelled_source(cfg: Config) -> Source:
    return Night(cfg.source, image=cfg.fields[0]) if cfg.night else cfg.source


def scored(cfg: Config) -> Segmentation:
    """The test images."""
    batch, count = cfg.test
    return images(cfg, unlabelled_source(cfg), batch).held_out(count)


def labelled(cfg: Config, seed: int, batch: int) -> Segmentation:
    return images(cfg, Portion(cfg.source, stop=cfg.labelled, seed=seed), batch, seed)


def both(cfg: Config, seed: int, batch: int) -> Streams:
    """Labelled images beside others, whose labels only tell how often the teacher is right."""
    rest = Portion(unlabelled_source(cfg), start=cfg.labelled, seed=seed)
    fields = (("target_image", "image"), ("hidden_label", "label"))
    return Streams(data=labelled(cfg, seed, batch), beside=images(cfg, rest, batch, seed + 1000), other=fields)


def supervised(cfg: Config, name: str, seed: int, steps: int) -> Stage:
    """Training on the labelled images: the recipe that all arms share."""
    return Stage(
        name=name,
        model=cfg.net,
        objective=segmentation,
        optimizer=adamw(cfg.peak, warmup=0.1, decay="linear"),
        data=labelled(cfg, seed, cfg.batch),
        steps=steps,
        evaluate=Evaluation(scored(cfg), cfg.test[1], max(1, steps // cfg.evaluations), objective=segmentation),
        seed=seed,
    )


def arms(cfg: Config, seed: int) -> dict[str, Stage]:
    """The stage of each arm. They differ in how the teacher moves, and in their steps or batches where budgets do."""
    plain = supervised(cfg, f"{seed}/supervised", seed, cfg.steps)
    objective = partial(self_training, threshold=cfg.threshold)
    taught = replace(plain, objective=objective, data=both(cfg, seed, cfg.batch), ema=cfg.decay)
    passes = cfg.dearest + 1
    longer = passes * cfg.steps
    made = {
        SUPERVISED: plain,
        CLASSIC: replace(taught, name=f"{seed}/classic", step=mean_teacher(taught_step)),
        COMPUTE: replace(
            taught,
            name=f"{seed}/compute",
            step=mean_teacher(taught_step),
            steps=longer,
            evaluate=replace(taught.evaluate, every=max(1, longer // cfg.evaluations)),
        ),
        FASTER: replace(taught, name=f"{seed}/faster", step=mean_teacher(taught_step, updates=passes)),
    }
    for k in cfg.deep:
        made[deep(k)] = replace(taught, name=f"{seed}/deep-{k}", step=lookahead_teacher(taught_step, k))
    if cfg.carried:
        step = lookahead_teacher(taught_step, cfg.dearest, "carry")
        made[f"{deep(cfg.dearest)}, moments carried"] = replace(taught, name=f"{seed}/carried", step=step)
    data = both(cfg, seed, (cfg.wide + 1) * cfg.batch)
    made[wide(cfg.wide)] = replace(taught, name=f"{seed}/wide", step=wide_lookahead(taught_step, cfg.wide), data=data)
    return made


# --- measures ---


def classes_of(model: Any, rows: Any) -> Any:
    """The likeliest class of every pixel."""
    return model(rows).argmax(-1).astype("int32")


def scenes_of(data: Segmentation) -> dict[str, np.ndarray]:
    with data.batches() as batches:
        found = list(batches)
    return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}


def measured(data: Segmentation, result: Any) -> dict[str, Any]:
    """mIoU of the teacher on the test images, and the IoU of every class of student and teacher."""
    rows, student = scenes_of(data), Frozen.of(result)
    teacher = replace(student, params=result.state().ema)
    found = {}
    for name, net in (("student", student), ("teacher", teacher)):
        said = apply(classes_of, net, rows["image"], data.batch)
        ious = [iou(rows["label"], said, c) for c in range(len(data.classes))]
        found[name] = {"miou": float(np.nanmean(ious)), "ious": [None if np.isnan(x) else x for x in ious]}
    return found


def iou(labels: np.ndarray, said: np.ndarray, c: int) -> float:
    """Intersection over union of one class, void left out; NaN where it is neither there nor said."""
    here, there = (labels == c), (said == c) & (labels >= 0)
    union = (here | there).sum()
    return float((here & there).sum() / union) if union else float("nan")


def said_of(data: Segmentation, count: int, *results: Any) -> dict[str, np.ndarray]:
    """Some test images, their labels, and what networks say of them."""
    rows = {name: x[:: max(1, len(x) // count)][:count] for name, x in scenes_of(data).items()}
    said = [apply(classes_of, Frozen.of(result), rows["image"], count) for result in results]
    return {"image": rows["image"], "label": rows["label"], "said": np.stack(said)}


# --- report ---


def report(cfg: Config, found: dict[int, dict[str, Any]]) -> Report:
    """mIoU of students and teachers, how often teachers are right, the three claims, and pictures."""
    names = list(arms(cfg, 0))
    best, k = deep(cfg.dearest), cfg.dearest

    def student(arm: str) -> list[float]:
        return [own["arms"][arm].history.last("miou") for own in found.values()]

    def teacher(arm: str) -> list[float]:
        made = [own["measures"][arm].value for own in found.values() if arm in own["measures"]]
        return [value["teacher"]["miou"] for value in made if value]

    def right(arm: str) -> list[float]:
        series = [own["arms"][arm].history.train.get("teacher_accuracy", []) for own in found.values()]
        return [float(np.mean(values[: max(1, len(values) // 2)])) for values in series if values]

    def value(arm: str, column: str) -> list[float]:
        return {"student": student, "teacher": teacher, "labels right, first half": right}[column](arm)

    gain, matched, truer = (
        mean(of(best)) - mean(of(other)) for of, other in ((student, CLASSIC), (student, COMPUTE), (right, CLASSIC))
    )
    claims = (
        claim(
            f"A teacher that has seen the future (K = {k}) makes the better student at equal real steps",
            paper="59.94 mIoU for GTA -> Cityscapes, R-101; its classic row was not read",
            measured=100 * gain,
            unit="points",
            margin="1 point of mIoU or more above classic",
            holds=gain >= 0.01,
        ),
        claim(
            "It does so at equal compute too",
            paper="not said",
            measured=100 * matched,
            unit="points",
            margin=f"0 or more above classic of {k + 1} times the steps",
            holds=matched >= 0,
        ),
        claim(
            "Its labels of the unlabelled images are more often right in the first half of training",
            paper="less confirmation bias",
            measured=100 * truer,
            unit="points",
            margin="above 0, of all labelled pixels",
            holds=truer > 0,
        ),
    )
    columns = ["student", "teacher", "labels right, first half"]
    note = "In %: mIoU of student and teacher on the test images at the end; mean ± standard deviation over seeds."
    return EXPERIMENT.report(
        claims,
        link="https://arxiv.org/abs/2209.06993",
        arms=tuple(arm for seed, own in found.items() for arm in arms_of(cfg, seed, own)),
        tables=(table_of_means("Students and teachers", names, columns, value, note=note),),
        figures=drawn(cfg, found[cfg.seeds[0]]["pictures"].value),
        baseline=CLASSIC,
        metric="miou",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )


NOTES = (
    "The learning rate of virtual steps is that of the step they belong to, as in the authors' code; moments are "
    "discarded with them, as in the text, unless an arm says otherwise. The code restores parameters only.",
    "The network has group norms, so no running statistics are left to a choice between student and teacher. Images "
    "are mixed (ClassMix) and changed in colour, not blurred.",
    "CamVid's frames follow each other in a few drives, so unlabelled frames are often neighbours of labelled ones.",
    "FST-W sees N + 1 times the images of the other arms of equal steps.",
    "No setting was searched: rate, average and threshold are ours or the paper's. Classic self-training ends 0.7 "
    "points below supervised training, so that labels of a teacher are worth nothing here, whatever their kind.",
)


def arms_of(cfg: Config, seed: int, own: dict[str, Any]) -> list[Arm]:
    """Every arm of a seed behind the start that all share."""
    suffix = "" if seed == cfg.seeds[0] else f", seed {seed}"
    return [
        Arm(arm + suffix, (own["start"], result), group=arm, against=CLASSIC + suffix)
        for arm, result in own["arms"].items()
    ]


def drawn(cfg: Config, value: Any) -> tuple[Any, ...]:
    """Test images with their labels and what three arms say of them."""
    if not value:
        return ()
    rows = [
        [value["image"][i], *(in_colour(x) for x in (value["label"][i], *value["said"][:, i]))]
        for i in range(len(value["image"]))
    ]
    columns = ("image", "labels", SUPERVISED, CLASSIC, deep(cfg.dearest))
    return (pictures("Test images", columns, rows, "Black is void. The students, at the end, of the first seed."),)


EXPERIMENT = Experiment(
    name="fst",
    title="FST: self-training with a teacher from the future",
    reference="Du et al., NeurIPS 2022, arXiv 2209.06993",
    paper=55,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("fst")
