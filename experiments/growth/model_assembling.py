"""Model assembling: train the modules of a deep network apart, each among the layers of a tiny meta model.

Paper    Ni et al., Deep Incubation: Training Large Models by Divide-and-Conquering, ICCV 2023, arXiv 2212.04129
         (dossier 031).
Claim    Modules trained on their own fit each other when all were trained among the same frozen neighbours; assembled
         and tuned briefly, they beat training end to end: ViT-L 83.9 against 82.6 %, more so with less data.
Method   A meta model with one full-width layer for each module; K hybrids in which a module of random parameters stands
         in the place of one meta layer, and learns from the labels through the frozen others; assembly; tuning of all.
         At equal total FLOPs: end to end; modules that imitate the output of their meta layer; modules trained alone
         with stem and head of their own; modules trained greedily, with a local head on the frozen ones below; a meta
         model that was not trained. And, short, end to end for the FLOPs of the longest path. Every arm on every seed.
Smaller  4,000 images, so that end to end sees all data 3 times and a quarter 13 times; 200, 150 and 100 steps of meta
         model, module and tuning. Modules are trained one after the other: the longest path is computed from what each
         took.
Run      stagejax run model_assembling                      laptop: some 20 minutes beside other jobs
         stagejax run model_assembling --model.layers 24    twice as deep, modules of 6 layers
         stagejax run model_assembling --preset smoke       seconds
         stagejax plan model_assembling --preset pod --mesh data=16,fsdp=16
Holds if Assembling is at least as accurate as end to end at equal total FLOPs, with all data or with a quarter of them;
         and right after assembly it is more than 10 points above modules that were trained alone; in the mean over
         seeds.
Ours     Not reproduced: 2.5 ± 1.0 points below end to end (67.8 %) with all data, 3.6 ± 2.0 with a quarter. With all:
                               right after assembly   tuned
         assembling                54.5 ± 7.9       65.3 ± 1.0
         imitation                 58.6 ± 0.9       63.0 ± 1.1
         alone                      2.6 ± 3.2       66.7 ± 1.4
         greedy                    60.4 ± 0.5       63.8 ± 0.7
         untrained meta model      15.9 ± 4.6       60.1 ± 5.0
         Incubated modules fit each other, which those trained alone do not; but tuning brings the latter, whose saving
         goes to tuning, above the former. Labels teach modules more than imitation does, by 2.3 ± 1.5 points. The
         longest path takes 59 % of the FLOPs, after which end to end is at 59.8 ± 2.8 %. A run before, of 10,000 images
         and shorter stages, so that end to end saw them half a time, at one rate for all: 13 points below end to end,
         with imitation ahead of labels by 3.0 ± 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.budget import flops, within
from stagejax.data import Dataset, Digits, Images, Portion, Source
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.photos import Photos
from stagejax.data.published import IMAGENET
from stagejax.growth import Assemble, Incubate, OwnLayers
from stagejax.models import ViT
from stagejax.objectives.classification import classification
from stagejax.objectives.modules import AmongFrozen, ImitateLayer
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Figure, Report, Table, claim, draw_dots, shown
from stagejax.search.peak import Peaks, at_peak, best_peak

END, SHORT, OURS, PARTS = "end to end", "short end to end", "assembling", "meta model and modules"
IMITATION, ALONE, GREEDY, UNTRAINED = "imitation", "alone", "greedy", "untrained meta model"
Arms = dict[tuple[str, float], list[Arm]]  # by label and share of the data, one a seed
Values = dict[tuple[str, float], np.ndarray]  # the same


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    source: Source = field(default_factory=lambda: Dataset("fashion_mnist"))  # of images
    fields: tuple[str, str] = ("x", "y")  # of a record: image and label
    crop: Crop | None = None  # of photographs of any size; None: the images are all of the model's size
    records: int = 4000  # that are all data
    shares: tuple[float, ...] = (1.0, 0.25)  # of them
    model: ViT = field(default_factory=lambda: ViT(layers=12, pool="class", scan=True))  # width 48, 16 patches
    modules: int = 4
    batch: int = 32  # images
    meta_steps: int = 200
    module_steps: int = 150  # of each module
    tune_steps: int = 100
    peaks: tuple[float, ...] = (1e-3, 2e-3, 4e-3)  # rates from random weights: of parts, of whole networks
    tune_peaks: tuple[float, ...] = (2.5e-4, 5e-4, 1e-3)  # of each way's tuning; a single one is not searched
    warmup: float = 0.1  # share of a stage's steps; tuning has none
    weight_decay: float = 0.05
    drop_path: float = 0.1  # of hybrids and whole networks; the meta model has none
    smoothing: float = 0.1  # of labels
    evaluate_batches: int = 32
    evaluate_every: int = 100  # steps, of whole networks
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def own(self) -> int:
        """Layers of a module."""
        return self.model.layers // self.modules


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    laptop = Config()
    if name == "smoke":
        small = replace(laptop.model, image=8, patch=4, embed=16, layers=4, heads=2, mlp=32)
        return replace(
            laptop, source=Digits(), fields=("image", "label"), records=1438, shares=(1.0,), model=small, modules=2,
            batch=16, meta_steps=40, module_steps=30, tune_steps=8, peaks=(3e-3,), tune_peaks=(3e-3,),
            evaluate_batches=8, evaluate_every=4, seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        epoch = 1_281_167 // 2048  # steps
        large = ViT(
            image=224, channels=3, patch=16, classes=1000, embed=1024, layers=24, heads=16, mlp=4096, pool="class",
            scan=True, remat="full",
        )  # fmt: skip
        return replace(
            laptop, source=IMAGENET, fields=("image", "label"), crop=Crop(), records=1_281_167, model=large,
            batch=2048, meta_steps=300 * epoch, module_steps=100 * epoch, tune_steps=100 * epoch,
            peaks=(2e-3,), tune_peaks=(2e-3,),  # 5e-4 for every 512 images
            drop_path=0.5, evaluate_batches=25, evaluate_every=10 * epoch,
        )  # fmt: skip
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """Assembling and end to end with all data and with a share of them, and the other ways to train modules."""
    arms: Arms = {}
    rates: Peaks = {}

    def keep(arm: Arm, share: float = 1.0) -> Arm:
        arms.setdefault((arm.name, share), []).append(arm)
        return arm

    def place(label: str, share: float, seed: int) -> Place:
        return Place(cfg, label, share, seed, rates)

    first = place(OURS, 1.0, cfg.seeds[0])
    searched(run, first, PARTS, meta_stage(first), cfg.peaks)
    for seed in cfg.seeds:
        for share in cfg.shares:
            ours = keep(assembling(run, place(OURS, share, seed)), share)
            keep(end_to_end(run, place(END, share, seed), flops(*ours.results)), share)
        whole_data = arms[OURS, 1.0][-1]
        keep(end_to_end(run, place(SHORT, 1.0, seed), paths(whole_data)[1]))
        for label, way in WAYS.items():
            keep(way(run, place(label, 1.0, seed), whole_data.results[0], flops(*whole_data.results)))
    return report(cfg, arms, rates)


# --- arms ---


@dataclass(frozen=True)
class Place:
    """What all stages of an arm share."""

    cfg: Config
    label: str
    share: float  # of the data
    seed: int
    rates: Peaks  # that were searched so far

    def peak(self, what: str) -> float:
        """The rate that was found for what shares it."""
        return self.rates[what].best if what in self.rates else self.cfg.peaks[0]

    def name(self, stage: str) -> str:
        """Of a stage of this arm."""
        return f"{self.label}/{self.share:g}/{self.seed}/{stage}"


def searched(run: Any, place: Place, what: str, stage: Stage, peaks: Sequence[float], start: Any = None) -> Stage:
    """The stage at the best of some rates on validation images, searched where `what` comes first: all data, a seed."""
    if len(peaks) > 1 and what not in place.rates:
        pilot = replace(stage, name=f"rates/{what}", evaluate=validation(place.cfg))
        place.rates[what] = best_peak(run, pilot, peaks, start=start, score=wrong, beyond=2)
    return at_peak(stage, place.rates[what].best) if what in place.rates else stage


def wrong(pilot: Any) -> float:
    """The share of validation images, at the end."""
    return 1 - float(pilot.history.last("accuracy"))


def assembling(run: Any, place: Place, meta: Any = None, budget: float = 0) -> Arm:
    """A meta model, K modules that do not know of each other, their assembly and its tuning."""
    cfg = place.cfg
    meta = run.train(meta_stage(place)) if meta is None else meta
    operators = [Incubate.at(k, modules=cfg.modules, layers=cfg.own) for k in range(cfg.modules)]
    hybrids = [incubated(run, meta, module_stage(place, k), operator) for k, operator in enumerate(operators)]
    return assembled(run, place, (meta, *hybrids), tuple(range(cfg.modules)), budget)


def incubated(run: Any, meta: Any, stage: Stage, operator: Incubate) -> Any:
    """A fresh module among the layers of another model, and its training."""
    return run.train(stage, run.grow(f"{stage.name}/start", meta, to=stage.model, operator=operator))


def assembled(run: Any, place: Place, results: tuple[Any, ...], places: tuple[int, ...], budget: float) -> Arm:
    """The modules, the last of the results, put together and tuned for as many steps as are left of a budget."""
    modules, model, operator = results[-len(places) :], whole(place).model, Assemble(places)
    others = {f"module{k}": module for k, module in enumerate(modules) if k}
    start = run.grow(place.name("assembled"), modules[0], to=model, operator=operator, others=others)
    return Arm(place.label, (*results, start, tuned(run, place, budget - flops(*results), start)))


def tuned(run: Any, place: Place, budget: float, start: Any) -> Any:
    """The whole network after tuning, at the rate of this way to train modules."""
    stage = searched(run, place, place.label, tuning(place, budget), place.cfg.tune_peaks, start)
    return run.train(stage, start)


def end_to_end(run: Any, place: Place, budget: float) -> Arm:
    """The whole network from its beginning."""
    return Arm(place.label, (run.train(searched(run, place, END, within(whole(place), budget), place.cfg.peaks)),))


def untrained(run: Any, place: Place, _: Any, budget: float) -> Arm:
    """The same, but the meta model made a single step."""
    return assembling(run, place, run.train(replace(meta_stage(place), steps=1)), budget)


def imitating(run: Any, place: Place, meta: Any, budget: float) -> Arm:
    """Each module mimics its meta layer, which follows it: || module(x) - layer(x) ||² on their stream."""
    cfg = place.cfg
    sources = [(*range(k), *[None] * cfg.own, *range(k, cfg.modules)) for k in range(cfg.modules)]
    operators = [Incubate(source, ends=False) for source in sources]
    hybrids = [incubated(run, meta, imitation_stage(place, k), operator) for k, operator in enumerate(operators)]
    return assembled(run, place, (meta, *hybrids), tuple(range(cfg.modules)), budget)


def alone(run: Any, place: Place, _: Any, budget: float) -> Arm:
    """Each module is a network of its own, with stem and head."""
    cfg = place.cfg
    model, own = replace(whole(place).model, layers=cfg.own), (0, cfg.own)
    stages = [training(place, f"module{k}", model, cfg.module_steps, own) for k in range(cfg.modules)]
    results = [run.train(replace(stage, seed=place.seed + 100 * (k + 1))) for k, stage in enumerate(stages)]
    return assembled(run, place, tuple(results), (0,) * cfg.modules, budget)


def greedy(run: Any, place: Place, _: Any, budget: float) -> Arm:
    """Module after module on the frozen ones below, each with a head of its own that the next one replaces."""
    cfg, results = place.cfg, []
    for k in range(cfg.modules):
        below, depth = k * cfg.own, (k + 1) * cfg.own
        model, operator = replace(whole(place).model, layers=depth), Incubate((*range(below), *[None] * cfg.own))
        stage = training(place, f"module{k}", model, cfg.module_steps, (below, depth))
        results.append(incubated(run, results[-1], stage, operator) if results else run.train(stage))
    return Arm(place.label, (*results, tuned(run, place, budget - flops(*results), results[-1])))


WAYS = {IMITATION: imitating, ALONE: alone, GREEDY: greedy, UNTRAINED: untrained}


def paths(arm: Arm, of: Callable[..., float] = flops) -> tuple[float, float]:
    """FLOPs, or seconds, of all stages; and of the longest path, modules that do not wait for each other at once."""
    total, modules = of(*arm.results), [r for r in arm.results if "/module" in r.name and arm.name != GREEDY]
    return total, total - of(*modules) + max(map(of, modules), default=0.0)


def seconds(*results: Any) -> float:
    """Of training and its evaluations; growth and compilation are left out."""
    return float(sum(result.cost.seconds for result in results if result.kind == "train"))


# --- stages ---


def training(place: Place, name: str, model: ViT, steps: int, own: tuple[int, int]) -> Stage:
    """Training of the layers `own` of a model by the labels, with the ends that belong to them."""
    cfg = place.cfg
    return Stage(
        name=place.name(name), model=model, objective=AmongFrozen(*own, smoothing=cfg.smoothing),
        optimizer=adamw(peak=place.peak(PARTS), warmup=cfg.warmup, weight_decay=cfg.weight_decay, clip=1.0),
        data=images(cfg, place.share, place.seed), steps=steps, trainable=OwnLayers(*own, model.layers),
        evaluate=evaluation(cfg, None), seed=place.seed,
    )  # fmt: skip


def meta_stage(place: Place) -> Stage:
    """One full-width layer for each module, trained end to end."""
    cfg = place.cfg
    return training(place, "meta", replace(cfg.model, layers=cfg.modules), cfg.meta_steps, (0, cfg.modules))


def module_stage(place: Place, k: int) -> Stage:
    """Module k in the place of meta layer k."""
    cfg = place.cfg
    model = replace(whole(place).model, layers=cfg.own + cfg.modules - 1)
    return training(place, f"module{k}", model, cfg.module_steps, (k, k + cfg.own))


def imitation_stage(place: Place, k: int) -> Stage:
    """Module k in front of meta layer k, whose output it learns."""
    cfg, own = place.cfg, (k, k + place.cfg.own)
    stage = module_stage(place, k)
    model = replace(stage.model, layers=cfg.own + cfg.modules)
    trainable = OwnLayers(*own, model.layers, ends=False)
    return replace(stage, model=model, objective=ImitateLayer(*own), trainable=trainable, evaluate=None)


def whole(place: Place) -> Stage:
    """The whole network, trained end to end."""
    cfg = place.cfg
    model = replace(cfg.model, drop_path=cfg.drop_path)
    stage = training(place, "whole", model, cfg.tune_steps, (0, model.layers))
    return replace(stage, evaluate=evaluation(cfg, cfg.evaluate_every))


def tuning(place: Place, budget: float) -> Stage:
    """The whole network, from its modules: without warm-up, and as long as what is left of a budget pays for."""
    stage, cfg = whole(place), place.cfg
    stage = replace(
        stage, name=place.name("tuned"), optimizer=replace(stage.optimizer, peak=cfg.tune_peaks[0], warmup=0)
    )
    return within(stage, budget, at_least=cfg.tune_steps)


def images(cfg: Config, share: float, seed: int) -> Images:
    """Images in the order that all arms of a seed share; a share of the records is the same for all seeds."""
    (image, label), side = cfg.fields, cfg.model.image
    source = Portion(cfg.source, stop=round(share * cfg.records))
    shape = (side, side, cfg.model.channels)
    kind = Images if cfg.crop is None else partial(Photos, crop=cfg.crop)
    return kind(source=source, batch=cfg.batch, shape=shape, seed=seed, image=image, label=label)


def evaluation(cfg: Config, every: int | None) -> Evaluation:
    """Accuracy on held-out images."""
    held_out = images(cfg, 1.0, 0).held_out(cfg.evaluate_batches)
    return Evaluation(held_out, cfg.evaluate_batches, every, objective=classification)


def validation(cfg: Config) -> Evaluation:
    """Accuracy on training images behind those that are all data, by which rates are chosen."""
    behind = Portion(cfg.source, start=cfg.records)
    data = replace(images(cfg, 1.0, 0), source=behind, count=cfg.evaluate_batches)
    return Evaluation(data, cfg.evaluate_batches, objective=classification)


# --- report ---


def report(cfg: Config, arms: Arms, rates: Peaks) -> Report:
    """Accuracy right after assembly and at the end, at which cost; the claims."""
    first, final = ({which: accuracies(own, k) for which, own in arms.items()} for k in (0, -1))

    def row(label: str, share: float) -> tuple[Any, ...]:
        points = final[label, share]
        costs = np.mean([paths(arm) + paths(arm, seconds) for arm in arms[label, share]], axis=0).tolist()
        assembled = None if label in (END, SHORT) else shown(first[label, share], ".1%")
        minus = None if label == END else shown(points - final[END, share], "+.1%")
        return label, share, assembled, shown(points, ".1%"), minus, *costs

    def search(label: str) -> tuple[Any, ...]:
        own = (END,) if label in (END, SHORT) else (PARTS, label)
        return tuple(pilot for what in own if what in rates for pilot in rates[what].spent)

    def epochs(label: str, ending: str) -> tuple[Any, ...]:
        steps = [[r.steps for r in arms[label, share][0].results if r.name.endswith(ending)] for share in cfg.shares]
        seen = (own[0] * cfg.batch / (share * cfg.records) for own, share in zip(steps, cfg.shares, strict=True))
        return (ending if label == OURS else label, *seen)

    dots = {
        f"{share:.0%} of the data": {label: points.tolist() for (label, of), points in final.items() if of == share}
        for share in cfg.shares
    }
    return EXPERIMENT.report(
        link="https://arxiv.org/abs/2212.04129", claims=claims(cfg, first, final),
        arms=tuple(
            replace(arm, name=f"{label}, {share:.0%}, seed {seed}", group=f"{label}, {share:.0%} of data",
                    against=f"{END}, {share:.0%}, seed {seed}", charged=search(label))
            for (label, share), own in arms.items() for arm, seed in zip(own, cfg.seeds, strict=True)
        ),
        tables=(
            Table(
                "Held-out accuracy",
                ("arm", "data", "right after assembly", "at the end", f"minus {END}", "FLOPs", "FLOPs, longest path",
                 "time", "time, longest path"),
                tuple(row(*which) for which in arms), ("", ".0%", "", "", "", "si", "si", "time", "time"), PATHS,
            ),
            Table(
                "How often a network sees its images", ("network", *(f"{share:.0%} of data" for share in cfg.shares)),
                (*(epochs(OURS, part) for part in ("meta", "module0", "tuned")), epochs(END, "whole")),
                ("", *(".1f" for _ in cfg.shares)), "Epochs.",
            ),
            Table(
                "Learning rates", ("of", "tried", "wrong", "chosen", "at an end"),
                tuple((what, *own.cells) for what, own in rates.items()), ("", "", "", ".4g", ""),
                "By the share of validation images that are classified wrongly; all data, first seed.",
            ),
        ),
        figures=(
            Figure("At the end", draw_dots(dots, baseline=END, xlabel="held-out accuracy"),
                   f"A dot for each seed, a bar at their mean; the dotted line is the mean of {END}."),
        ),
        baseline=f"{END}, 100%, seed {cfg.seeds[0]}", metric="accuracy", rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


PATHS = (
    "Means ± standard deviations over seeds, the difference in points, seed by seed. The longest path is what takes "
    "time when all modules are trained at once; time is that of training and its evaluations. All arms have the FLOPs "
    "of assembling, short end to end those of its longest path: what modules cost less goes to tuning. The greedy "
    "network was put together by training itself."
)
NOTES = (
    "The system counts as reproduced if one of the claims against end to end holds, and the one on modules that were "
    "trained alone.",
    "Images are not augmented. The rate of the meta model is that of all modules; end to end has its own, and so has "
    "the tuning of each way to train modules. They are chosen with all data and kept for a quarter of them.",
    "Imitating modules keep the meta model's stem and head, which they have no loss for.",
    "The untrained meta model made one step.",
)


def claims(cfg: Config, first: Values, final: Values) -> tuple[Claim, ...]:
    """Judged on means over seeds."""
    leads = {share: final[OURS, share] - final[END, share] for share in cfg.shares}
    fits = first[OURS, 1.0] - first[ALONE, 1.0]
    surpass, alone, greedy = (final[OURS, 1.0] - final[label, 1.0] for label in (IMITATION, ALONE, GREEDY))
    return (
        *(
            claim(
                f"With {share:.0%} of the data, assembling is at least as accurate as end to end at equal total FLOPs",
                paper="ViT-L 83.9 % against 82.6 %" if share == 1 else "ViT-B 72.9 % against 65.7 %",
                measured=shown(points, "+.1%"), margin="mean lead at least 0", holds=points.mean() >= 0,
            )
            for share, points in leads.items()
        ),
        claim(
            "Right after assembly, incubated modules fit each other and modules that were trained alone do not",
            paper="not given", measured=shown(fits, "+.1%"), margin="mean lead above 10 points",
            holds=fits.mean() > 0.1,
        ),
        claim(
            "Modules that learn from the labels beat modules that imitate their meta layer", paper="imitation is worse",
            measured=shown(surpass, "+.1%"), margin="mean lead at least 0", holds=surpass.mean() >= 0,
        ),
        claim(
            "Assembling beats modules with losses of their own (alone, greedy)",
            paper="ResNet-110 on CIFAR-100 73.0 % against 69.2 % (DGL)",
            measured=shown(np.stack([alone, greedy], 1), "+.1%"),
            margin="both mean leads above 0", holds=min(alone.mean(), greedy.mean()) > 0,
        ),
    )  # fmt: skip


def accuracies(arms: list[Arm], which: int) -> np.ndarray:
    """Of the last stage at one of its evaluations, of every seed; NaN where there was none."""
    evals = [arm.results[-1].history.evals for arm in arms]
    return np.array([own[which]["accuracy"] if own else np.nan for own in evals])


EXPERIMENT = Experiment(
    name="model_assembling", title="Model assembling: modules trained apart, each among the layers of a meta model",
    reference="Ni et al., ICCV 2023, arXiv 2212.04129", paper=31, pipeline=pipeline, preset=preset,
)  # fmt: skip

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("model_assembling")
