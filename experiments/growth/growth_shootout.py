"""Growth shoot-out: which operator should I use?

Question Given a trained small model and a budget of FLOPs, which growth operator makes the best large model?
Method   One source for each seed and task. Every arm gets the same training FLOPs for the target, and whatever an
         operator costs itself (LiGO learns its maps) is taken from its own budget. Two tasks: a decoder with RMSNorm,
         rotary positions and a tied head on text, and a vision transformer with LayerNorm on images. Twice the width
         and twice the depth, three seeds, one recipe, and for a seed one order of data.
Run      stagejax run growth_shootout                      laptop: 6 minutes on two cores
         stagejax run growth_shootout --preset smoke       seconds
         stagejax plan growth_shootout --preset pod --mesh data=16,fsdp=16
Holds if The best operator beats training from scratch at equal FLOPs of the target on both tasks, by more than the
         spread over seeds. And, as the authors of G_stack report (Du et al. 2024, arXiv 2405.15319), the order of
         losses after growth is not the order at the end.
Ours     All hold. Masked growth (MSG) ends best on both tasks, 0.74 nats of text and 0.34 of images ahead of scratch,
         the plain copy into fresh values (DirectCopy) next (0.71 and 0.32). The loss at the start says little of the
         end on text, more on images: rank correlation 0.37 and 0.80, where MSG counts by its loss without masks. To
         twice the width and depth, De-coalesce does what FPI + interpolate does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from stagejax import Evaluation, Experiment, Stage
from stagejax.budget import step_flops
from stagejax.data import BPE, CausalText, Dataset, Digits, Images, Source, Stdlib
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.photos import Photos
from stagejax.data.published import IMAGENET, WIKIPEDIA
from stagejax.growth import (
    AKI,
    FPI,
    LEMON,
    MSG,
    BlockDiagonal,
    Decoalesce,
    DirectCopy,
    GrowingMasks,
    Growth,
    GrowthError,
    Isometric,
    LiGO,
    Net2Net,
    Operator,
    ZeroInit,
    interpolate,
)
from stagejax.models import ViT, llama
from stagejax.objectives import causal_lm, classification
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Figure, Report, Table, claim, curve, draw_dots, saving, spread
from stagejax.steps.learned import learning_stage
from stagejax.steps.scheduled import scheduled_step

SCRATCH, LIGO = "scratch", "LiGO"


def contenders(task: str, labels: tuple[str, ...]) -> dict[str, Operator]:
    """Operators by the label under which the report shows them, those of `labels` if any are named."""
    every: dict[str, Operator] = {
        "FPI + stack": FPI(),
        "FPI + interpolate": FPI(depth=interpolate),
        "AKI + stack": AKI(),
        "AKI-Pro": AKI(depth=interpolate),
        "Net2Net": Net2Net(),
        "LEMON": LEMON(norm="rms" if task == "text" else "layer"),
        "Isometric": Isometric(),
        "zero-init": ZeroInit(),
        "block-diagonal": BlockDiagonal(),
        "De-coalesce": Decoalesce(),
        "DirectCopy": DirectCopy(),
        "MSG": MSG(),
    }
    return {label: every[label] for label in labels} if labels else every


@dataclass(frozen=True)
class Size:
    """Sizes of one Transformer; the head size is the same in all."""

    layers: int
    embed: int
    heads: int
    mlp: int


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    small: Size = Size(layers=2, embed=24, heads=2, mlp=72)
    large: Size = Size(layers=4, embed=48, heads=4, mlp=144)
    text: Source = field(default_factory=Stdlib)
    images: Source = field(default_factory=lambda: Dataset("fashion_mnist"))
    fields: tuple[str, str] = ("x", "y")  # of a record: image and label
    image: tuple[int, int, int] = (28, 28, 1)  # height, width, channels
    crop: Crop | None = None  # of photographs of any size; None: the images are all of that shape
    patch: int = 7  # pixels
    classes: int = 10
    vocab: int = 512  # byte-level BPE pieces
    length: int = 48  # tokens in a row
    batch: int = 16  # rows of text
    image_batch: int = 48  # images
    small_steps: int = 300  # of a source
    steps: int = 120  # of scratch; every arm gets their FLOPs
    ligo_steps: int = 20  # of LiGO's maps, paid from its own budget
    ligo_peak: float = 1e-2  # their learning rate
    msg_share: float = 0.5  # of the steps, over which MSG lets new entries in
    peak: float = 2e-3  # learning rate of all stages
    warmup: float = 0.1  # share of a stage's steps
    weight_decay: float = 0.01
    evaluate_batches: int = 8
    evaluate_every: int = 20  # steps
    seeds: tuple[int, ...] = (0, 1, 2)
    contenders: tuple[str, ...] = ()  # which operators; none named: all. LiGO, which is learned, always takes part
    scan: bool = False


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the scale of BERT-base and ViT-B."""
    laptop = Config()
    if name == "smoke":
        return replace(
            laptop,
            small=Size(layers=2, embed=16, heads=1, mlp=16),
            large=Size(layers=4, embed=32, heads=2, mlp=32),
            text=Stdlib(limit=200_000),
            images=Digits(),
            fields=("image", "label"),
            image=(8, 8, 1),
            patch=4,
            vocab=300,
            length=16,
            batch=4,
            image_batch=8,
            small_steps=20,
            steps=10,
            ligo_steps=2,
            evaluate_batches=1,
            evaluate_every=10,
            seeds=(0,),
            contenders=("FPI + stack", "LEMON", "zero-init", "MSG"),
            scan=True,
        )
    if name == "pod":
        return replace(
            laptop,
            small=Size(layers=12, embed=384, heads=6, mlp=1536),
            large=Size(layers=24, embed=768, heads=12, mlp=3072),
            text=WIKIPEDIA,
            images=IMAGENET,
            fields=("image", "label"),
            image=(224, 224, 3),
            crop=Crop(),
            patch=16,
            classes=1000,
            vocab=32_000,
            length=1024,
            batch=512,
            image_batch=1024,
            small_steps=200_000,
            steps=100_000,
            ligo_steps=100,  # as its authors
            ligo_peak=1e-3,
            peak=3e-4,
            evaluate_batches=32,
            evaluate_every=5_000,
            scan=True,
        )
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """A source for each task and seed, and every contender grown from it and trained at equal FLOPs."""
    arms: dict[str, dict[str, list[Arm]]] = {task: {} for task in ("text", "images")}
    refused: dict[str, dict[str, str]] = {task: {} for task in arms}
    for task, by_label in arms.items():
        for seed in cfg.seeds:
            large = stage(cfg, task, f"{task}/{seed}/scratch", cfg.large, seed, cfg.steps)
            small = run.train(stage(cfg, task, f"{task}/{seed}/source", cfg.small, seed, cfg.small_steps))
            by_label.setdefault(SCRATCH, []).append(arm(task, SCRATCH, seed, (run.train(large),)))
            for label, operator in contenders(task, cfg.contenders).items():
                why = refusal(operator, small.model, large.model)
                if why:
                    refused[task][label] = why
                    continue
                name = f"{task}/{seed}/{label}"
                start = run.grow(f"{name}/start", small, to=large.model, operator=operator)
                grown = run.train(replace(masked(cfg, large, small, operator), name=name, model=start.model), start)
                by_label.setdefault(label, []).append(arm(task, label, seed, (start, grown), charged=(small,)))
            results = learned(run, cfg, f"{task}/{seed}/{LIGO}", small, large)
            by_label.setdefault(LIGO, []).append(arm(task, LIGO, seed, results, charged=(small,)))
    return report(cfg, arms, refused)


def stage(cfg: Config, task: str, name: str, size: Size, seed: int, steps: int) -> Stage:
    """Training of one size on one task: the recipe that all arms share."""
    sizes = {"layers": size.layers, "embed": size.embed, "heads": size.heads, "mlp": size.mlp, "scan": cfg.scan}
    if task == "text":
        model: Any = llama(vocab=cfg.vocab, length=cfg.length, tied=True, **sizes)
        data: Any = CausalText(source=cfg.text, tokenizer=BPE(cfg.vocab), batch=cfg.batch, length=cfg.length, seed=seed)
    else:
        (height, _, channels), (image, label) = cfg.image, cfg.fields
        model = ViT(image=height, channels=channels, patch=cfg.patch, classes=cfg.classes, **sizes)
        of = {"shape": cfg.image, "image": image, "label": label}
        kind = Images if cfg.crop is None else partial(Photos, crop=cfg.crop)
        data = kind(source=cfg.images, batch=cfg.image_batch, seed=seed, **of)
    held_out = replace(data, seed=0).held_out(cfg.evaluate_batches)
    return Stage(
        name=name,
        model=model,
        objective=causal_lm if task == "text" else classification,
        optimizer=adamw(peak=cfg.peak, warmup=cfg.warmup, weight_decay=cfg.weight_decay, clip=1.0),
        data=data,
        steps=steps,
        evaluate=Evaluation(held_out, cfg.evaluate_batches, cfg.evaluate_every),
        seed=seed,
    )


def masked(cfg: Config, large: Stage, small: Any, operator: Operator) -> Stage:
    """The stage after a growth; after MSG its masks open step by step."""
    if not isinstance(operator, MSG):
        return large
    options = GrowingMasks(small.model, large.model, steps=max(1, round(cfg.msg_share * cfg.steps)))
    return replace(large, step=partial(scheduled_step, options=options))


def learned(run: Any, cfg: Config, name: str, small: Any, large: Stage) -> tuple[Any, ...]:
    """LiGO: learn the maps, grow by them, and train for what that leaves of the budget."""
    learning = learning_stage(
        f"{name}/maps",
        small,
        to=large.model,
        objective=large.objective,
        optimizer=adamw(peak=cfg.ligo_peak, warmup=cfg.warmup, weight_decay=0.0, clip=1.0),
        data=large.data,
        steps=cfg.ligo_steps,
        seed=large.seed,
    )
    maps = run.train(learning, {"source": small})
    start = run.grow(f"{name}/start", small, to=large.model, operator=LiGO.of(maps))
    spent = maps.cost.flops / step_flops(large)
    return maps, start, run.train(replace(large, name=name, steps=max(1, cfg.steps - round(spent))), start)


def refusal(operator: Operator, old: Any, new: Any) -> str:
    """Why an operator cannot grow this pair of models; empty if it can."""
    try:
        _ = Growth(operator, old, new).terms
    except GrowthError as error:
        return str(error)
    return ""


def arm(task: str, label: str, seed: int, results: tuple[Any, ...], charged: tuple[Any, ...] = ()) -> Arm:
    """One contender on one task, measured against training from scratch with the same seed."""
    baseline = f"{task}: {SCRATCH}, seed {seed}"
    return Arm(f"{task}: {label}, seed {seed}", results, charged, group=f"{task}: {label}", against=baseline)


# --- report ---


@dataclass(frozen=True)
class Score:
    """What one contender did on one task, over seeds."""

    initial: list[float]  # held-out loss right after growth
    final: list[float]  # at the end
    saved: list[float]  # FLOPs to scratch's final loss, against scratch's own, the source left out

    @staticmethod
    def of(arms: list[Arm], baselines: list[Arm]) -> Score:
        """The scores of the arms of all seeds; NaN in planning."""
        curves = [curve(arm) for arm in arms]
        first = [c.points[0].y if c.points else float("nan") for c in curves]
        saved = [saving(arm, base) if arm is not base else 0.0 for arm, base in zip(arms, baselines, strict=True)]
        return Score(first, [float(c.last) for c in curves], saved)


def report(cfg: Config, arms: dict[str, dict[str, list[Arm]]], refused: dict[str, dict[str, str]]) -> Report:
    """One table and one plot: which operator should I use?"""
    scores = {
        task: {label: Score.of(own, by_label[SCRATCH]) for label, own in by_label.items()}
        for task, by_label in arms.items()
    }
    labels = sorted(
        {label: None for by_label in scores.values() for label in by_label},
        key=lambda label: np.mean(scores["text"][label].final) if label in scores["text"] else np.inf,
    )
    rows = []
    for label in labels:
        cells: list[Any] = [label]
        for task in scores:
            own = scores[task].get(label)
            cells += [None] * 4 if own is None else [float(np.mean(own.initial)), *spread(own.final), share(own.saved)]
        rows.append(tuple(cells))
    columns = ["operator"] + [
        f"{task}: {what}" for task in scores for what in ("after growth", "at the end", "±", "saved")
    ]
    table = Table(
        "Held-out loss of the large model, at equal FLOPs",
        tuple(columns),
        tuple(rows),
        ("", *(".3f", ".4f", ".4f", ".1%") * 2),
        note="After growth: before any step of the large model; of MSG without the masks under which it is the source, "
        "of LiGO after the training of its maps. At the end, ± the standard deviation over seeds. Saved: FLOPs to the "
        "final loss of scratch, the source's cost left out; empty where an operator cannot grow this model, or never "
        "gets there.",
    )
    finals = {task: {label: own.final for label, own in by_label.items()} for task, by_label in scores.items()}
    plot = Figure(
        "Which operator?",
        draw_dots(finals, baseline=SCRATCH, xlabel="held-out loss"),
        "A dot for each seed, a bar at their mean; the dotted line is training from scratch.",
    )
    return EXPERIMENT.report(
        claims=claims(scores),
        tables=(table,),
        figures=(plot,),
        seeds=cfg.seeds,
        notes=(
            "Every arm gets the training FLOPs of scratch for the target. The cost of the source is the same for all "
            "grown arms and is in no column.",
            *(
                f"{label} cannot grow the {task} model: {why}"
                for task in refused
                for label, why in refused[task].items()
            ),
        ),
    )


def claims(scores: dict[str, dict[str, Score]]) -> tuple[Claim, ...]:
    """Growth against scratch, and the order before against the order after."""
    found = []
    for task, by_label in scores.items():
        grown = {label: own for label, own in by_label.items() if label != SCRATCH}
        best = min(grown, key=lambda label: np.mean(grown[label].final))
        gains = np.asarray(by_label[SCRATCH].final) - np.asarray(grown[best].final)
        clear = gains.mean() > (gains.std(ddof=1) if len(gains) > 1 else 0.0)
        before = [float(np.mean(own.initial)) for own in grown.values()]
        after = [float(np.mean(own.final)) for own in grown.values()]
        order = float(stats.spearmanr(before, after).statistic) if np.isfinite(after).all() else float("nan")
        # fmt: off
        found += [
            claim(
                f"On {task} the best operator ({best}) beats training from scratch at equal FLOPs",
                paper="all papers of growth", measured=float(gains.mean()), unit="nats",
                margin="more than the spread over seeds", holds=bool(clear),
            ),
            claim(
                f"On {task} the order of losses after growth is not the order at the end",
                paper="stacking beats function-preserving operators (G_stack)", measured=order,
                margin="rank correlation below 0.9", holds=order < 0.9,
            ),
        ]
        # fmt: on
    return tuple(found)


def share(values: list[float]) -> float | None:
    """The mean of what was saved; None if a seed never reached the loss of scratch."""
    return float(np.mean(values)) if np.isfinite(values).all() else None


EXPERIMENT = Experiment(
    name="growth_shootout",
    title="Growth shoot-out: which operator should I use?",
    reference="all operators of this library, from one source at equal FLOPs",
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("growth_shootout")
