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
Smaller  One stage of transformer blocks; the paper's space has convolution stages below, four transformer stages each
         with its own width and depth, value sizes and resolutions. Without batch norm nothing is calibrated for a
         subnet. One teacher, so labels count for half; no label smoothing. The memory is scored anew in turn, some
         members a step, as often as the paper scores all of it. Laptop: 26 times the FLOPs from smallest to largest,
         and without the arm performance.
Run      stagejax run elastic_vit                      laptop: 4 minutes on two cores
         stagejax run elastic_vit --preset smoke       seconds
         stagejax plan elastic_vit --preset pod --mesh data=16,fsdp=16
Holds if full is at least 0.5 points above uniform in the mean over banks of fixed test subnets, and gradients of
         neighbouring steps have the larger cosine.
Ours     Gradients of neighbouring steps agree more (cosine larger by 0.07), but subnets are worse: 4.8 points below
         uniform sampling in the mean over banks, which here trains the largest subnet in every step.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stagejax import Evaluation, Experiment, Stage
from stagejax.data import TFDS, Dataset, Digits, Images, Portion, Row, Source, join
from stagejax.growth import Subset
from stagejax.inference import flops_of_one, logits_for_every_record, logits_of
from stagejax.models import ViT
from stagejax.models.convnet import ResNet, resnet50
from stagejax.objectives.classification import classification
from stagejax.optimizer import adamw
from stagejax.report import Arm, Report, Table, claim
from stagejax.search import Code, Evolution, Memory, Recalling, Sampler, Space, SupernetStep, taught
from stagejax.search.supernet import accuracy_by_bank, search_bank
from stagejax.stage import gradient_step

UNIFORM, COMPLEXITY, PERFORMANCE, FULL = "uniform", "complexity", "performance", "full"


@dataclass(frozen=True)
class Config:
    """Everything that a run of this experiment depends on."""

    source: Source = field(default_factory=lambda: Dataset("fashion_mnist"))  # of images
    fields: tuple[str, str] = ("x", "y")  # of a record: image and label
    records: int = 30_000  # in the training split
    kept: int = 512  # of them, for the search alone
    space: Space = field(
        default_factory=lambda: Space(
            ViT(image=28, patch=7, embed=48, heads=3, layers=5, mlp=144, scan=True),
            widths=(16, 32, 48),
            depths=(2, 3, 4, 5),
            ratios=(1, 2, 3),
        )
    )
    teacher: ResNet = field(
        default_factory=lambda: ResNet(image=28, channels_in=1, channels=(8, 16, 32), blocks=(1, 1, 1))
    )
    banks: int = 5
    memory: int = 16  # scored architectures of a bank
    renew: int = 1  # of all banks, scored anew in each step
    arms: tuple[str, ...] = (UNIFORM, COMPLEXITY, FULL)
    batch: int = 32  # images
    teacher_steps: int = 300
    steps: int = 240  # of four subnets
    teacher_peak: float = 3e-3  # learning rates
    peak: float = 3e-3
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.05
    clip: float = 1.0  # norm of a gradient
    ema: float | None = None  # decay of the averaged parameters
    evolution: Evolution = field(default_factory=lambda: Evolution(rounds=2))
    limits: tuple[int, ...] = (1, 3)  # banks whose FLOPs are a limit of the search
    subnets: int = 6  # of each bank, under test
    evaluate_batches: int = 32
    seeds: tuple[int, ...] = (0, 1)  # of the arms uniform and full; the others take the first


def preset(name: str) -> Config:
    """The laptop preset, or the same experiment smaller or at the paper's scale."""
    laptop = Config()
    if name == "smoke":
        largest = ViT(image=8, patch=4, embed=16, heads=2, layers=3, mlp=32, scan=True)
        return replace(
            laptop,
            source=Digits(),
            fields=("image", "label"),
            records=1438,
            kept=64,
            space=Space(largest, widths=(8, 16), depths=(1, 2, 3), ratios=(1, 2)),
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
        sizes = {"embed": 320, "heads": 20, "layers": 12, "mlp": 1600}
        largest = ViT(image=224, channels=3, patch=16, classes=1000, scan=True, **sizes)
        return replace(
            laptop,
            source=TFDS("imagenet2012"),
            fields=("image", "label"),
            records=1_281_167,
            kept=25_600,
            space=Space(largest, (80, 144, 208, 256, 320), (2, 4, 6, 8, 10, 12), (2, 3, 4, 5)),
            teacher=resnet50(),
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
                cut = Subset.of(**space.kept(code))
                start = run.grow(f"cut/{name}/{bank}", net, to=space.network(code), operator=cut)
                score = run.make(f"cut-test/{name}/{bank}", cut_accuracy, start, space, code, test)
                found[label, bank], searched = (code, won, score), [*searched, won, start]
                if label == FULL:
                    scratch[bank] = run.train(scratch_stage(cfg, code, bank, said))
            arms[label, seed] = Arm(label, (supernet, *searched), charged=(teacher, said))
    return report(cfg, arms, tests, found, scratch)


# --- stages ---


def images(cfg: Config, seed: int = 0, search: bool = False) -> Images:
    """Images for training, or those kept from it for the search."""
    side, (image, label) = cfg.space.largest.image, cfg.fields
    part = Portion(cfg.source, stop=cfg.kept) if search else Portion(cfg.source, start=cfg.kept)
    shape = (side, side, cfg.space.largest.channels)
    count = cfg.kept // cfg.batch if search else None
    return Images(source=part, batch=cfg.batch, shape=shape, seed=seed, count=count, image=image, label=label)


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
        objective=classification,  # of what is cut out; a step puts its own in its place
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
    logits_BC = model(batch["image"], key=key, masks=space.own_masks(code))
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
    cosines = {key: float(np.mean(values[1:])) for key, values in seen.items()}  # the first step has none before it
    limits = [f"{floor / 1e6:.2f} MFLOPs" for floor in sampler(cfg, FULL).floors()]
    subnets = Table(
        f"Accuracy of {cfg.subnets} fixed subnets of each bank, without retraining",
        ("arm", *limits, "mean", "smallest", "largest", "cosine of gradients"),
        tuple((names[key], *own, float(np.mean(own)), *ends[key], cosines[key]) for key, own in banks.items()),
        ("", *[".1%"] * (cfg.banks + 3), ".3f"),
        note="The same subnets for every arm, on held-out images; the smallest and the largest subnet of all beside "
        "them. The cosine is that of the gradients of neighbouring steps, in the mean over the training.",
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

    def lead(values: Any) -> float:
        full, uniform = (np.mean([own for key, own in values.items() if key[0] == label]) for label in (FULL, UNIFORM))
        return float(full - uniform)

    # fmt: off
    claims = (
        claim(
            "Sampling by complexity and performance gives better subnets than uniform sampling",
            paper="better at all sizes", measured=lead(banks), unit="%",
            margin="mean lead over banks at least 0.5 points", holds=lead(banks) >= 0.005,
        ),
        claim(
            "Gradients of neighbouring steps agree more", paper="conflicts are mitigated", measured=lead(cosines),
            margin="larger mean cosine", holds=lead(cosines) > 0,
        ),
    )
    # fmt: on
    return Report(
        experiment=EXPERIMENT.name,
        title=EXPERIMENT.title,
        paper=EXPERIMENT.reference,
        number=f"{EXPERIMENT.paper:03d}",
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
