"""Growth shoot-out: which operator should I use?

Question Given a trained small model and a budget of FLOPs, which growth operator makes the best large model?
Method   One source for each seed and task. Every operator gets the same training FLOPs for the target, and whatever it
         costs itself (LiGO learns its maps) is taken from its own budget. Scratch gets the FLOPs of source and target
         together; beside it, those of the target alone. Two tasks: a decoder with RMSNorm, rotary positions and a tied
         head on text, and a vision transformer with LayerNorm on images. Twice the width and twice the depth, three
         seeds, one recipe, and for a seed one order of data. Source, scratch and every operator have a learning rate of
         their own, chosen on training records that no stage reads, with the first seed.
Run      stagejax run growth_shootout                      laptop: 20 minutes on two shared cores
         stagejax run growth_shootout --preset smoke       seconds
         stagejax plan growth_shootout --preset pod --mesh data=16,fsdp=16
Holds if on both tasks the best operator beats training from scratch at equal FLOPs, the source's counted, by more than
         the spread over seeds; the best is the one with the lowest loss of a pilot on records kept apart. And, as the
         authors of G_stack report (Du et al. 2024, arXiv 2405.15319), the order of losses after growth is not the order
         at the end: in every seed their rank correlation is below 0.9, and below those of the ends of any two seeds.
Ours     Three seeds. Growth holds on both tasks: on text MSG ends at 4.06 nats, where scratch with the FLOPs of source
         and target has 4.83 (0.77 fewer; zero-init has 4.05, DirectCopy 4.07), on images DirectCopy at 0.813
         where scratch has 1.025 (MSG has 0.807). All operators end ahead of scratch and reach its last loss for 50 to
         74 % fewer FLOPs; what tells them apart is 0.12 nats on text and 0.04 on images. The sources alone are ahead of
         scratch, too: at these budgets a small model is the better one. That the order changes does not hold: the rank
         correlations of 0.46 to 0.83 and 0.36 to 0.60 are those of any two seeds' ends (0.63 to 0.77, 0.07 to 0.52).
         A run before, with one rate (2e-3) for all and scratch with the FLOPs of the target alone, had all claims hold:
         the order of means 0.37 and 0.80, below 0.9, which noise alone may give. So that rule was made stricter. Most
         rates lie at 4e-3 to 16e-3, inside what was tried. 20 minutes on shared cores.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Any, cast

import numpy as np
from scipy import stats

from stagejax import Evaluation, Experiment, Stage
from stagejax.budget import flops, step_flops, within
from stagejax.data import BPE, CausalText, Dataset, Digits, Images, Portion, Source, Stdlib
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.photos import Photos
from stagejax.data.published import IMAGENET, WIKIPEDIA
from stagejax.data.together import Splits
from stagejax.growth import (
    AKI,
    FPI,
    LEMON,
    MSG,
    BlockDiagonal,
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
from stagejax.search.peak import Peaks, at_peak, best_peak
from stagejax.steps.learned import learning_stage
from stagejax.steps.scheduled import scheduled_step

SOURCE, SCRATCH, SHORT, LIGO, MAPS, MASKED = "source", "scratch", "scratch as short", "LiGO", "LiGO, maps", "MSG"


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
        "DirectCopy": DirectCopy(),
        MASKED: MSG(),
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
    steps: int = 120  # of the large model, whose FLOPs every operator gets; scratch gets those of the source as well
    ligo_steps: int = 20  # of LiGO's maps, paid from its own budget
    ligo_peaks: tuple[float, ...] = (3e-3, 1e-2, 3e-2)  # learning rates to choose from for the maps
    msg_share: float = 0.5  # of the steps, over which MSG lets new entries in
    peaks: tuple[float, ...] = (2e-3, 4e-3, 8e-3)  # learning rates to choose from, for each arm
    kept: float = 0.05  # share of the training records that no stage reads: rates are chosen on them
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
            ligo_peaks=(1e-2,),
            peaks=(2e-3, 4e-3),
            kept=0.1,
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
            ligo_peaks=(1e-3,),
            peaks=(1e-4, 3e-4, 1e-3),
            evaluate_batches=32,
            evaluate_every=5_000,
            scan=True,
        )
    return laptop


@dataclass(frozen=True)
class Found:
    """What was found on a task, by label: an arm for each seed, the learning rates tried, what cannot be grown."""

    arms: dict[str, list[Arm]] = field(default_factory=dict)
    rates: Peaks = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def pipeline(run: Any, cfg: Config) -> Report:
    """A source for each task and seed, and every contender grown from it and trained at equal FLOPs."""
    found = {task: Found() for task in ("text", "images")}
    for task, own in found.items():
        for seed in cfg.seeds:
            compared(run, cfg, task, seed, own)
    return report(cfg, found)


def compared(run: Any, cfg: Config, task: str, seed: int, found: Found) -> None:
    """The arms of one task and seed."""

    def add(label: str, *results: Any, charged: tuple[Any, ...] = ()) -> None:
        against = f"{task}: {SCRATCH}, seed {seed}"
        own = Arm(f"{task}: {label}, seed {seed}", results, charged, group=f"{task}: {label}", against=against)
        found.arms.setdefault(label, []).append(own)

    at, rates = f"{task}/{seed}", found.rates
    small = trained(run, cfg, rates, SOURCE, stage(cfg, task, f"{at}/{SOURCE}", cfg.small, seed, cfg.small_steps))
    large = stage(cfg, task, f"{at}/{SHORT}", cfg.large, seed, cfg.steps)
    whole = within(replace(large, name=f"{at}/{SCRATCH}"), flops(small) + cfg.steps * step_flops(large))
    add(SOURCE, small)
    add(SCRATCH, trained(run, cfg, rates, SCRATCH, whole))
    add(SHORT, trained(run, cfg, rates, SHORT, large))
    for label, operator in contenders(task, cfg.contenders).items():
        why = refusal(operator, small.model, large.model)
        if why:
            found.refused[label] = why
            continue
        start = run.grow(f"{at}/{label}/start", small, to=large.model, operator=operator)
        own = replace(masked(cfg, large, small, operator), name=f"{at}/{label}", model=start.model)
        add(label, start, trained(run, cfg, rates, label, own, start), charged=(small,))
    add(LIGO, *learned(run, cfg, rates, f"{at}/{LIGO}", small, large), charged=(small,))


def stage(cfg: Config, task: str, name: str, size: Size, seed: int, steps: int) -> Stage:
    """Training of one size on one task: the recipe that all arms share."""
    sizes = {"layers": size.layers, "embed": size.embed, "heads": size.heads, "mlp": size.mlp, "scan": cfg.scan}
    if task == "text":
        model: Any = llama(vocab=cfg.vocab, length=cfg.length, tied=True, **sizes)
        source = without_kept(cfg, cfg.text)
        data: Any = CausalText(source=source, tokenizer=BPE(cfg.vocab), batch=cfg.batch, length=cfg.length, seed=seed)
    else:
        (height, _, channels), (image, label) = cfg.image, cfg.fields
        model = ViT(image=height, channels=channels, patch=cfg.patch, classes=cfg.classes, **sizes)
        of = {"shape": cfg.image, "image": image, "label": label}
        kind = Images if cfg.crop is None else partial(Photos, crop=cfg.crop)
        data = kind(source=without_kept(cfg, cfg.images), batch=cfg.image_batch, seed=seed, **of)
    held_out = replace(data, seed=0).held_out(cfg.evaluate_batches)
    return Stage(
        name=name,
        model=model,
        objective=causal_lm if task == "text" else classification,
        optimizer=adamw(peak=cfg.peaks[0], warmup=cfg.warmup, weight_decay=cfg.weight_decay, clip=1.0),
        data=data,
        steps=steps,
        evaluate=Evaluation(held_out, cfg.evaluate_batches, cfg.evaluate_every),
        seed=seed,
    )


def without_kept(cfg: Config, source: Source) -> Splits:
    """A source whose training records are those that are not kept apart."""
    return Splits(Portion(source, start=cfg.kept), source.of_split("test"))


def trained(
    run: Any, cfg: Config, rates: Peaks, label: str, stage: Stage, start: Any = None, peaks: tuple[float, ...] = ()
) -> Any:
    """The stage at its best learning rate, which is searched for its label once and kept for all seeds."""
    if label not in rates:
        data, scored = cast(Any, stage.data), cast(Evaluation, stage.evaluate)
        kept = Portion(data.source.train.source, stop=cfg.kept)
        held_out = replace(data, source=replace(data.source, test=kept), seed=0).held_out(cfg.evaluate_batches)
        pilot = replace(stage, name=f"rates/{stage.name}", evaluate=replace(scored, data=held_out, every=None))
        rates[label] = best_peak(run, pilot, peaks or cfg.peaks, start=start, beyond=2)
    return run.train(at_peak(stage, rates[label].best), start)


def masked(cfg: Config, large: Stage, small: Any, operator: Operator) -> Stage:
    """The stage after a growth; after MSG its masks open step by step."""
    if not isinstance(operator, MSG):
        return large
    options = GrowingMasks(small.model, large.model, steps=max(1, round(cfg.msg_share * cfg.steps)))
    return replace(large, step=partial(scheduled_step, options=options))


def learned(run: Any, cfg: Config, rates: Peaks, name: str, small: Any, large: Stage) -> tuple[Any, ...]:
    """LiGO: learn the maps, grow by them, and train for what that leaves of the budget."""
    learning = learning_stage(
        f"{name}/maps",
        small,
        to=large.model,
        objective=large.objective,
        optimizer=adamw(peak=cfg.ligo_peaks[0], warmup=cfg.warmup, weight_decay=0.0, clip=1.0),
        data=large.data,
        steps=cfg.ligo_steps,
        evaluate=large.evaluate,
        seed=large.seed,
    )
    maps = trained(run, cfg, rates, MAPS, learning, {"source": small}, cfg.ligo_peaks)
    start = run.grow(f"{name}/start", small, to=large.model, operator=LiGO.of(maps))
    rest = replace(large, name=name, steps=max(1, cfg.steps - round(maps.cost.flops / step_flops(large))))
    return maps, start, trained(run, cfg, rates, LIGO, rest, start)


def refusal(operator: Operator, old: Any, new: Any) -> str:
    """Why an operator cannot grow this pair of models; empty if it can."""
    try:
        _ = Growth(operator, old, new).terms
    except GrowthError as error:
        return str(error)
    return ""


# --- report ---


@dataclass(frozen=True)
class Score:
    """What one contender did on one task, over seeds."""

    initial: list[float]  # held-out loss right after growth; with masks, where they are what keeps the function
    final: list[float]  # at the end
    saved: list[float]  # FLOPs to scratch's final loss, against scratch's own, the source's counted

    @staticmethod
    def of(label: str, arms: list[Arm], baselines: list[Arm]) -> Score:
        """The scores of the arms of all seeds; NaN in planning."""
        final = [float(curve(arm).last) for arm in arms]
        if label == MASKED:
            first = [source.history.last("loss") for arm in arms for source in arm.charged]
        else:
            first = [curve(replace(arm, results=arm.results[-1:])).points[:1] for arm in arms]
            first = [points[0].y if points else float("nan") for points in first]
        pairs = zip(arms, baselines, strict=True)
        saved = [saving(arm, base, with_source=True) if arm is not base else 0.0 for arm, base in pairs]
        return Score(first, final, saved)


def report(cfg: Config, found: dict[str, Found]) -> Report:
    """One table and one plot: which operator should I use?"""
    scores = {
        task: {label: Score.of(label, arms, own.arms[SCRATCH]) for label, arms in own.arms.items()}
        for task, own in found.items()
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
        note="After growth: before any step of the large model; of MSG under the masks with which it begins, so that "
        "it is the source's, of LiGO after the training of its maps. At the end, ± the standard deviation over seeds. "
        "Saved: FLOPs to the final loss of scratch, the source's counted; empty where an operator cannot grow this "
        "model, or never gets there.",
    )
    rates = Table(
        "Learning rates, by the loss on records kept apart",
        ("task", "of", "tried", "losses", "chosen", "at an end"),
        tuple((task, label, *peak.cells) for task, own in found.items() for label, peak in own.rates.items()),
        ("", "", "", "", "g", ""),
        note="Whole stages with the first seed.",
    )
    finals = {task: {label: own.final for label, own in by_label.items()} for task, by_label in scores.items()}
    plot = Figure(
        "Which operator?",
        draw_dots(finals, baseline=SCRATCH, xlabel="held-out loss"),
        "A dot for each seed, a bar at their mean; the dotted line is training from scratch.",
    )
    return EXPERIMENT.report(
        claims=tuple(made for task, own in scores.items() for made in claims(task, own, found[task].rates)),
        arms=tuple(
            replace(arm, charged=(*arm.charged, *searches(label, own.rates)))
            for own in found.values()
            for label, arms in own.arms.items()
            for arm in arms
        ),
        baseline=f"text: {SCRATCH}, seed {cfg.seeds[0]}",
        tables=(table, rates),
        figures=(plot,),
        seeds=cfg.seeds,
        notes=(
            *NOTES,
            *(
                f"{label} cannot grow the {task} model: {why}"
                for task in found
                for label, why in found[task].refused.items()
            ),
        ),
    )


NOTES = (
    f"Every operator gets the training FLOPs of {SHORT!r} for the target; scratch gets those of the source beside "
    "them. All chose their learning rates alike: searches are in the ledger, and in no comparison.",
    "To twice the width and the depth De-coalesce does what FPI + interpolate does, so it is left out. Steps and "
    "share of masks, and the steps of LiGO's maps, were not searched.",
)


def searches(label: str, rates: Peaks) -> tuple[Any, ...]:
    """The pilots of an arm: its own, those of the maps, and those of the source that it is grown from."""
    owed = {SOURCE: (SOURCE,), SCRATCH: (SCRATCH,), SHORT: (SHORT,), LIGO: (SOURCE, MAPS, LIGO)}
    return tuple(pilot for name in owed.get(label, (SOURCE, label)) for pilot in rates[name].spent)


def claims(task: str, scores: dict[str, Score], rates: Peaks) -> tuple[Claim, ...]:
    """Growth against scratch, and the order before against the order after."""
    grown = {label: own for label, own in scores.items() if label not in (SOURCE, SCRATCH, SHORT)}
    best = min(grown, key=lambda label: min(rates[label].losses))
    gain, deviation = spread(np.subtract(scores[SCRATCH].final, grown[best].final))
    own, between = orders(grown)
    measured = np.isfinite([*own, *between]).all() and bool(between)
    # fmt: off
    return (
        claim(
            f"On {task} the best operator ({best}) beats training from scratch at equal FLOPs, the source's counted",
            paper="all papers of growth", measured=gain, unit="nats",
            margin="more than the spread over seeds", holds=gain > (deviation or 0.0),
        ),
        claim(
            f"On {task} the order of losses after growth is not the order at the end",
            paper="stacking beats function-preserving operators (G_stack)",
            measured=f"{ranged(own)}, between seeds {ranged(between)}" if measured else None,
            margin="every seed's rank correlation below 0.9 and below those of any two seeds' ends",
            holds=max(own) < min((0.9, *between)),
        ),
    )
    # fmt: on


def orders(scores: dict[str, Score]) -> tuple[list[float], list[float]]:
    """Rank correlations over operators: of start and end in each seed, and of the ends of any two seeds.

    Those that keep the function start alike, up to rounding.
    """
    first, last = (np.array([getattr(own, when) for own in scores.values()]).T for when in ("initial", "final"))
    alike = [(np.round(a, 4), b) for a, b in zip(first, last, strict=True)], list(combinations(last, 2))
    own, between = ([float(stats.spearmanr(a, b).statistic) for a, b in pairs] for pairs in alike)
    return own, between


def ranged(values: list[float]) -> str:
    """The lowest and the highest."""
    return f"{min(values):.2f} to {max(values):.2f}"


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
