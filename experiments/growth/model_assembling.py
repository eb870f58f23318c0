"""Model assembling: train the modules of a deep network apart, each among the layers of a tiny meta model.

Paper    Ni et al., Deep Incubation: Training Large Models by Divide-and-Conquering, ICCV 2023, arXiv 2212.04129
         (dossier 031).
Claim    Modules trained on their own fit each other when all were trained among the same frozen neighbours; assembled
         and tuned briefly, they beat training end to end: ViT-L 83.9 against 82.6 %, more so with less data.
Method   A meta model with one full-width layer for each module; K hybrids in which a module of random parameters stands
         in the place of one meta layer, and learns from the labels through the frozen others; assembly; tuning of all.
         At equal total FLOPs: end to end; modules that imitate the output of their meta layer; modules trained alone
         with stem and head of their own; modules trained greedily, with a local head on the frozen ones below; a meta
         model that was not trained. And end to end for as many FLOPs as the longest path has.
Run      stagejax run model_assembling                      laptop: not timed yet
         stagejax run model_assembling --preset smoke       seconds
         stagejax plan model_assembling --preset pod --mesh data=16,fsdp=16
Holds if Assembling is at least as accurate as end to end at equal total FLOPs, with all data or with a quarter of them;
         and right after assembly it is more than 10 points above modules that were trained alone.
Ours     Not measured yet.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.axes import Axes
from stagejax.data import TFDS, Dataset, Digits, Images, Portion, Source
from stagejax.growth import Assemble, Incubate
from stagejax.growth.assemble import is_before, is_behind
from stagejax.ledger import total
from stagejax.models import ViT
from stagejax.objectives.classification import classification
from stagejax.objectives.distillation import soft_cross_entropy
from stagejax.objectives.loss import weighted
from stagejax.optimizer import adamw
from stagejax.program import build
from stagejax.report import Arm, Claim, Report, Table, claim
from stagejax.state import Selected

END, SHORT, OURS = "end to end", "end to end on the longest path", "assembling"
IMITATION, ALONE, GREEDY, UNTRAINED = "imitation", "alone", "greedy", "untrained meta model"


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    source: Source = field(default_factory=lambda: Dataset("fashion_mnist"))  # of images
    fields: tuple[str, str] = ("x", "y")  # of a record: image and label
    records: int = 30_000  # in the training split
    shares: tuple[float, ...] = (1.0, 0.25)  # of the records: with all data, and with less
    model: ViT = field(default_factory=lambda: ViT(layers=12, pool="class", scan=True))  # width 48, 16 patches
    modules: int = 4
    batch: int = 32  # images
    meta_steps: int = 120
    module_steps: int = 90  # of each module
    tune_steps: int = 60
    peak: float = 1e-3  # learning rate of all stages
    warmup: float = 0.1  # share of a stage's steps; tuning has none
    weight_decay: float = 0.05
    drop_path: float = 0.1  # of hybrids and whole networks; the meta model has none
    smoothing: float = 0.1  # of labels
    evaluate_batches: int = 40
    evaluate_every: int = 20  # steps, of whole networks
    seeds: tuple[int, ...] = (0, 1, 2)  # of assembling and end to end; the other arms take the first

    @property
    def own(self) -> int:
        """Layers of a module."""
        return self.model.layers // self.modules


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    laptop = Config()
    if name == "smoke":
        return replace(
            laptop,
            source=Digits(),
            fields=("image", "label"),
            records=1438,
            model=replace(laptop.model, image=8, patch=4, embed=16, layers=4, heads=2, mlp=32),
            modules=2,
            batch=16,
            meta_steps=40,
            module_steps=30,
            tune_steps=8,
            peak=3e-3,
            evaluate_batches=8,
            evaluate_every=4,
            shares=(1.0,),
            seeds=(0,),
        )
    if name == "pod":
        steps = 1_281_167 // 2048  # in an epoch
        return replace(
            laptop,
            source=TFDS("imagenet2012"),
            fields=("image", "label"),
            records=1_281_167,
            model=ViT(
                image=224, channels=3, patch=16, classes=1000, embed=1024, layers=24, heads=16, mlp=4096, pool="class",
                scan=True, remat="full",
            ),
            batch=2048,
            meta_steps=300 * steps,
            module_steps=100 * steps,
            tune_steps=100 * steps,
            peak=2e-3,  # 5e-4 for every 512 images
            drop_path=0.5,
            evaluate_batches=25,
            evaluate_every=10 * steps,
        )  # fmt: skip
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """Assembling and end to end with all data and with a share of them, and the other ways to train modules."""
    arms: dict[tuple[str, float, int], Arm] = {}
    for share in cfg.shares:
        for seed in cfg.seeds:
            arms[OURS, share, seed] = ours = assembling(run, Place(cfg, OURS, share, seed))
            place = Place(cfg, END, share, seed)
            arms[END, share, seed] = Arm(END, (run.train(to_budget(place, whole(place), budget=flops(ours.results))),))
    first, place = arms[OURS, 1.0, cfg.seeds[0]], Place(cfg, SHORT, 1.0, cfg.seeds[0])
    budget = flops(first.results)
    arms[SHORT, 1.0, place.seed] = Arm(
        SHORT, (run.train(to_budget(place, whole(place), budget=longest(first.results))),)
    )
    for label, way in {IMITATION: imitating, ALONE: alone, GREEDY: greedy, UNTRAINED: untrained}.items():
        arms[label, 1.0, place.seed] = way(run, replace(place, label=label), first.results[0], budget)
    return report(cfg, arms)


# --- arms ---


@dataclass(frozen=True)
class Place:
    """What all stages of an arm share."""

    cfg: Config
    label: str
    share: float  # of the data
    seed: int

    def name(self, stage: str) -> str:
        """Of a stage of this arm."""
        return f"{self.label}/{self.share:g}/{self.seed}/{stage}"


def assembling(run: Any, place: Place, meta: Any = None, budget: float = 0) -> Arm:
    """A meta model, K modules that do not know of each other, their assembly and its tuning."""
    cfg = place.cfg
    meta = run.train(meta_stage(place)) if meta is None else meta
    hybrids = []
    for k in range(cfg.modules):
        stage = module_stage(place, k)
        operator = Incubate.at(k, modules=cfg.modules, layers=cfg.own)
        start = run.grow(f"{stage.name}/start", meta, to=stage.model, operator=operator)
        hybrids.append(run.train(stage, start))
    return assembled(run, place, (meta, *hybrids), hybrids, tuple(range(cfg.modules)), budget)


def untrained(run: Any, place: Place, _: Any, budget: float) -> Arm:
    """The same, but the meta model made a single step."""
    return assembling(run, place, run.train(replace(meta_stage(place), steps=1)), budget)


def imitating(run: Any, place: Place, meta: Any, budget: float) -> Arm:
    """Each module mimics its meta layer: || module(x) - layer(x) ||² on what the layers below make of images."""
    cfg = place.cfg
    hybrids = []
    for k in range(cfg.modules):
        stage = imitation_stage(place, k)
        behind = range(k, cfg.modules)  # the imitated layer follows the module
        operator = Incubate((*range(k), *[None] * cfg.own, *behind), ends=False)
        start = run.grow(f"{stage.name}/start", meta, to=stage.model, operator=operator)
        hybrids.append(run.train(stage, start))
    return assembled(run, place, (meta, *hybrids), hybrids, tuple(range(cfg.modules)), budget)


def alone(run: Any, place: Place, _: Any, budget: float) -> Arm:
    """Each module is a network of its own, with stem and head."""
    cfg = place.cfg
    model, own = replace(whole(place).model, layers=cfg.own), (0, cfg.own)
    stages = [training(place, f"module{k}", model, cfg.module_steps, own) for k in range(cfg.modules)]
    results = [run.train(replace(stage, seed=place.seed + 100 * (k + 1))) for k, stage in enumerate(stages)]
    return assembled(run, place, tuple(results), results, (0,) * cfg.modules, budget)


def greedy(run: Any, place: Place, _: Any, budget: float) -> Arm:
    """Module after module on the frozen ones below, each with a head of its own that the next one replaces."""
    cfg, results = place.cfg, []
    for k in range(cfg.modules):
        depth, own = (k + 1) * cfg.own, (k * cfg.own, (k + 1) * cfg.own)
        model = replace(whole(place).model, layers=depth)
        stage = training(place, f"module{k}", model, cfg.module_steps, own)
        start = None
        if results:
            operator = Incubate((*range(own[0]), *[None] * cfg.own))
            start = run.grow(f"{stage.name}/start", results[-1], to=model, operator=operator)
        results.append(run.train(stage, start))
    tuned = run.train(to_budget(place, tuning(place), budget=budget - flops(results)), results[-1])
    return Arm(place.label, (*results, tuned))


def assembled(
    run: Any, place: Place, results: tuple[Any, ...], modules: list[Any], places: tuple[int, ...], budget: float
) -> Arm:
    """The modules put together and tuned, for as many steps as are left of a budget."""
    others = {f"module{k}": module for k, module in enumerate(modules) if k}
    start = run.grow(
        place.name("assembled"), modules[0], to=whole(place).model, operator=Assemble(places), others=others
    )
    tuned = run.train(to_budget(place, tuning(place), budget=budget - flops(results)), start)
    return Arm(place.label, (*results, start, tuned))


def flops(results: Any) -> float:
    """Training FLOPs of several stages."""
    return float(total(result.cost for result in results).flops)


def longest(results: Any) -> float:
    """FLOPs of the longest path, when all modules are trained at once."""
    meta, *modules, _, tuned = results
    return flops((meta, tuned)) + max(flops((module,)) for module in modules)


def to_budget(place: Place, stage: Stage, budget: float) -> Stage:
    """A stage of as many steps as the budget pays, but at least those of tuning."""
    return replace(stage, steps=max(round(budget / step_flops(place.cfg)), place.cfg.tune_steps))


@functools.cache
def step_flops(cfg: Config) -> int:
    """FLOPs of a step of the whole network."""
    return build(whole(Place(cfg, END, 1.0, 0)), None).step_flops()


# --- stages ---


def training(place: Place, name: str, model: ViT, steps: int, own: tuple[int, int]) -> Stage:
    """Training of the layers `own` of a model by the labels, with the ends that belong to them."""
    cfg = place.cfg
    return Stage(
        name=place.name(name),
        model=model,
        objective=partial(labels, own=own, smoothing=cfg.smoothing),
        optimizer=adamw(peak=cfg.peak, warmup=cfg.warmup, weight_decay=cfg.weight_decay, clip=1.0),
        data=images(cfg, place.share, place.seed),
        steps=steps,
        trainable=Own(*own, model.layers),
        evaluate=evaluation(cfg, None),
        seed=place.seed,
    )


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
    trainable = Own(*own, model.layers, ends=False)
    return replace(stage, model=model, objective=partial(imitation, own=own), trainable=trainable, evaluate=None)


def whole(place: Place) -> Stage:
    """The whole network, trained end to end."""
    cfg = place.cfg
    model = replace(cfg.model, drop_path=cfg.drop_path)
    stage = training(place, "whole", model, cfg.tune_steps, (0, model.layers))
    return replace(stage, evaluate=evaluation(cfg, cfg.evaluate_every))


def tuning(place: Place) -> Stage:
    """The whole network, from its modules: the same without warm-up."""
    cfg = place.cfg
    optimizer = adamw(peak=cfg.peak, warmup=0, weight_decay=cfg.weight_decay, clip=1.0)
    return replace(whole(place), name=place.name("tuned"), optimizer=optimizer)


@dataclass(frozen=True)
class Own:
    """Train the layers start..stop-1 of so many, and the ends of the network where they reach them."""

    start: int
    stop: int
    layers: int
    ends: bool = True

    def __call__(self, path: str, axes: Axes) -> Selected:
        if "layers" in axes.names:
            return slice(self.start, self.stop)
        reached = (is_before(axes) and self.start == 0) or (is_behind(axes) and self.stop == self.layers)
        return self.ends and reached


def labels(model: Any, batch: Any, key: Any, *, own: tuple[int, int], smoothing: float) -> tuple[Any, dict[str, Any]]:
    """Cross entropy of smoothed labels. Gradients pass through the layers that are not `own`, and stay out of them."""
    x_BTE = model.tokens(batch["image"])
    for start, stop in ((0, own[0]), own, (own[1], model.config.layers)):
        x_BTE = model.encode(x_BTE, start, stop, key=key, frozen=(start, stop) != own)
    logits_BC = model.logits(model.pool(x_BTE))
    _, metrics = weighted(logits_BC, batch["label"])
    classes = logits_BC.shape[-1]
    soft_BC = (1 - smoothing) * jax.nn.one_hot(batch["label"], classes) + smoothing / classes
    losses_B = soft_cross_entropy(logits_BC, soft_BC)
    return losses_B.mean(), metrics | {"loss": (losses_B.sum(), jnp.float32(losses_B.size))}


def imitation(model: Any, batch: Any, key: Any, *, own: tuple[int, int]) -> tuple[Any, dict[str, Any]]:
    """Mean square of the difference between the layers `own` and the one behind them, on the same stream."""
    start, stop = own
    x_BTE = model.encode(model.tokens(batch["image"]), 0, start, key=key, frozen=True)
    said_BTE = model.encode(x_BTE, stop, stop + 1, frozen=True)
    loss = jnp.square(model.encode(x_BTE, start, stop, key=key) - said_BTE).mean()
    return loss, {}


def images(cfg: Config, share: float, seed: int) -> Images:
    """Images in the order that all arms of a seed share; a share of the records is the same for all seeds."""
    (image, label), side = cfg.fields, cfg.model.image
    source = cfg.source if share == 1 else Portion(cfg.source, stop=round(share * cfg.records))
    shape = (side, side, cfg.model.channels)
    return Images(source=source, batch=cfg.batch, shape=shape, seed=seed, image=image, label=label)


def evaluation(cfg: Config, every: int | None) -> Evaluation:
    """Accuracy on held-out images."""
    held_out = images(cfg, 1.0, 0).held_out(cfg.evaluate_batches)
    return Evaluation(held_out, cfg.evaluate_batches, every, objective=classification)


# --- report ---


def report(cfg: Config, arms: dict[tuple[str, float, int], Arm]) -> Report:
    """Accuracy right after assembly and at the end, at which cost; the claims."""

    def seeds(label: str, share: float) -> list[Arm]:
        return [arm for (own, s, _), arm in arms.items() if (own, s) == (label, share)]

    def last(label: str, share: float = 1.0) -> np.ndarray:
        return np.array([accuracy(arm, -1) for arm in seeds(label, share)])

    def before(label: str) -> float:
        return float(np.mean([accuracy(arm, 0) for arm in seeds(label, 1.0)]))

    rows = []
    for label, share in dict.fromkeys((label, share) for label, share, _ in arms):
        found, ends = seeds(label, share), last(label, share)
        one = found[0].results
        own = None if label in (END, SHORT) else float(np.mean([accuracy(arm, 0) for arm in found]))
        path = longest(one) if label in (OURS, IMITATION, UNTRAINED) else flops(one)
        if label == ALONE:
            path = max(flops((module,)) for module in one[:-2]) + flops(one[-1:])
        deviation = float(ends.std(ddof=1)) if len(ends) > 1 else None
        rows.append((label, share, own, float(ends.mean()), deviation, flops(one), path, len(found)))
    table = Table(
        "Held-out accuracy",
        ("arm", "data", "right after assembly", "at the end", "±", "FLOPs", "longest path", "seeds"),
        tuple(rows),
        ("", ".0%", ".1%", ".1%", ".1%", "si", "si", ""),
        note="The longest path is what takes time when all modules are trained at once. What modules cost less than "
        "those of assembling goes to tuning, so that all arms but one have the same total. The greedy arm's network "
        "before tuning was put together by training itself.",
    )
    named = [
        replace(
            arm,
            name=f"{label}, {share:.0%}, seed {seed}",
            group=f"{label}, {share:.0%} of data",
            against=f"{END}, {share:.0%}, seed {seed}",
        )
        for (label, share, seed), arm in arms.items()
    ]
    fits, surpass = before(OURS) - before(ALONE), float(last(OURS)[0] - last(IMITATION)[0])
    # fmt: off
    claims = (
        *(lead(share, last(OURS, share) - last(END, share)) for share in cfg.shares),
        claim(
            "Right after assembly, incubated modules fit each other and modules that were trained alone do not",
            paper="not given", measured=fits, unit="%",
            margin="lead above 10 points", holds=fits > 0.1,
        ),
        claim(
            "Modules that learn from the labels beat modules that imitate their meta layer",
            paper="imitation is worse", measured=surpass, unit="%",
            margin="lead at least 0", holds=surpass >= 0,
        ),
    )
    # fmt: on
    return Report(
        experiment=EXPERIMENT.name,
        title=EXPERIMENT.title,
        paper=EXPERIMENT.reference,
        number=f"{EXPERIMENT.paper:03d}",
        link="https://arxiv.org/abs/2212.04129",
        claims=claims,
        arms=tuple(named),
        tables=(table,),
        baseline=named[1].name,
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=(
            "The system counts as reproduced if one of the claims against end to end holds, and the one on modules "
            "that were trained alone.",
            "Images are not augmented, and all stages share one learning rate.",
            "Imitating modules keep the meta model's stem and head, which they have no loss for.",
            "The untrained meta model made one step.",
        ),
    )


def lead(share: float, points: np.ndarray) -> Claim:
    """Assembling against end to end, with a share of the data."""
    return claim(
        f"With {share:.0%} of the data, assembling is at least as accurate as end to end at equal total FLOPs",
        paper="ViT-L 83.9 % against 82.6 %" if share == 1 else "ViT-B 72.9 % against 65.7 %",
        measured=float(points.mean()),
        unit="%",
        margin="mean lead at least 0",
        holds=points.mean() >= 0,
    )


def accuracy(arm: Arm, which: int) -> float:
    """Held-out accuracy of the last stage at one of its evaluations; NaN if there was none."""
    found = [row["accuracy"] for row in arm.results[-1].history.evals]
    return float(found[which]) if found else float("nan")


EXPERIMENT = Experiment(
    name="model_assembling",
    title="Model assembling: modules trained apart, each among the layers of a meta model",
    reference="Ni et al., ICCV 2023, arXiv 2212.04129",
    paper=31,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("model_assembling")
