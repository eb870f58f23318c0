"""large_batch_regimes: large batches generalise as small ones do, given as many updates and ghost batch norm.

Paper    Hoffer, Hubara and Soudry, Train longer, generalize better: closing the generalization gap in large batch
         training of neural networks, NeurIPS 2017, arXiv 1705.08741 (dossier 102).
Claim    The gap between small and large batches in equally many epochs comes from too few updates at the high learning
         rate: weights diffuse from where they began as the logarithm of the updates. Ghost batch norm shrinks the gap
         without more updates, as many updates as the small batch had (regime adaptation) close it.
Method   A regime is a learning rate constant in phases, declared in epochs; each phase is a stage that takes over
         weights, momentum and place in the data. SGD with momentum 0.9, decay 1e-4, gradients clipped at 5.
           SB  small batches                              LB  large ones: same epochs, same rates
           LR  rates times sqrt(B_L / B_S)                GBN batch norm over ghosts of B_S examples
           RA  every phase stretched by B_L / B_S: the updates of SB, and B_L / B_S times its samples
         LB + noise has SB's gradient covariance by random weights of examples instead of LR. RA is charged in full; it
         is equal in updates, all other arms in epochs. |w_t - w_0| is measured after every update; a + b log t and
         a t^c are fitted to it at up to 30 log-spaced updates of the first phase, from the tenth on.
Run      stagejax run large_batch_regimes                      laptop: 4 to 11 minutes on two cores
         stagejax run large_batch_regimes --preset smoke       seconds
         stagejax run large_batch_regimes --preset cifar       a small ConvNet on CIFAR-10: hours, not run here
         stagejax plan large_batch_regimes --preset pod --mesh data=16,fsdp=16
Holds if, in mean over seeds, SB is 0.5 points or more above LB (CIFAR-10: 3 points); LB < LB + LR < LB + LR + GBN;
         LB + LR + GBN + RA is within max(0.3 points, one sd of SB) of SB; the logarithm has the lower AIC in 80 % or
         more of the runs that have SB's updates; and the slope per log update of LB + LR + GBN at its constant rate
         (the first phase of its RA, which continues it) differs from SB's by 20 % or less.
Ours     MNIST, 6400 images, batches of 64 and 1024, 20 epochs; five seeds, three of arms with RA; 310 CPU seconds:
                                accuracy, %    cross entropy       updates     samples
           SB                    96.1 ± 0.1    0.150 ± 0.002         2000        128 k
           LB                    94.6 ± 0.2    0.176 ± 0.003          125        128 k
           LB + LR               95.3 ± 0.2    0.178 ± 0.005          125        128 k
           LB + LR + GBN         95.7 ± 0.1    0.157 ± 0.005          125        128 k
           LB + LR + GBN + RA    96.3 ± 0.1    0.146 ± 0.005         2000       2048 k
           LB + LR + RA          95.9 ± 0.1    0.164 ± 0.009         2000       2048 k
           LB + noise            92.8 ± 0.6    0.236 ± 0.016          125        128 k
         The gap is 1.5 points; rate and ghosts close 1.0 of them, and as many updates close it, at 16 times the samples
         (without ghosts 0.3 points are left). The logarithm has the lower AIC in all 11 long runs, but it describes
         SB alone well (R² 0.995): on large batches the training loss is soon 0.000 and the walk stops (R² 0.66 with
         ghosts, 0.51 without, AIC lower by 3.5 and 1.9). So slopes do not agree at this scale, 1.24 against SB's 3.07.
         After 62 updates LB is 7.8 away, LB + noise 11.1, SB 11.5, and both arms with LR 15.3 to 15.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Handover, Stage
from stagejax.data import TFDS, Dataset, Digits, Images, Source
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.photos import Photos
from stagejax.data.pictures.tasks import ImageTask, Part
from stagejax.data.published import IMAGENET
from stagejax.models.anchored import Anchored
from stagejax.models.convnet import ResNet, resnet50
from stagejax.models.ghost_norm import Ghosted
from stagejax.models.vision.cnn import CNN, ConvLayer
from stagejax.names import slug
from stagejax.objectives import classification
from stagejax.objectives.noise import noisy_classification
from stagejax.optimizer import decayed_sgd
from stagejax.regime import Regime, square_root_rule
from stagejax.report import Arm, Claim, Figure, Report, Table, by_seed, claim, mean, table_of_means
from stagejax.report.diffusion import Fit, draw_walks, fit_walk
from stagejax.report.seeds import spread
from stagejax.steps.distances import DistanceStep


@dataclass(frozen=True)
class Recipe:
    """What an arm does about its batch."""

    large: bool = True
    scaled: bool = False  # LR
    ghosts: bool = False  # GBN
    adapted: bool = False  # RA
    noise: bool = False


SB, LB, LR, GBN, RA = "SB", "LB", "LB + LR", "LB + LR + GBN", "LB + LR + GBN + RA"
PLAIN_RA, NOISE = "LB + LR + RA", "LB + noise"
ARMS = {
    SB: Recipe(large=False),
    LB: Recipe(),
    LR: Recipe(scaled=True),
    GBN: Recipe(scaled=True, ghosts=True),
    RA: Recipe(scaled=True, ghosts=True, adapted=True),
    PLAIN_RA: Recipe(scaled=True, adapted=True),
    NOISE: Recipe(noise=True),
}
LONG = (SB, RA, PLAIN_RA)  # arms with SB's updates


@dataclass(frozen=True)
class Task:
    """A network, what it is trained on, and its regime for small batches."""

    name: str
    source: Source
    rows: int  # training examples
    net: CNN | ResNet
    regime: Regime
    small: int  # B_S
    large: int  # B_L
    test: tuple[int, int]  # held-out batches: their size and number
    gap: float  # SB - LB that is asked for
    layers: tuple[str, ...] = ()  # whose distances are told apart
    crop: Crop | None = None  # None: images are seen as they are

    @property
    def times(self) -> int:
        return self.large // self.small

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.net.shape if isinstance(self.net, CNN) else (self.net.image, self.net.image, self.net.channels_in)


def decays(epochs: int) -> Regime:
    """A tenth of the rate at 50, 75 and 90 % of the epochs."""
    return Regime((0.1, 0.01, 0.001, 0.0001), tuple(share * epochs for share in (0.5, 0.75, 0.9, 1.0)))


def f1(shape: tuple[int, int, int], width: int, mean: float, std: float) -> CNN:
    """The paper's F1: dense layers with batch norms (five of 512 there)."""
    return CNN(shape, (), (width,) * 3, heads=(("label", (10,)),), norm=True, mean=mean, std=std)


def mnist() -> Task:
    source, layers = ImageTask((Part(Dataset("mnist")),), 28, limit=6400), ("hidden/1", "hidden/2", "hidden/3", "heads")
    return Task("mnist", source, 6400, f1((28, 28, 1), 128, 0.13, 0.31), decays(20), 64, 1024, (2000, 5), 0.005, layers)


def cifar() -> Task:
    source, convolutions = ImageTask((Part(Dataset("cifar10")),), 32, limit=8000), (ConvLayer(32, 5, pool=True),) * 2
    net = CNN((32, 32, 3), convolutions, (), (("label", (192, 96, 10)),), norm=True, mean=0.47, std=0.25)
    return Task("cifar10", source, 8000, net, decays(20), 64, 1024, (1000, 4), 0.03, ("convolutions", "heads"))


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    tasks: tuple[Task, ...] = field(default_factory=lambda: (mnist(),))
    momentum: float = 0.9
    decay: float = 1e-4
    clip: float = 5.0
    evaluations: int = 6  # of each arm, and one at the end of every phase
    points: tuple[int, int] = (10, 30)  # of a fit: the first update, and how many at most
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    adapted_seeds: tuple[int, ...] = (0, 1, 2)  # of both arms with RA


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    if name == "smoke":
        net = f1((8, 8, 1), 32, 0.3, 0.4)
        digits = Task("digits", Digits(), 1438, net, decays(12), 64, 512, (64, 5), 0.005, ("hidden/1", "heads"))
        return Config((digits,), evaluations=2, points=(4, 20), seeds=(0, 1), adapted_seeds=(0, 1))
    if name == "cifar":
        return Config((cifar(),), seeds=(0, 1, 2))
    if name == "pod":
        rates = (0.1, 0.01, 0.001, 0.0001)
        resnet44, few = ResNet(blocks=(7, 7, 7)), Crop(least=0.75, ratio=1.0, middle=1.0)
        long, short = Regime(rates, (81, 122, 164, 200)), Regime(rates, (30, 60, 90, 100))
        tasks = (
            Task("cifar10", TFDS("cifar10"), 50_000, resnet44, long, 256, 2048, (256, 39), 0.005, ("stem",), few),
            Task("imagenet", IMAGENET, 1_281_167, resnet50(), short, 256, 8192, (2048, 24), 0.005, ("stem",), Crop()),
        )
        return Config(tasks, evaluations=50, points=(100, 60), seeds=(0, 1, 2))
    return Config()


def pipeline(run: Any, cfg: Config) -> Report:
    """Every arm of every task, and what the paper claims."""
    seeds = {arm: cfg.adapted_seeds if recipe.adapted else cfg.seeds for arm, recipe in ARMS.items()}

    def arms(task: Task) -> dict[str, Any]:
        return {arm: {seed: trained(run, cfg, task, arm, seed) for seed in own} for arm, own in seeds.items()}

    return report(cfg, {task.name: arms(task) for task in cfg.tasks})


# --- stages ---


def regime_of(task: Task, recipe: Recipe) -> Regime:
    """The task's regime as the arm carries it out."""
    regime = task.regime.scaled(square_root_rule(task.large, task.small)) if recipe.scaled else task.regime
    return regime.stretched(task.times) if recipe.adapted else regime


def trained(run: Any, cfg: Config, task: Task, arm: str, seed: int) -> tuple[Any, ...]:
    """The phases of an arm's regime, one stage each."""
    recipe, regime = ARMS[arm], regime_of(task, ARMS[arm])
    batch = task.large if recipe.large else task.small
    noisy = partial(noisy_classification, variance=task.times - 1.0)
    every = max(1, regime.updates(task.rows, batch) // cfg.evaluations)
    results: list[Any] = []
    for phase, (steps, rate) in enumerate(regime.phases(task.rows, batch), 1):
        stage = Stage(
            name=f"{task.name}/{slug(arm)}/{seed}/{phase}",
            model=Anchored(Ghosted(task.net, task.small) if recipe.ghosts else task.net),
            objective=noisy if recipe.noise else classification,
            optimizer=decayed_sgd(rate, decay="constant", clip=cfg.clip, momentum=cfg.momentum, weight_decay=cfg.decay),
            data=images(task, batch, seed),
            steps=steps,
            step=DistanceStep(task.layers),
            handover=Handover(moments="carry", data="carry"),
            evaluate=Evaluation(images(task, task.test[0], 0).held_out(task.test[1]), task.test[1], every),
            seed=seed,
        )
        results.append(run.train(stage, *results[-1:]))
    return tuple(results)


def images(task: Task, batch: int, seed: int) -> Images:
    kind = Images if task.crop is None else partial(Photos, crop=task.crop)
    return kind(source=task.source, batch=batch, shape=task.shape, seed=seed)


# --- diffusion ---


def distances(results: tuple[Any, ...], layer: str = "") -> list[float]:
    """|w_t - w_0| after every update of the first phase, of all parameters or of a layer; nothing in a plan."""
    return results[0].history.train.get(f"distance_{layer}" if layer else "distance", [])


def fitted(cfg: Config, own: dict[int, tuple[Any, ...]], layer: str = "") -> list[tuple[Fit, Fit]]:
    """The logarithm and the power nearest to each seed's distances; none of a first phase that is too short."""
    walks = [distances(results, layer) for results in own.values()]
    return [pair for walk in walks if (pair := fit_walk(walk, *cfg.points)) is not None]


def slope(cfg: Config, own: dict[int, tuple[Any, ...]], layer: str = "") -> float:
    """b of a + b log t, mean over seeds."""
    return mean([logarithm.second for logarithm, _ in fitted(cfg, own, layer)])


# --- report ---


def report(cfg: Config, found: dict[str, dict[str, Any]]) -> Report:
    """Accuracies, costs and distances of every task, and the verdicts."""
    several = len(cfg.tasks) > 1
    claims, arms, tables, figures = [], [], [], []
    for task in cfg.tasks:
        own, mark = found[task.name], f", {task.name}" if several else ""
        claims += claims_of(cfg, task, own)
        made = by_seed({arm: {seed: Arm("", r) for seed, r in by.items()} for arm, by in own.items()}, SB)
        arms += [replace(a, name=a.name + mark, group=a.group + mark, against=a.against + mark) for a in made]
        tables += [*scores_of(cfg, task, own), *walks_of(cfg, task, own)]
        walks = {arm: [series for results in by.values() if (series := distances(results))] for arm, by in own.items()}
        figures += [Figure(f"{task.name}: distances", draw_walks(walks, baseline=SB), OF_FIGURE)] if walks[SB] else []
    return EXPERIMENT.report(
        tuple(claims),
        link="https://arxiv.org/abs/1705.08741",
        arms=tuple(arms),
        tables=tuple(tables),
        figures=tuple(figures),
        baseline=SB + (f", {cfg.tasks[0].name}" if several else ""),
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=NOTES,
    )


def last(own: dict[str, Any], arm: str, metric: str = "accuracy") -> list[float]:
    """What every seed of an arm ends at."""
    return [results[-1].history.last(metric) for results in own[arm].values()]


def claims_of(cfg: Config, task: Task, own: dict[str, Any]) -> tuple[Claim, ...]:
    """The criterion, as it is written above."""
    at = {arm: mean(last(own, arm)) for arm in ARMS}
    known = not np.isnan(at[SB])
    left, sd = at[SB] - at[RA], spread(last(own, SB))[1] or 0.0
    runs = [pair for arm in LONG for pair in fitted(cfg, own[arm])]
    share = mean([float(logarithm.aic < power.aic) for logarithm, power in runs])
    slopes = {arm: slope(cfg, own[arm]) for arm in (SB, RA)}
    ratio = slopes[RA] / slopes[SB]
    name = f"{task.name}: "
    return (
        claim(
            name + "in equally many epochs, large batches generalise worse",
            paper="several points on every dataset",
            measured=at[SB] - at[LB],
            unit="%",
            margin=f"SB above LB by {task.gap:.1%} or more",
            holds=at[SB] - at[LB] >= task.gap,
        ),
        claim(
            name + "a higher rate and ghost batch norm each shrink the gap, without more updates",
            paper="LB < LB + LR < LB + LR + GBN",
            measured=" < ".join(f"{arm} {at[arm]:.2%}" for arm in sorted((LB, LR, GBN), key=at.get)) if known else None,
            margin="in that order",
            holds=at[LB] < at[LR] < at[GBN],
        ),
        claim(
            name + "with as many updates, large batches generalise as small ones do",
            paper="the gap is closed completely",
            measured=left,
            unit="%",
            margin=f"SB - RA within {max(0.003, sd):.2%}: 0.3 points, or one sd of SB if that is more",
            holds=abs(left) <= max(0.003, sd),
        ),
        claim(
            name + "weights diffuse as the logarithm of the updates",
            paper="|w_t - w_0| ~ log t",
            measured=share,
            unit="%",
            margin=f"in 80 % or more of the runs of {', '.join(LONG)}, AIC below that of a power of t",
            holds=share >= 0.8,
        ),
        claim(
            name + "at the raised rate and with ghosts, large batches diffuse as fast as small ones",
            paper="curves of all batch sizes coincide",
            measured=f"{slopes[RA]:.3g} a log update, SB {slopes[SB]:.3g}" if runs else None,
            margin="slopes of a + b log t differ by 20 % or less",
            holds=abs(ratio - 1) <= 0.2,
        ),
    )


def scores_of(cfg: Config, task: Task, own: dict[str, Any]) -> tuple[Table, ...]:
    """Scores on the test, and what they cost."""
    nats = {"scale": 1.0, "digits": 4, "note": "In nats: mean ± standard deviation over seeds."}
    accuracy = table_of_means(f"{task.name}: accuracy on the test", list(ARMS), ["accuracy"], partial(last, own))
    loss = table_of_means(f"{task.name}: cross entropy on the test", list(ARMS), ["loss"], partial(last, own), **nats)
    costs = {arm: Arm("", by[cfg.seeds[0]]).cost for arm, by in own.items()}
    rows = []
    for arm, recipe in ARMS.items():
        samples, batch = costs[arm].samples, task.large if recipe.large else task.small
        rows.append((arm, batch, costs[arm].steps, samples / task.rows, samples, samples / max(1, costs[SB].samples)))
    columns = ("arm", "batch", "updates", "epochs", "samples", "to SB's")
    spent = Table(f"{task.name}: what an arm takes", columns, tuple(rows), ("", "", ",", ".1f", ",", ".1f"), OF_COSTS)
    return accuracy, loss, spent


def walks_of(cfg: Config, task: Task, own: dict[str, Any]) -> tuple[Table, ...]:
    """Distances in the first phase and their fits, of all parameters and by layer."""
    walks = {arm: [walk for results in by.values() if (walk := distances(results))] for arm, by in own.items()}
    shared = min((len(walk) for several in walks.values() for walk in several), default=0)
    rows = []
    for arm, several in walks.items():
        reached = [mean([walk[at] for walk in several]) for at in (shared - 1, -1)]
        pairs = [[a.second, a.r2, b.second, b.r2, b.aic - a.aic] for a, b in fitted(cfg, own[arm])]
        numbers = np.mean(pairs or [[float("nan")] * 5], axis=0).tolist()
        rows.append((arm, len(several[0]) if several else 0, *reached, *numbers))
    columns = ("arm", "updates", f"|w - w0| at {shared}", "at the end", "b", "R²", "c", "R² of t^c", "AIC less")
    whole = Table(f"{task.name}: distance at the constant rate", columns, tuple(rows),
                  ("", ",", ".3f", ".3f", ".4f", ".4f", ".4f", ".4f", ".1f"), OF_WALKS)  # fmt: skip
    arms = (SB, LB, LR, GBN, *LONG[1:])
    slopes = tuple((layer, *(slope(cfg, own[arm], layer) for arm in arms)) for layer in task.layers)
    by_layer = Table(f"{task.name}: slope by layer", ("layer", *arms), slopes, ("", *[".4f"] * len(arms)), OF_LAYERS)
    return whole, by_layer


OF_FIGURE = "|w_t - w_0| in the first phase, whose rate is constant; a line for each seed."
OF_COSTS = "Of one seed. Arms with RA have the updates of SB, each on a large batch: that is their price."
OF_WALKS = (
    "In the first phase, mean over seeds; the first distance is after the updates that every arm makes in it. Fits: "
    "a + b log t and a t^c; AIC less: by how much the logarithm's is lower."
)
OF_LAYERS = "b of a + b log t for the parameters under a path, mean over seeds."
NOTES = (
    "The laptop trains on 6400 images of MNIST, in batches of 64 and 1024: sizes set by time. The network has three "
    "dense layers of 128 units where F1 has five of 512. Rates are the published ones; none was searched for.",
    "The last state of every arm is scored, not the best on the test. Seeds draw first values and the order of data; "
    "the training images are the same.",
    "Weight decay is of all parameters, gains and shifts too, and is added behind the clipping, as the authors do.",
    "In the noise arm examples weigh by N(1, B_L / B_S - 1), at the rate of LB.",
    "On the pod, CIFAR-10 has ghosts and small batches of 256, as in one of the authors' commands, for 128 does not "
    "divide among 256 devices; views are crops of 75 to 100 % of an image, mirrored at random. WRN-16-4 is left out.",
)


EXPERIMENT = Experiment(
    name="large_batch_regimes",
    title="Train longer, generalize better: ghost batch norm and regime adaptation",
    reference="Hoffer et al., NeurIPS 2017, arXiv 1705.08741",
    paper=102,
    presets=("smoke", "laptop", "cifar", "pod"),
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("large_batch_regimes")
