"""ElasticViT: one supernet, trained on subnets of like cost that promise most, from which networks are cut to measure.

Paper    Tang et al., ElasticViT: Conflict-aware Supernet Training for Deploying Fast Vision Transformer on Diverse
         Mobile Devices, ICCV 2023, arXiv 2303.09730 (dossier 010).
Claim    In a wide space, gradients of very small and very large subnets fight. Sampling subnets of like FLOPs in
         neighbouring steps, and of these the ones known or foreseen to be good, gives better subnets of all sizes,
         which are deployed without retraining.
Method   A teacher, its logits as an artifact; supernets of four subnets a step: three learn from labels and teacher, a
         smallest one from the mean of these three by an adaptive alpha-divergence. Which three: the largest and two at
         random (uniform, with the smallest: the sandwich rule); a walk over banks of FLOPs (complexity); from any bank,
         by a memory of scores or, of five candidates, the one with most of its FLOPs in width (performance); both
         (full). Evolution in a bank of FLOPs, scored on images kept from training; the winner is cut out. Beside it:
         the same network trained from scratch.
         All of it is masks over one network: resolution, channels of the stem, width and depth of two transformer
         stages, hidden units of every block.
Smaller  One convolution below the transformer stages, where the paper has two stages of them; no value sizes. Without
         batch norm nothing is calibrated for a subnet. One teacher, so labels count for half; no label smoothing, no
         averaged parameters; gradients are clipped by their norm, not unit by unit. The memory is scored anew in turn,
         some members a step, as often as the paper scores all of it.
Run      stagejax run elastic_vit                      laptop: 5 minutes on two cores
         stagejax run elastic_vit --preset smoke       seconds
         stagejax plan elastic_vit --preset pod --mesh data=16,fsdp=16
Holds if full is at least 0.5 points above uniform in the mean over banks of fixed test subnets, and gradients of
         neighbouring steps have the larger cosine.
Ours     Full sampling is 8.8 +/- 0.7 points below uniform sampling, which trains the largest subnet in every step (41.3
         +/- 1.6 against 50.1 +/- 0.9, two seeds); the cosine is larger, by 0.128 +/- 0.010. Complexity alone reaches
         46.4, performance alone 48.2 (one seed). Networks cut from full reach 39.1, 43.8 and 41.2 %, the same networks
         from scratch 56.1, 58.8 and 55.3 %.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import Dataset, Digits, Images, Portion, Row, Source, join
from stagejax.data.pictures.crop import Crop
from stagejax.data.pictures.photos import Photos
from stagejax.data.published import IMAGENET
from stagejax.growth import Subset
from stagejax.growth.operator import Sizes
from stagejax.growth.resample import Resample
from stagejax.growth.term import Term
from stagejax.inference import flops_of_one, logits_for_every_record, logits_of
from stagejax.models.convnet import ResNet, resnet50
from stagejax.models.vision.pyramid import PyramidViT
from stagejax.objectives.classification import classification
from stagejax.optimizer import adamw
from stagejax.report import Arm, Claim, Report, Table, claim, shown, spread
from stagejax.search import Code, Evolution, Memory, Recalling, Sampler, Space, SupernetStep, taught
from stagejax.search.supernet import accuracy_by_bank, search_bank
from stagejax.stage import gradient_step

UNIFORM, COMPLEXITY, PERFORMANCE, FULL = "uniform", "complexity", "performance", "full"


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    source: Source = field(default_factory=lambda: Dataset("fashion_mnist"))  # of images
    fields: tuple[str, str] = ("x", "y")  # of a record: image and label
    crop: Crop | None = None  # of photographs of any size; None: the images are all of the model's size
    records: int = 30_000  # in the training split
    kept: int = 256  # of them, for the search alone
    space: Space = field(
        default_factory=lambda: Space(
            PyramidViT(stem=16, embed=(64, 64), layers=(3, 3), mlp=(192, 192), scan=True),
            images=(20, 24, 28),
            stems=(8, 16),
            widths=((32, 48, 64), (32, 48, 64)),
            depths=((1, 2, 3), (1, 2, 3)),
            ratios=(1, 2, 3),
        )
    )
    teacher: ResNet = field(
        default_factory=lambda: ResNet(image=28, channels_in=1, channels=(8, 16, 32), blocks=(1, 1, 1))
    )
    banks: int = 5
    memory: int = 16  # scored architectures of a bank
    renew: int = 1  # of all banks, scored anew in each step
    arms: tuple[str, ...] = (UNIFORM, COMPLEXITY, PERFORMANCE, FULL)
    batch: int = 32  # images
    teacher_steps: int = 300
    steps: int = 100  # of four subnets
    teacher_peak: float = 3e-3  # learning rates
    peak: float = 3e-3
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.05
    clip: float = 1.0  # norm of a gradient
    ema: float | None = None  # decay of the averaged parameters
    evolution: Evolution = field(default_factory=lambda: Evolution(rounds=2))
    limits: tuple[int, ...] = (0, 2, 4)  # banks whose FLOPs are a limit of the search
    subnets: int = 4  # of each bank, under test
    evaluate_batches: int = 16
    seeds: tuple[int, ...] = (0, 1)  # of the arms uniform and full; the others take the first


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    laptop = Config()
    if name == "smoke":
        sizes: Any = {"embed": (16, 16), "layers": (2, 2), "mlp": (32, 32)}
        largest = PyramidViT(image=8, patch=1, stem=8, head_dim=8, scan=True, **sizes)
        return replace(
            laptop,
            source=Digits(),
            fields=("image", "label"),
            records=1438,
            kept=64,
            space=Space(largest, (6, 8), (4, 8), ((8, 16),) * 2, ((1, 2),) * 2, ratios=(1, 2)),
            teacher=replace(laptop.teacher, image=8, channels=(8, 16), blocks=(1, 1)),
            banks=3,
            memory=4,
            arms=(UNIFORM, PERFORMANCE, FULL),
            teacher_steps=120,
            steps=120,
            teacher_peak=1e-2,
            peak=1e-2,
            evolution=Evolution(population=4, rounds=2, mutants=2, mixtures=2),
            limits=(1,),
            subnets=2,
            evaluate_batches=8,
            seeds=(0,),
        )
    if name == "pod":
        sizes = {"embed": (96, 160, 288, 320), "layers": (5, 6, 6, 6), "mlp": (480, 800, 1440, 1600)}
        largest = PyramidViT(image=256, channels=3, stem=32, patch=4, classes=1000, scan=True, **sizes)
        ends = zip((48, 80, 144, 160), sizes["embed"], strict=True)
        widths = tuple(tuple(range(low, high + 1, 16)) for low, high in ends)
        depths = tuple(tuple(range(1, most + 1)) for most in sizes["layers"])
        return replace(
            laptop,
            source=IMAGENET,
            fields=("image", "label"),
            crop=Crop(),
            records=1_281_167,
            kept=25_600,
            space=Space(largest, (128, 160, 176, 192, 224, 256), (16, 24, 32), widths, depths, (2, 3, 4, 5)),
            teacher=resnet50(image=256),
            banks=8,
            memory=150,
            renew=12,  # all within a quarter of an epoch
            batch=3072,
            teacher_steps=37_500,
            steps=250_000,
            teacher_peak=1e-3,
            peak=3e-3,
            warmup=5 / 600,
            ema=0.99985,
            evolution=Evolution(population=64, rounds=40, mutants=128, mixtures=128, kept=256),
            limits=(1, 3, 5, 7),
            subnets=30,
            evaluate_batches=16,
        )
    return laptop


def pipeline(run: Any, cfg: Config) -> Report:
    """Teacher, supernets by every way to sample, and for the first seed what search finds in them."""
    teacher, space, test = run.train(teacher_stage(cfg)), cfg.space, images(cfg).held_out(cfg.evaluate_batches)
    asked = flops_of_one(logits_of, cfg.teacher, images(cfg).sample_spec()["image"]) * float(cfg.records - cfg.kept)
    said = run.make("teacher-logits", logits_for_every_record, teacher, images(cfg), flops=asked)
    arms, tests, found, scratch = {}, {}, {}, {}
    for label in cfg.arms:
        for seed in cfg.seeds if label in (UNIFORM, FULL) else cfg.seeds[:1]:
            name, supernet = f"{label}/{seed}", run.train(supernet_stage(cfg, label, seed, said))
            net = supernet.member("net")
            tests[label, seed] = run.make(f"test/{name}", accuracy_by_bank, net, sampler(cfg, FULL), cfg.subnets, test)
            searched: list[Any] = []
            for bank in cfg.limits if seed == cfg.seeds[0] and label in (UNIFORM, FULL) else ():
                looking = (net, sampler(cfg, FULL), bank, cfg.evolution, images(cfg, search=True))
                won = run.make(f"search/{name}/{bank}", search_bank, *looking, flops=search_flops(cfg))
                # A plan does not know what a search will find; any subnet of the bank costs about as much.
                code = tuple(map(int, won.value["code"] if won.value else sampler(cfg, FULL).known()[bank][0]))
                cut = Cut.of(**space.kept(code))
                start = run.grow(f"cut/{name}/{bank}", net, to=space.network(code), operator=cut)
                score = run.make(f"cut-test/{name}/{bank}", cut_accuracy, start, space, code, test)
                found[label, bank], searched = (code, won, score), [*searched, won, start]
                if label == FULL:
                    scratch[bank] = run.train(scratch_stage(cfg, code, bank, said))
            arms[label, seed] = Arm(label, (supernet, *searched), charged=(teacher, said))
    return report(cfg, arms, tests, found, scratch)


@dataclass(frozen=True)
class Cut(Subset):
    """A subnet as a network of its own: what it keeps of each axis, and the positions of its smaller images."""

    def terms(self, old: Sizes, new: Sizes) -> list[Term]:
        """One term: the chosen entries, and positions resampled on their grid."""
        (kept,), (placed,) = super().terms(old, new), Resample(grid=True).terms(old, new)
        return [Term("small", {**kept.maps, **placed.maps})]


# --- stages ---


def images(cfg: Config, seed: int = 0, search: bool = False) -> Images:
    """Images for training, or those kept from it for the search."""
    side, (image, label) = cfg.space.largest.image, cfg.fields
    part = Portion(cfg.source, stop=cfg.kept) if search else Portion(cfg.source, start=cfg.kept)
    shape = (side, side, cfg.space.largest.channels)
    count = cfg.kept // cfg.batch if search else None
    kind = Images if cfg.crop is None else partial(Photos, crop=cfg.crop.scored() if search else cfg.crop)
    return kind(source=part, batch=cfg.batch, shape=shape, seed=seed, count=count, image=image, label=label)


def teacher_stage(cfg: Config) -> Stage:
    """The teacher, trained with labels."""
    return Stage(
        name="teacher",
        model=cfg.teacher,
        objective=classification,
        optimizer=adamw(peak=cfg.teacher_peak, warmup=cfg.warmup, weight_decay=cfg.weight_decay),
        data=images(cfg),
        steps=cfg.teacher_steps,
        evaluate=Evaluation(images(cfg).held_out(cfg.evaluate_batches), cfg.evaluate_batches),
    )


def sampler(cfg: Config, label: str) -> Sampler:
    """How an arm draws subnets."""
    walk, prefer = label in (COMPLEXITY, FULL), label in (PERFORMANCE, FULL)
    sizes = {"banks": cfg.banks, "memory": cfg.memory, "renew": cfg.renew}
    return Sampler(cfg.space, steps=cfg.steps, walk=walk, prefer=prefer, **sizes)


def supernet_stage(cfg: Config, label: str, seed: int, said: Any) -> Stage:
    """A supernet: all arms see the same images, and train as many subnets."""
    optimizer = adamw(peak=cfg.peak, warmup=cfg.warmup, weight_decay=cfg.weight_decay, clip=cfg.clip)
    own, test = sampler(cfg, label), images(cfg).held_out(cfg.evaluate_batches)
    return Stage(
        name=f"supernet/{label}/{seed}",
        model={"net": cfg.space.largest, "memory": Memory(own)},
        objective=at_own_size,  # of what is cut out; a step puts its own in its place
        optimizer={"net": Recalling(optimizer), "memory": None},
        data=join(images(cfg, seed), said, Row("logits", (cfg.space.largest.classes,))),
        steps=cfg.steps,
        step=SupernetStep(own),
        evaluate=Evaluation(test, cfg.evaluate_batches, max(1, cfg.steps // 4), largest_alone),
        seed=seed,
        ema=cfg.ema,
    )


def largest_alone(models: Any, batch: Any, key: Any) -> Any:
    """Classification by the largest network."""
    return classification(models["net"], batch, key)


def at_own_size(model: Any, batch: Any, key: Any) -> Any:
    """Classification by a network of any resolution."""
    B, _, _, channels = batch["image"].shape
    images = jax.image.resize(batch["image"], (B, model.config.image, model.config.image, channels), "linear")
    return classification(model, batch | {"image": images}, key)


def scratch_stage(cfg: Config, code: Code, bank: int, said: Any) -> Stage:
    """The network that was found, trained alone for as many steps, from labels and teacher alike."""
    return replace(
        supernet_stage(cfg, UNIFORM, cfg.seeds[0], said),
        name=f"scratch/{bank}",
        model=cfg.space.network(code),
        objective=partial(alone, space=cfg.space, code=code),
        optimizer=adamw(peak=cfg.peak, warmup=cfg.warmup, weight_decay=cfg.weight_decay, clip=cfg.clip),
        step=gradient_step,
        evaluate=Evaluation(images(cfg).held_out(cfg.evaluate_batches), cfg.evaluate_batches),
    )


def alone(model: Any, batch: Any, key: Any, *, space: Space, code: Code) -> tuple[jax.Array, dict[str, Any]]:
    """What a sampled subnet learns from, for a network that was cut out."""
    logits_BC = model(space.own_images(batch["image"], code), key=key, masks=space.own_masks(code))
    loss_B, hard_B = taught(logits_BC, batch)
    right, count = (logits_BC.argmax(-1) == batch["label"]).sum(), jnp.float32(len(hard_B))
    return loss_B.mean(), {"accuracy": (right.astype(jnp.float32), count), "cross_entropy": (hard_B.sum(), count)}


def search_flops(cfg: Config) -> float:
    """What a search takes: as masks, all subnets cost what the largest does."""
    space, images = cfg.space, cfg.kept // cfg.batch * cfg.batch
    return float(space.flops(np.array(space.most))) * images * cfg.evolution.evaluated


def cut_accuracy(network: Any, space: Space, code: Code, data: Any) -> float:
    """The accuracy of a network that was cut out."""
    model = network.module()
    measure = jax.jit(lambda batch: alone(model, batch, None, space=space, code=code)[1]["accuracy"][0] / data.batch)
    with data.batches() as batches:
        return float(np.mean([measure(batch) for batch in batches]))


# --- report ---


def report(cfg: Config, arms: Any, tests: Any, found: Any, scratch: Any) -> Report:
    """Accuracy by bank, agreement of gradients, what search found; the claims."""
    nan, names = float("nan"), {key: f"{key[0]}, seed {key[1]}" for key in arms}
    banks = {key: made.value["banks"] if made.value else [nan] * cfg.banks for key, made in tests.items()}
    ends = {key: made.value["ends"] if made.value else [nan, nan] for key, made in tests.items()}
    seen = {key: arm.results[0].history.train.get("cosine", [nan, nan]) for key, arm in arms.items()}
    cosines = {key: [float(np.mean(values[1:]))] for key, values in seen.items()}  # the first step has none before it
    limits = [f"{floor / 1e6:.2f} MFLOPs" for floor in sampler(cfg, FULL).floors()]

    def over_seeds(values: dict[tuple[str, int], list[float]], label: str) -> np.ndarray:
        """Of an arm, (seeds, ...)."""
        return np.array([own for key, own in values.items() if key[0] == label])

    def row(label: str) -> tuple[Any, ...]:
        own, means, agree = over_seeds(banks, label), over_seeds(banks, label).mean(1), over_seeds(cosines, label)[:, 0]
        whole = (*spread(means), *over_seeds(ends, label).mean(0).tolist())
        return (label, *own.mean(0).tolist(), *whole, *spread(agree), len(own))

    subnets = Table(
        f"Accuracy of {cfg.subnets} fixed subnets of each bank, without retraining",
        ("arm", *limits, "mean", "mean +/-", "smallest", "largest", "cosine of gradients", "cosine +/-", "seeds"),
        tuple(row(label) for label in cfg.arms),
        ("", *[".1%"] * (cfg.banks + 4), ".3f", ".3f", ""),
        note="Means over seeds, +/- their standard deviation. The same subnets for every arm, on held-out images; the "
        "smallest and the largest subnet of all beside them. The cosine is that of the gradients of neighbouring "
        "steps, in the mean over the training.",
    )
    searched = Table(
        "What search finds",
        ("arm", "FLOPs from", "code", "accuracy in search", "cut out", "the same network from scratch"),
        tuple(
            (label, limits[bank], " ".join(map(str, code)), won.value["score"] if won.value else nan,
             nan if score.value is None else score.value,
             scratch[bank].history.last("accuracy") if label == FULL else nan)
            for (label, bank), (code, won, score) in found.items()
        ),
        ("", "", "", ".1%", ".1%", ".1%"),
        note=f"{cfg.evolution.evaluated} subnets are scored on {cfg.kept} images kept from training. From scratch: as "
        "many steps on the same images, of this network alone.",
    )  # fmt: skip

    def lead(statement: str, paper: str, values: Any, least: float, form: str, margin: str) -> Claim:
        """Of full over uniform, judged on the mean over seeds and shown with its standard deviation."""
        leads = over_seeds(values, FULL).mean(1) - over_seeds(values, UNIFORM).mean(1)
        return claim(statement, paper=paper, measured=shown(leads, form), margin=margin, holds=leads.mean() >= least)

    # fmt: off
    claims = (
        lead("Sampling by complexity and performance gives better subnets than uniform sampling",
             "better at all sizes", banks, 0.005, "+.1%", "mean lead over banks and seeds at least 0.5 points"),
        lead("Gradients of neighbouring steps agree more", "conflicts are mitigated",
             cosines, np.finfo(float).tiny, "+.3f", "larger mean cosine"),
    )
    # fmt: on
    return EXPERIMENT.report(
        link="https://arxiv.org/abs/2303.09730",
        claims=claims,
        arms=tuple(
            replace(arm, name=names[key], group=key[0], against=names[UNIFORM, key[1]]) for key, arm in arms.items()
        ),
        tables=(subnets, searched),
        baseline=names[UNIFORM, cfg.seeds[0]],
        metric="accuracy",
        rising=True,
        seeds=cfg.seeds,
        notes=(
            "Subnets are masks over one compiled network, so training and search are charged as computed: each subnet "
            "costs what the largest does. The memory's scores are charged to the arms that have one.",
            "The curves are of the largest subnet alone, which the uniform arm trains in every step.",
            "Supernets have 100 steps, a third of what was meant, and a bank 4 test subnets instead of 30, for time: "
            "subnets are hardly trained, and the memory of 16 members a bank is half full. The rate is one for all "
            "arms and was not searched.",
        ),
    )


EXPERIMENT = Experiment(
    name="elastic_vit",
    title="ElasticViT: a supernet trained on subnets of like cost that promise most",
    reference="Tang et al., ICCV 2023, arXiv 2303.09730",
    paper=10,
    pipeline=pipeline,
    preset=preset,
)

if __name__ == "__main__":
    from stagejax.cli import run_module

    run_module("elastic_vit")
