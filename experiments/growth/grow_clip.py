"""GrowCLIP: a dual encoder that grows with its data, where a search says it should.

Paper    Deng et al., GrowCLIP: Data-aware Automatic Model Growing for Large-scale Contrastive Language-Image
         Pre-training, ICCV 2023, arXiv 2308.11331 (dossier 065).
Claim    +2.3 points of mean zero-shot accuracy over nine sets, +1.2 points of image-to-text R@1 on Flickr30K. Only the
         abstract was at hand: formula of the inheriting, growth space, score and sizes are a reconstruction.
Method   Pairs arrive in portions. At each new one every architecture of a growth space around the current one (one more
         image, text or shared block, 1.5 times the width, or nothing) is made by parameter inheriting with momentum,
         θ = m Inherit(θ_old) + (1 - m) θ_fresh, and trained briefly; the one that gains most validation loss on the new
         data per added FLOP is trained on all data so far, from the same start. Search and all, each arm spends the
         same FLOPs on each portion: what the search takes is not trained. Arms with another m, 0 and 1 among them,
         follow the growth of GrowCLIP of their seed. The preset `pod` has also the largest size throughout, and
         branches that share nothing.
Run      stagejax run grow_clip                      laptop: 5 to 6 minutes on two idle cores
         stagejax run grow_clip --preset smoke       seconds
         stagejax plan grow_clip --preset pod --mesh data=16,fsdp=16
Holds if the zero-shot accuracy of GrowCLIP, averaged over portions, is above that of the fixed small model; its last
         one is at least that of its final architecture trained from scratch on all data, less 0.5 points; and an inner
         m (0.9) beats both m = 0 and m = 1.
Ours     Nothing holds as it is judged, with m = 0.9: over portions GrowCLIP is 1.5 +/- 0.7 points below the fixed small
         model (5.3 against 6.8 %; chance 3.8), at the end 4.8 +/- 1.3 below its final size from scratch, and 0.3 +/-
         0.2 below the better of m = 0 and m = 1. Other inner m are above both (0.5 and 0.8: 6.2 %; 0: 5.5, 1: 5.6).
         Trials take up to 43 % of a portion's FLOPs; the search grew one shared block, on two of three seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.budget import flops, step_flops, within
from stagejax.data.multimodal.captions import Captions
from stagejax.data.multimodal.portions import Portions, digits_clothes_letters, small_digits, web_images
from stagejax.growth import FPI
from stagejax.growth.inherit import InheritWithMomentum
from stagejax.growth.operator import describe
from stagejax.models.multimodal.dual_encoder import DualEncoder, Tower
from stagejax.names import slug
from stagejax.objectives.contrastive import image_text
from stagejax.objectives.retrieval.retrieval import ImageTextTransfer
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, by_seed, claim, shown, spread
from stagejax.search.gain import steepest

GROW, FRESH, PURE = "GrowCLIP", "m = 0", "m = 1"
SCRATCH, SMALL, LARGE = "final size from scratch", "fixed small", "fixed large"
RANDOM, APART = "random choice", "no shared encoder"


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    stream: Portions = field(default_factory=lambda: digits_clothes_letters(4000))
    base: DualEncoder = field(default_factory=lambda: DualEncoder(pixels=32, patch=8, length=12))
    most: Mapping[str, Tower] = field(
        default_factory=lambda: towers(Tower(3, 64, 256), shared=2), hash=False
    )  # where growth ends
    widen: float = 1.5
    capacity: tuple[float, ...] = (1.0, 2.5, 6.0)  # parameters allowed at each portion, relative to the base
    budget: tuple[int, ...] = (180, 270, 360)  # FLOPs of each portion, in steps of the base
    search_steps: int = 15  # of each candidate
    momentum: float = 0.9
    inner: tuple[float, ...] = (0.5, 0.8)  # momenta beside it, 0 and 1
    batch: int = 64
    peak: float = 2e-3  # learning rate
    warmup: float = 0.1  # share of a stage's steps
    weight_decay: float = 0.1
    test_pairs: int = 512  # among which retrieval looks, and single objects
    valid_batches: int = 4
    seeds: tuple[int, ...] = (0, 1, 2)  # of every arm
    controls: tuple[str, ...] = (RANDOM,)  # arms that take one thing away


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    laptop = Config()
    if name == "smoke":
        tiny = towers(Tower(1, 16, 32), shared=1)
        return replace(
            laptop, stream=small_digits(400),
            base=DualEncoder(pixels=16, patch=8, length=8, joint=16, **tiny),
            most=towers(Tower(2, 24, 48), shared=1) | {"text": Tower(1, 24, 48)},
            capacity=(1.0, 3.0), budget=(30, 60), search_steps=4, inner=(), batch=16, test_pairs=32, valid_batches=1,
            seeds=(0,),
        )  # fmt: skip
    if name == "pod":
        first = DualEncoder(
            pixels=224, patch=16, length=77, head_dim=64, joint=512, scan=True, remat="full",
            **towers(Tower(4, 512, 2048), shared=4),
        )  # fmt: skip
        return replace(
            laptop, stream=web_images(), base=first, most=towers(Tower(8, 768, 3072), shared=6), inner=(0.5,),
            budget=(12_000, 24_000, 48_000), search_steps=300, batch=4096, peak=5e-4, weight_decay=0.2,
            test_pairs=4096, controls=(RANDOM, LARGE, APART),
        )  # fmt: skip
    return laptop


def towers(own: Tower, shared: int) -> dict[str, Tower]:
    """Three towers of one width, the shared one of another depth."""
    return {"image": own, "text": own, "shared": replace(own, layers=shared)}


def pipeline(run: Any, cfg: Config) -> Report:
    """GrowCLIP and its rivals, each at the FLOPs of every portion, and what the paper claims of them."""
    arms = {GROW: {seed: grown_arm(run, cfg, GROW, seed, search) for seed in cfg.seeds}}
    for m in (0.0, *cfg.inner, 1.0):
        other, label = replace(cfg, momentum=m), f"m = {m:g}"
        arms[label] = {seed: grown_arm(run, other, label, seed, follow(steps)) for seed, steps in arms[GROW].items()}
    arms[SCRATCH] = {seed: scratch_arm(run, cfg, seed, steps[-1].trained.model) for seed, steps in arms[GROW].items()}
    arms[SMALL] = {seed: fixed_arm(run, cfg, SMALL, seed, base(cfg)) for seed in cfg.seeds}
    for label in cfg.controls:
        arms[label] = {seed: control(run, cfg, label, seed) for seed in cfg.seeds}
    return report(cfg, arms)


def control(run: Any, cfg: Config, label: str, seed: int) -> list[Step]:
    """An arm that takes one thing away from GrowCLIP."""
    if label == LARGE:
        return fixed_arm(run, cfg, label, seed, largest(cfg))
    if label == APART:
        cfg = replace(cfg, base=cfg.base.unshared(), most=largest(cfg).unshared().towers)
    return grown_arm(run, cfg, label, seed, {RANDOM: at_random, APART: search}[label])


# --- architectures and stages ---


def base(cfg: Config) -> DualEncoder:
    """The first model; its vocabulary is that of the whole stream."""
    return replace(cfg.base, vocab=cfg.stream.tokenizer.vocab)


def largest(cfg: Config) -> DualEncoder:
    """The model at which growth ends."""
    return replace(base(cfg), **cfg.most)


def space(cfg: Config, now: DualEncoder, portion: int) -> dict[str, DualEncoder]:
    """The growth space around a model: what the limits of each size and the portion's capacity allow."""

    def parameters(model: DualEncoder) -> int:
        return sum(int(np.prod(shape)) for _, shape in describe(model).values())

    def allowed(model: DualEncoder) -> bool:
        pairs = [(own, cfg.most[name]) for name, own in model.towers.items()]
        fits = all(own.layers <= most.layers and own.embed <= most.embed for own, most in pairs)
        return fits and parameters(model) <= cfg.capacity[portion] * parameters(base(cfg))

    grown = {tower: now.deeper(tower) for tower in now.towers} | {"width": now.wider(cfg.widen)}
    return {"none": now} | {name: model for name, model in grown.items() if allowed(model)}


def batches(cfg: Config, portion: int, seed: int) -> Captions:
    """All pairs up to a portion."""
    return cfg.stream.batches(portion, batch=cfg.batch, pixels=cfg.base.pixels, length=cfg.base.length, seed=seed)


def stage(cfg: Config, name: str, seed: int, portion: int, model: DualEncoder, steps: int = 1) -> Stage:
    """Training on all data up to a portion, with a fresh optimizer; `within` a budget it is longer."""
    stream, data = cfg.stream, batches(cfg, portion, seed)
    test = replace(data, source=stream.test, seed=0, batch=cfg.test_pairs, count=1, singles=stream.singles)
    return Stage(
        name=name,
        model=model,
        objective=image_text,
        optimizer=adamw(peak=cfg.peak, warmup=cfg.warmup, weight_decay=cfg.weight_decay),
        data=data,
        steps=steps,
        evaluate=Evaluation(test, 1, objective=ImageTextTransfer(stream.prompts(cfg.base.length))),
        seed=seed,
    )


def trial(cfg: Config, name: str, seed: int, portion: int, model: DualEncoder) -> Stage:
    """The brief training of a candidate, judged on held-out pairs of the portion's new data."""
    source = cfg.stream.valid[portion]
    valid = replace(batches(cfg, portion, 0), source=source, count=cfg.valid_batches)
    brief = stage(cfg, name, seed, portion, model, cfg.search_steps)
    return replace(brief, evaluate=Evaluation(valid, cfg.valid_batches))


def price(cfg: Config, model: DualEncoder) -> int:
    """FLOPs of one step of training."""
    return step_flops(stage(cfg, "price", 0, 0, model))


def budget(cfg: Config, *portions: int) -> float:
    """The FLOPs that an arm spends on some portions."""
    return float(sum(cfg.budget[t] for t in portions) * price(cfg, base(cfg)))


# --- arms ---


@dataclass(frozen=True)
class Step:
    """What an arm did with one portion."""

    chosen: str  # how it grew
    trained: Any  # result
    start: Any = None  # result of the growth
    trials: Mapping[str, Any] = field(default_factory=dict)  # results of the search, charged with their evaluation

    @property
    def results(self) -> tuple[Any, ...]:
        return (*self.trials.values(), *([] if self.start is None else [self.start]), self.trained)


#: (run, cfg, name, the step before, portion, seed) -> what to grow, and the trials that said so.
Choose = Callable[[Any, Config, str, Step, int, int], tuple[str, Mapping[str, Any]]]


def grown_arm(run: Any, cfg: Config, label: str, seed: int, choose: Choose) -> list[Step]:
    """For each portion: choose, inherit, train on all data so far."""
    steps = fixed_arm(run, cfg, label, seed, base(cfg), portions=1)
    for portion in range(1, len(cfg.stream.train)):
        name, now = f"{slug(label)}/{seed}/{portion}", steps[-1]
        chosen, trials = choose(run, cfg, name, now, portion, seed)
        model = space(cfg, now.trained.model, portion)[chosen]
        start = inherit(run, cfg, f"{name}/start", now, model, portion, seed)
        train = within(stage(cfg, name, seed, portion, model), budget(cfg, portion) - flops(*trials.values()))
        steps.append(Step(chosen, run.train(train, start), start, trials))
    return steps


def inherit(run: Any, cfg: Config, name: str, now: Step, to: DualEncoder, portion: int, seed: int) -> Any:
    """PIM; its receipt is measured on held-out pairs of the new data."""
    start = replace(now.trained, stage=trial(cfg, "probe", seed, portion, now.trained.model))
    return run.grow(name, start, to=to, operator=InheritWithMomentum(cfg.momentum, FPI()))


def search(run: Any, cfg: Config, name: str, now: Step, portion: int, seed: int) -> tuple[str, dict[str, Any]]:
    """Try every architecture of the growth space."""
    trials = {}
    for candidate, model in space(cfg, now.trained.model, portion).items():
        start = inherit(run, cfg, f"{name}/{candidate}/start", now, model, portion, seed)
        result = run.train(trial(cfg, f"{name}/{candidate}", seed, portion, model), start)
        cost = replace(result.cost, flops=result.cost.flops + result.cost.eval_flops, eval_flops=0)
        trials[candidate] = replace(result, cost=cost)
    return steepest({c: (t.history.last("loss"), price(cfg, t.model)) for c, t in trials.items()}, "none"), trials


def follow(steps: list[Step]) -> Choose:
    """The choices of another arm, and the cost of its search: what differs is what they are made by."""
    return lambda run, cfg, name, now, portion, seed: (steps[portion].chosen, steps[portion].trials)


def at_random(run: Any, cfg: Config, name: str, now: Step, portion: int, seed: int) -> tuple[str, dict[str, Any]]:
    """Any candidate, without a trial."""
    candidates = list(space(cfg, now.trained.model, portion))
    return candidates[np.random.RandomState([seed, portion]).randint(len(candidates))], {}


def fixed_arm(
    run: Any, cfg: Config, label: str, seed: int, model: DualEncoder, portions: int | None = None
) -> list[Step]:
    """One size from the beginning, trained on with each portion."""
    steps: list[Step] = []
    for portion in range(len(cfg.stream.train) if portions is None else portions):
        train = within(stage(cfg, f"{slug(label)}/{seed}/{portion}", seed, portion, model), budget(cfg, portion))
        steps.append(Step("none", run.train(train, steps[-1].trained if steps else None)))
    return steps


def scratch_arm(run: Any, cfg: Config, seed: int, model: DualEncoder) -> list[Step]:
    """The final size on all data, with the FLOPs of all portions."""
    portions = range(len(cfg.stream.train))
    train = stage(cfg, f"{slug(SCRATCH)}/{seed}", seed, portions[-1], model)
    return [Step("none", run.train(within(train, budget(cfg, *portions))))]


# --- report ---


def report(cfg: Config, arms: dict[str, dict[int, list[Step]]]) -> Report:
    """Accuracy after every portion, the searches, what growing cost, and the claims judged on them."""

    def after(label: str, metric: str = "zero_shot") -> np.ndarray:
        """A metric after each portion, (seeds, portions); from scratch there is one portion."""
        return np.array([[step.trained.history.last(metric) for step in arm] for arm in arms[label].values()])

    every = [(label, seed, t, step) for label, of in arms.items() for seed in of for t, step in enumerate(of[seed])]
    named = {
        label: {seed: Arm("", tuple(result for step in steps for result in step.results)) for seed, steps in of.items()}
        for label, of in arms.items()
    }
    return EXPERIMENT.report(
        claims(cfg, after), link="https://arxiv.org/abs/2308.11331", arms=by_seed(named, SMALL),
        tables=(accuracy(cfg, tuple(arms), after), paths(every)),
        baseline=SMALL, metric="zero_shot", rising=True, seeds=cfg.seeds, notes=NOTES,
    )  # fmt: skip


def claims(cfg: Config, after: Callable[..., np.ndarray]) -> tuple[Claim, ...]:
    """What the paper says, judged on the mean zero-shot accuracy over seeds."""

    def lead(statement: str, paper: str, ahead: np.ndarray, behind: np.ndarray, least: float = 0.0) -> Claim:
        leads = ahead - behind  # of each seed
        margin = f"mean lead over seeds above {least:.1%}"
        return claim(statement, paper=paper, measured=shown(leads, "+.1%"), margin=margin, holds=leads.mean() > least)

    mean = {label: after(label).mean(1) for label in (GROW, SMALL, FRESH, PURE, RANDOM)}
    rival = max(PURE, FRESH, key=lambda label: mean[label].mean())
    return (
        lead(
            "Growing with the data beats the fixed small model, in the mean over portions",
            "+2.3 points, nine sets, against from scratch", mean[GROW], mean[SMALL],
        ),
        lead(
            "At the end it is as good as its final size trained from scratch on all data with the same FLOPs",
            "better", after(GROW)[:, -1], after(SCRATCH)[:, -1], least=-0.005,
        ),
        lead(
            f"Momentum {cfg.momentum:g} beats both inheriting alone (m = 1) and fresh parameters (m = 0)",
            "PIM escapes the local minimum", mean[GROW], mean[rival],
        ),
        lead(
            "The search is worth its FLOPs: better than growing at random",
            "not stated in what we read", mean[GROW], mean[RANDOM],
        ),
    )  # fmt: skip


def accuracy(cfg: Config, labels: tuple[str, ...], after: Callable[..., np.ndarray]) -> Table:
    """The metrics of every arm."""
    portions = len(cfg.stream.train)

    def row(label: str) -> tuple[Any, ...]:
        found, missing = after(label), portions - after(label).shape[1]
        each, last, means = found.mean(0).tolist(), found[:, -1], found.mean(1)
        whole = (None, None) if missing else spread(means)
        both = [float(after(label, metric)[:, -1].mean()) for metric in ("image_to_text", "text_to_image")]
        return (label, *[None] * missing, *each, spread(last)[1], *whole, *both, len(found))

    ends = (f"portion {portions} +/-", "mean", "mean +/-", "to text", "to image", "seeds")
    columns = ("arm", *(f"portion {t + 1}" for t in range(portions)), *ends)
    note = (
        f"Zero-shot: {len(cfg.stream.classes)} classes by captions, held-out objects. Retrieval: R@1 among "
        f"{cfg.test_pairs} held-out pairs after the last portion. Always the kinds of the last portion. +/- is the "
        "standard deviation over seeds."
    )
    title, formats = "Zero-shot accuracy and retrieval, means over seeds", ("", *[".1%"] * (portions + 5), "")
    return Table(title, columns, tuple(map(row, labels)), formats, note)


def paths(every: list[tuple[str, int, int, Step]]) -> Table:
    """Which growth each arm took, after which search, and what it did to the loss."""

    def row(label: str, seed: int, portion: int, step: Step) -> tuple[Any, ...]:
        tried = ", ".join(f"{c} {trial.history.last('loss'):.3f}" for c, trial in step.trials.items())
        jump = [step.start.receipt.get(f"loss_{when}") for when in ("before", "after")]
        own = (step.start.parameters, *jump, step.trained.steps, flops(*step.trials.values()), tried)
        return (label, seed, portion + 1, step.chosen, *own)

    shown = ("grew", "parameters", "loss before", "after", "steps", "FLOPs of the search", "losses of the search")
    rows = tuple(row(*where, step) for *where, step in every if step.start is not None)
    note = "Losses are those of held-out pairs of the new data; in the search, after the brief training."
    formats = ("", "", "", "", ",", ".3f", ".3f", "", "si", "")
    return Table("How each arm grew", ("arm", "seed", "portion", *shown), rows, formats, note)


NOTES = (
    "Images are real (MNIST, Fashion-MNIST, Omniglot), captions are generated from what was composed.",
    "Every arm spends the same FLOPs on each portion; trials and their evaluations are part of them. Arms with another "
    "m take the architectures of GrowCLIP of their seed and pay for its search.",
    "The score of the search, the growth space and the form of the inheriting are our reconstruction.",
    "The learning rate is one for all arms and stages and was not searched. All arms are near chance (3.8 %).",
)


EXPERIMENT = Experiment(
    name="grow_clip",
    title="GrowCLIP: grow an image-text model with its data, where a search says",
    reference="Deng et al., ICCV 2023, arXiv 2308.11331",
    paper=65,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("grow_clip")
